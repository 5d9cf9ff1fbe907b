"""Promise R4 over HTTP: frozen, unreachable or gone, the database keeps nobody waiting, and recovers without our doing.

Binding quotes are refused with 503 and Retry-After within 1.5 s, previews go on, and so does everything that needs no database.
"""

import asyncio
import json
import time
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

from app.db.embedded import EmbeddedPostgres
from tests.e2e.shop import basket
from tests.faults.cluster import freeze, thaw
from tests.faults.examine import examine
from tests.faults.fleet import open_shop_at
from tests.faults.forks import start
from tests.faults.load import Load
from tests.faults.proxy import Proxy
from tests.faults.wire import Answer, Wire

_PROMISED_S: Final = 1.5
_SILENT_S: Final = 3.0
_RECOVERS_S: Final = 2.0
_BASKET: Final = json.dumps(basket(("SKU-1", 12))).encode()
_PRODUCT: Final = json.dumps({"name": "Umbrella"}).encode()


class _Request(NamedTuple):
    method: str
    path: str
    body: bytes
    expected: int


async def test_a_silent_database_keeps_nobody_waiting(server: EmbeddedPostgres, tmp_path: Path) -> None:
    async with Proxy(urlsplit(server.url).port or 0) as proxy:
        silences: list[tuple[str, Callable[[], Awaitable[None]], Callable[[], Awaitable[None]]]] = [
            ("frozen", _later(lambda: freeze(server)), _later(lambda: thaw(server))),
            ("unreachable", _later(proxy.stall), _later(proxy.flow)),
            ("gone", proxy.refuse, proxy.accept),
        ]
        pod = await start(tmp_path, database_url=_through(server.url, proxy.port))
        await open_shop_at(pod.port)
        load = Load(lambda: [pod.port], clients=4, seed=1)
        for name, silence, end in silences:
            await load.wait_for(20)
            known = next(iter(load.acknowledged))
            await silence()
            slowest_s, answers = await _ask_all(pod.port, known)
            await end()
            ended_s = time.monotonic()
            await load.wait_for(20)
            recovered_s = time.monotonic() - ended_s
            print(
                f"figure: R4: {name}: {answers} requests, the slowest answered after {slowest_s:.3f} s; back after {recovered_s:.3f} s, seed 1"
            )
            assert slowest_s < _PROMISED_S
            assert recovered_s < _RECOVERS_S
        await load.stop()
        await asyncio.to_thread(pod.stop)

    assert (await examine(server.url, load.acknowledged)).is_kept
    assert load.problems == []


async def test_a_service_that_keeps_its_callers_waiting_is_found(server: EmbeddedPostgres, tmp_path: Path) -> None:
    pod = await start(tmp_path, database_url=server.url, flush_seconds="4")
    await open_shop_at(pod.port)
    async with Wire(pod.port) as wire:
        known = uuid.UUID(json.loads((await wire.exchange("POST", "/v1/quotes", _BASKET)).body)["id"])
    freeze(server)
    slowest_s, answers = await _ask_all(pod.port, known)
    thaw(server)
    await asyncio.to_thread(pod.kill)

    print(f"figure: R4 planted: four seconds for a flush: the slowest of {answers} answered after {slowest_s:.3f} s, seed none")
    assert slowest_s > _PROMISED_S


async def test_a_commit_whose_answer_is_lost_is_not_made_twice(server: EmbeddedPostgres, tmp_path: Path) -> None:
    async with Proxy(urlsplit(server.url).port or 0) as proxy:
        pod = await start(tmp_path, database_url=_through(server.url, proxy.port))
        await open_shop_at(pod.port)
        load = Load(lambda: [pod.port], clients=8, seed=2)
        cuts = 0
        for pause_s in (0.0, 0.002, 0.005, 0.01, 0.02, 0.05) * 4:
            await load.wait_for(10)
            proxy.deafen()
            await asyncio.sleep(pause_s)
            proxy.cut()
            cuts += 1
        await load.stop()
        await asyncio.to_thread(pod.stop)
    found = await examine(server.url, load.acknowledged)

    print(
        f"figure: R1: {cuts} cuts behind the commit: {len(load.acknowledged)} acknowledged, {found.lost} lost, {found.doubled} doubled, seed 2"
    )
    assert found.is_kept, found
    assert load.problems == []


async def _ask_all(port: int, known: uuid.UUID) -> tuple[float, int]:
    """Send one of everything, ten times a second, for as long as the silence lasts; gives the longest wait and the number of answers."""
    requests = (
        _Request("POST", "/v1/quotes", _BASKET, 503),
        _Request("POST", "/v1/quotes/batch", b'{"quotes":[' + _BASKET + b"]}", 503),
        _Request("POST", "/v1/preview", _BASKET, 200),
        _Request("POST", "/v1/prices", b'{"currency":"USD","skus":["SKU-1"]}', 200),
        _Request("GET", f"/v1/quotes/{known}", b"", 503),
        _Request("GET", "/v1/decisions?limit=1", b"", 503),
        _Request("POST", f"/v1/decisions/{known}/replay", b"", 503),
        _Request("GET", "/v1/products/SKU-1", b"", 503),
        _Request("PUT", "/v1/products/SKU-3", _PRODUCT, 503),
        _Request("PUT", "/v1/products/SKU-3?publish=now", _PRODUCT, 503),
        _Request("GET", "/readyz", b"", 200),
        _Request("GET", "/livez", b"", 200),
        _Request("GET", "/metrics", b"", 200),
    )
    sent = []
    ends_s = time.monotonic() + _SILENT_S
    while time.monotonic() < ends_s:
        sent += [asyncio.create_task(_ask(port, request)) for request in requests]
        await asyncio.sleep(0.1)
    return max([await each for each in sent]), len(sent)


async def _ask(port: int, request: _Request) -> float:
    began_s = time.monotonic()
    async with Wire(port) as wire:
        answer: Answer = await wire.exchange(request.method, request.path, request.body)
    took_s = time.monotonic() - began_s
    assert answer.status == request.expected, (request.method, request.path, answer)
    assert answer.status != 503 or answer.headers["retry-after"] == "1"
    return took_s


def _later(work: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    async def worked() -> None:
        work()

    return worked


def _through(url: str, port: int) -> str:
    """The same database by way of a port of this machine."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}"))
