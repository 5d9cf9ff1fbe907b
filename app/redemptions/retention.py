"""How long holds are kept, and what stays of them: what they used of their meters.

A hold that is used or released never changes any more, but returns may come to it. Its row is locked first, as whoever adds a return does, and in one
transaction what it used and did not give back is added to `meters_forgotten`, and it goes with its returns. Meters are neither locked nor
changed, so that nobody who takes of them waits.
"""

from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

import asyncpg

from app.db.batches import Rows, remove_in_batches
from app.redemptions import queries
from app.redemptions.meter_names import read_meter

# What was given back counts nowhere; a month is for callers who ask again.
RELEASED_DAYS: Final = 31
# By then nobody can draw on a window any more: a month, a day for time zones, 30 days that a quote may bind, and some for clocks.
_WINDOW_DAYS: Final = 64


class Forgotten(NamedTuple):
    """What one round removed, for the log."""

    holds_removed: int
    meters_removed: int


async def forget(connection: asyncpg.Connection, *, retention_days: int) -> Forgotten:
    """Remove what is past its time by the database's clock: holds with their returns, then meters of windows that nothing is left of."""
    now: datetime = await connection.fetchval(queries.CLOCK)
    holds = await forget_holds(
        connection, used_before=now - timedelta(days=retention_days), released_before=now - timedelta(days=RELEASED_DAYS)
    )
    return Forgotten(holds, await forget_windows(connection, began_before=(now - timedelta(days=_WINDOW_DAYS)).date()))


async def forget_holds(connection: asyncpg.Connection, *, used_before: datetime, released_before: datetime) -> int:
    """Remove holds that were used, or released, before an instant; those that somebody has locked stay for another round."""

    async def remove(rows: Rows) -> int:
        async with connection.transaction():
            locked = await connection.fetch(queries.LOCK_OLD_HOLDS, [row["id"] for row in rows])
            # Each a statement of its own, so that it sees what was committed before the locks were got.
            ids = [row["id"] for row in locked]
            for sql in (queries.FORGET_USED, queries.REMOVE_RETURNS, queries.REMOVE_HOLDS):
                await connection.execute(sql, ids)
        return len(ids)

    return await remove_in_batches(
        lambda rows_max: connection.fetch(queries.OLD_HOLDS, used_before, released_before, rows_max), remove
    )


async def forget_windows(connection: asyncpg.Connection, *, began_before: date) -> int:
    """Remove meters of windows that began before a date, hold nothing, and of which no hold is kept that used any."""

    async def remove(rows: Rows) -> int:
        ids = [row["id"] for row in rows if _began(row["id"], before=began_before)]
        async with connection.transaction():
            locked = await connection.fetch(queries.LOCK_OLD_METERS, ids)
            # Asked under the locks: nobody adds to what is forgotten of a meter that no used hold is left of.
            gone = await connection.fetch(queries.REMOVE_METERS, [row["id"] for row in locked])
            await connection.execute(queries.REMOVE_FORGOTTEN, [row["id"] for row in gone])
        return len(gone)

    return await remove_in_batches(
        lambda rows_max: connection.fetch(queries.OLD_METERS, began_before.isoformat(), rows_max), remove
    )


def _began(meter: str, *, before: date) -> bool:
    """Whether it is the meter of a window that began before a date."""
    name = read_meter(meter)
    return name is not None and name.first_date is not None and name.first_date < before
