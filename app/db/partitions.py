"""The daily partitions of `decisions`: made ahead and on demand, dropped when they are past their retention.

Any number of processes may do this at once. A partition is built beside the table and attached, and detached before it is dropped:
both take a lock that lets inserts and reads go on, where CREATE ... PARTITION OF and DROP would stop them.
"""

import re
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta

import asyncpg

PARTITION_LOCK = 727010
DAYS_AHEAD = 7
_NAME = re.compile(r"decisions_(\d{8})")


def partition_name(day: date) -> str:
    """
    >>> partition_name(date(2026, 11, 27))
    'decisions_20261127'
    """
    return f"decisions_{day:%Y%m%d}"


def day_of(instant: datetime) -> date:
    """The UTC day whose partition holds `instant`."""
    return instant.astimezone(UTC).date()


async def list_partitions(connection: asyncpg.Connection) -> list[date]:
    """The days that have an attached partition, in order."""
    rows = await connection.fetch(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'decisions'::regclass AND NOT i.inhdetachpending ORDER BY c.relname"
    )
    return _days(rows)


def _days(rows: Iterable[asyncpg.Record]) -> list[date]:
    names = (_NAME.fullmatch(row["relname"]) for row in rows)
    return [date.fromisoformat(match[1]) for match in names if match]


async def ensure_partitions(connection: asyncpg.Connection, first: date, last: date) -> list[date]:
    """Makes the partitions of the days `first` to `last`, both inclusive, that do not exist; returns the days made.

    Call it outside of a transaction.
    """
    wanted = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    if not set(wanted) - set(await list_partitions(connection)):
        return []
    async with connection.transaction():
        await connection.execute("SET LOCAL lock_timeout = '5s'")
        await connection.execute("SELECT pg_advisory_xact_lock($1)", PARTITION_LOCK)
        existing = set(await list_partitions(connection))
        made = [day for day in wanted if day not in existing]
        for day in made:
            await _create(connection, day)
    return made


async def ensure_day(connection: asyncpg.Connection, instant: datetime) -> bool:
    """Makes the partition that holds `instant` if it is missing; says whether it was made."""
    day = day_of(instant)
    return bool(await ensure_partitions(connection, day, day))


async def drop_before(connection: asyncpg.Connection, day: date) -> list[date]:
    """Drops the partitions that end before `day` begins; returns their days. Call it outside of a transaction.

    Does nothing when another process is at it.
    """
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", PARTITION_LOCK):
        return []
    try:
        await connection.execute("SET lock_timeout = '5s'")
        await _finish_interrupted(connection)
        for leftover in await _detached(connection):
            if leftover < day:
                await connection.execute(f"DROP TABLE {partition_name(leftover)}")
        dropped = [each for each in await list_partitions(connection) if each < day]
        for each in dropped:
            name = partition_name(each)
            await connection.execute(f"ALTER TABLE decisions DETACH PARTITION {name} CONCURRENTLY")
            await connection.execute(f"DROP TABLE {name}")
    finally:
        await connection.execute("RESET lock_timeout")
        await connection.execute("SELECT pg_advisory_unlock($1)", PARTITION_LOCK)
    return dropped


async def _detached(connection: asyncpg.Connection) -> list[date]:
    """Days whose table stands alone, because a process died between detaching and dropping it."""
    rows = await connection.fetch(
        "SELECT c.relname FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid"
        " WHERE c.relkind = 'r' AND i.inhrelid IS NULL AND c.relname LIKE 'decisions\\_%'"
        " AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = 'decisions'::regclass)"
    )
    return _days(rows)


async def _create(connection: asyncpg.Connection, day: date) -> None:
    name, after = partition_name(day), day + timedelta(days=1)
    bounds = f"FOR VALUES FROM ('{day:%Y-%m-%d} 00:00:00+00') TO ('{after:%Y-%m-%d} 00:00:00+00')"
    # A leftover of an interrupted drop has this name and no parent. It is past its retention only if it is old, so its rows are
    # attached again rather than thrown away.
    await connection.execute(f"CREATE TABLE IF NOT EXISTS {name} (LIKE decisions INCLUDING DEFAULTS INCLUDING STORAGE)")
    await connection.execute(f"ALTER TABLE decisions ATTACH PARTITION {name} {bounds}")


async def _finish_interrupted(connection: asyncpg.Connection) -> None:
    """A process that died while detaching leaves the partition pending, which blocks the next detach."""
    rows = await connection.fetch(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        " WHERE i.inhparent = 'decisions'::regclass AND i.inhdetachpending"
    )
    for row in rows:
        await connection.execute(f"ALTER TABLE decisions DETACH PARTITION {row['relname']} FINALIZE")
        await connection.execute(f"DROP TABLE {row['relname']}")
