"""Worked examples: margins, discounts of the list price and advertised prices, by the reference and the engine."""

from typing import Any

import pytest

from app.pricing.book import BookError, BookRows, Document
from app.pricing.compile import compile_price_book
from tests.reference.both import both
from tests.reference.builders import Resources, amount_off, line, only, percent_off, prices, taken, tiers, totals
from tests.reference.shop import Body

A = prices(A="1000")


def guardrail(**fields: str) -> Body:
    return {"scope": only(), "currency": "USD", **fields}


def cost(unit: str) -> dict[str, Body]:
    return {"A|USD": {"sku": "A", "currency": "USD", "unit_cost": unit}}


def back(rule: str, bound: str, amount: int) -> Body:
    return {"kind": "guardrail", "rule": rule, "revision": 1, "name": bound, "amount": amount, "bound": bound}


def half_off(quantity: int | str, guardrails: dict[str, Body], *, unit_cost: str = "700", **more: Any) -> Body:
    resources: Resources = {
        "prices": A,
        "signals-costs": cost(unit_cost),
        "guardrails": guardrails,
        "promotions": {"p": percent_off("50", **more)},
        "coupons": {"c": {"promotion": "p", "codes": ["C"]}},
    }
    return both([("A", quantity)], resources, codes=["C"] if more.get("requires_code") else [])


def test_margin_keeps_the_price_above_the_cost() -> None:
    # 700 / (1 - 0.2) = 875: of 500 off, 375 are given back.
    reply = half_off(1, {"g": guardrail(min_margin="20")})

    assert line(reply)["adjustments"][1] == back("g", "min_margin", 375)
    assert totals(reply) == [875]


def test_margin_is_rounded_up() -> None:
    # 700 / (1 - 0.333333) = 1049.999475...: the unit is raised to 1049.9995, and the line to 1050.
    reply = half_off(1, {"g": guardrail(min_margin="33.3333")})

    assert line(reply)["price_steps"] == [
        {"step": "guardrail", "rule": "g", "bound": "min_margin", "before": "1000", "after": "1049.9995"}
    ]
    assert totals(reply) == [1050]


def test_margin_binds_nothing_without_a_known_cost() -> None:
    resources: Resources = {"prices": A, "guardrails": {"g": guardrail(min_margin="20")}, "promotions": {"p": percent_off("50")}}

    assert totals(both([("A", 1)], resources)) == [500]
    assert totals(half_off(1, {"g": guardrail(min_margin="20")}, unit_cost="0")) == [500]


def test_discount_of_the_list_price_is_bounded() -> None:
    # 1000 x (1 - 0.3333) = 666.7; 3 of them are 2000.1, rounded up 2001.
    reply = half_off(3, {"g": guardrail(max_discount="33.33")})

    assert taken(reply) == [[-1500, 501]]
    assert line(reply)["adjustments"][1] == back("g", "max_discount", 501)


def test_discount_is_bounded_through_tiers_and_sales() -> None:
    entries = prices({"sku": "A", "unit_price": "1000", "tiers": tiers("volume", (1, "1000"), (None, "500"))})
    sales: dict[str, Body] = {"s": {"scope": only(), "percent": "50"}}
    reply = both([("A", 2)], {"prices": entries, "sale-prices": sales, "guardrails": {"g": guardrail(max_discount="40")}})

    assert [(step["step"], step["after"]) for step in line(reply)["price_steps"]] == [
        ("tier", "500"),
        ("guardrail", "600"),
        ("sale", "300"),
        ("guardrail", "600"),
    ]
    assert totals(reply) == [1200]


@pytest.mark.parametrize(
    ("fields", "bound", "total"),
    [
        ({"floor": "800", "min_margin": "20"}, "min_margin", 875),
        ({"floor": "900", "min_margin": "20"}, "floor", 900),
        ({"floor": "875", "min_margin": "20"}, "floor", 875),  # equal: the earlier is named
        ({"max_discount": "12.5", "min_margin": "20"}, "min_margin", 875),
        ({"max_discount": "10", "map": "899"}, "max_discount", 900),
        ({"max_discount": "10", "map": "901"}, "map", 901),
    ],
)
def test_highest_bound_holds_and_is_named(fields: dict[str, str], bound: str, total: int) -> None:
    reply = half_off(1, {"g": guardrail(**fields)})

    assert line(reply)["adjustments"][1]["bound"] == bound
    assert totals(reply) == [total]


def test_fields_may_come_from_different_guardrails() -> None:
    close = {**guardrail(map="500"), "scope": only(skus=["A"])}
    reply = half_off(1, {"g": guardrail(map="900", min_margin="20"), "h": close})

    # The closer scope's advertised price of 500 stands, and the margin of the wider one.
    assert line(reply)["adjustments"][1] == back("g", "min_margin", 375)


def test_code_and_order_promotions_go_below_the_advertised_price_to_the_other_bounds() -> None:
    guardrails = {"g": guardrail(map="900", floor="450")}

    assert totals(half_off(1, guardrails)) == [900]
    assert totals(half_off(1, guardrails, requires_code=True)) == [500]
    assert taken(half_off(1, {"g": guardrail(map="900", floor="600")}, requires_code=True)) == [[-500, 100]]
    assert totals(half_off(1, guardrails, level="order")) == [500]


def test_line_brought_below_the_advertised_price_by_a_code_stays_there() -> None:
    promotions = {"a": percent_off("50", requires_code=True, priority=9), "b": percent_off("10"), "c": amount_off(30)}
    coupons: dict[str, Body] = {"c": {"promotion": "a", "codes": ["C"]}}
    resources: Resources = {
        "prices": A,
        "promotions": promotions,
        "coupons": coupons,
        "guardrails": {"g": guardrail(map="900")},
    }
    reply = both([("A", 1)], resources, codes=["C"])

    # What needs no code finds no room: its 50 are given back, and the shared 30 are dropped.
    assert taken(reply) == [[-500, -50, 50]]
    assert totals(reply) == [500]


def test_shared_amount_moves_to_lines_with_room_above_their_advertised_price() -> None:
    resources: Resources = {
        "prices": prices(A="1000", B="1000"),
        "promotions": {"p": amount_off(600)},
        "guardrails": {"g": {**guardrail(map="900"), "scope": only(skus=["A"])}},
    }

    assert taken(both([("A", 1), ("B", 1)], resources)) == [[-100], [-500]]


def test_what_an_order_promotion_cannot_take_names_the_bound() -> None:
    resources: Resources = {
        "prices": A,
        "promotions": {"p": amount_off(600, level="order")},
        "guardrails": {"g": guardrail(max_discount="10", map="950")},
    }
    reply = both([("A", 1)], resources)

    assert reply["adjustments"][1] == back("g", "max_discount", 500)
    assert totals(reply) == [900]


def test_lower_bound_wins_over_the_ceiling_where_costs_move_it_above() -> None:
    reply = half_off(1, {"g": guardrail(min_margin="50", ceiling="1200")})

    # 700 / 0.5 = 1400
    assert totals(reply) == [1400]
    assert line(reply)["price_steps"][0]["bound"] == "min_margin"


@pytest.mark.parametrize("field", ["floor", "map"])
def test_fixed_bound_above_the_ceiling_does_not_publish(field: str) -> None:
    guardrails = {"g": {"scope": only(), "currency": "USD", field: "2000"}, "h": guardrail(ceiling="1500")}
    documents = {
        "prices": {name: Document(body, 1) for name, body in A.items()},
        "guardrails": {name: Document(body, 1) for name, body in guardrails.items()},
    }

    with pytest.raises(BookError) as refused:
        compile_price_book(BookRows(1, 0, documents))
    assert [(problem.id, problem.path) for problem in refused.value.problems] == [("g", field)]


def test_strategy_is_raised_to_the_margin_and_says_so() -> None:
    strategies: dict[str, Body] = {"s": {"kind": "cost_plus", "scope": only(), "currency": "USD", "params": {"markup": "10"}}}
    resources: Resources = {
        "prices": A,
        "strategies": strategies,
        "signals-costs": cost("700"),
        "guardrails": {"g": guardrail(min_margin="20")},
    }

    assert line(both([("A", 1)], resources))["price_steps"] == [
        {
            "step": "strategy",
            "rule": "s",
            "kind": "cost_plus",
            "before": "1000",
            "after": "875",
            "bound": "min_margin",
            "guardrail": "g",
        }
    ]
