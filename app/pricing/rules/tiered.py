"""A discount that grows with the quantity or spend in the scope, or with the customer's orders or spend."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, NamedTuple

import numpy as np

from app.pricing.money import AMOUNT_MINOR_MAX, Int64s, format_milli, parse_decimal, parse_percent_ppm
from app.pricing.params import Bounds, DecimalText, ParamProblem, PercentOff, PositiveAmountMinor
from app.pricing.reasons import Reason, Unit
from app.pricing.rewards import (
    ABSENT,
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

KIND: Final = "tiered"
LEVELS: Final[tuple[Level, ...]] = ("line", "order")
_QUANTITY: Final = 0
_SPEND: Final = 1
_CUSTOMER_ORDERS: Final = 2
_CUSTOMER_SPEND: Final = 3
_BY: Final = {"quantity": _QUANTITY, "spend": _SPEND, "customer.orders": _CUSTOMER_ORDERS, "customer.spend": _CUSTOMER_SPEND}
_NEEDED: Final = ("quantity_needed", "spend_needed", "orders_needed", "customer_spend_needed")
_UNITS: Final = np.array([Unit.MILLI, Unit.MINOR, Unit.COUNT, Unit.MINOR], np.int64)


@dataclass(frozen=True, slots=True)
class Step:
    """From this measure on (inclusive; a quantity, minor units or a number of orders) a percentage or an amount."""

    from_: Annotated[int, Bounds(0, AMOUNT_MINOR_MAX)] | Annotated[str, DecimalText(3, "0", "1000000")]
    percent: PercentOff | None = None
    amount: PositiveAmountMinor | None = None


@dataclass(frozen=True, slots=True)
class Params:
    """The last step that the measure reaches is the one that counts; `allocate`: what the shares of the lines follow."""

    by: Literal["quantity", "spend", "customer.orders", "customer.spend"]
    steps: tuple[Step, ...]
    allocate: Allocate = "amount"


def check(params: Params, level: Level) -> list[ParamProblem]:
    """Steps rise; each gives either a percentage or an amount; only quantities have decimals."""
    problems: list[ParamProblem] = []
    if not 1 <= len(params.steps) <= 100:
        problems.append(("steps", "between 1 and 100 steps"))
    reached = -1
    for number, step in enumerate(params.steps):
        if (step.percent is None) == (step.amount is None):
            problems.append((f"steps[{number}]", "give either a percent or an amount"))
        if params.by != "quantity" and isinstance(step.from_, str):
            problems.append((f"steps[{number}].from", "must be an integer"))
        elif (threshold := _threshold(step, params.by)) <= reached:
            problems.append((f"steps[{number}].from", "the steps must rise"))
        else:
            reached = threshold
    return problems + check_allocate(params.allocate, level, has_amount=any(step.amount is not None for step in params.steps))


def _threshold(step: Step, by: str) -> int:
    return parse_decimal(str(step.from_), 3 if by == "quantity" else 0)


def holds_amounts(params: Params) -> bool:
    """Amounts and spend are money."""
    return params.by in ("spend", "customer.spend") or any(step.amount is not None for step in params.steps)


def is_by_line(params: Params) -> bool:
    """A percentage by a quantity or by the customer's figures is known before; an amount is taken across the lines."""
    return params.by != "spend" and all(step.amount is None for step in params.steps)


def measures_running(params: Params) -> bool:
    """By the running spend, if that is the measure."""
    return params.by == "spend"


def personal_inputs(params: Params) -> tuple[str, ...]:
    """The customer's figure, when that is the measure."""
    return (params.by,) if params.by.startswith("customer.") else ()


class Packed(NamedTuple):
    """Parameters by row."""

    by: Int64s
    steps: Steps
    allocate: Int64s


def pack(params: Sequence[Params]) -> Packed:
    """Lay out the parameters."""
    return Packed(
        np.array([_BY[one.by] for one in params], np.int64),
        pack_steps(
            [
                [(_threshold(step, one.by), parse_percent_ppm(step.percent or "0"), step.amount or 0) for step in one.steps]
                for one in params
            ]
        ),
        pack_allocate([one.allocate for one in params]),
    )


def reward(packed: Packed, turn: Turn) -> Reward:
    """The percentage or amount of the step that the measure reaches."""
    by = packed.by[turn.row]
    measure = _measure(by, turn)
    found, offer = take_step(
        packed.steps,
        turn.row,
        np.maximum(measure, 0),
        turn.policy,
        times=None,
        unit=_UNITS[by],
        below=Reason.TIER_NOT_REACHED,
    )
    found = found._replace(weight=weights(packed.allocate[turn.row], turn, by_amount=None, by_quantity=turn.quantity_milli))
    is_missing = measure == ABSENT
    if not is_missing.any():
        return found._replace(offer=offer)
    return found._replace(
        off_ppm=None if found.off_ppm is None else np.where(is_missing, 0, found.off_ppm),
        across_minor=None if found.across_minor is None else np.where(is_missing, 0, found.across_minor),
        offer=offer._replace(
            reason=np.where(is_missing, Reason.ATTRIBUTE_MISSING, offer.reason),
            next_step=np.where(is_missing, -1, offer.next_step),
        ),
    )


def _measure(by: Int64s, turn: Turn) -> Int64s:
    """What each application's steps measure (n_apps,); a figure that the request does not carry is ABSENT."""
    measure = turn.lines.sum(turn.quantity_milli)
    if not by.any():
        return measure
    for kind, figure in ((_SPEND, spend_of_scope(turn)), (_CUSTOMER_ORDERS, turn.orders), (_CUSTOMER_SPEND, turn.spend_minor)):
        measure = np.where(by == kind, figure, measure)
    return measure


def next_benefit(packed: Packed, step: int, needed: int, times: int) -> Mapping[str, Any]:
    """What the next step gives, and how much of the measure is missing."""
    by = int(packed.by[np.searchsorted(packed.steps.first, step, side="right") - 1])
    return {_NEEDED[by]: format_milli(needed) if by == _QUANTITY else needed, **offered(packed.steps, step, times)}
