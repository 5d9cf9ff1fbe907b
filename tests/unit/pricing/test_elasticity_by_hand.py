"""The price of own-price elasticity worked by hand: what is refused, how it is laid out, and what the forms of demand propose."""

from typing import Any

import numpy as np
import pytest

from app.pricing.facts import Facts, Rivals
from app.pricing.guardrails import NO_CEILING_E4, Bounds
from app.pricing.money import UNIT_E4_MAX, Rounding
from app.pricing.seasons import pack_seasons
from app.pricing.strategies import elasticity
from app.pricing.strategies.elasticity import Params
from app.pricing.strategy import ABSENT, Form, Inputs, Status

NOTHING = np.zeros(0, np.int64)
FACTS = Facts(NOTHING, NOTHING, Rivals((), NOTHING, NOTHING, NOTHING, np.zeros(0, np.bool_), NOTHING), pack_seasons([], NOTHING))
MAX = UNIT_E4_MAX
GREATEST = str(MAX // 10_000)
OK = Status.OK


def inputs(
    *cost: int,
    demand: list[int] | None = None,
    floor: int | None = None,
    ceiling: int | None = None,
    rounding: Rounding = "half_up",
) -> Inputs:
    """Lines of these costs in e4, −1 where there is none, at the usual demand where not said."""
    n = len(cost)
    zeros, rule = np.zeros(n, np.int64), np.full(n, -1)
    highest = np.full(n, NO_CEILING_E4 if ceiling is None else ceiling)
    bounds = Bounds(
        zeros if floor is None else np.full(n, floor),
        rule if floor is None else zeros,
        highest,
        rule if ceiling is None else zeros,
    )
    index = np.full(n, 10_000) if demand is None else np.array(demand, np.int64)
    return Inputs(zeros, zeros, zeros, zeros, np.array(cost, np.int64), index, bounds, FACTS, rounding)


def iso(slope: str, **more: Any) -> Params:
    return Params("iso_elastic", slope, "1000", **more)


def linear(slope: str, reference: str = "1000", **more: Any) -> Params:
    return Params("linear", slope, reference, **more)


def logit(slope: str, share: str = "50", **more: Any) -> Params:
    return Params("logit", slope, "1000", reference_share=share, **more)


def prices(given: Inputs, *params: Params) -> list[tuple[int, int]]:
    """Price and status of each line by its own parameters."""
    proposed = elasticity.propose(elasticity.pack(params), np.arange(len(params)), given)
    return list(zip(proposed.unit_e4.tolist(), proposed.status.tolist(), strict=True))


def test_logit_alone_has_a_share_at_the_reference_price() -> None:
    share = {"reference_share": "50"}

    for fine in (logit("-2"), iso("-2"), linear("-2")):
        assert elasticity.check(fine) == []
    for refused in (Params("logit", "-2", "1"), iso("-2", **share), linear("-2", **share)):
        ((path, said),) = elasticity.check(refused)
        assert path == "reference_share"
        assert said


def test_elasticity_is_laid_out_by_form() -> None:
    packed = elasticity.pack([iso("-2"), linear("-0.5", "7.5", objective="revenue", stock_value="3"), logit("-1", "12.5")])

    assert packed.form.tolist() == [0, 1, 2]
    assert packed.steepness_e4.tolist() == [20_000, 5_000, 10_000]
    assert packed.reference_e4.tolist() == [10_000_000, 75_000, 10_000_000]
    assert packed.is_profit.tolist() == [True, False, True]
    assert packed.stock_value_e4.tolist() == [0, 30_000, 0]
    assert packed.share.tolist() == [0.5, 0.5, 0.125]


def test_elastic_demand_marks_up_the_cost() -> None:
    given = inputs(700_000, 700_000, 700_000, 0, -1, -1)
    params = (
        iso("-2"),
        iso("-1.5"),
        iso("-2", stock_value="30"),
        iso("-2", stock_value="1"),
        iso("-2"),
        iso("-2", stock_value="1"),
    )

    # 70 · 2; 70 · 3; (70 + 30) · 2; 1 · 2; without a cost there is no price for profit, whatever the stock is worth
    expected = [1_400_000, 2_100_000, 2_000_000, 20_000]
    found = prices(given, *params)
    assert found[:4] == [(unit, OK) for unit in expected]
    assert [status for _, status in found[4:]] == [Status.NO_COST] * 2


def test_revenue_counts_no_cost_but_the_worth_of_the_stock() -> None:
    worth = iso("-2", objective="revenue", stock_value="5")

    assert prices(inputs(700_000, -1), worth, worth) == [(100_000, OK)] * 2


def test_elastic_demand_that_costs_nothing_stands_for_the_floor() -> None:
    params = iso("-2", objective="revenue"), iso("-1.0001", objective="revenue"), iso("-2")

    assert [status for _, status in prices(inputs(-1, 5, 0), *params)] == [Status.NO_FLOOR] * 3
    assert prices(inputs(-1, 5, 0, floor=40_000), *params) == [(40_000, OK)] * 3
    assert prices(inputs(1, floor=40_000), iso("-2")) == [(2, OK)]


def test_demand_that_is_not_elastic_stands_for_the_ceiling() -> None:
    params = iso("-1"), iso("-0.5"), iso("-1")

    assert [status for _, status in prices(inputs(50, 50, 0), *params)] == [Status.NO_CEILING] * 3
    assert prices(inputs(50, 50, 0, floor=40_000, ceiling=90_000), *params) == [(90_000, OK)] * 3


def test_markup_above_the_greatest_price_stands_for_the_ceiling() -> None:
    params, given = (iso("-2"), iso("-2"), iso("-1.0001")), (MAX // 2, MAX // 2 + 1, MAX)

    assert prices(inputs(*given), *params) == [(MAX, OK), (0, Status.NO_CEILING), (0, Status.NO_CEILING)]
    assert prices(inputs(*given, ceiling=90_000), *params) == [(MAX, OK), (90_000, OK), (90_000, OK)]


def test_linear_demand_goes_half_way_to_where_nobody_buys() -> None:
    params = linear("-2"), linear("-2"), linear("-2", stock_value="100"), linear("-0.5"), linear("-2", objective="revenue")
    given = inputs(7_000_000, 7_000_000, 7_000_000, 7_000_000, 7_000_000, demand=[10_000, 24_000, 10_000, 10_000, 10_000])

    # Nobody buys at 1000 · (1 + d / 2) = 1500, at d = 2.4 at 2200; (700 + 100 + 1500) / 2; (700 + 3000) / 2; 1500 / 2
    expected = [11_000_000, 14_500_000, 11_500_000, 18_500_000, 7_500_000]
    assert prices(given, *params) == [(unit, OK) for unit in expected]


@pytest.mark.parametrize(("rounding", "up"), [("half_up", 1), ("half_down", 0)])
def test_elasticity_rounds_as_the_policy_says(rounding: Rounding, up: int) -> None:
    given = inputs(7_000_001, 1, rounding=rounding)

    # (700.0001 + 1500) / 2; 0.0001 · 5 / 2 / (5 / 2 − 1) = 0.000166… and not a half, so up in both
    assert prices(given, linear("-2"), iso("-2.5")) == [(11_000_000 + up, OK), (2, OK)]
    # 0.0001 · 3 / (3 − 1) = 0.00015
    assert prices(inputs(1, rounding=rounding), iso("-3")) == [(1 + up, OK)]


def test_linear_price_above_the_greatest_stands_for_the_ceiling() -> None:
    # Half way to twice the greatest price, and from a cost of 0.0001; far above
    params = linear("-1", GREATEST), linear("-1", GREATEST), linear("-0.0001", GREATEST)

    assert prices(inputs(0, 1, MAX), *params) == [(MAX, OK), (0, Status.NO_CEILING), (0, Status.NO_CEILING)]
    assert prices(inputs(0, 1, MAX, ceiling=90_000), *params) == [(MAX, OK), (90_000, OK), (90_000, OK)]


def test_logit_price_adds_to_the_cost() -> None:
    params = logit("-2"), logit("-0.4", "80", objective="revenue"), logit("-3"), logit("-3")
    given = inputs(5_000_000, -1, 6_666_667, 6_666_668, demand=[10_000, 2_500, 10_000, 10_000])

    # b = 2 / 500, v = 4, W(e^(4 − 2 − 1)) = 1: 500 + 2 / b
    # b = 0.4 / 200, v = ln 4 + 2 + ln 1/4 = 2, W(e^(2 − 1)) = 1: 2 / b
    # b = 3 / 500, v = 6; near a cost of 2000 / 3 the price rises by half of what the cost does: 1000.0000 + 0.000017, and 0.000067
    expected = [10_000_000, 10_000_000, 10_000_000, 10_000_001]
    assert prices(given, *params) == [(unit, OK) for unit in expected]


def test_logit_price_above_the_greatest_stands_for_the_ceiling() -> None:
    assert prices(inputs(MAX), logit("-2")) == [(0, Status.NO_CEILING)]
    assert prices(inputs(MAX, ceiling=90_000), logit("-2")) == [(90_000, OK)]


def test_forms_stand_side_by_side_with_the_index_of_demand() -> None:
    packed = elasticity.pack([iso("-2"), linear("-2"), logit("-2")])
    given = inputs(5_000_000, 7_000_000, 700_000, 7_000_000, demand=[10_000, 24_000, 9_999, 10_000])

    proposed = elasticity.propose(packed, np.array([2, 1, 0, 1]), given)

    assert proposed.unit_e4.tolist() == [10_000_000, 14_500_000, 1_400_000, 11_000_000]
    (index,) = proposed.figures
    assert (index.name, index.form, index.values.tolist()) == ("demand_index", Form.INDEX, [ABSENT, 24_000, 9_999, ABSENT])


def test_gain_is_what_a_unit_brings_times_demand() -> None:
    packed = elasticity.pack([iso("-2"), linear("-2"), logit("-2"), linear("-2", objective="revenue", stock_value="50")])
    given = inputs(7_000_000, 7_000_000, 7_000_000, -1, demand=[10_000, 15_000, 10_000, 10_000])

    gains = elasticity.gain(packed, np.arange(4), given, np.array([20_000_000, 12_500_000, 10_000_000, 7_500_000]))

    # (2000 − 700) · 2^−2; (1250 − 700) · (1.5 − 2 · 0.25); (1000 − 700) / 2; (750 − 50) · (1 + 2 · 0.25)
    assert gains.tolist() == pytest.approx([3_250_000, 5_500_000, 1_500_000, 10_500_000], rel=1e-12)


def test_elasticity_changes_no_price_by_time_alone() -> None:
    assert elasticity.instants_s(elasticity.pack([iso("-2")]), np.array([0]), np.array([5]), FACTS).tolist() == []
