"""Promise R1: whatever is killed, and whenever, an acknowledged decision is in Postgres exactly once, as it was sent.

The short form runs with the suite. `make faults` sets FAULT_KILLS to 1000; FAULT_SEED repeats a run's choices.
"""

import asyncio
import os
import time
from pathlib import Path
from random import Random, SystemRandom
from typing import Final

import asyncpg

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from tests.faults.cluster import Crash, crash, restart
from tests.faults.examine import ask_again, examine
from tests.faults.fleet import Fleet, open_shop_at
from tests.faults.load import Load

_KILLS: Final = int(os.environ.get("FAULT_KILLS", "10"))
_SEED: Final = int(os.environ.get("FAULT_SEED", str(SystemRandom().getrandbits(32))))
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


async def test_no_acknowledged_decision_is_lost_or_doubled(server: EmbeddedPostgres, tmp_path: Path) -> None:
    random = Random(_SEED)
    killed = terminated = 0
    crashes: list[Crash] = []
    began_s = time.monotonic()

    async with Fleet(tmp_path, database_url=server.url) as fleet:
        await open_shop_at(fleet.ports()[0])
        load = Load(fleet.ports, clients=_CLIENTS, seed=_SEED)
        try:
            while killed < _KILLS:
                await load.wait_for(1)
                await asyncio.sleep(random.uniform(0, _SERVES_S_MAX))
                await fleet.kill()
                killed += 1
                if killed % 4 == 2:
                    await load.wait_for(1)
                    await asyncio.sleep(random.uniform(0, 0.05))
                    terminated += await _terminate_backends(server.url)
                # Twice in the short form, some thirty times in the long one.
                if killed in (_KILLS // 3, 2 * _KILLS // 3) or killed % 35 == 0:
                    await load.wait_for(1)
                    await asyncio.sleep(random.uniform(0, 0.05))
                    crashes.append(random.choice(_CRASHES))
                    await asyncio.to_thread(crash, server, crashes[-1])
                    await asyncio.to_thread(restart, server)
            await load.wait_for(1)
            await load.stop()
        finally:
            await load.abandon()
        await ask_again(fleet.ports()[0], load)
    found = await examine(server.url, load.acknowledged)

    print(
        f"figure: {killed} kills, {terminated} connections ended, {len(crashes)} crashes of the cluster, {load.resent} sent again,"
        f" {len(load.acknowledged)} acknowledged, {found.stored} stored, {found.lost} lost, {found.doubled} doubled,"
        f" {found.altered} altered, seed {_SEED}, {time.monotonic() - began_s:.0f} s"
    )
    assert found.is_kept, found
    assert load.problems == []
    assert fleet.errors == []


async def test_rolling_restarts_lose_nothing_and_end_well(server: EmbeddedPostgres, tmp_path: Path) -> None:
    statuses = []
    async with Fleet(tmp_path, database_url=server.url) as fleet:
        await open_shop_at(fleet.ports()[0])
        load = Load(fleet.ports, clients=_CLIENTS, seed=_SEED)
        try:
            for _ in range(3):
                await load.wait_for(50)
                statuses.append(await fleet.roll())
            await load.stop()
        finally:
            await load.abandon()
    found = await examine(server.url, load.acknowledged)

    print(
        f"figure: 3 rolling restarts: {load.resent} sent again, {len(load.acknowledged)} acknowledged, {found.lost} lost, seed {_SEED}"
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
