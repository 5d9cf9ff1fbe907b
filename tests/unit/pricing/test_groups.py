"""Pairs laid out group by group, turns and whole units, by hand."""

import numpy as np

from app.pricing.groups import Groups, alone, groups_of, groups_of_sizes
from app.pricing.units import first_units, whole_units

NONE = np.zeros(0, np.int64)
# Groups of two, one and three pairs.
MIXED = groups_of(np.array([5, 5, 3, 8, 8, 8]))


def test_runs_of_equal_values_are_groups() -> None:
    assert MIXED.group.tolist() == [0, 0, 1, 2, 2, 2]
    assert MIXED.starts.tolist() == [0, 2, 3]
    assert groups_of(np.array([1, 2, 1])).group.tolist() == [0, 1, 2]
    assert [column.tolist() for column in groups_of(NONE)] == [[], []]


def test_groups_of_sizes_have_so_many_pairs() -> None:
    assert [column.tolist() for column in groups_of_sizes(np.array([2, 1, 3]))] == [column.tolist() for column in MIXED]
    assert [column.tolist() for column in groups_of_sizes(np.array([1, 1]))] == [[0, 1], [0, 1]]
    assert [column.tolist() for column in groups_of_sizes(np.array([2]))] == [[0, 0], [0]]
    assert [column.tolist() for column in groups_of_sizes(NONE)] == [[], []]
    assert groups_of_sizes(NONE).group.dtype.name == "int64"


def test_figures_of_groups() -> None:
    flags = np.array([False, True, False, True, True, False])

    assert MIXED.sum(np.array([1, 2, 3, 4, 5, 6])).tolist() == [3, 3, 15]
    assert MIXED.any(flags).tolist() == [True, False, True]
    assert MIXED.sizes().tolist() == [2, 1, 3]
    assert MIXED.count_before(flags).tolist() == [0, 0, 0, 0, 1, 2]
    assert not MIXED.are_single


def test_figures_of_groups_of_one_pair() -> None:
    single = alone(3)
    values, flags = np.array([4, 5, 6]), np.array([True, False, True])

    assert single.are_single
    assert single.sum(values).tolist() == [4, 5, 6]
    assert single.any(flags).tolist() == [True, False, True]
    assert single.sizes().tolist() == [1, 1, 1]
    assert single.count_before(flags).tolist() == [0, 0, 0]
    assert alone(0).sizes().tolist() == []


def test_groups_may_be_chosen_in_any_order() -> None:
    pair, groups = MIXED.chosen(np.array([2, 0]))

    assert pair.tolist() == [3, 4, 5, 0, 1]
    assert [column.tolist() for column in groups] == [[0, 0, 0, 1, 1], [0, 3]]


def test_groups_that_are_kept_stand_one_after_the_other() -> None:
    pair, groups = MIXED.only(np.array([True, False, True]))
    single, of_single = alone(3).only(np.array([False, True, True]))

    assert pair.tolist() == [0, 1, 3, 4, 5]
    assert [column.tolist() for column in groups] == [[0, 0, 1, 1, 1], [0, 2]]
    assert single.tolist() == [1, 2]
    assert [column.tolist() for column in of_single] == [[0, 1], [0, 1]]


def test_first_units_of_each_group_are_the_cheapest_or_the_dearest() -> None:
    # Unit prices 3, 1, 2 in the first group and 5, 5 in the second.
    groups = Groups(np.array([0, 0, 0, 1, 1]), np.array([0, 3]))
    units = np.array([2, 2, 2, 3, 3])
    running, quantity = np.array([6, 2, 4, 15, 15]), units * 1_000

    def first(*limits: int, dearest: bool) -> list[int]:
        found: list[int] = first_units(
            units,
            np.array(limits),
            groups,
            running_minor=running,
            quantity_milli=quantity,
            is_dearest_first=np.array([dearest, not dearest]),
        ).tolist()
        return found

    assert first(3, 4, dearest=False) == [0, 2, 1, 3, 1]
    assert first(3, 4, dearest=True) == [2, 0, 1, 3, 1]
    assert first(0, 9, dearest=True) == [0, 0, 0, 3, 3]
    assert whole_units(np.array([999, 1_000, 2_999])).tolist() == [0, 1, 2]
