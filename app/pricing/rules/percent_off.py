"""A percentage off the lines of the scope, or off the order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np

from app.pricing.money import AMOUNT_MINOR_MAX, Int64s, parse_percent_ppm
from app.pricing.params import ParamProblem, PercentOff, PositiveAmountMinor
from app.pricing.rewards import (
    ALL_UNITS,
    BASE_INITIAL,
    BASE_LIST,
    BASE_POLICY,
    BASE_RUNNING,
    Level,
    Reward,
    Turn,
    base_of,
    caps_of,
)
from app.pricing.unit_limits import UnitLimits, Units, check_units, limited_units, pack_units, ties_lines

KIND: Final = "percent_off"
LEVELS: Final[tuple[Level, ...]] = ("line", "order")
_BASES: Final = {None: BASE_POLICY, "running": BASE_RUNNING, "initial": BASE_INITIAL, "list": BASE_LIST}


@dataclass(frozen=True, slots=True)
class Params:
    """`of` is the base of the percentage, by default the policy's; `cap` bounds the discount over the basket; `units`: of how many units."""

    percent: PercentOff
    cap: PositiveAmountMinor | None = None
    of: Literal["running", "initial", "list"] | None = None
    units: Units | None = None


def check(params: Params, level: Level) -> list[ParamProblem]:
    """Only lines have units."""
    return check_units(params.units, level)


def holds_amounts(params: Params) -> bool:
    """The cap is money."""
    return params.cap is not None


def is_local(params: Params) -> bool:
    """A cap ties lines together, and so do units of the order."""
    return params.cap is None and not ties_lines(params.units)


def is_by_line(params: Params) -> bool:
    """A cap ties lines together, and so do units of the order."""
    return params.cap is None and not ties_lines(params.units)


class Packed(NamedTuple):
    """Parameters by row."""

    off_ppm: Int64s
    base: Int64s
    cap_minor: Int64s
    units: UnitLimits


def pack(params: Sequence[Params]) -> Packed:
    """Lay out the parameters."""
    return Packed(
        np.array([parse_percent_ppm(one.percent) for one in params], np.int64),
        np.array([_BASES[one.of] for one in params], np.int64),
        np.array([AMOUNT_MINOR_MAX if one.cap is None else one.cap for one in params], np.int64),
        pack_units([one.units for one in params]),
    )


def reward(packed: Packed, turn: Turn) -> Reward:
    """round(base × percent), on each line or once over the order."""
    return Reward(
        off_ppm=packed.off_ppm[turn.row],
        base=base_of(packed.base[turn.row], turn.policy),
        cap_minor=caps_of(packed.cap_minor, turn.row),
        units_milli=limited_units(packed.units, turn, otherwise=ALL_UNITS),
    )
