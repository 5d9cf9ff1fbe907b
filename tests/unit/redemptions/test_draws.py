"""What quotes draw on, worked by hand."""

from typing import Any

import pytest

from app.pricing.basket import Left
from app.redemptions.draws import Unknown, draws_of, sold_milli
from app.redemptions.limits import Earlier
from app.redemptions.protocol import Draw, Grant, Part
from tests.unit.redemptions.shop import EVERYTHING, drawn, limits_of, promotion, quote, shop


def amounts(draws: tuple[Draw, ...]) -> dict[str, int]:
    return {draw.meter: draw.amount for draw in draws}


def test_promotion_draws_a_use_and_its_discount_line_by_line() -> None:
    limits = {"uses": 100, "uses_per_customer": 2, "budget": 50_000}
    documents = shop(promotions={"ten": promotion(limits=limits)})

    found = drawn(documents, ("MUG", 2), ("PAN", 1), customer="c-1")

    # 10 % of 20.00 is 2.00, of 40.00 4.00.
    assert found.draws == (
        Draw("promotions/ten/budget", 600, 50_000, 7, None, (Part("1", 200), Part("2", 400))),
        Draw("promotions/ten/customers/c-1", 1, 2, 7, "c-1"),
        Draw("promotions/ten/uses", 1, 100, 7),
    )
    assert (found.grants, found.needs_customer, found.unknown) == ((), (), ())


def test_promotion_that_did_not_apply_draws_nothing() -> None:
    limits = {"uses": 100, "uses_per_customer": 1}
    scope = {"include": {"skus": ["CANDLE"]}, "exclude": {}}

    found = drawn(shop(promotions={"ten": promotion(limits=limits, scope=scope)}), ("MUG", 2))

    assert found == ((), (), (), ())


def test_windows_begin_on_local_dates() -> None:
    # 03:30 UTC on Sunday the 29th is 22:30 on Saturday the 28th in New York; the week began on Monday the 23rd.
    schedule = {"from": "2026-01-01T00:00:00", "to": None, "timezone": "America/New_York"}
    limits = {"uses_per_day": 5, "uses_per_week": 6, "uses_per_month": 7, "uses_per_customer_per_day": 1}
    documents = shop(
        promotions={"here": promotion(limits=limits, schedule=schedule), "there": promotion(limits={"uses_per_day": 9})}
    )

    found = drawn(documents, ("MUG", 1), customer="a/b")

    assert amounts(found.draws) == {
        "promotions/here/customers/a%2Fb/day/2026-11-28": 1,
        "promotions/here/uses/day/2026-11-28": 1,
        "promotions/here/uses/month/2026-11-01": 1,
        "promotions/here/uses/week/2026-11-23": 1,
        "promotions/there/uses/day/2026-11-29": 1,
    }


def test_limit_by_customer_needs_a_customer() -> None:
    limits = {"uses_per_customer": 1, "uses": 4}
    documents = shop(
        promotions={"ten": promotion(limits=limits)},
        sale_prices={"flash": {"name": "F", "scope": EVERYTHING, "percent": "5", "per_customer_cap": 2}},
    )

    found = drawn(documents, ("MUG", 1))

    assert found.needs_customer == ("promotions/ten/customers", "sale-prices/flash/customers")
    assert amounts(found.draws) == {"promotions/ten/uses": 1}


def test_order_promotion_is_counted_once_and_less_what_a_guardrail_gives_back() -> None:
    off: dict[str, Any] = {"level": "order", "params": {"amount": 2_000, "per": "across"}, "limits": {"budget": 9_000}}
    floor = {"name": "G", "scope": {"include": {"skus": ["PAN"]}, "exclude": {}}, "currency": "USD", "floor": "3900"}
    documents = shop(promotions={"off": promotion("amount_off", **off)}, guardrails={"pans": floor})

    found = drawn(documents, ("MUG", 1), ("PAN", 1))

    # 20.00 off 10.00 and 40.00: the pan may go down by 1.00 and the mug by 10.00, so 9.00 are given back.
    assert found.draws == (Draw("promotions/off/budget", 1_100, 9_000, 7, None, (Part("1", 1_000), Part("2", 100))),)


def test_line_promotion_draws_less_what_a_guardrail_gives_back() -> None:
    floor = {"name": "G", "scope": {"include": {"skus": ["PAN"]}, "exclude": {}}, "currency": "USD", "floor": "3900"}
    half = promotion(params={"percent": "50"}, limits={"budget": 9_000, "uses": 3})
    documents = shop(promotions={"half": half}, guardrails={"pans": floor})

    found = drawn(documents, ("PAN", 1), ("MUG", 1), ("MUG", 1))

    # Of 20.00 off the pan 19.00 are given back.
    assert found.draws == (
        Draw("promotions/half/budget", 1_100, 9_000, 7, None, (Part("1", 100), Part("2", 500), Part("3", 500))),
        Draw("promotions/half/uses", 1, 3, 7),
    )


def test_use_counts_where_all_was_given_back() -> None:
    floor = {"name": "G", "scope": EVERYTHING, "currency": "USD", "floor": "4000"}
    documents = shop(promotions={"half": promotion(limits={"budget": 9_000, "uses": 3})}, guardrails={"pans": floor})

    found = drawn(documents, ("PAN", 1))

    assert found.draws == (Draw("promotions/half/uses", 1, 3, 7),)


def test_campaign_draws_what_its_promotions_give_together() -> None:
    gift = promotion(
        "gift", params={"skus": ["CANDLE", "MUG"], "choose": 1, "quantity": 2}, limits={"gifts": 40, "budget": 7_000}
    )
    documents = shop(
        promotions={
            "ten": promotion(),
            "free": promotion("shipping", level="shipping"),
            "gift": gift,
            "other": promotion(lane=1),
        },
        campaigns={
            "feast": {"name": "F", "promotions": ["ten", "free", "gift"], "budget": 90_000, "currency": "USD"},
            "euro": {"name": "E", "promotions": ["ten"], "budget": 90_000, "currency": "EUR"},
            "none": {"name": "N", "promotions": ["ten"], "budget": None, "currency": None},
        },
    )

    found = drawn(documents, ("PAN", 1), ("MUG", 1), shipping=590)

    # 10 % of 40.00 and of 10.00, 5.90 of shipping, and two mugs at 10.00, the dearest that can be chosen. What is of no line has no part.
    assert found.draws == (
        Draw("campaigns/feast/budget", 500 + 590 + 2_000, 90_000, 7, None, (Part("1", 400), Part("2", 100))),
        Draw("promotions/gift/budget", 2_000, 7_000, 7),
        Draw("promotions/gift/gifts", 2_000, 40_000, 7),
    )


def test_gift_of_all_its_products_draws_each() -> None:
    gift = promotion("gift", params={"skus": ["CANDLE", "MUG"], "quantity": "0.5"}, limits={"gifts": 3})

    found = drawn(shop(promotions={"gift": gift}), ("PAN", 1))

    assert found.draws == (Draw("promotions/gift/gifts", 1_000, 3_000, 7),)


def test_points_promotion_draws_a_use() -> None:
    double = promotion("points", params={"multiplier": "2"}, limits={"uses": 3, "budget": 5})
    documents = shop({"points": {"USD": {"worth": "1", "earn": "0.01"}}}, promotions={"double": double})

    assert amounts(drawn(documents, ("MUG", 1)).draws) == {"promotions/double/uses": 1}


def test_codes_draw_on_the_coupon_that_they_belong_to() -> None:
    seed = "000102030405060708090a0b0c0d0e0f"
    documents = shop(
        promotions={"listed": promotion(requires_code=True), "made": promotion(requires_code=True), "free": promotion()},
        coupons={
            "LISTED": {
                "promotion": "listed",
                "codes": ["A/B", "C"],
                "generate": None,
                "limits": {"uses": 10, "uses_per_customer": 2, "uses_per_code": 5},
            },
            "MADE": {"promotion": "made", "codes": [], "generate": {"count": 100, "prefix": "SP-", "seed": seed}},
            "FREE": {"promotion": "free", "codes": ["FREE"], "generate": None},
        },
    )

    found = drawn(documents, ("MUG", 1), codes=["a/b", "SP-MM8BNQKSEL6UYPYHCQ", "FREE"], customer="c-1")

    assert found.draws == (
        Draw("coupons/LISTED/codes/A%2FB", 1, 5, 7),
        Draw("coupons/LISTED/customers/c-1", 1, 2, 7, "c-1"),
        Draw("coupons/LISTED/uses", 1, 10, 7),
        Draw("coupons/MADE/codes/SP-MM8BNQKSEL6UYPYHCQ", 1, 1, 7),
    )
    assert found.unknown == ()


def test_sale_price_draws_the_units_sold_at_it() -> None:
    sale = {
        "name": "F",
        "scope": {"include": {"skus": ["MUG"]}, "exclude": {}},
        "percent": "5",
        "stock_cap": 40,
        "per_customer_cap": 6,
    }
    documents = shop(sale_prices={"flash": sale})

    found = drawn(documents, ("MUG", 2), ("PAN", 9), ("MUG", "1.5"), customer="c-1")

    parts = (Part("1", 2_000), Part("3", 1_500))
    assert found.draws == (
        Draw("sale-prices/flash/customers/c-1", 3_500, 6_000, 7, "c-1", parts),
        Draw("sale-prices/flash/units", 3_500, 40_000, 7, None, parts),
    )


def test_sale_price_for_a_part_of_a_line_draws_that_part() -> None:
    sale = {"name": "F", "scope": EVERYTHING, "percent": "5", "stock_cap": 40}
    documents = shop(sale_prices={"flash": sale})
    quoted = quote(documents, ("MUG", 1), ("MUG", 5), ("PAN", 2), left=(Left("flash", "units", 3_000),))

    found = draws_of(quoted, customer=None, limits=limits_of(documents))

    # Of three units one is the first line's and two the second's, which has none left for the third.
    parts = (Part("1", 1_000), Part("2", 2_000))
    assert found.draws == (Draw("sale-prices/flash/units", 3_000, 40_000, 7, None, parts),)
    assert sold_milli(quoted) == {"1": 1_000, "2": 5_000, "3": 2_000}


def test_rules_that_are_gone_are_asked_for_as_they_were() -> None:
    coupon = {"promotion": "ten", "codes": ["SAVE"], "generate": None, "limits": {"uses": 3}}
    sale = {"name": "F", "scope": EVERYTHING, "percent": "5", "stock_cap": 40}
    ten = promotion(requires_code=True, limits={"uses": 9})
    documents = shop(promotions={"ten": ten}, coupons={"SAVE": coupon}, sale_prices={"flash": sale})
    quoted = quote(documents, ("MUG", 1), codes=["SAVE"])
    campaign = {"name": "C", "promotions": ["ten"], "budget": 500, "currency": "USD"}
    limits = limits_of(shop(campaigns={"later": campaign}), version=9)

    found = draws_of(quoted, customer=None, limits=limits)
    other = {"promotion": "ten", "codes": ["OTHER"], "generate": None, "limits": {"uses": 1}}
    earlier = Earlier(
        7,
        {
            "promotions": {"ten": ten},
            "coupons": {"OTHER": other, "SAVE": coupon},
            "sale-prices": {"flash": sale | {"stock_cap": 8}},
        },
    )
    again = draws_of(quoted, customer=None, limits=limits.with_earlier(earlier))
    nowhere = draws_of(quoted, customer=None, limits=limits.with_earlier(Earlier(7, {"promotions": {"ten": None}})))

    assert found.unknown == (Unknown("coupons", "ten", "SAVE"), Unknown("promotions", "ten"), Unknown("sale-prices", "flash"))
    # Their caps are those of version 7, that of the campaign, which there is, is of version 9. 10 % of 9.50 are 0.95.
    assert again.draws == (
        Draw("campaigns/later/budget", 95, 500, 9, None, (Part("1", 95),)),
        Draw("coupons/SAVE/uses", 1, 3, 7),
        Draw("promotions/ten/uses", 1, 9, 7),
        Draw("sale-prices/flash/units", 1_000, 8_000, 7, None, (Part("1", 1_000),)),
    )
    assert again.unknown == ()
    assert (amounts(nowhere.draws), nowhere.unknown) == ({"campaigns/later/budget": 95}, ())


@pytest.mark.parametrize("has_balances", [True, False])
def test_points_are_drawn_from_a_balance_and_granted_to_it(has_balances: bool) -> None:
    program = {"worth": "1", "earn": "0.01", "balances": has_balances}
    documents = shop({"points": {"USD": program}})

    found = drawn(documents, ("MUG", 1), ("CANDLE", 1), points=301, customer="c-1")
    nobody = drawn(documents, ("MUG", 1), points=1)
    nothing_taken = drawn(documents, ("MUG", 1))

    # 301 over 10.00 and 5.00: 200 and 100, the one that is left to the larger remainder. 15.00 less 3.01 earn 11: 7 and 3, one more to the second.
    assert found == (
        (
            (Draw("points/c-1", 301, None, 7, "c-1", (Part("1", 201), Part("2", 100))),),
            (Grant("points/c-1", 11, "c-1", (Part("1", 7), Part("2", 4))),),
            (),
            (),
        )
        if has_balances
        else ((), (), (), ())
    )
    assert nobody.needs_customer == (("points",) if has_balances else ())
    assert nothing_taken == ((), (), (), ())
