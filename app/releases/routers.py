"""The routes of releases and of the audit trail."""

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, Field
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import transaction
from app.errors import Conflict, NotFound
from app.pricebook import queries as book_queries
from app.pricebook.documents import RESOURCES as KNOWN_RESOURCES
from app.pricebook.drafts import Draft, discard_drafts, drop_drafts, gather_drafts, lock_drafts
from app.pricebook.load import decode_body, instant_of, microseconds
from app.pricebook.publish import Publication, current_rows
from app.pricing.book import BookError
from app.releases.publishing_policy import PUBLISHING_POLICY
from app.releases.store import (
    Release,
    changes_to_version,
    close_release,
    find_open_release,
    find_release,
    list_releases,
    open_release,
    outdated,
)
from app.resources.control import book_problem, control_of, run_publication
from app.resources.fields import Body, Name
from app.resources.resource import Resource
from app.resources.router import Reader, Writer, single_router_of
from app.web.auth import Principal
from app.web.idempotency import Reply, json_reply, run_once
from app.web.openapi import IDEMPOTENT
from app.web.pagination import Cursor, Limit, cut_page, decode_cursor, decode_instant_cursor
from app.web.requires import requires
from app.web.routing import StrictRoute

RESOURCES: Final[tuple[Resource, ...]] = (PUBLISHING_POLICY,)
Approver = Annotated[Principal, Depends(requires("approve"))]
ReleaseId = Annotated[UUID, Path(alias="id")]
_AFTER_ALL: Final = 2**62


class DocumentKey(Body):
    """A document."""

    resource: Literal[KNOWN_RESOURCES]  # type: ignore[valid-type]
    id: Annotated[str, Field(min_length=1, max_length=300)]


class NewRelease(Body):
    """Which drafts to gather."""

    name: Name
    documents: Annotated[list[DocumentKey], Field(min_length=1, max_length=100_000)] | None = None


class Rollback(Body):
    """To which version."""

    to_version: Annotated[int, Field(ge=0, lt=2**62)]
    signals: Annotated[bool, Field(description="Whether costs, stock, competitors' prices and demand are brought back too.")] = (
        False
    )
    note: Annotated[str, Field(max_length=1000)] = ""


class GatheredDraft(BaseModel):
    """A draft in a release."""

    resource: str
    id: str
    deletes: bool
    base_revision: int
    author: str


class ReleaseReply(BaseModel):
    """A release; its documents are listed while it is open."""

    id: UUID
    name: str
    state: Literal["open", "published", "discarded"]
    created_at: datetime
    created_by: str
    closed_at: datetime | None
    closed_by: str | None
    version: int | None
    documents: list[GatheredDraft] = []


class ReleasePage(BaseModel):
    """One page."""

    items: list[ReleaseReply]
    next: str | None


class ReleaseProblem(BaseModel):
    """What keeps a release from being published."""

    path: str
    code: str
    message: str


class Validation(BaseModel):
    """Whether a release could be published now."""

    valid: bool
    problems: list[ReleaseProblem]


class RolledBack(BaseModel):
    """The new version, which has the body of the old one."""

    version: int
    body_of: int
    changed: int


class AuditItem(BaseModel):
    """One change."""

    id: int
    at: datetime
    actor: str
    action: str
    resource: str
    document_id: str
    before: Any
    after: Any
    version: int | None
    hash: str


class AuditPage(BaseModel):
    """One page."""

    items: list[AuditItem]
    next: str | None


def release_routers() -> list[APIRouter]:
    """The routes of releases, of the audit trail and of the publishing policy."""
    releases = APIRouter(prefix="/v1/releases", tags=["releases"], route_class=StrictRoute)
    add = releases.add_api_route
    add(
        "",
        post_release,
        methods=["POST"],
        operation_id="postRelease",
        summary="Gather drafts",
        status_code=201,
        response_model=ReleaseReply,
        openapi_extra=IDEMPOTENT,
    )
    add("", get_releases, methods=["GET"], operation_id="listReleases", summary="List releases", response_model=ReleasePage)
    add(
        "/rollback",
        post_rollback,
        methods=["POST"],
        operation_id="postRollback",
        summary="Roll back",
        response_model=RolledBack,
        openapi_extra=IDEMPOTENT,
    )
    add("/{id}", get_release, methods=["GET"], operation_id="getRelease", summary="Show a release", response_model=ReleaseReply)
    add(
        "/{id}",
        delete_release,
        methods=["DELETE"],
        operation_id="deleteRelease",
        summary="Discard a release",
        response_model=ReleaseReply,
        openapi_extra=IDEMPOTENT,
    )
    add(
        "/{id}/validate",
        post_validate,
        methods=["POST"],
        operation_id="validateRelease",
        summary="Check a release",
        response_model=Validation,
    )
    add(
        "/{id}/publish",
        post_publish,
        methods=["POST"],
        operation_id="publishRelease",
        summary="Publish a release",
        response_model=ReleaseReply,
        openapi_extra=IDEMPOTENT,
    )
    audit = APIRouter(prefix="/v1/audit", tags=["releases"], route_class=StrictRoute)
    audit.add_api_route(
        "", get_audit, methods=["GET"], operation_id="listAudit", summary="Who changed what", response_model=AuditPage
    )
    return [releases, audit, single_router_of(PUBLISHING_POLICY)]


async def post_release(request: Request, principal: Writer, body: NewRelease) -> Response:
    """Without `documents` all drafts that are in no release."""
    keys = None if body.documents is None else [(key.resource, key.id) for key in body.documents]

    async def effect(connection: AsyncConnection) -> Reply:
        release, drafts = await open_release(connection, name=body.name, documents=keys, actor=principal.id)
        return json_reply(_shown(release, drafts), status=201)

    return await run_once(control_of(request).engine, request, principal, effect)


async def get_releases(request: Request, principal: Reader, limit: Limit = 100, cursor: Cursor = None) -> Response:
    """The newest first, without their documents."""
    before = None if cursor is None else decode_instant_cursor(cursor, instant_of)
    async with transaction(control_of(request).engine) as connection:
        found = await list_releases(connection, before=before, limit=limit + 1)
    page, following = cut_page(found, limit, lambda one: (microseconds(one.created_at), str(one.id)))
    return json_reply(ReleasePage(items=[_shown(release, []) for release in page], next=following)).response()


async def get_release(request: Request, principal: Reader, release_id: ReleaseId) -> Response:
    """With its documents, while it is open."""
    async with transaction(control_of(request).engine) as connection:
        return json_reply(_shown(*await find_release(connection, release_id))).response()


async def delete_release(
    request: Request,
    principal: Writer,
    release_id: ReleaseId,
    keep_drafts: Annotated[bool, Query(description="Leave the drafts; only the release is gone.")] = False,
) -> Response:
    """Discards the release and its drafts."""

    async def effect(connection: AsyncConnection) -> Reply:
        at = await lock_drafts(connection)
        release, drafts = await find_open_release(connection, release_id)
        if keep_drafts:
            await gather_drafts(connection, drafts, None)
        else:
            await discard_drafts(connection, drafts, actor=principal.id, at=at)
        return json_reply(_shown(await close_release(connection, release, state="discarded", at=at, actor=principal.id), []))

    return await run_once(control_of(request).engine, request, principal, effect)


async def post_validate(request: Request, principal: Writer, release_id: ReleaseId) -> Response:
    """Compiles the book that the release would make, and publishes nothing."""
    control = control_of(request)
    async with transaction(control.engine) as connection:
        _, drafts = await find_open_release(connection, release_id)
        held = control.holder.held()
        rows = await current_rows(connection, held)
        publication = Publication(connection, rows, control.metrics, earlier=None if held is None else held.book)
        problems = [
            ReleaseProblem(path=path, code=code, message=message) for path, code, message in _outdated(drafts, publication)
        ]
        try:
            await publication.check([draft.change() for draft in drafts])
        except BookError as error:
            found = book_problem(error, lambda _: None).errors
            problems += [ReleaseProblem(path=one.path, code=one.code, message=one.message) for one in found]
    return json_reply(Validation(valid=not problems, problems=problems)).response()


async def post_publish(request: Request, principal: Writer, release_id: ReleaseId) -> Response:
    """Puts all drafts of the release in force as one version."""

    async def effect(publication: Publication) -> Reply:
        at = await lock_drafts(publication.connection)
        release, drafts = await find_open_release(publication.connection, release_id)
        if problems := _outdated(drafts, publication):
            raise Conflict("Documents were published since their drafts were written; write those drafts again.", errors=problems)
        changes = [draft.change() for draft in drafts]
        published = await publication.publish(changes, actor=principal.id, kind="publish", note=release.name)
        await drop_drafts(publication.connection, drafts)
        closed = await close_release(
            publication.connection, release, state="published", at=at, actor=principal.id, version=published.version
        )
        return json_reply(_shown(closed, []))

    return await run_publication(request, principal, effect)


async def post_rollback(request: Request, principal: Approver, body: Rollback) -> Response:
    """Makes a new version with the documents of an old one. Drafts stay."""

    async def effect(publication: Publication) -> Reply:
        known = await publication.connection.exec_driver_sql(book_queries.VERSION, (body.to_version,))
        if body.to_version != 0 and known.one_or_none() is None:
            raise NotFound("There is no such version.")
        changes = await changes_to_version(publication.connection, body.to_version, signals=body.signals)
        published = await publication.publish(
            changes, actor=principal.id, kind="rollback", note=body.note, body_of=body.to_version
        )
        return json_reply(RolledBack(version=published.version, body_of=body.to_version, changed=published.changed))

    return await run_publication(request, principal, effect)


async def get_audit(
    request: Request,
    principal: Reader,
    resource: Annotated[str | None, Query(max_length=100)] = None,
    document: Annotated[str | None, Query(max_length=300)] = None,
    actor: Annotated[str | None, Query(max_length=200)] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """The newest first."""
    before = _AFTER_ALL if cursor is None else decode_cursor(cursor, int)[0]
    async with transaction(control_of(request).engine) as connection:
        rows = (await connection.exec_driver_sql(book_queries.AUDIT_PAGE, (before, resource, document, actor, limit + 1))).all()
    page, following = cut_page(rows, limit, lambda row: (row.id,))
    return json_reply(AuditPage(items=[_audit_item(row) for row in page], next=following)).response()


def _audit_item(row: Any) -> AuditItem:
    return AuditItem(
        id=row.id,
        at=row.at,
        actor=row.actor,
        action=row.action,
        resource=row.resource,
        document_id=row.document_id,
        before=None if row.before is None else decode_body(row.before),
        after=None if row.after is None else decode_body(row.after),
        version=row.version,
        hash=row.hash.hex(),
    )


def _outdated(drafts: list[Draft], publication: Publication) -> list[tuple[str, str, str]]:
    message = "was written against a revision that is not in force any more"
    return [(f"{draft.resource}/{draft.id}", "draft_outdated", message) for draft in outdated(drafts, publication.documents)][
        :100
    ]


def _shown(release: Release, drafts: list[Draft]) -> ReleaseReply:
    documents = [
        GatheredDraft(
            resource=draft.resource,
            id=draft.id,
            deletes=draft.body is None,
            base_revision=draft.base_revision,
            author=draft.author,
        )
        for draft in drafts
    ]
    return ReleaseReply(**release._asdict(), documents=documents)
