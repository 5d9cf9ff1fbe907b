"""The tables of figures in their pages, each between two marks, row by row: what was not measured now stays as it stood.

A page has the whole table, with the runs that its rows come from, or the short one with a line for each number of performance.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from loadtests.bench.stats import Figure, Unmeasured, as_markdown, as_short_markdown

BEGIN: Final = "<!-- figures: begin"
END: Final = "<!-- figures: end"
SHORT_BEGIN: Final = "<!-- figures in short: begin"
SHORT_END: Final = "<!-- figures in short: end"
RUNS_BEGIN: Final = "<!-- runs: begin"
RUNS_END: Final = "<!-- runs: end"
RUNS_HEAD: Final = ("| run | revision | rounds | machine | took |", "|---|---|---|---|---|")


class Described(NamedTuple):
    """A run: its name in the table of figures, and what is said of it."""

    name: str
    revision: str
    rounds: str
    machine: str
    took: str


class NoPlace(Exception):
    """The file has no place for the table; the message says which marks it lacks."""


def write_page(path: Path, results: Sequence[Figure | Unmeasured], run: Described, *, rows: Sequence[str]) -> None:
    """Put the results between the marks of the file; `rows` is their order. Raises NoPlace."""
    path.write_text(page_with(path.read_text(), results, run, rows=rows))


def page_with(page: str, results: Sequence[Figure | Unmeasured], run: Described, *, rows: Sequence[str]) -> str:
    """The page with the results in the form that it has marks for. A row that failed as a whole leaves what was measured before. Raises NoPlace."""
    is_short = any(line.startswith(SHORT_BEGIN) for line in page.split("\n"))
    lines, begin, end = _place(page, (SHORT_BEGIN, SHORT_END) if is_short else (BEGIN, END))
    stands = {_row_of(line) for line in lines[begin + 1 : end]}
    found = {result.row for result in results if isinstance(result, Figure)}
    results = [result for result in results if result.row in found or result.row not in stands]
    if is_short:
        return with_table(page, as_short_markdown(results), rows=rows, marks=(SHORT_BEGIN, SHORT_END))
    page = with_table(page, as_markdown(results, run.name), rows=rows)
    own = f"| {' | '.join(run)} |"
    lines, begin, end = _place(page, (RUNS_BEGIN, RUNS_END))
    figures, first, last = _place(page, (BEGIN, END))
    named = {line.rstrip(" |").rpartition("| ")[2] for line in figures[first + 1 : last]}
    earlier = [line for line in lines[begin + 1 + len(RUNS_HEAD) : end] if _row_of(line) in named - {run.name}]
    newest = [own] if run.name in named else []
    return "\n".join([*lines[: begin + 1], *RUNS_HEAD, *earlier, *newest, *lines[end:]])


def with_table(page: str, table: str, *, rows: Sequence[str], marks: tuple[str, str] = (BEGIN, END)) -> str:
    """The page with the table between such marks. Raises NoPlace."""
    lines, begin, end = _place(page, marks)
    own = table.rstrip("\n").split("\n")
    head, found = own[:2], own[2:]
    measured = {_row_of(line) for line in found}
    kept = [line for line in lines[begin + 1 : end] if _row_of(line) in rows and _row_of(line) not in measured]
    body = sorted(kept + found, key=lambda line: rows.index(_row_of(line)))
    return "\n".join([*lines[: begin + 1], *head, *body, *lines[end:]])


def between(page: str, text: str, marks: tuple[str, str]) -> str:
    """The page with this text between such marks, in place of what stood there. Raises NoPlace."""
    lines, begin, end = _place(page, marks)
    return "\n".join([*lines[: begin + 1], text, *lines[end:]])


def _place(page: str, marks: tuple[str, str]) -> tuple[list[str], int, int]:
    """The lines of a page, and which of them are the marks."""
    lines = page.split("\n")
    begin, end = (next((at for at, line in enumerate(lines) if line.startswith(mark)), None) for mark in marks)
    if begin is None or end is None or end < begin:
        raise NoPlace(f"there is no line that starts with `{marks[0]}` and a later one with `{marks[1]}`")
    return lines, begin, end


def _row_of(line: str) -> str:
    """The first cell of a row, `P1` of `| P1 | ... |`; of another line something that is no row."""
    return line.partition("|")[2].partition("|")[0].strip()
