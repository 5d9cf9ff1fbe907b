"""Every way into the engine prices alike: whole baskets, lines first and the order after, SKUs in one context."""

from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np
import pytest

from app.pricing.basket import Basket
from app.pricing.book import BookError, PriceBook
from app.pricing.quote import (
    LineLevel,
    Priced,
    by_sequence,
    disputed_lines,
    price_baskets,
    price_each_alone,
    price_line_level,
    price_order_level,
)
from app.quotes.encode import Writer
from loadtests.books import shop
from tests.reference.agreement import as_basket, compiled
from tests.reference.generate import random_basket, random_book, random_instant

AT_US = 1_790_000_000_000_000


def ten_percent() -> dict[str, Any]:
    return {
        "name": "Ten",
        "kind": "percent_off",
        "params": {"percent": "10"},
        "level": "order",
        "currency": "USD",
        "scope": {"include": {}},
        "conditions": {"attribute": "order.subtotal", "op": ">=", "value": 1_000},
        "schedule": None,
        "lane": 0,
        "priority": 0,
        "group": None,
        "exclusive": False,
        "requires_code": False,
    }


def competing() -> dict[str, dict[str, Any]]:
    """Order promotions of every kind, of which one may apply in each of two groups, and one that would be alone."""
    kinds: list[tuple[str, str | None, dict[str, Any]]] = [
        ("amount_off", "a", {"amount": 700, "per": "across"}),
        ("percent_off", "a", {"percent": "5", "cap": 900}),
        ("spend_save", "b", {"threshold": 30_000, "amount": 250, "repeat": True}),
        ("tiered", "b", {"by": "quantity", "steps": [{"from": 5, "percent": "3"}, {"from": 20, "percent": "9"}]}),
        ("percent_off", None, {"percent": "4", "of": "initial"}),
        ("amount_off", "b", {"amount": 300, "per": "across"}),
    ]
    return {
        f"order{place}": {**ten_percent(), "kind": kind, "params": params, "group": group, "priority": -place}
        for place, (kind, group, params) in enumerate(kinds)
    } | {"alone": {**ten_percent(), "exclusive": True, "lane": 1}}


def alone(context: Basket) -> list[Basket]:
    """The lines of a basket, each a basket of its own in the same context."""
    lines = zip(context.skus, context.line_ids, context.quantities_milli, strict=True)
    return [context._replace(skus=(sku,), line_ids=(line,), quantities_milli=(quantity,)) for sku, line, quantity in lines]


def test_skus_alone_are_one_line_baskets_of_their_context() -> None:
    n_lines = 0
    for seed in range(80):
        rng = Random(seed)
        documents = random_book(rng)
        at_us = random_instant(rng)
        try:
            book = compiled(documents, {}, at_us)
        except BookError:
            continue
        context = as_basket(random_basket(rng, documents), at_us)._replace(shipping_minor=None)
        baskets = alone(context)

        one_by_one = Writer(book, baskets, price_baskets(book, baskets))
        priced = Writer(book, baskets, price_each_alone(book, context, context.skus, context.quantities_milli))

        assert priced.tails == one_by_one.tails
        assert priced.promotions.on_orders == one_by_one.promotions.on_orders
        assert priced.status == one_by_one.status
        n_lines += len(baskets)
    assert n_lines > 200


@pytest.mark.parametrize("has_exclusion", [False, True])
def test_order_promotions_take_the_same_of_lines_priced_before(has_exclusion: bool) -> None:
    documents = shop(n_skus=200, n_promotions=0)
    promotions = competing()
    if has_exclusion:
        promotions["order0"]["scope"] = {"include": {}, "exclude": {"skus": [f"SKU-{row}" for row in range(100)]}}
    book = compiled({**documents, "promotions": promotions}, {}, AT_US)
    baskets = [_basket(Random(seed), 200) for seed in range(40)]
    whole = price_baskets(book, baskets)

    later = price_order_level(book, baskets, _lines_of(book, baskets, price_line_level(book, baskets)))

    assert later.total_minor.tolist() == whole.total_minor.tolist()
    assert later.outcome.reason.tolist() == whole.outcome.reason.tolist()
    assert later.applications.line.tolist() == whole.applications.line.tolist()
    assert 0 < int(whole.outcome.is_applied.sum()) < whole.outcome.is_applied.size
    assert [block.amount_minor.tolist() for block in later.outcome.on_orders] == [
        block.amount_minor.tolist() for block in whole.outcome.on_orders
    ]


def test_audience_is_judged_alike_for_few_baskets_and_for_many() -> None:
    """Few lines in a book of many audiences are judged one by one, many lines audience by audience."""
    audiences = [{"attribute": "customer.segments", "op": "contains", "value": f"s{number}"} for number in range(60)]
    promotions = {
        f"p{number}": {
            **ten_percent(),
            "level": "line",
            "group": None,
            "scope": {"include": {"skus": [f"SKU-{number % 20}"]}},
            "conditions": audience,
        }
        for number, audience in enumerate(audiences)
    }
    book = compiled({**shop(n_skus=20, n_promotions=0), "promotions": promotions}, {}, AT_US)
    baskets = [_basket(Random(seed), 20)._replace(segments=(f"s{seed % 60}", f"s{seed % 7}")) for seed in range(200)]
    # Baskets of two contexts often enough that judging audiences is less work.
    many = [basket._replace(segments=("s3", "s9")) for basket in baskets]
    for group in (baskets, many):
        together = price_baskets(book, group)
        reasons = [price_baskets(book, [basket]).outcome.reason.tolist() for basket in group]

        assert together.outcome.reason.tolist() == [reason for own in reasons for reason in own]
        assert together.outcome.is_applied.any()


def test_contexts_are_told_apart_by_their_attributes() -> None:
    promotions = {
        "gift": {
            **ten_percent(),
            "level": "line",
            "group": None,
            "conditions": {"attribute": "attributes.colour", "op": "==", "value": "red"},
        }
    }
    attributes = {"colour": {"type": "string", "personal": False}}
    book = compiled({**shop(n_skus=5, n_promotions=0), "promotions": promotions, "attributes": attributes}, {}, AT_US)
    plain = Basket("USD", ("SKU-1",), ("1",), (1000,), AT_US)
    colours: list[dict[str, str | int | bool]] = [{"colour": "red"}, {"colour": "blue"}, {"colour": "red"}]

    priced = price_baskets(book, [plain, *(plain._replace(attributes=colour) for colour in colours)])

    assert priced.outcome.is_applied.tolist() == [False, True, False, True]


def test_no_lines_at_all_are_priced() -> None:
    book = _shop_book()

    assert price_baskets(book, []).total_minor.size == 0
    unknown = price_each_alone(book, Basket("EUR", (), (), (), AT_US), ["SKU-1", "nothing"], [1000, 1000])
    assert unknown.lines.kept.size == 0
    assert unknown.first_line.tolist() == [0, 0, 0]


def _shop_book() -> PriceBook:
    return compiled(shop(n_skus=20, n_promotions=30), {}, AT_US)


def _basket(rng: Random, n_skus: int) -> Basket:
    skus = tuple(f"SKU-{row}" for row in rng.sample(range(n_skus), rng.randint(1, 20)))
    quantities = tuple(1000 * rng.choice((1, 2, 3)) for _ in skus)
    return Basket("USD", skus, tuple(str(number) for number in range(len(skus))), quantities, AT_US, channel="web")


def _lines_of(book: PriceBook, baskets: Sequence[Basket], priced: Priced) -> LineLevel:
    lines = priced.lines
    return LineLevel(
        lines.basket,
        lines.sku_row,
        lines.quantity_milli,
        lines.list_minor,
        lines.subtotal_minor,
        priced.total_minor,
        by_sequence(book, baskets, priced),
        lines.lowest_minor,
        lines.lowest_rule,
        np.asarray(lines.sale >= 0, np.bool_),
        priced.is_exclusively_taken,
        disputed_lines(book, priced),
    )
