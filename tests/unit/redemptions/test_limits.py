"""The limits of a book's rules, and the names of their meters."""

from datetime import date
from typing import Any

import pytest

from app.pricebook.documents import replace_documents
from app.pricing.book import BookRows, Document
from app.pricing.compile import compile_price_book
from app.redemptions.limits import Limits
from app.redemptions.meter_names import MeterName, decode_part, encode_part, points_meter, read_meter
from tests.unit.redemptions.shop import AT, book_of, limits_of, promotion, shop

ALL = {
    name: number
    for number, name in enumerate(
        (
            f"{subject}{window}"
            for subject in ("uses", "uses_per_customer")
            for window in ("", "_per_day", "_per_week", "_per_month")
        ),
        1,
    )
} | {"budget": 900, "gifts": 3}


def coupon(*codes: str, **more: Any) -> dict[str, Any]:
    return {"promotion": "ten", "codes": list(codes), "generate": None, "limits": {"uses": 5}} | more


def test_meter_of_each_limit_is_read_back() -> None:
    seed = "000102030405060708090a0b0c0d0e0f"
    everything = {"uses": 5, "uses_per_customer": 1, "uses_per_code": 2}
    documents = shop(
        promotions={"ten": promotion(limits=ALL)},
        coupons={
            "SAVE": coupon("A", limits=everything),
            "MADE": coupon(generate={"count": 9, "prefix": "SP-", "seed": seed}, limits=None),
        },
        campaigns={"feast": {"name": "F", "promotions": ["ten", "ten"], "budget": 7, "currency": "USD"}},
        sale_prices={"flash": {"name": "F", "scope": {}, "percent": "5", "stock_cap": 40, "per_customer_cap": 2}},
    )
    limits = limits_of(documents)
    own = (
        limits.of_promotion("ten"),
        limits.of_code("A"),
        limits.of_code("SP-MM8BNQKSEL6UYPYHCQ"),
        limits.of_sale_price("flash"),
    )

    found = [(limit, limit.meter(AT, "x/%2F")) for some in own for limit in some or ()]
    read = [read_meter(meter) for _, meter in found]

    assert [None if one is None else one.limit for one in read] == [limit.name for limit, _ in found]
    assert len(set(read)) == len(found) == 8 + 2 + 1 + 3 + 1 + 2
    assert {one.customer or one.code for one in read if one is not None} == {"x/%2F", None}
    assert {limit.name: limit.cap for limit, _ in found if limit.unit == "milli"} == {
        "gifts": 3_000,
        "units": 40_000,
        "units_per_customer": 2_000,
    }
    assert {limit.version for limit, _ in found} == {7}


@pytest.mark.parametrize(
    ("meter", "name"),
    [
        ("promotions/a/uses/week/2026-11-23", MeterName("uses_per_week", "promotions", "a", first_date=date(2026, 11, 23))),
        (
            "promotions/a/customers/c%2F1/month/2026-11-01",
            MeterName("uses_per_customer_per_month", "promotions", "a", "c/1", None, date(2026, 11, 1)),
        ),
        ("coupons/a/codes/X", MeterName("coupon_uses_per_code", "coupons", "a", code="X")),
        ("campaigns/a/budget", MeterName("campaign_budget", "campaigns", "a")),
        ("points/c%252F", MeterName("points", "", "", "c%2F")),
        ("promotions/a/uses/year/2026-01-01", None),
        ("promotions/a/uses/day/2026-02-30", None),
        ("promotions/a/customers", None),
        ("coupons//uses", None),
        ("points/", None),
        ("points/a/b", None),
        ("", None),
    ],
)
def test_meter_says_what_it_counts(meter: str, name: MeterName | None) -> None:
    assert read_meter(meter) == name


@pytest.mark.parametrize("text", ["a", "a/b", "50%", "%2F", "%252F/", "é漢"])
def test_parts_of_ids_are_read_back(text: str) -> None:
    assert decode_part(encode_part(text)) == text
    assert points_meter(text).count("/") == 1


def test_what_is_not_there_is_told_from_what_has_no_limits() -> None:
    documents = shop(
        promotions={"free": promotion(), "ten": promotion()},
        coupons={"FREE": coupon("FREE", limits=None)},
        campaigns={"feast": {"name": "F", "promotions": ["gone"], "budget": 7, "currency": "USD"}},
    )
    limits = limits_of(documents)

    assert (limits.of_promotion("free"), limits.of_code("FREE")) == ((), ())
    assert (limits.of_promotion("gone"), limits.of_code("GONE"), limits.of_sale_price("gone")) == (None, None, None)


def test_next_version_takes_over_what_did_not_change() -> None:
    documents = shop(
        promotions={"ten": promotion(limits={"uses": 3})},
        coupons={"ONE": coupon("A", "B"), "TWO": coupon("C"), "THREE": coupon("E", limits=None), "LAST": coupon("F")},
        campaigns={"feast": {"name": "F", "promotions": ["ten"], "budget": 7, "currency": "USD"}},
    )
    first = book_of(documents)
    before = Limits(7, first.sources.documents, first.promotions.codes)
    # B moves from the first to the second, which loses C; the third gets limits, another one is new, the last one goes.
    changes = {"ONE": coupon("A"), "TWO": coupon("B"), "THREE": coupon("E"), "FOUR": coupon("D"), "LAST": None}
    changed = replace_documents(
        first.sources.documents,
        [("coupons", name, None if body is None else Document(body, 2)) for name, body in changes.items()],
    )
    after = compile_price_book(BookRows(8, first.published_at_us, changed))

    limits = Limits(8, changed, after.promotions.codes, before=before)

    starts = {code: [limit.start for limit in limits.of_code(code) or ()] for code in "ABCDEF"}
    assert starts == {
        "A": ["coupons/ONE/uses"],
        "B": ["coupons/TWO/uses"],
        "C": [],
        "D": ["coupons/FOUR/uses"],
        "E": ["coupons/THREE/uses"],
        "F": [],
    }
    assert limits.of_code("C") is None
    assert [(limit.name, limit.version) for limit in limits.of_promotion("ten") or ()] == [("uses", 8), ("campaign_budget", 8)]
    assert limits._campaigns is before._campaigns
