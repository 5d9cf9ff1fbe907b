"""Cursor paging: `{"items": [...], "next": "..."}`, where the cursor holds the sort key of the last item."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query
from pydantic import BaseModel

from app.errors import ValidationFailed

Limit = Annotated[int, Query(ge=1, le=1000, description="How many items at most.")]
Cursor = Annotated[str | None, Query(max_length=2000, description="The `next` of the page before.")]


class Page[T](BaseModel):
    """One page; `next` is null on the last."""

    items: list[T]
    next: str | None = None


def encode_cursor(*key: str | int) -> str:
    """An opaque cursor for the sort key of the last item shown.

    >>> decode_cursor(encode_cursor("SKU-1", 7), str, int)
    ('SKU-1', 7)
    """
    raw = json.dumps(key, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def decode_cursor(cursor: str, *types: type) -> tuple[Any, ...]:
    """The sort key in `cursor`, of the given types. Raises ValidationFailed for what this service did not make."""
    try:
        values = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
    except (ValueError, binascii.Error, UnicodeError, RecursionError):
        values = None
    if not isinstance(values, list) or len(values) != len(types) or not all(map(_is_plain, values, types)):
        raise wrong_cursor()
    return tuple(values)


def decode_instant_cursor(cursor: str, instant_of: Callable[[int], datetime]) -> tuple[datetime, UUID]:
    """The instant and the id in the cursor of a list that is sorted by both. Raises ValidationFailed."""
    at, last_id = decode_cursor(cursor, int, str)
    try:
        return instant_of(at), UUID(last_id)
    except (ValueError, OverflowError):
        raise wrong_cursor() from None


def wrong_cursor() -> ValidationFailed:
    """The refusal of a cursor that this list did not make."""
    return ValidationFailed("", errors=[("cursor", "invalid", "not a cursor of this list")])


def _is_plain(value: object, kind: type) -> bool:
    if type(value) is not kind:
        return False
    # A forged cursor must not reach Postgres with what its types cannot hold.
    if isinstance(value, str):
        return "\x00" not in value and not any("\ud800" <= character <= "\udfff" for character in value)
    return not isinstance(value, int) or -(1 << 63) <= value < 1 << 63


def cut_page[R](rows: Sequence[R], limit: int, key: Callable[[R], tuple[str | int, ...]]) -> tuple[Sequence[R], str | None]:
    """(the page, its `next`) of rows that were asked for with `limit + 1`."""
    if len(rows) <= limit:
        return rows, None
    page = rows[:limit]
    return page, encode_cursor(*key(page[-1]))
