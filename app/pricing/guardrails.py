"""Guardrails: the bounds that bind whatever the rules say."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from app.pricing.money import E7, INT64_MAX, Int64s, ceil_div
from app.pricing.scope import Scope

NO_CEILING_E4: Final = INT64_MAX


class Guardrails(NamedTuple):
    """The bounds of every (currency, SKU) that has one: sorted keys, and what holds there.

    A key is currency row · n_skus + SKU row. Without a floor `floor_e4` is 0 and its rule −1; without a ceiling `ceiling_e4` is NO_CEILING_E4.
    """

    key: Int64s  # (n_keys,) sorted
    floor_e4: Int64s
    floor_rule: Int64s
    ceiling_e4: Int64s
    ceiling_rule: Int64s


class GuardrailRow(NamedTuple):
    """One guardrail document, read; rows come in the order of their ids."""

    currency_row: int
    scope: Scope
    floor_e4: int | None
    ceiling_e4: int | None


class Bounds(NamedTuple):
    """The bounds of lines (n_lines,)."""

    floor_e4: Int64s
    floor_rule: Int64s
    ceiling_e4: Int64s
    ceiling_rule: Int64s

    def only(self, line: Int64s) -> "Bounds":
        """The bounds of some lines."""
        return Bounds(*(column[line] for column in self))


def compile_guardrails(rows: Sequence[GuardrailRow], n_skus: int) -> Guardrails:
    """Give every SKU its bounds: per field the most specific scope, among equals the tighter, then the lower id."""
    spans = [_keys_of(row, n_skus) for row in rows]
    key = np.unique(np.concatenate([np.zeros(0, np.int64), *(span[0] for span in spans)]))
    floor, floor_rule = np.zeros(key.size, np.int64), np.full(key.size, -1, np.int64)
    ceiling, ceiling_rule = np.full(key.size, NO_CEILING_E4, np.int64), np.full(key.size, -1, np.int64)
    floor_rank, ceiling_rank = np.full(key.size, -1, np.int64), np.full(key.size, -1, np.int64)
    for rule, (row, (own, specificity)) in enumerate(zip(rows, spans, strict=True)):
        at = np.searchsorted(key, own)
        if row.floor_e4 is not None:
            wins = (specificity > floor_rank[at]) | ((specificity == floor_rank[at]) & (row.floor_e4 > floor[at]))
            chosen = at[wins]
            floor[chosen], floor_rule[chosen], floor_rank[chosen] = row.floor_e4, rule, specificity[wins]
        if row.ceiling_e4 is not None:
            wins = (specificity > ceiling_rank[at]) | ((specificity == ceiling_rank[at]) & (row.ceiling_e4 < ceiling[at]))
            chosen = at[wins]
            ceiling[chosen], ceiling_rule[chosen], ceiling_rank[chosen] = row.ceiling_e4, rule, specificity[wins]
    return Guardrails(key, floor, floor_rule, ceiling, ceiling_rule)


def _keys_of(row: GuardrailRow, n_skus: int) -> tuple[Int64s, Int64s]:
    """The keys a guardrail covers and its specificity at each."""
    rows = np.setdiff1d(np.arange(n_skus), row.scope.excluded) if row.scope.is_open else row.scope.rows
    specificity = np.broadcast_to(np.asarray(row.scope.specificity, np.int64), rows.shape)
    return row.currency_row * n_skus + rows, specificity


def bounds_of(guardrails: Guardrails, key: Int64s) -> Bounds:
    """The bounds of lines by their key (n_lines,)."""
    none = np.full(key.size, -1)
    if guardrails.key.size == 0:
        return Bounds(np.zeros(key.size, np.int64), none, np.full(key.size, NO_CEILING_E4), none)
    at = np.searchsorted(guardrails.key, key)
    at[at == guardrails.key.size] = 0
    is_found = guardrails.key[at] == key
    bounds = Bounds(*(column[at] for column in guardrails[1:]))
    if not is_found.all():
        for column, nothing in zip(bounds, (0, -1, NO_CEILING_E4, -1), strict=True):
            column[~is_found] = nothing
    return bounds


def clamp_unit(unit_e4: Int64s, bounds: Bounds) -> Int64s:
    """Clamp unit prices into [floor, ceiling]; a book whose floor passes its ceiling does not compile."""
    return np.minimum(np.maximum(unit_e4, bounds.floor_e4), bounds.ceiling_e4)


def lowest_minor(bounds: Bounds, quantity_milli: Int64s) -> Int64s:
    """The lowest permitted amount of each line: its floor times the quantity, rounded up."""
    return ceil_div(bounds.floor_e4 * quantity_milli, E7)


def highest_minor(bounds: Bounds, quantity_milli: Int64s) -> Int64s:
    """The highest permitted amount of each line: its ceiling times the quantity, rounded down, never below the lowest."""
    if bounds.ceiling_e4.min(initial=NO_CEILING_E4) == NO_CEILING_E4:
        return np.full(quantity_milli.size, INT64_MAX)
    is_open = bounds.ceiling_e4 > INT64_MAX // np.maximum(quantity_milli, 1)
    limit = np.where(is_open, 0, bounds.ceiling_e4) * quantity_milli // E7
    return np.maximum(np.where(is_open, INT64_MAX, limit), lowest_minor(bounds, quantity_milli))
