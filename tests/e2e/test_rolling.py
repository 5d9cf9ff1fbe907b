"""Promise R10: processes are replaced one after another under load, and no request fails."""

import asyncio
import json
import signal
import time
import uuid
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import asyncpg
import pytest

from app.db.engine import Database
from tests.e2e.balancer import Balancer, Failed
from tests.e2e.conftest import StartPod
from tests.e2e.shop import open_shop
from tests.processes import Pod

_CLIENTS: Final = 12
_SEED: Final = 4
_SHUTDOWN_S: Final = 10
# As slow as balancers are that ask every few seconds, compared with how long our processes drain here.
_NOTICES_S: Final = 0.4
_DRAIN_S: Final = 1.5


class Rolled(NamedTuple):
    """What came of a restart of all processes."""

    answered: dict[uuid.UUID, int]  # the port that answered, by the id of the quote
    failures: list[str]
    statuses: list[int]  # of the processes that ended
    ended_s: list[float]


async def roll(pods: list[Pod], start: "Starts") -> Rolled:
    """Replace each of the pods while clients send quotes with ids of their own, each exactly once."""
    balancer = Balancer([pod.port for pod in pods], every_s=_NOTICES_S)
    rolled = Rolled({}, [], [], [])
    is_over = asyncio.Event()
    clients = [asyncio.create_task(_shop(balancer, rolled, is_over, Random(f"{_SEED}/{n}"))) for n in range(_CLIENTS)]
    try:
        await balancer.wait_until_ready(*(pod.port for pod in pods))
        for number, old in enumerate(pods):
            new = await asyncio.to_thread(start, f"new-{number}")
            balancer.add(new.port)
            await balancer.wait_until_ready(new.port)
            began_s = time.monotonic()
            old.process.send_signal(signal.SIGTERM)
            rolled.statuses.append(await asyncio.to_thread(old.process.wait, 40))
            rolled.ended_s.append(time.monotonic() - began_s)
    finally:
        is_over.set()
        await asyncio.gather(*clients)
        await balancer.stop()
    return rolled


async def _shop(balancer: Balancer, rolled: Rolled, is_over: asyncio.Event, random: Random) -> None:
    while not is_over.is_set():
        key = uuid.UUID(int=random.getrandbits(128), version=4)
        body = json.dumps({"currency": "USD", "lines": [{"sku": "SKU-1", "quantity": random.randint(1, 9)}]}).encode()
        head = f"POST /v1/quotes HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nIdempotency-Key: {key}\r\n"
        try:
            port, answer = await balancer.exchange(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        except Failed as failed:
            if "nobody is ready" not in str(failed) or rolled.answered:
                rolled.failures.append(str(failed))
        else:
            if answer.status == 201:
                rolled.answered[key] = port
            else:
                rolled.failures.append(f"{answer.status} {answer.body[:200]!r}")
        await asyncio.sleep(random.random() * 0.02)


class Starts:
    """Starts pods of one shop, with the time that they drain for."""

    def __init__(self, start_pod: StartPod, folder: Path, database: Database, *, drain_s: float) -> None:
        self._start_pod = start_pod
        self._folder = folder
        self._given = {
            "database_url": database.url,
            "signing_keys": "k1:" + "s" * 32,
            "drain_seconds": str(drain_s),
            "shutdown_seconds": str(_SHUTDOWN_S),
        }

    def __call__(self, name: str) -> Pod:
        return self._start_pod(self._folder / name, **self._given).wait_until_ready()


async def stored(database: Database) -> set[uuid.UUID]:
    connection: asyncpg.Connection = await database.connect()
    try:
        return {row["id"] for row in await connection.fetch("SELECT id FROM decisions")}
    finally:
        await connection.close()


async def test_a_rolling_restart_fails_no_request(fresh_database: Database, tmp_path: Path, start_pod: StartPod) -> None:
    start = Starts(start_pod, tmp_path, fresh_database, drain_s=_DRAIN_S)
    pods = [await asyncio.to_thread(start, name) for name in ("a", "b")]
    open_shop(pods[0].client)

    rolled = await roll(pods, start)

    print(
        f"figure: {len(rolled.answered)} quotes while 2 processes were replaced, {len(rolled.failures)} failed; "
        f"they ended {max(rolled.ended_s):.1f} s after SIGTERM at most; seed {_SEED}"
    )
    assert rolled.failures == []
    assert rolled.statuses == [0, 0]
    assert max(rolled.ended_s) < _SHUTDOWN_S
    assert len(set(rolled.answered.values())) >= 3
    assert set(rolled.answered) <= await stored(fresh_database)


async def test_planted_defect_processes_that_close_their_door_at_once_fail_requests(
    fresh_database: Database, tmp_path: Path, start_pod: StartPod
) -> None:
    start = Starts(start_pod, tmp_path, fresh_database, drain_s=0)
    pods = [await asyncio.to_thread(start, name) for name in ("a", "b")]
    open_shop(pods[0].client)

    rolled = await roll(pods, start)

    print(f"figure: without draining {len(rolled.failures)} of {len(rolled.answered)} requests failed; seed {_SEED}")
    assert rolled.failures != []


async def test_a_process_that_leaves_says_so_at_once_and_tells_everybody_to_go(
    fresh_database: Database, tmp_path: Path, start_pod: StartPod
) -> None:
    start = Starts(start_pod, tmp_path, fresh_database, drain_s=5)
    pod = await asyncio.to_thread(start, "a")
    kept = pod.client
    assert "connection" not in kept.get("/livez").headers

    pod.process.send_signal(signal.SIGTERM)
    began_s = time.monotonic()
    while (reply := kept.get("/readyz")).status_code == 200:
        assert time.monotonic() - began_s < 1
    alive = kept.get("/livez")
    pod.process.send_signal(signal.SIGINT)  # a person who does not want to wait
    status = await asyncio.to_thread(pod.process.wait, 4)

    assert (reply.status_code, reply.json()["status"]) == (503, "stopping")
    assert reply.headers["connection"] == "close"
    assert (alive.status_code, alive.headers["connection"]) == (200, "close")
    assert status == 0


@pytest.mark.parametrize("value", ["10", "11"])
def test_a_drain_that_leaves_no_time_to_finish_is_refused(value: str, tmp_path: Path) -> None:
    from tests.processes import command, environment

    ended = command("serve", env=environment(tmp_path, drain_seconds=value, shutdown_seconds="10"))

    assert ended.returncode == 2
    assert "PRICING_DRAIN_SECONDS has to be less than PRICING_SHUTDOWN_SECONDS" in ended.stderr
