"""What a kind of promotion is given at its turn, what it answers, and the arithmetic that kinds share.

A turn holds applications of one kind: an application is a promotion in a basket, its pairs are the lines of its scope.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple, Protocol

import numpy as np

from app.pricing.allocation import Groups
from app.pricing.money import AMOUNT_MINOR_MAX, PPM, Bools, Int64s, format_decimal, round_mul_div
from app.pricing.params import ParamProblem
from app.pricing.policy import Policy
from app.pricing.reasons import Reason

type Level = Literal["line", "order"]

BASE_RUNNING: Final = 0
BASE_INITIAL: Final = 1
BASE_LIST: Final = 2
BASE_POLICY: Final = 3
ABSENT: Final = -1


class Turn(NamedTuple):
    """The applications of one kind whose turn has come, and their lines as the earlier rules left them."""

    lines: Groups  # group = the application of each pair
    row: Int64s  # (n_apps,) row in the kind's packed parameters
    is_eligible: Bools  # (n_pairs,) the promotion may discount the line
    running_minor: Int64s  # (n_pairs,)
    subtotal_minor: Int64s  # (n_pairs,)
    list_minor: Int64s  # (n_pairs,)
    quantity_milli: Int64s  # (n_pairs,)
    orders: Int64s  # (n_apps,) of the customer, or ABSENT
    spend_minor: Int64s  # (n_apps,) of the customer, or ABSENT
    level: Level
    policy: Policy


class Reward(NamedTuple):
    """What a kind wants to take, before what limits every kind: what is left, caps and guardrails.

    An application has amounts on its lines or one amount across them, not both. A step that is offered next is an index of the kind's own.
    """

    line_minor: Int64s  # (n_pairs,)
    across_minor: Int64s  # (n_apps,)
    cap_minor: Int64s  # (n_apps,) bound of the discount over the basket
    reason: Int64s  # (n_apps,) Reason.APPLIED where the kind has no objection
    needed: Int64s  # (n_apps,) figure beside the reason
    unit: Int64s  # (n_apps,) Unit of `needed` and `next_needed`
    next_step: Int64s  # (n_apps,) or −1
    next_needed: Int64s  # (n_apps,)
    next_times: Int64s  # (n_apps,) how many times the next step's amount


class Kind(Protocol):
    """What a module in `rules/` offers: one kind of promotion."""

    KIND: str
    Params: Any
    LEVELS: tuple[Level, ...]  # the first is the default

    def check(self, params: Any, level: Level) -> list[ParamProblem]:
        """Find what no single field's bounds can tell."""

    def holds_amounts(self, params: Any) -> bool:
        """Whether a parameter is money, so that the promotion must name its currency."""

    def is_local(self, params: Any) -> bool:
        """Whether what a line-level promotion takes of a line depends on no other line."""

    def personal_inputs(self, params: Any) -> tuple[str, ...]:
        """The personal attributes that the reward itself looks at."""

    def pack(self, params: Sequence[Any]) -> Any:
        """Lay out the parameters of all promotions of the kind as arrays."""

    def reward(self, packed: Any, turn: Turn) -> Reward:
        """What each application takes."""

    def next_benefit(self, packed: Any, step: int, needed: int, times: int) -> Mapping[str, Any]:
        """Tell what a next step offers, so many times, and what it needs."""


def take(turn: Turn, *, line: Int64s | None = None, across: Int64s | None = None, cap: Int64s | None = None) -> Reward:
    """A reward without objection and without a next step."""
    n_apps = turn.row.size
    none = np.zeros(n_apps, np.int64)
    return Reward(
        np.zeros(turn.running_minor.size, np.int64) if line is None else line,
        none if across is None else across,
        np.full(n_apps, AMOUNT_MINOR_MAX, np.int64) if cap is None else cap,
        none,
        none,
        none,
        np.full(n_apps, -1, np.int64),
        none,
        np.ones(n_apps, np.int64),
    )


def take_percent(turn: Turn, off_ppm: Int64s, base: Int64s, *, cap: Int64s | None = None) -> Reward:
    """A percentage `off_ppm` (n_apps,) of a base (n_apps,): rounded on each line, or once over the lines at order level."""
    policy = turn.policy
    chosen = np.where(base == BASE_POLICY, BASE_INITIAL if policy.percent_base == "initial" else BASE_RUNNING, base)
    app = turn.lines.group
    of = np.where(chosen[app] == BASE_RUNNING, turn.running_minor, turn.subtotal_minor)
    of = np.where(chosen[app] == BASE_LIST, turn.list_minor, of)
    of = np.where(turn.is_eligible, of, 0)
    if turn.level == "line":
        return take(turn, line=round_mul_div(of, off_ppm[app], PPM, policy.rounding), cap=cap)
    return take(turn, across=round_mul_div(turn.lines.sum(of), off_ppm, PPM, policy.rounding), cap=cap)


def spend_of_scope(turn: Turn) -> Int64s:
    """The running spend of each application's scope (n_apps,): all its lines count, eligible or not."""
    return turn.lines.sum(turn.running_minor)


class Steps(NamedTuple):
    """Rising thresholds with a percentage or an amount each; `first` (n_rows + 1,) delimits the steps of a row."""

    first: Int64s
    threshold: Int64s
    off_ppm: Int64s  # 0 where the step is an amount
    amount_minor: Int64s  # 0 where it is a percentage


def pack_steps(rows: Sequence[Sequence[tuple[int, int, int]]]) -> Steps:
    """Lay out steps (threshold, off_ppm, amount_minor) of rows 0, 1, ..."""
    first = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=first[1:])
    flat = np.array([step for row in rows for step in row], np.int64).reshape(-1, 3)
    return Steps(first, flat[:, 0].copy(), flat[:, 1].copy(), flat[:, 2].copy())


def reached_step(steps: Steps, row: Int64s, measure: Int64s) -> Int64s:
    """The last step (n_apps,) whose threshold is at or below the measure, or −1 below the first."""
    low, count = steps.first[row], np.diff(steps.first)[row]
    n_reached = np.zeros(row.size, np.int64)
    for number in range(int(count.max(initial=0))):
        is_there = number < count
        n_reached += is_there & (steps.threshold[np.where(is_there, low + number, 0)] <= measure)
    return np.where(n_reached > 0, low + n_reached - 1, -1)


def take_step(turn: Turn, steps: Steps, measure: Int64s, *, times: Int64s | None, unit: Int64s, below: Reason) -> Reward:
    """The reward of the step that a measure (n_apps,) reaches, `times` its amount; offers the next step."""
    step = reached_step(steps, turn.row, measure)
    at = np.maximum(step, 0)
    is_reached = step >= 0
    off_ppm = np.where(is_reached, steps.off_ppm[at], 0)
    # Amounts times their repeats are bounded by the spend that earned them; anything above is cut to what is left anyway.
    amount = np.where(is_reached, steps.amount_minor[at], 0)
    repeats = np.ones(turn.row.size, np.int64) if times is None else times
    across = np.where(amount > AMOUNT_MINOR_MAX // np.maximum(repeats, 1), AMOUNT_MINOR_MAX, amount * repeats)
    percent = take_percent(turn, off_ppm, np.full(turn.row.size, BASE_POLICY, np.int64))
    following = np.where(is_reached, step + 1, steps.first[turn.row])
    has_next = following < steps.first[turn.row + 1]
    threshold = steps.threshold[np.where(has_next, following, 0)]
    return percent._replace(
        across_minor=percent.across_minor + across,
        reason=np.where(is_reached, Reason.APPLIED, below),
        needed=np.where(is_reached, 0, threshold - measure),
        unit=unit,
        next_step=np.where(has_next, following, -1),
        next_needed=np.where(has_next, threshold - measure, 0),
    )


def offered(steps: Steps, step: int, times: int) -> dict[str, Any]:
    """What a step gives, as the reply shows it."""
    if steps.off_ppm[step]:
        return {"percent": format_decimal(int(steps.off_ppm[step]), 4)}
    return {"amount": int(steps.amount_minor[step]) * times}
