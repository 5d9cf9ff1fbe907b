"""`/v1/keys`: making, listing, rotating, limiting and revoking API keys. A secret is shown once, when it is made."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.db.engine import transaction
from app.db.tables import api_keys
from app.errors import Conflict, NotFound, ValidationFailed
from app.web.auth import OVERLAP_SECONDS, KeyScope, Principal, new_key, new_secret
from app.web.idempotency import Reply, json_reply, run_once
from app.web.instants import Instant
from app.web.openapi import IDEMPOTENT
from app.web.pagination import Cursor, Limit, Page, cut_page, decode_cursor
from app.web.requires import requires
from app.web.routing import StrictRoute

Admin = Annotated[Principal, Depends(requires("admin"))]
OVERLAP_SECONDS_MAX: Final = 30 * 86_400
Limit32 = Annotated[int, Field(ge=1, le=1_000_000)]
KeyId = Annotated[str, Path(pattern="^[0-9A-Za-z]{12}$")]


class KeyLimits(BaseModel):
    """What is not given is the service's default."""

    model_config = ConfigDict(extra="forbid")

    requests_per_second: Limit32 | None = Field(None, description="In each process; a batch counts its baskets.")
    burst: Limit32 | None = Field(None, description="How many may come at once; by default what a second allows.")
    concurrent: Limit32 | None = Field(None, description="How many may be under way at a time, in each process.")

    @field_validator("burst")
    @classmethod
    def _has_a_rate(cls, burst: int | None, info: ValidationInfo) -> int | None:
        if burst is not None and info.data.get("requests_per_second") is None:
            raise ValueError("a burst needs requests_per_second")
        return burst


class KeyRequest(KeyLimits):
    name: str = Field(min_length=1, max_length=128)
    scopes: list[KeyScope] = Field(min_length=1, max_length=8)
    expires_at: Instant | None = None


class RotateRequest(BaseModel):
    model_config = ConfigDict(extra="forbid")

    overlap_seconds: int = Field(
        OVERLAP_SECONDS, ge=0, le=OVERLAP_SECONDS_MAX, description="How long the old secret stays valid beside the new one."
    )


class KeyView(BaseModel):
    id: str
    name: str
    scopes: list[KeyScope]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    previous_until: datetime | None = Field(
        description="Until when the secret before the last rotation is valid; null without one."
    )
    requests_per_second: int | None
    burst: int | None
    concurrent: int | None


class KeyPage(Page[KeyView]):
    """One page."""


class KeyMade(KeyView):
    key: str = Field(description="The whole key; it is not shown again.")


_COLUMNS: Final = tuple(api_keys.c[name] for name in KeyView.model_fields)


async def make_key(
    connection: AsyncConnection,
    *,
    name: str,
    scopes: list[str],
    expires_at: datetime | None = None,
    limits: KeyLimits | None = None,
) -> KeyMade:
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
        "previous_until": None,
        **_limits_of(limits or KeyLimits()),
    }
    await connection.execute(insert(api_keys).values(secret_sha256=digest, **row))
    return KeyMade(key=key, **row)


async def list_keys(connection: AsyncConnection, *, after: str | None = None, limit: int | None = None) -> list[KeyView]:
    """Keys by their ids, those behind `after`, revoked ones as well."""
    query = select(*_COLUMNS).order_by(api_keys.c.id).limit(limit)
    if after is not None:
        query = query.where(api_keys.c.id > after)
    return [KeyView.model_validate(row._asdict()) for row in (await connection.execute(query)).all()]


async def revoke_key(connection: AsyncConnection, key_id: str) -> None:
    """Raises NotFound. Revoking it again changes nothing."""
    changed = await connection.execute(
        update(api_keys).where(api_keys.c.id == key_id).values(revoked_at=func.coalesce(api_keys.c.revoked_at, datetime.now(UTC)))
    )
    if changed.rowcount == 0:
        raise NotFound("there is no key with this id")


async def rotate_key(connection: AsyncConnection, key_id: str, *, overlap_seconds: int = OVERLAP_SECONDS) -> KeyMade:
    """Gives a key a new secret; the one it has is valid for the overlap, one before that ends now. Raises NotFound and Conflict."""
    row = await _usable_for_update(connection, key_id)
    key, digest = new_secret(key_id)
    until = datetime.now(UTC) + timedelta(seconds=overlap_seconds)
    await connection.execute(
        update(api_keys)
        .where(api_keys.c.id == key_id)
        .values(previous_sha256=api_keys.c.secret_sha256, previous_until=until, secret_sha256=digest)
    )
    return KeyMade(key=key, **{**row.model_dump(), "previous_until": until})


async def limit_key(connection: AsyncConnection, key_id: str, limits: KeyLimits) -> KeyView:
    """Puts other limits in place of those that a key has. Raises NotFound and Conflict."""
    row = await _usable_for_update(connection, key_id)
    await connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(**_limits_of(limits)))
    return row.model_copy(update=_limits_of(limits))


async def _usable_for_update(connection: AsyncConnection, key_id: str) -> KeyView:
    found = (await connection.execute(select(*_COLUMNS).where(api_keys.c.id == key_id).with_for_update())).first()
    if found is None:
        raise NotFound("there is no key with this id")
    row = KeyView.model_validate(found._asdict())
    if row.revoked_at is not None:
        raise Conflict("the key was revoked; make a new one")
    if row.expires_at is not None and row.expires_at <= datetime.now(UTC):
        raise Conflict("the key has expired; make a new one")
    return row


def _limits_of(limits: KeyLimits) -> dict[str, int | None]:
    return {name: getattr(limits, name) for name in KeyLimits.model_fields}


def keys_router(engine: AsyncEngine) -> APIRouter:
    """The routes under `/v1/keys`, all for `admin`."""
    router = APIRouter(prefix="/v1/keys", tags=["keys"], route_class=StrictRoute)

    @router.post(
        "", status_code=201, operation_id="createKey", summary="Make a key", response_model=KeyMade, openapi_extra=IDEMPOTENT
    )
    async def create(request: Request, body: KeyRequest, caller: Admin) -> Response:
        """Make a key with some scopes. The reply is the only place where it is ever shown."""

        async def effect(connection: AsyncConnection) -> Reply:
            made = await make_key(connection, name=body.name, scopes=list(body.scopes), expires_at=body.expires_at, limits=body)
            return _shown_once(made, 201)

        return await run_once(engine, request, caller, effect)

    @router.get("", operation_id="listKeys", summary="List keys")
    async def listing(caller: Admin, limit: Limit = 100, cursor: Cursor = None) -> KeyPage:
        """All keys, revoked ones as well, without their secrets."""
        after = None if cursor is None else decode_cursor(cursor, str)[0]
        async with transaction(engine) as connection:
            rows = await list_keys(connection, after=after, limit=limit + 1)
        page, following = cut_page(rows, limit, lambda row: (row.id,))
        return KeyPage(items=page, next=following)

    @router.post(
        "/{key_id}/rotate",
        operation_id="rotateKey",
        summary="Give a key a new secret",
        response_model=KeyMade,
        openapi_extra=IDEMPOTENT,
    )
    async def rotate(request: Request, key_id: KeyId, caller: Admin, body: RotateRequest | None = None) -> Response:
        """Give a key a new secret. The old one stays valid for the overlap; one that an earlier rotation left valid ends at once."""
        overlap_seconds = (body or RotateRequest()).overlap_seconds

        async def effect(connection: AsyncConnection) -> Reply:
            return _shown_once(await rotate_key(connection, key_id, overlap_seconds=overlap_seconds), 200)

        return await run_once(engine, request, caller, effect)

    @router.put(
        "/{key_id}/limits",
        operation_id="limitKey",
        summary="Set how much a key may ask for",
        response_model=KeyView,
        openapi_extra=IDEMPOTENT,
    )
    async def limit(request: Request, key_id: KeyId, caller: Admin, body: KeyLimits) -> Response:
        """Set a key's limits in place of those it has. They hold everywhere within two seconds."""

        async def effect(connection: AsyncConnection) -> Reply:
            return json_reply(await limit_key(connection, key_id, body))

        return await run_once(engine, request, caller, effect)

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
            await revoke_key(connection, key_id)
            return Reply(204)

        return await run_once(engine, request, caller, effect)

    return router


def _shown_once(made: KeyMade, status: int) -> Reply:
    reply = json_reply(made, status=status, headers={"Cache-Control": "no-store"})
    return replace(
        reply, repeated=Conflict(f"the secret of key {made.id} was made by an earlier request like this one; it is shown once")
    )


def default_expiry(days: int | None) -> datetime | None:
    """The instant `days` from now, None for a key that does not expire."""
    return None if days is None else datetime.now(UTC) + timedelta(days=days)
