"""Numbers in and out, exact divisions beyond 64 bits, and splits at their edges; all worked by hand."""

from typing import get_args

import numpy as np
import pytest

from app.pricing.allocation import Remainder, allocate
from app.pricing.groups import groups_of
from app.pricing.money import (
    Rounding,
    format_decimal,
    format_e4,
    format_milli,
    mul_add_div,
    mul_div,
    parse_decimal,
    parse_percent_ppm,
    parse_quantity_milli,
    parse_unit_price_e4,
    round_mul_div,
)

# (n − 1)(n + 1) = n² − 1: a fraction of 1/n below n, which float64 takes for n.
N = 800_000_000_000

NOTHING = np.zeros(0, np.int64)


@pytest.mark.parametrize("text", ["007", "00", "01.5", "+1", " 1", "1.", ".5", "1e3", "", "٣"])
def test_only_plain_decimals_are_numbers(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a plain decimal number$"):
        parse_decimal(text, 4)


def test_decimals_beyond_the_grid_are_refused() -> None:
    assert parse_decimal("-0.125", 3) == -125
    with pytest.raises(ValueError, match=r"^more than 3 decimals$"):
        parse_decimal("0.1250", 3)


def test_numbers_out_of_bounds_are_told_the_bounds() -> None:
    assert parse_unit_price_e4("10000000000") == 10**14
    assert parse_quantity_milli("0.001") == 1
    assert parse_percent_ppm("10000") == 10**8
    with pytest.raises(ValueError, match=r"^a unit price lies between 0 and 10000000000$"):
        parse_unit_price_e4("10000000000.0001")
    with pytest.raises(ValueError, match=r"^a quantity is above 0 and at most 1000000$"):
        parse_quantity_milli(0)
    with pytest.raises(ValueError, match=r"^a rate lies between 0 and 10000 percent$"):
        parse_percent_ppm("-0.0001")


def test_numbers_are_shown_without_trailing_zeros() -> None:
    assert [format_decimal(number, 3) for number in (-1_250, -2_000, 0, 10)] == ["-1.25", "-2", "0", "0.01"]
    assert [format_e4(number) for number in (0, 10_000, 100_000, 12_500)] == ["0", "1", "10", "1.25"]
    assert [format_milli(number) for number in (1_000, 10_000, 1)] == ["1", "10", "0.001"]


def test_quotient_that_a_float_takes_for_the_next_integer_is_exact() -> None:
    quotient, remainder = mul_div(np.array([N - 1]), np.array([N + 1]), np.array([N]))

    assert (quotient.tolist(), remainder.tolist()) == ([N - 1], [N - 1])


def test_sum_of_two_products_beyond_64_bits_is_divided_exactly() -> None:
    below, above = np.array([N - 1]), np.array([N + 1])

    quotient, remainder = mul_add_div(below, above, below, above, N)

    # 2n² − 2 = n (2n − 1) + n − 2
    assert (quotient.tolist(), remainder.tolist()) == ([2 * N - 1], [N - 2])


def test_product_close_to_63_bits_leaves_room_for_the_half() -> None:
    # 3037000499² = 9223372030926249001 lies 5.9e9 below 2^63; half of the divisor, 4.5e11, would pass it.
    factor = np.array([3_037_000_499])

    assert round_mul_div(factor, factor, 900_000_000_000, "half_up").tolist() == [10_248_191]


@pytest.mark.parametrize("remainder", get_args(Remainder.__value__))
def test_lines_without_weight_get_nothing(remainder: Remainder) -> None:
    groups = groups_of(np.array([0, 0, 1]))

    shares = allocate(np.array([5, 7]), np.array([0, 0, 3]), groups, remainder=remainder, rounding="half_up")

    assert shares.tolist() == [0, 0, 7]


@pytest.mark.parametrize("remainder", get_args(Remainder.__value__))
def test_nothing_is_split_over_no_lines(remainder: Remainder) -> None:
    shares = allocate(NOTHING, NOTHING, groups_of(NOTHING), remainder=remainder, rounding="half_up")

    assert (shares.tolist(), shares.dtype.name) == ([], "int64")


@pytest.mark.parametrize(
    ("rounding", "carried"), [("half_up", [1, 0, 1, 5]), ("half_even", [0, 1, 1, 5]), ("half_down", [0, 1, 0, 6])]
)
def test_what_rounding_left_over_goes_on_to_the_next_line_of_the_same_split(rounding: Rounding, carried: list[int]) -> None:
    groups = groups_of(np.array([0, 0, 0, 0, 1, 1, 1]))
    weight = np.array([1, 1, 1, 11, 1, 1, 1])

    shares = allocate(np.array([7, 100]), weight, groups, remainder="carry", rounding=rounding)

    # Half of 1, 2, 3 and 14; a third of 100, 200 and 300.
    assert shares.tolist() == [*carried, 33, 34, 33]
