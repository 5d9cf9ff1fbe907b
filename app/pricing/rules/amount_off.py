"""An amount off each unit, off each line, or once across the lines of the scope."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np

from app.pricing.money import AMOUNT_MINOR_MAX, MILLI, Int64s, round_mul_div
from app.pricing.params import ParamProblem, PositiveAmountMinor
from app.pricing.rewards import ALL_UNITS, Allocate, Level, Reward, Turn, caps_of, pack_allocate, weights
from app.pricing.unit_limits import UnitLimits, Units, check_units, limited_units, pack_units, ties_lines

KIND: Final = "amount_off"
LEVELS: Final[tuple[Level, ...]] = ("line", "order")
_UNIT: Final = 0
_LINE: Final = 1
_ACROSS: Final = 2
_PER: Final = {"unit": _UNIT, "line": _LINE, "across": _ACROSS}


@dataclass(frozen=True, slots=True)
class Params:
    """`amount` in minor units, `per` what it is taken of; `cap` bounds the discount over the basket.

    `units`: of how many units it is taken; `allocate`: what the shares of the lines follow.
    """

    amount: PositiveAmountMinor
    per: Literal["unit", "line", "across"] = "across"
    cap: PositiveAmountMinor | None = None
    units: Units | None = None
    allocate: Allocate = "amount"


def check(params: Params, level: Level) -> list[ParamProblem]:
    """An order has one amount, taken across its lines; only what is taken of units has units, and only an amount across is allocated."""
    problems = check_units(params.units, level)
    if level == "order" and params.per != "across":
        problems.append(("per", "an order promotion takes its amount across the lines"))
    if params.units is not None and params.per != "unit":
        problems.append(("units", "needs per: unit"))
    if params.allocate != "amount" and params.per != "across":
        problems.append(("allocate", "needs per: across"))
    return problems


def holds_amounts(params: Params) -> bool:
    """The amount is money."""
    return True


def is_local(params: Params) -> bool:
    """A cap or an amount across ties lines together, and so do units of the order."""
    return params.cap is None and params.per != "across" and not ties_lines(params.units)


def is_by_line(params: Params) -> bool:
    """A cap or an amount across ties lines together, and so do units of the order."""
    return params.cap is None and params.per != "across" and not ties_lines(params.units)


class Packed(NamedTuple):
    """Parameters by row."""

    amount_minor: Int64s
    per: Int64s
    cap_minor: Int64s
    units: UnitLimits
    allocate: Int64s


def pack(params: Sequence[Params]) -> Packed:
    """Lay out the parameters."""
    return Packed(
        np.array([one.amount for one in params], np.int64),
        np.array([_PER[one.per] for one in params], np.int64),
        np.array([AMOUNT_MINOR_MAX if one.cap is None else one.cap for one in params], np.int64),
        pack_units([one.units for one in params]),
        pack_allocate([one.allocate for one in params]),
    )


def reward(packed: Packed, turn: Turn) -> Reward:
    """round(amount × quantity) or the amount on each line, or the amount across the lines."""
    amount, per = packed.amount_minor[turn.row], packed.per[turn.row]
    is_across = per == _ACROSS
    across = np.where(is_across, amount, 0) if is_across.any() else None
    line = weight = None
    if not is_across.all():
        amount, per = np.where(is_across, 0, amount)[turn.lines.group], per[turn.lines.group]
        is_unit = per == _UNIT
        units = limited_units(packed.units, turn, otherwise=ALL_UNITS)
        quantity = turn.quantity_milli if units is None else np.where(units == ALL_UNITS, turn.quantity_milli, units)
        by_unit = round_mul_div(np.where(is_unit, amount, 0), quantity, MILLI, turn.policy.rounding)
        line = np.where(is_unit, by_unit, amount)
    if across is not None:
        weight = weights(packed.allocate[turn.row], turn, by_amount=None, by_quantity=turn.quantity_milli)
    return Reward(line_minor=line, across_minor=across, cap_minor=caps_of(packed.cap_minor, turn.row), weight=weight)
