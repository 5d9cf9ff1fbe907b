"""The routes of a resource: PUT, GET and DELETE of one document and the list of all, the same for each."""

from functools import cache
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, create_model

from app.pricebook.documents import SINGLE_ID
from app.resources.fields import ID_PATTERN
from app.resources.operations import delete_document, discard_draft, list_documents, put_document, show_document
from app.resources.resource import Resource, union
from app.web.auth import Principal
from app.web.openapi import CONDITIONAL, ETAG, IF_CHANGED
from app.web.pagination import Cursor, Limit
from app.web.requires import requires
from app.web.routing import StrictRoute, strict_route

Writer = Annotated[Principal, Depends(requires("write"))]
Reader = Annotated[Principal, Depends(requires("read"))]
DocumentId = Annotated[str, Path(alias="id", pattern=ID_PATTERN)]
Publish = Annotated[Literal["now"] | None, Query(description="`now` puts the change in force at once; else it is a draft.")]
IsDraft = Annotated[bool, Query(description="The draft instead of what is published.")]
DiscardDraft = Annotated[bool, Query(alias="draft", description="Throw the draft away and leave what is published as it is.")]

# A scope may name many SKUs, a coupon many codes.
_BODY_BYTES = 4 << 20


def router_of(resource: Resource) -> APIRouter:
    """The routes of a resource whose documents have ids of their own."""
    router = new_router(resource)

    async def put_one(
        request: Request, principal: Writer, document_id: DocumentId, body: Any, publish: Publish = None
    ) -> Response:
        return await put_document(
            request, principal, resource, document_id, resource.body_of(document_id, body), now=publish == "now"
        )

    async def get_one(request: Request, principal: Reader, document_id: DocumentId, draft: IsDraft = False) -> Response:
        return await show_document(request, resource, document_id, draft=draft)

    async def delete_one(
        request: Request, principal: Writer, document_id: DocumentId, publish: Publish = None, discard: DiscardDraft = False
    ) -> Response:
        if discard:
            return await discard_draft(request, principal, resource, document_id)
        return await delete_document(request, principal, resource, document_id, now=publish == "now")

    async def list_all(
        request: Request, principal: Reader, draft: IsDraft = False, limit: Limit = 100, cursor: Cursor = None
    ) -> Response:
        return await list_documents(request, resource, draft=draft, limit=limit, cursor=cursor)

    add_routes(router, resource, put_one, get_one, delete_one, path="/{id}")
    add_list(router, resource, list_all)
    return router


def single_router_of(resource: Resource) -> APIRouter:
    """The routes of a resource that exists once; deleting it brings the defaults back."""
    router = new_router(resource)

    async def put_one(request: Request, principal: Writer, body: Any, publish: Publish = None) -> Response:
        return await put_document(
            request, principal, resource, SINGLE_ID, resource.body_of(SINGLE_ID, body), now=publish == "now"
        )

    async def get_one(request: Request, principal: Reader, draft: IsDraft = False) -> Response:
        return await show_document(request, resource, SINGLE_ID, draft=draft)

    async def delete_one(request: Request, principal: Writer, publish: Publish = None, discard: DiscardDraft = False) -> Response:
        if discard:
            return await discard_draft(request, principal, resource, SINGLE_ID)
        return await delete_document(request, principal, resource, SINGLE_ID, now=publish == "now")

    add_routes(router, resource, put_one, get_one, delete_one, path="")
    return router


def new_router(resource: Resource) -> APIRouter:
    """An empty router under the resource's path."""
    return APIRouter(prefix=f"/v1/{resource.name}", tags=[resource.tag], route_class=StrictRoute)


def add_routes(router: APIRouter, resource: Resource, put_one: Any, get_one: Any, delete_one: Any, *, path: str) -> None:
    """Declare the routes of one document."""
    shape = union(resource.reply_members)
    deleted = _deleted(resource.singular)
    # The body's model belongs to the resource, so it is put into the signature here and not where the function is written.
    put_one.__annotations__["body"] = union(resource.members)
    singular = resource.singular
    router.add_api_route(
        path,
        put_one,
        methods=["PUT"],
        operation_id=f"put{singular}",
        summary=f"Write {_one(resource)}",
        description="Writes a draft, or with `publish=now` puts the change in force at once. What is not given has its default afterwards.",
        response_model=shape,
        responses={
            200: {"headers": ETAG},
            201: {"model": shape, "description": "Written for the first time.", "headers": ETAG},
        },
        openapi_extra=CONDITIONAL,
        route_class_override=strict_route(body_bytes=_BODY_BYTES),
    )
    router.add_api_route(
        path,
        get_one,
        methods=["GET"],
        operation_id=f"get{singular}",
        summary=f"Show {_one(resource)}",
        description="What is in force, or with `draft=true` what was drafted.",
        # A draft may be one that deletes.
        response_model=shape | deleted,
        responses={200: {"headers": ETAG}, 304: {"description": "It is what `If-None-Match` names.", "headers": ETAG}},
        openapi_extra=IF_CHANGED,
    )
    router.add_api_route(
        path,
        delete_one,
        methods=["DELETE"],
        operation_id=f"delete{singular}",
        summary=f"Delete {_one(resource)}",
        description="Drafts the deletion, or with `publish=now` deletes at once; with `draft=true` only throws the draft away.",
        response_model=deleted,
        openapi_extra=CONDITIONAL,
    )


def add_list(router: APIRouter, resource: Resource, list_all: Any) -> None:
    """Declare the list."""
    item: Any = union(resource.reply_members) | _deleted(resource.singular)
    page = create_model(f"{resource.singular}Page", __doc__="One page.", items=(list[item], ...), next=(str | None, ...))
    router.add_api_route(
        "",
        list_all,
        methods=["GET"],
        operation_id=f"list{resource.name.title().replace('-', '')}",
        summary=f"List {_several(resource)}",
        description="By id: what is in force, or with `draft=true` what was drafted.",
        response_model=page,
    )


@cache
def _deleted(singular: str) -> type[BaseModel]:
    return create_model(
        f"{singular}Deleted",
        __doc__="What was deleted, or will be when the draft is published.",
        id=(str, ...),
        revision=(int, ...),
        version=(int | None, ...),
        draft=(bool, ...),
        deleted=(Literal[True], ...),
    )


def _one(resource: Resource) -> str:
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in resource.singular).strip()
    if words == _several(resource):
        return words
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def _several(resource: Resource) -> str:
    return resource.name.replace("-", " ")
