"""A fixed unit price for the lines of the scope; above the current price it does nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from app.pricing.money import Int64s, parse_unit_price_e4
from app.pricing.params import ParamProblem, UnitPrice
from app.pricing.rewards import ALL_UNITS, Level, Reward, Turn, down_to
from app.pricing.unit_limits import UnitLimits, Units, check_units, limited_units, pack_units, ties_lines

KIND: Final = "fixed_price"
LEVELS: Final[tuple[Level, ...]] = ("line",)


@dataclass(frozen=True, slots=True)
class Params:
    """`unit_price` in minor units; `units`: how many units come down to it."""

    unit_price: UnitPrice
    units: Units | None = None


def check(params: Params, level: Level) -> list[ParamProblem]:
    """The limits of units say something."""
    return check_units(params.units, level)


def holds_amounts(params: Params) -> bool:
    """The unit price is money."""
    return True


def is_local(params: Params) -> bool:
    """Each line has its own price; units of the order tie lines together."""
    return not ties_lines(params.units)


def is_by_line(params: Params) -> bool:
    """Each line has its own price; units of the order tie lines together."""
    return not ties_lines(params.units)


class Packed(NamedTuple):
    """Parameters by row."""

    unit_e4: Int64s
    units: UnitLimits


def pack(params: Sequence[Params]) -> Packed:
    """Lay out the parameters."""
    return Packed(
        np.array([parse_unit_price_e4(one.unit_price) for one in params], np.int64), pack_units([one.units for one in params])
    )


def reward(packed: Packed, turn: Turn) -> Reward:
    """What the line, or its units, cost now less round(unit price × quantity), where that is positive."""
    units = limited_units(packed.units, turn, otherwise=ALL_UNITS)
    quantity = turn.quantity_milli if units is None else np.where(units == ALL_UNITS, turn.quantity_milli, units)
    return Reward(down_to_minor=down_to(packed.unit_e4[turn.row][turn.lines.group], quantity, turn.policy), units_milli=units)
