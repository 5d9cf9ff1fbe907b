"""Buy X, get Y: so many units free, at a percentage off or at a unit price, for every so many that are bought."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from app.pricing.money import (
    MILLI,
    Bools,
    Int64s,
    format_decimal,
    format_e4,
    format_milli,
    parse_percent_ppm,
    parse_unit_price_e4,
)
from app.pricing.params import ParamProblem, PercentOff, ScopeBody, SetUnits, Times, UnitPrice
from app.pricing.reasons import Reason, Unit
from app.pricing.rewards import FindScope, Level, Offer, Reward, Turn, down_to
from app.pricing.scope import Reach, Scope, union
from app.pricing.units import first_units

KIND: Final = "buy_x_get_y"
LEVELS: Final[tuple[Level, ...]] = ("line",)
_TIMES_MAX: Final = 10**9
_NO_PRICE: Final = -1
_IN_SCOPE: Final = 1
_IN_GET_SCOPE: Final = 2


@dataclass(frozen=True, slots=True)
class Params:
    """For `buy` units of the scope, `get` units of the `get_scope` (default: of the scope) at `percent` off or at `unit_price`.

    `pick`: which units are given; `incomplete: partial`: what is left beyond a full `buy` is given too.
    """

    buy: SetUnits
    get: SetUnits
    percent: PercentOff | None = None
    unit_price: UnitPrice | None = None
    pick: Literal["cheapest", "dearest"] = "cheapest"
    get_scope: ScopeBody | None = None
    max_times: Times | None = None
    incomplete: Literal["none", "partial"] = "none"


def check(params: Params, level: Level) -> list[ParamProblem]:
    """Either a percentage or a unit price; one unit has no part."""
    problems: list[ParamProblem] = []
    if (params.percent is None) == (params.unit_price is None):
        problems.append(("percent", "give either a percent or a unit_price"))
    if params.incomplete == "partial" and params.get == 1:
        problems.append(("incomplete", "one unit cannot be given in part: needs get above 1"))
    return problems


def holds_amounts(params: Params) -> bool:
    """The unit price is money."""
    return params.unit_price is not None


def uses_units(params: Params) -> bool:
    """What was bought or given for one set counts for no other."""
    return True


def reach(params: Params, scope: Scope, find: FindScope) -> Reach:
    """What is bought and what is given."""
    if params.get_scope is None:
        return Reach(scope)
    given = find(params.get_scope)
    return Reach(union(scope, given), (scope, given))


class Packed(NamedTuple):
    """Parameters by row."""

    buy: Int64s
    get: Int64s
    off_ppm: Int64s
    unit_e4: Int64s  # or _NO_PRICE
    is_dearest: Bools
    has_get_scope: Bools
    max_times: Int64s
    is_partial: Bools


def pack(params: Sequence[Params]) -> Packed:
    """Lay out the parameters."""
    return Packed(
        np.array([one.buy for one in params], np.int64),
        np.array([one.get for one in params], np.int64),
        np.array([parse_percent_ppm(one.percent or "0") for one in params], np.int64),
        np.array([_NO_PRICE if one.unit_price is None else parse_unit_price_e4(one.unit_price) for one in params], np.int64),
        np.array([one.pick == "dearest" for one in params], np.bool_),
        np.array([one.get_scope is not None for one in params], np.bool_),
        np.array([one.max_times or _TIMES_MAX for one in params], np.int64),
        np.array([one.incomplete == "partial" for one in params], np.bool_),
    )


class _Basket(NamedTuple):
    """The available units in each application's scopes (n_apps,)."""

    to_buy: Int64s
    to_get: Int64s
    in_all: Int64s

    def missing(self, bought: Int64s, given: Int64s) -> Int64s:
        """How many units are missing to so many bought and given, no unit being both (n_apps,); at most 0 where none is.

        By Hall's theorem the lack is the greatest of what either side lacks and of what both lack together.
        """
        either = np.maximum(bought - self.to_buy, given - self.to_get)
        return np.asarray(np.maximum(either, bought + given - self.in_all), np.int64)


def reward(packed: Packed, turn: Turn) -> Reward:
    """The units of as many sets as there are: some given, some bought."""
    units, is_buy, is_get = _scoped(packed, turn)
    lines, row = turn.lines, turn.row
    of_buy, of_get = units * is_buy, units * is_get
    basket = _Basket(lines.sum(of_buy), lines.sum(of_get), lines.sum(units))
    buy, get, most = packed.buy[row], packed.get[row], packed.max_times[row]
    possible = np.minimum(np.minimum(basket.to_buy // buy, basket.to_get // get), basket.in_all // (buy + get))
    times = np.minimum(possible, most)
    given, bought = times * get, times * buy
    if packed.is_partial.any():
        more = np.minimum(basket.to_get - given, basket.in_all - given - bought - buy)
        is_more = packed.is_partial[row] & (times < most) & (basket.to_buy >= bought + buy) & (more > 0)
        given, bought = given + np.where(is_more, more, 0), bought + np.where(is_more, buy, 0)
    taken, served = _taken(packed, turn, units, is_buy, is_get, basket.to_buy - bought, given, bought)
    price = packed.unit_e4[row]
    down = None
    if (price >= 0).any():
        its_price = price[lines.group]
        down = np.where(its_price >= 0, down_to(np.maximum(its_price, 0), taken * MILLI, turn.policy), turn.running_minor)
    return Reward(
        off_ppm=packed.off_ppm[row],
        down_to_minor=down,
        units_milli=taken * MILLI,
        served_milli=served * MILLI,
        offer=_offer(packed, turn, basket, times, given),
    )


def _scoped(packed: Packed, turn: Turn) -> tuple[Int64s, Bools, Bools]:
    """The available units of each line, and whether it may be bought, and given (n_pairs,)."""
    units = turn.available_units
    if not packed.has_get_scope.any():
        is_any = np.ones(units.size, np.bool_)
        return units, is_any, is_any
    is_apart, mask = packed.has_get_scope[turn.row][turn.lines.group], turn.part_mask
    return units, ~is_apart | (mask & _IN_SCOPE > 0), ~is_apart | (mask & _IN_GET_SCOPE > 0)


def _taken(
    packed: Packed,
    turn: Turn,
    units: Int64s,
    is_buy: Bools,
    is_get: Bools,
    spare: Int64s,
    given: Int64s,
    bought: Int64s,
) -> tuple[Int64s, Int64s]:
    """The units of each line that are given, and those that serve a set (n_pairs,).

    Args: spare (n_apps,): how many units of the scope need not be bought; given, bought (n_apps,): how many units are.
    """
    lines, is_dearest = turn.lines, packed.is_dearest[turn.row]

    def first(of: Int64s, limit: Int64s, dearest: Bools) -> Int64s:
        return first_units(
            of,
            limit,
            lines,
            running_minor=turn.running_minor,
            quantity_milli=turn.quantity_milli,
            is_dearest_first=dearest,
        )

    both = is_buy & is_get
    open_units = units * (is_get & ~is_buy)
    # Of the units that could be bought as well, only so many may be given, and these are the first.
    open_units += first(units * both, spare, is_dearest)
    taken = first(open_units, given, is_dearest)
    return taken, taken + first((units - taken) * is_buy, bought, ~is_dearest)


def _offer(packed: Packed, turn: Turn, basket: _Basket, times: Int64s, given: Int64s) -> Offer:
    """Why nothing is given, and what one more set needs."""
    row = turn.row
    buy, get = packed.buy[row], packed.get[row]
    is_empty = given == 0
    missing = basket.missing((times + 1) * buy, (times + 1) * get)
    # A smaller set gives something from its first unit on.
    least = np.where(packed.is_partial[row], basket.missing(buy, np.ones(row.size, np.int64)), missing)
    is_open = times < packed.max_times[row]
    return Offer(
        np.where(is_empty, Reason.MIN_QUANTITY_NOT_MET, Reason.APPLIED),
        np.where(is_empty, least, 0),
        np.full(row.size, Unit.COUNT),
        np.where(is_open, row, -1),
        np.where(is_open, missing, 0),
        np.ones(row.size, np.int64),
    )


def next_benefit(packed: Packed, step: int, needed: int, times: int) -> Mapping[str, Any]:
    """What one more set needs, and what it gives."""
    gives = {"quantity_needed": format_milli(needed * MILLI), "units": int(packed.get[step])}
    if packed.unit_e4[step] >= 0:
        return {**gives, "unit_price": format_e4(int(packed.unit_e4[step]))}
    return {**gives, "percent": format_decimal(int(packed.off_ppm[step]), 4)}
