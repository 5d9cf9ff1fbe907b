"""Reads the documents of a version from Postgres, on a connection the caller owns.

Everything runs in one read-only REPEATABLE READ transaction, and each step is bounded in time, so that a server that is frozen
in the middle is noticed (asyncpg's own timeouts would wait for its answer).
"""

import asyncio
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import asyncpg
import msgspec

from app.db.engine import within
from app.pricebook import queries
from app.pricebook.document_table import DocumentTable, Stored
from app.pricebook.documents import Documents, replace_stored
from app.pricebook.offload import off_loop
from app.pricing.book import BookRows

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# Taking in this many rows keeps the event loop for a few milliseconds, no longer.
_ROWS_AT_ONCE: Final = 1000
_STEP_SECONDS: Final = 5.0
_LONG_SECONDS: Final = 60.0
_decoder: Final = msgspec.json.Decoder(dict[str, Any])


class NoSuchVersion(LookupError):
    """The version asked for was never published."""


class LatestVersion(NamedTuple):
    """The latest version, and whether the one held is of the same database."""

    version: int
    published_at_us: int
    knows_held: bool


async def read_latest(connection: asyncpg.Connection, held: BookRows | None, *, seconds: float) -> LatestVersion:
    """The latest version (0 in an empty database). Held version 0 is of every database."""
    row = await within(
        connection, connection.fetchrow(queries.LATEST_AND_HELD_VERSION, held.version if held else 0), seconds=seconds
    )
    return latest_of(row, held)


def latest_of(row: Any, held: BookRows | None) -> LatestVersion:
    """Read a row of LATEST_AND_HELD_VERSION."""
    if row is None:
        return LatestVersion(0, 0, held is None or held.version == 0)
    version, published_at, held_published_at = row
    held_us = None if held_published_at is None else microseconds(held_published_at)
    return LatestVersion(
        version, microseconds(published_at), held is None or held.version == 0 or held_us == held.published_at_us
    )


async def load_rows(connection: asyncpg.Connection, *, version: int | None = None) -> BookRows:
    """The documents of the latest version, or of a given one (0 is empty). Raises NoSuchVersion."""
    transaction = connection.transaction(isolation="repeatable_read", readonly=True)
    await within(connection, transaction.start(), seconds=_STEP_SECONDS)
    if version is None:
        found = await within(connection, connection.fetchrow(queries.LATEST_VERSION), seconds=_STEP_SECONDS)
    else:
        found = await within(connection, connection.fetchrow(queries.VERSION, version), seconds=_STEP_SECONDS)
    if found is None:
        await within(connection, transaction.rollback(), seconds=_STEP_SECONDS)
        if version:
            raise NoSuchVersion(version)
        return BookRows(0, 0, {})
    query, arguments = (queries.CURRENT_DOCUMENTS, ()) if version is None else (queries.DOCUMENTS_AT, (version,))
    cursor = await within(connection, connection.cursor(query, *arguments), seconds=_STEP_SECONDS)
    everything: list[Any] = []
    while rows := await within(connection, cursor.fetch(_ROWS_AT_ONCE), seconds=_STEP_SECONDS):
        everything += rows
    await within(connection, transaction.rollback(), seconds=_STEP_SECONDS)
    documents = await off_loop(len(everything), tables_of, everything)
    return BookRows(found["version"], microseconds(found["published_at"]), documents)


async def load_changes(connection: asyncpg.Connection, held: BookRows, latest: LatestVersion) -> BookRows:
    """The documents of the latest version, made from the held ones and what changed since. Needs a transaction no more than
    history does: rows up to a version stay as they are."""
    rows = await within(
        connection, connection.fetch(queries.CHANGED_DOCUMENTS, held.version, latest.version), seconds=_LONG_SECONDS
    )
    return await with_changes(held, rows, latest)


async def with_changes(held: BookRows, rows: Sequence[Any], latest: LatestVersion) -> BookRows:
    """Apply rows of CHANGED_DOCUMENTS."""
    # Now and then a table lays out its arrays anew, which is for no event loop.
    documents = await asyncio.to_thread(_apply, held.documents, rows)
    return BookRows(latest.version, latest.published_at_us, documents)


def _apply(documents: Documents, rows: Iterable[Any]) -> Documents:
    return replace_stored(
        documents,
        (
            (resource, document_id, None if body is None else Stored(body.encode(), revision))
            for resource, document_id, revision, body in rows
        ),
    )


def tables_of(rows: Iterable[Any]) -> Documents:
    """Rows of CURRENT_DOCUMENTS or DOCUMENTS_AT, by resource."""
    by_resource: dict[str, list[tuple[str, bytes, int]]] = {}
    for resource, document_id, revision, body in rows:
        by_resource.setdefault(resource, []).append((document_id, body.encode(), revision))
    return {resource: DocumentTable.of(own) for resource, own in by_resource.items()}


def decode_body(text: str | bytes) -> dict[str, Any]:
    """A stored body."""
    return _decoder.decode(text)


def microseconds(instant: datetime) -> int:
    """Microseconds since 1970 UTC."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def instant_of(at_us: int) -> datetime:
    """The instant of so many microseconds since 1970 UTC."""
    return _EPOCH + timedelta(microseconds=at_us)
