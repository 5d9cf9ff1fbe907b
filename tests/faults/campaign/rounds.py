"""A round of the campaign: load for some seconds while processes, connections, backends and the cluster are killed; then everything is compared.

What a round says is what it did, by name, and what it found against the promises: an empty text where they were kept. Nothing is left of
it in the database, so that neither memory nor disk grows with the length of a campaign.
"""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import asyncpg

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database, DatabaseUnreachable
from tests.faults.campaign.batches import BatchLoad
from tests.faults.campaign.crowd import CrowdLoad
from tests.faults.campaign.herd import Herd
from tests.faults.cluster import Crash, crash, restart
from tests.faults.examine import examine
from tests.faults.history import check
from tests.faults.holds_house import serve_holds
from tests.faults.meters import count_drift, stored_holds

_HERD: Final = 3
_BUYERS: Final = 8
_SHOPPERS: Final = 1_280
# So many who all ask at once would keep the cores from those that are to answer.
_PAUSE_UNANSWERED_S: Final = 0.2
_CAPS: Final = (8, 40, 150, 400)
_CRASHES: Final[tuple[Crash, ...]] = ("postmaster", "everything", "immediate")
# Seconds between two strikes at the database, and how often each is what. A crash costs the most of a second in which nothing else is tried.
_PAUSE_S: Final = (0.1, 2.0)
_STRIKES: Final = {"connections": 60, "backends": 1, "clusters": 1}
# How long a process serves at most before it is killed: of those of quotes a start takes a quarter of a second of a core, of holds a twelfth.
_QUOTES_SERVE_S_MAX: Final = 1.5
_HOLDS_SERVE_S_MAX: Final = 1.2

_CONNECTIONS: Final = """
SELECT pid FROM pg_stat_activity
WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
_TERMINATE: Final = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM unnest($1::int[]) AS one (pid)"
# It is still recovering, or ended our own connection.
_AWAY: Final = (DatabaseUnreachable, OSError, asyncpg.PostgresError, asyncpg.InterfaceError)
_FORGET: Final = "TRUNCATE decisions, decision_keys, idempotency, holds, meters, meters_forgotten, returns"


class Round(NamedTuple):
    """What was done, and what was found."""

    done: Counter[str]
    violation: str


type Load = BatchLoad | CrowdLoad


async def decisions_round(
    server: EmbeddedPostgres,
    folder: Path,
    random: Random,
    seconds: float,
    *,
    calm: float = 1.0,
    **given: Any,
) -> Round:
    """Promises R1 and R3 for batches of quotes. Where it is `calm`, what serves lives that many times longer, and strikes are that much rarer."""
    done: Counter[str] = Counter()
    load: BatchLoad | None = None

    def under_way(port: int) -> int:
        return 0 if load is None else load.under_way[port]

    async with Herd(
        folder,
        size=_HERD,
        random=random,
        serves_s_max=_QUOTES_SERVE_S_MAX * calm,
        under_way=under_way,
        database_url=server.url,
        **given,
    ) as herd:
        load = BatchLoad(herd.ports, clients=_BUYERS, random=random)
        await _strike(server, herd, load, random, seconds, calm, done)
        found = await examine(server.url, load.acknowledged)
    await _forget(server.url)
    done += Counter(acknowledged=len(load.acknowledged), stored=found.stored, resent=load.resent)
    problems = [*load.problems, *herd.errors]
    return Round(done, "" if found.is_kept and not problems else f"{found} {problems[:3]}")


async def holds_round(
    server: EmbeddedPostgres,
    folder: Path,
    random: Random,
    seconds: float,
    *,
    calm: float = 1.0,
    program: Callable[[], int] = serve_holds,
) -> Round:
    """Promises R2 and R3 for holds on a few meters that everybody wants."""
    done: Counter[str] = Counter()
    name = random.getrandbits(32)
    caps = {f"promotions/hot-{name}-{number}/uses": cap for number, cap in enumerate(_CAPS)}
    load: CrowdLoad | None = None

    def under_way(port: int) -> int:
        return 0 if load is None else load.under_way[port]

    async with Herd(
        folder,
        size=_HERD,
        random=random,
        serves_s_max=_HOLDS_SERVE_S_MAX * calm,
        under_way=under_way,
        database_url=server.url,
        program=program,
    ) as herd:
        load = CrowdLoad(herd.ports, caps, clients=_SHOPPERS, seed=random.getrandbits(32), pause_s=_PAUSE_UNANSWERED_S)
        await _strike(server, herd, load, random, seconds, calm, done)
        stored = await stored_holds(server.url)
        found = check(load.sent, stored, caps)
        filled = await load.fill() if found.is_kept else {}
    drift = await count_drift(server.url)
    await _forget(server.url)
    refused = sum(event.said == "limit_reached" for event in load.sent)
    done += Counter(answered=len(load.sent), taken=len(stored), refused=refused, resent=load.unanswered, meters=len(caps))
    is_kept = found.is_kept and not drift and filled == caps and not load.problems
    return Round(done, "" if is_kept else f"{found}, {drift} adrift, filled {filled} of {caps}, {load.problems[:3]}")


async def _strike(
    server: EmbeddedPostgres, herd: Herd, load: Load, random: Random, seconds: float, calm: float, done: Counter[str]
) -> None:
    """Kill at random until the time is over, and bring every request to its answer."""
    began_s = time.monotonic()
    herd.kill_on()
    try:
        while (left_s := began_s + seconds - time.monotonic()) > 0:
            await asyncio.sleep(min(random.uniform(*_PAUSE_S) * calm, left_s))
            herd.check()
            load.check()
            [kind] = random.choices(list(_STRIKES), list(_STRIKES.values()))
            if kind == "clusters":
                await asyncio.to_thread(crash, server, random.choice(_CRASHES))
                await asyncio.to_thread(restart, server)
                done["clusters"] += 1
            else:
                done[kind] += await _strike_backends(server.url, random, kind)
        herd.kill_off()
        await load.stop()
    finally:
        await load.abandon()
    done["pods"] += herd.kills
    done["seconds"] += round(time.monotonic() - began_s)
    done["rounds"] += 1


async def _strike_backends(url: str, random: Random, kind: str) -> int:
    """End some connections in whatever they are doing, or kill one of their backends, after which the cluster recovers by itself."""
    try:
        connection: asyncpg.Connection = await Database(url).connect()
    except _AWAY:
        return 0
    try:
        pids = [row["pid"] for row in await connection.fetch(_CONNECTIONS)]
        if kind == "connections":
            return int(await connection.fetchval(_TERMINATE, [pid for pid in pids if random.random() < 0.3]))
        if not pids:
            return 0
        os.kill(random.choice(pids), signal.SIGKILL)
        return 1
    except _AWAY:
        return 0
    finally:
        connection.terminate()


async def _forget(url: str) -> None:
    connection: asyncpg.Connection = await Database(url).connect()
    try:
        await connection.execute(_FORGET)
    finally:
        await connection.close()
