"""Charm endings worked by hand: which price with a permitted ending is taken, and what is refused of the rules."""

from typing import Any

import numpy as np
import pytest

from app.pricing.endings import choose_ending, compile_endings, ending_beyond
from app.pricing.guardrails import NO_CEILING_E4, Bounds
from app.pricing.money import E4, INT64_MAX, Int64s
from tests.reference.shop import Body

OTHERWISE = 1_234


def rule(*bands: tuple[int | None, list[str]], direction: str | None = None) -> Body:
    return {"direction": direction, "bands": [{"up_to": up_to, "endings": endings} for up_to, endings in bands]}


# Nines up to 50, above it 49 and 99.
NINES = ((50, ["9"]), (None, ["99", "49"]))
NEAREST, DOWN, UP, PROFIT, LOW, CLOSED, MIXED = range(7)
RULES = [
    rule(*NINES),
    rule(*NINES, direction="down"),
    rule(*NINES, direction="up"),
    rule(*NINES, direction="profit"),
    rule((10, ["0"]), (None, ["1"])),
    rule((20, ["5"])),
    rule((None, ["7", "55", "3"])),
]
ENDINGS = compile_endings(RULES)


def e4(prices: list[float | None], otherwise_e4: int = 0) -> Int64s:
    return np.array([otherwise_e4 if price is None else round(price * E4) for price in prices], np.int64)


def bounds(floors: list[float | None], ceilings: list[float | None]) -> Bounds:
    nothing = np.full(len(floors), -1)
    return Bounds(e4(floors), nothing, e4(ceilings, NO_CEILING_E4), nothing)


def chosen(cases: list[tuple[int, float, float | None, float | None]], gain: tuple[float, float] = (0.0, 0.0)) -> list[float]:
    """The prices chosen for (rule, price, floor, ceiling); OTHERWISE where there is none. `gain`: of the lower and of the upper one."""
    rows, prices, floors, ceilings = (list(column) for column in zip(*cases, strict=True))
    unit = e4(prices)

    def gains(line: Int64s, at_e4: Int64s) -> Any:
        return np.where(at_e4 <= unit[line], *gain)

    found = choose_ending(ENDINGS, np.array(rows), unit, np.full(len(cases), OTHERWISE * E4), bounds(floors, ceilings), gains)
    return [price / E4 for price in found.tolist()]


def test_rules_are_laid_out_by_band_and_ending() -> None:
    endings = compile_endings([rule((50, ["9", "95"]), (None, ["00"])), rule((7, ["5"]), direction="profit")])

    assert [column.tolist() for column in endings] == [
        [0, 3],
        [0, 2, 4],
        [50 * E4, INT64_MAX, 7 * E4, INT64_MAX],
        [0, 2, 3, 4, 4],
        [9, 95, 0, 5],
        [10, 100, 100, 10],
    ]
    assert all(column.dtype == np.int64 for column in compile_endings([]))


@pytest.mark.parametrize("up_to", [(100, 50), (50, 50), (None, 50), (50, None, 100), (None, None)])
def test_bands_that_do_not_rise_are_refused(up_to: tuple[int | None, ...]) -> None:
    with pytest.raises(ValueError, match="must rise"):
        compile_endings([rule(*((bound, ["9"]) for bound in up_to))])


def test_nearest_ending_is_taken_and_of_two_as_near_the_lower() -> None:
    cases: list[tuple[int, float, float | None, float | None]] = [
        (NEAREST, 34, None, None),  # 29 and 39 are as near
        (NEAREST, 35, None, None),
        (NEAREST, 39, None, None),
        (NEAREST, 29.0001, None, None),
        (NEAREST, 38.9999, None, None),
        (NEAREST, 50, None, None),  # still of the first band
        (NEAREST, 50.0001, None, None),
        (NEAREST, 74, None, None),
        (NEAREST, 74.0001, None, None),
        (NEAREST, 149, None, None),
        (MIXED, 58, None, None),  # 57 and 63 and 155
        (MIXED, 61, None, None),
        (MIXED, 54, None, None),  # 53 and 55 are as near
    ]

    assert chosen(cases) == [29, 39, 39, 29, 39, 49, 49, 49, 99, 149, 57, 63, 53]


def test_direction_decides_between_the_neighbours() -> None:
    cases: list[tuple[int, float, float | None, float | None]] = [
        (DOWN, 38, None, None),
        (DOWN, 39, None, None),
        (UP, 30, None, None),
        (UP, 29, None, None),
        (DOWN, 5, None, None),  # nothing below but the one above
        (UP, 35, None, 38),  # nothing above but the one below
    ]

    assert chosen(cases) == [29, 39, 39, 29, 9, 29]


def test_bounds_permit_an_ending_or_not() -> None:
    cases: list[tuple[int, float, float | None, float | None]] = [
        (NEAREST, 35, None, 38.9999),
        (NEAREST, 35, None, 39),
        (NEAREST, 31, 29, None),
        (NEAREST, 31, 29.0001, None),
        (NEAREST, 35, 30, 38),
        (NEAREST, 120, None, 100),  # down from the ceiling, in the band of the price
        (NEAREST, 20, 45, None),  # up from the floor
        (NEAREST, 20, 40, 48),
    ]

    assert chosen(cases) == [29, 39, 29, 39, OTHERWISE, 99, 49, OTHERWISE]


def test_ending_is_above_zero_and_a_closed_last_band_has_none_above_it() -> None:
    cases: list[tuple[int, float, float | None, float | None]] = [
        (LOW, 2, None, None),  # 0 is no price
        (LOW, 11, None, None),
        (LOW, 10, None, None),
        (CLOSED, 20, None, None),
        (CLOSED, 20.0001, None, None),
        (-1, 34, None, None),
    ]

    assert chosen(cases) == [10, 11, 10, 15, OTHERWISE, OTHERWISE]
    assert chosen([(NEAREST, 1, None, 1)]) == [OTHERWISE]
    assert chosen([(-1, 1, None, None)]) == [OTHERWISE]


def test_least_price_with_an_ending_is_one_minor_unit() -> None:
    ones = compile_endings([rule((None, ["1"]))])

    found = choose_ending(
        ones, np.array([0]), e4([1]), e4([9]), bounds([None], [None]), lambda line, unit: unit.astype(np.float64)
    )

    assert found.tolist() == [E4]


@pytest.mark.parametrize(
    ("gain", "at_30", "at_37"),
    [
        ((1.0, 2.0), 39, 39),
        ((2.0, 1.0), 29, 29),
        ((-1.0, -2.0), 29, 29),
        ((1.0, -1.0), 29, 29),
        ((-1.0, 1.0), 39, 39),
        ((-1.0, 0.0), 39, 39),
        ((0.0, -1.0), 29, 29),
        # Too close to be told apart: the nearer one stands.
        ((0.0, 0.0), 29, 39),
        ((1e10, 1e10 + 1), 29, 39),
        ((1e10 + 1, 1e10), 29, 39),
        ((-1e10, -1e10 - 1), 29, 39),
        ((1e10, 1e10 + 100), 39, 39),
        ((1e10 + 100, 1e10), 29, 29),
    ],
)
def test_profit_decides_where_it_can_be_told_apart(gain: tuple[float, float], at_30: float, at_37: float) -> None:
    # A line of another direction stands before: gains are of lines, not of places.
    found = chosen([(DOWN, 35, None, None), (PROFIT, 30, None, None), (PROFIT, 37, None, None)], gain)

    assert found == [29, at_30, at_37]


def test_profit_asks_only_where_there_are_two() -> None:
    assert chosen([(PROFIT, 37, 30, None), (PROFIT, 30, None, 38)], (2.0, 1.0)) == [39, 29]
    assert chosen([(PROFIT, 37, None, 38), (PROFIT, 30, 30, None)], (1.0, 2.0)) == [29, 39]


def test_ending_at_or_beyond_a_price() -> None:
    rows = np.array([NEAREST, -1, NEAREST, NEAREST, NEAREST, NEAREST, CLOSED])
    price = e4([39, 39, 39.0001, 38.9999, 45, 60, 30])
    limits = bounds([None, None, None, None, 42, 70, None], [None, None, None, None, 47, 80, None])

    above, is_above = ending_beyond(ENDINGS, rows, price, limits, is_below=False)
    below, is_below = ending_beyond(ENDINGS, rows, price, limits, is_below=True)

    assert (above // E4).tolist() == [39, 0, 49, 39, 0, 0, 0]
    assert is_above.tolist() == [True, False, True, True, False, False, False]
    assert (below // E4).tolist() == [39, 0, 39, 29, 0, 0, 0]
    assert is_below.tolist() == [True, False, True, True, False, False, False]


def test_ending_beyond_begins_at_the_bound_that_lies_further() -> None:
    limits = bounds([52, 10], [200, 37])

    above, _ = ending_beyond(ENDINGS, np.array([NEAREST, NEAREST]), e4([20, 45]), limits, is_below=False)
    below, _ = ending_beyond(ENDINGS, np.array([NEAREST, NEAREST]), e4([20, 45]), limits, is_below=True)

    # Up from the floor of 52 in the nines of 20; up from 45 to 49 is above its ceiling. Down from 20 to 19 is below the floor.
    assert (above // E4).tolist() == [59, 0]
    assert (below // E4).tolist() == [0, 29]


def test_no_rule_at_all_has_no_ending() -> None:
    found, is_found = ending_beyond(ENDINGS, np.array([-1]), e4([30]), bounds([None], [None]), is_below=True)

    assert (found.tolist(), is_found.tolist()) == ([0], [False])
    assert found.dtype == np.int64
    assert is_found.dtype == np.bool_


def test_band_without_endings_has_none_though_the_book_has_but_one() -> None:
    one = compile_endings([rule((20, ["5"]))])

    found, is_found = ending_beyond(one, np.array([0, 0]), e4([21, 14]), bounds([None] * 2, [None] * 2), is_below=True)

    assert (found.tolist(), is_found.tolist()) == ([0, 5 * E4], [False, True])
