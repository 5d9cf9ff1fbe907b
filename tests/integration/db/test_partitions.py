"""Partitions appear before they are needed and go when they are past their time, whoever does it."""

import asyncio
import os
import uuid
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from app.db.engine import Database
from app.db.partitions import drop_before, ensure_day, ensure_partitions, list_partitions, partition_name
from app.db.upkeep import keep_up

NOW = datetime(2026, 11, 27, 23, 59, 59, tzinfo=UTC)


async def insert_decision(connection: asyncpg.Connection, issued_at: datetime) -> None:
    await connection.execute(
        "INSERT INTO decisions (issued_at, id, version, currency, codes, subtotal_minor, discount_minor, total_minor, line_count, source,"
        " request, reply) VALUES ($1, $2, 1, 'USD', '{}', 1, 0, 1, 1, 'quote', '{}', '{}')",
        issued_at,
        uuid.uuid4(),
    )


async def test_a_round_of_upkeep_makes_days_ahead_and_drops_old_ones(fresh_database: Database) -> None:
    connection = await fresh_database.connect()
    await ensure_partitions(connection, date(2026, 11, 1), date(2026, 11, 3))

    done = await keep_up(connection, NOW, retention_days=25)

    assert done.partitions_made == 9
    assert done.partitions_dropped == 1  # 1 November ends before the 2nd begins
    assert await list_partitions(connection) == [
        date(2026, 11, 2),
        date(2026, 11, 3),
        *(date(2026, 11, 26) + timedelta(n) for n in range(9)),
    ]
    assert (await keep_up(connection, NOW, retention_days=25)) == (0, 0, 0)
    await connection.close()


async def test_many_processes_making_the_same_days_get_them_once(fresh_database: Database) -> None:
    connections = [await fresh_database.connect() for _ in range(6)]

    made = await asyncio.gather(*(ensure_partitions(each, date(2026, 1, 1), date(2026, 1, 5)) for each in connections))

    assert sorted(day for days in made for day in days) == [date(2026, 1, n) for n in range(1, 6)]
    for each in connections:
        await each.close()


async def test_a_decision_finds_the_partition_of_its_utc_day(fresh_database: Database) -> None:
    connection = await fresh_database.connect()
    with pytest.raises(asyncpg.CheckViolationError):
        await insert_decision(connection, NOW)

    assert await ensure_day(connection, NOW) is True
    assert await ensure_day(connection, NOW) is False
    await insert_decision(connection, NOW)
    await insert_decision(connection, datetime(2026, 11, 27, tzinfo=UTC))

    assert await connection.fetchval(f"SELECT count(*) FROM {partition_name(NOW.date())}") == 2
    await connection.close()


async def test_days_are_made_and_dropped_while_others_read_and_write(fresh_database: Database) -> None:
    """CREATE ... PARTITION OF and DROP of an attached partition would wait for the open transaction, and everybody behind them."""
    writer, worker = await fresh_database.connect(), await fresh_database.connect()
    await ensure_partitions(worker, date(2026, 11, 20), date(2026, 11, 27))
    await writer.execute("BEGIN")
    await insert_decision(writer, NOW)

    made = await asyncio.wait_for(ensure_partitions(worker, date(2026, 11, 28), date(2026, 11, 28)), 3)
    await writer.execute("COMMIT")
    dropped = await asyncio.wait_for(drop_before(worker, date(2026, 11, 21)), 3)

    assert made == [date(2026, 11, 28)]
    assert dropped == [date(2026, 11, 20)]
    for each in (writer, worker):
        await each.close()


async def test_what_an_interrupted_drop_left_is_finished(fresh_database: Database) -> None:
    connection = await fresh_database.connect()
    await ensure_partitions(connection, date(2026, 11, 1), date(2026, 11, 2))
    await connection.execute("ALTER TABLE decisions DETACH PARTITION decisions_20261101 CONCURRENTLY")

    await drop_before(connection, date(2026, 11, 2))

    assert await connection.fetchval("SELECT to_regclass('decisions_20261101')") is None
    assert await list_partitions(connection) == [date(2026, 11, 2)]
    await connection.close()


async def test_old_keys_are_forgotten_after_their_time(fresh_database: Database) -> None:
    connection = await fresh_database.connect()
    for days in (1, 30, 32):
        await connection.execute(
            "INSERT INTO idempotency (scope, key, request_sha256, status, headers, reply, created_at) VALUES ('s', $1, '', 200, '{}', '', $2)",
            str(days),
            NOW - timedelta(days=days),
        )
        await connection.execute(
            "INSERT INTO decision_keys (id, issued_at, request_sha256, created_at) VALUES ($1, $2, $3, $2)",
            uuid.uuid4(),
            NOW - timedelta(days=days),
            os.urandom(32),
        )

    done = await keep_up(connection, NOW, retention_days=5)

    assert done.keys_removed == 2
    assert [row[0] for row in await connection.fetch("SELECT key FROM idempotency ORDER BY key")] == ["1", "30"]
    await connection.close()
