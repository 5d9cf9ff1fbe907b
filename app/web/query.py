"""Queries of requests, read strictly."""

from typing import Final
from urllib.parse import parse_qsl

from app.errors import FieldError, ValidationFailed

_ERRORS_MAX: Final = 100


def check_query(query: bytes, known: frozenset[str]) -> None:
    """Raises ValidationFailed for parameters that the operation does not have: `publsh=now` must not silently mean something else."""
    if not query:
        return
    errors: list[FieldError] = []
    seen: set[str] = set()
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name not in known:
            errors.append(FieldError(_shown(name), "unknown_parameter", "no parameter of this operation"))
        elif name in seen:
            errors.append(FieldError(name, "duplicate", "the parameter is there twice"))
        elif "\x00" in value:
            errors.append(FieldError(name, "format", "contains the character U+0000"))
        seen.add(name)
    if errors:
        raise ValidationFailed(errors=errors[:_ERRORS_MAX])


def _shown(name: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in name[:80])
