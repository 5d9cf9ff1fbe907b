"""What gifts are worth: their list prices where the request is. Source: SEMANTICS.md, Gifts."""

from collections.abc import Sequence

import numpy as np

from app.pricing.basket import Basket
from app.pricing.book import PriceBook
from app.pricing.groups import groups_of_sizes
from app.pricing.money import AMOUNT_E7_MAX, AMOUNT_MINOR_MAX, E7, Int64s, round_div
from app.pricing.price_lists import visible_lists, winning_entry
from app.pricing.rules import gift


def worth_of_gifts(
    book: PriceBook, contexts: Sequence[Basket], currency_row: Int64s, at_s: Int64s, context: Int64s, rule: Int64s
) -> Int64s:
    """The worth in minor units of gift promotions (n,), each given in a context (n,).

    `currency_row` and `at_s` are of the contexts (n_contexts,), as `places_and_times` reads them.
    """
    packed: gift.Packed = book.promotions.packed[book.promotions.kinds.index(gift.KIND)]
    row = book.promotions.kind_row[rule]
    low = packed.skus.first[row]
    groups = groups_of_sizes(packed.skus.first[row + 1] - low)
    number = np.arange(groups.group.size) - groups.starts[groups.group]
    skus: list[bytes] = packed.skus.sku[low[groups.group] + number].tolist()
    unit_e4 = _list_units(book, contexts, currency_row, at_s, context[groups.group], skus)
    quantity = packed.quantity_milli[row][groups.group]
    is_bounded = unit_e4 <= AMOUNT_E7_MAX // quantity
    worth = round_div(np.where(is_bounded, unit_e4, 0) * quantity, E7, book.policy.rounding)
    worth = np.where(is_bounded, worth, AMOUNT_MINOR_MAX)
    # The dearest of each first, so that as many as are chosen stand before the others.
    dearest = worth[np.lexsort((-worth, groups.group))]
    choose = packed.choose[row][groups.group]
    is_counted = (choose == gift.ALL_OF_THEM) | (number < choose)
    return np.minimum(groups.sum(np.where(is_counted, dearest, 0)), AMOUNT_MINOR_MAX)


def _list_units(
    book: PriceBook, contexts: Sequence[Basket], currency_row: Int64s, at_s: Int64s, context: Int64s, sku: Sequence[bytes]
) -> Int64s:
    """The list unit prices of SKUs (n,) in contexts (n,), 0 where there is none."""
    rows = np.array([book.assortment.row_of_sku.get(one.decode(), -1) for one in sku], np.int64)
    unit_e4 = np.zeros(rows.size, np.int64)
    known = ((rows >= 0) & (currency_row[context] >= 0)).nonzero()[0]
    visible = np.array([visible_lists(book.price_lists, one) for one in contexts], np.bool_).reshape(len(contexts), -1)
    own = context[known]
    entry = winning_entry(book.entries, currency_row[own] * book.n_skus + rows[known], visible, own, at_s)
    unit_e4[known] = np.where(entry >= 0, book.entries.unit_e4[entry], 0)
    return unit_e4
