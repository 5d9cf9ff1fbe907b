"""What lies beyond the lines, with figures worked by hand: engine and reference both give them."""

from typing import Any

import numpy as np
import pytest

from app.pricing.beyond import reaches_beyond
from app.pricing.cash import cash_difference, read_increments
from app.pricing.points import programs_of, read_programs, redeem
from tests.memos import price_and_encode
from tests.reference.agreement import as_basket, compiled, difference, engine_replies, reference_reply
from tests.reference.builders import PUBLISHED_AT_US, amount_off, floor, only, percent_off, prices, promotion

AT_US = PUBLISHED_AT_US
PROGRAM = {"worth": "1", "earn": "0.01"}


def shipping(name: str = "S", **more: Any) -> dict[str, Any]:
    """A shipping promotion; `percent` or `amount` go to its parameters."""
    params: dict[str, Any] = {key: more.pop(key) for key in ("percent", "amount") if key in more}
    return promotion("shipping", params, name=name, level="shipping", **more)


def points(multiplier: str, **more: Any) -> dict[str, Any]:
    return promotion("points", {"multiplier": multiplier}, level="order", **more)


def gift(*skus: str, **more: Any) -> dict[str, Any]:
    params = {"skus": list(skus)} | {key: more.pop(key) for key in ("choose", "quantity") if key in more}
    return promotion("gift", params, level="order", **more)


def quoted(resources: dict[str, Any], *lines: tuple[str, int | str], **sent: Any) -> dict[str, Any]:
    """The reply of the engine; the reference's and, but for codes and points, that of the memo are the same."""
    documents = {name: {"default": body} if name == "policy" else body for name, body in resources.items()}
    asked = [{"id": str(number), "sku": sku, "quantity": quantity} for number, (sku, quantity) in enumerate(lines, start=1)]
    body = {"currency": "USD", "lines": asked, **sent}
    book = compiled(documents, {}, AT_US)
    (reply,) = engine_replies(book, [body], [AT_US])
    assert difference(reply, reference_reply(documents, {}, body, AT_US, AT_US)) is None
    basket = as_basket(body, AT_US)
    first, *others = [price_and_encode(book, [basket], [False])[0] for _ in range(4)]
    assert [(one.body, one.total_minor) for one in others] == [(first.body, reply["total"])] * 3
    return reply


def test_shipping_promotions_take_of_what_the_earlier_ones_left() -> None:
    resources = {
        "prices": prices(A="1000"),
        "promotions": {"a-half": shipping(percent="50"), "b-amount": shipping(amount=100), "c-tenth": shipping(percent="10")},
    }

    reply = quoted(resources, ("A", 1), shipping=705)

    # 352.5 is rounded to 353; 352 are left, then 252, of which a tenth is 25.2.
    assert [each["amount"] for each in reply["shipping"]["adjustments"]] == [-353, -100, -25]
    assert {name: reply["shipping"][name] for name in ("subtotal", "discount", "total")} == {
        "subtotal": 705,
        "discount": 478,
        "total": 227,
    }
    assert (reply["subtotal"], reply["discount"], reply["total"]) == (1000, 0, 1227)


def test_shipping_is_never_below_zero_and_an_exclusive_promotion_keeps_the_others_away() -> None:
    alone = shipping(amount=900, exclusive=True, priority=5)
    resources = {"prices": prices(A="1000"), "promotions": {"free": alone, "half": shipping(percent="50")}}

    reply = quoted(resources, ("A", 1), shipping=500)

    assert (reply["shipping"]["total"], reply["total"]) == (0, 1000)
    assert reply["not_applied"] == [{"rule": "half", "reason": "not_best"}]


def test_by_priority_the_first_of_a_group_of_shipping_promotions_applies_and_its_group_is_not_that_of_the_order() -> None:
    resources: dict[str, Any] = {
        "policy": {"selection": "priority"},
        "prices": prices(A="1000"),
        "promotions": {
            "order": amount_off(100, level="order", group="g", exclusive=True),
            "one": shipping(percent="10", group="g", priority=2),
            "two": shipping(percent="20", group="g", priority=1),
        },
    }

    reply = quoted(resources, ("A", 1), shipping=500)

    assert (reply["discount"], reply["shipping"]["discount"], reply["total"]) == (100, 50, 1350)
    assert reply["not_applied"] == [{"rule": "two", "reason": "group_taken"}]
    best = quoted(resources | {"policy": {"selection": "best"}}, ("A", 1), shipping=500)
    assert (best["discount"], best["shipping"]["discount"], best["total"]) == (100, 100, 1300)
    assert best["not_applied"] == [{"rule": "one", "reason": "not_best"}]


def contested(**promotions: dict[str, Any]) -> tuple[dict[str, int], dict[str, str], str]:
    """What shipping promotions take of 500, why the others do not, and the reply's `selection`."""
    reply = quoted({"prices": prices(A="1000"), "promotions": promotions}, ("A", 1), shipping=500)
    took = {each["rule"]: -each["amount"] for each in reply["shipping"]["adjustments"]}
    return took, {each["rule"]: each["reason"] for each in reply["not_applied"]}, reply["selection"]


def test_several_shipping_promotions_win_over_an_exclusive_one_that_takes_less() -> None:
    several = {"a": shipping(amount=200), "b": shipping(percent="20")}

    # 200 and a fifth of 300 are 260.
    less = contested(x=shipping(amount=259, exclusive=True, priority=5), **several)
    more = contested(x=shipping(amount=261, exclusive=True, priority=-5), **several)

    assert less == ({"a": 200, "b": 60}, {"x": "not_best"}, "exact")
    assert more == ({"x": 261}, {"a": "not_best", "b": "not_best"}, "exact")


def test_shipping_promotions_contest_what_those_that_exclude_nobody_leave() -> None:
    half = shipping(percent="50", priority=5)

    # Of 500 30 % would be more than 100, of the 250 that the half leaves it is 75.
    found = contested(half=half, percent=shipping(percent="30", group="g", priority=1), amount=shipping(amount=100, group="g"))

    assert found == ({"half": 250, "amount": 100}, {"percent": "not_best"}, "exact")


def test_of_equal_sets_of_shipping_promotions_fewer_win_and_then_the_first_ids() -> None:
    fewer = contested(x=shipping(amount=100, priority=2), y=shipping(amount=200), z=shipping(amount=300, exclusive=True))
    by_id = contested(a=shipping(amount=900, group="g"), b=shipping(percent="100", group="g", priority=5))

    assert fewer == ({"z": 300}, {"x": "not_best", "y": "not_best"}, "exact")
    assert by_id == ({"a": 500}, {"b": "not_best"}, "exact")


def test_shipping_promotions_that_are_not_open_contest_nothing() -> None:
    late = {"attribute": "order.subtotal", "op": ">=", "value": 1000, "basis": "running"}

    found = contested(
        less=amount_off(1, level="order"),
        free=shipping(percent="100", group="g", conditions=late),
        first=shipping(amount=5, group="g", priority=1),
        second=shipping(amount=9, group="g"),
    )

    assert found == ({"second": 9}, {"free": "min_spend_not_met", "first": "not_best"}, "exact")


def test_of_more_shipping_promotions_than_are_searched_the_first_contest() -> None:
    many = {f"p{number:02}": shipping(amount=10 + number, group="g", priority=-number) for number in range(12)}

    took, why, selection = contested(**many, q=shipping(amount=400, group="g", priority=-99))

    assert (took, why.pop("q"), selection) == ({"p11": 21}, "group_taken", "bounded")
    assert set(why.values()) == {"not_best"}
    assert contested(**many)[2] == "exact"


def test_baskets_side_by_side_hold_the_contests_of_their_own_shipping() -> None:
    promotions = {"amount": shipping(amount=100, group="g"), "half": shipping(percent="50", group="g", priority=5)}
    documents = {"prices": prices(A="1000"), "promotions": promotions}
    bodies: list[dict[str, Any]] = [
        {"currency": "USD", "lines": [{"id": "1", "sku": "A", "quantity": 1}], **sent}
        for sent in ({"shipping": 150}, {}, {"shipping": 300}, {"shipping": 0})
    ]

    replies = engine_replies(compiled(documents, {}, AT_US), bodies, [AT_US] * 4)

    assert [reply["total"] for reply in replies] == [1050, 1000, 1150, 1000]
    assert [
        difference(reply, reference_reply(documents, {}, body, AT_US, AT_US)) for reply, body in zip(replies, bodies, strict=True)
    ] == [None] * 4


@pytest.mark.parametrize(
    ("sent", "more", "expected"),
    [
        ({}, {}, {"reason": "no_shipping"}),
        ({"shipping": 0}, {}, {"reason": "nothing_to_discount"}),
        ({"shipping": 500}, {"conditions": {"attribute": "order.shipping", "op": ">=", "value": 501}}, "condition_not_met"),
        ({}, {"conditions": {"attribute": "order.shipping", "op": "<", "value": 501}}, "attribute_missing"),
    ],
)
def test_reasons_of_shipping_promotions(sent: dict[str, Any], more: dict[str, Any], expected: Any) -> None:
    resources = {"prices": prices(A="1000"), "promotions": {"s": shipping(percent="50", **more)}}

    reply = quoted(resources, ("A", 1), **sent)

    told = expected if isinstance(expected, dict) else {"reason": expected, "attribute": "order.shipping"}
    assert reply["not_applied"] == [{"rule": "s", **told}]


def test_conditions_of_shipping_promotions_see_the_lines_as_the_others_left_them() -> None:
    late = {"attribute": "order.subtotal", "op": ">=", "value": 1_000, "basis": "running"}
    resources = {
        "prices": prices(A="1000"),
        "promotions": {"o": amount_off(1, level="order"), "s": shipping(percent="100", conditions=late)},
    }

    reply = quoted(resources, ("A", 1), shipping=500)

    assert reply["not_applied"] == [{"rule": "s", "reason": "min_spend_not_met", "needed": 1}]


def test_a_code_unlocks_free_shipping_and_is_shown_with_it() -> None:
    resources = {
        "prices": prices(A="1000"),
        "promotions": {"s": shipping(percent="100", requires_code=True)},
        "coupons": {"c": {"promotion": "s", "codes": ["POST"]}},
    }

    with_code, without = quoted(resources, ("A", 1), shipping=500, codes=["POST"]), quoted(resources, ("A", 1), shipping=500)

    assert with_code["shipping"]["adjustments"][0] | {"name": ""} == {
        "kind": "shipping",
        "rule": "s",
        "revision": 1,
        "name": "",
        "amount": -500,
        "code": "POST",
    }
    assert (with_code["total"], without["total"], without["not_applied"]) == (1000, 1500, [])


def test_gift_is_worth_its_list_price_and_of_a_choice_the_dearest() -> None:
    vip = {"sku": "B", "unit_price": "300.5", "price_list": "vip"}
    resources = {
        "price-lists": {"vip": {"match": {"groups": ["vip"]}, "tax_included": False}},
        "prices": prices({"sku": "B", "unit_price": "400"}, vip, A="1000", C="250"),
        "promotions": {
            "all": gift("B", "C", "NOWHERE", quantity="1.5", priority=2),
            "one": gift("C", "B", "NOWHERE", choose=1, priority=1),
        },
    }

    reply = quoted(resources, ("A", 1), customer={"segments": ["vip"]})

    # 1.5 · 300.5 = 450.75 and 1.5 · 250 = 375; of the choice the dearer, 300.5, is rounded up.
    assert [(one["rule"], one["choose"], one["quantity"], one["worth"]) for one in reply["gifts"]] == [
        ("all", None, "1.5", 826),
        ("one", 1, "1", 301),
    ]
    assert (reply["discount"], reply["total"], reply["not_applied"]) == (0, 1000, [])


def test_an_exclusive_gift_takes_the_order_and_comes_too_late_behind_another_promotion() -> None:
    first = {"gift": gift("A", exclusive=True, lane=0), "order": amount_off(100, level="order", lane=1)}
    second = {"gift": gift("A", exclusive=True, lane=1), "order": amount_off(100, level="order", lane=0)}

    shop = {"prices": prices(A="1000"), "policy": {"selection": "priority"}}
    taken, late = (quoted({**shop, "promotions": own}, ("A", 1)) for own in (first, second))

    assert ([one["rule"] for one in taken["gifts"]], taken["discount"]) == (["gift"], 0)
    assert (late["gifts"], late["discount"]) == ([], 100)
    assert late["not_applied"] == [{"rule": "gift", "reason": "exclusive_taken"}]


def test_the_best_of_a_gift_and_an_amount_is_what_is_worth_more() -> None:
    both = {"gift": gift("B", exclusive=True), "order": amount_off(100, level="order", lane=-1)}

    dear, cheap = (quoted({"prices": prices(A="1000", B=unit), "promotions": both}, ("A", 1)) for unit in ("101", "100"))

    # A gift of 101 is worth more than 100 off; of a gift of 100 it is that the gift takes no amount.
    assert ([one["rule"] for one in dear["gifts"]], dear["discount"]) == (["gift"], 0)
    assert dear["not_applied"] == [{"rule": "order", "reason": "not_best"}]
    assert ([one["rule"] for one in cheap["gifts"]], cheap["discount"]) == (["gift"], 0)
    less = quoted({"prices": prices(A="1000", B="99"), "promotions": both}, ("A", 1))
    assert (less["gifts"], less["discount"]) == ([], 100)
    assert less["not_applied"] == [{"rule": "gift", "reason": "not_best"}]


def test_a_gift_worth_more_than_any_amount_stays_within_the_bounds() -> None:
    resources = {
        "prices": prices(A="1", B="10000000000", C="9999999999"),
        "promotions": {"g": gift("B", "C", quantity=1_000_000)},
    }

    assert quoted(resources, ("A", 1))["gifts"][0]["worth"] == 900_000_000_000


def test_points_pay_whole_points_within_the_caps() -> None:
    policy = {"points": {"USD": PROGRAM | {"max_percent": "50", "max_amount": 700, "worth": "3"}}}
    resources = {"prices": prices(A="1001"), "policy": policy}

    half, most, few = (
        quoted(resources, ("A", quantity), points=asked, shipping=10_000) for quantity, asked in ((1, 999), (2, 999), (1, 7))
    )

    # Half of 1001 is 500, which holds 166 points of 3; of 2002 the 700 bind: 233 points are 699.
    assert [half["points"][name] for name in ("redeemed", "amount", "earned")] == [166, 498, 5]
    assert [most["points"][name] for name in ("redeemed", "amount", "earned")] == [233, 699, 13]
    assert [few["points"][name] for name in ("redeemed", "amount", "earned")] == [7, 21, 9]
    assert half["total"] == 1001 - 498 + 10_000


def test_points_never_pay_shipping_nor_more_than_the_lines() -> None:
    resources = {"prices": prices(A="100"), "policy": {"points": {"USD": PROGRAM}}}

    reply = quoted(resources, ("A", 1), points=5_000, shipping=700)

    assert (reply["points"], reply["total"]) == ({"redeemed": 100, "amount": 100, "earned": 0}, 700)


@pytest.mark.parametrize(
    ("asked", "redeemed", "amount"),
    [(1, 0, 0), (3, 0, 0), (4, 4, 1), (6, 4, 1), (7, 7, 2)],  # a point is worth 0.3: 4 are 1.2, 7 are 2.1
)
def test_points_that_would_pay_nothing_are_not_taken(asked: int, redeemed: int, amount: int) -> None:
    resources = {"prices": prices(A="1000"), "policy": {"points": {"USD": {"worth": "0.3"}}}}

    reply = quoted(resources, ("A", 1), points=asked)

    assert (reply["points"], reply["total"]) == ({"redeemed": redeemed, "amount": amount, "earned": 0}, 1000 - amount)
    refused = [] if redeemed else [{"rule": "points", "reason": "nothing_to_discount"}]
    assert reply["not_applied"] == refused


def test_without_a_program_in_the_currency_there_are_no_points() -> None:
    resources = {"prices": prices(A="1000"), "policy": {"points": {"EUR": PROGRAM}}, "promotions": {"double": points("2")}}

    reply = quoted(resources, ("A", 1), points=5)

    assert reply["points"] == {"redeemed": 0, "amount": 0, "earned": 0}
    assert reply["not_applied"] == [
        {"rule": "double", "reason": "points_not_offered"},
        {"rule": "points", "reason": "points_not_offered"},
    ]


def test_multipliers_multiply_one_another_on_the_lines_of_their_scopes() -> None:
    resources = {
        "prices": prices(A="1000", B="500"),
        "policy": {"points": {"USD": {"worth": "1", "earn": "0.1"}}},
        "promotions": {"all": points("1.5"), "b": points("3", scope=only(skus=["B"]))},
    }

    reply = quoted(resources, ("A", 1), ("B", 1))

    # 1000 · 1.5 + 500 · 4.5 = 3750.
    assert reply["points"]["earned"] == 375
    assert [(one["rule"], one["multiplier"]) for one in reply["points"]["multipliers"]] == [("all", "1.5"), ("b", "3")]


def test_what_points_pay_is_shared_over_the_lines_before_they_earn() -> None:
    resources = {
        "prices": prices(A="1000", B="500"),
        "policy": {"points": {"USD": {"worth": "1", "earn": "1"}}},
        "promotions": {"b": points("2", scope=only(skus=["B"]))},
    }

    reply = quoted(resources, ("A", 1), ("B", 1), points=100)

    # 66.67 and 33.33 of the 100: 67 and 33. Paid are 933, and 467 twice.
    assert (reply["points"]["amount"], reply["points"]["earned"]) == (100, 933 + 2 * 467)


def test_lines_on_sale_or_taken_by_an_exclusive_promotion_are_not_multiplied() -> None:
    resources = {
        "prices": prices(A="1000", B="1000", C="1000"),
        "sale-prices": {"s": {"name": "S", "scope": only(skus=["A"]), "currency": "USD", "unit_price": "900"}},
        "policy": {"points": {"USD": {"worth": "1", "earn": "1"}}},
        "promotions": {"ten": percent_off("10", scope=only(skus=["B"]), exclusive=True), "d": points("2", not_on_sale=True)},
    }

    assert quoted(resources, ("A", 1), ("B", 1), ("C", 1))["points"]["earned"] == 900 + 900 + 2000


def test_a_factor_stays_within_its_bound_at_the_greatest_amounts() -> None:
    resources = {
        "prices": prices(A="900000"),
        "policy": {"points": {"USD": {"worth": "1", "earn": "1000"}}},
        "promotions": {"a": points("1000"), "b": points("1000")},
    }

    assert quoted(resources, ("A", 1_000_000))["points"]["earned"] == 900_000_000_000 * 1_000 * 1_000


@pytest.mark.parametrize(
    ("rounding", "total", "added"),
    [("half_up", 1022, -2), ("half_up", 1023, 2), ("half_up", 1025, 0), ("half_even", 1022, -2)],
)
def test_the_payable_total_is_rounded_to_the_increment(rounding: str, total: int, added: int) -> None:
    resources = {"prices": prices(A=str(total - 100)), "policy": {"rounding": rounding, "cash_rounding": 5}}

    reply = quoted(resources, ("A", 1), shipping=100)

    shown = {"kind": "cash_rounding", "rule": "cash_rounding", "revision": 1, "name": "Cash rounding", "amount": added}
    assert reply["adjustments"] == ([shown] if added else [])
    assert (reply["subtotal"], reply["discount"], reply["total"]) == (total - 100, 0, total + added)


def test_cash_rounding_rounds_halves_by_the_policy_and_knows_currencies() -> None:
    totals = np.array([1005, 1015, 1005, 899_999_999_996, 2])

    by_currency = cash_difference(totals, ["USD", "USD", "EUR", "USD", "USD"], read_increments({"USD": 10}), "half_even")
    of_all = cash_difference(totals, ["USD", "USD", "EUR", "USD", "JPY"], read_increments(10), "half_up")

    assert by_currency.tolist() == [-5, 5, 0, 4, -2]
    assert of_all.tolist() == [5, 5, 5, 4, -2]
    # Rounded up it would be 900 000 000 003.
    assert cash_difference(np.array([900_000_000_000]), ["USD"], read_increments(13), "half_up").tolist() == [-10]


def test_points_of_many_baskets_at_once_stay_exact() -> None:
    program = programs_of(read_programs({"USD": {"worth": "99999.9999"}}), ["USD", "EUR", "USD"])

    redeemed, amount = redeem(program, np.array([10**9, 5, 1]), np.array([900_000_000_000, 500, 99_999]))

    # 9 000 000 points are 899 999 999 100 cents; one point more would pass the 900 000 000 000.
    assert redeemed.tolist() == [9_000_000, 0, 0]
    assert amount.tolist() == [899_999_999_100, 0, 0]


def funding(*shares: tuple[str, str]) -> list[dict[str, str]]:
    return [{"party": party, "percent": percent} for party, percent in shares]


def borne(adjustment: dict[str, Any]) -> list[int]:
    return [share["amount"] for share in adjustment["funding"]]


def test_parties_bear_their_shares_by_largest_remainder() -> None:
    thirds = funding(("acme", "33.3333"), ("zeta", "33.3333"))
    resources = {"prices": prices(A="1000"), "promotions": {"p": amount_off(101, funding=thirds)}}

    (adjustment,) = quoted(resources, ("A", 1))["lines"][0]["adjustments"]

    # 33 each, and two cents: one to the seller, whose share is a ten-thousandth of a percent more, one to the earlier party.
    assert adjustment["amount"] == -101
    assert borne(adjustment) == [34, 33]


def test_what_a_guardrail_gives_back_lessens_the_shares() -> None:
    resources = {
        "prices": prices(A="1000"),
        "guardrails": {"g": floor("950")},
        "promotions": {"p": percent_off("10", funding=funding(("acme", "60")))},
    }

    taken, given_back = quoted(resources, ("A", 1))["lines"][0]["adjustments"]

    assert (taken["amount"], given_back["amount"], borne(taken)) == (-100, 50, [30])
    assert "funding" not in given_back


def test_shares_of_an_order_promotion_add_up_over_its_lines() -> None:
    resources = {
        "prices": prices(A="1", B="1", C="1", D="97"),
        "guardrails": {"g": floor("95", scope=only(skus=["D"]))},
        "promotions": {"p": amount_off(100, level="order", funding=funding(("acme", "50"), ("zeta", "25")))},
    }

    reply = quoted(resources, ("A", 1), ("B", 1), ("C", 1), ("D", 1))

    # Three cents and two of the 97 can go: 5 of 100. Acme bears 2.5 and gets the odd cent, zeta 1.25.
    whole, given_back = reply["adjustments"]
    assert (whole["amount"], given_back["amount"], borne(whole)) == (-100, 95, [3, 1])
    shares = [line["adjustments"][0] for line in reply["lines"]]
    assert [share["amount"] for share in shares] == [-1, -1, -1, -2]
    assert [sum(parts) for parts in zip(*map(borne, shares), strict=True)] == [3, 1]
    assert all(sum(borne(share)) <= -share["amount"] for share in shares)


def test_funding_stands_beside_shipping_and_beside_its_code() -> None:
    resources = {
        "prices": prices(A="1000"),
        "promotions": {"s": shipping(percent="50", funding=funding(("carrier", "100")), requires_code=True)},
        "coupons": {"c": {"promotion": "s", "codes": ["POST"]}},
    }

    (adjustment,) = quoted(resources, ("A", 1), shipping=499, codes=["POST"])["shipping"]["adjustments"]

    assert (adjustment["amount"], adjustment["code"], borne(adjustment)) == (-250, "POST", [250])


def test_a_book_without_any_of_it_does_not_reach_beyond_its_lines() -> None:
    plain = {"prices": prices(A="1000"), "promotions": {"p": amount_off(1, level="order", funding=funding(("a", "5")))}}
    policies: list[dict[str, Any]] = [{"points": {"USD": PROGRAM}}, {"cash_rounding": 5}]
    kinds = [shipping(percent="1"), gift("A"), points("2")]

    assert not reaches_beyond(compiled(plain, {}, AT_US))
    assert all(reaches_beyond(compiled(plain | {"policy": {"default": policy}}, {}, AT_US)) for policy in policies)
    assert all(reaches_beyond(compiled(plain | {"promotions": {"p": one}}, {}, AT_US)) for one in kinds)
