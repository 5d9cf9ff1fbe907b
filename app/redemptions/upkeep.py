"""What holds need without being asked for: those whose time is over are given back. And whether meters are what holds add up to."""

from typing import Final, NamedTuple

import asyncpg

from app.redemptions import queries
from app.redemptions.keys import Raced
from app.redemptions.locked import Meters, write
from app.redemptions.protocol import expire
from app.redemptions.records import stored_hold

SWEEP_S: Final = 1.0
_SWEPT_AT_ONCE: Final = 500


class Drift(NamedTuple):
    """A meter that is not what holds and returns add up to. It never happens, and is looked for all the same."""

    meter: str
    held: int
    held_by_holds: int
    used: int
    used_by_holds: int


async def sweep(connection: asyncpg.Connection) -> int:
    """Release holds whose time is over, all there are; gives how many. Any number of processes may do this at once."""
    count = 0
    while True:
        try:
            found, ended = await _sweep(connection)
        except Raced:
            continue
        count += ended
        if found < _SWEPT_AT_ONCE:
            return count


async def _sweep(connection: asyncpg.Connection) -> tuple[int, int]:
    async with connection.transaction():
        rows = await connection.fetch(queries.LOCK_TO_SWEEP, _SWEPT_AT_ONCE)
        if not rows:
            return 0, 0
        holds = [stored_hold(row).hold for row in rows]
        meters, now_ms = await Meters().lock(connection, holds)
        decided = expire(holds, meters=meters, now_ms=now_ms)
        await write(connection, meters={one.id: one for one in decided.meters}, changed=decided.changed, now_ms=now_ms)
        return len(rows), len(decided.changed)


async def find_drift(connection: asyncpg.Connection) -> list[Drift]:
    """Compare every meter with the holds and returns, in one snapshot. It reads all of them."""
    return [Drift(*row) for row in await connection.fetch(queries.DRIFT)]
