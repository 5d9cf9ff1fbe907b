"""The table of figures in its page: between two marks, row by row."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

BEGIN: Final = "<!-- figures: begin"
END: Final = "<!-- figures: end"
_HEAD_LINES: Final = 2


class NoPlace(Exception):
    """The file has no place for the table; the message says which mark it lacks."""


def write_table(path: Path, table: str, *, rows: Sequence[str]) -> None:
    """Put the table between the marks of the file. Rows that stand there and were not measured now stay; `rows` is their order. Raises NoPlace."""
    path.write_text(with_table(path.read_text(), table, rows=rows))


def with_table(page: str, table: str, *, rows: Sequence[str]) -> str:
    """The page with the table between its marks. Raises NoPlace."""
    lines = page.split("\n")
    begin, end = (next((at for at, line in enumerate(lines) if line.startswith(mark)), None) for mark in (BEGIN, END))
    if begin is None or end is None or end < begin:
        raise NoPlace(f"there is no line that starts with `{BEGIN}` and a later one with `{END}`")
    own = table.rstrip("\n").split("\n")
    measured = {_row_of(line) for line in own[_HEAD_LINES:]}
    kept = [line for line in lines[begin + 1 : end] if _row_of(line) in rows and _row_of(line) not in measured]
    body = sorted(kept + own[_HEAD_LINES:], key=lambda line: rows.index(_row_of(line)))
    return "\n".join([*lines[: begin + 1], *own[:_HEAD_LINES], *body, *lines[end:]])


def _row_of(line: str) -> str:
    """The number of a row, `P1` of `| P1 | ... |`; of another line something that is no row."""
    return line.partition("|")[2].partition("|")[0].strip()
