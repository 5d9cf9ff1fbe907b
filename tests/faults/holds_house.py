"""The lanes of holds behind a door of their own: draws are named by who asks. Also with a planted defect, for the tests to find it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import asyncpg
import uvicorn
from asyncpg.pgproto.pgproto import UUID
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.cli import bind
from app.db.engine import Database
from app.errors import Problem
from app.redemptions import queries
from app.redemptions.ids import make_hold_id
from app.redemptions.lane import ChangeLane, HoldLane, Outcome, Told
from app.redemptions.protocol import Asked, Draw, Refused
from app.redemptions.store import KnownMeters, sweep
from app.settings import Settings

type Connect = Callable[[], Awaitable[asyncpg.Connection]]


def serve_holds() -> int:
    """The lanes as they are."""
    return asyncio.run(_serve(lambda connect: connect))


def serve_holds_unlocked() -> int:
    """A planted defect: meters are read and then written, and nobody has them meanwhile."""
    return asyncio.run(_serve(lambda connect: lambda: _unlocked(connect)))


class _Unlocked:
    """A connection that leaves the lock out where meters are read."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    async def fetch(self, query: str, *arguments: Any) -> Any:
        if query is queries.LOCK_METERS:
            query = query.replace("FOR UPDATE", "")
        return await self._connection.fetch(query, *arguments)


async def _unlocked(connect: Connect) -> Any:
    return _Unlocked(await connect())


async def _serve(change: Callable[[Connect], Connect]) -> int:
    settings = Settings.from_environment()
    assert settings.database_url is not None
    database = Database(settings.database_url.get_secret_value())
    connect = change(database.connect)
    known = KnownMeters()
    holds, changes = HoldLane(connect, known=known), ChangeLane(connect, known=known)

    async def hold(request: Request) -> Response:
        asked = json.loads(await request.body())
        draws = tuple(Draw(meter, amount, cap, 1) for meter, amount, cap in asked["draws"])
        ask = Asked(make_hold_id(), UUID(asked["quote"]), asked["order"], asked["quote_expires_ms"], asked["ttl_ms"], draws)
        return await _answer(holds.take(ask), 201)

    async def confirm(request: Request) -> Response:
        order = json.loads(await request.body())["order"]
        return await _answer(changes.confirm(UUID(request.path_params["id"]), order), 200)

    async def release(request: Request) -> Response:
        return await _answer(changes.release(UUID(request.path_params["id"])), 200)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        holds.start()
        changes.start()
        sweeping = asyncio.create_task(_sweep(connect))
        yield
        sweeping.cancel()
        await holds.stop()
        await changes.stop()

    routes = [
        Route("/readyz", lambda _: PlainTextResponse("ready")),
        Route("/v1/holds", hold, methods=["POST"]),
        Route("/v1/holds/{id}/confirm", confirm, methods=["POST"]),
        Route("/v1/holds/{id}/release", release, methods=["POST"]),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    await server.serve(sockets=[bind(settings.host, settings.port)])
    return 0


async def _answer(outcome: Awaitable[Outcome], status: int) -> Response:
    try:
        told = await outcome
    except Problem as problem:
        told = problem
    if isinstance(told, Told):
        return Response(told.body, status, media_type="application/json")
    if isinstance(told, Refused):
        return Response(json.dumps({"said": told.reason, "short": told.short}), 409)
    return Response(json.dumps({"said": told.slug}), told.status)


async def _sweep(connect: Connect) -> None:
    """Release what is expired, each second, whatever happens to the connection."""
    while True:
        try:
            connection = await connect()
            try:
                while True:
                    await sweep(connection, KnownMeters())
                    await asyncio.sleep(1)
            finally:
                connection.terminate()
        except Exception:  # noqa: BLE001 - a backend was killed, or the cluster
            await asyncio.sleep(0.1)
