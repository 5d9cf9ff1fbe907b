"""Promise R9: clients that send a byte now and then, stop in the middle, or never read, hurt nobody else and are let go."""

import asyncio
import contextlib
import time
from pathlib import Path
from random import Random
from typing import Final

from app.db.embedded import EmbeddedPostgres
from tests.faults.fleet import open_shop_at
from tests.faults.forks import Fork, start
from tests.faults.load import Load
from tests.faults.scale import SEED, scaled

_SLOW: Final = scaled(150, most=600)
_READ_S: Final = 1.0
# A timer looks in every few seconds, and what is left of a body is waited for once more.
_LET_GO_S: Final = 8.0
_BODY: Final = b'{"currency":"USD","lines":[{"sku":"SKU-1","quantity":1}]}'
_HEAD: Final = (
    b"POST /v1/quotes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(_BODY)
)


async def test_slow_clients_hurt_nobody_and_are_let_go(server: EmbeddedPostgres, tmp_path: Path) -> None:
    pod = await start(tmp_path, database_url=server.url, read_seconds=str(_READ_S))
    await open_shop_at(pod.port)
    load = Load(lambda: [pod.port], clients=4, seed=SEED)
    await load.wait_for(50)
    left, took_s = await _dawdle(pod, _LET_GO_S)
    began_s = time.monotonic()
    await load.wait_for(50)
    served_s = time.monotonic() - began_s
    await load.stop()
    await asyncio.to_thread(pod.stop)

    print(
        f"figure: R9: {_SLOW} slow clients were let go after {took_s:.1f} s at most, {left} stayed; others were answered meanwhile,"
        f" {load.resent} sent again, 50 quotes in {served_s:.2f} s, seed {SEED}"
    )
    assert left == 0
    assert load.resent == 0
    assert load.problems == []


async def test_a_service_that_waits_for_ever_is_found(server: EmbeddedPostgres, tmp_path: Path) -> None:
    pod = await start(tmp_path, database_url=server.url, read_seconds="600")
    await open_shop_at(pod.port)
    left, _ = await _dawdle(pod, 3.0)
    await asyncio.to_thread(pod.kill)

    print(f"figure: R9 planted: ten minutes for a head: {left} of {_SLOW} slow clients stayed, seed {SEED}")
    assert left > 0


async def _dawdle(pod: Fork, most_s: float) -> tuple[int, float]:
    """Be slow in many ways at once; gives how many were not let go in that time, and how long the others stayed."""
    random = Random(SEED)
    stayed = await asyncio.gather(*(_one(pod.port, Random(random.random()), most_s) for _ in range(_SLOW)))
    gone = [each for each in stayed if each is not None]
    return len(stayed) - len(gone), max(gone, default=0.0)


async def _one(port: int, random: Random, most_s: float) -> float | None:
    began_s = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    # A part of the request at once, then a byte from time to time, or nothing any more.
    octets = _HEAD + _BODY
    at = random.randrange(len(octets) - 20)
    pause_s = random.choice((0.2, 0.5, 60.0))
    writer.write(octets[:at])
    reading = asyncio.ensure_future(reader.read(-1))
    try:
        while time.monotonic() - began_s < most_s:
            done, _ = await asyncio.wait({reading}, timeout=min(pause_s, most_s))
            if done:
                reading.exception()
                return time.monotonic() - began_s
            if at < len(octets) - 20:
                with contextlib.suppress(OSError):
                    writer.write(octets[at : at + 1])
                at += 1
        return None
    finally:
        reading.cancel()
        writer.transport.abort()
