"""The lanes of holds behind a door of their own: draws are named by who asks. Also with a planted defect, for the tests to find it."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from app.cli import bind
from app.db.engine import Database, DatabaseUnreachable
from app.errors import Problem
from app.metrics import Metrics
from app.redemptions import queries
from app.redemptions.entries import Answer, ChangeEntry, Drawn, HoldEntry, Key
from app.redemptions.protocol import Draw
from app.redemptions.records import new_id
from app.redemptions.redemptions import Redemptions
from app.settings import Settings
from app.web.problems import problem_bytes

# Quotes of these tests never end.
FAR_MS: Final = 1 << 50

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
    drawn: dict[UUID, Drawn] = {}

    async def find_draws(_: object, quote_ids: Sequence[UUID]) -> dict[UUID, Drawn]:
        return {quote_id: drawn[quote_id] for quote_id in quote_ids}

    redemptions = Redemptions(change(database.connect), find_draws=find_draws, flush_s=1.0, metrics=Metrics())

    async def hold(request: Request) -> Response:
        body = await request.body()
        asked = json.loads(body)
        draws = tuple(Draw(meter, amount, cap, 1) for meter, amount, cap in asked["draws"])
        quote_id = UUID(asked["quote"])
        drawn[quote_id] = Drawn(draws, (), (), FAR_MS, {"1": 1000})
        key = request.headers.get("idempotency-key")
        named = None if key is None else Key("shop", key, hashlib.sha256(body).digest())
        return await _answer(
            redemptions.holding.answer(HoldEntry(named, None, new_id(), quote_id, asked["order"], asked["ttl_ms"]))
        )

    async def confirm(request: Request) -> Response:
        order = json.loads(await request.body())["order"]
        return await change_hold("confirm", request, order)

    async def release(request: Request) -> Response:
        return await change_hold("release", request, "")

    async def change_hold(kind: Literal["confirm", "release"], request: Request, order: str) -> Response:
        entry = ChangeEntry(None, None, kind, UUID(request.path_params["id"]), order, new_id(), {}, ())
        return await _answer(redemptions.changing.answer(entry))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await redemptions.start()
        sweeping = asyncio.create_task(_sweep(redemptions))
        yield
        sweeping.cancel()
        await redemptions.stop()

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


async def _answer(outcome: Awaitable[Answer]) -> Response:
    try:
        answer = await outcome
    except Problem as problem:
        return Response(problem_bytes(problem), problem.status)
    return Response(answer.body, answer.status)


async def _sweep(redemptions: Redemptions) -> None:
    """Release what is expired, whatever happens to the connection."""
    while True:
        with contextlib.suppress(DatabaseUnreachable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await redemptions.run_sweeper()
        await asyncio.sleep(0.1)
