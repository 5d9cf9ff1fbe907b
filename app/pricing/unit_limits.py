"""`units` of a reward on lines: how many units get it, which, and only in whole steps. Source: SEMANTICS.md, Rewards."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np

from app.pricing.money import MILLI, Bools, Int64s
from app.pricing.params import ParamProblem, Times
from app.pricing.rewards import Level, Turn
from app.pricing.units import first_units

_NO_LIMIT: Final = 10**12  # above the units of any basket


@dataclass(frozen=True, slots=True)
class Units:
    """At most `max` units, of each line or of the order, there the cheapest or the dearest, and only in whole steps."""

    max: Times | None = None
    per: Literal["line", "order"] = "line"
    pick: Literal["cheapest", "dearest"] | None = None
    step: Times = 1


def check_units(units: Units | None, level: Level) -> list[ParamProblem]:
    """They need lines to take units of, and must say something."""
    if units is None:
        return []
    problems: list[ParamProblem] = []
    if level != "line":
        problems.append(("units", "only a reward on lines is of units"))
    if units.max is None and units.step == 1:
        problems.append(("units", "give max or step"))
    if units.max is not None and units.step > units.max:
        problems.append(("units.step", "is above max"))
    if units.per == "line" and units.pick is not None:
        problems.append(("units.pick", "needs per: order, because the units of a line are alike"))
    return problems


def ties_lines(units: Units | None) -> bool:
    """Whether what one line gets depends on the others."""
    return units is not None and units.per == "order"


class UnitLimits(NamedTuple):
    """The limits by row; `step` is 0 where there are none."""

    most: Int64s
    step: Int64s
    is_per_order: Bools
    is_dearest: Bools


def pack_units(limits: Sequence[Units | None]) -> UnitLimits:
    """Lay out the limits of rows 0, 1, ..."""
    return UnitLimits(
        np.array([_NO_LIMIT if one is None or one.max is None else one.max for one in limits], np.int64),
        np.array([0 if one is None else one.step for one in limits], np.int64),
        np.array([ties_lines(one) for one in limits], np.bool_),
        np.array([one is not None and one.pick == "dearest" for one in limits], np.bool_),
    )


def limited_units(limits: UnitLimits, turn: Turn, *, otherwise: int) -> Int64s | None:
    """How much of each line gets the reward (n_pairs,), `otherwise` where nothing limits it; None where nothing limits any."""
    step = limits.step[turn.row]
    if not step.any():
        return None
    group, most = turn.lines.group, limits.most[turn.row]
    whole_step, units = np.maximum(step, 1), turn.units
    taken = np.minimum(units, most[group]) // whole_step[group] * whole_step[group]
    is_per_order = limits.is_per_order[turn.row]
    if is_per_order.any():
        limit = np.minimum(turn.lines.sum(units), most) // whole_step * whole_step
        of_order = first_units(
            units,
            limit,
            turn.lines,
            running_minor=turn.running_minor,
            quantity_milli=turn.quantity_milli,
            is_dearest_first=limits.is_dearest[turn.row],
        )
        taken = np.where(is_per_order[group], of_order, taken)
    return np.where((step > 0)[group], taken * MILLI, otherwise)
