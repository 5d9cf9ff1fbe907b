"""The audit trail: who changed what, when, from what to what, as a hash chain that shows where it was tampered with."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from app.pricebook import queries
from app.pricebook.documents import Body, encode_canonical
from app.pricebook.offload import off_loop, parts

FIRST_HASH: Final = bytes(32)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class AuditEntry(NamedTuple):
    """One change to record."""

    resource: str
    document_id: str
    before: Body | None
    after: Body | None


class AuditRow(NamedTuple):
    """One row of the trail as it is stored."""

    id: int
    at: datetime
    actor: str
    action: str
    resource: str
    document_id: str
    before: Any
    after: Any
    version: int | None
    previous_hash: bytes
    hash: bytes


def chain_hash(previous: bytes, *, at: datetime, actor: str, action: str, entry: AuditEntry, version: int | None) -> bytes:
    """The hash of a row: SHA-256 over the hash before it and everything the row says."""
    at_us = (at - _EPOCH) // timedelta(microseconds=1)
    said = encode_canonical([at_us, actor, action, entry.resource, entry.document_id, entry.before, entry.after, version])
    return hashlib.sha256(previous + said).digest()


async def append_audit(
    connection: AsyncConnection,
    entries: Sequence[AuditEntry],
    *,
    at: datetime,
    actor: str,
    action: str,
    version: int | None = None,
) -> None:
    """Append rows in the caller's transaction, which must hold LOCK_DRAFTS: the chain has one end."""
    if not entries:
        return
    last: bytes | None = (await connection.exec_driver_sql(queries.LAST_AUDIT_HASH)).scalar()
    end = FIRST_HASH if last is None else last
    for part in parts(entries):
        columns, end = await off_loop(len(part), _columns, end, part, at=at, actor=actor, action=action, version=version)
        await connection.exec_driver_sql(queries.INSERT_AUDIT, (at, actor, action, version, *columns))


def _columns(
    end: bytes, entries: Sequence[AuditEntry], *, at: datetime, actor: str, action: str, version: int | None
) -> tuple[tuple[list[Any], ...], bytes]:
    """The arrays of INSERT_AUDIT for entries that follow on the hash `end`, and the hash of the last of them."""
    hashes = [end]
    for entry in entries:
        hashes.append(chain_hash(hashes[-1], at=at, actor=actor, action=action, entry=entry, version=version))
    columns = (
        [entry.resource for entry in entries],
        [entry.document_id for entry in entries],
        [_text(entry.before) for entry in entries],
        [_text(entry.after) for entry in entries],
        hashes[:-1],
        hashes[1:],
    )
    return columns, hashes[-1]


def _text(body: Body | None) -> str | None:
    return None if body is None else encode_canonical(body).decode()


def broken_links(rows: Iterable[AuditRow], *, previous: bytes = FIRST_HASH) -> Iterator[int]:
    """The ids of rows, read in the order of their ids, that do not follow from the row before them or were altered.

    `previous` is the hash of the row before the first one given. Rows cut off at the end cannot be seen from the rest.
    """
    for row in rows:
        entry = AuditEntry(row.resource, row.document_id, row.before, row.after)
        expected = chain_hash(row.previous_hash, at=row.at, actor=row.actor, action=row.action, entry=entry, version=row.version)
        if row.previous_hash != previous or row.hash != expected:
            yield row.id
        previous = row.hash
