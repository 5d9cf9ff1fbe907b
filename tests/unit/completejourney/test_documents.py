import io
import json
from typing import Any

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from app.catalog import routers as catalog
from app.catalog.import_rows import read_import
from app.completejourney.baskets import basket_requests
from app.completejourney.calendar import local_days, week_of
from app.completejourney.coupons import find_uses
from app.completejourney.documents import Shop, documents_of, reconstruct_shop
from app.completejourney.estimate import Cause, are_equal, causes_of, estimate_lines
from app.completejourney.tables import Tables
from app.pricing.basket import Basket
from app.pricing.book import BookRows, Document, PriceBook
from app.pricing.compile import compile_price_book
from app.pricing.money import parse_quantity_milli
from app.pricing.quote import price_baskets
from app.promotions import routers as promotions
from app.quotes.encode import encode_quotes
from tests.completejourney_support import Sold, Stock, Used, make_tables, utc, week_number

RESOURCES = {resource.name: resource for module in (catalog, promotions) for resource in module.RESOURCES}
# Two soaps of one kind and fuel in January; soap on special in May, when household 2 has a coupon, and a line that weighs nothing.
GALLON = Stock(30, kind="GASOLINE-REG UNLEADED", department="FUEL", category="FUEL")
SOLD = (
    Sold(10, sales=1.99, day=(1, 4)),
    Sold(11, sales=3.98, quantity=2, day=(1, 4)),
    Sold(30, sales=20.06, quantity=8725, day=(1, 4)),
    Sold(10, sales=1.0, retail=0.99, day=(5, 2), basket=2, household=2, coupon=0.4, match=0.1),
    Sold(11, sales=1.99, day=(5, 2), basket=2, household=2),
    Sold(12, sales=0.0, quantity=0, day=(5, 2), basket=2, household=2),
    Sold(10, sales=1.1, retail=0.89, day=(5, 3), basket=3, household=3),
    Sold(10, sales=1.1, retail=0.89, day=(5, 3), basket=4, household=4),
)


@pytest.fixture(scope="module")
def tables() -> Tables:
    stock = [Stock(10), Stock(11, manufacturer=2), Stock(12, kind="", category="", department=""), GALLON]
    return make_tables(SOLD, stock, scopes=[(777, 10), (888, 11)], used=[Used(777, 2, (5, 2)), Used(888, 3, (5, 3))])


@pytest.fixture(scope="module")
def shop(tables: Tables) -> Shop:
    return reconstruct_shop(tables, is_used=np.ones(tables.lines.basket.size, np.bool_))


@pytest.fixture(scope="module")
def rows(shop: Shop) -> dict[str, list[dict[str, Any]]]:
    return {resource: list(documents) for resource, documents in documents_of(shop)}


@pytest.fixture(scope="module")
def book(rows: dict[str, list[dict[str, Any]]]) -> PriceBook:
    documents: dict[str, dict[str, Document]] = {}
    for name, members in rows.items():
        if members:
            file = io.BytesIO(b"\n".join(json.dumps(row).encode() for row in members))
            documents[name] = {
                change.id: Document(change.body or {}, 1) for change in read_import(file, RESOURCES[name], "ndjson").changes
            }
    return compile_price_book(BookRows(1, 0, documents))


def core_basket(request: dict[str, Any]) -> Basket:
    return Basket(
        currency=request["currency"],
        skus=[line["sku"] for line in request["lines"]],
        line_ids=[line["id"] for line in request["lines"]],
        quantities_milli=[parse_quantity_milli(line["quantity"]) for line in request["lines"]],
        at_us=utc(request["at"].removesuffix("Z")) * 1_000_000,
        store=request["store"],
        customer_id=request["customer"]["id"],
        codes=tuple(request["codes"]),
    )


def test_a_product_says_where_it_stands(rows: dict[str, list[dict[str, Any]]]) -> None:
    assert rows["products"][0] == {
        "id": "10",
        "name": "SOAP 1 LB",
        "category": "grocery/cleaning/soap",
        "brand": "National",
        "attributes": {"manufacturer": "1", "size": "1 LB"},
    }
    assert rows["products"][2]["name"] == "Product 12 1 LB"


def test_a_price_that_never_changed_is_one_entry_without_end(rows: dict[str, list[dict[str, Any]]]) -> None:
    of_soap = [row for row in rows["prices"] if row["sku"] == "11"]

    assert of_soap == [
        {"sku": "11", "currency": "USD", "price_list": "default", "unit_price": "199", "valid_from": None, "valid_to": None}
    ]


def test_fuel_is_priced_by_the_gallon(rows: dict[str, list[dict[str, Any]]]) -> None:
    assert [row["unit_price"] for row in rows["prices"] if row["sku"] == "30"] == ["229.9"]


def test_a_special_is_a_sale_price_with_its_week(rows: dict[str, list[dict[str, Any]]]) -> None:
    week = week_number(5, 2)

    assert [row for row in rows["sale-prices"] if row["id"].startswith(f"special-{week - 1:02}")] == [
        {
            "id": f"special-{week - 1:02}-{week + 1:02}-110",
            "name": "Weekly special 110",
            "scope": {"include": {"skus": ["10"]}},
            "currency": "USD",
            "unit_price": "110",
            # The weeks before and after, in which nobody bought it, count as special too.
            "schedule": {"from": "2017-04-24T00:00:00", "to": "2017-05-15T00:00:00", "timezone": "America/New_York"},
        }
    ]


def test_a_coupon_is_worth_what_it_took_and_what_the_shop_added(rows: dict[str, list[dict[str, Any]]]) -> None:
    coupon = rows["promotions"][1]

    assert coupon["id"] == "coupon-777-8"
    assert coupon["params"] == {"amount": 50, "per": "across"}
    assert coupon["conditions"] == {"any": [{"attribute": "customer.id", "op": "in", "value": ["1", "2", "3", "4", "5"]}]}
    assert coupon["schedule"] == {"from": "2017-05-01T00:00:00", "to": "2017-07-01T00:00:00", "timezone": "America/New_York"}
    assert rows["coupons"] == [{"id": "777-8", "promotion": "coupon-777-8", "codes": ["777-8"]}]


def test_a_coupon_of_unknown_worth_is_no_promotion(rows: dict[str, list[dict[str, Any]]]) -> None:
    assert [row["id"] for row in rows["promotions"]] == ["associates-own-brand", "coupon-777-8"]


def test_coupons_are_shown_with_the_basket_that_has_their_products(tables: Tables, shop: Shop) -> None:
    uses = find_uses(tables.coupons, shop.offers, tables.lines)

    assert {basket: [offer.code for offer in offers] for basket, offers in uses.offers_of_basket.items()} == {2: ["777-8"]}
    # Household 3 bought nothing of coupon 888 on that day.
    assert (uses.without_basket, uses.of_unknown_worth) == (1, 0)


def test_baskets_are_asked_for_as_they_were_bought(tables: Tables, shop: Shop) -> None:
    first, second, *_ = basket_requests(shop, find_uses(tables.coupons, shop.offers, tables.lines))

    assert first.request["lines"][2] == {"id": "3", "sku": "30", "quantity": "8.725"}
    assert second.request == {
        "currency": "USD",
        "store": "1",
        "customer": {"id": "2"},
        "lines": [{"id": "1", "sku": "10", "quantity": 1}, {"id": "2", "sku": "11", "quantity": 1}],
        "codes": ["777-8"],
        "at": "2017-05-02T18:00:00Z",
        "partial": True,
    }


def test_the_engine_and_the_arithmetic_agree_on_every_line(tables: Tables, shop: Shop, book: PriceBook) -> None:
    uses = find_uses(tables.coupons, shop.offers, tables.lines)
    requests = list(basket_requests(shop, uses))
    baskets = [core_basket(asked.request) for asked in requests]

    quotes = encode_quotes(book, baskets, price_baskets(book, baskets), partial=[True] * len(baskets))

    estimate = estimate_lines(shop, uses)
    for asked, quote in zip(requests, quotes, strict=True):
        totals = [line["total"] for line in json.loads(b"{" + quote.body + b"}")["lines"]]
        assert totals == estimate.total_minor[asked.rows].tolist()
    # 1.99, 3.98 and 20.06; then 1.10 less the coupon, for which 0.60 was paid after the coupon on 1.00; 1.99; 1.10 twice.
    assert estimate.total_minor.tolist() == [199, 398, 2006, 60, 199, 0, 110, 110]
    assert are_equal(estimate, tables.lines).tolist() == [True, True, True, True, True, False, True, True]


def test_the_rest_has_causes(shop: Shop) -> None:
    estimate = estimate_lines(shop, find_uses(shop.tables.coupons, [], shop.tables.lines))

    causes = causes_of(shop, estimate)

    assert causes[3] == Cause.COUPON_UNKNOWN
    assert causes[2] == Cause.FUEL
    assert causes[5] == Cause.NO_PRICE


def test_days_and_weeks_are_local() -> None:
    # Midnight in New York is 05:00 UTC in winter, 04:00 in summer.
    at_s = np.array(
        [utc("2017-01-09T04:59:59"), utc("2017-01-09T05:00:00"), utc("2017-07-03T03:59:59"), utc("2017-07-03T04:00:00")]
    )

    assert week_of(at_s).tolist() == [2, 3, 27, 28]
    assert np.diff(local_days(at_s)).tolist() == [1, 174, 1]
