"""Rows of a resource as lines of CSV, both ways, without loss: what a column holds follows from the resource's model.

Headers are dotted paths (`params.percent`). A list of texts is `a|b`, or JSON where a text has a `|` in it; other lists and free-form objects
are JSON; a member of a free-form object may also have a column of its own (`attributes.colour`). An empty cell leaves the field out; an object that
must be there, such as a scope, is there with nothing in it.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from app.errors import FieldError, MalformedJson
from app.resources.resource import Resource
from app.web.strict_json import loads

type Kind = Literal["text", "integer", "boolean", "texts", "json"]
type Path = tuple[str, ...]

_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")
_BOOLEANS: Final = {"true": True, "false": False}


@dataclass(slots=True)
class _Plan:
    """What the columns of one kind of row hold, and the objects that must be there."""

    kinds: dict[Path, Kind] = field(default_factory=dict)
    objects: list[Path] = field(default_factory=list)


class Columns:
    """The columns of a resource, for each kind of its rows (None where it has none)."""

    def __init__(self, resource: Resource) -> None:
        schema = resource.row_adapter.json_schema(by_alias=True)
        definitions: Mapping[str, Any] = schema.get("$defs", {})
        members = schema.get("oneOf", [schema])
        self._plans: dict[str | None, _Plan] = {}
        for member in members:
            plan = _Plan()
            resolved = _resolved(member, definitions)
            _lay_out(resolved, definitions, (), plan)
            self._plans[resolved["properties"].get("kind", {}).get("const")] = plan
        paths = dict.fromkeys(path for plan in self._plans.values() for path in plan.kinds)
        # The row's own name comes first, as people expect it.
        self.paths: tuple[Path, ...] = tuple(sorted(paths, key=lambda path: path != (resource.row_key,)))

    @property
    def headers(self) -> list[str]:
        return [".".join(path) for path in self.paths]

    def cells(self, row: Mapping[str, Any]) -> list[str]:
        """A row as cells in the order of `headers`."""
        plan = self._plan(row.get("kind"))
        return [_cell(_value_at(row, path), plan.kinds.get(path, "text")) for path in self.paths]

    def row(self, headers: Sequence[str], cells: Sequence[str]) -> tuple[dict[str, Any], list[FieldError]]:
        """The row that cells say, not validated, and what cannot be read. Cells that are no number stay text, for validation to refuse."""
        given = {header: cell for header, cell in zip(headers, cells, strict=False) if cell != ""}
        plan = self._plan(given.get("kind"))
        row: dict[str, Any] = {}
        problems: list[FieldError] = []
        for header, cell in given.items():
            path = tuple(header.split("."))
            try:
                _put(row, path, _value(cell, self._kind_of(plan, path)))
            except MalformedJson as error:
                problems.append(FieldError(header, "malformed_json", error.detail))
            except KeyError:
                problems.append(FieldError(header, "column_conflict", "another column gives the whole of it"))
        for *parents, name in plan.objects:
            parent = _value_at(row, tuple(parents))
            if isinstance(parent, dict):
                parent.setdefault(name, {})
        return row, problems

    def _plan(self, kind: Any) -> _Plan:
        plan = self._plans.get(kind)
        return plan if plan is not None else next(iter(self._plans.values()))

    def _kind_of(self, plan: _Plan, path: Path) -> Kind:
        if path in plan.kinds:
            return plan.kinds[path]
        if any(known[: len(path)] == path for known in plan.kinds):
            return "json"  # the whole object in one cell
        # A member of a free-form object: a text, but for the lists of values that scopes name.
        return "texts" if path[-2:-1] == ("attributes",) and len(path) > 2 else "text"


def _lay_out(schema: Mapping[str, Any], definitions: Mapping[str, Any], path: Path, plan: _Plan) -> None:
    schema = _resolved(schema, definitions)
    match schema.get("type"):
        case "object" if "properties" in schema:
            for name, member in schema["properties"].items():
                if (
                    name in schema.get("required", ())
                    and "properties" in _resolved(member, definitions)
                    and "anyOf" not in member
                ):
                    plan.objects.append((*path, name))
                _lay_out(member, definitions, (*path, name), plan)
        case "null":
            pass  # a field that this release refuses
        case "integer" | "boolean" as kind:
            plan.kinds[path] = kind
        case "array" if _resolved(schema["items"], definitions).get("type") == "string":
            plan.kinds[path] = "texts"
        case "string":
            plan.kinds[path] = "text"
        case _ if "const" in schema or "enum" in schema:
            plan.kinds[path] = "text"
        case _:
            plan.kinds[path] = "json"


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema without references, and without the null that it may be instead."""
    while True:
        if "$ref" in schema:
            schema = definitions[schema["$ref"].rpartition("/")[2]]
            continue
        others = [one for one in schema.get("anyOf", ()) if one.get("type") != "null"]
        if len(others) != 1:
            return schema
        schema = others[0]


def _value_at(row: Mapping[str, Any], path: Path) -> Any:
    value: Any = row
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _cell(value: Any, kind: Kind) -> str:
    if value is None or value == {}:
        return ""
    match kind:
        case "text":
            return str(value)
        case "integer":
            return str(value)
        case "boolean":
            return "true" if value else "false"
        case "texts":
            joined = "|".join(value)
            return (
                json.dumps(value, ensure_ascii=False)
                if joined.count("|") >= max(len(value), 1) or joined.startswith("[")
                else joined
            )
        case "json":
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _value(cell: str, kind: Kind) -> Any:
    match kind:
        case "integer":
            return int(cell) if _INTEGER.fullmatch(cell) else cell
        case "boolean":
            return _BOOLEANS.get(cell.lower(), cell)
        case "texts":
            return _loaded(cell) if cell.startswith("[") else cell.split("|")
        case "json":
            return _loaded(cell)
        case "text":
            return cell


def _loaded(cell: str) -> Any:
    return loads(cell.encode())


def _put(row: dict[str, Any], path: Path, value: Any) -> None:
    """Put a value at its path. Raises KeyError where a part of the path holds something that is no object, or holds this already."""
    *parents, name = path
    at: Any = row
    for parent in parents:
        at = at.setdefault(parent, {})
        if not isinstance(at, dict):
            raise KeyError(parent)
    if name in at:
        raise KeyError(name)
    at[name] = value


def csv_line(cells: Iterable[str]) -> str:
    """One line as RFC 4180 has it."""
    return (
        ",".join(f'"{cell.replace(chr(34), chr(34) * 2)}"' if any(c in cell for c in ',"\r\n') else cell for cell in cells)
        + "\r\n"
    )
