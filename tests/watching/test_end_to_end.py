"""A real Prometheus and a real Alertmanager watch a real service: panels have data, and an alert goes all the way and is taken back."""

import asyncio
import contextlib
import json
import re
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest
import yaml

from app.db.engine import Database
from helm.dashboards.__main__ import expression
from helm.dashboards.boards import BOARDS
from tests.faults.proxy import Proxy
from tests.processes import Pod, free_port
from tests.quotes_support import basket
from tests.tools import tool
from tests.watching.pages import queries
from tests.watching.test_rules import RULES, RUNBOOKS

_SECONDS_MAX: Final = 120.0
# Nothing is wrong while the panels are looked at, nobody holds, and no worker runs.
_EMPTY: Final = frozenset({"Problems", "Meters adrift", "Holds"})
# The same of the queries of runbooks; what the first one names is an example.
_WITHOUT_RESULT: Final = frozenset(
    {
        'pricing_book_version{namespace="shops",job="centwise"}',
        "sum by (problem) (rate(pricing_request_errors_total[5m]))",
        "pricing_meter_drift_checked_seconds",
    }
)


class Inbox:
    """What Alertmanager delivers, by name of the alert: the statuses in the order in which they came, and the last annotations."""

    def __init__(self) -> None:
        self.statuses: dict[str, list[str]] = {}
        self.annotations: dict[str, Mapping[str, str]] = {}
        inbox = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for alert in content["alerts"]:
                    name = alert["labels"]["alertname"]
                    inbox.statuses.setdefault(name, []).append(alert["status"])
                    inbox.annotations[name] = alert["annotations"]
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as the library names it
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @contextlib.contextmanager
    def open(self) -> Iterator[str]:
        thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{self.server.server_port}/"
        finally:
            self.server.shutdown()
            self.server.server_close()
            thread.join()


@contextlib.contextmanager
def running(program: str, *arguments: str, log: Path) -> Iterator[None]:
    with log.open("wb") as said:
        process = subprocess.Popen([program, *arguments], stdout=said, stderr=said)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


@contextlib.asynccontextmanager
async def watchers(folder: Path, *, target: str, webhook: str) -> AsyncIterator[httpx.Client]:
    """Alertmanager and Prometheus, which looks each second; a client of the latter once it answers. The rules are the chart's, unaltered."""
    manager, prometheus = free_port(), free_port()
    (folder / "alertmanager.yml").write_text(
        yaml.safe_dump(
            {
                "route": {"receiver": "inbox", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s"},
                "receivers": [{"name": "inbox", "webhook_configs": [{"url": webhook, "send_resolved": True}]}],
            }
        )
    )
    (folder / "prometheus.yml").write_text(
        yaml.safe_dump(
            {
                "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
                "rule_files": [str(RULES)],
                "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{manager}"]}]}]},
                "scrape_configs": [{"job_name": "centwise", "static_configs": [{"targets": [target]}]}],
            }
        )
    )
    of_manager = (
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{manager}",
        "--cluster.listen-address=",
    )
    of_prometheus = (
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{prometheus}",
    )
    with (
        running(tool("prometheus-alertmanager"), *of_manager, log=folder / "alertmanager.log"),
        running(tool("prometheus"), *of_prometheus, log=folder / "prometheus.log"),
        httpx.Client(base_url=f"http://127.0.0.1:{prometheus}") as client,
    ):
        await until(lambda: client.get("/-/ready").status_code == 200)
        yield client


async def until(fact: Callable[[], Any]) -> Any:
    began_s = time.monotonic()
    while True:
        with contextlib.suppress(httpx.TransportError):
            if found := await asyncio.to_thread(fact):
                return found
        assert time.monotonic() - began_s < _SECONDS_MAX
        await asyncio.sleep(0.1)


def query(prometheus: httpx.Client, text: str) -> list[Any]:
    """The result of an expression. A refusal says why."""
    reply = prometheus.get("/api/v1/query", params={"query": text})
    assert reply.status_code == 200, (text, reply.text)
    result: list[Any] = reply.json()["data"]["result"]
    return result


def open_shop(client: httpx.Client) -> None:
    """A price, what it costs, and what is taken off."""
    ten = {"name": "Ten off", "kind": "percent_off", "params": {"percent": "10"}}
    for path, body in (("prices/SKU-1", {"currency": "USD", "unit_price": "1299"}), ("promotions/ten", ten)):
        assert client.put(f"/v1/{path}", json=body, params={"publish": "now"}).status_code == 201
    cost = {"sku": "SKU-1", "currency": "USD", "unit_cost": "700", "at": "2026-01-01T00:00:00Z"}
    assert client.put("/v1/signals/costs", json=[cost]).is_success


def shop_a_little(client: httpx.Client) -> None:
    """Traffic of several kinds."""
    for _ in range(5):
        assert client.post("/v1/quotes", json=basket(("SKU-1", 2))).status_code == 201
        assert client.post("/v1/preview", json=basket(("SKU-1", 1))).status_code == 200
    time.sleep(0.2)


@pytest.fixture
async def proxy(fresh_database: Database) -> Any:
    async with Proxy(urlsplit(fresh_database.url).port or 0) as between:
        yield between


async def test_what_breaks_is_told_and_what_is_mended_is_taken_back(
    proxy: Proxy, fresh_database: Database, tmp_path: Path
) -> None:
    parts = urlsplit(fresh_database.url)
    through = replace(
        fresh_database, url=urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}"))
    )
    inbox = Inbox()
    with Pod(tmp_path / "data", database_url=through.url) as pod, inbox.open() as webhook:
        await until(lambda: pod.client.get("/livez").status_code == 200)
        await asyncio.to_thread(open_shop, pod.client)
        async with watchers(tmp_path, target=f"127.0.0.1:{pod.port}", webhook=webhook) as prometheus:
            await until(lambda: query(prometheus, "pricing_book_version > 0"))
            for _ in range(8):
                await asyncio.to_thread(shop_a_little, pod.client)
            found = await until(lambda: _with_data(prometheus))
            results = {one: query(prometheus, one.text) for one in queries()}  # none is refused
            families = set(re.findall(r"# TYPE (\w+) ", pod.client.get("/metrics").text))
            quiet = dict(inbox.statuses)

            await proxy.refuse()
            await until(lambda: inbox.statuses.get("DatabaseAway"))
            told = inbox.annotations["DatabaseAway"]
            await proxy.accept()
            await until(lambda: "resolved" in inbox.statuses["DatabaseAway"])

    assert found == {panel.title for board in BOARDS for panel in board.panels} - _EMPTY
    named = {name for text in _expressions() for name in re.findall(r"\bpricing_\w+", text)}
    assert {re.sub(r"_bucket$", "", name) for name in named} - families == {
        "pricing_meter_drift",
        "pricing_meter_drift_checked_seconds",
    }
    # What is recorded is there some time later, and whether an alert has a result is not for this machine to say.
    looks = {one: result for one, result in results.items() if not one.is_over and "centwise:" not in one.text}
    assert {one.text for one, result in looks.items() if not result} == _WITHOUT_RESULT
    assert quiet == {}
    assert inbox.statuses["DatabaseAway"][0] == "firing"
    assert f"127.0.0.1:{pod.port}" in told["summary"]
    assert (RUNBOOKS.parents[1] / told["runbook_url"]).exists()


def _with_data(prometheus: httpx.Client) -> set[str]:
    """The panels all of whose expressions have a result, when they are as many as there should be."""
    panels = [panel for board in BOARDS for panel in board.panels]
    found = {panel.title for panel in panels if all(query(prometheus, _chosen(one.expr)) for one in panel.queries)}
    return found if len(found) + len(_EMPTY) >= len(panels) else set()


def _chosen(text: str) -> str:
    """An expression as Grafana sends it when everything is chosen."""
    return re.sub(r'"\$\w+"', '".*"', expression(text).replace("$__rate_interval", "10s"))


def _expressions() -> Iterator[str]:
    yield from (one.text for one in queries())
    for board in BOARDS:
        for panel in board.panels:
            for one in panel.queries:
                yield one.expr
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["expr"]
