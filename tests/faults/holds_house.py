"""The lanes of holds behind a door of their own: draws are named by who asks. Also with planted defects, for the tests to find them."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final, Literal
from uuid import UUID

import asyncpg
import msgspec
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


def serve_holds_keyless() -> int:
    """Another one: nobody looks whether a request was answered before under its Idempotency-Key."""
    return asyncio.run(_serve(lambda connect: lambda: _keyless(connect)))


class _Altered:
    """A connection that does something else than it was asked for."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class _Unlocked(_Altered):
    """It leaves the lock out where meters are read."""

    async def fetch(self, query: str, *arguments: Any) -> Any:
        if query is queries.LOCK_METERS:
            query = query.replace("FOR UPDATE", "")
        return await self._connection.fetch(query, *arguments)


class _Keyless(_Altered):
    """It finds no key, and tells that each was new."""

    async def fetch(self, query: str, *arguments: Any) -> Any:
        return [] if query is queries.KEYS else await self._connection.fetch(query, *arguments)

    async def execute(self, query: str, *arguments: Any) -> Any:
        return await self._connection.execute(
            query + "ON CONFLICT DO NOTHING" if query is queries.ADD_KEYS else query, *arguments
        )


async def _unlocked(connect: Connect) -> Any:
    return _Unlocked(await connect())


async def _keyless(connect: Connect) -> Any:
    return _Keyless(await connect())


async def _serve(change: Callable[[Connect], Connect]) -> int:
    settings = Settings.from_environment()
    assert settings.database_url is not None
    database = Database(settings.database_url.get_secret_value())
    drawn: dict[UUID, Drawn] = {}

    async def find_draws(_: object, quote_ids: Sequence[UUID]) -> dict[UUID, Drawn]:
        return {quote_id: drawn[quote_id] for quote_id in quote_ids}

    redemptions = Redemptions(change(database.connect), find_draws=find_draws, flush_s=1.0, metrics=Metrics())

    async def hold(raw: bytes, key: str | None) -> Answer:
        asked = json.loads(raw)
        draws = tuple(Draw(meter, amount, cap, 1) for meter, amount, cap in asked["draws"])
        quote_id = UUID(asked["quote"])
        drawn[quote_id] = Drawn(draws, (), (), FAR_MS, {"1": 1000})
        named = None if key is None else Key("shop", key, hashlib.sha256(raw).digest())
        return await _answer(
            redemptions.holding.answer(HoldEntry(named, None, new_id(), quote_id, asked["order"], asked["ttl_ms"]))
        )

    async def alter(hold_id: str, kind: str, raw: bytes) -> Answer:
        changes: Literal["confirm", "release"] = "confirm" if kind == "confirm" else "release"
        order = json.loads(raw)["order"] if kind == "confirm" else ""
        return await _answer(
            redemptions.changing.answer(ChangeEntry(None, None, changes, UUID(hold_id), order, new_id(), {}, ()))
        )

    async def one(request: Request) -> Response:
        raw, key = await request.body(), request.headers.get("idempotency-key")
        answer = await _by_path(request.url.path, raw, key)
        return Response(answer.body, answer.status)

    async def many(request: Request) -> Response:
        """Requests of many clients in one, each with its path and its key, each with its own answer."""
        asked = msgspec.json.decode(await request.body(), type=list[tuple[str, str | None, msgspec.Raw]])
        answers = await asyncio.gather(*(_by_path(path, bytes(raw), key) for path, key, raw in asked))
        return Response(msgspec.json.encode([(answer.status, msgspec.Raw(answer.body)) for answer in answers]))

    def _by_path(path: str, raw: bytes, key: str | None) -> Awaitable[Answer]:
        parts = path.split("/")
        return hold(raw, key) if len(parts) == 3 else alter(parts[3], parts[4], raw)

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await redemptions.start()
        sweeping = asyncio.create_task(_sweep(redemptions))
        yield
        sweeping.cancel()
        await redemptions.stop()

    routes = [
        Route("/readyz", lambda _: PlainTextResponse("ready")),
        Route("/v1/holds", one, methods=["POST"]),
        Route("/v1/holds/{id}/{kind}", one, methods=["POST"]),
        Route("/many", many, methods=["POST"]),
    ]
    app = Starlette(routes=routes, lifespan=lifespan)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
    await server.serve(sockets=[bind(settings.host, settings.port)])
    return 0


async def _answer(outcome: Awaitable[Answer]) -> Answer:
    try:
        return await outcome
    except Problem as problem:
        return Answer(problem.status, problem_bytes(problem))


async def _sweep(redemptions: Redemptions) -> None:
    """Release what is expired, whatever happens to the connection."""
    while True:
        with contextlib.suppress(DatabaseUnreachable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
            await redemptions.run_sweeper()
        await asyncio.sleep(0.1)
