"""Decisions as Parquet: what is read back is what the database has, and a day is there whole or not at all."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from app.db.engine import Database
from app.db.partitions import ensure_day
from app.quotes.export import FILE, MANIFEST, SCHEMA, export_day, missing_days
from app.redemptions.records import new_id
from tests.processes import command, environment

DAY = datetime(2026, 3, 4, tzinfo=UTC)


@pytest.fixture
def database(fresh_database: Database) -> Database:
    return fresh_database


async def store(database: Database, *, count: int, reply: bytes = '{"ü": "\\u00fc", "n": 1}'.encode()) -> None:
    """Decisions from the first to the last microsecond of the day, and one on either side of it."""
    connection = await database.connect()
    last = DAY + timedelta(days=1, microseconds=-1)
    instants = [DAY + number * (last - DAY) / (count - 1) for number in range(count)]
    for instant in (DAY - timedelta(microseconds=1), *instants, DAY + timedelta(days=1)):
        await ensure_day(connection, instant)
        await connection.execute(
            "INSERT INTO decisions VALUES ($1, $2, 7, 'USD', NULL, 'c-1', '{A,B}', 1000, 100, 900, 1, 'quote', $3, $4)",
            instant,
            new_id(),
            b'{"lines": [ ]}',
            reply,
        )
    await connection.close()


async def stored(database: Database) -> list[dict[str, object]]:
    connection = await database.connect()
    rows = await connection.fetch(
        f"SELECT {', '.join(SCHEMA.names)} FROM decisions WHERE issued_at >= $1 AND issued_at < $2 ORDER BY issued_at, id",
        DAY,
        DAY + timedelta(days=1),
    )
    await connection.close()
    return [dict(row) for row in rows]


def test_the_command_writes_what_the_database_has_and_leaves_out_what_is_there(database: Database, tmp_path: Path) -> None:
    asyncio.run(store(database, count=4100))
    out, env = tmp_path / "out", environment(tmp_path / "data", database_url=database.url)
    asked = ("export-decisions", "--from", "2026-03-04", "--to", "2026-03-04", "--out", str(out))
    first, second = command(*asked, env=env), command(*asked, env=env)

    assert (first.returncode, second.returncode, second.stdout) == (0, 0, ""), first.stderr + second.stderr
    path = out / "day=2026-03-04" / FILE
    read = pq.ParquetFile(path).read().to_pylist()
    for row in read:
        row["request"], row["reply"] = row["request"].encode(), row["reply"].encode()
    assert read == [row | {"id": str(row["id"])} for row in asyncio.run(stored(database))]
    assert json.loads((path.parent / MANIFEST).read_text()) == {
        "day": "2026-03-04",
        "rows": 4100,
        "octets": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


async def test_a_day_that_fails_in_the_middle_leaves_nothing(database: Database, tmp_path: Path) -> None:
    await store(database, count=2, reply=b"\xff is no text")
    connection = await database.connect()
    with pytest.raises(UnicodeDecodeError):
        await export_day(connection, DAY.date(), tmp_path)
    await connection.close()

    assert list(tmp_path.iterdir()) == []
    assert missing_days(tmp_path, DAY.date(), DAY.date()) == [DAY.date()]
