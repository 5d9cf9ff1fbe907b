"""Parameters from their JSON form to the frozen dataclasses of their kind."""

from collections.abc import Hashable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from types import UnionType
from typing import Annotated, Any, Union, cast, get_args, get_origin, get_type_hints


def wire_name(field_name: str) -> str:
    """The name of a field on the wire: a trailing underscore only keeps it from being a keyword.

    >>> wire_name("from_")
    'from'
    """
    return field_name.rstrip("_")


def decode_params(kind: type[Any], body: Mapping[str, Any]) -> Any:
    """Build a parameters dataclass from validated JSON. Raises TypeError on unknown or missing fields."""
    names, nested = _shape(cast(Hashable, kind))
    unknown = set(body) - set(names)
    if unknown:
        raise TypeError(f"unknown field {min(unknown)}")
    values = {}
    for wire, value in body.items():
        inner = nested.get(wire)
        values[names[wire]] = value if inner is None or value is None else _decoded(inner, value)
    return kind(**values)


def _decoded(kind: type[Any], value: Any) -> Any:
    return decode_params(kind, value) if isinstance(value, Mapping) else tuple(decode_params(kind, one) for one in value)


@cache
def _shape(kind: Any) -> tuple[dict[str, str], dict[str, type[Any]]]:
    """Field names by wire name, and the dataclass where a field is one or a tuple of them."""
    hints = get_type_hints(kind)
    names = {wire_name(field.name): field.name for field in fields(kind)}
    nested = {wire: inner for wire, name in names.items() if (inner := _inner(hints[name])) is not None}
    return names, nested


def _inner(hint: Any) -> type[Any] | None:
    if get_origin(hint) is Annotated:
        return _inner(get_args(hint)[0])
    if get_origin(hint) in (Union, UnionType):
        return next((found for one in get_args(hint) if (found := _inner(one))), None)
    if get_origin(hint) is tuple and is_dataclass(get_args(hint)[0]):
        element: type[Any] = get_args(hint)[0]
        return element
    return hint if isinstance(hint, type) and is_dataclass(hint) else None
