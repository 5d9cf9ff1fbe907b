"""Tracing: what a collector is told by a service as it is run, what the log says, and that nothing waits for a collector."""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from app.db.engine import Database
from tests.collector import Collector, Told, collecting
from tests.e2e.conftest import StartPod
from tests.e2e.shop import SHOP, basket, open_shop
from tests.processes import Pod, command, environment, free_port

NOBODY = "postgresql://nobody@127.0.0.1:1/none"
TRACES = {name: f"{number:032x}" for number, name in enumerate(("plain", "unusual", "hold", "routed", "put", "show"), start=0xA0)}
PARENT = "00f067aa0ba902b7"


@pytest.fixture
def database(fresh_database: Database) -> Database:
    return fresh_database


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.endpoint)
        yield found


def parent(trace: str, *, is_sampled: bool = True) -> dict[str, str]:
    return {"traceparent": f"00-{TRACES[trace]}-{PARENT}-0{is_sampled:d}"}


def lines_of(pod: Pod) -> list[dict[str, Any]]:
    return [json.loads(line) for line in pod.said.read_text().splitlines() if line.startswith("{")]


def one(collector: Collector, name: str, trace: str) -> Told:
    [found] = [told for told in collector.named(name) if told.span.trace_id.hex() == TRACES[trace]]
    assert found.span.parent_span_id.hex() == PARENT
    assert found.span.kind == Span.SPAN_KIND_SERVER
    return found


def batch_of(collector: Collector, name: str, request: Told) -> tuple[Span, list[Span]]:
    """The batch that is linked to the request, and its parts in the order of time."""
    links = {(request.span.trace_id, request.span.span_id)}
    [batch] = [told.span for told in collector.named(name) if {(x.trace_id, x.span_id) for x in told.span.links} == links]
    parts = [told.span for told in collector.told if told.span.parent_span_id == batch.span_id]
    return batch, sorted(parts, key=lambda span: span.end_time_unix_nano)


def test_requests_of_both_doors_and_their_batches_are_told(
    database: Database, tmp_path: Path, start_pod: StartPod, collector: Collector
) -> None:
    pod = start_pod(tmp_path, database_url=database.url, tracing="true", log_level="info").wait_until_ready()
    open_shop(pod.client)
    body = json.dumps(basket(("SKU-1", 12)))
    plain = {"content-type": "application/json"}
    quoted = pod.client.post("/v1/quotes", content=body, headers=plain | parent("plain"))
    # With a parameter in its media type a request is not plain, and goes the way of ASGI.
    unusual = {"content-type": "application/json; charset=utf-8"}
    again = pod.client.post("/v1/quotes", content=body, headers=unusual | parent("unusual"))
    asked = {"quote": quoted.json()["id"], "order": "o-1"}
    held = pod.client.post("/v1/holds", json=asked, headers=parent("hold") | {"idempotency-key": "h-1"})
    routed = pod.client.post(
        "/v1/holds", content=json.dumps({"quote": again.json()["id"], "order": "o-2"}), headers=unusual | parent("routed")
    )
    path, document = SHOP[0]
    changed = pod.client.put(path, json=document, headers=parent("put"))
    shown = pod.client.get(f"/v1/quotes/{quoted.json()['id']}", headers=parent("show"))
    assert [each.status_code for each in (quoted, again, held, routed, shown)] == [201, 201, 201, 201, 200]
    assert pod.stop() == 0

    # Nothing but ours: not what FastAPI would tell by itself.
    assert collector.paths == {"/v1/traces"}
    assert {(told.service, told.by) for told in collector.told} == {("centwise", "centwise")}
    for reply, trace in ((quoted, "plain"), (again, "unusual")):
        told = one(collector, "POST /v1/quotes", trace)
        assert told.attributes == {
            "http.request.method": "POST",
            "http.route": "/v1/quotes",
            "http.response.status_code": 201,
            "centwise.quote_id": reply.json()["id"],
            "centwise.request_id": reply.headers["x-request-id"],
        }
        batch, parts = batch_of(collector, "quotes batch", told)
        assert [part.name for part in parts] == ["gather", "price", "wait", "store"]
        assert batch.start_time_unix_nano >= told.span.start_time_unix_nano
        assert [part.end_time_unix_nano for part in parts][-1] == batch.end_time_unix_nano

    for reply, trace in ((held, "hold"), (routed, "routed")):
        told = one(collector, "POST /v1/holds", trace)
        assert told.attributes["centwise.hold_id"] == reply.json()["id"]
        _, parts = batch_of(collector, "holds batch", told)
        assert [part.name for part in parts] == ["gather", "wait", "store"]

    assert one(collector, "GET /v1/quotes/{quote_id}", "show").attributes["centwise.quote_id"] == quoted.json()["id"]
    [put] = [told for told in collector.told if told.span.trace_id.hex() == TRACES["put"]]
    assert put.attributes["http.response.status_code"] == changed.status_code
    assert put.span.name == f"PUT {put.attributes['http.route']}"
    [line] = [line for line in lines_of(pod) if line.get("request_id") == changed.headers["x-request-id"]]
    assert line["trace_id"] == TRACES["put"]
    assert not [told for told in collector.told if told.attributes.get("http.route") == "/readyz"]


def test_what_a_parent_left_out_is_left_out_with_its_batch(
    database: Database, tmp_path: Path, start_pod: StartPod, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "prices")
    pod = start_pod(tmp_path, database_url=database.url, tracing="true").wait_until_ready()
    open_shop(pod.client)
    reply = pod.client.post("/v1/quotes", json=basket(("SKU-1", 1)), headers=parent("plain", is_sampled=False))
    assert reply.status_code == 201
    assert pod.stop() == 0

    assert {told.service for told in collector.told} == {"prices"}
    assert collector.named("quotes batch") == collector.named("POST /v1/quotes") == []


def test_a_refusal_of_the_front_table_is_logged_with_its_trace(tmp_path: Path, start_pod: StartPod, collector: Collector) -> None:
    pod = start_pod(tmp_path, database_url=NOBODY, tracing="true")
    reply = None
    deadline_s = time.monotonic() + 60
    while reply is None and time.monotonic() < deadline_s:
        assert pod.process.poll() is None
        try:
            reply = pod.client.post("/v1/quotes", json=basket(("SKU-1", 1)), headers=parent("plain"))
        except httpx.TransportError:
            time.sleep(0.05)
    assert reply is not None
    assert reply.status_code == 503
    assert pod.stop() == 0
    [line] = [line for line in lines_of(pod) if line.get("request_id") == reply.headers["x-request-id"]]
    assert line["trace_id"] == TRACES["plain"]
    assert one(collector, "POST /v1/quotes", "plain").span.status.code == 2


@pytest.mark.parametrize("is_silent", [False, True], ids=["refuses", "silent"])
def test_a_collector_that_is_away_delays_and_loses_no_quote(
    database: Database, tmp_path: Path, start_pod: StartPod, monkeypatch: pytest.MonkeyPatch, is_silent: bool
) -> None:
    with closing(socket.socket()) as silent:
        port = free_port()
        if is_silent:
            silent.bind(("127.0.0.1", 0))
            silent.listen()
            port = silent.getsockname()[1]
        for name, value in {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{port}",
            # So that an export is under way, and the queue is full, all the time.
            "OTEL_BSP_SCHEDULE_DELAY": "20",
            "OTEL_BSP_MAX_QUEUE_SIZE": "16",
            "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "4",
        }.items():
            monkeypatch.setenv(name, value)
        pod = start_pod(tmp_path, database_url=database.url, tracing="true").wait_until_ready()
        open_shop(pod.client)
        took_s = []
        for number in range(200):
            began_s = time.monotonic()
            assert pod.client.post("/v1/quotes", json=basket(("SKU-1", 1 + number))).status_code == 201
            took_s.append(time.monotonic() - began_s)
        # An export waits for ten seconds.
        assert max(took_s) < 5
        began_s = time.monotonic()
        assert pod.stop() == 0
        assert time.monotonic() - began_s < 8


def test_nothing_is_told_when_it_is_off(database: Database, tmp_path: Path, start_pod: StartPod, collector: Collector) -> None:
    pod = start_pod(tmp_path, database_url=database.url).wait_until_ready()
    open_shop(pod.client)
    assert pod.client.post("/v1/quotes", json=basket(("SKU-1", 1)), headers=parent("plain")).status_code == 201
    assert pod.stop() == 0
    assert collector.paths == set()


def test_nothing_of_it_is_imported_when_it_is_off(tmp_path: Path) -> None:
    program = (
        "import sys; from app.cli import create_app, make_server, Settings, Database\n"
        f"settings = Settings.from_environment(); make_server(settings, create_app(settings, database=Database({NOBODY!r}))).config.load()\n"
        "print([name for name in ('opentelemetry.sdk', 'opentelemetry.exporter', 'app.tracing', 'app.web.traced') if name in sys.modules])"
    )
    assert run(program, tmp_path) == (0, "[]\n", "")
    assert run(program, tmp_path, tracing="true")[1].count("'") == 8


def test_without_the_extra_it_cannot_be_switched_on(tmp_path: Path) -> None:
    program = "import sys; sys.modules['opentelemetry.sdk'] = None; from app.cli import main; sys.exit(main(['serve']))"
    status, _, said = run(program, tmp_path, tracing="true", database_url=NOBODY, port=str(free_port()))
    assert status == 2
    assert "centwise: PRICING_TRACING needs the extra `tracing`" in said


def test_another_protocol_than_the_one_there_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    env = environment(tmp_path, tracing="true", database_url=NOBODY, port=str(free_port()))
    ended = command("serve", env=env)
    assert ended.returncode == 2
    assert "centwise: OTEL_EXPORTER_OTLP_PROTOCOL: spans are sent by http/protobuf only" in ended.stderr


def run(program: str, folder: Path, **settings: str) -> tuple[int, str, str]:
    env = environment(folder, **settings)
    ended = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True, timeout=60)
    return ended.returncode, ended.stdout, ended.stderr
