"""The routes of prices: a SKU has several, so the rest of the key is in the body or in the query."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AfterValidator
from sqlalchemy.ext.asyncio import AsyncConnection

from app.catalog.prices import DEFAULT_LIST, PRICES, price_id
from app.errors import Conflict, NotFound, Problem
from app.resources.control import control_of
from app.resources.fields import ID_PATTERN, normalise_instant
from app.resources.operations import delete_document, discard_draft, ids_with_prefix, list_documents, put_document, show_document
from app.resources.router import DiscardDraft, IsDraft, Publish, Reader, Writer, add_list, add_routes, new_router
from app.web.auth import Principal
from app.web.idempotency import Reply, run_once
from app.web.instants import INSTANT_PATTERN
from app.web.pagination import Cursor, Limit

_Sku = Annotated[str, Path(pattern=ID_PATTERN)]
_PriceList = Annotated[str, Query(pattern=ID_PATTERN)]
_Currency = Annotated[str | None, Query(pattern=r"^[A-Z]{3}$", description="Needed where the SKU has prices in several.")]
_ValidFrom = Annotated[
    str | None,
    AfterValidator(lambda text: normalise_instant(text) if text else text),
    Query(pattern=rf"^$|{INSTANT_PATTERN}", description="Needed where there are several; empty is the price without one."),
]


class AmbiguousPrice(Conflict):
    """Several prices of the SKU match; `errors` lists them."""

    slug, title = "ambiguous_price", "Several prices match"


def prices_router() -> APIRouter:
    """PUT, GET, DELETE and list of prices."""
    router = new_router(PRICES)

    async def put_one(request: Request, principal: Writer, sku: _Sku, body: Any, publish: Publish = None) -> Response:
        content = PRICES.body_of(sku, body)
        return await put_document(request, principal, PRICES, price_id(sku, content), content, now=publish == "now")

    async def get_one(
        request: Request,
        principal: Reader,
        sku: _Sku,
        price_list: _PriceList = DEFAULT_LIST,
        currency: _Currency = None,
        valid_from: _ValidFrom = None,
        draft: IsDraft = False,
    ) -> Response:
        chosen = await _find(request, sku, price_list, currency, valid_from, with_drafts=draft)
        return await show_document(request, PRICES, chosen, draft=draft)

    async def delete_one(
        request: Request,
        principal: Writer,
        sku: _Sku,
        price_list: _PriceList = DEFAULT_LIST,
        currency: _Currency = None,
        valid_from: _ValidFrom = None,
        publish: Publish = None,
        discard: DiscardDraft = False,
    ) -> Response:
        try:
            chosen = await _find(request, sku, price_list, currency, valid_from, with_drafts=True)
        except (NotFound, AmbiguousPrice) as refusal:
            return await _refuse(request, principal, refusal)
        if discard:
            return await discard_draft(request, principal, PRICES, chosen)
        return await delete_document(request, principal, PRICES, chosen, now=publish == "now")

    async def list_all(
        request: Request,
        principal: Reader,
        sku: Annotated[str | None, Query(pattern=ID_PATTERN)] = None,
        draft: IsDraft = False,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response:
        prefix = "" if sku is None else f"{sku}|"
        return await list_documents(request, PRICES, draft=draft, limit=limit, cursor=cursor, prefix=prefix)

    add_routes(router, PRICES, put_one, get_one, delete_one, path="/{sku}")
    add_list(router, PRICES, list_all)
    return router


async def _refuse(request: Request, principal: Principal, refusal: Problem) -> Response:
    """Refuse under the request's key: the same request may have deleted the price before, and is then answered as it was."""

    async def effect(_: AsyncConnection) -> Reply:
        raise refusal

    return await run_once(control_of(request).engine, request, principal, effect)


async def _find(
    request: Request, sku: str, price_list: str, currency: str | None, valid_from: str | None, *, with_drafts: bool
) -> str:
    """The id of the one price that matches. Raises NotFound, AmbiguousPrice."""
    found = sorted(await ids_with_prefix(request, PRICES, f"{sku}|{price_list}|", with_drafts=with_drafts))
    matching = [one for one in found if currency in (None, one.split("|")[2]) and valid_from in (None, one.split("|")[3])]
    if not matching:
        raise NotFound("There is no such price.")
    if len(matching) > 1:
        raise AmbiguousPrice(
            "Name the currency, and valid_from where there are several.",
            errors=[(one, "matches", "this price matches") for one in matching[:100]],
        )
    return matching[0]
