"""Worked examples: who gets the odd cents of an amount over several lines, and what a full line leaves to the others."""

import pytest

from tests.reference.allocation import allocate, allocate_within


@pytest.mark.parametrize(
    ("remainder", "shares"), [("largest", [2, 1, 4]), ("first", [2, 1, 4]), ("last", [1, 1, 5]), ("nearest", [2, 1, 4])]
)
def test_odd_cents_go_by_the_remainder(remainder: str, shares: list[int]) -> None:
    # 7 over 1 : 1 : 3 is 1.4, 1.4, 4.2
    assert allocate(7, [1, 1, 3], remainder, "half_up") == shares


@pytest.mark.parametrize(
    ("remainder", "amount", "weights", "shares"),
    [
        ("largest", 3, [0, 1, 1], [0, 2, 1]),  # a tie goes to the earlier line, and never to one without weight
        ("largest", 5, [2, 3, 3], [1, 2, 2]),  # 1.25, 1.875, 1.875
        ("first", 5, [2, 3, 3], [2, 2, 1]),
        ("last", 1, [1, 1, 1, 1], [0, 0, 0, 1]),
        ("last", 3, [1, 1, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0]),  # a half each rounds up until nothing is left
        ("last", 3, [1, 1, 0], [2, 1, 0]),
        (
            "carry",
            2000,
            [995, 1495, 1995],
            [444, 666, 890],
        ),  # 443.70 and 666.67: 0.30 too much for the first are missing to the second
        ("carry", 3, [1, 0, 1], [2, 0, 1]),
        ("nearest", 3, [1, 1], [2, 1]),  # 1.5 rounds down twice
        ("nearest", 5, [7, 7, 7], [1, 2, 2]),  # 1.67 rounds up to 2 thrice: one is taken back from the first
    ],
)
def test_allocation_adds_up(remainder: str, amount: int, weights: list[int], shares: list[int]) -> None:
    assert allocate(amount, weights, remainder, "half_up") == shares


def test_full_line_leaves_its_rest_to_the_others_in_proportion() -> None:
    # 100 over 1 : 1 : 2 is 25, 25, 50; the last has room for 10, and 90 go 45 : 45.
    assert allocate_within(100, [1, 1, 2], [60, 60, 10], "largest", "half_up") == ([45, 45, 10], {2})


def test_what_no_room_is_left_for_is_dropped() -> None:
    assert allocate_within(100, [1, 1, 0], [30, 0, 99], "largest", "half_up") == ([30, 0, 0], {0, 1})
