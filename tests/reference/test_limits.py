"""Limits, worked by hand: promotions with nothing left, budgets that do not suffice, and sale prices with so many units."""

from typing import Any

import pytest

from tests.reference.both import both
from tests.reference.builders import Resources, amount_off, floor, only, percent_off, prices, promotion, tiers
from tests.reference.shop import Body


def left(rule: str, limit: str, value: int | str) -> Body:
    return {"rule": rule, "limit": limit, "left": value}


def sale(**more: Any) -> Body:
    return {
        "name": "S",
        "scope": only(),
        "currency": "USD",
        "unit_price": None,
        "percent": None,
        "amount": None,
        "schedule": None,
    } | more


def amounts(reply: Body) -> list[tuple[int, int]]:
    return [(line["subtotal"], line["total"]) for line in reply["lines"]]


def steps(reply: Body, line: int = 0) -> list[tuple[str, str | None, str, str]]:
    return [(each["step"], each.get("units"), each["before"], each["after"]) for each in reply["lines"][line]["price_steps"]]


def test_promotion_without_uses_left_does_not_apply_and_says_so_before_its_condition() -> None:
    book: Resources = {
        "prices": prices(A="1000"),
        "promotions": {"ten": percent_off("10", conditions={"attribute": "order.subtotal", "op": ">=", "value": 999_999})},
    }
    reply = both([("A", 1)], book, limited=[left("ten", "uses_per_day", 0)])

    assert amounts(reply) == [(1000, 1000)]
    assert reply["not_applied"] == [{"rule": "ten", "reason": "limit_reached", "limit": "uses_per_day", "left": 0}]
    assert reply["limited"] == [left("ten", "uses_per_day", 0)]


def test_promotion_with_uses_left_applies_as_ever_and_the_reply_repeats_what_it_was_told() -> None:
    book: Resources = {"prices": prices(A="1000"), "promotions": {"ten": percent_off("10")}}
    plain, limited = both([("A", 1)], book), both([("A", 1)], book, limited=[left("ten", "uses", 3)])

    assert limited == {**plain, "limited": [left("ten", "uses", 3)]}
    assert "limited" not in plain


@pytest.mark.parametrize(("budget", "total"), [(300, 2700), (299, 3000)])
def test_budget_is_enough_or_the_promotion_gives_nothing(budget: int, total: int) -> None:
    book: Resources = {"prices": prices(A="1000", B="2000"), "promotions": {"ten": percent_off("10")}}
    reply = both([("A", 1), ("B", 1)], book, limited=[left("ten", "budget", budget)])

    assert reply["total"] == total
    expected = [] if total == 2700 else [{"rule": "ten", "reason": "limit_reached", "limit": "budget", "left": 299}]
    assert reply["not_applied"] == expected


def test_budget_is_drawn_by_what_the_guardrail_lets_through() -> None:
    # Half of 1000 would be 500, and the floor of 900 leaves 100 of it.
    book: Resources = {"prices": prices(A="1000"), "promotions": {"half": percent_off("50")}, "guardrails": {"g": floor("900")}}

    assert both([("A", 1)], book, limited=[left("half", "budget", 100)])["total"] == 900
    assert both([("A", 1)], book, limited=[left("half", "budget", 99)])["total"] == 1000


def test_promotions_of_a_campaign_share_its_budget_in_their_sequence() -> None:
    # a takes 100, b 90 of what is left, c 405 of the order: 190 are there for a and b, and c may not go beyond.
    book: Resources = {
        "prices": prices(A="1000"),
        "promotions": {"a": percent_off("10"), "b": percent_off("10"), "c": percent_off("50", level="order")},
        "campaigns": {"spring": {"name": "S", "promotions": ["a", "b", "c"], "budget": 999, "currency": "USD"}},
    }
    reply = both([("A", 1)], book, limited=[left("spring", "campaign_budget", 190)])

    assert reply["total"] == 810
    assert reply["not_applied"] == [{"rule": "c", "reason": "limit_reached", "limit": "campaign_budget", "left": 190}]


def test_best_chooses_anew_when_the_best_one_cannot_be_paid() -> None:
    book: Resources = {
        "prices": prices(A="1000"),
        "promotions": {"half": percent_off("50", group="g"), "ten": percent_off("10", group="g")},
        "policy": {"selection": "best"},
    }
    reply = both([("A", 1)], book, limited=[left("half", "budget", 499)])

    assert reply["total"] == 900
    assert [entry["rule"] for entry in reply["lines"][0]["adjustments"]] == ["ten"]
    assert reply["not_applied"] == [{"rule": "half", "reason": "limit_reached", "limit": "budget", "left": 499}]


def test_gift_is_there_as_long_as_enough_of_it_is() -> None:
    gift = promotion("gift", {"skus": ["B", "C"], "quantity": "1.5"}, level="order")
    book: Resources = {"prices": prices(A="1000", B="200", C="100"), "promotions": {"gift": gift}}

    assert [each["worth"] for each in both([("A", 1)], book, limited=[left("gift", "gifts", "3")])["gifts"]] == [450]
    none = both([("A", 1)], book, limited=[left("gift", "gifts", "2.999")])
    assert (none["gifts"], none["not_applied"]) == (
        [],
        [{"rule": "gift", "reason": "limit_reached", "limit": "gifts", "left": "2.999"}],
    )
    # What is given counts by its worth where it is money that is short.
    assert both([("A", 1)], book, limited=[left("gift", "budget", 449)])["gifts"] == []


def test_shipping_promotion_draws_on_its_budget() -> None:
    book: Resources = {
        "prices": prices(A="1000"),
        "promotions": {"free": promotion("shipping", {"percent": "100"}, level="shipping")},
    }

    assert both([("A", 1)], book, shipping=490, limited=[left("free", "budget", 490)])["total"] == 1000
    assert both([("A", 1)], book, shipping=490, limited=[left("free", "budget", 489)])["total"] == 1490


def test_code_of_a_coupon_that_is_used_up_unlocks_nothing_and_another_one_does() -> None:
    book: Resources = {
        "prices": prices(A="1000"),
        "promotions": {"ten": percent_off("10", requires_code=True)},
        "coupons": {"old": {"promotion": "ten", "codes": ["OLD"]}, "new": {"promotion": "ten", "codes": ["NEW"]}},
    }
    spent = {"rule": "ten", "code": "OLD", "reason": "limit_reached", "limit": "coupon_uses", "left": 0}

    alone = both([("A", 1)], book, codes=["OLD"], limited=[left("old", "coupon_uses", 0)])
    together = both([("A", 1)], book, codes=["OLD", "NEW"], limited=[left("old", "coupon_uses", 0)])
    assert (alone["total"], alone["not_applied"]) == (1000, [spent])
    assert (together["total"], together["not_applied"]) == (900, [spent])
    assert together["lines"][0]["adjustments"][0]["code"] == "NEW"


def test_what_a_customer_has_used_up_counts_like_what_all_have() -> None:
    book: Resources = {
        "prices": prices(A="1000"),
        "promotions": {"ten": percent_off("10"), "five": percent_off("5")},
        "sale-prices": {"flash": sale(percent="50")},
    }
    daily = {"rule": "ten", "reason": "limit_reached", "limit": "uses_per_customer_per_day", "left": 0}

    reply = both(
        [("A", 4)], book, limited=[left("ten", "uses_per_customer_per_day", 0), left("flash", "units_per_customer", "1")]
    )
    lesser = both([("A", 4)], book, limited=[left("flash", "units_per_customer", "3"), left("flash", "units", "2")])

    # One of four at half the price: 3500, less 5 %.
    assert (reply["total"], reply["not_applied"]) == (3325, [daily])
    # Two of four: 3000, less 10 % and then 5 %.
    assert lesser["total"] == 2565


def test_a_code_that_is_used_up_leaves_the_other_codes_of_its_coupon() -> None:
    book: Resources = {
        "prices": prices(A="1000"),
        "promotions": {"ten": percent_off("10", requires_code=True)},
        "coupons": {"c": {"promotion": "ten", "codes": ["OLD", "NEW"]}},
    }
    counter = left("c", "coupon_uses_per_code", 0) | {"code": "OLD"}
    spent = {"rule": "ten", "code": "OLD", "reason": "limit_reached", "limit": "coupon_uses_per_code", "left": 0}

    reply = both([("A", 1)], book, codes=["OLD", "NEW"], limited=[counter])
    of_customer = both([("A", 1)], book, codes=["NEW"], limited=[left("c", "coupon_uses_per_customer", 0)])

    assert (reply["total"], reply["not_applied"], reply["limited"]) == (900, [spent], [counter])
    assert of_customer["total"] == 1000


def test_counters_of_what_the_book_does_not_have_change_nothing() -> None:
    book: Resources = {"prices": prices(A="1000"), "promotions": {"ten": percent_off("10", requires_code=True)}}
    coded: Resources = {**book, "coupons": {"c": {"promotion": "ten", "codes": ["SAVE"]}}}
    gone = [left("gone", "coupon_uses", 0), left("gone", "gifts", "0.5"), left("ten", "gifts", "0.5")]

    assert both([("A", 1)], book, codes=["SAVE"], limited=gone)["not_applied"] == [{"code": "SAVE", "reason": "code_invalid"}]
    assert both([("A", 1)], coded, codes=["SAVE"], limited=gone)["total"] == 900


def test_used_up_code_refuses_the_request_where_all_codes_must_apply() -> None:
    book: Resources = {
        "prices": prices(A="1000"),
        "promotions": {"ten": percent_off("10", requires_code=True)},
        "coupons": {"old": {"promotion": "ten", "codes": ["OLD"]}},
        "policy": {"coupon_failure": "all"},
    }
    reply = both([("A", 1)], book, codes=["OLD"], limited=[left("old", "coupon_uses", 0)])

    assert reply["errors"] == [["codes[0]", "limit_reached"]]


def test_sale_price_holds_for_the_units_left_and_the_rest_keeps_the_price_before_it() -> None:
    book: Resources = {"prices": prices(A="1000"), "sale-prices": {"flash": sale(unit_price="700")}}
    reply = both([("A", 10)], book, limited=[left("flash", "units", "3")])

    # 3 at 700 and 7 at 1000.
    assert amounts(reply) == [(9100, 9100)]
    assert reply["lines"][0]["unit_price"] == "910"
    assert steps(reply) == [("sale", "3", "1000", "910")]


def test_units_go_to_the_lines_in_their_order() -> None:
    book: Resources = {"prices": prices(A="1000", B="500"), "sale-prices": {"flash": sale(percent="50")}}
    reply = both([("A", 2), ("B", 3), ("A", 1)], book, limited=[left("flash", "units", "4")])

    # 2 of A at 500; of B 2 at 250 and one at 500; nothing is left for the last.
    assert amounts(reply) == [(1000, 1000), (1000, 1000), (1000, 1000)]
    assert [steps(reply, number) for number in range(3)] == [
        [("sale", None, "1000", "500")],
        [("sale", "2", "500", "333.3333")],
        [],
    ]


def test_part_of_a_sale_may_be_worth_less_than_the_whole_of_another() -> None:
    # All 10 at 900 are 9000; 2 at 500 and 8 at 1000 are 9000 too, and the lower id goes first; with one unit more it is worth it.
    book: Resources = {
        "prices": prices(A="1000"),
        "sale-prices": {"b-flash": sale(unit_price="500"), "a-week": sale(unit_price="900")},
    }

    even = both([("A", 10)], book, limited=[left("b-flash", "units", "2")])
    better = both([("A", 10)], book, limited=[left("b-flash", "units", "3")])
    assert (amounts(even), steps(even)) == ([(9000, 9000)], [("sale", None, "1000", "900")])
    assert (amounts(better), steps(better)) == ([(8500, 8500)], [("sale", "3", "1000", "850")])


def test_units_fall_on_all_tiers_in_proportion_and_are_rounded_once() -> None:
    graduated = tiers("graduated", (2, "1000"), (None, "900"))
    book: Resources = {
        "prices": prices({"sku": "A", "unit_price": "1000", "tiers": graduated}),
        "sale-prices": {"flash": sale(percent="50")},
    }
    reply = both([("A", 3)], book, limited=[left("flash", "units", "1")])

    # 2 × 1000 + 900 = 2900, half of it 1450 on sale: a third of the one and two thirds of the other are 2416.67.
    assert amounts(reply) == [(2417, 2417)]
    assert steps(reply) == [("tier", None, "1000", "966.6667"), ("sale", "1", "966.6667", "805.5556")]
    assert reply["lines"][0]["unit_price"] == "805.6667"


def test_lines_of_a_mix_pay_alike_and_the_units_are_told_in_their_order() -> None:
    mixed = tiers("volume", (4, "1000"), (None, "800"), mix="sku")
    book: Resources = {
        "prices": prices({"sku": "A", "unit_price": "1000", "tiers": mixed}),
        "sale-prices": {"flash": sale(unit_price="500")},
    }
    reply = both([("A", 2), ("A", 4)], book, limited=[left("flash", "units", "3")])

    # Six at 800, three of them at 500: 3900, by quantity 1300 and 2600.
    assert amounts(reply) == [(1300, 1300), (2600, 2600)]
    assert [steps(reply, number)[1] for number in range(2)] == [("sale", "2", "800", "650"), ("sale", "1", "800", "650")]


def test_floor_binds_the_units_on_sale_alone() -> None:
    book: Resources = {
        "prices": prices(A="1000"),
        "sale-prices": {"flash": sale(unit_price="500")},
        "guardrails": {"g": floor("800")},
    }
    reply = both([("A", 4)], book, limited=[left("flash", "units", "1")])

    # One unit at 500 is held at 800.
    assert amounts(reply) == [(3800, 3800)]
    assert [each[0] for each in steps(reply)] == ["sale", "guardrail"]


def test_whole_unit_prices_are_blended_before_they_are_rounded() -> None:
    book: Resources = {
        "prices": prices(A="333"),
        "sale-prices": {"flash": sale(percent="50")},
        "policy": {"rounding_level": "unit"},
    }
    reply = both([("A", "1.5")], book, limited=[left("flash", "units", "0.5")])

    # Half of 333 takes 167 off the unit: 0.5 × 166 + 1 × 333 = 416.
    assert amounts(reply) == [(416, 416)]


def test_line_with_one_unit_on_sale_is_on_sale() -> None:
    book: Resources = {
        "prices": prices(A="1000"),
        "sale-prices": {"flash": sale(unit_price="500")},
        "promotions": {"ten": percent_off("10", not_on_sale=True)},
    }

    assert both([("A", 5)], book, limited=[left("flash", "units", "1")])["not_applied"] == [{"rule": "ten", "reason": "on_sale"}]
    assert both([("A", 5)], book, limited=[left("flash", "units", "0")])["total"] == 4500


def test_line_without_a_price_takes_no_units() -> None:
    foreign = [{"sku": "B", "unit_price": "1000", "price_list": "net"}, {"sku": "A", "unit_price": "1000"}]
    book: Resources = {
        "prices": prices(*foreign),
        "price-lists": {"net": {"name": None, "priority": 0, "tax_included": True, "match": {}}},
        "sale-prices": {"flash": sale(unit_price="500")},
    }
    reply = both([("A", 1), ("B", 5), ("A", 2)], book, partial=True, limited=[left("flash", "units", "3")])

    assert [line.get("subtotal", line.get("error")) for line in reply["lines"]] == [500, {"code": "mixed_tax"}, 1000]


def test_amount_over_the_order_is_drawn_once_and_not_by_line() -> None:
    book: Resources = {"prices": prices(A="1000", B="1000"), "promotions": {"off": amount_off(300, level="order")}}

    assert both([("A", 1), ("B", 1)], book, limited=[left("off", "budget", 300)])["total"] == 1700
