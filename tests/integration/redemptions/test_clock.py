"""What is expired is decided by a clock that was read under the locks, not before they were waited for."""

import asyncio
from typing import Final

import asyncpg

from app.db.engine import Database
from app.redemptions import queries

_WAITS: Final = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


async def test_clock_is_read_after_a_lock_that_was_waited_for(fresh_database: Database) -> None:
    owner, waiter, watcher = [await fresh_database.connect() for _ in range(3)]
    await owner.execute(queries.MAKE_METERS, ["a", "b"], [None, None], [1, 1], [1, 1])
    async with owner.transaction():
        # Who locks a meter and refuses everybody leaves it as it was.
        await owner.fetch("SELECT id FROM meters WHERE id = 'b' FOR UPDATE")
        waiting = asyncio.create_task(_lock(waiter))
        while not await watcher.fetchval(_WAITS):
            await asyncio.sleep(0.005)
        await asyncio.sleep(0.05)  # so that the clock goes on
        let_go_ms = await watcher.fetchval(queries.NOW)
    now_ms = await waiting
    for connection in (owner, waiter, watcher):
        await connection.close()

    assert now_ms >= let_go_ms


async def _lock(connection: asyncpg.Connection) -> int:
    async with connection.transaction():
        rows = await connection.fetch(queries.LOCK_METERS, ["a", "b"])
    return int(rows[-1]["now_ms"])
