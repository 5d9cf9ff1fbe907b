"""Promises R2 and R3: no meter is ever passed, a sold-out one is filled to the last unit, nobody is told "sold out" falsely, replies repeat.

The short form runs with the suite. FAULT_HOLDS, or FAULT_SCALE for all tests of faults, sets how many requests are answered in the
long form; FAULT_SEED repeats a run's choices.
"""

import asyncio
import os
import time
from pathlib import Path
from random import Random
from typing import Final

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from tests.faults.cluster import Crash, crash, restart
from tests.faults.fleet import Fleet
from tests.faults.history import Findings, check
from tests.faults.holds_house import serve_holds, serve_holds_unlocked
from tests.faults.holds_load import HoldsLoad
from tests.faults.meters import count_drift, fill, stored_holds
from tests.faults.scale import SEED, scaled

# What was told is kept in memory until it is checked. Beyond this the campaign goes on, round by round: python -m tests.faults.campaign.
_ANSWERS: Final = int(os.environ.get("FAULT_HOLDS", str(scaled(4_000, most=100_000))))
_CLIENTS: Final = 48
_ANSWERS_A_KILL: Final = 600
_CRASHES: Final[tuple[Crash, ...]] = ("postmaster", "everything", "immediate")
_CAPS: Final = {f"promotions/hot-{number}/uses": cap for number, cap in enumerate((3, 10, 40, 200))}
_TERMINATE: Final = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND random() < 0.7
"""


async def test_meters_hold_whatever_is_killed(server: EmbeddedPostgres, tmp_path: Path) -> None:
    random = Random(SEED)
    kills = terminated = 0
    crashes: list[Crash] = []
    began_s = time.monotonic()

    async with Fleet(tmp_path, program=serve_holds, database_url=server.url) as fleet:
        load = HoldsLoad(fleet.ports, _CAPS, clients=_CLIENTS, seed=SEED)
        try:
            while len(load.sent) < _ANSWERS:
                await load.wait_for(random.randint(1, 2 * _ANSWERS_A_KILL))
                await fleet.kill()
                kills += 1
                if kills % 2 == 0:
                    await load.wait_for(random.randint(1, 100))
                    terminated += await _terminate(server.url)
                if kills == 3 or kills % 35 == 0:
                    await load.wait_for(random.randint(1, 100))
                    crashes.append(random.choice(_CRASHES))
                    await asyncio.to_thread(crash, server, crashes[-1])
                    await asyncio.to_thread(restart, server)
            await load.stop()
        finally:
            await load.abandon()
        filled = await fill(fleet.ports()[0], _CAPS)
    found = check(load.sent, await stored_holds(server.url), _CAPS)
    drift = await count_drift(server.url)

    refused = sum(event.said == "limit_reached" for event in load.sent)
    done = (
        f"{len(load.sent)} requests for holds answered over {kills} kills, {terminated} ended connections and {len(crashes)} crashes"
        f" of the cluster, {load.unanswered} sent again"
    )
    print(
        f"figure: R2: {done}: {len(found.above_cap)} above a cap at any time, {len(found.false_refusals)} of {refused} refused falsely,"
        f" {drift} meters adrift, {len(_CAPS)} filled to the last unit, seed {SEED}, {time.monotonic() - began_s:.0f} s"
    )
    print(f"figure: R3: {done}: {len(found.different_replies)} told differently, {len(found.not_stored)} not stored, seed {SEED}")
    assert found.is_kept, found
    assert drift == 0
    assert filled == _CAPS
    assert load.problems == []
    assert refused > 0.05 * len(load.sent)


async def test_a_lane_that_checks_and_then_acts_is_found(server: EmbeddedPostgres, tmp_path: Path) -> None:
    async with Fleet(tmp_path, program=serve_holds_unlocked, database_url=server.url) as fleet:
        load = HoldsLoad(fleet.ports, _CAPS, clients=_CLIENTS, seed=SEED)
        found, drift = Findings([], [], [], []), 0
        while found.is_kept and len(load.sent) < 8_000:
            await load.wait_for(300)
            found, drift = check(list(load.sent), await stored_holds(server.url), _CAPS), await count_drift(server.url)
        await load.abandon()

    print(f"figure: R2 planted: check-then-act: {found}, {drift} meters adrift after {len(load.sent)} answers, seed {SEED}")
    assert not found.is_kept


async def _terminate(url: str) -> int:
    """End a random part of the connections, in whatever they are doing."""
    connection = await Database(url).connect()
    try:
        return int(await connection.fetchval(_TERMINATE))
    finally:
        await connection.close()
