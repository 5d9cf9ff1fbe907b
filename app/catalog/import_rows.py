"""Reads an import: every row is validated, and either all are good or the first problems are told with their lines."""

import csv
import io
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO, Final, Literal, NamedTuple

from pydantic import ValidationError

from app.catalog.csv_columns import Columns
from app.errors import FieldError, MalformedJson, Problem, ValidationFailed
from app.pricebook.documents import Change
from app.resources.resource import Resource
from app.web.problem_handlers import from_validation
from app.web.strict_json import loads

type Format = Literal["csv", "ndjson"]

PROBLEMS_MAX: Final = 100
_LINE_CHARACTERS_MAX: Final = 4 << 20


class ImportRows(NamedTuple):
    """The changes of an import, and the line that each document stands on."""

    changes: list[Change]
    line_of: Mapping[str, int]


class _Row(NamedTuple):
    line: int
    value: Any
    problems: list[FieldError]


def read_import(file: BinaryIO, resource: Resource, form: Format) -> ImportRows:
    """Read and validate all rows. Takes about 50 µs a row, so call it off the event loop. Raises ValidationFailed."""
    changes: list[Change] = []
    line_of: dict[str, int] = {}
    problems: list[FieldError] = []
    n_wrong = 0
    for row in _csv_rows(file, resource) if form == "csv" else _json_rows(file):
        change, found = _change_of(row, resource)
        if change is not None and change.id in line_of:
            found = [FieldError("", "duplicate", f"line {line_of[change.id]} has the same id")]
        if found:
            n_wrong += 1
            problems += [FieldError(at_line(row.line, error.path), error.code, error.message) for error in found]
        elif change is not None:
            line_of[change.id] = row.line
            changes.append(change)
    if problems:
        detail = f"{n_wrong} of {n_wrong + len(changes)} rows are wrong; nothing was imported."
        raise ValidationFailed(detail, errors=problems[:PROBLEMS_MAX])
    if not changes:
        raise ValidationFailed("There are no rows.", errors=[("body", "empty", "no rows")])
    return ImportRows(changes, line_of)


def at_line(line: int, path: str) -> str:
    """A place in an import, as `line[3].params.percent`."""
    return f"line[{line}].{path}" if path else f"line[{line}]"


def _change_of(row: _Row, resource: Resource) -> tuple[Change | None, list[FieldError]]:
    if row.problems:
        return None, row.problems
    try:
        change = resource.change_of_row(resource.row_adapter.validate_python(row.value))
        resource.refuse(change.id, change.body)
    except ValidationError as error:
        return None, list(from_validation(error, body=row.value).errors)
    except Problem as problem:
        return None, list(problem.errors)
    assert change.body is not None
    return change, resource.check(change.body)


def _json_rows(file: BinaryIO) -> Iterator[_Row]:
    for number, line in enumerate(_lines(file), 1):
        if not line.strip():
            continue
        try:
            yield _Row(number, loads(line), [])
        except MalformedJson as error:
            yield _Row(number, None, [FieldError("", "malformed_json", error.detail)])


def _lines(file: BinaryIO) -> Iterator[bytes]:
    while line := file.readline(_LINE_CHARACTERS_MAX + 1):
        if len(line) > _LINE_CHARACTERS_MAX:
            raise ValidationFailed(
                "A line is too long.", errors=[("body", "too_long", f"a line has at most {_LINE_CHARACTERS_MAX} bytes")]
            )
        yield line


def _csv_rows(file: BinaryIO, resource: Resource) -> Iterator[_Row]:
    columns = Columns(resource)
    # Spreadsheets write a byte order mark; the sig codec drops it.
    text = io.TextIOWrapper(file, encoding="utf-8-sig", newline="")
    csv.field_size_limit(_LINE_CHARACTERS_MAX)
    reader = csv.reader(text, strict=True)
    line = 1
    try:
        headers = next(reader, [])
        yield from _header_problems(headers)
        line = reader.line_num + 1
        for cells in reader:
            row_line, line = line, reader.line_num + 1
            if not any(cells):
                continue
            if len(cells) > len(headers):
                yield _Row(row_line, None, [FieldError("", "too_many_cells", f"{len(cells)} cells, but {len(headers)} headers")])
                continue
            if any("\x00" in cell for cell in cells):
                yield _Row(row_line, None, [FieldError("", "malformed_csv", "a cell contains the character U+0000")])
                continue
            value, problems = columns.row(headers, cells)
            yield _Row(row_line, value, problems)
    except UnicodeDecodeError:
        yield _Row(line, None, [FieldError("", "malformed_csv", "not UTF-8 from here on, or a little further")])
    except csv.Error as error:
        yield _Row(line, None, [FieldError("", "malformed_csv", str(error))])
    finally:
        text.detach()


def _header_problems(headers: list[str]) -> Iterator[_Row]:
    if not headers:
        yield _Row(1, None, [FieldError("", "missing", "the first line has the headers")])
    twice = sorted({header for header in headers if headers.count(header) > 1})
    if twice:
        yield _Row(1, None, [FieldError(header, "duplicate", "the same header stands here twice") for header in twice])
