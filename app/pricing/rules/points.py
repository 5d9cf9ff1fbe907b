"""A multiplier of the points that the lines of the scope earn."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, NamedTuple

import numpy as np

from app.pricing.money import Int64s, parse_decimal
from app.pricing.params import DecimalText
from app.pricing.reasons import Reason, Unit
from app.pricing.rewards import Level, Offer, Reward, Turn

KIND: Final = "points"
LEVELS: Final[tuple[Level, ...]] = ("order",)


@dataclass(frozen=True, slots=True)
class Params:
    """`multiplier` of the points earned; 0 lets the lines of the scope earn none."""

    multiplier: Annotated[str, DecimalText(4, "0", "1000")]


def holds_amounts(params: Params) -> bool:
    """Points are no money."""
    return False


class Packed(NamedTuple):
    """Parameters by row."""

    multiplier_e4: Int64s


def pack(params: Sequence[Params]) -> Packed:
    """Lay out the parameters."""
    return Packed(np.array([parse_decimal(one.multiplier, 4) for one in params], np.int64))


def reward(packed: Packed, turn: Turn) -> Reward:
    """It applies wherever points are earned; how many is known when everything else is."""
    nothing = np.zeros(turn.row.size, np.int64)
    has_points = turn.of_orders.has_points
    is_given = np.zeros(turn.row.size, np.bool_) if has_points is None else has_points[turn.basket]
    reason = np.where(is_given, Reason.APPLIED, Reason.POINTS_NOT_OFFERED)
    return Reward(is_given=is_given, offer=Offer(reason, nothing, nothing + Unit.NONE, nothing - 1, nothing, nothing + 1))
