"""The lanes of holds on a real Postgres: the protocol, as the SQL runs it."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator

import msgspec
import pytest
from asyncpg.pgproto.pgproto import UUID

from app.db.engine import Database
from app.redemptions import queries
from app.redemptions.lane import ChangeLane, HoldLane, Told
from app.redemptions.protocol import Amount, Asked, Draw, Refused
from app.redemptions.store import KnownMeters, sweep


class Pod:
    """The lanes of one process."""

    def __init__(self, database: Database) -> None:
        known = KnownMeters()
        self.holds = HoldLane(database.connect, known=known)
        self.changes = ChangeLane(database.connect, known=known)
        self.holds.start()
        self.changes.start()

    async def stop(self) -> None:
        await self.holds.stop()
        await self.changes.stop()


@pytest.fixture
async def pods(database: Database) -> AsyncIterator[list[Pod]]:
    made = [Pod(database) for _ in range(3)]
    yield made
    for pod in made:
        await pod.stop()


def new_id() -> UUID:
    return UUID(uuid.uuid4().bytes)


def ask(*draws: Draw, quote: UUID | None = None, order: str | None = None, ttl_ms: int = 900_000) -> Asked:
    soon_ms = time.time_ns() // 1_000_000 + 60_000
    return Asked(new_id(), quote or new_id(), order or str(new_id()), soon_ms, ttl_ms, draws)


def limit(cap: int, *, amount: int = 1, version: int = 1) -> Draw:
    """A draw on a meter that no other test has."""
    return Draw(f"promotions/{new_id()}/uses", amount, cap, version)


async def numbers(database: Database, meter_id: str) -> tuple[int, int, int]:
    """Cap, held and used; and no meter of any test may differ from its holds."""
    connection = await database.connect()
    try:
        assert await connection.fetch(queries.DRIFT) == []
        row = await connection.fetchrow("SELECT cap, held, used FROM meters WHERE id = $1", meter_id)
        return row["cap"], row["held"], row["used"]
    finally:
        await connection.close()


def hold_id(outcome: object) -> UUID:
    assert isinstance(outcome, Told), outcome
    return UUID(msgspec.json.decode(outcome.body)["id"])


async def test_contended_meter_is_filled_to_the_last_unit(database: Database, pods: list[Pod]) -> None:
    both = (limit(100), limit(1_000, amount=7))

    outcomes = await asyncio.gather(*(pods[number % 3].holds.take(ask(*both)) for number in range(300)))

    assert sum(isinstance(outcome, Told) for outcome in outcomes) == 100
    assert {outcome for outcome in outcomes if isinstance(outcome, Refused)} == {
        Refused("limit_reached", (Amount(both[0].meter, 0),))
    }
    assert await numbers(database, both[0].meter) == (100, 100, 0)
    assert await numbers(database, both[1].meter) == (1_000, 700, 0)


async def test_one_quote_and_order_sent_to_all_processes_at_once_takes_once(database: Database, pods: list[Pod]) -> None:
    draw = limit(50)
    quotes = [new_id() for _ in range(20)]

    outcomes = await asyncio.gather(
        *(pod.holds.take(ask(draw, quote=quote, order=f"o {quote}")) for quote in quotes for pod in pods for _ in range(2))
    )

    told = {outcome.body for outcome in outcomes if isinstance(outcome, Told)}
    assert len(told) == 20
    assert sum(isinstance(outcome, Told) and not outcome.is_replay for outcome in outcomes) == 20
    assert await numbers(database, draw.meter) == (50, 20, 0)


async def test_quote_goes_to_one_of_the_orders_that_want_it(database: Database, pods: list[Pod]) -> None:
    draw, quote = limit(50), new_id()

    outcomes = await asyncio.gather(*(pod.holds.take(ask(draw, quote=quote)) for pod in pods for _ in range(4)))

    assert sum(isinstance(outcome, Told) for outcome in outcomes) == 1
    assert outcomes.count(Refused("quote_held")) == 11
    assert await numbers(database, draw.meter) == (50, 1, 0)


async def test_expired_holds_make_room_without_a_sweep(database: Database, pods: list[Pod]) -> None:
    scarce, other = limit(10), limit(100)
    await asyncio.gather(*(pods[0].holds.take(ask(scarce, other, ttl_ms=0)) for _ in range(10)))

    outcomes = await asyncio.gather(*(pods[number % 3].holds.take(ask(scarce)) for number in range(30)))

    assert sum(isinstance(outcome, Told) for outcome in outcomes) == 10
    assert await numbers(database, scarce.meter) == (10, 10, 0)
    assert await numbers(database, other.meter) == (100, 0, 0)


async def test_sweep_gives_back_what_is_expired(database: Database, pods: list[Pod]) -> None:
    draw = limit(10)
    await pods[0].holds.take(ask(draw, ttl_ms=0))
    await pods[0].holds.take(ask(draw))
    connection = await database.connect()

    swept = await sweep(connection, KnownMeters())
    nothing_left = await sweep(connection, KnownMeters())
    await connection.close()

    assert (swept, nothing_left) == (1, 0)
    assert await numbers(database, draw.meter) == (10, 1, 0)


async def test_confirm_is_told_the_same_again_and_a_release_is_refused_then(database: Database, pods: list[Pod]) -> None:
    draw = limit(10, amount=3)
    held = hold_id(await pods[0].holds.take(ask(draw, order="o-17")))

    outcomes = await asyncio.gather(*(pod.changes.confirm(held, "o-17") for pod in pods for _ in range(3)))
    stranger = await pods[1].changes.confirm(held, "o-18")
    released = await pods[2].changes.release(held)

    assert len({outcome.body for outcome in outcomes if isinstance(outcome, Told)}) == 1
    assert (stranger, released) == (Refused("other_order"), Refused("hold_used"))
    assert await numbers(database, draw.meter) == (10, 0, 3)


async def test_release_gives_back_once(database: Database, pods: list[Pod]) -> None:
    draw = limit(10, amount=3)
    held = hold_id(await pods[0].holds.take(ask(draw)))

    outcomes = await asyncio.gather(*(pod.changes.release(held) for pod in pods for _ in range(3)))

    assert len({outcome.body for outcome in outcomes if isinstance(outcome, Told)}) == 1
    assert await numbers(database, draw.meter) == (10, 0, 0)


async def test_expired_hold_cannot_be_confirmed(database: Database, pods: list[Pod]) -> None:
    draw = limit(10)
    held = hold_id(await pods[0].holds.take(ask(draw, order="late", ttl_ms=0)))

    outcomes = [await pod.changes.confirm(held, "late") for pod in pods]

    assert outcomes == [Refused("hold_expired")] * 3
    assert await numbers(database, draw.meter) == (10, 0, 0)


async def test_order_that_takes_another_quote_gives_the_first_one_back(database: Database, pods: list[Pod]) -> None:
    draw = limit(1)
    first = hold_id(await pods[0].holds.take(ask(draw, order="undecided")))

    second = hold_id(await pods[1].holds.take(ask(draw, order="undecided")))

    assert await pods[2].changes.confirm(first, "undecided") == Refused("hold_released")
    assert isinstance(await pods[2].changes.confirm(second, "undecided"), Told)
    assert await numbers(database, draw.meter) == (1, 0, 1)


async def test_lanes_survive_the_end_of_their_connections(database: Database, pods: list[Pod]) -> None:
    draw = limit(10_000)
    connection = await database.connect()

    async def shop(pod: Pod) -> int:
        told = 0
        for number in range(60):
            outcome = await pod.holds.take(ask(draw))
            held = hold_id(outcome)
            told += 1
            if number % 3 == 0:
                assert isinstance(await pod.changes.release(held), Told)
                told -= 1
        return told

    shopping = [asyncio.create_task(shop(pod)) for pod in pods for _ in range(4)]
    for _ in range(10):
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await asyncio.sleep(0.02)
    held = sum(await asyncio.gather(*shopping))
    await connection.close()

    assert await numbers(database, draw.meter) == (10_000, held, 0)
