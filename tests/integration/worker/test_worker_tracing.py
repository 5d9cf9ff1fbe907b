"""Tracing of the worker: what a collector is told of the rounds of its jobs, and what the log says beside."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from app.db.engine import Database
from tests.collector import Collector, Told, collecting
from tests.processes import Pod, command, environment, free_port

JOBS = ("drift", "upkeep")
NOBODY = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.endpoint)
        yield found


def parts_of(collector: Collector, whole: Told) -> list[Span]:
    """The parts of a round, in the order of time."""
    parts = [told.span for told in collector.told if told.span.parent_span_id == whole.span.span_id]
    return sorted(parts, key=lambda span: span.start_time_unix_nano)


def failures_in(worker: Pod) -> dict[str, str]:
    """The trace of each job whose failure is in the log."""
    lines = [json.loads(line) for line in worker.said.read_text().splitlines() if line.startswith("{") and line.endswith("}")]
    return {line["task"]: line["trace_id"] for line in lines if line.get("event") == "background task failed"}


def test_rounds_are_told_each_as_a_trace_of_its_own(
    fresh_database: Database, tmp_path: Path, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Which requests are told says nothing of rounds.
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    with Pod(tmp_path, does="worker", database_url=fresh_database.url, tracing="true") as worker:
        worker.wait_until_ready()
        assert worker.stop() == 0

    assert collector.paths == {"/v1/traces"}
    assert {(told.service, told.by) for told in collector.told} == {("centwise", "centwise")}
    for job in JOBS:
        [told] = collector.named(f"{job} round")
        assert told.attributes == {"centwise.job": job}
        assert (told.span.parent_span_id, told.span.status.code) == (b"", Status.STATUS_CODE_UNSET)
        connect, work = parts_of(collector, told)
        assert (connect.name, work.name) == ("connect", "work")
        assert connect.end_time_unix_nano <= work.start_time_unix_nano
        assert work.end_time_unix_nano <= told.span.end_time_unix_nano
    assert len({told.span.trace_id for told in collector.told}) == len(JOBS)


def test_a_round_that_fails_is_told_and_logged_with_its_trace(tmp_path: Path, collector: Collector) -> None:
    with Pod(tmp_path, does="worker", database_url=NOBODY, tracing="true") as worker:
        deadline_s = time.monotonic() + 120
        while failures_in(worker).keys() != set(JOBS):
            assert worker.process.poll() is None
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        failed = failures_in(worker)
        assert worker.stop() == 0

    for job in JOBS:
        [told] = [told for told in collector.named(f"{job} round") if told.span.trace_id.hex() == failed[job]]
        assert told.attributes == {"centwise.job": job, "error.type": "DatabaseUnreachable"}
        [connect] = parts_of(collector, told)
        assert connect.name == "connect"
        assert (connect.status.code, told.span.status.code) == (Status.STATUS_CODE_ERROR, Status.STATUS_CODE_ERROR)


def test_another_protocol_than_the_one_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")

    ended = command("worker", env=environment(tmp_path, tracing="true", database_url=NOBODY, port=str(free_port())))

    assert ended.returncode == 2
    assert "centwise: OTEL_EXPORTER_OTLP_PROTOCOL: spans are sent by http/protobuf only" in ended.stderr
