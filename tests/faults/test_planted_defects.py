"""The tests of promise R1 find what they are there to find: two ways to break it are planted here, and both must show as losses."""

import asyncio
from pathlib import Path
from typing import Final

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from tests.faults.cluster import crash, restart
from tests.faults.conftest import StartServer
from tests.faults.examine import Examined, examine
from tests.faults.fleet import Fleet, open_shop_at
from tests.faults.forks import Fork, start
from tests.faults.hasty import serve_hastily
from tests.faults.load import Load
from tests.faults.scale import SEED
from tests.faults.wire import Answer, Wire

_ROUNDS_MAX: Final = 8
_BASKET: Final = b'{"currency":"USD","lines":[{"sku":"SKU-1","quantity":1}]}'


async def test_a_server_that_forgets_its_last_commits_is_found(start_server: StartServer, tmp_path: Path) -> None:
    server = await asyncio.to_thread(start_server, synchronous_commit="off")
    rounds = 0
    found = Examined(0, 0, 0, 0, 0)

    pod = await start(tmp_path, database_url=server.url, durability="relaxed")
    await open_shop_at(pod.port)
    # What was acknowledged before a crash is looked for after it, and before anybody could send it again.
    while found.lost == 0 and rounds < _ROUNDS_MAX:
        rounds += 1
        load = Load(lambda: [pod.port], clients=8, seed=SEED + rounds)
        await load.wait_for(100)
        crash(server, "everything")
        await load.abandon()
        await asyncio.to_thread(restart, server)
        found = await examine(server.url, load.acknowledged)
        count = len(load.acknowledged)
    await asyncio.to_thread(pod.kill)

    print(f"figure: R1 planted: synchronous_commit=off: {found.lost} of {count} lost in crash {rounds}, seed {SEED}")
    assert found.lost > 0


async def test_a_service_that_answers_before_it_stores_is_found(server: EmbeddedPostgres, tmp_path: Path) -> None:
    pod = await start(tmp_path, database_url=server.url)
    await open_shop_at(pod.port)
    await asyncio.to_thread(pod.kill)
    kills = 0
    found = Examined(0, 0, 0, 0, 0)

    async with Fleet(tmp_path, database_url=server.url, program=serve_hastily) as fleet:
        load = Load(fleet.ports, clients=16, seed=SEED)
        while found.lost == 0 and kills < _ROUNDS_MAX:
            await load.wait_for(50)
            await fleet.kill()
            kills += 1
            known = dict(load.acknowledged)
            # What is under way now is not waited for: only what was acknowledged by the process that was killed is missed.
            await load.wait_for(50)
            found = await examine(server.url, known)
        await load.abandon()

    print(f"figure: R1 planted: answer before the commit: {found.lost} of {len(known)} lost after {kills} kills, seed {SEED}")
    assert found.lost > 0


async def test_the_service_promises_nothing_on_a_server_that_may_forget(start_server: StartServer, tmp_path: Path) -> None:
    server = await asyncio.to_thread(start_server, synchronous_commit="off")

    strict = await asyncio.to_thread(Fork, tmp_path, database_url=server.url)
    status = await asyncio.to_thread(strict.wait_for_end)

    said = strict.said.read_text()
    assert status == 2
    assert said.startswith("centwise: the server may lose acknowledged decisions: synchronous_commit is off")
    assert said.count("\n") == 1


async def test_a_server_that_begins_to_forget_is_promised_nothing_more(server: EmbeddedPostgres, tmp_path: Path) -> None:
    pod = await start(tmp_path, database_url=server.url)
    await open_shop_at(pod.port)
    connection = await Database(server.url).connect()
    async with Wire(pod.port) as wire:
        before = await wire.exchange("POST", "/v1/quotes", _BASKET)
        await connection.execute("ALTER DATABASE centwise SET synchronous_commit = off")
        # A session keeps what it has, and the service holds it to that; the next one would begin without.
        still = await wire.exchange("POST", "/v1/quotes", _BASKET)
        await connection.fetch("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'centwise lane'")
        refused = await wire.exchange("POST", "/v1/quotes", _BASKET)
        preview = await wire.exchange("POST", "/v1/preview", _BASKET)
        await connection.execute("ALTER DATABASE centwise RESET synchronous_commit")
        again = await _answered(wire)
    await connection.close()
    await asyncio.to_thread(pod.stop)

    assert [answer.status for answer in (before, still, refused, preview, again)] == [201, 201, 503, 200, 201]
    assert refused.headers["retry-after"] == "1"


async def _answered(wire: Wire) -> Answer:
    """Send a quote until it is answered: a service whose database was away comes back within two seconds."""
    async with asyncio.timeout(2):
        while (answer := await wire.exchange("POST", "/v1/quotes", _BASKET)).status == 503:
            await asyncio.sleep(0.02)
    return answer
