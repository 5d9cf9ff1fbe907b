"""Releases: drafts that are gathered, checked and published together, or discarded."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from app.errors import Conflict, NotFound, ValidationFailed
from app.pricebook.audit import AuditEntry, append_audit
from app.pricebook.documents import Change, Documents
from app.pricebook.drafts import Draft, drafts_of_release, find_drafts, gather_drafts, lock_drafts, ungathered_drafts
from app.pricebook.load import decode_body
from app.releases import queries

_SIGNALS = "signals-"


class Release(NamedTuple):
    """A release; open until it is published or discarded."""

    id: UUID
    name: str
    state: str
    created_at: datetime
    created_by: str
    closed_at: datetime | None
    closed_by: str | None
    version: int | None


async def open_release(
    connection: AsyncConnection, *, name: str, documents: Sequence[tuple[str, str]] | None, actor: str
) -> tuple[Release, list[Draft]]:
    """Gather drafts, all that are in no release or the named ones. Raises Conflict, ValidationFailed."""
    at = await lock_drafts(connection)
    drafts = await ungathered_drafts(connection) if documents is None else await _chosen(connection, documents)
    if not drafts:
        raise Conflict("There are no drafts to gather.")
    release = Release(uuid4(), name, "open", at, actor, None, None, None)
    await connection.exec_driver_sql(queries.INSERT_RELEASE, (release.id, name, at, actor))
    await gather_drafts(connection, drafts, release.id)
    said = {"name": name, "documents": [f"{draft.resource}/{draft.id}" for draft in drafts]}
    await append_audit(connection, [AuditEntry("releases", str(release.id), None, said)], at=at, actor=actor, action="gather")
    return release, drafts


async def _chosen(connection: AsyncConnection, documents: Sequence[tuple[str, str]]) -> list[Draft]:
    drafts = await find_drafts(connection, documents)
    found = {(draft.resource, draft.id) for draft in drafts}
    missing = [
        (f"documents[{at}]", "no_draft", "there is no draft of this") for at, key in enumerate(documents) if key not in found
    ]
    if missing:
        raise ValidationFailed("Not everything named has a draft.", errors=missing[:100])
    taken = [draft for draft in drafts if draft.release_id is not None]
    if taken:
        raise Conflict(
            "Some drafts are in another release.",
            errors=[(f"{draft.resource}/{draft.id}", "in_release", f"in release {draft.release_id}") for draft in taken[:100]],
        )
    return drafts


async def find_release(connection: AsyncConnection, release_id: UUID) -> tuple[Release, list[Draft]]:
    """A release and its drafts (none once it is closed). Raises NotFound."""
    row = (await connection.exec_driver_sql(queries.RELEASE, (release_id,))).one_or_none()
    if row is None:
        raise NotFound("There is no such release.")
    return _release(row), await drafts_of_release(connection, release_id)


def _release(row: Any) -> Release:
    return Release(*row)


async def find_open_release(connection: AsyncConnection, release_id: UUID) -> tuple[Release, list[Draft]]:
    """The same for a release that is still open. Raises NotFound, Conflict."""
    release, drafts = await find_release(connection, release_id)
    if release.state != "open":
        raise Conflict(f"The release is {release.state}.")
    return release, drafts


async def list_releases(connection: AsyncConnection, *, before: tuple[datetime, UUID] | None, limit: int) -> list[Release]:
    """Releases, the newest first."""
    at, release_id = before if before is not None else (None, None)
    return [_release(row) for row in await connection.exec_driver_sql(queries.RELEASE_PAGE, (at, release_id, limit))]


async def close_release(
    connection: AsyncConnection, release: Release, *, state: str, at: datetime, actor: str, version: int | None = None
) -> Release:
    """Publish or discard: the state does not change any more after that."""
    await connection.exec_driver_sql(queries.CLOSE_RELEASE, (release.id, state, at, actor, version))
    return release._replace(state=state, closed_at=at, closed_by=actor, version=version)


def outdated(drafts: Sequence[Draft], documents: Documents) -> list[Draft]:
    """Drafts that were written against a revision that is not in force any more: publishing them would undo what came between."""
    return [draft for draft in drafts if draft.base_revision != _revision(documents, draft)]


def _revision(documents: Documents, draft: Draft) -> int:
    document = documents.get(draft.resource, {}).get(draft.id)
    return 0 if document is None else document.revision


async def changes_to_version(connection: AsyncConnection, version: int, *, signals: bool) -> list[Change]:
    """What brings back the documents of a version; facts (signals) stay what they are unless asked for."""
    rows: Any = await connection.exec_driver_sql(queries.CHANGES_TO_VERSION, (version,))
    return [
        Change(row.resource, row.id, None if row.body is None else decode_body(row.body))
        for row in rows
        if signals or not row.resource.startswith(_SIGNALS)
    ]
