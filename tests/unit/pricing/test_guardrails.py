"""Guardrails by hand: which of several holds, how far prices may move, and the bounds of what is paid."""

from typing import Any

import numpy as np

from app.pricing.guardrails import (
    NO_CEILING_E4,
    Bounds,
    Field,
    GuardrailRow,
    Guardrails,
    Limits,
    change_limits_of,
    clamp_unit,
    compile_guardrails,
    contradictions,
    highest_minor,
    limits_of,
    lowest_minor,
    told_of,
    values_of,
)
from app.pricing.money import INT64_MAX, UNIT_E4_MAX, Int64s
from app.pricing.scope import Scope

E4 = 10_000
NONE = np.zeros(0, np.int64)


def of_some(*rows: int, specificity: int = 1, currency: int = 0, **said: Any) -> GuardrailRow:
    """A guardrail of some SKUs."""
    return GuardrailRow(currency, Scope(False, np.array(rows), NONE, specificity), values_of(said))


def of_all_but(*excluded: int, currency: int = 0, **said: Any) -> GuardrailRow:
    """A guardrail of every SKU but some."""
    return GuardrailRow(currency, Scope(True, NONE, np.array(excluded, np.int64), 0), values_of(said))


def told(field: Field) -> list[tuple[int, str] | None]:
    return [told_of(bound) if bound >= 0 else None for bound in field.bound.tolist()]


def limits(guardrails: Guardrails, *keys: int, list_price: int = 1_000, cost_e4: int = -1) -> Limits:
    list_unit_e4 = np.full(len(keys), list_price * E4)
    return limits_of(guardrails, np.array(keys), list_unit_e4, lambda key: np.full(key.size, cost_e4))


def told_floors(bounds: Bounds) -> list[tuple[int, tuple[int, str] | None]]:
    rules = told(Field(bounds.floor_e4, bounds.floor_rule))
    return list(zip(bounds.floor_e4.tolist(), rules, strict=True))


def bounds(floor_e4: int = 0, ceiling_e4: int = NO_CEILING_E4) -> Bounds:
    one: Int64s = np.array([-1])
    return Bounds(np.array([floor_e4]), one, np.array([ceiling_e4]), one)


def test_of_equally_specific_guardrails_the_tighter_holds_and_then_the_earlier() -> None:
    weak, strong = {"percent": "10", "days": 7}, {"percent": "10", "days": 8}
    loose = of_some(0, floor="100", min_margin="10", max_discount="50", map="100", ceiling="900", max_change=weak)
    tight = of_some(0, floor="200", min_margin="20", max_discount="30", map="200", ceiling="800", max_change=strong)

    for rows, winner in (((loose, tight), 1), ((tight, loose), 0), ((tight, tight), 0)):
        guardrails = compile_guardrails(rows, 1)

        names = ("floor", "min_margin", "max_discount", "map", "ceiling", "max_change")
        assert [told(field) for field in guardrails[1:]] == [[(winner, name)] for name in names]


def test_more_specific_guardrail_holds_though_it_is_looser() -> None:
    for rows in ((of_all_but(floor="200"), of_some(1, floor="100")), (of_some(1, floor="100"), of_all_but(floor="200"))):
        guardrails = compile_guardrails(rows, 3)

        assert guardrails.key.tolist() == [0, 1, 2]
        assert guardrails.floor_e4.value.tolist() == [200 * E4, 100 * E4, 200 * E4]


def test_fields_come_from_the_guardrails_that_say_them_currency_by_currency() -> None:
    rows = (of_some(1, 2, floor="5"), of_all_but(0, currency=1, floor="7", ceiling="8"), of_some(2, specificity=2, map="6"))

    guardrails = compile_guardrails(rows, 3)

    # key = currency row · 3 + SKU row
    assert guardrails.key.tolist() == [1, 2, 4, 5]
    assert guardrails.floor_e4.value.tolist() == [5 * E4, 5 * E4, 7 * E4, 7 * E4]
    assert told(guardrails.floor_e4) == [(0, "floor"), (0, "floor"), (1, "floor"), (1, "floor")]
    assert guardrails.ceiling_e4.value.tolist() == [NO_CEILING_E4, NO_CEILING_E4, 8 * E4, 8 * E4]
    assert told(guardrails.ceiling_e4) == [None, None, (1, "ceiling"), (1, "ceiling")]
    assert guardrails.ceiling_e4.bound.tolist()[:2] == [-1, -1]
    assert guardrails.map_e4.value.tolist() == [0, 6 * E4, 0, 0]
    assert told(guardrails.map_e4) == [None, (2, "map"), None, None]
    assert guardrails.min_margin_ppm.bound.size == guardrails.max_change.value.size == 0


def test_no_guardrails_have_no_keys_and_bound_nothing() -> None:
    guardrails = compile_guardrails((), 3)
    found = limits(guardrails, 0, 2)

    assert guardrails.key.size == 0
    assert found.shown is found.paid
    assert [column.tolist() for column in found.paid] == [[0, 0], [-1, -1], [NO_CEILING_E4] * 2, [-1, -1]]
    assert found.paid.floor_e4.dtype.name == "int64"


def test_prices_may_move_as_far_as_their_guardrail_says() -> None:
    rows = (of_some(1, max_change={"percent": "12.5", "days": 30}), of_some(3, max_change={"percent": "100", "days": 3650}))
    guardrails = compile_guardrails(rows, 5)

    # Below the first key, at it, between, at the last, and above it.
    bound, percent_ppm, days = change_limits_of(guardrails, np.array([0, 1, 2, 3, 4]))

    assert [told_of(one) if one >= 0 else one for one in bound.tolist()] == [-1, (0, "max_change"), -1, (1, "max_change"), -1]
    assert percent_ppm.tolist() == [0, 125_000, 0, 1_000_000, 0]
    assert days.tolist() == [3_650, 30, 3_650, 3_650, 3_650]


def test_prices_move_as_they_like_without_a_guardrail() -> None:
    for rows in ((), (of_some(1, floor="5"),)):
        found = change_limits_of(compile_guardrails(rows, 2), np.array([0, 1]))

        assert [column.tolist() for column in found] == [[-1, -1], [0, 0], [3_650, 3_650]]
        assert {column.dtype.name for column in found} == {"int64"}


def test_margin_and_discount_raise_the_floor_where_they_lie_above_it() -> None:
    rows = (
        of_all_but(floor="600"),
        of_some(0, min_margin="50"),  # a cost of 400 needs 800
        of_some(1, max_discount="25"),  # 750 of 1000 must be left
        of_some(2, min_margin="20", max_discount="50"),  # 500 and 500: the floor stands
        of_some(3, min_margin="50", max_discount="20"),  # 800 and 800: the first is told
    )
    found = limits(compile_guardrails(rows, 4), 0, 1, 2, 3, cost_e4=400 * E4)

    assert told_floors(found.paid) == [
        (800 * E4, (1, "min_margin")),
        (750 * E4, (2, "max_discount")),
        (600 * E4, (0, "floor")),
        (800 * E4, (4, "min_margin")),
    ]
    assert found.shown is found.paid


def test_margin_of_what_costs_nothing_or_an_unknown_amount_bounds_nothing() -> None:
    guardrails = compile_guardrails((of_some(0, min_margin="50"),), 1)

    assert told_floors(limits(guardrails, 0, cost_e4=0).paid) == [(0, None)]
    assert told_floors(limits(guardrails, 0).paid) == [(0, None)]
    assert told_floors(limits(guardrails, 0, cost_e4=1).paid) == [(2, (0, "min_margin"))]
    assert limits(guardrails, 0).paid.floor_rule.tolist() == limits(guardrails, 0).paid.ceiling_rule.tolist() == [-1]


def test_floor_of_a_margin_is_rounded_up_and_never_above_the_greatest_price() -> None:
    third = compile_guardrails((of_some(0, min_margin="66.6667"),), 1)
    nearly_all = compile_guardrails((of_some(0, min_margin="99.9999"),), 1)

    # 1 / 0.333333 = 3.000003; 10^9 minor units / 0.000001 = 10^15, far above 10^10
    assert limits(third, 0, cost_e4=1).paid.floor_e4.tolist() == [4]
    assert limits(nearly_all, 0, cost_e4=10**13).paid.floor_e4.tolist() == [UNIT_E4_MAX]
    # 10 001 minor units / 0.000001 lie 10^6 above the greatest price, and 10 000 at it.
    assert limits(nearly_all, 0, cost_e4=10_001 * E4).paid.floor_e4.tolist() == [UNIT_E4_MAX]
    assert limits(nearly_all, 0, cost_e4=9_999 * E4).paid.floor_e4.tolist() == [9_999 * 10**6 * E4]


def test_advertised_price_bounds_what_is_shown_and_not_what_is_paid() -> None:
    found = limits(compile_guardrails((of_some(0, 1, floor="300"), of_some(1, map="500")), 2), 0, 1)

    assert told_floors(found.shown) == [(300 * E4, (0, "floor")), (500 * E4, (1, "map"))]
    assert told_floors(found.paid) == [(300 * E4, (0, "floor"))] * 2


def test_contradictions_are_what_stands_above_a_ceiling() -> None:
    rows = (of_some(0, 1, floor="500"), of_some(0, 2, map="501"), of_some(0, 2, 3, ceiling="500"), of_some(4, floor="501"))
    guardrails = compile_guardrails(rows, 5)

    found = [(key, told_of(lower), told_of(ceiling)) for key, lower, ceiling in contradictions(guardrails)]

    assert found == [(0, (1, "map"), (2, "ceiling")), (2, (1, "map"), (2, "ceiling"))]


def test_no_more_than_a_hundred_contradictions_are_listed() -> None:
    rows = (of_some(*range(70), floor="2"), of_some(*range(150), map="2"), of_all_but(ceiling="1"))

    found = contradictions(compile_guardrails(rows, 150))

    assert [key for key, _, _ in found] == [*range(70), *range(30)]


def test_bounds_in_whole_cents_are_the_tightest_within() -> None:
    in_cents = bounds(floor_e4=15_000, ceiling_e4=29_999).in_grains(E4)

    assert (in_cents.floor_e4.tolist(), in_cents.ceiling_e4.tolist()) == ([20_000], [20_000])
    assert bounds().in_grains(E4).ceiling_e4.tolist() == [NO_CEILING_E4]


def test_where_bounds_cross_the_lower_one_wins() -> None:
    prices = np.array([1, 5, 9])
    crossed = Bounds(*(np.repeat(column, 3) for column in bounds(floor_e4=7, ceiling_e4=4)))

    assert clamp_unit(prices, crossed).tolist() == [7, 7, 7]
    assert clamp_unit(prices, crossed._replace(ceiling_e4=np.full(3, 8))).tolist() == [7, 7, 8]


def test_bounds_of_amounts_are_rounded_inwards() -> None:
    # 1.5 minor units times 1.001 lie between 1 and 2.
    quantity = np.array([1_001])

    assert lowest_minor(bounds(floor_e4=15_000), quantity).tolist() == [2]
    assert highest_minor(bounds(ceiling_e4=15_000), quantity).tolist() == [1]
    assert highest_minor(bounds(floor_e4=15_000, ceiling_e4=15_000), quantity).tolist() == [2]
    assert highest_minor(bounds(), quantity).tolist() == [INT64_MAX]


def test_ceiling_whose_amount_passes_int64_is_none() -> None:
    quantity = 10**9
    last = INT64_MAX // quantity

    assert highest_minor(bounds(ceiling_e4=last), np.array([quantity])).tolist() == [last * 100]
    assert highest_minor(bounds(ceiling_e4=last + 1), np.array([quantity])).tolist() == [INT64_MAX]
