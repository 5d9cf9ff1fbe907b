"""Promise R1: whatever is killed, and whenever, an acknowledged decision is in Postgres exactly once, as it was sent.

The short form runs with the suite; see tests/faults/scale.py. FAULT_KILLS sets the number of kills by itself.
"""

import asyncio
import os
import time
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

import asyncpg

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from tests.faults.cluster import Crash, crash, restart
from tests.faults.examine import ask_again, examine
from tests.faults.fleet import Fleet, open_shop_at
from tests.faults.load import Load
from tests.faults.scale import SEED, scaled

# Beyond this the campaign goes on: python -m tests.faults.campaign.
_KILLS: Final = int(os.environ.get("FAULT_KILLS", "0")) or scaled(10, most=200)
# What a round acknowledged is compared at its end and then forgotten, here and in Postgres, so that a long form fits into memory.
_ROUND_KILLS: Final = 100
_CLIENTS: Final = 16
_CRASHES: Final[tuple[Crash, ...]] = ("postmaster", "everything", "immediate")
# How long a process serves, once it does, before it is killed; far longer and far shorter than a batch takes.
_SERVES_S_MAX: Final = 0.3

_TERMINATE: Final = """
SELECT count(pg_terminate_backend(pid)) FROM (
  SELECT pid FROM pg_stat_activity
  WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND random() < 0.7
) AS chosen
"""


class _Round(NamedTuple):
    killed: int
    terminated: int
    crashed: int
    resent: int
    acknowledged: int
    stored: int


async def test_no_acknowledged_decision_is_lost_or_doubled(server: EmbeddedPostgres, tmp_path: Path) -> None:
    random = Random(SEED)
    rounds: list[_Round] = []
    began_s = time.monotonic()

    async with Fleet(tmp_path, database_url=server.url) as fleet:
        await open_shop_at(fleet.ports()[0])
        while (left := _KILLS - sum(each.killed for each in rounds)) > 0:
            rounds.append(await _round(server, fleet, random, kills=min(left, _ROUND_KILLS)))
            await _forget(server.url)

    total = _Round(*map(sum, zip(*rounds, strict=True)))
    print(
        f"figure: R1: {total.killed} kills, {total.terminated} connections ended, {total.crashed} crashes of the cluster,"
        f" {total.resent} sent again, {total.acknowledged} acknowledged, {total.stored} stored, 0 lost, 0 doubled, 0 altered,"
        f" seed {SEED}, {time.monotonic() - began_s:.0f} s"
    )
    assert fleet.errors == []


async def _round(server: EmbeddedPostgres, fleet: Fleet, random: Random, *, kills: int) -> _Round:
    """Load and kills, and at the end what was acknowledged against what is stored."""
    killed = terminated = crashed = 0
    load = Load(fleet.ports, clients=_CLIENTS, seed=random.getrandbits(32))
    try:
        while killed < kills:
            await load.wait_for(1)
            await asyncio.sleep(random.uniform(0, _SERVES_S_MAX))
            await fleet.kill()
            killed += 1
            if killed % 4 == 2:
                await load.wait_for(1)
                await asyncio.sleep(random.uniform(0, 0.05))
                terminated += await _terminate_backends(server.url)
            # Twice in the short form, some three times in a hundred kills of the long one.
            if killed in (kills // 3, 2 * kills // 3) or killed % 35 == 0:
                await load.wait_for(1)
                await asyncio.sleep(random.uniform(0, 0.05))
                await asyncio.to_thread(crash, server, random.choice(_CRASHES))
                crashed += 1
                await asyncio.to_thread(restart, server)
        await load.wait_for(1)
        await load.stop()
    finally:
        await load.abandon()
    await ask_again(fleet.ports()[0], load)
    found = await examine(server.url, load.acknowledged)
    assert found.is_kept, (found, SEED)
    assert load.problems == []
    return _Round(killed, terminated, crashed, load.resent, len(load.acknowledged), found.stored)


async def test_rolling_restarts_lose_nothing_and_end_well(server: EmbeddedPostgres, tmp_path: Path) -> None:
    statuses = []
    async with Fleet(tmp_path, database_url=server.url) as fleet:
        await open_shop_at(fleet.ports()[0])
        load = Load(fleet.ports, clients=_CLIENTS, seed=SEED)
        try:
            for _ in range(3):
                await load.wait_for(50)
                statuses.append(await fleet.roll())
            await load.stop()
        finally:
            await load.abandon()
    found = await examine(server.url, load.acknowledged)

    print(
        f"figure: R10: 3 rolling restarts: {load.resent} sent again, {len(load.acknowledged)} acknowledged, {found.lost} lost, seed {SEED}"
    )
    assert statuses == [0, 0, 0]
    assert found.is_kept, found
    assert load.problems == []
    assert fleet.errors == []


async def _terminate_backends(url: str) -> int:
    """End a random part of the service's connections, in whatever they are doing."""
    connection: asyncpg.Connection = await Database(url).connect()
    try:
        return int(await connection.fetchval(_TERMINATE))
    finally:
        await connection.close()


async def _forget(url: str) -> None:
    connection: asyncpg.Connection = await Database(url).connect()
    try:
        await connection.execute("TRUNCATE decisions, decision_keys, idempotency")
    finally:
        await connection.close()
