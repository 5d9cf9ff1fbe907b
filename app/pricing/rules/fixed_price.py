"""A fixed unit price for the lines of the scope; above the current price it does nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np

from app.pricing.money import AMOUNT_E7_MAX, E7, INT64_MAX, Int64s, parse_unit_price_e4, round_div, to_grain
from app.pricing.params import ParamProblem, UnitPrice
from app.pricing.rewards import Level, Reward, Turn

KIND: Final = "fixed_price"
LEVELS: Final[tuple[Level, ...]] = ("line",)


@dataclass(frozen=True, slots=True)
class Params:
    """`unit_price` in minor units."""

    unit_price: UnitPrice


def check(params: Params, level: Level) -> list[ParamProblem]:
    """Each field's bounds say all."""
    return []


def holds_amounts(params: Params) -> bool:
    """The unit price is money."""
    return True


def is_local(params: Params) -> bool:
    """Each line has its own price."""
    return True


def is_by_line(params: Params) -> bool:
    """Each line has its own price."""
    return True


def personal_inputs(params: Params) -> tuple[str, ...]:
    """None."""
    return ()


class Packed(NamedTuple):
    """Parameters by row."""

    unit_e4: Int64s


def pack(params: Sequence[Params]) -> Packed:
    """Lay out the parameters."""
    return Packed(np.array([parse_unit_price_e4(one.unit_price) for one in params], np.int64))


def reward(packed: Packed, turn: Turn) -> Reward:
    """What the line costs now less round(unit price × quantity), where that is positive."""
    unit = to_grain(packed.unit_e4[turn.row], turn.policy.grain_e4, turn.policy.rounding)[turn.lines.group]
    quantity = turn.quantity_milli
    # A price whose amount would pass the bounds lies above any line and does nothing.
    is_bounded = unit <= AMOUNT_E7_MAX // quantity
    fixed = round_div(np.where(is_bounded, unit, 0) * quantity, E7, turn.policy.rounding)
    return Reward(down_to_minor=np.where(is_bounded, fixed, INT64_MAX))


def next_benefit(packed: Packed, step: int, needed: int, times: int) -> Mapping[str, Any]:
    """A fixed price has no next step."""
    raise AssertionError("fixed_price offers no steps")
