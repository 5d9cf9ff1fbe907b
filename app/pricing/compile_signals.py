"""Facts that strategies price by: costs, demand, stock and competitors' prices, all of them read or a few exchanged."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np

from app.pricing.book import Document
from app.pricing.comparison import Body
from app.pricing.documents import columns_of
from app.pricing.facts import Rivals
from app.pricing.money import E4, Int64s, parse_decimal, parse_unit_price_e4

type Changed = Iterable[tuple[Body | None, Body | None]]
type Read = Callable[[Any], int]

UNKNOWN: Final = -1
_OBSERVED: Final = ("sku", "currency", "competitor", "unit_price", "in_stock", "at")


def all_costs(
    documents: Mapping[str, Document], row_of_sku: Mapping[str, int], currency_rows: Mapping[str, int]
) -> tuple[Int64s, Int64s]:
    """The keys (currency row · n_skus + SKU row) that have a cost, sorted, and the costs."""
    found = [
        (currency_rows[currency] * len(row_of_sku) + row_of_sku[sku], parse_unit_price_e4(cost))
        for part in columns_of(documents, ("sku", "currency", "unit_cost"))
        for sku, currency, cost in zip(*part.columns, strict=True)
        if currency in currency_rows and sku in row_of_sku
    ]
    found.sort()
    table = np.array(found, np.int64).reshape(-1, 2)
    return table[:, 0].copy(), table[:, 1].copy()


def changed_costs(
    key: Int64s, cost_e4: Int64s, changed: Changed, row_of_sku: Mapping[str, int], currency_rows: Mapping[str, int]
) -> tuple[Int64s, Int64s]:
    """The same with a few costs exchanged; a SKU has one in each currency."""
    gone: set[int] = set()
    came: dict[int, int] = {}
    for old, new in changed:
        for body in (old, new):
            if body is not None and body["currency"] in currency_rows and body["sku"] in row_of_sku:
                own = currency_rows[body["currency"]] * len(row_of_sku) + row_of_sku[body["sku"]]
                if body is old:
                    gone.add(own)
                else:
                    came[own] = parse_unit_price_e4(body["unit_cost"])
    at = np.searchsorted(key, np.array(sorted(gone), np.int64))
    key, cost_e4 = np.delete(key, at), np.delete(cost_e4, at)
    new_key = np.array(sorted(came), np.int64)
    before = np.searchsorted(key, new_key)
    return np.insert(key, before, new_key), np.insert(cost_e4, before, [came[one] for one in new_key.tolist()])


def read_index_e4(text: str | None) -> int:
    """A demand index; 1 where there is none."""
    return E4 if text is None else parse_decimal(text, 4)


def read_units_milli(text: str | None) -> int:
    """A number of units; UNKNOWN where there is none."""
    return UNKNOWN if text is None else parse_decimal(text, 3)


def all_of_skus(documents: Mapping[str, Document], field: str, read: Read, row_of_sku: Mapping[str, int]) -> Int64s:
    """A figure of each SKU (n_skus,), of which there is one fact at most."""
    figures = np.full(len(row_of_sku), read(None), np.int64)
    for part in columns_of(documents, ("sku", field)):
        for sku, text in zip(*part.columns, strict=True):
            if sku in row_of_sku:
                figures[row_of_sku[sku]] = read(text)
    return figures


def changed_of_skus(before: Int64s, changed: Changed, field: str, read: Read, row_of_sku: Mapping[str, int]) -> Int64s:
    """The same with a few exchanged."""
    figures = before.copy()
    pairs = list(changed)
    # What came is written after what is gone, which may be a fact of the same SKU.
    for old, _ in pairs:
        if old is not None and old["sku"] in row_of_sku:
            figures[row_of_sku[old["sku"]]] = read(None)
    for _, new in pairs:
        if new is not None and new["sku"] in row_of_sku:
            figures[row_of_sku[new["sku"]]] = read(new.get(field))
    return figures


type _Observation = tuple[int, str, int, bool, int]  # key, competitor, unit_e4, in stock, instant


def all_rivals(documents: Mapping[str, Document], row_of_sku: Mapping[str, int], currency_rows: Mapping[str, int]) -> Rivals:
    """The observations of SKUs that have a price in their currency, or may have one."""
    found = [
        _observation(values, row_of_sku, currency_rows)
        for part in columns_of(documents, _OBSERVED)
        for values in zip(*part.columns, strict=True)
        if values[1] in currency_rows and values[0] in row_of_sku
    ]
    found.sort()
    names = tuple(sorted({one[1] for one in found}))
    number_of = {name: number for number, name in enumerate(names)}
    rows = [(key, number_of[name], unit, in_stock, at) for key, name, unit, in_stock, at in found]
    return _rivals(names, np.array(rows, np.int64).reshape(-1, 5))


def changed_rivals(
    rivals: Rivals, changed: Changed, row_of_sku: Mapping[str, int], currency_rows: Mapping[str, int]
) -> Rivals | None:
    """The same with a few exchanged; None where the names of competitors are not the same any more."""
    number_of = {name: number for number, name in enumerate(rivals.names)}
    gone: set[int] = set()
    came: dict[int, _Observation] = {}
    for old, new in changed:
        for body in (old, new):
            if body is None or body["currency"] not in currency_rows or body["sku"] not in row_of_sku:
                continue
            one = _observation([body[field] for field in _OBSERVED], row_of_sku, currency_rows)
            if one[1] not in number_of:
                return None
            own = one[0] * len(number_of) + number_of[one[1]]
            if body is old:
                gone.add(own)
            else:
                came[own] = one
    table = np.stack([rivals.key, rivals.name, rivals.unit_e4, rivals.in_stock.astype(np.int64), rivals.at_s], axis=1)
    place = rivals.key * len(number_of) + rivals.name
    at = np.searchsorted(place, np.array(sorted(gone), np.int64))
    table, place = np.delete(table, at, axis=0), np.delete(place, at)
    rows = [(key, number_of[name], unit, in_stock, instant) for _, (key, name, unit, in_stock, instant) in sorted(came.items())]
    before = np.searchsorted(place, np.array(sorted(came), np.int64))
    table = np.insert(table, before, np.array(rows, np.int64).reshape(-1, 5), axis=0)
    if not np.bincount(table[:, 1], minlength=len(number_of)).all():
        return None
    return _rivals(rivals.names, table)


def _observation(values: Sequence[Any], row_of_sku: Mapping[str, int], currency_rows: Mapping[str, int]) -> _Observation:
    """An observation from the members of _OBSERVED."""
    sku, currency, competitor, unit_price, in_stock, at = values
    key = currency_rows[currency] * len(row_of_sku) + row_of_sku[sku]
    return key, competitor, parse_unit_price_e4(unit_price), in_stock, int(datetime.fromisoformat(at).timestamp())


def _rivals(names: tuple[str, ...], table: Int64s) -> Rivals:
    key, name, unit_e4, in_stock, at_s = (table[:, column].copy() for column in range(5))
    return Rivals(names, key, name, unit_e4, in_stock.astype(np.bool_), at_s)
