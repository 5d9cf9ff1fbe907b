"""Starting while the database is away: previews from the last good book, no promises, and quotes again when it is back."""

import asyncio
import time
from pathlib import Path
from typing import Final

import httpx

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from app.db.migrate import upgrade
from tests.e2e.conftest import StartPod
from tests.e2e.shop import basket, open_shop, quote
from tests.processes import Pod, free_port

_RECOVERS_S: Final = 2.0


def test_a_pod_starts_without_its_database_and_recovers_by_itself(open_folder: Path, tmp_path: Path, start_pod: StartPod) -> None:
    server = EmbeddedPostgres(open_folder / "data", port=free_port())
    with server:
        url = server.url
        asyncio.run(upgrade(Database(url)))
        first = start_pod(tmp_path / "known", database_url=url).wait_until_ready()
        version = open_shop(first.client)
        before = first.client.post("/v1/preview", json=basket(("SKU-1", 12))).json()
        assert first.stop() == 0

    # One that has served before, and one that has not.
    known, fresh = (start_pod(tmp_path / name, database_url=url) for name in ("known", "fresh"))
    known.wait_until_ready()
    preview = known.client.post("/v1/preview", json=basket(("SKU-1", 12)))
    refused = quote(known.client, ("SKU-1", 12))
    report = known.report()
    _wait_until_alive(fresh)
    nothing_yet = [fresh.client.get("/readyz"), fresh.client.post("/v1/preview", json=basket(("SKU-1", 12)))]

    assert (preview.status_code, preview.json()["total"]) == (200, before["total"])
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "1")
    assert (report["status"], report["version"], report["database"]) == ("ready", version, "away")
    assert [reply.status_code for reply in nothing_yet] == [503, 503]

    with server:
        assert server.url == url
        began_s = time.monotonic()
        for pod in (known, fresh):
            answered = _quote_until_answered(pod)
            assert (answered["version"], answered["total"]) == (version, before["total"])
        took_s = time.monotonic() - began_s
        print(f"figure: R4: both pods answered quotes {took_s:.3f} s after the database was back")
        for pod in (known, fresh):
            assert pod.stop() == 0
    assert took_s < _RECOVERS_S


def _wait_until_alive(pod: Pod) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if pod.client.get("/livez").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("not alive")


def _quote_until_answered(pod: Pod) -> dict[str, int]:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        reply = quote(pod.client, ("SKU-1", 12))
        if reply.status_code == 201:
            found: dict[str, int] = reply.json()
            return found
        assert reply.status_code == 503, reply.text
        time.sleep(0.02)
    raise AssertionError("not recovered")
