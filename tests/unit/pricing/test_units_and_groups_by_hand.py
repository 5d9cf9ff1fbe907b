"""Who gets the first so many units, and what promotions of groups have taken: worked by hand."""

from typing import Any

import numpy as np

from app.pricing.groups import Groups
from app.pricing.taken import nothing_taken
from app.pricing.units import first_of
from tests.reference.agreement import compiled
from tests.reference.both import both
from tests.reference.builders import PUBLISHED_AT_US, only, percent_off, prices, promotion, taken


def test_each_group_counts_its_first_units_anew() -> None:
    groups = Groups(np.array([0, 0, 1, 1]), np.array([0, 2]))

    # Four of 2 and 3, two of 1 and 4
    assert first_of(np.array([2, 3, 1, 4]), np.array([4, 4, 2, 2]), groups).tolist() == [2, 2, 1, 1]


def test_part_of_a_unit_is_left_out_only_where_units_are_counted() -> None:
    promotions = {
        "p": percent_off("50", scope=only(skus=["A"])),
        "q": promotion("percent_off", {"percent": "50", "units": {"max": 5}}, scope=only(skus=["B"])),
    }
    lines: list[tuple[str, int | str]] = [("A", "2.5"), ("B", "2.5")]

    assert taken(both(lines, {"prices": prices(A="100", B="100"), "promotions": promotions})) == [[-125], [-100]]


def test_groups_have_places_of_their_own_and_what_has_none_is_always_free() -> None:
    promotions: dict[str, Any] = {
        "a": percent_off("5", group="g"),
        "b": percent_off("5"),
        "c": percent_off("5", group="h"),
        "d": percent_off("5", group="unasked"),
        "e": percent_off("5", group="g", exclusive=True),
    }
    packed = compiled({"prices": prices(A="100"), "promotions": promotions}, {}, PUBLISHED_AT_US).promotions
    row = {packed.id[number]: number for number in range(len(promotions))}
    free_places = np.zeros(2, np.bool_)

    found = nothing_taken(packed, np.array([row[name] for name in "abc"]), free_places)

    assert found.group_place is not None
    assert (found.group_place.tolist(), found.n_groups, found.is_exclusive) == ([0, -1, 1], 2, None)
    assert found.is_free.tolist() == [True] * 5  # two groups at two places, and nobody's
    found.mark(np.array([0, 1]), np.array([1, 0]))
    assert found.is_free.tolist() == [True, True, False, True, True]
    assert found.cell(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 1])).tolist() == [0, 2, 4, 3]
    assert (found.is_taken.tolist(), found.keeps_apart) == ([False, False], True)

    alone = nothing_taken(packed, np.array([row["b"], row["b"]]), free_places)
    assert (alone.group_place, alone.n_groups, alone.is_free.tolist(), alone.keeps_apart) == (None, 0, [True], False)


def test_exclusive_promotion_bars_others_and_is_barred_by_them() -> None:
    promotions: dict[str, Any] = {"a": percent_off("5"), "b": percent_off("5", exclusive=True)}
    packed = compiled({"prices": prices(A="100"), "promotions": promotions}, {}, PUBLISHED_AT_US).promotions
    row = {packed.id[number]: number for number in range(2)}
    found = nothing_taken(packed, np.array([row["a"], row["b"]]), np.zeros(3, np.bool_))

    found.mark(np.array([0, 1]), np.array([0, 1]))

    plain, exclusive = np.array([0, 0, 0]), np.array([1, 1, 1])
    everywhere = np.arange(3)
    assert found.keeps_apart
    assert found.is_blocked(plain, everywhere).tolist() == [False, True, False]
    assert found.is_blocked(exclusive, everywhere).tolist() == [True, True, False]
