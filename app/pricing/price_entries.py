"""The entries of a version's prices: read as columns and packed, or those of the version before with a few exchanged."""

from collections.abc import Mapping

import numpy as np

from app.pricing.book import BookProblem, Document, PriceBook
from app.pricing.catalog_columns import PriceColumns, read_prices
from app.pricing.comparison import Comparison
from app.pricing.frozen import frozen
from app.pricing.money import Int64s
from app.pricing.price_lists import EntryColumns, PriceEntries, PriceLists, pack_entries, splice_entries


def all_entries(
    prices: PriceColumns, lists: PriceLists, list_order: Int64s, currency_rows: Mapping[str, int], n_skus: int
) -> PriceEntries:
    """Pack prices that can all be read."""
    columns = _columns(prices, lists, currency_rows, n_skus)
    return frozen(pack_entries(columns, list_order, len(currency_rows) * n_skus))


def changed_entries(
    earlier: PriceBook, compared: Comparison, names: set[str], lists: PriceLists, list_order: Int64s
) -> tuple[PriceEntries, list[BookProblem]]:
    """The entries of the earlier book with those of some prices exchanged; its SKUs, currencies and lists are the same."""
    before: dict[str, Document] = {}
    now: dict[str, Document] = {}
    for name, bodies in zip(names, compared.bodies("prices", names), strict=True):
        for side, body in zip((before, now), bodies, strict=True):
            if body is not None:
                side[name] = Document(body, 0)
    # Every SKU has its row already.
    row_of_sku = earlier.assortment.row_of_sku
    gone, came = (read_prices(side, row_of_sku, lists.id) for side in (before, now))
    if came.problems:
        return earlier.entries, list(came.problems.values())
    columns = [_columns(side, lists, earlier.currency_rows, earlier.n_skus) for side in (gone, came)]
    return frozen(splice_entries(earlier.entries, columns[0], columns[1], list_order)), []


def _columns(prices: PriceColumns, lists: PriceLists, currency_rows: Mapping[str, int], n_skus: int) -> EntryColumns:
    row_of_list = {name: row for row, name in enumerate(lists.id)}
    list_row = np.array([row_of_list[name] for name in prices.price_lists], np.int64)
    currency_row = np.array([currency_rows[name] for name in prices.currencies], np.int64)
    return EntryColumns(
        currency_row[prices.currency] * n_skus + prices.sku_row,
        list_row[prices.price_list],
        prices.unit_e4,
        prices.from_s,
        prices.to_s,
        prices.mode,
        prices.mix,
        prices.tier_first,
        prices.tier_up_to_milli,
        prices.tier_unit_e4,
        prices.tier_fee_minor,
        prices.mix_names,
    )
