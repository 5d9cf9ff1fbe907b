"""Drafts: what somebody has written and nobody has published yet."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from app.pricebook import queries
from app.pricebook.audit import AuditEntry, append_audit
from app.pricebook.documents import Body, Change, encode_canonical, etag_of
from app.pricebook.load import decode_body
from app.pricebook.offload import off_loop, parts


class Draft(NamedTuple):
    """A draft; a body of None deletes the document. `base_revision` is the published revision it was written against, 0 if none."""

    resource: str
    id: str
    body: Body | None
    base_revision: int
    etag: str
    release_id: UUID | None
    author: str

    def change(self) -> Change:
        """What publishing it changes."""
        return Change(self.resource, self.id, self.body)


async def lock_drafts(connection: AsyncConnection) -> datetime:
    """Take the lock under which drafts and the audit trail are written; gives the database's instant."""
    await connection.exec_driver_sql(queries.LIMIT_LOCK_WAIT)
    await connection.exec_driver_sql(queries.LOCK_DRAFTS)
    now: datetime = (await connection.exec_driver_sql("SELECT clock_timestamp()")).scalar_one()
    return now


async def find_draft(connection: AsyncConnection, resource: str, document_id: str) -> Draft | None:
    found = await connection.exec_driver_sql(queries.DRAFT, (resource, document_id))
    row = found.one_or_none()
    return None if row is None else _draft(row)


async def find_drafts(connection: AsyncConnection, keys: Sequence[tuple[str, str]]) -> list[Draft]:
    """The drafts among these (resource, id)."""
    drafts: list[Draft] = []
    for part in parts(keys):
        found = await connection.exec_driver_sql(queries.DRAFTS_OF, ([key[0] for key in part], [key[1] for key in part]))
        rows = found.all()
        drafts += await off_loop(len(rows), _drafts, rows)
    return drafts


async def list_drafts(connection: AsyncConnection, resource: str, *, after: str, prefix: str = "", limit: int) -> list[Draft]:
    found = await connection.exec_driver_sql(queries.DRAFT_PAGE, (resource, after, prefix, limit))
    return [_draft(row) for row in found]


async def ungathered_drafts(connection: AsyncConnection) -> list[Draft]:
    """All drafts that are in no release."""
    rows = (await connection.exec_driver_sql(queries.UNGATHERED_DRAFTS)).all()
    return await off_loop(len(rows), _drafts, rows)


async def drafts_of_release(connection: AsyncConnection, release_id: UUID) -> list[Draft]:
    rows = (await connection.exec_driver_sql(queries.DRAFTS_OF_RELEASE, (release_id,))).all()
    return await off_loop(len(rows), _drafts, rows)


async def save_drafts(connection: AsyncConnection, changes: Iterable[Change], *, author: str, at: datetime) -> None:
    """Write drafts over what was drafted before, under `lock_drafts`."""
    last = list({(change.resource, change.id): change for change in changes}.values())
    before = {(draft.resource, draft.id): draft for draft in await find_drafts(connection, _keys(last))}
    for part in parts(last):
        columns = await off_loop(len(part), _columns, part)
        await connection.exec_driver_sql(queries.SAVE_DRAFTS, (*columns, author))
    entries = [AuditEntry(c.resource, c.id, _body(before.get((c.resource, c.id))), c.body) for c in last]
    await append_audit(connection, entries, at=at, actor=author, action="draft")


async def drop_drafts(connection: AsyncConnection, drafts: Sequence[Draft]) -> None:
    """Forget drafts that were published; the audit trail has the publication."""
    await connection.exec_driver_sql(queries.DROP_DRAFTS, ([draft.resource for draft in drafts], [draft.id for draft in drafts]))


async def discard_drafts(connection: AsyncConnection, drafts: Sequence[Draft], *, actor: str, at: datetime) -> None:
    """Throw drafts away, under `lock_drafts`."""
    await drop_drafts(connection, drafts)
    entries = [AuditEntry(draft.resource, draft.id, draft.body, None) for draft in drafts]
    await append_audit(connection, entries, at=at, actor=actor, action="discard")


async def gather_drafts(connection: AsyncConnection, drafts: Sequence[Draft], release_id: UUID | None) -> None:
    """Put drafts into a release."""
    arguments = ([draft.resource for draft in drafts], [draft.id for draft in drafts], release_id)
    await connection.exec_driver_sql(queries.GATHER_DRAFTS, arguments)


def _columns(changes: Sequence[Change]) -> tuple[list[Any], ...]:
    """The arrays of SAVE_DRAFTS."""
    return (
        [change.resource for change in changes],
        [change.id for change in changes],
        [None if change.body is None else encode_canonical(change.body).decode() for change in changes],
        [etag_of(change.body) for change in changes],
    )


def _keys(changes: Sequence[Change]) -> list[tuple[str, str]]:
    return [(change.resource, change.id) for change in changes]


def _body(draft: Draft | None) -> Body | None:
    return None if draft is None else draft.body


def _drafts(rows: Sequence[Any]) -> list[Draft]:
    return [_draft(row) for row in rows]


def _draft(row: Any) -> Draft:
    return Draft(
        row.resource,
        row.id,
        None if row.body is None else decode_body(row.body),
        row.base_revision,
        row.etag,
        row.release_id,
        row.author,
    )
