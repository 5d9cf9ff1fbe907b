"""Which SKUs a rule may touch: scopes compiled to sorted SKU rows, and an index from SKUs to rules."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

import numpy as np

from app.pricing.money import Bools, Int64s

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


def assortment_of(skus: Sequence[str], products: Mapping[str, Mapping[str, Any]]) -> Assortment:
    """Index the SKUs (their order is their row) by what their products say; a SKU may have no product."""
    category: dict[str, list[int]] = {}
    brand: dict[str, list[int]] = {}
    tag: dict[str, list[int]] = {}
    attribute: dict[tuple[str, str], list[int]] = {}
    for row, sku in enumerate(skus):
        product = products.get(sku)
        if product is None:
            continue
        if product.get("category"):
            for path in paths_above(product["category"]):
                category.setdefault(path, []).append(row)
        if product.get("brand"):
            brand.setdefault(product["brand"], []).append(row)
        for name in dict.fromkeys(product.get("tags") or ()):
            tag.setdefault(name, []).append(row)
        for pair in (product.get("attributes") or {}).items():
            attribute.setdefault(pair, []).append(row)
    return Assortment(
        {sku: row for row, sku in enumerate(skus)}, _arrays(category), _arrays(brand), _arrays(tag), _arrays(attribute)
    )


def _arrays[K](rows: dict[K, list[int]]) -> dict[K, Int64s]:
    return {key: np.array(values, np.int64) for key, values in rows.items()}


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
        rows = assortment.row_of_sku
        found.append(np.array(sorted({rows[sku] for sku in chosen["skus"] if sku in rows}), np.int64))
    for name, index in (("categories", assortment.by_category), ("brands", assortment.by_brand), ("tags", assortment.by_tag)):
        if chosen.get(name):
            found.append(_union(index, chosen[name]))
    for name, values in sorted((chosen.get("attributes") or {}).items()):
        found.append(_union(assortment.by_attribute, [(name, value) for value in values]))
    return found


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


def index_scopes(scopes: Sequence[Scope], n_skus: int, *, is_listed: Sequence[bool] | None = None) -> ScopeIndex:
    """Index the scopes of rules 0, 1, ... Rules that are not listed answer `has` only (what a code unlocks is found by its code)."""
    listed = np.ones(len(scopes), np.bool_) if is_listed is None else np.array(is_listed, np.bool_)
    is_open = np.array([scope.is_open for scope in scopes], np.bool_)
    owner = np.repeat(np.arange(len(scopes)), [scope.rows.size for scope in scopes])
    rows = np.concatenate([_NONE, *(scope.rows for scope in scopes)])
    is_found = listed[owner] if owner.size else np.zeros(0, np.bool_)
    order = np.argsort(rows[is_found], kind="stable")
    first = np.zeros(n_skus + 1, np.int64)
    np.cumsum(np.bincount(rows[is_found], minlength=n_skus)[:n_skus], out=first[1:])
    excluded = np.concatenate([_NONE, *(rule * n_skus + scope.excluded for rule, scope in enumerate(scopes))])
    return ScopeIndex(
        n_skus,
        first,
        owner[is_found][order],
        np.flatnonzero(is_open & listed),
        excluded,
        owner * n_skus + rows,
        is_open,
    )


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
