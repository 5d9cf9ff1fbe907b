"""What can be done with a document: write a draft or publish at once, show, delete, list."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request
from starlette.responses import Response

from app.db.engine import transaction
from app.errors import Conflict, NotFound, ValidationFailed
from app.pricebook import queries
from app.pricebook.documents import Change, etag_of
from app.pricebook.drafts import (
    Draft,
    discard_drafts,
    drop_drafts,
    find_draft,
    find_drafts,
    list_drafts,
    lock_drafts,
    save_drafts,
)
from app.pricebook.load import decode_body
from app.pricebook.publish import Publication
from app.pricing.book import BookProblem
from app.resources.control import control_of, require_publish_now, run_publication
from app.resources.replies import document_reply, shown, shown_draft
from app.resources.resource import Resource
from app.web.auth import Principal
from app.web.etags import check_preconditions, is_not_modified, quoted
from app.web.idempotency import Reply, json_reply, run_once
from app.web.pagination import cut_page, decode_cursor


async def put_document(
    request: Request, principal: Principal, resource: Resource, document_id: str, body: Mapping[str, Any], *, now: bool
) -> Response:
    """Write a body, as a draft or in force at once."""
    resource.refuse(document_id, body)
    # Laying out a schedule takes up to some tenths of a second.
    if problems := await asyncio.to_thread(resource.check, body):
        raise ValidationFailed(f"{len(problems)} thing(s) wrong with the body.", errors=problems)
    return await _write(request, principal, Change(resource.name, document_id, body), now=now)


async def delete_document(request: Request, principal: Principal, resource: Resource, document_id: str, *, now: bool) -> Response:
    """Write a draft that deletes, or delete at once. A document that was only ever a draft is gone at once in either case."""
    resource.refuse(document_id, None)
    return await _write(request, principal, Change(resource.name, document_id, None), now=now)


async def discard_draft(request: Request, principal: Principal, resource: Resource, document_id: str) -> Response:
    """Throw the draft of a document away. Raises NotFound."""

    async def effect(connection: AsyncConnection) -> Reply:
        at = await lock_drafts(connection)
        draft = await find_draft(connection, resource.name, document_id)
        if draft is None:
            raise NotFound("There is no draft of this.")
        check_preconditions(request, draft.etag)
        await discard_drafts(connection, [draft], actor=principal.id, at=at)
        return json_reply(shown(document_id, None, revision=draft.base_revision, version=None, is_draft=True))

    return await run_once(control_of(request).engine, request, principal, effect)


async def show_document(request: Request, resource: Resource, document_id: str, *, draft: bool) -> Response:
    """The published document, or its draft. Raises NotFound."""
    async with transaction(control_of(request).engine) as connection:
        if draft:
            drafted = await find_draft(connection, resource.name, document_id)
            if drafted is None:
                raise NotFound("There is no draft of this.")
            content, etag = shown_draft(drafted), drafted.etag
        else:
            row = (await connection.exec_driver_sql(queries.DOCUMENT, (resource.name, document_id))).one_or_none()
            if row is None:
                raise NotFound("Nothing is published under this id.")
            content, etag = _shown_row(row), row.etag
    if is_not_modified(request, etag):
        return Response(status_code=304, headers={"ETag": quoted(etag)})
    return document_reply(content, etag).response()


async def list_documents(
    request: Request, resource: Resource, *, draft: bool, limit: int, cursor: str | None, prefix: str = ""
) -> Response:
    """One page of published documents or of drafts, by id."""
    after = "" if cursor is None else decode_cursor(cursor, str)[0]
    async with transaction(control_of(request).engine) as connection:
        if draft:
            drafts = await list_drafts(connection, resource.name, after=after, prefix=prefix, limit=limit + 1)
            items = [shown_draft(one) for one in drafts]
        else:
            rows = await connection.exec_driver_sql(queries.DOCUMENT_PAGE, (resource.name, after, prefix, limit + 1))
            items = [_shown_row(row) for row in rows]
    page, following = cut_page(items, limit, lambda item: (item["id"],))
    return json_reply({"items": list(page), "next": following}).response()


async def ids_with_prefix(request: Request, resource: Resource, prefix: str, *, with_drafts: bool) -> set[str]:
    """The ids of published documents, and of drafts too if asked for, that begin so."""
    async with transaction(control_of(request).engine) as connection:
        rows = await connection.exec_driver_sql(queries.DOCUMENT_PAGE, (resource.name, "", prefix, 1000))
        found = {row.id for row in rows}
        if with_drafts:
            found |= {draft.id for draft in await list_drafts(connection, resource.name, after="", prefix=prefix, limit=1000)}
    return found


async def _write(request: Request, principal: Principal, change: Change, *, now: bool) -> Response:
    if now:

        async def publish(publication: Publication) -> Reply:
            require_publish_now(publication.documents)
            return await _publish_one(request, principal, publication, change)

        return await run_publication(request, principal, publish, path_of=lambda problem: _path_in(problem, change))

    async def effect(connection: AsyncConnection) -> Reply:
        return await _draft_one(request, principal, connection, change)

    return await run_once(control_of(request).engine, request, principal, effect)


async def _draft_one(request: Request, principal: Principal, connection: AsyncConnection, change: Change) -> Reply:
    at = await lock_drafts(connection)
    row = (await connection.exec_driver_sql(queries.DOCUMENT, (change.resource, change.id))).one_or_none()
    draft = await find_draft(connection, change.resource, change.id)
    published = None if row is None else row.etag
    drafted = None if draft is None or draft.body is None else draft.etag
    present = published if draft is None else drafted
    check_preconditions(request, present)
    if change.body is None and row is None:
        if draft is None:
            raise NotFound("There is neither a document nor a draft of this id.")
        await discard_drafts(connection, [draft], actor=principal.id, at=at)
        return json_reply(shown(change.id, None, revision=0, version=None, is_draft=True))
    await save_drafts(connection, [change], author=principal.id, at=at)
    base = draft.base_revision if draft is not None else 0 if row is None else row.revision
    content = shown(change.id, change.body, revision=base, version=None, is_draft=True)
    return document_reply(content, etag_of(change.body), status=201 if present is None and change.body is not None else 200)


async def _publish_one(request: Request, principal: Principal, publication: Publication, change: Change) -> Reply:
    present = publication.documents.get(change.resource, {}).get(change.id)
    draft = await find_draft(publication.connection, change.resource, change.id)
    _require_own(principal, [] if draft is None else [draft])
    check_preconditions(request, None if present is None else etag_of(present.body))
    if change.body is None and present is None and draft is None:
        raise NotFound("There is neither a document nor a draft of this id.")
    published = await publication.publish([change], actor=principal.id, kind="publish")
    await replace_own_drafts(publication.connection, principal, [change])
    held = publication.held
    document = (held.documents if held else publication.documents).get(change.resource, {}).get(change.id)
    revision = document.revision if document is not None else present.revision if present is not None else 0
    content = shown(change.id, change.body, revision=revision, version=published.version, is_draft=False)
    if change.body is None:
        return json_reply(content)
    return document_reply(content, etag_of(change.body), status=201 if present is None else 200)


async def replace_own_drafts(connection: AsyncConnection, principal: Principal, changes: Sequence[Change]) -> None:
    """Drop the caller's drafts of documents that were just published at once. Raises Conflict where somebody else has drafted one."""
    await lock_drafts(connection)
    drafts = await find_drafts(connection, [(change.resource, change.id) for change in changes])
    _require_own(principal, drafts)
    await drop_drafts(connection, drafts)


def _require_own(principal: Principal, drafts: Sequence[Draft]) -> None:
    others = [draft for draft in drafts if draft.author != principal.id]
    if others:
        raise Conflict(
            "Somebody else has drafted this; publish or discard that draft first.",
            errors=[
                (f"{draft.resource}/{draft.id}", "draft_exists", "another caller has a draft of this document")
                for draft in others[:100]
            ],
        )


def _path_in(problem: BookProblem, change: Change) -> str | None:
    return problem.path if (problem.resource, problem.id) == (change.resource, change.id) else None


def _shown_row(row: Any) -> dict[str, Any]:
    return shown(row.id, decode_body(row.body), revision=row.revision, version=row.from_version, is_draft=False)
