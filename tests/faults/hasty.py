"""Planted defects: services that do not keep what they promise. They exist for the tests of faults to find them."""

import asyncio
import os
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import uvicorn
from starlette.responses import PlainTextResponse

from app.cli import bind, make_server
from app.db.engine import Database
from app.main import create_app
from app.metrics import Metrics
from app.pricebook.compile import compile_off_loop
from app.pricebook.load import load_rows
from app.quotes import queries
from app.quotes.decision import Decision
from app.quotes.spool import Spool
from app.quotes.spool_log import SpoolFile, SpoolLog
from app.quotes.store import Claim, DecisionStore, Outcome
from app.settings import Settings
from tests.quotes_support import Books, connector, doors, house


class HastyStore(DecisionStore):
    """Says that everything is stored, and stores it next."""

    def __init__(self, *arguments: Any, metrics: Metrics) -> None:
        super().__init__(*arguments, metrics=metrics)
        self._last: asyncio.Task[None] | None = None

    async def store(
        self, issued_at: datetime, decisions: Sequence[Decision], claims: Sequence[Claim], *, deadline_s: float
    ) -> Outcome:
        before = self._last

        async def later() -> None:
            if before is not None:
                await before
            await super(HastyStore, self).store(issued_at, decisions, claims, deadline_s=deadline_s)

        self._last = asyncio.create_task(later())
        return Outcome({}, frozenset())


class AmnesicStore(DecisionStore):
    """Does not look at what was stored under an id before."""

    async def store(
        self, issued_at: datetime, decisions: Sequence[Decision], claims: Sequence[Claim], *, deadline_s: float
    ) -> Outcome:
        await super().store(issued_at, decisions, claims, deadline_s=deadline_s)
        return Outcome({}, frozenset())


def serve_hastily() -> int:
    """The storefront with the first of these, on the book of the settings' database."""
    return _serve(HastyStore)


def serve_amnesically() -> int:
    """The same with the second."""
    return _serve(AmnesicStore)


def serve_behind() -> int:
    """No defect of ours: a storefront whose clock is 90 s late."""
    return _serve(DecisionStore, ahead_ms=-90_000)


def serve_ahead() -> int:
    """And one whose clock is 90 s early."""
    return _serve(DecisionStore, ahead_ms=90_000)


def _serve(store_class: type[DecisionStore], *, ahead_ms: int = 0) -> int:
    settings = Settings.from_environment()
    assert settings.database_url is not None
    return asyncio.run(_run(settings, Database(settings.database_url.get_secret_value()), store_class, ahead_ms))


async def _run(settings: Settings, database: Database, store_class: type[DecisionStore], ahead_ms: int) -> int:
    connection = await database.connect()
    book = await compile_off_loop(await load_rows(connection))
    await connection.close()

    def now_ms() -> int:
        return time.time_ns() // 1_000_000 + ahead_ms

    async with house(connector(database), books=Books(book), store_class=store_class, now_ms=now_ms) as served:
        app, api = doors(served, database.engine())
        api.add_route("/readyz", lambda _: PlainTextResponse("ready"))
        server: uvicorn.Server = make_server(settings, app)
        await server.serve(sockets=[bind(settings.host, settings.port)])
    return 0


class HastySpool(Spool):
    """Says that everything is on the disk, and writes it next."""

    async def keep(self, decisions: Sequence[Decision]) -> None:
        self._queue.append(asyncio.create_task(self._keep_next(super().keep(decisions), list(self._queue))))

    def __init__(self, *arguments: Any, **given: Any) -> None:
        super().__init__(*arguments, **given)
        self._queue: deque[asyncio.Task[None]] = deque(maxlen=1)

    async def _keep_next(self, work: Awaitable[None], before: list[asyncio.Task[None]]) -> None:
        await asyncio.gather(*before)
        await asyncio.sleep(0.02)
        await work


class BlindSpool(Spool):
    """Stores what it drains without looking whether it is there, and lets go of it before it is stored."""

    async def _drain_file(self, connection: asyncpg.Connection, log: SpoolLog, file: SpoolFile) -> asyncpg.Connection:
        decisions, _ = log.decisions(file)
        log.remove(file, is_damaged=False)
        await asyncio.sleep(2.0)
        await connection.copy_records_to_table("decisions", records=decisions, columns=queries.COLUMNS)
        return connection


def serve_spooling_hastily() -> int:
    """The whole service with that spool."""
    return _serve_with_spool(HastySpool)


def serve_draining_blindly() -> int:
    """The same with that one."""
    return _serve_with_spool(BlindSpool)


def _serve_with_spool(spool_class: type[Spool]) -> int:
    settings = Settings.from_environment()
    assert settings.database_url is not None
    database = Database(settings.database_url.get_secret_value(), settings.connect_seconds)
    app = create_app(settings, database=database, spool_class=spool_class)
    server: uvicorn.Server = make_server(settings, app)
    server.run(sockets=[bind(settings.host, settings.port)])
    return 0


class LeakingSpool(Spool):
    """Keeps something of each question; it is asked first by whoever reads a quote."""

    async def find(self, quote_id: uuid.UUID) -> Decision | None:
        _KEPT.append((bytes(range(200)) * 3_000, os.open(os.devnull, os.O_RDONLY)))
        return await super().find(quote_id)


_KEPT: list[tuple[bytes, int]] = []


def serve_leaking() -> int:
    """The whole service with that."""
    return _serve_with_spool(LeakingSpool)
