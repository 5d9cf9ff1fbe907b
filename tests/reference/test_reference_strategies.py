"""Worked examples: strategy prices, endings, and tiers that follow a strategy."""

from decimal import Decimal, localcontext
from fractions import Fraction

import pytest

from tests.reference.both import both
from tests.reference.builders import Resources, ceiling, floor, line, only, prices, tiers
from tests.reference.demand import Demand
from tests.reference.endings import ending_price_e4
from tests.reference.guardrails import Bound, Bounds
from tests.reference.shop import Body

COSTS: dict[str, Body] = {"A|USD": {"sku": "A", "currency": "USD", "unit_cost": "700"}}
OPEN = Bounds(None, None, None)


def strategy(kind: str, params: Body, endings: str | None = None) -> dict[str, Body]:
    return {"s": {"kind": kind, "scope": only(), "currency": "USD", "params": params, "endings": endings}}


def elastic(form: str, elasticity: str, **more: str) -> dict[str, Body]:
    return strategy("elasticity", {"form": form, "elasticity": elasticity, "reference_price": "1000", **more})


def steps(strategies: dict[str, Body], unit: str = "1000", resources: Resources | None = None) -> Body:
    always = {"prices": prices(A=unit), "strategies": strategies, "signals-costs": COSTS}
    reply = both([("A", 1)], {**always, **(resources or {})})
    found: Body = line(reply)["price_steps"][0]
    return found


@pytest.mark.parametrize(
    ("params", "after"),
    [
        ({"markup": "50", "amount": "0"}, "1050"),
        ({"markup": "12.5", "amount": "0.5"}, "788"),  # 787.5 + 0.5
        ({"margin": "30", "amount": "0"}, "1000"),  # 700 / 0.7
        ({"margin": "33.3333"}, "1050"),  # 700 / 0.666667 = 1049.99948 rounds to a cent
        ({"markup": "10000"}, "70700"),
    ],
)
def test_cost_plus_adds_markup_or_margin_to_cost(params: Body, after: str) -> None:
    found = steps(strategy("cost_plus", params))

    assert found == {"step": "strategy", "rule": "s", "kind": "cost_plus", "before": "1000", "after": after}


def test_price_keeps_its_fraction_where_the_list_price_has_one() -> None:
    assert steps(strategy("cost_plus", {"markup": "12.5", "amount": "0.05"}), unit="999.5")["after"] == "787.55"


def test_list_price_stays_without_cost_and_says_so() -> None:
    reply = both([("A", 1)], {"prices": prices(A="1000"), "strategies": strategy("cost_plus", {"markup": "5"})})

    assert line(reply)["price_steps"] == [
        {"step": "strategy", "rule": "s", "kind": "cost_plus", "before": "1000", "after": "1000", "status": "no_cost"}
    ]


@pytest.mark.parametrize(
    ("form", "elasticity", "more", "after"),
    [
        ("iso_elastic", "-2.4", {}, "1200"),  # 700 x 2.4 / 1.4
        ("iso_elastic", "-2.4", {"stock_value": "70"}, "1320"),
        ("linear", "-2", {}, "1100"),  # (700 + 1000 x 1.5) / 2
        ("linear", "-2", {"objective": "revenue"}, "750"),
    ],
)
def test_elasticity_price_follows_the_formula(form: str, elasticity: str, more: dict[str, str], after: str) -> None:
    assert steps(elastic(form, elasticity, **more))["after"] == after


def test_demand_index_moves_linear_and_leaves_iso_elastic() -> None:
    index = {"signals-demand": {"A": {"sku": "A", "index": "1.2"}}}

    assert steps(elastic("linear", "-2"), resources=index)["after"] == "1150"  # (700 + 1000 x 1.6) / 2
    assert steps(elastic("iso_elastic", "-2.4"), resources=index)["after"] == "1200"


def test_logit_price_solves_its_first_order_condition() -> None:
    # p - c = 1 / (b (1 - share(p))), with share(p) the share that the model gives at p
    demand = Demand("logit", Fraction("-2.4"), Fraction(1000), Fraction(1, 5), Fraction("1.15"), Fraction(700))
    price = demand.best_price()
    with localcontext(prec=50):
        b = Decimal("2.4") / (1000 * Decimal("0.8"))
        v = (Decimal(1) / 4).ln() + b * 1000 + Decimal("1.15").ln()
        p = Decimal(price.numerator) / price.denominator
        share = 1 / (1 + (b * p - v).exp())
        gap = p - 700 - 1 / (b * (1 - share))

    assert abs(gap) < Decimal("1e-40")
    assert 1090 < price < 1110


def test_logit_is_solved_where_floats_overflow() -> None:
    demand = Demand("logit", Fraction(-5000), Fraction(1000), Fraction(1, 2), Fraction(1), Fraction(700))

    assert 999 < demand.best_price() < 1000


@pytest.mark.parametrize(
    ("strategies", "guardrails", "said"),
    [
        (elastic("iso_elastic", "-0.8"), {}, {"after": "1000", "status": "no_ceiling"}),
        (elastic("iso_elastic", "-1"), {"h": ceiling("1500")}, {"after": "1500"}),
        (elastic("iso_elastic", "-2", objective="revenue"), {}, {"after": "1000", "status": "no_floor"}),
        (elastic("iso_elastic", "-2", objective="revenue"), {"g": floor("800")}, {"after": "800"}),
        (elastic("iso_elastic", "-2.4"), {"h": ceiling("1150.5")}, {"after": "1150.5", "bound": "ceiling", "guardrail": "h"}),
        (elastic("iso_elastic", "-2.4"), {"g": floor("1300")}, {"after": "1300", "bound": "floor", "guardrail": "g"}),
    ],
)
def test_bounds_hold_the_strategy_and_stand_in_where_there_is_no_best_price(
    strategies: dict[str, Body], guardrails: dict[str, Body], said: Body
) -> None:
    found = steps(strategies, resources={"guardrails": guardrails})

    assert found == {"step": "strategy", "rule": "s", "kind": "elasticity", "before": "1000", **said}


def endings(*wanted: str, direction: str = "nearest") -> Body:
    return {"currency": "USD", "bands": [{"up_to": None, "endings": list(wanted)}], "direction": direction}


@pytest.mark.parametrize(
    ("price", "wanted", "direction", "found"),
    [
        (1204, ["99"], "nearest", 1199),
        (1249, ["99"], "nearest", 1199),  # 50 to either: the lower
        (1249, ["99", "49"], "nearest", 1249),
        (1204, ["99"], "up", 1299),
        (1298, ["99"], "down", 1199),
        (40, ["99"], "down", 99),  # nothing lower is above 0
        (3, ["05"], "nearest", 5),  # padded: 05
        (0, ["0"], "down", 10),  # 0 is not above 0
    ],
)
def test_ending_is_chosen_by_direction(price: int, wanted: list[str], direction: str, found: int) -> None:
    assert ending_price_e4(endings(*wanted, direction=direction), price * 10_000, OPEN, None) == found * 10_000


def test_ending_lies_within_the_bounds_or_the_price_stays() -> None:
    low = Bound("floor", "g", 1_200_0000)
    bounds = Bounds(low, low, Bound("ceiling", "h", 1_250_0000))

    assert ending_price_e4(endings("99"), 1_204_0000, bounds, None) is None
    assert ending_price_e4(endings("49"), 1_204_0000, bounds, None) == 1_249_0000
    assert ending_price_e4(endings("49"), 9_999_0000, bounds, None) == 1_249_0000


def test_profit_takes_the_neighbour_that_earns_more() -> None:
    # Linear, cost 700, q = 1 - 2 (p / 1000 - 1): at 1090 (390 x 0.82 = 319.8), at 1190 (490 x 0.62 = 303.8)
    demand = Demand("linear", Fraction(-2), Fraction(10_000_000), Fraction(0), Fraction(1), Fraction(7_000_000))

    assert ending_price_e4(endings("90", direction="profit"), 1_145_0000, OPEN, demand.gain) == 1_090_0000


def test_band_is_found_from_the_unrounded_price() -> None:
    banded = {"bands": [{"up_to": 1200, "endings": ["95"]}, {"up_to": None, "endings": ["50"]}]}

    assert ending_price_e4(banded, 12_000_000, OPEN, None) == 1_195_0000
    assert ending_price_e4(banded, 12_000_001, OPEN, None) == 1_250_0000


def test_strategy_with_endings_shows_the_ending() -> None:
    found = steps(strategy("cost_plus", {"markup": "72"}, "e"), resources={"endings": {"e": endings("99")}})

    assert found["after"] == "1199"  # 1204


@pytest.mark.parametrize(("tier", "scaled"), [("800", "960"), ("333.3333", "399.9996"), ("0", "0"), ("200000", "200000")])
def test_tiers_keep_their_ratio_to_the_list_price(tier: str, scaled: str) -> None:
    # 1000 becomes 1200: 0.8 x 1200; 0.333333 x 1200 = 399.9996; more than a hundredfold stands
    entry = prices({"sku": "A", "unit_price": "1000", "tiers": tiers("volume", (None, tier))})
    reply = both([("A", 1)], {"prices": entry, "strategies": elastic("iso_elastic", "-2.4"), "signals-costs": COSTS})

    step = {"step": "tier", "rule": "A", "price_list": "default", "before": "1200", "after": scaled}
    assert line(reply)["price_steps"][1] == step


def test_most_specific_strategy_wins_then_the_lower_id() -> None:
    one = strategy("cost_plus", {"markup": "10"})["s"]
    strategies = {"b": one, "a": one, "z": {**one, "scope": only(skus=["A"]), "params": {"markup": "20"}}}
    reply = both([("A", 1)], {"prices": prices(A="1000"), "strategies": strategies, "signals-costs": COSTS})

    step = {"step": "strategy", "rule": "z", "kind": "cost_plus", "before": "1000", "after": "840"}
    assert line(reply)["price_steps"] == [step]
    assert steps({"b": one, "a": one})["rule"] == "a"
