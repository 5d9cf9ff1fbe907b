"""How promotions and lines are laid out as applications, by hand."""

import numpy as np

from app.pricing.stacking import Applications, applications_of, nothing_yet


def listed(apps: Applications) -> list[tuple[int, int, list[int]]]:
    """Applications as (basket, rule, lines)."""
    ends = [*apps.lines.starts.tolist()[1:], apps.line.size]
    lines = [apps.line[low:high].tolist() for low, high in zip(apps.lines.starts.tolist(), ends, strict=True)]
    return list(zip(apps.basket.tolist(), apps.rule.tolist(), lines, strict=True))


def test_baskets_of_one_line_each_are_laid_out_by_line_and_rule() -> None:
    line_basket = np.array([4, 5, 6])
    sorted_already = applications_of(np.array([0, 1, 1]), np.array([3, 0, 2]), line_basket, 4)
    mixed = applications_of(np.array([0, 2, 1, 1]), np.array([3, 1, 2, 0]), line_basket, 4)

    assert listed(sorted_already) == [(4, 3, [0]), (5, 0, [1]), (5, 2, [1])]
    assert listed(mixed) == [(4, 3, [0]), (5, 0, [1]), (5, 2, [1]), (6, 1, [2])]


def test_lines_of_a_basket_are_gathered_under_each_rule() -> None:
    line, rule = np.array([2, 1, 1, 0]), np.array([0, 0, 3, 2])

    apps = applications_of(line, rule, np.array([0, 1, 1]), 4)

    assert listed(apps) == [(0, 2, [0]), (1, 0, [1, 2]), (1, 3, [1])]


def test_outcome_begins_with_nothing_said() -> None:
    outcome = nothing_yet(2)

    for flags in (outcome.is_live, outcome.is_short, outcome.is_applied):
        assert (flags.tolist(), flags.dtype.name) == ([False, False], "bool")
    for nothing in (outcome.reason, outcome.needed, outcome.unit, outcome.next_needed):
        assert (nothing.tolist(), nothing.dtype.name) == ([0, 0], "int64")
    assert outcome.slot.tolist() == outcome.next_step.tolist() == [-1, -1]
    assert (outcome.next_times.tolist(), outcome.next_times.dtype.name) == ([1, 1], "int64")
