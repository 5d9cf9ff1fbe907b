"""A book compiled from an earlier one is the book compiled anew."""

from dataclasses import fields
from random import Random
from typing import Any

import numpy as np
import pytest

from app.pricing.book import BookError, BookProblem, BookRows, Document, PriceBook
from app.pricing.compile import compile_price_book
from tests.reference.agreement import difference, engine_replies
from tests.reference.generate import random_basket, random_book, random_instant
from tests.reference.shop import Documents

RESOURCES = (
    "prices",
    "promotions",
    "sale-prices",
    "guardrails",
    "strategies",
    "signals-costs",
    "coupons",
    "products",
    "price-lists",
    "policy",
)


def rows_of(documents: Documents, version: int, at_us: int) -> BookRows:
    return BookRows(
        version,
        at_us,
        {resource: {name: Document(body, 1) for name, body in bodies.items()} for resource, bodies in documents.items()},
    )


def with_resource(rows: BookRows, resource: str, bodies: dict[str, Document]) -> BookRows:
    return BookRows(rows.version + 1, rows.published_at_us, {**rows.documents, resource: bodies})


def compiled_or_none(rows: BookRows, earlier: PriceBook | None = None) -> PriceBook | None:
    try:
        return compile_price_book(rows, earlier)
    except BookError:
        return None


@pytest.mark.parametrize("resource", RESOURCES)
def test_incremental_book_prices_as_a_fresh_one(resource: str) -> None:
    compared = 0
    for seed in range(25):
        rng = Random(seed)
        documents = random_book(rng)
        at_us = random_instant(rng)
        rows = rows_of(documents, 1, at_us)
        other = random_book(Random(seed + 10_000)).get(resource, {})
        bodies = dict(rows.documents.get(resource, {}))
        for name in sorted(bodies)[::2]:
            del bodies[name]
        bodies |= {name: Document(body, 2) for name, body in sorted(other.items())[::2]}
        changed = with_resource(rows, resource, bodies)
        earlier, fresh = compiled_or_none(rows), compiled_or_none(changed)
        if earlier is None:
            continue
        later = compiled_or_none(changed, earlier)

        assert (later is None) == (fresh is None)
        if later is None or fresh is None:
            continue
        baskets = [random_basket(rng, documents) for _ in range(6)]
        instants = [at_us] * 6
        for one, another in zip(engine_replies(later, baskets, instants), engine_replies(fresh, baskets, instants), strict=True):
            assert difference(one, another) is None
        compared += 1
    assert compared > 5


def test_what_is_untouched_is_taken_over() -> None:
    documents = random_book(Random(3))
    rows = rows_of(documents, 1, 0)
    book = compile_price_book(rows)
    policy = {"default": Document({"rounding": "half_even"}, 1)}

    later = compile_price_book(with_resource(rows, "policy", policy), book)

    assert later.entries.unit_e4 is book.entries.unit_e4
    assert later.assortment is book.assortment
    assert later.policy.rounding == "half_even"


def test_arrays_of_a_book_cannot_be_written() -> None:
    book = compile_price_book(rows_of(random_book(Random(3)), 1, 0))
    arrays = list(_arrays([getattr(book, field.name) for field in fields(book) if field.name not in ("assortment", "sources")]))

    assert len(arrays) > 50
    for array in arrays:
        with pytest.raises(ValueError, match="WRITEABLE"):
            array.setflags(write=True)


def _arrays(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _arrays(one)


def test_sale_amount_without_a_currency_needs_prices_in_one() -> None:
    def prices(*currencies: str) -> dict[str, Any]:
        return {
            f"A|default|{code}|": {"sku": "A", "currency": code, "price_list": "default", "unit_price": "1299"}
            for code in currencies
        }

    sales: dict[str, Any] = {"flash": {"name": "Flash", "scope": {}, "currency": None, "unit_price": "999", "schedule": None}}
    body = {"currency": "USD", "lines": [{"id": "1", "sku": "A", "quantity": 1}]}

    one = compile_price_book(rows_of({"prices": prices("USD"), "sale-prices": sales}, 1, 0))
    assert engine_replies(one, [body], [0])[0]["total"] == 999

    with pytest.raises(BookError) as refused:
        compile_price_book(rows_of({"prices": prices("USD", "JPY"), "sale-prices": sales}, 1, 0))
    assert [(problem.id, problem.path) for problem in refused.value.problems] == [("flash", "currency")]


def test_error_tells_the_first_five_problems() -> None:
    problems = tuple(BookProblem("prices", f"p{number}", "tiers", "are wrong") for number in range(6))

    assert str(BookError(problems)) == "; ".join(f"prices/p{number} tiers: are wrong" for number in range(5))
