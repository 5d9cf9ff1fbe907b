"""Divisions, splits, turns and intervals against the same said plainly."""

from fractions import Fraction
from itertools import pairwise
from random import Random
from typing import get_args

import numpy as np
import pytest

from app.pricing.allocation import Remainder, allocate, allocate_within
from app.pricing.groups import groups_of
from app.pricing.money import AMOUNT_E7_MAX, AMOUNT_MINOR_MAX, E7, PPM, QUANTITY_MILLI_MAX, Rounding, round_div, round_mul_div
from app.pricing.schedule import is_active, pack_schedules
from app.pricing.sequence import by_turn, turns_by_line, turns_of_units
from app.pricing.units import by_unit_price
from tests.reference import allocation as reference

ROUNDINGS: tuple[Rounding, ...] = get_args(Rounding.__value__)
REMAINDERS: tuple[Remainder, ...] = get_args(Remainder.__value__)


def rounded(exact: Fraction, rounding: Rounding) -> int:
    whole, rest = divmod(exact, 1)
    if rest == Fraction(1, 2):
        return int(whole) + {"half_up": 1, "half_down": 0, "half_even": int(whole) % 2}[rounding]
    return int(whole) + (rest > Fraction(1, 2))


@pytest.mark.parametrize("rounding", ROUNDINGS)
def test_quotients_round_at_the_half_and_at_the_bounds(rounding: Rounding) -> None:
    rng = Random(1)
    divisors = [1, 2, 3, 7, 10, 1000, E7, PPM, QUANTITY_MILLI_MAX - 1, QUANTITY_MILLI_MAX]
    cases = [(AMOUNT_E7_MAX - near, divisor) for divisor in divisors for near in (0, 1, divisor // 2)]
    cases += [(half + near, divisor) for divisor in divisors for half in (divisor // 2, 5 * divisor // 2) for near in (0, 1)]
    cases += [(rng.randrange(AMOUNT_E7_MAX), rng.choice(divisors)) for _ in range(500)]
    numerator, divisor = np.array(cases, np.int64).T

    expected = [rounded(Fraction(a, b), rounding) for a, b in cases]
    assert round_div(numerator, divisor, rounding).tolist() == expected
    assert [int(round_div(np.array([a]), b, rounding)[0]) for a, b in cases] == expected


@pytest.mark.parametrize("rounding", ROUNDINGS)
@pytest.mark.parametrize("largest", [10**6, AMOUNT_MINOR_MAX])
def test_products_are_exact_also_past_64_bits(rounding: Rounding, largest: int) -> None:
    rng = Random(2)
    # The quotient stays within int64: a part of an amount, by weights.
    cases = [
        (rng.randint(0, largest), rng.randint(0, weight), weight) for weight in [rng.randint(1, largest) for _ in range(500)]
    ]
    a, b, c = np.array(cases, np.int64).T

    assert round_mul_div(a, b, c, rounding).tolist() == [rounded(Fraction(x * y, z), rounding) for x, y, z in cases]


@pytest.mark.parametrize("remainder", REMAINDERS)
def test_many_splits_at_once_are_each_split_by_itself(remainder: Remainder) -> None:
    rng = Random(3)
    baskets = [[rng.choice((0, 1, 2, 5, 5, 1000, AMOUNT_MINOR_MAX // 30)) for _ in range(rng.randint(1, 20))] for _ in range(300)]
    amounts = [rng.randint(0, sum(weights)) for weights in baskets]
    rooms = [[weight if rng.random() < 0.7 else weight // 3 for weight in weights] for weights in baskets]
    weight, room = (np.array([one for basket in of for one in basket], np.int64) for of in (baskets, rooms))
    groups = groups_of(np.repeat(np.arange(len(baskets)), [len(weights) for weights in baskets]))
    bounds = list(pairwise([*groups.starts.tolist(), weight.size]))
    amount = np.array(amounts, np.int64)

    shares = allocate(amount, weight, groups, remainder=remainder, rounding="half_up").tolist()
    within = allocate_within(amount, weight, room, groups, remainder=remainder, rounding="half_up")

    for number, (low, high) in enumerate(bounds):
        if sum(baskets[number]):
            assert shares[low:high] == reference.allocate(amounts[number], baskets[number], remainder, "half_up")
        taken = within.taken_minor[low:high].tolist()
        assert all(one <= most for one, most in zip(taken, rooms[number], strict=True))
        if sum(baskets[number]):
            assert sum(taken) + int(within.dropped_minor[number]) == amounts[number]


def test_turns_keep_the_sequence_on_every_line() -> None:
    rng = Random(4)
    for _ in range(100):
        n_lines = rng.randint(1, 8)
        units = [sorted(rng.sample(range(n_lines), rng.randint(1, min(3, n_lines)))) for _ in range(rng.randint(1, 20))]
        unit = np.repeat(np.arange(len(units)), [len(lines) for lines in units])
        line = np.array([one for lines in units for one in lines], np.int64)
        reached: dict[int, int] = {}
        expected = []
        for lines in units:
            expected.append(1 + max(reached.get(one, -1) for one in lines))
            reached |= dict.fromkeys(lines, expected[-1])

        assert turns_of_units(unit, line).tolist() == expected
        each = np.arange(line.size)
        assert turns_by_line(line).tolist() == turns_of_units(each, line).tolist()


def test_pairs_stand_turn_by_turn_in_their_order() -> None:
    order, first = by_turn(np.array([1, 0, 2, 0, 1]), 3)

    assert order.tolist() == [1, 3, 0, 4, 2]
    assert first == [0, 2, 4, 5]


def test_rule_is_active_in_its_intervals_and_not_between_them() -> None:
    schedules = [None, [(100, 200)], [(100, 200), (300, 400), (500, 600)], [(0, 50)]]
    table = pack_schedules(schedules)
    instants = [0, 49, 50, 99, 100, 199, 200, 250, 299, 300, 399, 400, 599, 600]
    rows = np.repeat(np.arange(4), len(instants))
    expected = [
        intervals is None or any(low <= at < high for low, high in intervals) for intervals in schedules for at in instants
    ]

    assert is_active(table, rows, np.tile(np.array(instants), 4)).tolist() == expected
    assert is_active(table, np.arange(4), np.array([320])).tolist() == [True, False, True, False]


def test_unit_prices_are_put_in_order_exactly() -> None:
    # Neighbouring fractions with the greatest divisors differ by 10^-18: floats cannot tell them apart.
    rng = Random(9)
    told_apart = 0
    for _ in range(200):
        quantity = [rng.choice((10**9, 10**9 - 1, 10**9 - 2, 3_000, 1)) for _ in range(12)]
        unit = rng.choice((1, 7, 899))
        running = [min(9 * 10**11, unit * milli + rng.randint(-1, 1)) for milli in quantity]
        group = sorted(rng.randint(0, 2) for _ in quantity)
        dearest = [rng.random() < 0.5 for _ in range(3)]
        prices = [Fraction(amount, milli) for amount, milli in zip(running, quantity, strict=True)]
        expected = sorted(range(12), key=lambda at: (group[at], -prices[at] if dearest[group[at]] else prices[at], at))

        order, _ = by_unit_price(
            np.array(running), np.array(quantity), np.array(group), np.array([dearest[one] for one in group])
        )

        assert order.tolist() == expected
        told_apart += len(set(prices)) > len(set(map(float, prices)))
    assert told_apart > 20
