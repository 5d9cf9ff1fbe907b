"""Spend X, save Y: once, for every X, or in steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from app.pricing.money import Int64s, parse_percent_ppm
from app.pricing.params import ParamProblem, PercentOff, PositiveAmountMinor, Times
from app.pricing.reasons import Reason, Unit
from app.pricing.rewards import (
    Allocate,
    Level,
    Reward,
    Steps,
    Turn,
    check_allocate,
    offered,
    pack_allocate,
    pack_steps,
    spend_of_scope,
    take_step,
    weights,
)

KIND: Final = "spend_save"
LEVELS: Final[tuple[Level, ...]] = ("order", "line")
_TIMES_MAX: Final = 10**12


@dataclass(frozen=True, slots=True)
class Step:
    """From this spend on (inclusive) a percentage or an amount."""

    threshold: PositiveAmountMinor
    percent: PercentOff | None = None
    amount: PositiveAmountMinor | None = None


@dataclass(frozen=True, slots=True)
class Params:
    """A `threshold` with its reward, for every full threshold when `repeat`; or `steps`. `allocate`: what the shares of the lines follow."""

    threshold: PositiveAmountMinor | None = None
    percent: PercentOff | None = None
    amount: PositiveAmountMinor | None = None
    repeat: bool = False
    max_times: Times | None = None
    steps: tuple[Step, ...] | None = None
    allocate: Allocate = "amount"


def check(params: Params, level: Level) -> list[ParamProblem]:
    """Either a threshold or steps; each with either a percentage or an amount; only amounts repeat; steps rise."""
    problems: list[ParamProblem] = []
    if (params.threshold is None) == (params.steps is None):
        problems.append(("threshold", "give either a threshold or steps"))
    if params.steps is not None:
        if not 1 <= len(params.steps) <= 100:
            problems.append(("steps", "between 1 and 100 steps"))
        if params.percent is not None or params.amount is not None or params.repeat:
            problems.append(("steps", "each step has its own percent or amount, and steps do not repeat"))
    elif (params.percent is None) == (params.amount is None):
        problems.append(("amount", "give either a percent or an amount"))
    if params.repeat and params.percent is not None:
        problems.append(("repeat", "a percentage does not repeat"))
    if params.max_times is not None and not params.repeat:
        problems.append(("max_times", "needs repeat"))
    reached = 0
    for number, step in enumerate(params.steps or ()):
        if (step.percent is None) == (step.amount is None):
            problems.append((f"steps[{number}]", "give either a percent or an amount"))
        if step.threshold <= reached:
            problems.append((f"steps[{number}].threshold", "the steps must rise"))
        reached = max(reached, step.threshold)
    has_amount = params.amount is not None or any(step.amount is not None for step in params.steps or ())
    return problems + check_allocate(params.allocate, level, has_amount=has_amount)


def holds_amounts(params: Params) -> bool:
    """Thresholds are money."""
    return True


def measures_running(params: Params) -> bool:
    """By the running spend."""
    return True


class Packed(NamedTuple):
    """Parameters by row; a single threshold is one step. `max_times` is 1 where nothing repeats."""

    steps: Steps
    max_times: Int64s
    allocate: Int64s


def pack(params: Sequence[Params]) -> Packed:
    """Lay out the parameters."""
    rows = []
    for one in params:
        steps = one.steps if one.steps is not None else (Step(one.threshold or 1, one.percent, one.amount),)
        rows.append([(step.threshold, parse_percent_ppm(step.percent or "0"), step.amount or 0) for step in steps])
    times = [(one.max_times or _TIMES_MAX) if one.repeat else 1 for one in params]
    return Packed(pack_steps(rows), np.array(times, np.int64), pack_allocate([one.allocate for one in params]))


def reward(packed: Packed, turn: Turn) -> Reward:
    """Amount × times, or the percentage, of the step that the running spend of the scope reaches."""
    spend = spend_of_scope(turn)
    first = packed.steps.first[turn.row]
    threshold, max_times = packed.steps.threshold[first], packed.max_times[turn.row]
    times = np.minimum(spend // threshold, max_times)
    found, offer = take_step(
        packed.steps,
        turn.row,
        spend,
        turn.policy,
        times=times,
        unit=Unit.MINOR,
        below=Reason.MIN_SPEND_NOT_MET,
    )
    # What repeats offers its next multiple instead of a next step.
    offers_again = (times >= 1) & (times < max_times)
    if offers_again.any():
        offer = offer._replace(
            next_step=np.where(offers_again, first, offer.next_step),
            next_needed=np.where(offers_again, (times + 1) * threshold - spend, offer.next_needed),
            next_times=np.where(offers_again, times + 1, 1),
        )
    weight = weights(packed.allocate[turn.row], turn, by_amount=None, by_quantity=turn.quantity_milli)
    return found._replace(offer=offer, weight=weight)


def next_benefit(packed: Packed, step: int, needed: int, times: int) -> Mapping[str, Any]:
    """What the next threshold gives, and how much spend is missing."""
    return {"spend_needed": needed, **offered(packed.steps, step, times)}
