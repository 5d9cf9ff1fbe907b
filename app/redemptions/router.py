"""`/v1/holds` and what becomes of a hold; `/v1/meters`."""

from typing import Annotated, Any, Final
from uuid import UUID

from fastapi import APIRouter, Depends, Path, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.engine import transaction
from app.db.tables import holds, meters
from app.errors import NotFound, ValidationFailed
from app.redemptions.entries import Answer, ChangeEntry, HoldEntry, Key, SignedQuote
from app.redemptions.lane import RedemptionLane
from app.redemptions.records import fast_id, new_id, shown_hold, stored_hold
from app.redemptions.spelling import ORDER_PATTERN, QuoteOfToken
from app.web.auth import Principal
from app.web.idempotency import REPLAYED, read_key, request_sha256
from app.web.openapi import IDEMPOTENT
from app.web.pagination import Cursor, Limit, Page, cut_page, decode_cursor
from app.web.requires import requires
from app.web.routing import StrictRoute

LINES_MAX: Final = 500
MILLI_MAX: Final = 1_000_000_000
Redeemer = Annotated[Principal, Depends(requires("redeem"))]
Reader = Annotated[Principal, Depends(requires("read"))]
HoldId = Annotated[UUID, Path(description="The id of the hold.")]
Order = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=ORDER_PATTERN)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class HoldRequest(_Strict):
    """The quote by its `token`, or by its id; exactly one of them."""

    token: Annotated[str | None, StringConstraints(min_length=1, max_length=4096)] = None
    quote: UUID | None = None
    order: Annotated[Order, Field(description="The shop's own name of the order.")]
    ttl_seconds: Annotated[
        int | None, Field(ge=1, le=86_400, description="How long it is held; by default what the service is set to.")
    ] = None


class ConfirmRequest(_Strict):
    order: Annotated[Order, Field(description="The order that the hold was taken for.")]


class ReturnedLine(_Strict):
    """So much of a line came back."""

    id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    quantity: Annotated[int | str, Field(description="Units, up to three decimals as a string.", examples=["1"])]


class ReturnRequest(_Strict):
    lines: Annotated[list[ReturnedLine], Field(min_length=1, max_length=LINES_MAX)]


class HoldDraw(BaseModel):
    """What a hold takes of a meter, and what that had left under the lock."""

    meter: str
    amount: int
    left: int


class HoldTaken(BaseModel):
    id: UUID
    quote: UUID
    order: str
    state: str
    expires_at: str
    draws: list[HoldDraw]


class HoldChanged(BaseModel):
    id: UUID
    quote: UUID
    order: str
    state: str
    changed_at: str


class MeterAmount(BaseModel):
    meter: str
    amount: int


class HoldView(HoldChanged):
    ended: str | None
    created_at: str
    expires_at: str
    draws: list[MeterAmount]
    grants: list[MeterAmount]


class ReturnMade(BaseModel):
    """What a return gave back, and what of earned points it took back; `missing` is what of these was spent already."""

    id: UUID
    hold: UUID
    order: str
    returned_at: str
    lines: list[ReturnedLine]
    given_back: list[MeterAmount]
    withdrawn: list[MeterAmount]
    missing: list[MeterAmount]


class MeterView(BaseModel):
    """A capped counter. `left` is what can still be taken."""

    id: str
    cap: int
    held: int
    used: int
    left: int


class MeterPage(Page[MeterView]):
    """One page."""


def holds_router(
    *,
    holding: RedemptionLane[HoldEntry],
    changing: RedemptionLane[ChangeEntry],
    engine: AsyncEngine,
    quote_of_token: QuoteOfToken,
    hold_ttl_s: int,
) -> APIRouter:
    """The routes under `/v1/holds` and `/v1/meters`."""
    router = APIRouter(tags=["holds"], route_class=StrictRoute)

    @router.post(
        "/v1/holds",
        status_code=201,
        operation_id="createHold",
        summary="Hold what a quote draws on",
        response_model=HoldTaken,
        openapi_extra=IDEMPOTENT,
    )
    async def create(request: Request, body: HoldRequest, caller: Redeemer) -> Response:
        """Take uses, budgets, points, capped stock and gifts for a while, all or nothing. The same quote and order again get the same hold."""
        if (body.token is None) == (body.quote is None):
            raise ValidationFailed(errors=[("quote" if body.token else "token", "one_of", "give either token or quote")])
        if body.token is not None:
            quote = quote_of_token(body.token)
        else:
            assert body.quote is not None
            quote = SignedQuote(body.quote, binds=False)
        entry = HoldEntry(
            key=await _key(request, caller),
            outcome=None,
            hold_id=new_id(),
            quote_id=fast_id(quote.id),
            order=body.order,
            ttl_ms=(body.ttl_seconds or hold_ttl_s) * 1000,
            is_promised=quote.binds,
        )
        return _response(await holding.answer(entry))

    @router.post(
        "/v1/holds/{hold_id}/confirm",
        operation_id="confirmHold",
        summary="Make a hold final",
        response_model=HoldChanged,
        openapi_extra=IDEMPOTENT,
    )
    async def confirm(request: Request, hold_id: HoldId, body: ConfirmRequest, caller: Redeemer) -> Response:
        """What was held is used. Nothing is priced again. The same order again gets the same reply."""
        return await _change(request, caller, "confirm", hold_id, order=body.order)

    @router.post(
        "/v1/holds/{hold_id}/release",
        operation_id="releaseHold",
        summary="Give a hold back",
        response_model=HoldChanged,
        openapi_extra=IDEMPOTENT,
    )
    async def release(request: Request, hold_id: HoldId, caller: Redeemer) -> Response:
        """What was held is there for others again."""
        return await _change(request, caller, "release", hold_id)

    @router.post(
        "/v1/holds/{hold_id}/returns",
        status_code=201,
        operation_id="createReturn",
        summary="Take lines of a confirmed order back",
        response_model=ReturnMade,
        openapi_extra=IDEMPOTENT,
    )
    async def make_return(request: Request, hold_id: HoldId, body: ReturnRequest, caller: Redeemer) -> Response:
        """Give back what the returned lines took, in proportion; uses come back with the last unit of the last line."""
        milli = _milli_by_line(body.lines)
        shown = [{"id": line, "quantity": _decimal(amount)} for line, amount in milli.items()]
        return await _change(request, caller, "return", hold_id, milli=milli, lines=shown)

    async def _change(request: Request, caller: Principal, kind: Any, hold_id: UUID, **more: Any) -> Response:
        entry = ChangeEntry(
            key=await _key(request, caller),
            outcome=None,
            kind=kind,
            hold_id=fast_id(hold_id),
            order=more.get("order", ""),
            return_id=new_id(),
            milli=more.get("milli", {}),
            lines=more.get("lines", ()),
        )
        return _response(await changing.answer(entry))

    @router.get("/v1/holds/{hold_id}", operation_id="getHold", summary="Show a hold", response_model=HoldView)
    async def show(hold_id: HoldId, caller: Redeemer) -> Response:
        """The hold as it stands now."""
        async with transaction(engine) as connection:
            row = (await connection.execute(select(holds).where(holds.c.id == hold_id))).mappings().one_or_none()
        if row is None:
            raise NotFound("There is no such hold.")
        return Response(shown_hold(stored_hold(dict(row))), media_type="application/json")

    @router.get("/v1/meters", operation_id="listMeters", summary="List meters")
    async def listing(
        caller: Reader,
        prefix: Annotated[str, Query(max_length=400, description="What the ids begin with, as promotions/ten-off/.")] = "",
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> MeterPage:
        """Capped counters by id: uses, budgets, stock of sales, points."""
        query = select(meters).where(func.starts_with(meters.c.id, prefix)).order_by(meters.c.id).limit(limit + 1)
        if prefix:
            query = query.where(meters.c.id >= prefix)
        if cursor is not None:
            query = query.where(meters.c.id > decode_cursor(cursor, str)[0])
        async with transaction(engine) as connection:
            rows = (await connection.execute(query)).all()
        page, following = cut_page(rows, limit, lambda row: (row.id,))
        views = [
            MeterView(id=row.id, cap=row.cap, held=row.held, used=row.used, left=max(0, row.cap_wanted - row.held - row.used))
            for row in page
        ]
        return MeterPage(items=views, next=following)

    return router


async def _key(request: Request, caller: Principal) -> Key | None:
    key = read_key(request)
    return None if key is None else Key(caller.id, key, await request_sha256(request))


def _response(answer: Answer) -> Response:
    headers = {REPLAYED: "true"} if answer.is_replay else None
    media_type = "application/json" if answer.status < 400 else "application/problem+json"
    return Response(answer.body, answer.status, headers, media_type)


def _milli_by_line(lines: list[ReturnedLine]) -> dict[str, int]:
    """Thousandths by line. Raises ValidationFailed for a quantity that is none, and a line that is there twice."""
    found: dict[str, int] = {}
    for number, line in enumerate(lines):
        milli = _milli(line.quantity)
        if milli is None:
            raise ValidationFailed(
                errors=[(f"lines[{number}].quantity", "invalid", "above 0, up to 1000000, at most three decimals, as a string")]
            )
        if line.id in found:
            raise ValidationFailed(errors=[(f"lines[{number}].id", "duplicate", "the same line stands here twice")])
        found[line.id] = milli
    return found


def _milli(quantity: int | str) -> int | None:
    text = str(quantity)
    whole, point, decimals = text.partition(".")
    if not text.isascii() or not whole.isdigit() or (point and not decimals.isdigit()) or len(decimals) > 3 or len(whole) > 7:
        return None
    milli = int(whole) * 1000 + int(decimals.ljust(3, "0"))
    return milli if 0 < milli <= MILLI_MAX else None


def _decimal(milli: int) -> str:
    whole, rest = divmod(milli, 1000)
    return f"{whole}.{rest:03d}".rstrip("0") if rest else str(whole)
