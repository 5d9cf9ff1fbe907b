"""The numba loop of P7 is a reference only while it comes to the engine's totals."""

import numpy as np
import pytest

from app.pricing.quote import price_line_level
from loadtests.bench.core import book_of
from loadtests.bench.kernel import asked_of, baskets_of, documents_of, price_loop, tables_of
from loadtests.books import shop


def test_loop_comes_to_the_totals_of_the_engine() -> None:
    documents = documents_of(300, 200)
    for guardrail in documents["guardrails"].values():
        guardrail["floor"] = "3000"
    book = book_of(documents)
    baskets = baskets_of(2_000, 300)
    priced = price_line_level(book, baskets)
    totals = price_loop(tables_of(book), asked_of(book, baskets))

    assert np.array_equal(totals, priced.total_minor)
    # Not because nothing happens: tiers, sales, promotions and floors have all had their say.
    assert (priced.lines.tier_unit_e4 != priced.lines.list_unit_e4).any()
    assert (priced.lines.sale >= 0).any()
    assert priced.outcome.is_applied.any()
    assert (priced.total_minor == priced.lines.lowest_minor).any()


def test_loop_refuses_a_book_that_it_would_price_otherwise() -> None:
    with pytest.raises(AssertionError):
        tables_of(book_of(shop(n_skus=50, n_promotions=20)))
