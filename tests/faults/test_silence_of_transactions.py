"""Promise R4 inside the control plane: a transaction ends when the database falls silent, wherever it waits, and gives its connection back."""

import asyncio
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from app.db.engine import Database, pool_usage, transaction
from app.db.pulse import Pulse
from app.errors import Unavailable
from tests.faults.proxy import Proxy

_PROMISED_S: Final = 1.5
_POOL: Final = 3
# More than the pool has, so that some wait for a connection when the silence begins.
_AT_ONCE: Final = 8
_LONG_S: Final = 30.0


class _Watched:
    """A pool that a pulse watches, behind a proxy; `up` and `down` follow what the pulse tells."""

    def __init__(self, database: Database) -> None:
        self.up, self.down = asyncio.Event(), asyncio.Event()
        self.pulse = Pulse(database, changed=self._changed)
        self.engine: AsyncEngine = self.pulse.engine

    def _changed(self, silence: str) -> None:
        (self.down if silence else self.up).set()
        (self.up if silence else self.down).clear()


@asynccontextmanager
async def _watched(database: Database, proxy: Proxy) -> AsyncIterator[_Watched]:
    parts = urlsplit(database.url)
    userinfo, at, _ = parts.netloc.rpartition("@")
    url = urlunsplit(parts._replace(netloc=f"{userinfo}{at}127.0.0.1:{proxy.port}"))
    watched = _Watched(replace(database, url=url, pool_size=_POOL))
    running = asyncio.create_task(watched.pulse.run())
    try:
        yield watched
    finally:
        running.cancel()
        await asyncio.wait({running})
        await watched.engine.dispose()


@contextmanager
def _busy_processors() -> Iterator[None]:
    burners = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(2)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


async def _statement(connection: AsyncConnection, silenced: asyncio.Event) -> None:
    del silenced
    await connection.execute(text("SELECT pg_sleep(30)"))


async def _next_statement(connection: AsyncConnection, silenced: asyncio.Event) -> None:
    await silenced.wait()
    await connection.execute(text("SELECT 1"))


async def _commit(connection: AsyncConnection, silenced: asyncio.Event) -> None:
    await connection.execute(text("CREATE TEMPORARY TABLE kept (id int) ON COMMIT DROP"))
    await silenced.wait()


async def _rollback(connection: AsyncConnection, silenced: asyncio.Event) -> None:
    await connection.execute(text("SELECT 1"))
    await silenced.wait()
    raise LookupError


async def _savepoint(connection: AsyncConnection, silenced: asyncio.Event) -> None:
    async with connection.begin_nested():
        await connection.execute(text("SELECT 1"))
        await silenced.wait()


async def _other_work(connection: AsyncConnection, silenced: asyncio.Event) -> None:
    """As a book that compiles: no statement is waited for."""
    del silenced
    await asyncio.sleep(_LONG_S)


@pytest.mark.parametrize("stage", [_statement, _next_statement, _commit, _rollback, _savepoint, _other_work])
async def test_a_transaction_ends_with_the_silence_and_the_pool_is_whole_after_it(
    database: Database, stage: Callable[[AsyncConnection, asyncio.Event], Awaitable[None]]
) -> None:
    async with Proxy(urlsplit(database.url).port or 0) as proxy, _watched(database, proxy) as watched:
        # The pool's connections are open, as they are in a process that serves.
        await _use_whole_pool(watched.engine)
        silenced, entered = asyncio.Event(), asyncio.Semaphore(0)

        async def work() -> None:
            async with transaction(watched.engine) as connection:
                await connection.execute(text("SELECT 1"))
                entered.release()
                await stage(connection, silenced)

        with _busy_processors():
            tasks = [asyncio.create_task(work()) for _ in range(_AT_ONCE)]
            for _ in range(_POOL):
                await entered.acquire()
            began_s = time.monotonic()
            proxy.stall()
            silenced.set()
            done, pending = await asyncio.wait(tasks, timeout=_LONG_S / 2)
            took_s = time.monotonic() - began_s
            await watched.down.wait()
        proxy.flow()
        await watched.up.wait()

        print(
            f"figure: R4: {stage.__name__[1:]}: {_AT_ONCE} transactions on {_POOL} connections ended {took_s:.3f} s after the silence began"
        )
        assert not pending
        # A rollback that cannot be made hides nothing of what it was made for.
        allowed = (Unavailable, LookupError) if stage is _rollback else (Unavailable,)
        assert all(isinstance(task.exception(), allowed) for task in done)
        assert took_s < _PROMISED_S
        assert pool_usage(watched.engine)["in_use"] == 0
        await _use_whole_pool(watched.engine)


async def _use_whole_pool(engine: AsyncEngine) -> None:
    """Hold every connection of the pool at once, which needs every slot."""
    together = asyncio.Barrier(_POOL)

    async def use() -> None:
        async with transaction(engine) as connection:
            assert await connection.scalar(text("SELECT 1")) == 1
            await together.wait()

    async with asyncio.timeout(10):
        await asyncio.gather(*(use() for _ in range(_POOL)))
