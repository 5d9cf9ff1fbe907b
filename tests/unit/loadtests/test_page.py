"""The table of figures finds its place in the page, and rows that were not measured stay."""

from pathlib import Path

import pytest

from loadtests.bench.page import Described, NoPlace, page_with, with_table
from loadtests.bench.stats import Figure, Reach, Spread, Unmeasured

_ROWS = ("P1", "P2", "P10")
_PAGE = """\
# Title

<!-- figures: begin (here) -->
| # | old head |
|---|---|
| P1 | old |
| P1 | old, second |
| P10 | old |
| P3 | a row that is no more |
<!-- figures: end -->

After.
"""
_TABLE = """\
| # | head |
|---|---|
| P1 | new |
| P2 | new |
"""


def test_rows_measured_replace_theirs_and_the_others_stay() -> None:
    assert (
        with_table(_PAGE, _TABLE, rows=_ROWS)
        == """\
# Title

<!-- figures: begin (here) -->
| # | head |
|---|---|
| P1 | new |
| P2 | new |
| P10 | old |
<!-- figures: end -->

After.
"""
    )


@pytest.mark.parametrize("page", ["", "<!-- figures: begin -->\n", "<!-- figures: end -->\n<!-- figures: begin -->\n"])
def test_a_page_without_a_place_is_told(page: str) -> None:
    with pytest.raises(NoPlace, match="figures: begin"):
        with_table(page, _TABLE, rows=_ROWS)


_FIGURE = Figure("P2", "what", Spread(1.0, 0.9, 1.1), "×", Reach("at_most", 2.0), "beside")
_RUN = Described("2026-11-23 05:00", "abc1234", "5 of 2 s", "a machine", "600 s")
_RUNS = """\
<!-- figures: begin -->
| # | head | run |
|---|---|---|
| P1 | kept | monday |
| P2 | replaced | tuesday |
<!-- figures: end -->
<!-- runs: begin -->
| run | head |
|---|---|
| monday | a |
| tuesday | b |
<!-- runs: end -->
"""


def test_a_run_is_named_as_long_as_a_row_is_of_it() -> None:
    lines = page_with(_RUNS, [_FIGURE], _RUN, rows=_ROWS).splitlines()

    assert lines[3:5] == [
        "| P1 | kept | monday |",
        "| P2 | what | **1.00**× (0.90 … 1.10) | ≤ 2.00× | yes | beside | 2026-11-23 05:00 |",
    ]
    assert lines[-6] == "<!-- runs: begin -->"
    assert lines[-3:-1] == ["| monday | a |", "| 2026-11-23 05:00 | abc1234 | 5 of 2 s | a machine | 600 s |"]


def test_a_row_that_failed_leaves_what_was_measured_before() -> None:
    page = page_with(_RUNS, [Unmeasured("P2", "a stall"), Unmeasured("P10", "a stall")], _RUN, rows=_ROWS)

    assert "| P2 | replaced | tuesday |" in page
    assert "| P10 | not measured: a stall | | | | | 2026-11-23 05:00 |" in page
    assert "| tuesday | b |" in page


@pytest.mark.parametrize("name", ["README.md", "docs/performance.md"])
def test_the_pages_have_a_place(name: str) -> None:
    page = (Path(__file__).parents[3] / name).read_text()
    found = page_with(page, [_FIGURE], _RUN, rows=("P1", "P2", "P3"))

    [row] = [line for line in found.splitlines() if line.startswith("| P2 |")]
    assert "1.00×" in row or "**1.00**×" in row
    assert ("a machine" in found) == (name != "README.md")
