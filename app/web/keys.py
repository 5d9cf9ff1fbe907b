"""`/v1/keys`: making, listing and revoking API keys. A key is shown once, when it is made."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.db.engine import transaction
from app.db.tables import api_keys
from app.errors import Conflict, NotFound, ValidationFailed
from app.web.auth import KeyScope, Principal, new_key, requires
from app.web.idempotency import Reply, json_reply, run_once
from app.web.instants import Instant
from app.web.openapi import IDEMPOTENT
from app.web.pagination import Cursor, Limit, Page, cut_page, decode_cursor
from app.web.routing import StrictRoute

Admin = Annotated[Principal, Depends(requires("admin"))]
KeyId = Annotated[str, Path(pattern="^[0-9A-Za-z]{12}$")]


class KeyRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str = Field(min_length=1, max_length=128)
    scopes: list[KeyScope] = Field(min_length=1, max_length=8)
    expires_at: Instant | None = None


class KeyView(BaseModel):
    id: str
    name: str
    scopes: list[KeyScope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None


class KeyPage(Page[KeyView]):
    """One page."""


class KeyMade(KeyView):
    key: str = Field(description="The whole key; it is not shown again.")


async def make_key(connection: AsyncConnection, *, name: str, scopes: list[str], expires_at: datetime | None = None) -> KeyMade:
    """Stores a new key and returns it with its secret. Raises ValidationFailed when it would have expired already."""
    now = datetime.now(UTC)
    if expires_at is not None and expires_at <= now:
        raise ValidationFailed("", errors=[("expires_at", "past", "lies in the past")])
    key_id, key, digest = new_key()
    row: dict[str, Any] = {
        "id": key_id,
        "name": name,
        "scopes": sorted(set(scopes)),
        "created_at": now,
        "expires_at": expires_at,
        "revoked_at": None,
    }
    await connection.execute(insert(api_keys).values(secret_sha256=digest, **row))
    return KeyMade(key=key, **row)


def keys_router(engine: AsyncEngine) -> APIRouter:
    """The routes under `/v1/keys`, all for `admin`."""
    router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=StrictRoute)

    @router.post(
        "", status_code=201, operation_id="createKey", summary="Make a key", response_model=KeyMade, openapi_extra=IDEMPOTENT
    )
    async def create(request: Request, body: KeyRequest, caller: Admin) -> Response:
        """Make a key with some scopes. The reply is the only place where it is ever shown."""

        async def effect(connection: AsyncConnection) -> Reply:
            made = await make_key(connection, name=body.name, scopes=list(body.scopes), expires_at=body.expires_at)
            reply = json_reply(made, status=201, headers={"Cache-Control": "no-store"})
            return replace(
                reply, repeated=Conflict(f"key {made.id} was made by an earlier request like this one; it is shown once")
            )

        return await run_once(engine, request, caller, effect)

    @router.get("", operation_id="listKeys", summary="List keys")
    async def listing(caller: Admin, limit: Limit = 100, cursor: Cursor = None) -> KeyPage:
        """All keys, revoked ones as well, without their secrets."""
        query = select(*(api_keys.c[name] for name in KeyView.model_fields)).order_by(api_keys.c.id).limit(limit + 1)
        if cursor is not None:
            query = query.where(api_keys.c.id > decode_cursor(cursor, str)[0])
        async with transaction(engine) as connection:
            rows = (await connection.execute(query)).all()
        page, following = cut_page(rows, limit, lambda row: (row.id,))
        return KeyPage(items=[KeyView.model_validate(row._asdict()) for row in page], next=following)

    @router.delete(
        "/{key_id}",
        status_code=204,
        operation_id="revokeKey",
        summary="Revoke a key",
        response_class=Response,
        openapi_extra=IDEMPOTENT,
    )
    async def revoke(request: Request, key_id: KeyId, caller: Admin) -> Response:
        """Revoke a key; it is refused everywhere within two seconds. Revoking it again changes nothing."""

        async def effect(connection: AsyncConnection) -> Reply:
            changed = await connection.execute(
                update(api_keys)
                .where(api_keys.c.id == key_id)
                .values(revoked_at=func.coalesce(api_keys.c.revoked_at, datetime.now(UTC)))
            )
            if changed.rowcount == 0:
                raise NotFound("there is no key with this id")
            return Reply(204)

        return await run_once(engine, request, caller, effect)

    return router


def default_expiry(days: int | None) -> datetime | None:
    """The instant `days` from now, None for a key that does not expire."""
    return None if days is None else datetime.now(UTC) + timedelta(days=days)
