"""Facts that strategies price by: unit costs and demand indices, all of them read or a few exchanged."""

from collections.abc import Iterable, Mapping

import numpy as np

from app.pricing.book import Document
from app.pricing.comparison import Body
from app.pricing.documents import columns_of
from app.pricing.money import E4, Int64s, parse_decimal, parse_unit_price_e4

type Changed = Iterable[tuple[Body | None, Body | None]]


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


def all_demand(documents: Mapping[str, Document], row_of_sku: Mapping[str, int]) -> Int64s:
    """The index of each SKU (n_skus,) in 1/10 000."""
    demand = np.full(len(row_of_sku), E4, np.int64)
    for part in columns_of(documents, ("sku", "index")):
        for sku, index in zip(*part.columns, strict=True):
            if sku in row_of_sku:
                demand[row_of_sku[sku]] = parse_decimal(index, 4)
    return demand


def changed_demand(demand_e4: Int64s, changed: Changed, row_of_sku: Mapping[str, int]) -> Int64s:
    """The same with a few exchanged."""
    demand = demand_e4.copy()
    pairs = list(changed)
    # What came is written after what is gone, which may be a fact of the same SKU.
    for old, _ in pairs:
        if old is not None and old["sku"] in row_of_sku:
            demand[row_of_sku[old["sku"]]] = E4
    for _, new in pairs:
        if new is not None and new["sku"] in row_of_sku:
            demand[row_of_sku[new["sku"]]] = parse_decimal(new["index"], 4)
    return demand
