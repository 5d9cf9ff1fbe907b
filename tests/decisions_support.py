"""Stored decisions of days gone by, and the command that exports them."""

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final

from pydantic import SecretStr

from app.cli import _parser
from app.db.engine import Database
from app.db.partitions import ensure_day
from app.quotes.export import SCHEMA
from app.settings import Settings

REPLY: Final = '{"ü": "\\u00fc", "n": 1}'.encode()
_INSERT: Final = """
INSERT INTO decisions
SELECT $1::timestamptz + n * interval '24 hours' / $2 - interval '1 microsecond', gen_random_uuid(), 7, 'USD', NULL, 'c-1', '{A,B}',
  1000 + n, 100, 900 + n, 1, 'quote', convert_to('{"lines": [ ]}', 'UTF8'), $3
FROM generate_series(1, $2::int) AS n
"""


async def store_days(database: Database, *days: date, count: int, reply: bytes = REPLY) -> None:
    """So many decisions over each of these UTC days, the last one in its last microsecond."""
    connection = await database.connect()
    try:
        for day in days:
            began = datetime.combine(day, time(), UTC)
            await ensure_day(connection, began)
            await connection.execute(_INSERT, began, count, reply)
    finally:
        await connection.close()


async def stored(database: Database, day: date) -> list[dict[str, object]]:
    """What the database has of a day, as an export has it."""
    connection = await database.connect()
    began = datetime.combine(day, time(), UTC)
    rows = await connection.fetch(
        f"SELECT {', '.join(SCHEMA.names)} FROM decisions WHERE issued_at >= $1 AND issued_at < $2 ORDER BY issued_at, id",
        began,
        began + timedelta(days=1),
    )
    await connection.close()
    return [
        {**row, "id": str(row["id"]), "request": row["request"].decode(), "reply": row["reply"].decode()}
        for row in map(dict, rows)
    ]


def export(url: str, out: Path, *options: str) -> int:
    """Run `export-decisions` in this process, whose start takes longer than an export; gives what would be its status."""
    parsed = _parser().parse_args(["export-decisions", "--out", str(out), *options])
    return int(parsed.run(Settings(database_url=SecretStr(url)), parsed))
