"""Cost-plus, value and lifecycle worked by hand: what they refuse, how they are laid out, and what they propose at their bounds."""

from datetime import UTC, datetime
from typing import Any, Literal

import numpy as np
import pytest

from app.pricing.facts import Facts, Rivals
from app.pricing.guardrails import NO_CEILING_E4, Bounds
from app.pricing.money import UNIT_E4_MAX, Rounding
from app.pricing.schedule import ROW_STRIDE
from app.pricing.seasons import pack_seasons
from app.pricing.strategies import cost_plus, lifecycle, value
from app.pricing.strategy import ABSENT, Figure, Form, Inputs, Status

NOTHING = np.zeros(0, np.int64)
FACTS = Facts(NOTHING, NOTHING, Rivals((), NOTHING, NOTHING, NOTHING, np.zeros(0, np.bool_), NOTHING), pack_seasons([], NOTHING))
MAX = UNIT_E4_MAX


def inputs(
    n: int,
    *,
    cost: list[int] | None = None,
    listed: list[int] | None = None,
    at_s: list[int] | None = None,
    ceiling: int | None = None,
    rounding: Rounding = "half_up",
) -> Inputs:
    zeros, rule = np.zeros(n, np.int64), np.full(n, -1)
    highest = np.full(n, NO_CEILING_E4 if ceiling is None else ceiling)
    bounds = Bounds(zeros, rule, highest, rule if ceiling is None else zeros)
    at, list_unit, costs = (np.array(zeros if given is None else given, np.int64) for given in (at_s, listed, cost))
    return Inputs(zeros, zeros, at, list_unit, costs, zeros, bounds, FACTS, rounding)


@pytest.mark.parametrize(
    ("params", "is_refused"),
    [({}, True), ({"markup": "5", "margin": "5"}, True), ({"markup": "5"}, False), ({"margin": "5"}, False)],
)
def test_cost_plus_has_a_markup_or_a_margin(params: dict[str, Any], is_refused: bool) -> None:
    problems = cost_plus.check(cost_plus.Params(**params))

    assert [path for path, _ in problems] == (["markup"] if is_refused else [])


def three_cost_plus() -> cost_plus.Packed:
    return cost_plus.pack(
        [cost_plus.Params(markup="25"), cost_plus.Params(margin="20", amount="0.5"), cost_plus.Params(margin="99.9999")]
    )


def test_markup_multiplies_and_margin_divides_the_cost() -> None:
    proposed = cost_plus.propose(three_cost_plus(), np.array([0, 1, 1, 2, 1]), inputs(5, cost=[1_000_000, 1_000_000, 0, 7, -1]))

    # 100 · 1.25; 100 / 0.8 + 0.5; 0 / 0.8 + 0.5; 0.0007 / 0.000001; no cost at all
    assert proposed.unit_e4.tolist() == [1_250_000, 1_255_000, 5_000, 7_000_000, 5_000]
    assert proposed.status.tolist() == [Status.OK] * 4 + [Status.NO_COST]


@pytest.mark.parametrize(("rounding", "unit_e4"), [("half_up", 3), ("half_even", 2)])
def test_cost_plus_rounds_as_the_policy_says(rounding: Literal["half_up", "half_even"], unit_e4: int) -> None:
    assert cost_plus.propose(three_cost_plus(), np.array([0]), inputs(1, cost=[2], rounding=rounding)).unit_e4.tolist() == [
        unit_e4
    ]


def test_cost_plus_above_the_greatest_price_stands_for_the_ceiling() -> None:
    packed = cost_plus.pack(
        [
            cost_plus.Params(markup="0"),
            cost_plus.Params(markup="0", amount="0.0001"),
            cost_plus.Params(margin="50"),
            cost_plus.Params(margin="99.9999"),
        ]
    )
    row, cost = np.arange(4), [MAX] * 4

    open_above = cost_plus.propose(packed, row, inputs(4, cost=cost))
    below_70 = cost_plus.propose(packed, row, inputs(4, cost=cost, ceiling=700_000))

    assert open_above.unit_e4.tolist() == [MAX, 0, 0, 0]
    assert open_above.status.tolist() == [Status.OK] + [Status.NO_CEILING] * 3
    assert (below_70.unit_e4.tolist(), below_70.status.tolist()) == ([MAX, 700_000, 700_000, 700_000], [Status.OK] * 4)


def test_gain_of_what_knows_no_demand_is_to_be_near() -> None:
    at = np.array([1_250_003, 1_250_000, 1_249_993])
    of_value = value.pack([value.Params("125")])
    of_stage = lifecycle.pack([lifecycle.Params((lifecycle.Stage("exit", "1970-01-01T00:00:00Z", unit_price="125"),))])
    rows, given = np.zeros(3, np.int64), inputs(3, cost=[1_000_000] * 3)

    assert cost_plus.gain(three_cost_plus(), rows, given, at).tolist() == [-3.0, 0.0, -7.0]
    assert value.gain(of_value, rows, given, at).tolist() == [-3.0, 0.0, -7.0]
    assert lifecycle.gain(of_stage, rows, given, at).tolist() == [-3.0, 0.0, -7.0]


def worth(*amounts: str, reference: str = "10", share: str = "50") -> value.Params:
    return value.Params(reference, tuple(value.Difference("d", amount) for amount in amounts), share)


def test_value_has_a_hundred_differences_at_most() -> None:
    assert value.check(worth(*["1"] * 100)) == []
    assert value.check(worth(*["1"] * 101)) == [("differences", "at most 100")]


def test_value_shares_what_is_more_and_not_what_is_less() -> None:
    packed = value.pack(
        [worth("3", "-1"), worth("-3", "1"), worth(), worth("0.0001", share="0"), worth("-11"), worth("0.0005"), worth("-10")]
    )

    proposed = value.propose(packed, np.arange(7), inputs(7))
    to_even = value.propose(packed, np.array([5]), inputs(1, rounding="half_even"))

    # Half of 2; all of -2; nothing; no part of anything; not below 0; 0.00025 and up; exactly 0
    assert proposed.unit_e4.tolist() == [110_000, 80_000, 100_000, 100_000, 0, 100_003, 0]
    assert proposed.status.tolist() == [Status.OK] * 7
    assert to_even.unit_e4.tolist() == [100_002]
    reference, its_worth = proposed.figures
    assert (reference.name, reference.form, reference.values.tolist()) == ("reference_price", Form.UNIT_PRICE, [100_000] * 7)
    assert (its_worth.name, its_worth.form) == ("worth", Form.UNIT_PRICE)
    assert its_worth.values.tolist() == [10_000, -20_000, 0, 0, -110_000, 3, -100_000]


def test_value_above_the_greatest_price_stands_for_the_ceiling() -> None:
    greatest = str(MAX // 10_000)
    packed = value.pack([worth(reference=greatest), worth("0.0002", reference=greatest)])

    open_above = value.propose(packed, np.arange(2), inputs(2))
    below_70 = value.propose(packed, np.arange(2), inputs(2, ceiling=700_000))

    assert (open_above.unit_e4.tolist(), open_above.status.tolist()) == ([MAX, 0], [Status.OK, Status.NO_CEILING])
    assert (below_70.unit_e4.tolist(), below_70.status.tolist()) == ([MAX, 700_000], [Status.OK] * 2)


def stage(name: str, second: int, percent: str | None = None, unit_price: str | None = None) -> lifecycle.Stage:
    return lifecycle.Stage(name, datetime.fromtimestamp(second, UTC).isoformat(), percent, unit_price)


@pytest.mark.parametrize(
    ("stages", "paths"),
    [
        ((), ["stages"]),
        ((stage("a", 0, "5"), stage("b", 1, unit_price="5")), []),
        ((stage("a", 5, "5"), stage("b", 5, "5")), ["stages[1].from"]),
        ((stage("a", 5, "5"), stage("b", 4, "5"), stage("c", 5, "5")), ["stages[1].from"]),
        ((stage("a", 5), stage("b", 6, "5", "5")), ["stages[0].percent", "stages[1].percent"]),
    ],
)
def test_stages_begin_one_after_the_other_with_one_price_each(stages: tuple[lifecycle.Stage, ...], paths: list[str]) -> None:
    problems = lifecycle.check(lifecycle.Params(stages))

    assert [path for path, _ in problems] == paths
    assert all(said for _, said in problems)


def two_lifecycles() -> lifecycle.Packed:
    return lifecycle.pack(
        [
            lifecycle.Params((stage("new", 10, "150"), stage("old", 20, unit_price="7"))),
            lifecycle.Params((stage("gone", 15, "0"), stage("new", 30, "1000"))),
        ]
    )


def test_stages_are_laid_out_by_strategy() -> None:
    packed = two_lifecycles()

    assert packed.start_key.tolist() == [10, 20, ROW_STRIDE + 15, ROW_STRIDE + 30]
    assert packed.percent_ppm.tolist() == [1_500_000, -1, 0, 10_000_000]
    assert packed.unit_e4.tolist() == [0, 70_000, 0, 0]
    assert packed.names == ("gone", "new", "old")
    assert packed.name.tolist() == [1, 2, 0, 1]


def test_price_is_that_of_the_last_stage_that_has_begun() -> None:
    row, at_s = np.array([0, 0, 0, 0, 0, 1, 1, 1]), [9, 10, 19, 20, 10**9, 14, 15, 30]

    proposed = lifecycle.propose(two_lifecycles(), row, inputs(8, listed=[1_000_000] * 8, at_s=at_s))

    no, ok = Status.NO_STAGE, Status.OK
    assert proposed.status.tolist() == [no, ok, ok, ok, ok, no, ok, ok]
    assert proposed.unit_e4[proposed.status == ok].tolist() == [1_500_000, 1_500_000, 70_000, 70_000, 0, 10_000_000]
    (shown,) = proposed.figures
    assert shown._replace(values=NOTHING) == Figure("stage", Form.TEXT, NOTHING, ("gone", "new", "old"))
    assert shown.values.tolist() == [ABSENT, 1, 1, 2, 2, ABSENT, 0, 1]


@pytest.mark.parametrize(("rounding", "unit_e4"), [("half_up", 2), ("half_down", 1)])
def test_part_of_the_list_price_is_rounded(rounding: Literal["half_up", "half_down"], unit_e4: int) -> None:
    given = inputs(1, listed=[1], at_s=[10], rounding=rounding)

    assert lifecycle.propose(two_lifecycles(), np.array([0]), given).unit_e4.tolist() == [unit_e4]


def test_part_of_the_list_price_above_the_greatest_stands_for_the_ceiling() -> None:
    listed = [MAX // 10, MAX // 10 + 1]

    open_above = lifecycle.propose(two_lifecycles(), np.array([1, 1]), inputs(2, listed=listed, at_s=[30, 30]))
    below_70 = lifecycle.propose(two_lifecycles(), np.array([1, 1]), inputs(2, listed=listed, at_s=[30, 30], ceiling=700_000))

    assert (open_above.unit_e4.tolist(), open_above.status.tolist()) == ([MAX, 0], [Status.OK, Status.NO_CEILING])
    assert (below_70.unit_e4.tolist(), below_70.status.tolist()) == ([MAX, 700_000], [Status.OK] * 2)


def test_only_stages_change_a_price_by_time_alone() -> None:
    nothing = value.pack([worth()])

    assert lifecycle.instants_s(two_lifecycles(), np.array([1, 1]), np.array([5, 6]), FACTS).tolist() == [15, 30]
    assert lifecycle.instants_s(two_lifecycles(), np.array([0, 1]), np.array([5, 6]), FACTS).tolist() == [10, 20, 15, 30]
    assert value.instants_s(nothing, np.array([0]), np.array([5]), FACTS).tolist() == []
    assert cost_plus.instants_s(three_cost_plus(), np.array([0]), np.array([5]), FACTS).tolist() == []
