"""Stored decisions as Parquet files, a folder a day, for whoever analyses them elsewhere. Needs the extra `export`.

A day's folder appears whole or not at all, and one that is there is never written again.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
import pyarrow as pa
import pyarrow.parquet as pq

from app.db.engine import within

SCHEMA: Final = pa.schema(
    [
        pa.field("issued_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("id", pa.string(), nullable=False),
        pa.field("version", pa.int64(), nullable=False),
        pa.field("currency", pa.string(), nullable=False),
        pa.field("channel", pa.string()),
        pa.field("customer", pa.string()),
        pa.field("codes", pa.list_(pa.string()), nullable=False),
        pa.field("subtotal_minor", pa.int64(), nullable=False),
        pa.field("discount_minor", pa.int64(), nullable=False),
        pa.field("total_minor", pa.int64(), nullable=False),
        pa.field("line_count", pa.int32(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("request", pa.string(), nullable=False),
        pa.field("reply", pa.string(), nullable=False),
    ]
)
FILE: Final = "decisions.parquet"
MANIFEST: Final = "manifest.json"
_ROWS_AT_ONCE: Final = 2000
_ANSWER_S: Final = 60.0
_WITHIN: Final = "FROM decisions WHERE issued_at >= $1 AND issued_at < $2"
_COUNT: Final = f"SELECT count(*) {_WITHIN}"
_ROWS: Final = f"SELECT {', '.join(SCHEMA.names)} {_WITHIN} ORDER BY issued_at, id"


class ExportFailed(Exception):
    """What was written is not what the database has; nothing of that day was kept."""


class DayExport(NamedTuple):
    """What a day's manifest says."""

    day: str
    rows: int
    octets: int
    sha256: str


def missing_days(folder: Path, first: date, last: date) -> list[date]:
    """The days from `first` to `last`, both inclusive, that are not in `folder` yet."""
    days = (first + timedelta(days=number) for number in range((last - first).days + 1))
    return [day for day in days if not _folder_of(folder, day).exists()]


async def export_day(connection: asyncpg.Connection, day: date, folder: Path) -> DayExport:
    """Writes one UTC day's decisions, in one snapshot. Raises ExportFailed, DatabaseUnreachable, OSError."""
    draft = folder / f".day={day.isoformat()}.{os.getpid()}"
    draft.mkdir(parents=True)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            bounds = [datetime.combine(one, time(), UTC) for one in (day, day + timedelta(days=1))]
            expected = await within(connection, connection.fetchval(_COUNT, *bounds), seconds=_ANSWER_S)
            await _write(connection, bounds, draft / FILE)
        written = pq.read_metadata(draft / FILE).num_rows
        if written != expected:
            raise ExportFailed(f"{day}: {written} rows were written, the database has {expected}")
        with (draft / FILE).open("rb") as file:
            done = DayExport(
                day.isoformat(), written, (draft / FILE).stat().st_size, hashlib.file_digest(file, "sha256").hexdigest()
            )
        (draft / MANIFEST).write_text(json.dumps(done._asdict()) + "\n", "utf-8")
        for path in (draft / FILE, draft / MANIFEST, draft):
            _sync(path)
        draft.rename(_folder_of(folder, day))
        _sync(folder)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return done


async def _write(connection: asyncpg.Connection, bounds: Sequence[datetime], path: Path) -> None:
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        cursor = await within(connection, connection.cursor(_ROWS, *bounds), seconds=_ANSWER_S)
        while rows := await within(connection, cursor.fetch(_ROWS_AT_ONCE), seconds=_ANSWER_S):
            writer.write_batch(pa.RecordBatch.from_pylist(list(_typed(rows)), schema=SCHEMA))


def _typed(rows: Iterable[asyncpg.Record]) -> Iterable[dict[str, object]]:
    for row in rows:
        yield {**row, "id": str(row["id"]), "request": row["request"].decode(), "reply": row["reply"].decode()}


def _folder_of(folder: Path, day: date) -> Path:
    return folder / f"day={day.isoformat()}"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
