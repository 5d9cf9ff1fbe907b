"""What the lane of holds takes, beside what single statements take: `python -m loadtests.meters`.

Every round measures the same thing both ways, one after the other, on the same server: the lane with 256 clients, and conditional UPDATEs that each
take a unit and store their hold in one statement, on 64 connections. What slowed a round down is in both, so the ratio is what counts.
"""

import argparse
import asyncio
import contextlib
import gc
import random
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg
import uvloop

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from app.db.migrate import upgrade
from app.metrics import Metrics
from app.redemptions.entries import Drawn, HoldEntry
from app.redemptions.protocol import Draw
from app.redemptions.records import new_id
from app.redemptions.redemptions import Redemptions
from app.redemptions.upkeep import find_drift
from loadtests.bench.rig import temporary_folder

CLIENTS: Final = 256
CONNECTIONS: Final = 64
_SPREAD_METERS: Final = 5_000
_CAP: Final = 1 << 40
_TTL_MS: Final = 900_000

# What a shop does that wants to be exact without a lane: the unit and the hold in one statement and one commit.
_CONDITIONAL: Final = """
WITH taken AS (
  UPDATE single_meters SET held = held + 1 WHERE id = $1 AND held + used + 1 <= cap RETURNING id
)
INSERT INTO single_holds (id, quote_id, order_id, meter, expires_at)
SELECT $2, $3, $4, id, clock_timestamp() + interval '15 minutes' FROM taken
"""
_TABLES: Final = (
    """CREATE TABLE single_meters (id text PRIMARY KEY, cap bigint NOT NULL, held bigint NOT NULL, used bigint NOT NULL,
       CHECK (held >= 0 AND used >= 0 AND held + used <= cap)) WITH (fillfactor = 50)""",
    """CREATE TABLE single_holds (id uuid PRIMARY KEY, quote_id uuid NOT NULL UNIQUE, order_id text NOT NULL, meter text NOT NULL,
       expires_at timestamptz NOT NULL)""",
)


class Measured(NamedTuple):
    """Holds a second, and the latency that one in a hundred exceeds."""

    per_second: float
    p99_ms: float

    def __str__(self) -> str:
        return f"{self.per_second:8.0f} a second, p99 {self.p99_ms:6.1f} ms"


type Take = Callable[[], Awaitable[bool]]


async def measure(takers: list[Take], seconds: float) -> Measured:
    """Have each taker take one unit after another; the first tenth of the time is not counted."""
    latencies_ms: list[float] = []
    counts_from_s = time.monotonic() + seconds / 10
    ends_s = counts_from_s + seconds

    async def work(take: Take) -> None:
        while (now_s := time.monotonic()) < ends_s:
            assert await take()
            if now_s >= counts_from_s:
                latencies_ms.append((time.monotonic() - now_s) * 1000)

    await asyncio.gather(*map(work, takers))
    latencies_ms.sort()
    return Measured(len(latencies_ms) / seconds, latencies_ms[int(len(latencies_ms) * 0.99)])


class Quotes:
    """Quotes that draw one unit of a meter each and are held once; the lane is told what they draw on and reads no decisions."""

    def __init__(self) -> None:
        self._meters: dict[UUID, str] = {}

    def make(self, meters: int) -> UUID:
        """A quote that draws on one of so many meters."""
        quote_id = new_id()
        self._meters[quote_id] = f"promotions/p-{random.randrange(meters)}/uses"
        return quote_id

    async def find(self, _: object, quote_ids: Sequence[UUID]) -> dict[UUID, Drawn]:
        """What they draw on."""
        expires_ms = time.time_ns() // 1_000_000 + _TTL_MS
        return {
            quote_id: Drawn((Draw(self._meters.pop(quote_id), 1, _CAP, 1),), (), (), expires_ms, {"1": 1000})
            for quote_id in quote_ids
        }


def settle_collector() -> None:
    """Set the garbage collector as the service does when it is ready: walking what the imports left is a tenth of a second each time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


@contextlib.asynccontextmanager
async def lane_takers(database: Database, meters: int) -> AsyncIterator[list[Take]]:
    """Clients of one lane."""
    quotes = Quotes()
    redemptions = Redemptions(database.connect, find_draws=quotes.find, flush_s=5.0, metrics=Metrics())
    await redemptions.start()

    async def take() -> bool:
        entry = HoldEntry(None, None, new_id(), quotes.make(meters), f"o-{random.getrandbits(60)}", _TTL_MS)
        return (await redemptions.holding.answer(entry)).status == 201

    yield [take] * CLIENTS
    await redemptions.stop()


@contextlib.asynccontextmanager
async def single_takers(database: Database, meters: int) -> AsyncIterator[list[Take]]:
    """Connections, each with a statement of its own."""
    connections = [await database.connect() for _ in range(CONNECTIONS)]

    def taker(connection: asyncpg.Connection) -> Take:
        async def take() -> bool:
            meter = f"promotions/p-{random.randrange(meters)}/uses"
            status = await connection.execute(_CONDITIONAL, meter, new_id(), new_id(), f"o-{random.getrandbits(60)}")
            return bool(status == "INSERT 0 1")

        return take

    yield [taker(connection) for connection in connections]
    for connection in connections:
        await connection.close()


async def run(database: Database, *, seconds: float, rounds: int) -> None:
    """Measure and print."""
    connection = await database.connect()
    for table in _TABLES:
        await connection.execute(table)
    names = [f"promotions/p-{number}/uses" for number in range(_SPREAD_METERS)]
    await connection.executemany("INSERT INTO single_meters VALUES ($1, $2, 0, 0)", [(name, _CAP) for name in names])
    for what, meters in (("one hot meter", 1), (f"{_SPREAD_METERS} meters", _SPREAD_METERS)):
        lanes, singles = [], []
        for _ in range(rounds):
            # Each begins with the same: nothing to clean up after the other.
            await connection.execute("VACUUM meters, holds, single_meters, single_holds")
            settle_collector()
            async with lane_takers(database, meters) as takers:
                lanes.append(await measure(takers, seconds))
            await connection.execute("CHECKPOINT")
            async with single_takers(database, meters) as takers:
                singles.append(await measure(takers, seconds))
            await connection.execute("CHECKPOINT")
            print(f"{what}: the lane {lanes[-1]}; single statements {singles[-1]}")
        ratio = statistics.median(lane.per_second / single.per_second for lane, single in zip(lanes, singles, strict=True))
        median = statistics.median(lane.per_second for lane in lanes)
        p99_ms = statistics.median(lane.p99_ms for lane in lanes)
        print(f"figure: {what}: {median:.0f} holds a second, {ratio:.1f} times single statements, p99 {p99_ms:.1f} ms")
    assert await find_drift(connection) == []
    await connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0, help="how long each is measured")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with temporary_folder() as folder, EmbeddedPostgres(folder / "data", settings={"max_connections": "100"}) as server:
        database = Database(server.url)
        uvloop.run(upgrade(database))
        uvloop.run(run(database, seconds=given.seconds, rounds=given.rounds))


if __name__ == "__main__":
    main()
