"""Worked examples: unit prices and discounts per unit rounded to cents before they are multiplied, by the reference and the engine."""

from typing import Any

import pytest

from tests.reference.both import both
from tests.reference.builders import amount_off, line, only, percent_off, prices, promotion, taken, tiers, totals
from tests.reference.shop import Body

BY_UNIT = {"rounding_level": "unit"}


def run(lines: list[tuple[str, int | str]], entries: dict[str, Body], **resources: Any) -> Body:
    return both(lines, {"prices": entries, "policy": BY_UNIT, **resources})


def test_unit_price_is_rounded_before_it_is_multiplied() -> None:
    entries = prices(A="0.6", B="10.4")
    reply = run([("A", 3), ("B", 3)], entries)

    # Rounded by line they would be 1.8 and 31.2.
    assert totals(reply) == [3, 30]
    assert [(each["list_unit_price"], each["unit_price"]) for each in reply["lines"]] == [("0.6", "1"), ("10.4", "10")]
    assert totals(both([("A", 3), ("B", 3)], {"prices": entries})) == [2, 31]


def test_fraction_of_a_unit_is_rounded_once_more() -> None:
    # 1250.5 a kilogram is 1251; 0.35 of it 437.85
    assert totals(run([("A", "0.35")], prices(A="1250.5"))) == [438]


def test_percentage_is_rounded_a_unit() -> None:
    promotions = {"p": percent_off("10")}

    # 10 % of 15 is 1.5, rounded 2 a unit; of the line of 45 it would be 4.5, rounded 5.
    assert taken(run([("A", 3)], prices(A="15"), promotions=promotions)) == [[-6]]
    assert taken(both([("A", 3)], {"prices": prices(A="15"), "promotions": promotions})) == [[-5]]


def test_percentage_of_a_part_of_a_unit() -> None:
    # 0.5 at 1001 is 500.5, rounded 501; 10 % of 501 / 0.5 = 1002 is 100.2, rounded 100 a unit; half of it.
    assert taken(run([("A", "0.5")], prices(A="1001"), promotions={"p": percent_off("10")})) == [[-50]]


def test_second_percentage_is_of_what_is_left_a_unit() -> None:
    promotions = {"p": percent_off("10"), "q": percent_off("10")}

    # 105 - 11 (10.5) = 94 a unit, then 9 (9.4)
    assert taken(run([("A", 2)], prices(A="105"), promotions=promotions)) == [[-22, -18]]


def test_discount_is_limited_to_the_line() -> None:
    # Half of 1 is rounded 1 a unit.
    assert taken(run([("A", 3)], prices(A="1"), promotions={"p": percent_off("50"), "q": percent_off("50")})) == [[-3]]


def test_percentage_of_list_is_of_the_rounded_list_price() -> None:
    # W(10.5) = 11; 50 % is 5.5, rounded 6 a unit
    assert taken(run([("A", 2)], prices(A="10.5"), promotions={"p": percent_off("50", of="list")})) == [[-12]]


def test_fixed_price_is_rounded() -> None:
    assert totals(run([("A", 4)], prices(A="20"), promotions={"p": promotion("fixed_price", {"unit_price": "9.5"})})) == [40]


def test_amounts_over_lines_and_percentages_of_the_order_stay_amounts() -> None:
    of_order = {"p": percent_off("10", level="order")}

    # 10 % of 90 is 9: 4.5 each, the odd cent to the first.
    assert taken(run([("A", 3), ("A", 3)], prices(A="15"), promotions=of_order)) == [[-5], [-4]]
    assert taken(run([("A", 3), ("A", 3)], prices(A="15"), promotions={"p": amount_off(7)})) == [[-4], [-3]]


@pytest.mark.parametrize(("mode", "subtotal"), [("volume", 15), ("graduated", 19)])
def test_tiers_are_rounded_each(mode: str, subtotal: int) -> None:
    entries = prices({"sku": "A", "unit_price": "4.6", "tiers": tiers(mode, (2, "4.6"), (None, "3.4"))})
    reply = run([("A", 5)], entries)

    # 5 x 3, and 2 x 5 + 3 x 3
    assert totals(reply) == [subtotal]


def test_sale_takes_whole_cents_off_the_unit() -> None:
    def sold(**sale: str) -> list[int]:
        return totals(run([("A", 10)], prices(A="15"), **{"sale-prices": {"s": {"scope": only(), **sale}}}))

    assert sold(percent="10") == [130]  # 1.5, rounded 2
    assert sold(unit_price="9.4", currency="USD") == [90]
    assert sold(amount="0.5", currency="USD") == [140]
    assert sold(amount="0.4", currency="USD") == [150]


def test_lower_bounds_are_rounded_up_and_ceilings_down() -> None:
    reply = run(
        [("A", 3), ("B", 3)],
        prices(A="5", B="50"),
        guardrails={
            "g": {"scope": only(skus=["A"]), "currency": "USD", "floor": "9.1"},
            "h": {"scope": only(skus=["B"]), "currency": "USD", "ceiling": "20.9"},
        },
    )

    assert totals(reply) == [30, 60]
    assert line(reply, 2)["price_steps"] == [
        {"step": "guardrail", "rule": "h", "bound": "ceiling", "before": "50", "after": "20"}
    ]


def test_strategy_is_rounded_also_where_the_list_price_has_a_fraction() -> None:
    strategies = {"s": {"kind": "cost_plus", "scope": only(), "currency": "USD", "params": {"markup": "25"}}}
    costs = {"A|USD": {"sku": "A", "currency": "USD", "unit_cost": "10"}}
    reply = run([("A", 2)], prices(A="11.5"), strategies=strategies, **{"signals-costs": costs})

    # 12.5, rounded 13
    assert (totals(reply), line(reply)["price_steps"][0]["after"]) == ([26], "13")
