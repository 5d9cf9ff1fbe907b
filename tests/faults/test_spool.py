"""Promise R1 of `durability = spool`: what was answered while the database was away is in Postgres afterwards, once, as it was told."""

import asyncio
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from app.db.embedded import EmbeddedPostgres
from tests.faults.cluster import crash, restart
from tests.faults.examine import Examined, examine
from tests.faults.fleet import Fleet, open_shop_at
from tests.faults.forks import serve, start
from tests.faults.hasty import serve_draining_blindly, serve_spooling_hastily
from tests.faults.load import KeylessLoad
from tests.faults.scale import SEED, scaled

_OUTAGES: Final = scaled(2, most=200)
_KILLS_AN_OUTAGE: Final = 3
_DRAINED_S_MAX: Final = 30.0


class _Lived(NamedTuple):
    found: Examined
    acknowledged: int
    local: int
    killed: int
    drained_s: float


async def test_what_was_spooled_survives_the_process_and_is_stored_once(server: EmbeddedPostgres, tmp_path: Path) -> None:
    lived = await _live(server, tmp_path, serve, outages=_OUTAGES)

    print(
        f"figure: R1: {_OUTAGES} outages with {lived.killed} kills while spooling and draining: {lived.acknowledged} acknowledged,"
        f" {lived.local} of them locally, {lived.found.lost} lost, {lived.found.doubled} doubled, {lived.found.altered} altered,"
        f" drained after {lived.drained_s:.1f} s at most, seed {SEED}"
    )
    assert lived.found.is_kept, lived.found
    assert lived.local > 0


async def test_a_process_that_answers_before_it_has_spooled_is_found(server: EmbeddedPostgres, tmp_path: Path) -> None:
    lived = await _live(server, tmp_path, serve_spooling_hastily, outages=1)

    print(f"figure: R1 planted: answered before the local log was written: {lived.found.lost} of {lived.local} lost, seed {SEED}")
    assert lived.found.lost > 0


async def test_a_process_that_lets_go_before_it_has_stored_is_found(server: EmbeddedPostgres, tmp_path: Path) -> None:
    lived = await _live(server, tmp_path, serve_draining_blindly, outages=1, back_s=1.1)

    print(f"figure: R1 planted: drained without looking, and let go first: {lived.found.lost} of {lived.local} lost, seed {SEED}")
    assert lived.found.lost > 0


async def _live(
    server: EmbeddedPostgres, folder: Path, program: Callable[[], int], *, outages: int, back_s: float = 0.3
) -> _Lived:
    """Outages under load; processes are killed in each, and again when the database is just back and they drain.

    The last kill of an outage comes at least `back_s` after its end.
    """
    random = Random(SEED)
    acknowledged: dict[uuid.UUID, bytes] = {}
    local = killed = 0
    drained_s = 0.0
    pod = await start(folder, database_url=server.url)
    await open_shop_at(pod.port)
    # Ended in good order, it leaves the book on the disk, from which the others start while there is no database.
    await asyncio.to_thread(pod.stop)
    async with Fleet(folder, program=program, database_url=server.url, durability="spool", flush_seconds="0.4") as fleet:
        for _ in range(outages):
            load = KeylessLoad(fleet.ports, clients=8, seed=random.getrandbits(32))
            try:
                await load.wait_for(20)
                crash(server, random.choice(("postmaster", "everything", "immediate")))
                for _ in range(_KILLS_AN_OUTAGE):
                    await load.wait_for(30)
                    await asyncio.sleep(random.uniform(0, 0.1))
                    await fleet.kill()
                    killed += 1
                await load.wait_for(30)
                await load.stop()
            finally:
                await load.abandon()
            await asyncio.to_thread(restart, server)
            began_s = time.monotonic()
            await asyncio.sleep(random.uniform(back_s, 1.2))
            await fleet.kill()
            killed += 1
            await _wait_until_drained(folder)
            drained_s = max(drained_s, time.monotonic() - began_s)
            acknowledged |= load.acknowledged
            local += load.local
            assert load.problems == []
    return _Lived(await examine(server.url, acknowledged), len(acknowledged), local, killed, drained_s)


async def _wait_until_drained(folder: Path) -> None:
    began_s = time.monotonic()
    while list(folder.glob("spool/*/*.log")):
        if time.monotonic() - began_s > _DRAINED_S_MAX:
            return  # what is missing in Postgres then counts as lost
        await asyncio.sleep(0.05)
