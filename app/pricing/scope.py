"""Which SKUs a rule may touch: scopes compiled to sorted SKU rows, and an index from SKUs to rules."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np

from app.pricing.frozen import frozen_array
from app.pricing.money import Bools, Int64s
from app.pricing.splice import GONE, Edit, joined, joined_keys, places

NAMES_SKUS: Final = 5
NAMES_CATEGORIES: Final = 4
NAMES_BRANDS: Final = 3
NAMES_TAGS: Final = 2
NAMES_ATTRIBUTES: Final = 1
_DEPTH_STRIDE: Final = 1_000

_NONE: Final = np.zeros(0, np.int64)


@dataclass(slots=True)
class Assortment:
    """The SKUs of a book and what their products say, turned around: from each value to the SKU rows that have it."""

    row_of_sku: dict[str, int]
    by_category: dict[str, Int64s] = field(default_factory=dict)  # each path holds what lies below it
    by_brand: dict[str, Int64s] = field(default_factory=dict)
    by_tag: dict[str, Int64s] = field(default_factory=dict)
    by_attribute: dict[tuple[str, str], Int64s] = field(default_factory=dict)


def paths_above(category: str) -> Iterable[str]:
    """The path itself and every path it lies below.

    >>> list(paths_above("shoes/running/trail"))
    ['shoes', 'shoes/running', 'shoes/running/trail']
    """
    parts = category.split("/")
    return ("/".join(parts[: depth + 1]) for depth in range(len(parts)))


class Scope(NamedTuple):
    """A compiled scope: the SKU rows it has, or every SKU but some."""

    is_open: bool  # an empty include: every product, less `excluded`
    rows: Int64s  # sorted; empty when open
    excluded: Int64s  # sorted; empty unless open
    specificity: Int64s | int  # of each of `rows`, or of the whole when it is the same for all


class Reach(NamedTuple):
    """What a promotion may touch, and the scopes that its parameters tell apart in it."""

    scope: Scope
    parts: tuple[Scope, ...] = ()


def union(one: Scope, other: Scope) -> Scope:
    """The SKUs of either scope; how specific they are is lost."""
    if one.is_open and other.is_open:
        return Scope(True, _NONE, np.intersect1d(one.excluded, other.excluded, assume_unique=True), 0)
    if one.is_open or other.is_open:
        wide, narrow = (one, other) if one.is_open else (other, one)
        return Scope(True, _NONE, np.setdiff1d(wide.excluded, narrow.rows, assume_unique=True), 0)
    return Scope(False, np.union1d(one.rows, other.rows), _NONE, 0)


def intersection(one: Scope, other: Scope) -> Scope:
    """The SKUs of both scopes."""
    if one.is_open and other.is_open:
        return Scope(True, _NONE, np.union1d(one.excluded, other.excluded), 0)
    if one.is_open or other.is_open:
        wide, narrow = (one, other) if one.is_open else (other, one)
        return Scope(False, np.setdiff1d(narrow.rows, wide.excluded, assume_unique=True), _NONE, 0)
    return Scope(False, np.intersect1d(one.rows, other.rows, assume_unique=True), _NONE, 0)


def compile_scope(scope: Mapping[str, Any] | None, assortment: Assortment) -> Scope:
    """Find the SKUs of a scope. Source: SEMANTICS.md, Specificity."""
    include: Mapping[str, Any] = (scope or {}).get("include") or {}
    exclude: Mapping[str, Any] = (scope or {}).get("exclude") or {}
    excluded = _any_of(exclude, assortment)
    fields = _fields(include, assortment)
    if not fields:
        return Scope(True, _NONE, excluded, 0)
    rows = fields[0]
    for other in fields[1:]:
        rows = np.intersect1d(rows, other, assume_unique=True)
    if excluded.size:
        rows = np.setdiff1d(rows, excluded, assume_unique=True)
    return Scope(False, rows, _NONE, _specificity(include, rows, assortment))


def _fields(chosen: Mapping[str, Any], assortment: Assortment) -> list[Int64s]:
    """The SKU rows of each non-empty field; several values of one field are any of them."""
    found: list[Int64s] = []
    if chosen.get("skus"):
        rows = [row for row in map(assortment.row_of_sku.get, chosen["skus"]) if row is not None]
        found.append(_distinct(np.array(rows, np.int64)))
    for name, index in (("categories", assortment.by_category), ("brands", assortment.by_brand), ("tags", assortment.by_tag)):
        if chosen.get(name):
            found.append(_union(index, chosen[name]))
    for name, values in sorted((chosen.get("attributes") or {}).items()):
        found.append(_union(assortment.by_attribute, [(name, value) for value in values]))
    return found


def _distinct(rows: Int64s) -> Int64s:
    """The rows, each once, sorted."""
    rows.sort()
    if rows.size < 2:
        return rows
    is_new = np.ones(rows.size, np.bool_)
    np.not_equal(rows[1:], rows[:-1], out=is_new[1:])
    return rows[is_new]


def _union[K](index: Mapping[K, Int64s], keys: Iterable[K]) -> Int64s:
    parts = [index[key] for key in dict.fromkeys(keys) if key in index]
    if not parts:
        return _NONE
    return parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))


def _any_of(chosen: Mapping[str, Any], assortment: Assortment) -> Int64s:
    fields = _fields(chosen, assortment)
    return np.unique(np.concatenate(fields)) if fields else _NONE


def _specificity(include: Mapping[str, Any], rows: Int64s, assortment: Assortment) -> Int64s | int:
    if include.get("skus"):
        return NAMES_SKUS * _DEPTH_STRIDE
    if include.get("categories"):
        depth = np.zeros(rows.size, np.int64)
        for path in include["categories"]:
            is_below = np.isin(rows, assortment.by_category.get(path, _NONE), assume_unique=True)
            depth = np.maximum(depth, np.where(is_below, path.count("/") + 1, 0))
        return NAMES_CATEGORIES * _DEPTH_STRIDE + depth
    for name, rank in (("brands", NAMES_BRANDS), ("tags", NAMES_TAGS), ("attributes", NAMES_ATTRIBUTES)):
        if include.get(name):
            return rank * _DEPTH_STRIDE
    return 0


class ScopeIndex(NamedTuple):
    """From each SKU to the rules whose scope has it: the cost of a look-up follows what it finds.

    `first` (n_skus + 1,) delimits the `rule`s of each SKU, ascending. Open scopes stand apart: `open_rule` ascending, with
    `excluded_key` = rule · n_skus + SKU row, sorted. `member_key` holds the closed scopes the same way.
    """

    n_skus: int
    first: Int64s
    rule: Int64s
    open_rule: Int64s
    excluded_key: Int64s
    member_key: Int64s
    is_open: Bools  # (n_rules,)

    @property
    def excludes_any(self) -> bool:
        """Whether an open scope lacks a SKU."""
        return self.excluded_key.size > 0


def index_scopes(scopes: Sequence[Scope], n_skus: int, *, is_listed: Bools | None = None) -> ScopeIndex:
    """Index the scopes of rules 0, 1, ... Rules that are not listed answer `has` only (what a code unlocks is found by its code)."""
    is_open = np.array([scope.is_open for scope in scopes], np.bool_)
    owner = np.repeat(np.arange(len(scopes)), [scope.rows.size for scope in scopes])
    rows = np.concatenate([_NONE, *(scope.rows for scope in scopes)])
    excluded = [rule * n_skus + scope.excluded for rule, scope in enumerate(scopes) if scope.excluded.size]
    index = ScopeIndex(
        n_skus,
        _NONE,
        _NONE,
        _NONE,
        frozen_array(np.concatenate([_NONE, *excluded])),
        frozen_array(owner * n_skus + rows),
        frozen_array(is_open),
    )
    return only_listed(index, np.ones(len(scopes), np.bool_) if is_listed is None else is_listed)


def only_listed(index: ScopeIndex, is_listed: Bools) -> ScopeIndex:
    """The same scopes, of which those rules (n_rules,) are found by SKU."""
    owner, rows = np.divmod(index.member_key, max(index.n_skus, 1))
    if not is_listed.all():
        is_found = is_listed[owner]
        owner, rows = owner[is_found], rows[is_found]
    first = np.zeros(index.n_skus + 1, np.int64)
    np.cumsum(np.bincount(rows, minlength=index.n_skus)[: index.n_skus], out=first[1:])
    return index._replace(
        first=first, rule=owner[np.argsort(rows, kind="stable")], open_rule=np.flatnonzero(index.is_open & is_listed)
    )


def splice_scopes(edit: Edit, old: ScopeIndex, new: ScopeIndex, *, is_listed: Bools) -> ScopeIndex:
    """The index of the rules that an edit makes of two; `is_listed` (n_rules,) tells of the result which are found by SKU."""
    n_skus = old.n_skus
    is_open = joined(edit, old.is_open, new.is_open)
    first, rule = _without(old, places(edit))
    for run in edit.runs:
        if run.is_new:
            low, high = np.searchsorted(new.member_key, (run.start * n_skus, run.stop * n_skus))
            owner, sku_row = np.divmod(new.member_key[low:high], n_skus)
            owner += run.at - run.start
            is_found = is_listed[owner]
            first, rule = _with_pairs(first, rule, sku_row[is_found], owner[is_found])
    return ScopeIndex(
        n_skus,
        first,
        rule,
        np.flatnonzero(is_open & is_listed),
        joined_keys(edit, old.excluded_key, new.excluded_key, n_skus),
        joined_keys(edit, old.member_key, new.member_key, n_skus),
        is_open,
    )


def _without(old: ScopeIndex, place: Int64s) -> tuple[Int64s, Int64s]:
    """`first` and `rule` when each rule stands at a place (n_rules,), and some are gone."""
    rule = place[old.rule]
    gone = np.flatnonzero(rule == GONE)
    if gone.size == 0:
        return old.first, rule
    dropped = np.bincount(np.searchsorted(old.first, gone, side="right") - 1, minlength=old.n_skus)
    first = old.first.copy()
    first[1:] -= np.cumsum(dropped)
    return first, np.delete(rule, gone)


def _with_pairs(first: Int64s, rule: Int64s, sku_row: Int64s, owner: Int64s) -> tuple[Int64s, Int64s]:
    """`first` and `rule` with pairs of SKU rows and rules that are not among them."""
    if sku_row.size == 0:
        return first, rule
    order = np.lexsort((owner, sku_row))
    sku_row, owner = sku_row[order], owner[order]
    # A search among the rules of each SKU, for all pairs at once.
    low, high = first[sku_row], first[sku_row + 1]
    while (is_open := low < high).any():
        middle = (low + high) // 2
        is_below = is_open & (rule[np.minimum(middle, rule.size - 1)] < owner)
        low, high = np.where(is_below, middle + 1, low), np.where(is_open & ~is_below, middle, high)
    more = first.copy()
    more[1:] += np.cumsum(np.bincount(sku_row, minlength=first.size - 1))
    return more, np.insert(rule, low, owner)


def candidates(index: ScopeIndex, sku_row: Int64s) -> tuple[Int64s, Int64s]:
    """All (position, rule) pairs of SKU rows (n,) and the listed rules whose scope has them."""
    low = index.first[sku_row]
    count = index.first[sku_row + 1] - low
    position = np.repeat(np.arange(sku_row.size), count)
    rule = index.rule[np.repeat(low - (np.cumsum(count) - count), count) + np.arange(position.size)]
    if index.open_rule.size == 0:
        return position, rule
    open_position = np.repeat(np.arange(sku_row.size), index.open_rule.size)
    open_rule = np.tile(index.open_rule, sku_row.size)
    if index.excludes_any:
        is_in = ~is_member(index.excluded_key, open_rule * index.n_skus + sku_row[open_position])
        open_position, open_rule = open_position[is_in], open_rule[is_in]
    return np.concatenate([position, open_position]), np.concatenate([rule, open_rule])


def has(index: ScopeIndex, rule: Int64s, sku_row: Int64s) -> Bools:
    """Tell for each pair (n,) whether the rule's scope has the SKU."""
    key = rule * index.n_skus + sku_row
    is_open = index.is_open[rule]
    return np.where(is_open, ~is_member(index.excluded_key, key), is_member(index.member_key, key))


def is_member(sorted_keys: Int64s, key: Int64s) -> Bools:
    """Tell which keys are among the sorted ones."""
    if sorted_keys.size == 0:
        return np.zeros(key.shape, np.bool_)
    found = np.minimum(np.searchsorted(sorted_keys, key), sorted_keys.size - 1)
    return np.asarray(sorted_keys[found] == key, np.bool_)


def value_at(sorted_keys: Int64s, values: Int64s, key: Int64s) -> Int64s:
    """The value (n_keys,) at each key (n,), −1 where it is not among the sorted ones.

    >>> value_at(np.array([2, 5]), np.array([20, 50]), np.array([5, 3])).tolist()
    [50, -1]
    """
    if sorted_keys.size == 0:
        return np.full(key.size, -1, np.int64)
    at = np.minimum(np.searchsorted(sorted_keys, key), sorted_keys.size - 1)
    return np.where(sorted_keys[at] == key, values[at], -1)
