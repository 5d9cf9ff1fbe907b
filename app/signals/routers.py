"""The routes of facts and sales."""

from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, Field, create_model
from sqlalchemy.ext.asyncio import AsyncConnection

from app.db.engine import transaction
from app.errors import ValidationFailed
from app.pricebook.audit import AuditEntry
from app.pricebook.documents import encode_canonical
from app.pricebook.load import decode_body
from app.pricebook.publish import Publication
from app.pricing.money import parse_quantity_milli
from app.resources.control import control_of, run_publication
from app.resources.fields import ID_PATTERN, Amount, Body, Currency, Id, Instant, Name, Quantity, Sku
from app.resources.router import Reader
from app.signals import queries
from app.signals.facts import SIGNALS, Signal, newest, too_far_ahead
from app.web.auth import Principal
from app.web.idempotency import Reply, json_reply, run_once
from app.web.openapi import IDEMPOTENT
from app.web.pagination import Cursor, Limit, cut_page, decode_cursor
from app.web.requires import requires
from app.web.routing import strict_route

Sender = Annotated[Principal, Depends(requires("signals"))]
_Sku = Annotated[str | None, Query(pattern=ID_PATTERN, description="Only the facts of this SKU.")]
_FACTS_MAX: Final = 10_000
_BODY_BYTES: Final = 8 << 20


class FactsTaken(BaseModel):
    """What came of facts: `changed` prices' inputs; `ignored` ones are older than what was known. `version` has them."""

    accepted: int
    changed: int
    ignored: int
    version: int


class Sale(Body):
    """One sold line."""

    id: Id
    at: Instant
    sku: Sku
    quantity: Quantity
    paid: Annotated[Amount, Field(description="What was paid for the line, in minor units.")]
    currency: Currency
    channel: Name | None = None
    store: Name | None = None
    customer: Name | None = None
    promotion: bool | None = None
    quote: Annotated[
        str | None, Field(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$", description="The id of the quote it came of.")
    ] = None


class SalesTaken(BaseModel):
    """What came of sales: those whose (sku, id) was known stay as they were."""

    accepted: int
    duplicates: int


def signal_routers() -> list[APIRouter]:
    """`PUT` and `GET /v1/signals/...`, and `POST /v1/sales`."""
    facts = APIRouter(prefix="/v1/signals", tags=["signals"], route_class=strict_route(body_bytes=_BODY_BYTES))
    for signal in SIGNALS:
        _add(facts, signal)
    sales = APIRouter(prefix="/v1/sales", tags=["signals"], route_class=strict_route(body_bytes=_BODY_BYTES))
    sales.add_api_route(
        "",
        post_sales,
        methods=["POST"],
        operation_id="postSales",
        summary="Report what was sold",
        response_model=SalesTaken,
        openapi_extra=IDEMPOTENT,
    )
    return [facts, sales]


def _add(router: APIRouter, signal: Signal) -> None:
    async def put_facts(request: Request, principal: Sender, body: Any) -> Response:
        """The facts are in force at once. One that is older than what is known is kept and does not change prices."""
        return await _put_facts(request, principal, signal, [fact.model_dump() for fact in body])

    put_facts.__annotations__["body"] = Annotated[list[signal.model], Field(min_length=1, max_length=_FACTS_MAX)]  # type: ignore[name-defined]
    router.add_api_route(
        f"/{signal.path}",
        put_facts,
        methods=["PUT"],
        operation_id=f"put{signal.singular}Facts",
        summary=f"State facts: {signal.path}",
        response_model=FactsTaken,
        openapi_extra=IDEMPOTENT,
    )

    async def list_facts(
        request: Request, principal: Reader, sku: _Sku = None, limit: Limit = 100, cursor: Cursor = None
    ) -> Response:
        """By SKU: of each key the newest fact, which is the one in force."""
        return await _list_facts(request, signal, sku=sku, limit=limit, cursor=cursor)

    fact: Any = signal.reply_model
    router.add_api_route(
        f"/{signal.path}",
        list_facts,
        methods=["GET"],
        operation_id=f"list{signal.singular}Facts",
        summary=f"List facts: {signal.path}",
        response_model=create_model(
            f"{signal.singular}FactPage", __doc__="One page.", items=(list[fact], ...), next=(str | None, ...)
        ),
    )


async def _list_facts(request: Request, signal: Signal, *, sku: str | None, limit: int, cursor: str | None) -> Response:
    after = "" if cursor is None else decode_cursor(cursor, str)[0]
    async with transaction(control_of(request).engine) as connection:
        found = await connection.exec_driver_sql(queries.FACT_PAGE, (signal.resource, after, sku or "", limit + 1))
        page, following = cut_page(found.all(), limit, lambda row: (row.id,))
    return json_reply({"items": [decode_body(row.body) for row in page], "next": following}).response()


async def _put_facts(request: Request, principal: Principal, signal: Signal, facts: list[Any]) -> Response:
    now = datetime.now(UTC)
    if ahead := too_far_ahead(facts, now):
        raise ValidationFailed("Facts lie in the future.", errors=ahead[:100])

    async def effect(publication: Publication) -> Reply:
        changes = newest(signal, facts, publication.documents)
        summary = AuditEntry(signal.resource, "", None, {"facts": len(facts), "keys": len(changes)})
        published = await publication.publish(changes, actor=principal.id, kind="signals", summary=summary)
        arrays = (
            [fact["sku"] for fact in facts],
            [fact["at"] for fact in facts],
            [encode_canonical(fact).decode() for fact in facts],
        )
        await publication.connection.exec_driver_sql(queries.INSERT_FACTS, (signal.path, now, *arrays))
        taken = FactsTaken(
            accepted=len(facts), changed=published.changed, ignored=len(facts) - len(changes), version=published.version
        )
        return json_reply(taken)

    return await run_publication(request, principal, effect)


async def post_sales(
    request: Request, principal: Sender, body: Annotated[list[Sale], Field(min_length=1, max_length=_FACTS_MAX)]
) -> Response:
    """A sale is known by its SKU and id; sent again it stays as it was."""
    if ahead := too_far_ahead([sale.model_dump() for sale in body], datetime.now(UTC)):
        raise ValidationFailed("Sales lie in the future.", errors=ahead[:100])

    async def effect(connection: AsyncConnection) -> Reply:
        written = await connection.exec_driver_sql(
            queries.INSERT_SALES,
            (
                [sale.sku for sale in body],
                [sale.id for sale in body],
                [sale.at for sale in body],
                [parse_quantity_milli(sale.quantity) for sale in body],
                [sale.paid for sale in body],
                [sale.currency for sale in body],
                [sale.channel for sale in body],
                [sale.store for sale in body],
                [sale.customer for sale in body],
                [sale.promotion for sale in body],
                [None if sale.quote is None else UUID(sale.quote) for sale in body],
            ),
        )
        return json_reply(SalesTaken(accepted=written.rowcount, duplicates=len(body) - written.rowcount))

    return await run_once(control_of(request).engine, request, principal, effect)
