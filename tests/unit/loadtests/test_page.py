"""The table of figures finds its place in the page, and rows that were not measured stay."""

from pathlib import Path

import pytest

from loadtests.bench.page import NoPlace, with_table, write_table

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


def test_rows_measured_replace_theirs_and_the_others_stay(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text(_PAGE)
    write_table(page, _TABLE, rows=_ROWS)

    assert (
        page.read_text()
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


def test_the_readme_has_a_place() -> None:
    page = (Path(__file__).parents[3] / "README.md").read_text()

    assert _TABLE.split("\n")[2] in with_table(page, _TABLE, rows=_ROWS)
