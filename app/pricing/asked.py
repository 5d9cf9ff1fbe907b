"""What is asked for, as columns: the lines of a batch, their baskets, and the contexts these share."""

from collections.abc import Sequence
from itertools import chain, repeat
from typing import NamedTuple

import numpy as np

from app.pricing.basket import Basket
from app.pricing.book import PriceBook
from app.pricing.counters import Counted, counted_of
from app.pricing.money import Int64s

_NO_CURRENCY = -2  # not that of any promotion, nor the one of those that hold in any currency


class Asked(NamedTuple):
    """The lines of a batch, basket by basket. A context is everything about a basket but its lines."""

    contexts: Sequence[Basket]
    at_s: Int64s  # (n_contexts,)
    currency_row: Int64s  # (n_contexts,) −2 where nothing is priced in it
    context: Int64s  # (n_baskets,)
    first_line: Int64s  # (n_baskets,)
    basket: Int64s  # (n_lines,)
    sku_row: Int64s  # (n_lines,) −1 where the book does not know it
    quantity_milli: Int64s  # (n_lines,)
    counted: Counted | None  # None: no basket has counters


def asked_of(book: PriceBook, baskets: Sequence[Basket]) -> Asked:
    """The columns of baskets."""
    contexts, context = contexts_of(baskets)
    count = np.array([len(basket.skus) for basket in baskets], np.int64)
    n_lines = int(count.sum())
    row_of_sku = book.assortment.row_of_sku
    return _asked(
        book,
        contexts,
        context,
        np.cumsum(count) - count,
        np.repeat(np.arange(count.size), count),
        np.fromiter(map(row_of_sku.get, chain.from_iterable(basket.skus for basket in baskets), repeat(-1)), np.int64, n_lines),
        np.fromiter(chain.from_iterable(basket.quantities_milli for basket in baskets), np.int64, n_lines),
        counted_of(book, baskets),
    )


def contexts_of(baskets: Sequence[Basket]) -> tuple[list[Basket], Int64s]:
    """The contexts of baskets, and which each has (n_baskets,): baskets that differ in nothing but their lines share one."""
    number: dict[object, int] = {}
    contexts: list[Basket] = []
    context: list[int] = []
    for basket in baskets:
        # Attributes are told apart by what holds them; the rest by its value.
        own, customers = basket.attributes, basket.customer_attributes
        key = (basket.currency, basket[4:15], id(own) if own else 0, id(customers) if customers else 0)
        known = number.setdefault(key, len(contexts))
        if known == len(contexts):
            contexts.append(basket)
        context.append(known)
    return contexts, np.array(context, np.int64)


def places_and_times(book: PriceBook, contexts: Sequence[Basket]) -> tuple[Int64s, Int64s]:
    """The currency row of each context (n_contexts,), −2 where nothing is priced in it, and its instant in seconds."""
    currency_row = np.array([book.currency_rows.get(one.currency, _NO_CURRENCY) for one in contexts], np.int64)
    return currency_row, np.array([one.at_us // 1_000_000 for one in contexts], np.int64)


def asked_alone(book: PriceBook, context: Basket, skus: Sequence[str], quantities_milli: Sequence[int]) -> Asked:
    """The columns of SKUs in one context, each a basket of its own."""
    row_of_sku = book.assortment.row_of_sku
    each = np.arange(len(skus))
    rows = np.fromiter(map(row_of_sku.get, skus, repeat(-1)), np.int64, each.size)
    counted = counted_of(book, [context] * each.size) if context.left or context.barred else None
    return _asked(
        book, (context,), np.zeros(each.size, np.int64), each, each, rows, np.array(quantities_milli, np.int64), counted
    )


def _asked(
    book: PriceBook,
    contexts: Sequence[Basket],
    context: Int64s,
    first_line: Int64s,
    basket: Int64s,
    sku_row: Int64s,
    quantity_milli: Int64s,
    counted: Counted | None,
) -> Asked:
    currency_row, at_s = places_and_times(book, contexts)
    return Asked(contexts, at_s, currency_row, context, first_line, basket, sku_row, quantity_milli, counted)
