"""Import and export in bulk: a resource as CSV or as newline-delimited JSON, whole and back without a difference."""

import asyncio
import hashlib
import json
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Annotated, Any, BinaryIO, Final, Literal, cast

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncConnection

from app.catalog.csv_columns import Columns, csv_line
from app.catalog.import_rows import Format, ImportRows, at_line, read_import
from app.db.engine import transaction
from app.errors import BadRequest, BodyTooLarge, RequestTimeout, UnsupportedMediaType
from app.pricebook import queries
from app.pricebook.drafts import lock_drafts, save_drafts
from app.pricebook.load import decode_body
from app.pricebook.offload import off_loop
from app.pricebook.publish import Publication
from app.pricing.book import BookProblem
from app.resources.completion import completed
from app.resources.control import Control, control_of, require_publish_now, run_publication
from app.resources.operations import replace_own_drafts
from app.resources.resource import Resource
from app.resources.router import Publish
from app.web.auth import Principal
from app.web.idempotency import Reply, json_reply, run_once
from app.web.openapi import IDEMPOTENT
from app.web.requires import requires
from app.web.routing import StrictRoute

_FORMATS: Final[dict[str, Format]] = {"text/csv": "csv", "application/x-ndjson": "ndjson"}
_MEDIA_TYPES: Final = {form: media_type for media_type, form in _FORMATS.items()}
_CHUNK_SECONDS: Final = 10.0
_MEMORY_BYTES: Final = 8 << 20
_PAGE_ROWS: Final = 1000


class Imported(BaseModel):
    """What an import did: `changed` rows differ from what was there; `version` has them, null when they are drafts."""

    resource: str
    rows: int
    changed: int
    version: int | None
    draft: bool


def bulk_router(offered: Sequence[Resource]) -> APIRouter:
    """`POST /v1/import` and `GET /v1/export` of these resources."""
    resources = {resource.name: resource for resource in offered}
    router = APIRouter(prefix="/v1", tags=["import and export"], route_class=StrictRoute)
    name: Any = Literal[tuple(resources)]

    async def import_resource(request: Request, principal: Any, resource: Any, publish: Publish = None) -> Response:
        """Rows are the resource's JSON with its id, one a line (`application/x-ndjson`), or CSV with dotted headers (`text/csv`). In CSV a list
        of texts is `a|b` or JSON, other lists and free-form objects are JSON, an empty cell leaves the field out. All rows are imported or
        none; of what is wrong the first 100 are listed with their lines. What the import does not name stays as it is.
        """
        return await _import(request, principal, resources[resource], now=publish == "now")

    async def export_resource(
        request: Request,
        principal: Any,
        resource: Any,
        form: Annotated[Literal["csv", "ndjson"], Query(alias="format")] = "ndjson",
    ) -> Response:
        """What is published, of one version, in the form that the import takes."""
        return await _export(request, resources[resource], form)

    chosen = Annotated[name, Query(description="Which resource.")]
    import_resource.__annotations__.update(principal=Annotated[Principal, Depends(requires("write"))], resource=chosen)
    export_resource.__annotations__.update(principal=Annotated[Principal, Depends(requires("read"))], resource=chosen)
    text = {"schema": {"type": "string"}}
    rows = {"schema": {"type": "string", "minLength": 1}}
    router.add_api_route(
        "/import",
        import_resource,
        methods=["POST"],
        operation_id="importResource",
        summary="Import",
        response_model=Imported,
        openapi_extra={**IDEMPOTENT, "requestBody": {"required": True, "content": dict.fromkeys(_FORMATS, rows)}},
    )
    router.add_api_route(
        "/export",
        export_resource,
        methods=["GET"],
        operation_id="exportResource",
        summary="Export",
        response_class=StreamingResponse,
        responses={200: {"content": dict.fromkeys(_FORMATS, text), "description": "The rows, as a stream."}},
    )
    return router


async def _import(request: Request, principal: Principal, resource: Resource, *, now: bool) -> Response:
    control = control_of(request)
    form = _FORMATS.get(request.headers.get("content-type", "").partition(";")[0].strip().lower())
    if form is None:
        raise UnsupportedMediaType("send text/csv or application/x-ndjson")
    with tempfile.SpooledTemporaryFile(_MEMORY_BYTES) as spool:
        digest = await _receive(request, cast(BinaryIO, spool), control.import_bytes)
        spool.seek(0)
        rows = await asyncio.to_thread(read_import, cast(BinaryIO, spool), resource, form)
    if now:

        async def publish(publication: Publication) -> Reply:
            return await _publish(publication, principal, resource, rows)

        return await run_publication(
            request, principal, publish, path_of=lambda p: _path_of(p, resource, rows), body_sha256=digest
        )

    async def draft(connection: AsyncConnection) -> Reply:
        at = await lock_drafts(connection)
        changes = await completed(connection, resource, rows.changes)
        await save_drafts(connection, changes, author=principal.id, at=at)
        n_rows = len(rows.changes)
        return json_reply(Imported(resource=resource.name, rows=n_rows, changed=n_rows, version=None, draft=True))

    return await run_once(control.engine, request, principal, draft, body_sha256=digest)


async def _publish(publication: Publication, principal: Principal, resource: Resource, rows: ImportRows) -> Reply:
    require_publish_now(publication.documents)
    changes = await completed(publication.connection, resource, rows.changes)
    published = await publication.publish(changes, actor=principal.id, kind="import")
    await replace_own_drafts(publication.connection, principal, changes)
    done = Imported(
        resource=resource.name, rows=len(rows.changes), changed=published.changed, version=published.version, draft=False
    )
    return json_reply(done)


def _path_of(problem: BookProblem, resource: Resource, rows: ImportRows) -> str | None:
    """Problems in the documents that the import brings are told by their lines."""
    line = rows.line_of.get(problem.id) if problem.resource == resource.name else None
    return None if line is None else at_line(line, problem.path)


async def _receive(request: Request, spool: BinaryIO, limit: int) -> bytes:
    """Write the body to the spool as it arrives; gives its SHA-256. A client that stalls is let go."""
    digest = hashlib.sha256()
    size = 0
    chunks = request.stream().__aiter__()
    while True:
        try:
            async with asyncio.timeout(_CHUNK_SECONDS):
                chunk = await anext(chunks, None)
        except TimeoutError:
            raise RequestTimeout("the body stopped arriving") from None
        if chunk is None:
            break
        size += len(chunk)
        if size > limit:
            raise BodyTooLarge(f"an import has at most {limit} bytes")
        digest.update(chunk)
        spool.write(chunk)
    if size == 0:
        raise BadRequest("the body is empty")
    return digest.digest()


async def _export(request: Request, resource: Resource, form: Format) -> Response:
    control = control_of(request)
    async with transaction(control.engine) as connection:
        latest = (await connection.exec_driver_sql(queries.LATEST_VERSION)).one_or_none()
    version = 0 if latest is None else latest.version
    headers = {"Content-Disposition": f'attachment; filename="{resource.name}.{form}"', "Version": str(version)}
    return StreamingResponse(_rows(control, resource, form, version), media_type=_MEDIA_TYPES[form], headers=headers)


async def _rows(control: Control, resource: Resource, form: Format, version: int) -> AsyncIterator[bytes]:
    columns = Columns(resource) if form == "csv" else None
    if columns is not None:
        yield csv_line(columns.headers).encode()
    after = ""
    while True:
        async with transaction(control.engine) as connection:
            rows = (await connection.exec_driver_sql(queries.DOCUMENT_PAGE_AT, (resource.name, after, version, _PAGE_ROWS))).all()
        if not rows:
            return
        after = rows[-1].id
        yield await off_loop(len(rows), _page, resource, rows, columns)


def _page(resource: Resource, rows: Sequence[Any], columns: Columns | None) -> bytes:
    shown = [_row(resource, row) for row in rows]
    return b"".join(csv_line(columns.cells(one)).encode() if columns else _json_line(one) for one in shown)


def _row(resource: Resource, row: Any) -> dict[str, Any]:
    body = decode_body(row.body)
    return {"id": row.id, **body} if resource.row_key == "id" else body


def _json_line(row: Mapping[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
