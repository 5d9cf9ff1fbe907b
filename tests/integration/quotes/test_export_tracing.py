"""What a collector is told of an export: each day a trace of its own."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from app.db.engine import Database
from tests.collector import Collector, collecting
from tests.decisions_support import store_days
from tests.processes import command, environment

FIRST, LAST = date(2026, 3, 4), date(2026, 3, 5)


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.endpoint)
        yield found


async def test_each_day_is_told_with_its_parts_and_what_came_of_it(
    fresh_database: Database, tmp_path: Path, collector: Collector
) -> None:
    await store_days(fresh_database, FIRST, LAST, count=3)
    out = tmp_path / "out"
    (out / f"day={LAST}").mkdir(parents=True)

    ended = command(
        *("export-decisions", "--from", str(FIRST), "--to", str(LAST), "--out", str(out)),
        env=environment(tmp_path, tracing="true", database_url=fresh_database.url),
    )

    # The other one is there, and is not looked into.
    assert ended.returncode == 2
    [told] = collector.named("export round")
    octets = (out / f"day={FIRST}" / "decisions.parquet").stat().st_size
    assert told.attributes == {
        "centwise.job": "export",
        "centwise.day": str(FIRST),
        "centwise.decisions": 3,
        "centwise.octets": octets,
    }
    assert told.span.status.code == Status.STATUS_CODE_UNSET
    parts = [each.span for each in collector.told if each.span.parent_span_id == told.span.span_id]
    assert [part.name for part in sorted(parts, key=lambda part: part.start_time_unix_nano)] == ["count", "write", "check"]


async def test_a_day_that_cannot_be_written_is_told_as_failed(
    fresh_database: Database, tmp_path: Path, collector: Collector
) -> None:
    await store_days(fresh_database, FIRST, count=3)
    connection = await fresh_database.connect()
    # What a decision cannot be is what no reader of it understands.
    await connection.execute("UPDATE decisions SET reply = '\\xff'")
    await connection.close()

    ended = command(
        *("export-decisions", "--from", str(FIRST), "--to", str(FIRST), "--out", str(tmp_path / "out")),
        env=environment(tmp_path, tracing="true", database_url=fresh_database.url),
    )

    assert ended.returncode != 0
    [told] = collector.named("export round")
    assert told.attributes["error.type"] == "UnicodeDecodeError"
    assert told.span.status.code == Status.STATUS_CODE_ERROR
