"""`/v1/points`: balances of customers, where the policy's points program has them."""

from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.db.engine import transaction
from app.db.tables import meters, point_grants
from app.pricing.points import POINTS_MAX
from app.redemptions.meter_names import points_meter
from app.redemptions.problems import LimitReached
from app.redemptions.protocol import Amount
from app.redemptions.records import new_id
from app.web.auth import Principal
from app.web.idempotency import Reply, json_reply, run_once
from app.web.openapi import IDEMPOTENT
from app.web.requires import requires
from app.web.routing import StrictRoute

BALANCE_MAX: Final = 10**15
_ID: Final = r"^[^\x00-\x1f\x7f]+$"
Redeemer = Annotated[Principal, Depends(requires("redeem"))]
# Not in the path: an id may hold slashes.
CustomerAsked = Annotated[str, Query(min_length=1, max_length=128, pattern=_ID, description="The customer's id.")]
CustomerNamed = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_ID)]


class GrantRequest(BaseModel):
    """Points that are added to a balance, or taken from it below 0."""

    model_config = ConfigDict(extra="forbid")

    customer: CustomerNamed
    points: Annotated[int, Field(ge=-POINTS_MAX, le=POINTS_MAX)]
    reason: Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Balance(BaseModel):
    """`balance` is what the customer may still spend; `held` is what orders under way have taken of it already."""

    customer: str
    balance: int
    held: int
    redeemed: int


def points_router(engine: AsyncEngine) -> APIRouter:
    """The routes under `/v1/points`."""
    router = APIRouter(prefix="/v1/points", tags=["holds"], route_class=StrictRoute)

    @router.get("", operation_id="getPoints", summary="Show a balance of points")
    async def show(customer: CustomerAsked, caller: Redeemer) -> Balance:
        """What a customer has. One who never had any has 0."""
        async with transaction(engine) as connection:
            return await _balance(connection, customer)

    @router.post(
        "/grants",
        status_code=201,
        operation_id="grantPoints",
        summary="Add points to a balance, or take some away",
        response_model=Balance,
        openapi_extra=IDEMPOTENT,
    )
    async def grant(request: Request, body: GrantRequest, caller: Redeemer) -> Response:
        """What orders earn is added by their confirms; this is for everything else. A balance never goes below 0: that is refused."""

        async def effect(connection: AsyncConnection) -> Reply:
            customer = body.customer
            meter = points_meter(customer)
            new = {"cap_wanted": 0, "cap_version": 0, "cap": 0, "held": 0, "used": 0}
            await connection.execute(upsert(meters).values(id=meter, customer=customer, **new).on_conflict_do_nothing())
            taken = meters.c.held + meters.c.used
            wanted = meters.c.cap_wanted + body.points
            changed = await connection.execute(
                update(meters)
                .where(meters.c.id == meter, wanted >= taken if body.points < 0 else wanted <= BALANCE_MAX)
                .values(cap_wanted=wanted, cap=func.greatest(wanted, taken))
            )
            if changed.rowcount == 0:
                raise LimitReached([Amount(meter, (await _balance(connection, customer)).balance)])
            await connection.execute(
                insert(point_grants).values(
                    customer=customer,
                    id=new_id(),
                    granted_at=datetime.now(UTC),
                    points=body.points,
                    reason=body.reason,
                    actor=caller.id,
                )
            )
            return json_reply(await _balance(connection, customer), status=201)

        return await run_once(engine, request, caller, effect)

    return router


async def _balance(connection: AsyncConnection, customer: str) -> Balance:
    query = select(meters.c.cap_wanted, meters.c.held, meters.c.used).where(meters.c.id == points_meter(customer))
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        return Balance(customer=customer, balance=0, held=0, redeemed=0)
    return Balance(customer=customer, balance=max(0, row.cap_wanted - row.held - row.used), held=row.held, redeemed=row.used)
