"""What a kind of promotion is given when it is asked what it wants, what it answers, and the arithmetic that kinds share.

An application is a promotion in a basket, its pairs are the lines of its scope.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from app.pricing.groups import Groups
from app.pricing.money import (
    AMOUNT_E7_MAX,
    AMOUNT_MINOR_MAX,
    E7,
    INT64_MAX,
    MILLI,
    Bools,
    Int64s,
    format_decimal,
    round_div,
    to_grain,
)
from app.pricing.params import ParamProblem
from app.pricing.parts import Parts, mask_of
from app.pricing.policy import Policy
from app.pricing.reasons import Reason
from app.pricing.scope import Scope
from app.pricing.splice import KEY_STRIDE
from app.pricing.stacking import Lines, Orders
from app.pricing.units import whole_units

type Level = Literal["line", "order", "shipping"]
Allocate = Literal["amount", "quantity", "even"]
type FindScope = Callable[[Mapping[str, Any] | None], Scope]

BASE_RUNNING: Final = 0
BASE_INITIAL: Final = 1
BASE_LIST: Final = 2
BASE_POLICY: Final = 3
ABSENT: Final = -1
ALL_UNITS: Final = -1
BY_RUNNING: Final = -1


class Turn(NamedTuple):
    """The applications of one kind that are asked what they want, and their lines as the earlier rules left them."""

    lines: Groups  # group = the application of each pair
    line: Int64s  # (n_pairs,)
    basket: Int64s  # (n_apps,)
    row: Int64s  # (n_apps,) row in the kind's packed parameters
    of_lines: Lines
    of_orders: Orders
    policy: Policy
    rule: Int64s  # (n_apps,) row among all promotions
    parts: Parts
    is_eligible: Bools | None  # (n_pairs,) None: every line is, or it is asked before that is known

    @property
    def units(self) -> Int64s:
        """The whole units of each line that is eligible (n_pairs,)."""
        units = whole_units(self.quantity_milli)
        return units if self.is_eligible is None else units * self.is_eligible

    @property
    def available_units(self) -> Int64s:
        """Those of them that have not served a set (n_pairs,)."""
        left = whole_units(self.quantity_milli) - self.of_lines.served_milli[self.line] // MILLI
        return left if self.is_eligible is None else left * self.is_eligible

    @property
    def part_mask(self) -> Int64s:
        """Which parts of the promotion's scope each line is in, as bits (n_pairs,)."""
        return mask_of(self.parts, self.rule[self.lines.group], self.of_lines.sku_row[self.line])

    @property
    def running_minor(self) -> Int64s:
        """What each line costs now (n_pairs,)."""
        return self.of_lines.running_minor[self.line]

    @property
    def quantity_milli(self) -> Int64s:
        """The quantity of each line (n_pairs,)."""
        return self.of_lines.quantity_milli[self.line]

    @property
    def orders(self) -> Int64s:
        """The orders of the customer (n_apps,), or ABSENT."""
        return self.of_orders.orders[self.basket]

    @property
    def spend_minor(self) -> Int64s:
        """The spend of the customer (n_apps,), or ABSENT."""
        return self.of_orders.spend_minor[self.basket]


class Offer(NamedTuple):
    """What a kind with steps says beside its reward (n_apps,); a step that is offered next is an index of the kind's own."""

    reason: Int64s  # Reason.APPLIED where the kind has no objection
    needed: Int64s  # figure beside the reason
    unit: Int64s  # Unit of `needed` and `next_needed`
    next_step: Int64s  # or −1
    next_needed: Int64s
    next_times: Int64s  # how many times the next step's amount


class Reward(NamedTuple):
    """What a kind wants to take, before what limits every kind: eligible lines, what is left, caps and guardrails.

    An application takes of its lines or one amount across them, not both. None is nothing: no such column is made.
    """

    off_ppm: Int64s | None = None  # (n_apps,) a percentage: rounded on each line, or once over the eligible lines at order level
    base: Int64s | None = None  # (n_apps,) what it is a percentage of; None is the running amount
    line_minor: Int64s | None = None  # (n_pairs,) an amount of the line
    down_to_minor: Int64s | None = None  # (n_pairs,) an amount that the line comes down to, where it lies above
    across_minor: Int64s | None = None  # (n_apps,)
    cap_minor: Int64s | None = None  # (n_apps,) bound of the discount over the basket
    units_milli: Int64s | None = (
        None  # (n_pairs,) how much of the line gets the percentage or comes down; ALL_UNITS: its quantity
    )
    weight: Int64s | None = None  # (n_pairs,) what the amount across is allocated by; BY_RUNNING: the running amount
    served_milli: Int64s | None = None  # (n_pairs,) units that serve a set when the promotion applies
    is_given: Bools | None = None  # (n_apps,) an order promotion applies although it takes no amount
    offer: Offer | None = None


def base_of(base: Int64s, policy: Policy) -> Int64s | None:
    """What percentages (n_apps,) are of: their own base, or the policy's. None: all of them of the running amount."""
    of_policy = BASE_INITIAL if policy.percent_base == "initial" else BASE_RUNNING
    chosen = np.where(base == BASE_POLICY, of_policy, base)
    return chosen if chosen.any() else None


def bases_of(base: Int64s | None, groups: Groups, line: Int64s, lines: Lines, is_eligible: Bools | None) -> Int64s:
    """The amounts of lines that percentages are of (n_pairs,), `base` (n_apps,) saying which; 0 where a line is not eligible."""
    of = lines.running_minor[line]
    if base is not None:
        own = base[groups.group]
        of = np.where(own == BASE_INITIAL, lines.subtotal_minor[line], of)
        of = np.where(own == BASE_LIST, lines.list_minor[line], of)
    return of if is_eligible is None else np.where(is_eligible, of, 0)


def spend_of_scope(turn: Turn) -> Int64s:
    """The running spend of each application's scope (n_apps,): all its lines count, eligible or not."""
    return turn.lines.sum(turn.running_minor)


def caps_of(cap_minor: Int64s, row: Int64s) -> Int64s | None:
    """The caps of the applications (n_apps,), None where not one of them has any."""
    caps = cap_minor[row]
    return caps if (caps < AMOUNT_MINOR_MAX).any() else None


def down_to(unit_e4: Int64s, quantity_milli: Int64s, policy: Policy) -> Int64s:
    """What quantities (n_pairs,) cost at unit prices, rounded; a price whose amount would pass the bounds lies above any line."""
    unit_e4 = to_grain(unit_e4, policy.grain_e4, policy.rounding)
    is_bounded = unit_e4 <= AMOUNT_E7_MAX // np.maximum(quantity_milli, 1)
    amount = round_div(np.where(is_bounded, unit_e4, 0) * quantity_milli, E7, policy.rounding)
    return np.where(is_bounded, amount, INT64_MAX)


_ALLOCATE: Final[dict[Allocate, int]] = {"amount": 0, "quantity": 1, "even": 2}


def pack_allocate(values: Sequence[Allocate]) -> Int64s:
    """Lay out `allocate` of rows 0, 1, ..."""
    return np.array([_ALLOCATE[value] for value in values], np.int64)


def check_allocate(allocate: Allocate, level: Level, *, has_amount: bool) -> list[ParamProblem]:
    """A percentage on each line is not allocated."""
    if allocate != "amount" and level == "line" and not has_amount:
        return [("allocate", "there is nothing to allocate: a percentage is taken of each line")]
    return []


def weights(allocate: Int64s, turn: Turn, *, by_amount: Int64s | None, by_quantity: Int64s) -> Int64s | None:
    """What amounts across are allocated by (n_pairs,), `allocate` (n_apps,) being how. None: all by the running amount.

    `by_amount` (n_pairs,) stands for the running amount where a kind has amounts of its own.
    """
    if by_amount is None and not allocate.any():
        return None
    how = allocate[turn.lines.group]
    amount = np.full(how.size, BY_RUNNING) if by_amount is None else by_amount
    return np.where(how == 1, by_quantity, np.where(how == 2, by_quantity > 0, amount))


class Steps(NamedTuple):
    """Rising thresholds with a percentage or an amount each; `first` (n_rows + 1,) delimits the steps of a row."""

    first: Int64s
    threshold: Int64s
    off_ppm: Int64s  # 0 where the step is an amount
    amount_minor: Int64s  # 0 where it is a percentage
    key: Int64s  # row · 2^42 + threshold, sorted


_MEASURE_MAX: Final = KEY_STRIDE - 1  # above every threshold


def pack_steps(rows: Sequence[Sequence[tuple[int, int, int]]]) -> Steps:
    """Lay out steps (threshold, off_ppm, amount_minor) of rows 0, 1, ..."""
    first = np.zeros(len(rows) + 1, np.int64)
    np.cumsum([len(row) for row in rows], out=first[1:])
    flat = np.array([step for row in rows for step in row], np.int64).reshape(-1, 3)
    key = np.repeat(np.arange(len(rows)), np.diff(first)) * KEY_STRIDE + flat[:, 0]
    return Steps(first, flat[:, 0].copy(), flat[:, 1].copy(), flat[:, 2].copy(), key)


def take_step(
    steps: Steps, row: Int64s, measure: Int64s, policy: Policy, *, times: Int64s | None, unit: Int64s | int, below: Reason
) -> tuple[Reward, Offer]:
    """The reward of the step that a measure (n_apps,) reaches, `times` its amount, and the next step."""
    following = np.searchsorted(steps.key, row * KEY_STRIDE + np.minimum(measure, _MEASURE_MAX), side="right")
    is_reached = following > steps.first[row]
    step = np.where(is_reached, following - 1, 0)
    across = np.where(is_reached, steps.amount_minor[step], 0)
    if times is not None:
        # Amounts times their repeats are bounded by the spend that earned them; anything above is cut to what is left anyway.
        across = np.where(across > AMOUNT_MINOR_MAX // np.maximum(times, 1), AMOUNT_MINOR_MAX, across * times)
    is_last = following == steps.first[row + 1]
    missing = steps.threshold[np.where(is_last, 0, following)] - measure
    offer = Offer(
        np.where(is_reached, Reason.APPLIED, below),
        np.where(is_reached, 0, missing),
        np.full(row.size, unit) if isinstance(unit, int) else unit,
        np.where(is_last, -1, following),
        np.where(is_last, 0, missing),
        np.ones(row.size, np.int64),
    )
    off_ppm = np.where(is_reached, steps.off_ppm[step], 0)
    return Reward(
        off_ppm=off_ppm, base=base_of(np.full(row.size, BASE_POLICY), policy), across_minor=across if across.any() else None
    ), offer


def offered(steps: Steps, step: int, times: int) -> dict[str, Any]:
    """What a step gives, as the reply shows it."""
    if steps.off_ppm[step]:
        return {"percent": format_decimal(int(steps.off_ppm[step]), 4)}
    return {"amount": int(steps.amount_minor[step]) * times}
