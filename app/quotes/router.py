"""The storefront's endpoints as FastAPI declares them, running the front table's own operations, and the decisions."""

import uuid
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from fastapi import APIRouter, Depends, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from app.db.engine import DatabaseUnreachable
from app.errors import NotFound, Unavailable
from app.pricebook.load import NoSuchVersion
from app.quotes.decision import Decision
from app.quotes.decisions import DecisionReader, Filters
from app.quotes.front import Authenticate, Endpoint
from app.quotes.openapi import request_body, responses
from app.quotes.parse import format_instant, instant_ms_of, instant_of
from app.quotes.replay import Replay
from app.quotes.replies import (
    BatchReply,
    DecisionDetail,
    DecisionPage,
    DecisionSummary,
    PricesReply,
    Quote,
    ReplayDifference,
    ReplayReply,
)
from app.quotes.schemas import SKU_PATTERN, BatchRequest, PricesRequest, QuoteRequest
from app.web.instants import Instant
from app.web.pagination import Cursor, Limit, cut_page, decode_instant_cursor
from app.web.requires import requires
from app.web.routing import StrictRoute

type QuoteId = Annotated[uuid.UUID, Path(description="The id of the quote.")]

_TAG: Final = "storefront"
_REFUSALS: Final = (
    (400, "The body is not JSON as this service reads it."),
    (401, "No valid key."),
    (403, "The key lacks the scope."),
    (408, "The body did not arrive in time."),
    (413, "The body is too large."),
    (415, "The body is not declared as JSON."),
    (422, "The request is not valid, or cannot be priced; `errors` says where."),
    (503, "Not now: try again after `Retry-After`."),
)
_READ_REFUSALS: Final = (
    (401, "No valid key."),
    (403, "The key lacks the scope."),
    (422, "The request is not valid."),
    (503, "Not now."),
)
_HEADERS: Final[list[dict[str, Any]]] = [
    {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "1 to 255 visible ASCII characters. A UUID becomes the id of the quote.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    },
    {
        "name": "Min-Version",
        "in": "header",
        "required": False,
        "description": "Price by this version or a later one, or be answered 503 after a second.",
        "schema": {"type": "string", "pattern": "^[1-9][0-9]{0,15}$"},
    },
]


class Told(NamedTuple):
    """What OpenAPI tells of an operation."""

    headers: list[dict[str, Any]]
    request: type[msgspec.Struct]
    status: int
    reply: type[msgspec.Struct]
    says: str


def storefront_router(table: Iterable[Endpoint], *, authenticate: Authenticate, read_s: float) -> APIRouter:
    """The front table's endpoints, declared. They answer as the front table does, for whoever comes past it."""
    router = APIRouter(route_class=StrictRoute, tags=[_TAG])
    by_path = {endpoint.path: endpoint for endpoint in table}

    async def respond(request: Request, path: str) -> Response:
        reply = await by_path[path].respond(request.scope, request.receive, authenticate, read_s=read_s)
        headers = {"Idempotent-Replayed": "true"} if reply.is_replay else None
        return Response(reply.body, reply.status, headers, "application/json")

    def declare(path: str, operation_id: str, summary: str, description: str, told: Told, *declares: Callable[..., None]) -> None:
        async def operation(request: Request) -> Response:
            return await respond(request, path)

        router.add_api_route(
            path,
            operation,
            methods=["POST"],
            operation_id=operation_id,
            summary=summary,
            description=description,
            status_code=told.status,
            response_class=Response,
            dependencies=[Depends(requires("quote")), *map(Depends, declares)],
            openapi_extra={"parameters": told.headers, **request_body(told.request)},
            responses=responses(told.status, told.reply, told.says, *_REFUSALS),
        )

    declare(
        "/v1/quotes",
        "createQuote",
        "Price a basket, bindingly",
        "Price a basket and store the decision before answering.",
        Told(_HEADERS, QuoteRequest, 201, Quote, "A binding quote; the decision is stored."),
    )
    declare(
        "/v1/quotes/batch",
        "createQuotes",
        "Price many baskets, bindingly",
        "Price up to 1000 baskets with 10000 lines in all, and store their decisions together.",
        Told(_HEADERS, BatchRequest, 200, BatchReply, "A quote or a problem for each basket; the decisions are stored."),
    )
    declare(
        "/v1/prices",
        "quotePrices",
        "Unit prices for listing pages",
        "Unit prices for listing pages, up to 10000 SKUs; stores nothing.",
        Told(_HEADERS[1:], PricesRequest, 200, PricesReply, "The price of one unit of each SKU."),
    )
    declare(
        "/v1/preview",
        "previewQuote",
        "Price a basket and store nothing",
        "Price a basket and store nothing; works while the database is down.",
        Told(_HEADERS[1:], QuoteRequest, 200, Quote, "A quote that binds nobody."),
        _declares_explain,
    )
    return router


def _declares_explain(
    explain: Annotated[
        str | None,
        Query(
            description="`full` adds the member `explanation`: every step with the amounts before and after it.",
            json_schema_extra={"enum": ["full"]},
        ),
    ] = None,
) -> None:
    """Declare the parameter; the endpoint reads it from the query itself."""


def decisions_router(reader: DecisionReader, replay: Replay) -> APIRouter:
    """Reading what was decided, and recomputing it."""
    router = APIRouter(route_class=StrictRoute)

    @router.get(
        "/v1/quotes/{quote_id}",
        operation_id="getQuote",
        summary="Show a quote",
        tags=[_TAG],
        response_class=Response,
        dependencies=[Depends(requires("quote"))],
        responses=responses(200, Quote, "The bytes of the reply again.", (404, "No such quote."), *_READ_REFUSALS),
    )
    async def get_quote(quote_id: QuoteId) -> Response:
        """The quote as it was answered."""
        decision = await reader.find(quote_id)
        return Response(decision.reply, media_type="application/json")

    @router.get(
        "/v1/decisions",
        operation_id="listDecisions",
        summary="Find decisions",
        tags=["decisions"],
        response_class=Response,
        dependencies=[Depends(requires("read"))],
        responses=responses(200, DecisionPage, "Decisions, the newest first.", *_READ_REFUSALS),
    )
    async def list_decisions(
        customer: Annotated[str | None, Query(max_length=128)] = None,
        sku: Annotated[
            str | None, Query(pattern=f"^{SKU_PATTERN}$", description="Within `from` and `to`, by default the last day.")
        ] = None,
        promotion: Annotated[
            str | None,
            Query(pattern=f"^{SKU_PATTERN}$", description="One that applied. Within `from` and `to`, by default the last day."),
        ] = None,
        code: Annotated[str | None, Query(max_length=128)] = None,
        since: Annotated[Instant | None, Query(alias="from", description="Inclusive.")] = None,
        until: Annotated[Instant | None, Query(alias="to", description="Exclusive.")] = None,
        version: Annotated[int | None, Query(ge=1, le=2**53)] = None,
        limit: Limit = 50,
        cursor: Cursor = None,
    ) -> Response:
        """Find decisions by customer, SKU, promotion, code, version and time."""
        filters = Filters(customer, sku, promotion, code, version, since, until)
        rows = await reader.search(
            filters, before=None if cursor is None else decode_instant_cursor(cursor, instant_of), limit=limit + 1
        )
        page, following = cut_page(rows, limit, lambda row: (instant_ms_of(row.issued_at), str(row.id)))
        return _json(DecisionPage([DecisionSummary(**_summary(row)) for row in page], following))

    @router.get(
        "/v1/decisions/{decision_id}",
        operation_id="getDecision",
        summary="Show a decision",
        tags=["decisions"],
        response_class=Response,
        dependencies=[Depends(requires("read"))],
        responses=responses(200, DecisionDetail, "The decision.", (404, "No such decision."), *_READ_REFUSALS),
    )
    async def get_decision(decision_id: QuoteId) -> Response:
        """One decision with the request as it was understood and the reply as it was sent."""
        row = await reader.find(decision_id)
        return _json(DecisionDetail(**_summary(row), request=msgspec.Raw(row.request), reply=msgspec.Raw(row.reply)))

    @router.post(
        "/v1/decisions/{decision_id}/replay",
        operation_id="replayDecision",
        summary="Recompute a decision",
        tags=["decisions"],
        response_class=Response,
        dependencies=[Depends(requires("read"))],
        responses=responses(
            200, ReplayReply, "Whether it comes out the same.", (404, "No such decision or version."), *_READ_REFUSALS
        ),
    )
    async def replay_decision(decision_id: QuoteId) -> Response:
        """Recompute a decision from its stored request by its version's price book and compare to the byte, the token aside."""
        decision = await reader.find(decision_id)
        try:
            difference = await replay.replay(decision)
        except NoSuchVersion:
            raise NotFound(f"Version {decision.version} is not stored any more.") from None
        except DatabaseUnreachable as error:
            raise Unavailable("The version could not be read.") from error
        if difference is None:
            return _json(ReplayReply(equal=True))
        return _json(
            ReplayReply(equal=False, difference=ReplayDifference(difference.path, difference.stored, difference.recomputed))
        )

    return router


def _summary(row: Decision) -> dict[str, Any]:
    return {
        "id": str(row.id),
        "issued_at": format_instant(instant_ms_of(row.issued_at)),
        "version": row.version,
        "currency": row.currency,
        "channel": row.channel,
        "customer": row.customer,
        "codes": list(row.codes),
        "subtotal": row.subtotal_minor,
        "discount": row.discount_minor,
        "total": row.total_minor,
        "lines": row.line_count,
        "source": row.source,
    }


def _json(content: msgspec.Struct) -> Response:
    return Response(msgspec.json.encode(content), media_type="application/json")
