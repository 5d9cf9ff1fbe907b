"""Free or cheaper shipping: a percentage or an amount off the shipping amount of the request."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from app.pricing.money import Int64s, parse_percent_ppm
from app.pricing.params import ParamProblem, PercentOff, PositiveAmountMinor
from app.pricing.rewards import Level, Reward, Turn

KIND: Final = "shipping"
LEVELS: Final[tuple[Level, ...]] = ("shipping",)


@dataclass(frozen=True, slots=True)
class Params:
    """Either `percent` (100 is free shipping) or an `amount` in minor units."""

    percent: PercentOff | None = None
    amount: PositiveAmountMinor | None = None


def check(params: Params, level: Level) -> list[ParamProblem]:
    """One of the two."""
    return [("amount", "give either a percent or an amount")] if (params.percent is None) == (params.amount is None) else []


def holds_amounts(params: Params) -> bool:
    """An amount is money."""
    return params.amount is not None


class Packed(NamedTuple):
    """Parameters by row."""

    off_ppm: Int64s
    amount_minor: Int64s


def pack(params: Sequence[Params]) -> Packed:
    """Lay out the parameters."""
    return Packed(
        np.array([parse_percent_ppm(one.percent or "0") for one in params], np.int64),
        np.array([one.amount or 0 for one in params], np.int64),
    )


def reward(packed: Packed, turn: Turn) -> Reward:
    """The percentage of what is left of the shipping amount, or the amount."""
    return Reward(off_ppm=packed.off_ppm[turn.row], across_minor=packed.amount_minor[turn.row])
