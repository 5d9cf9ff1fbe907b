"""Worked examples: numbers, list prices, tiers, sale prices and bounds, and the shape of a reply."""

from fractions import Fraction

import pytest

from tests.reference.both import both
from tests.reference.builders import ceiling, floor, line, only, percent_off, prices, tiers, totals
from tests.reference.figures import rounded, show_quantity, show_unit
from tests.reference.shop import Body


@pytest.mark.parametrize(
    ("exact", "half_up", "half_even", "half_down"),
    [("2.5", 3, 2, 2), ("3.5", 4, 4, 3), ("-2.5", -3, -2, -2), ("2.51", 3, 3, 3), ("2.49", 2, 2, 2), ("-0.5", -1, 0, 0)],
)
def test_halves_round_on_the_absolute_value(exact: str, half_up: int, half_even: int, half_down: int) -> None:
    found = [rounded(Fraction(exact), rounding) for rounding in ("half_up", "half_even", "half_down")]

    assert found == [half_up, half_even, half_down]


def test_decimals_are_shown_without_trailing_zeros() -> None:
    assert [show_unit(12_990_000), show_unit(8_000), show_quantity(350), show_quantity(2_000)] == ["1299", "0.8", "0.35", "2"]


def test_plain_line_is_unit_price_times_quantity_with_all_members() -> None:
    reply = both([("A", 2)], {"prices": prices(A="1299")}, shipping=500)

    assert reply == {
        "errors": [],
        "currency": "USD",
        "tax_included": False,
        "lines": [
            {
                "id": "1",
                "sku": "A",
                "quantity": "2",
                "list_unit_price": "1299",
                "unit_price": "1299",
                "net_unit_price": "1299",
                "subtotal": 2598,
                "discount": 0,
                "total": 2598,
                "reference_price": None,
                "price_steps": [],
                "adjustments": [],
            }
        ],
        "adjustments": [],
        "shipping": {"subtotal": 500, "discount": 0, "total": 500, "adjustments": []},
        "subtotal": 2598,
        "discount": 0,
        "total": 3098,
        "gifts": [],
        "points": {"redeemed": 0, "amount": 0, "earned": 0},
        "not_applied": [],
        "next_benefit": [],
        "selection": "exact",
        "personalised": False,
        "personal_inputs": [],
        "disclosures": [],
    }


@pytest.mark.parametrize(("rounding", "subtotal"), [("half_up", 3), ("half_even", 2), ("half_down", 2)])
def test_line_is_rounded_once_as_the_policy_says(rounding: str, subtotal: int) -> None:
    # 5 x 0.5 = 2.5
    reply = both([("A", 5)], {"prices": prices(A="0.5"), "policy": {"rounding": rounding}})

    assert line(reply)["subtotal"] == subtotal


def test_fraction_of_quantity_and_of_cent_multiply_exactly() -> None:
    # 0.35 x 1299.5 = 454.825; 455 / 0.35 = 1300
    reply = both([("A", "0.350")], {"prices": prices(A="1299.5")})

    assert (line(reply)["quantity"], line(reply)["subtotal"], line(reply)["net_unit_price"]) == ("0.35", 455, "1300")


def test_amount_at_the_bound_is_priced_and_above_it_is_an_error() -> None:
    at_bound = both([("A", 90)], {"prices": prices(A="10000000000")})
    above = both([("A", "90.001")], {"prices": prices(A="10000000000")})

    assert at_bound["total"] == 900_000_000_000
    assert above == {"errors": [["lines[0]", "amount_out_of_bounds"]]}


def test_order_above_the_bound_is_refused_even_when_partial() -> None:
    reply = both([("A", 90), ("B", 1)], {"prices": prices(A="10000000000", B="1")}, partial=True)

    assert reply == {"errors": [["lines", "amount_out_of_bounds"]]}


def test_line_without_price_is_an_error_never_zero() -> None:
    reply = both([("A", 1), ("B", 1)], {"prices": prices({"sku": "B", "unit_price": "1", "currency": "EUR"}, A="5")})

    assert reply == {"errors": [["lines[1]", "no_price"]]}


def test_partial_reply_leaves_the_erring_line_out_of_everything() -> None:
    order_off = percent_off("10", conditions={"attribute": "order.distinct", "op": ">=", "value": 2})
    reply = both([("A", 1), ("B", 3)], {"prices": prices(A="1000"), "promotions": {"p": order_off}}, partial=True)

    assert line(reply, 2) == {"id": "2", "sku": "B", "quantity": "3", "error": {"code": "no_price"}}
    assert (reply["total"], reply["not_applied"]) == (1000, [{"rule": "p", "reason": "min_quantity_not_met", "needed": "1"}])


def test_points_are_not_offered_and_said_last() -> None:
    reply = both([("A", 1)], {"prices": prices(A="5")}, points=7, codes=["X"])

    assert [each["reason"] for each in reply["not_applied"]] == ["code_invalid", "points_not_offered"]


VOLUME = tiers("volume", (9, "100", 5), ("19.5", "80"), (None, "90"))
GRADUATED = tiers("graduated", (2, "100"), (4, "70", 3), (None, "50", 1))


@pytest.mark.parametrize(("quantity", "subtotal"), [(9, 905), ("9.001", 720), ("19.5", 1560), (20, 1800)])
def test_volume_prices_the_whole_quantity_at_its_tier(quantity: int | str, subtotal: int) -> None:
    # 9 x 100 + 5; 9.001 x 80 = 720.08; 19.5 x 80; 20 x 90
    reply = both([("A", quantity)], {"prices": prices({"sku": "A", "unit_price": "110", "tiers": VOLUME})})

    assert line(reply)["subtotal"] == subtotal


@pytest.mark.parametrize(("quantity", "subtotal", "unit"), [(2, 200, "100"), (3, 273, "91"), ("4.5", 369, "82")])
def test_graduated_prices_each_part_at_its_own_tier(quantity: int | str, subtotal: int, unit: str) -> None:
    # 2 x 100; + 1 x 70 + 3; 200 + 140 + 3 + 0.5 x 50 + 1 = 369, and 369 / 4.5 = 82
    reply = both([("A", quantity)], {"prices": prices({"sku": "A", "unit_price": "100", "tiers": GRADUATED})})

    assert (line(reply)["subtotal"], line(reply)["unit_price"]) == (subtotal, unit)
    assert line(reply)["price_steps"] == [{"step": "tier", "rule": "A", "price_list": "default", "before": "100", "after": unit}]


def test_next_tier_with_a_lower_price_is_offered() -> None:
    entries = prices({"sku": "A", "unit_price": "110", "tiers": VOLUME}, {"sku": "B", "unit_price": "1", "tiers": GRADUATED})
    reply = both([("A", 2), ("A", "2.5"), ("A", 10), ("B", 3)], {"prices": entries})

    # 2 -> 10; 2.5 -> 9.001; 80 is the lowest already; 3 -> 5
    assert reply["next_benefit"] == [
        {"rule": "A", "line": "1", "quantity_needed": "8", "unit_price": "80"},
        {"rule": "A", "line": "2", "quantity_needed": "6.501", "unit_price": "80"},
        {"rule": "B", "line": "4", "quantity_needed": "2", "unit_price": "50"},
    ]


@pytest.mark.parametrize(
    ("sale", "after"),
    [({"unit_price": "70"}, "70"), ({"percent": "12.5"}, "87.5"), ({"amount": "0.8", "currency": "USD"}, "99.2")],
)
def test_sale_price_lowers_the_unit_price(sale: Body, after: str) -> None:
    reply = both([("A", 2)], {"prices": prices(A="100"), "sale-prices": {"s": {"scope": only(), **sale}}})

    assert line(reply)["price_steps"] == [{"step": "sale", "rule": "s", "before": "100", "after": after}]


def test_sale_above_the_price_does_nothing_and_the_lowest_then_the_lower_id_wins() -> None:
    sales: dict[str, Body] = {
        "dear": {"scope": only(), "unit_price": "110"},
        "y": {"scope": only(), "percent": "20"},
        "x": {"scope": only(), "amount": "20", "currency": "USD"},
        "eur": {"scope": only(), "amount": "50", "currency": "EUR"},
    }

    assert line(both([("A", 1)], {"prices": prices(A="100"), "sale-prices": {"dear": sales["dear"]}}))["price_steps"] == []
    assert line(both([("A", 1)], {"prices": prices(A="100"), "sale-prices": sales}))["price_steps"][0]["rule"] == "x"


def test_sale_takes_each_graduated_part_and_leaves_fees() -> None:
    # 2 x 60 + 2 x 60 + 3 + 1 x 50 + 1 = 294
    sales: dict[str, Body] = {"s": {"scope": only(), "unit_price": "60", "currency": "USD"}}
    reply = both([("A", 5)], {"prices": prices({"sku": "A", "unit_price": "100", "tiers": GRADUATED}), "sale-prices": sales})

    assert line(reply)["subtotal"] == 294


def test_bounds_hold_after_tiers_and_after_the_sale() -> None:
    entries = prices({"sku": "A", "unit_price": "100", "tiers": VOLUME})
    rules: dict[str, Body] = {"g": floor("85"), "h": ceiling("95")}
    sales: dict[str, Body] = {"s": {"scope": only(), "percent": "50"}}
    reply = both([("A", 10)], {"prices": entries, "guardrails": rules, "sale-prices": sales})

    # The tier's 80 rises to 85; the sale's 42.5 is brought back to 85.
    assert line(reply)["price_steps"] == [
        {"step": "tier", "rule": "A", "price_list": "default", "before": "100", "after": "80"},
        {"step": "guardrail", "rule": "g", "bound": "floor", "before": "80", "after": "85"},
        {"step": "sale", "rule": "s", "before": "85", "after": "42.5"},
        {"step": "guardrail", "rule": "g", "bound": "floor", "before": "42.5", "after": "85"},
    ]
    assert (line(reply)["subtotal"], line(reply)["unit_price"]) == (850, "85")


def test_subtotal_stays_within_rounded_bounds_and_the_lower_wins_where_they_cross() -> None:
    # 0.5 x 10.9 = 5.45 rounds to 5, but the floor asks for 6: ceil(5.45) > floor(5.45)
    reply = both([("A", "0.5")], {"prices": prices(A="10.9"), "guardrails": {"g": floor("10.9", ceiling="10.9")}})

    assert (line(reply)["subtotal"], line(reply)["unit_price"]) == (6, "10.9")
    assert line(reply)["price_steps"] == [{"step": "guardrail", "rule": "g", "bound": "floor", "before": "10.9", "after": "12"}]


def test_ceiling_bounds_flat_fees_too() -> None:
    entries = prices({"sku": "A", "unit_price": "10", "tiers": tiers("volume", (None, "10", 50))})
    reply = both([("A", 2)], {"prices": entries, "guardrails": {"h": ceiling("20")}})

    # 2 x 10 + 50 = 70 is above 2 x 20
    assert totals(reply) == [40]
    assert line(reply)["price_steps"][-1] == {"step": "guardrail", "rule": "h", "bound": "ceiling", "before": "10", "after": "20"}
