"""A bundle: so many units of each component at a price for all of them, at a percentage or an amount off."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Final, NamedTuple

import numpy as np

from app.pricing.groups import Groups, groups_of_sizes
from app.pricing.money import (
    MILLI,
    PPM,
    Bools,
    Int64s,
    format_decimal,
    format_milli,
    mul_div,
    parse_percent_ppm,
    round_mul_div,
)
from app.pricing.packing import Offered, Packing
from app.pricing.params import AmountMinor, ParamProblem, PercentOff, PositiveAmountMinor, ScopeBody, SetUnits, Times
from app.pricing.parts import PARTS_MAX
from app.pricing.reasons import Reason, Unit
from app.pricing.rewards import Allocate, FindScope, Level, Offer, Reward, Turn, pack_allocate, weights
from app.pricing.scope import Reach, Scope, intersection, union
from app.pricing.units import by_unit_price, first_of

KIND: Final = "bundle"
LEVELS: Final[tuple[Level, ...]] = ("line",)
_TIMES_MAX: Final = 10**9
_NO_PRICE: Final = -1


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the bundle: so many units of the products of its scope."""

    scope: ScopeBody
    quantity: SetUnits = 1


@dataclass(frozen=True, slots=True)
class Params:
    """The units of all components cost `price` together, or `percent` or `amount` less; `max_times`: how many bundles there may be.

    `allocate`: what the shares of the lines follow.
    """

    components: tuple[Component, ...]
    price: AmountMinor | None = None
    percent: PercentOff | None = None
    amount: PositiveAmountMinor | None = None
    max_times: Times | None = None
    allocate: Allocate = "amount"


def check(params: Params, level: Level) -> list[ParamProblem]:
    """One reward, and a bundle of something."""
    problems: list[ParamProblem] = []
    if not 1 <= len(params.components) <= PARTS_MAX:
        problems.append(("components", f"between 1 and {PARTS_MAX} components"))
    if [params.price, params.percent, params.amount].count(None) != 2:
        problems.append(("price", "give one of price, percent and amount"))
    return problems


def holds_amounts(params: Params) -> bool:
    """A price and an amount are money."""
    return params.percent is None


def uses_units(params: Params) -> bool:
    """What is in one bundle is in no other set."""
    return True


def reach(params: Params, scope: Scope, find: FindScope) -> Reach:
    """What of its scope is in a component."""
    parts = tuple(find(component.scope) for component in params.components)
    return Reach(intersection(scope, reduce(union, parts)), parts)


class Components(NamedTuple):
    """The units that bundles need of their components; `first` (n_rows + 1,) delimits those of a row."""

    first: Int64s
    units: Int64s


class Packed(NamedTuple):
    """Parameters by row."""

    components: Components
    price_minor: Int64s  # or _NO_PRICE
    off_ppm: Int64s
    amount_minor: Int64s
    max_times: Int64s
    allocate: Int64s


def pack(params: Sequence[Params]) -> Packed:
    """Lay out the parameters."""
    first = np.zeros(len(params) + 1, np.int64)
    np.cumsum([len(one.components) for one in params], out=first[1:])
    units = np.array([component.quantity for one in params for component in one.components], np.int64)
    return Packed(
        Components(first, units),
        np.array([_NO_PRICE if one.price is None else one.price for one in params], np.int64),
        np.array([parse_percent_ppm(one.percent or "0") for one in params], np.int64),
        np.array([one.amount or 0 for one in params], np.int64),
        np.array([one.max_times or _TIMES_MAX for one in params], np.int64),
        pack_allocate([one.allocate for one in params]),
    )


class _Packs(NamedTuple):
    """The bundles of each application (n_apps,)."""

    times: Int64s  # how many are made
    possible: Int64s  # how many there are units for
    missing: Int64s  # units to one more than possible
    units: Int64s  # (n_pairs,) of each line in those that are made


class _Layout(NamedTuple):
    """The components of each application side by side, and the lines in them, as if no line were in two."""

    places: Groups  # group = the application of each component
    needed: Int64s  # (n_places,) units of one bundle
    place: Int64s  # (n_pairs,) of each line
    order: Int64s  # (n_pairs,) by place, the dearest first
    in_order: Groups
    available: Int64s  # (n_pairs,)

    def dearest(self, times: Int64s) -> Int64s:
        """How many units of each line (n_pairs,) are in so many bundles (n_apps,)."""
        limit = (times[self.places.group] * self.needed)[self.place]
        units = np.empty_like(self.available)
        units[self.order] = first_of(self.available[self.order], limit[self.order], self.in_order)
        return units


def reward(packed: Packed, turn: Turn) -> Reward:
    """What the units in the bundles cost above their price, or a part of it, across their lines."""
    available, mask = turn.available_units, turn.part_mask
    layout = _layout(packed, turn, available, mask)
    packs = _apart(packed, turn, layout)
    is_exact = turn.lines.any((available > 0) & (mask & (mask - 1) > 0)) | ~_is_worth(packed, turn, layout, packs)
    if is_exact.any():
        _pack_exactly(packed, turn, is_exact, (turn.running_minor, turn.quantity_milli, available, mask), packs)
    served = packs.units * MILLI
    amount = round_mul_div(turn.running_minor, served, turn.quantity_milli, turn.policy.rounding)
    return Reward(
        across_minor=_saving(packed, turn, packs.times, turn.lines.sum(amount)),
        weight=weights(packed.allocate[turn.row], turn, by_amount=amount, by_quantity=served),
        served_milli=served,
        offer=_offer(packed, turn, packs),
    )


def _layout(packed: Packed, turn: Turn, available: Int64s, mask: Int64s) -> _Layout:
    first = packed.components.first
    places = groups_of_sizes(first[turn.row + 1] - first[turn.row])
    component = np.arange(places.group.size) + (first[turn.row] - places.starts)[places.group]
    # The number of the one component that a line is in; lines in several are packed exactly, wherever they stand here.
    number = np.bitwise_count(mask - 1).astype(np.int64)
    place = places.starts[turn.lines.group] + number
    is_dearest = np.ones(place.size, np.bool_)
    order, in_order = by_unit_price(turn.running_minor, turn.quantity_milli, place, is_dearest)
    return _Layout(places, packed.components.units[component], place, order, in_order, available)


def _apart(packed: Packed, turn: Turn, layout: _Layout) -> _Packs:
    """The greatest number of bundles, of the dearest units of each component. Source: SEMANTICS.md, Sets."""
    places = layout.places
    there = np.zeros(places.group.size, np.int64)
    np.add.at(there, layout.place, layout.available)
    possible = np.minimum(np.minimum.reduceat(there // layout.needed, places.starts), packed.max_times[turn.row])
    lack = (possible + 1)[places.group] * layout.needed - there
    missing = np.add.reduceat(np.maximum(lack, 0), places.starts)
    return _Packs(possible.copy(), possible, missing, layout.dearest(possible))


def _is_worth(packed: Packed, turn: Turn, layout: _Layout, packs: _Packs) -> Bools:
    """Whether the units of the last bundle surely cost more than its price (n_apps,): each line's amount is counted whole cents down."""
    price = packed.price_minor[turn.row]
    is_sure: Bools = (price < 0) | (packs.times == 0)
    if is_sure.all():
        return is_sure
    of_last = packs.units - layout.dearest(np.maximum(packs.times - 1, 0))
    at_least, _ = mul_div(turn.running_minor, of_last * MILLI, turn.quantity_milli)
    return np.asarray(is_sure | (turn.lines.sum(at_least) > price), np.bool_)


def _pack_exactly(
    packed: Packed, turn: Turn, is_exact: Bools, columns: tuple[Int64s, Int64s, Int64s, Int64s], packs: _Packs
) -> None:
    """Write down the best bundles of applications whose components share units, or whose price may not be worth every bundle.

    Args: columns (n_pairs,): running amount, quantity, available units and mask of each line.
    """
    first, bounds = packed.components.first, [*turn.lines.starts.tolist(), turn.line.size]
    for app in is_exact.nonzero()[0].tolist():
        at = slice(bounds[app], bounds[app + 1])
        lines = zip(*(column[at].tolist() for column in columns), strict=True)
        row = int(turn.row[app])
        packing = Packing(
            [Offered(MILLI * running, quantity, units, bits) for running, quantity, units, bits in lines],
            packed.components.units[first[row] : first[row + 1]].tolist(),
        )
        possible = packing.possible(int(packed.max_times[row]))
        price = int(packed.price_minor[row])
        times = possible if price < 0 else packing.worth(price, possible)
        packs.times[app], packs.possible[app] = times, possible
        packs.missing[app] = packing.missing(possible + 1)
        packs.units[at] = packing.dearest(times)


def _saving(packed: Packed, turn: Turn, times: Int64s, total: Int64s) -> Int64s:
    """What bundles whose units cost a total save (n_apps,)."""
    price, amount = packed.price_minor[turn.row], packed.amount_minor[turn.row]
    by_percent = round_mul_div(total, packed.off_ppm[turn.row], PPM, turn.policy.rounding)
    # So much each time is above the total already, and its product no overflow. Prices are bounded by the units that are worth them.
    enough = total // np.maximum(times, 1) + 1
    by_amount = np.minimum(np.minimum(amount, enough) * times, total)
    return np.where(price >= 0, np.maximum(total - price * times, 0), by_percent + by_amount)


def _offer(packed: Packed, turn: Turn, packs: _Packs) -> Offer:
    """Why there is no bundle, and what one more needs."""
    is_empty = packs.possible == 0
    is_open = (packs.times == packs.possible) & (packs.possible < packed.max_times[turn.row])
    return Offer(
        np.where(is_empty, Reason.MIN_QUANTITY_NOT_MET, Reason.APPLIED),
        np.where(is_empty, packs.missing, 0),
        np.full(turn.row.size, Unit.COUNT),
        np.where(is_open, turn.row, -1),
        np.where(is_open, packs.missing, 0),
        np.ones(turn.row.size, np.int64),
    )


def next_benefit(packed: Packed, step: int, needed: int, times: int) -> Mapping[str, Any]:
    """What one more bundle needs, and what it gives."""
    needs = {"quantity_needed": format_milli(needed * MILLI)}
    if packed.price_minor[step] >= 0:
        return {**needs, "price": int(packed.price_minor[step])}
    if packed.amount_minor[step]:
        return {**needs, "amount": int(packed.amount_minor[step])}
    return {**needs, "percent": format_decimal(int(packed.off_ppm[step]), 4)}
