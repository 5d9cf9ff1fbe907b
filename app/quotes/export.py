"""Stored decisions as Parquet files, a folder a day, for whoever analyses them elsewhere. Needs the extra `export`."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

import asyncpg
import pyarrow as pa
import pyarrow.parquet as pq

from app.db.engine import DatabaseUnreachable, within
from app.db.partitions import list_partitions
from app.quotes.export_folder import FILE, MANIFEST, DayExport, ExportFailed, draft_of

if TYPE_CHECKING:
    from app.tracing import Tracing

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
# Rows are of very different sizes: at first few are taken at once, and then as many as these bytes hold of what they were like.
_FIRST_ROWS: Final = 50
_ROWS_AT_ONCE: Final = 2000
_OCTETS_AT_ONCE: Final = 16 << 20
_ANSWER_S: Final = 60.0
# It reads the whole day.
_COUNT_S: Final = 900.0
_WITHIN: Final = "FROM decisions WHERE issued_at >= $1 AND issued_at < $2"
_COUNT: Final = f"SELECT count(*) {_WITHIN}"
_ROWS: Final = f"SELECT {', '.join(SCHEMA.names)} {_WITHIN} ORDER BY issued_at, id"


# However a connection is lost. The last one is what asyncpg makes of an answer that ends in its middle, and a bare Exception.
_LOST: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    DatabaseUnreachable,
    ConnectionError,
)


async def export_day(
    connection: asyncpg.Connection, day: date, folder: Path, tracing: "Tracing | None" = None
) -> DayExport | None:
    """Writes one UTC day's decisions, in one snapshot; None when the database keeps no such day, and nothing is written then.

    The day appears in the folder whole or not at all. After an exception the connection is of no use. Raises ExportFailed, OSError.
    """
    if tracing is None:
        return await _export(connection, day, folder, lambda _: None)
    trace = tracing.round("export", {"centwise.day": day.isoformat()})
    try:
        done = await _export(connection, day, folder, trace.begin)
    except Exception as error:
        trace.end(error)
        raise
    trace.end(attributes={} if done is None else {"centwise.decisions": done.rows, "centwise.octets": done.octets})
    return done


async def _export(connection: asyncpg.Connection, day: date, folder: Path, begin: Callable[[str], None]) -> DayExport | None:
    bounds = [datetime.combine(one, time(), UTC) for one in (day, day + timedelta(days=1))]
    try:
        begin("count")
        # No `async with`: on a connection that is lost its end would raise that it cannot end, and nothing of why.
        snapshot = connection.transaction(isolation="repeatable_read", readonly=True)
        await within(connection, snapshot.start(), seconds=_ANSWER_S)
        expected = await within(connection, connection.fetchval(_COUNT, *bounds), seconds=_COUNT_S)
        # A day before the first one, or past its retention: a file without rows would say that nobody asked for a price.
        if expected == 0 and day not in await within(connection, list_partitions(connection), seconds=_ANSWER_S):
            await within(connection, snapshot.rollback(), seconds=_ANSWER_S)
            return None
        begin("write")
        with draft_of(folder, day) as draft:
            await _write(connection, bounds, draft / FILE)
            # Before the file is read again, which may take longer than the server lets a transaction idle.
            await within(connection, snapshot.rollback(), seconds=_ANSWER_S)
            begin("check")
            return _finish(draft, day, expected)
    except _LOST as error:
        raise ExportFailed(f"{day}: {error}; nothing of it was kept, the next export begins it anew") from error


def _finish(draft: Path, day: date, expected: int) -> DayExport:
    """Compares what was written with what it has to be, and writes the manifest."""
    path = draft / FILE
    written = pq.read_metadata(path).num_rows
    if written != expected:
        raise ExportFailed(f"{day}: {written} rows were written, the database has {expected}")
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    done = DayExport(day.isoformat(), written, path.stat().st_size, sha256)
    (draft / MANIFEST).write_text(json.dumps(done._asdict()) + "\n", "utf-8")
    return done


async def _write(connection: asyncpg.Connection, bounds: Sequence[datetime], path: Path) -> None:
    with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
        cursor = await within(connection, connection.cursor(_ROWS, *bounds), seconds=_ANSWER_S)
        count = _FIRST_ROWS
        while rows := await within(connection, cursor.fetch(count), seconds=_ANSWER_S):
            writer.write_batch(pa.RecordBatch.from_pylist(list(_typed(rows)), schema=SCHEMA))
            octets = sum(len(row["request"]) + len(row["reply"]) for row in rows) // len(rows)
            count = max(1, min(_ROWS_AT_ONCE, _OCTETS_AT_ONCE // (octets + 1)))


def _typed(rows: Iterable[asyncpg.Record]) -> Iterable[dict[str, object]]:
    for row in rows:
        yield {**row, "id": str(row["id"]), "request": row["request"].decode(), "reply": row["reply"].decode()}
