"""A percentage off each line of the scope, or once across the lines or off the order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np

from app.pricing.money import AMOUNT_MINOR_MAX, PPM, Bools, Int64s, parse_percent_ppm, round_mul_div
from app.pricing.params import ParamProblem, PercentOff, PositiveAmountMinor
from app.pricing.rewards import (
    ALL_UNITS,
    BASE_INITIAL,
    BASE_LIST,
    BASE_POLICY,
    BASE_RUNNING,
    Allocate,
    Level,
    Reward,
    Turn,
    base_of,
    bases_of,
    caps_of,
    pack_allocate,
    weights,
)
from app.pricing.unit_limits import UnitLimits, Units, check_units, limited_units, pack_units, ties_lines

KIND: Final = "percent_off"
LEVELS: Final[tuple[Level, ...]] = ("line", "order")
_BASES: Final = {None: BASE_POLICY, "running": BASE_RUNNING, "initial": BASE_INITIAL, "list": BASE_LIST}


@dataclass(frozen=True, slots=True)
class Params:
    """`of` is the base of the percentage, by default the policy's; `cap` bounds the discount over the basket; `units`: of how many units.

    `per`: rounded on each `line`, or once over the lines and then allocated as `allocate` says; by default on each line, of an order across.
    """

    percent: PercentOff
    cap: PositiveAmountMinor | None = None
    of: Literal["running", "initial", "list"] | None = None
    units: Units | None = None
    per: Literal["line", "across"] | None = None
    allocate: Allocate = "amount"


def check(params: Params, level: Level) -> list[ParamProblem]:
    """An order has one percentage, across its lines; only what is taken of lines has units, and only what is taken across is allocated."""
    problems = check_units(params.units, level)
    if level == "order" and params.per == "line":
        problems.append(("per", "an order promotion takes its percentage across the lines"))
    if params.units is not None and params.per == "across":
        problems.append(("units", "a percentage across the lines is of all their units"))
    if params.allocate != "amount" and level == "line" and params.per != "across":
        problems.append(("allocate", "needs per: across"))
    return problems


def holds_amounts(params: Params) -> bool:
    """The cap is money."""
    return params.cap is not None


def is_local(params: Params) -> bool:
    """A cap and a percentage across tie lines together, and so do units of the order."""
    return params.cap is None and params.per != "across" and not ties_lines(params.units)


def is_by_line(params: Params) -> bool:
    """A cap and a percentage across tie lines together, and so do units of the order."""
    return is_local(params)


class Packed(NamedTuple):
    """Parameters by row."""

    off_ppm: Int64s
    base: Int64s
    cap_minor: Int64s
    units: UnitLimits
    is_across: Bools
    allocate: Int64s


def pack(params: Sequence[Params]) -> Packed:
    """Lay out the parameters."""
    return Packed(
        np.array([parse_percent_ppm(one.percent) for one in params], np.int64),
        np.array([_BASES[one.of] for one in params], np.int64),
        np.array([AMOUNT_MINOR_MAX if one.cap is None else one.cap for one in params], np.int64),
        pack_units([one.units for one in params]),
        np.array([one.per == "across" for one in params], np.bool_),
        pack_allocate([one.allocate for one in params]),
    )


def reward(packed: Packed, turn: Turn) -> Reward:
    """round(base × percent), on each line, or once across the lines or over the order."""
    off_ppm, base = packed.off_ppm[turn.row], base_of(packed.base[turn.row], turn.policy)
    is_across = packed.is_across[turn.row]
    across = None
    if is_across.any():
        of = turn.lines.sum(bases_of(base, turn.lines, turn.line, turn.of_lines, turn.is_eligible))
        across = round_mul_div(of, np.where(is_across, off_ppm, 0), PPM, turn.policy.rounding)
        off_ppm = np.where(is_across, 0, off_ppm)
    return Reward(
        off_ppm=off_ppm,
        base=base,
        across_minor=across,
        cap_minor=caps_of(packed.cap_minor, turn.row),
        units_milli=limited_units(packed.units, turn, otherwise=ALL_UNITS),
        weight=weights(packed.allocate[turn.row], turn, by_amount=None, by_quantity=turn.quantity_milli),
    )
