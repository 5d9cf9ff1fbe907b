"""Guardrails: the bounds that bind whatever the rules say. Source: SEMANTICS.md, Bounds."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from app.pricing.money import (
    E7,
    INT64_MAX,
    PPM,
    UNIT_E4_MAX,
    Bools,
    Int64s,
    ceil_div,
    mul_div,
    parse_percent_ppm,
    parse_unit_price_e4,
)
from app.pricing.scope import Scope

NO_CEILING_E4: Final = INT64_MAX
# Where several lower bounds are equal the earlier is named.
BOUNDS: Final = ("floor", "min_margin", "max_discount", "map", "ceiling")
FIELDS: Final = (*BOUNDS, "max_change")
_STRIDE: Final = 8
_READERS: Final[Mapping[str, Callable[[Any], int]]] = {
    "floor": parse_unit_price_e4,
    "min_margin": parse_percent_ppm,
    "max_discount": parse_percent_ppm,
    "map": parse_unit_price_e4,
    "ceiling": parse_unit_price_e4,
    "max_change": lambda change: _change_value(parse_percent_ppm(change["percent"]), change["days"]),
}
CHANGE_DAYS_MAX: Final = 3_650
_DAYS_STRIDE: Final = 4_096


class Field(NamedTuple):
    """One field of the guardrails at every key, and what is told of it: guardrail row · 8 + place in FIELDS, −1 where none has it.

    Where none has it the value is 0, and NO_CEILING_E4 for a ceiling. Both are empty where no guardrail of the book has the field.
    """

    value: Int64s  # (n_keys,)
    bound: Int64s


_IN_NONE: Final = Field(np.zeros(0, np.int64), np.zeros(0, np.int64))


class Guardrails(NamedTuple):
    """The fields that hold for every (currency, SKU) that has any: keys, sorted, are currency row · n_skus + SKU row."""

    key: Int64s  # (n_keys,)
    floor_e4: Field
    min_margin_ppm: Field
    max_discount_ppm: Field
    map_e4: Field
    ceiling_e4: Field
    max_change: Field  # as _change_value has it


class GuardrailRow(NamedTuple):
    """One guardrail document, read; rows come in the order of their ids."""

    currency_row: int
    scope: Scope
    values: tuple[int | None, ...]  # in the order of FIELDS


class Bounds(NamedTuple):
    """The bounds of unit prices (n_lines,): the lowest and the ceiling, each with what is told of it (−1 without)."""

    floor_e4: Int64s  # 0 without
    floor_rule: Int64s
    ceiling_e4: Int64s  # NO_CEILING_E4 without
    ceiling_rule: Int64s

    def only(self, line: Int64s) -> "Bounds":
        """The bounds of some lines."""
        return Bounds(*(column[line] for column in self))

    def in_grains(self, grain_e4: int) -> "Bounds":
        """The tightest bounds that are multiples of a grain."""
        ceiling = np.where(self.ceiling_e4 == NO_CEILING_E4, NO_CEILING_E4, self.ceiling_e4 // grain_e4 * grain_e4)
        return self._replace(floor_e4=ceil_div(self.floor_e4, grain_e4) * grain_e4, ceiling_e4=ceiling)


class Limits(NamedTuple):
    """The bounds of what is shown of lines and of what is paid for them; one object where no advertised price tells them apart."""

    shown: Bounds
    paid: Bounds

    def only(self, line: Int64s) -> "Limits":
        """The limits of some lines."""
        return self._each(lambda bounds: bounds.only(line))

    def in_grains(self, grain_e4: int) -> "Limits":
        """The tightest limits that are multiples of a grain: 1, or a whole minor unit."""
        return self if grain_e4 == 1 else self._each(lambda bounds: bounds.in_grains(grain_e4))

    def _each(self, change: Callable[[Bounds], Bounds]) -> "Limits":
        shown = change(self.shown)
        return Limits(shown, shown if self.paid is self.shown else change(self.paid))


def told_of(bound: int) -> tuple[int, str]:
    """The guardrail's row and the name of its field."""
    row, place = divmod(bound, _STRIDE)
    return row, FIELDS[place]


def place_of(bound: Int64s) -> Int64s:
    """The places of the fields in FIELDS, of what is told of bounds (n,)."""
    return bound % _STRIDE


def values_of(body: Mapping[str, Any]) -> tuple[int | None, ...]:
    """What a document says of each field, in the order of FIELDS."""
    said = ((body.get(name), _READERS[name]) for name in FIELDS)
    return tuple(None if one is None else read(one) for one, read in said)


def _change_value(percent_ppm: int, days: int) -> int:
    """A maximum change as one number: the tighter is the lower, by its percentage, then by its days."""
    return percent_ppm * _DAYS_STRIDE + CHANGE_DAYS_MAX - days


class ChangeLimits(NamedTuple):
    """How far prices may move (n,): what is told of it (−1 where they may move as they like), by how much, and in how many days."""

    bound: Int64s
    percent_ppm: Int64s
    days: Int64s


def change_limits_of(guardrails: Guardrails, key: Int64s) -> ChangeLimits:
    """The maximum changes at keys (n,), known or not."""
    value, bound = np.zeros(key.size, np.int64), np.full(key.size, -1, np.int64)
    if guardrails.max_change.bound.size:
        at = np.minimum(np.searchsorted(guardrails.key, key), guardrails.key.size - 1)
        value, bound = _at(guardrails.max_change, at, guardrails.key[at] != key, 0)
    return ChangeLimits(bound, value // _DAYS_STRIDE, CHANGE_DAYS_MAX - value % _DAYS_STRIDE)


def compile_guardrails(rows: Sequence[GuardrailRow], n_skus: int) -> Guardrails:
    """Give every SKU its bounds: per field the most specific scope, among equals the tighter, then the lower id."""
    spans = [_keys_of(row, n_skus) for row in rows]
    key = np.unique(np.concatenate([np.zeros(0, np.int64), *(span[0] for span in spans)]))
    places = [np.searchsorted(key, own) for own, _ in spans]
    fields = []
    for place, name in enumerate(FIELDS):
        if all(row.values[place] is None for row in rows):
            fields.append(_IN_NONE)
            continue
        sign = -1 if name in ("ceiling", "max_discount", "max_change") else 1
        nothing = NO_CEILING_E4 if name == "ceiling" else 0
        value, bound, rank = np.full(key.size, nothing), np.full(key.size, -1), np.full(key.size, -1)
        for number, (row, at, (_, specificity)) in enumerate(zip(rows, places, spans, strict=True)):
            own = row.values[place]
            if own is not None:
                wins = (specificity > rank[at]) | ((specificity == rank[at]) & (sign * own > sign * value[at]))
                chosen = at[wins]
                value[chosen], bound[chosen], rank[chosen] = own, number * _STRIDE + place, specificity[wins]
        fields.append(Field(value, bound))
    return Guardrails(key, *fields)


def contradictions(guardrails: Guardrails) -> list[tuple[int, int, int]]:
    """Up to 100 keys whose floor or advertised price lies above the ceiling, with both bounds. What moves with costs and prices is not among them."""
    ceiling = guardrails.ceiling_e4
    found: list[tuple[int, int, int]] = []
    for lower in (guardrails.floor_e4, guardrails.map_e4):
        if lower.bound.size and ceiling.bound.size:
            at = ((lower.bound >= 0) & (ceiling.bound >= 0) & (lower.value > ceiling.value)).nonzero()[0][: 100 - len(found)]
            found += zip(guardrails.key[at].tolist(), lower.bound[at].tolist(), ceiling.bound[at].tolist(), strict=True)
    return found


def _keys_of(row: GuardrailRow, n_skus: int) -> tuple[Int64s, Int64s]:
    """The keys a guardrail covers and its specificity at each."""
    rows = np.setdiff1d(np.arange(n_skus), row.scope.excluded) if row.scope.is_open else row.scope.rows
    specificity = np.broadcast_to(np.asarray(row.scope.specificity, np.int64), rows.shape)
    return row.currency_row * n_skus + rows, specificity


def limits_of(guardrails: Guardrails, key: Int64s, list_unit_e4: Int64s, cost_of: Callable[[Int64s], Int64s]) -> Limits:
    """The limits of lines by their keys (n_lines,). `cost_of` gives the unit costs at keys, −1 where none is known."""
    if guardrails.key.size == 0:
        none = np.full(key.size, -1)
        bounds = Bounds(np.zeros(key.size, np.int64), none, np.full(key.size, NO_CEILING_E4), none)
        return Limits(bounds, bounds)
    at = np.searchsorted(guardrails.key, key)
    at[at == guardrails.key.size] = 0
    is_found = guardrails.key[at] == key
    is_missing = None if is_found.all() else ~is_found
    bounds = Bounds(*_at(guardrails.floor_e4, at, is_missing, 0), *_at(guardrails.ceiling_e4, at, is_missing, NO_CEILING_E4))
    if guardrails.min_margin_ppm.bound.size:
        value, bound = _at(guardrails.min_margin_ppm, at, is_missing, 0)
        own = (bound >= 0).nonzero()[0]
        cost = cost_of(key[own])
        own, cost = own[cost > 0], cost[cost > 0]
        bounds = _raised(bounds, own, _with_margin(cost, value[own]), bound[own])
    if guardrails.max_discount_ppm.bound.size:
        value, bound = _at(guardrails.max_discount_ppm, at, is_missing, 0)
        own = (bound >= 0).nonzero()[0]
        bounds = _raised(bounds, own, _ceil_mul_div(list_unit_e4[own], PPM - value[own], PPM), bound[own])
    paid = bounds
    if guardrails.map_e4.bound.size:
        value, bound = _at(guardrails.map_e4, at, is_missing, 0)
        own = (bound >= 0).nonzero()[0]
        bounds = _raised(bounds, own, value[own], bound[own])
    return Limits(bounds, paid)


def _at(field: Field, at: Int64s, is_missing: Bools | None, nothing: int) -> tuple[Int64s, Int64s]:
    """What a field says at places (n_lines,) and what is told of it; `nothing` and −1 where no key was found or no guardrail has the field."""
    if field.bound.size == 0:
        return np.full(at.size, nothing), np.full(at.size, -1)
    value, bound = field.value[at], field.bound[at]
    if is_missing is not None:
        value[is_missing], bound[is_missing] = nothing, -1
    return value, bound


def _raised(bounds: Bounds, line: Int64s, unit_e4: Int64s, bound: Int64s) -> Bounds:
    """The bounds with those of some lines raised to unit prices (n,) that lie above their lowest; the same object where none does."""
    is_higher = unit_e4 > bounds.floor_e4[line]
    if not is_higher.any():
        return bounds
    floor_e4, floor_rule = bounds.floor_e4.copy(), bounds.floor_rule.copy()
    floor_e4[line[is_higher]], floor_rule[line[is_higher]] = unit_e4[is_higher], bound[is_higher]
    return bounds._replace(floor_e4=floor_e4, floor_rule=floor_rule)


def _with_margin(cost_e4: Int64s, margin_ppm: Int64s) -> Int64s:
    """The least unit prices (n,) that leave a margin over costs, at most the greatest unit price."""
    left = PPM - margin_ppm
    # What lies far above the greatest unit price would pass int64; it is told apart in float64 first.
    is_near = cost_e4.astype(np.float64) * PPM / left < 2.0 * UNIT_E4_MAX
    return np.where(is_near, np.minimum(_ceil_mul_div(np.where(is_near, cost_e4, 0), PPM, left), UNIT_E4_MAX), UNIT_E4_MAX)


def _ceil_mul_div(a: Int64s, b: Int64s | int, c: Int64s | int) -> Int64s:
    quotient, rest = mul_div(a, b, c)
    return quotient + (rest > 0)


def clamp_unit(unit_e4: Int64s, bounds: Bounds) -> Int64s:
    """Clamp unit prices into their bounds; where these cross, the lower one wins."""
    return np.maximum(np.minimum(unit_e4, bounds.ceiling_e4), bounds.floor_e4)


def lowest_minor(bounds: Bounds, quantity_milli: Int64s) -> Int64s:
    """The lowest permitted amount of each line: its lowest unit price times the quantity, rounded up."""
    return ceil_div(bounds.floor_e4 * quantity_milli, E7)


def highest_minor(bounds: Bounds, quantity_milli: Int64s) -> Int64s:
    """The highest permitted amount of each line: its ceiling times the quantity, rounded down, never below the lowest."""
    if bounds.ceiling_e4.min(initial=NO_CEILING_E4) == NO_CEILING_E4:
        return np.full(quantity_milli.size, INT64_MAX)
    is_open = bounds.ceiling_e4 > INT64_MAX // np.maximum(quantity_milli, 1)
    limit = np.where(is_open, 0, bounds.ceiling_e4) * quantity_milli // E7
    return np.maximum(np.where(is_open, INT64_MAX, limit), lowest_minor(bounds, quantity_milli))
