"""Holds go when their time is over, and meters stay what they were: what was used is never given a second time."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta

import asyncpg
import pytest

from app.db.batches import BATCH_ROWS
from app.db.engine import Database
from app.db.upkeep import keep_up
from app.errors import NotFound
from app.redemptions import queries
from app.redemptions.entries import Answer
from app.redemptions.problems import LimitReached, QuoteExpired
from app.redemptions.redemptions import Redemptions
from app.redemptions.retention import forget, forget_holds, forget_windows
from app.redemptions.upkeep import find_drift
from tests.redemptions_support import (
    confirm,
    draw,
    gathered,
    give_back,
    hold,
    id_of,
    meter,
    quote,
    redemptions,
    release,
)

MICROSECOND = timedelta(microseconds=1)
DAY = "promotions/p/uses/day/2024-02-29"


@pytest.fixture
def database(fresh_database: Database) -> Database:
    """One of each test's own: orders are confirmed once."""
    return fresh_database


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await database.connect()
    yield connection
    await connection.close()


async def bought(lanes: Redemptions, quote_id: uuid.UUID, order: str) -> uuid.UUID:
    """A hold that is confirmed."""
    hold_id = id_of(await lanes.holding.answer(hold(quote_id, order)))
    await lanes.changing.answer(confirm(hold_id, order))
    return hold_id


async def age(connection: asyncpg.Connection, days: float) -> None:
    """Make all holds, and the quotes they are of, so much older."""
    older = timedelta(days=days)
    await connection.execute(
        "UPDATE holds SET created_at = created_at - $1::interval, changed_at = changed_at - $1::interval,"
        " expires_at = expires_at - $1::interval",
        older,
    )
    for row in await connection.fetch("SELECT id, reply FROM decisions"):
        reply = json.loads(row["reply"])
        reply["expires_ms"] -= int(older.total_seconds() * 1000)
        await connection.execute("UPDATE decisions SET reply = $2 WHERE id = $1", row["id"], json.dumps(reply).encode())


async def clock(connection: asyncpg.Connection) -> datetime:
    now: datetime = await connection.fetchval(queries.CLOCK)
    return now


async def forget_all(connection: asyncpg.Connection) -> int:
    """Remove each hold that is used or released by now."""
    now = await clock(connection)
    return await forget_holds(connection, used_before=now, released_before=now)


async def count_of(connection: asyncpg.Connection, table: str) -> int:
    count: int = await connection.fetchval(f"SELECT count(*) FROM {table}")
    return count


async def test_what_a_removed_hold_used_is_used_still_and_never_given_again(
    database: Database, connection: asyncpg.Connection
) -> None:
    quote_id = await quote(connection, draw("kept/uses", cap=1))
    async with redemptions(database) as lanes:
        hold_id = await bought(lanes, quote_id, "o-1")
        await age(connection, 401)
        assert await forget(connection, retention_days=400) == (1, 0)

        assert await count_of(connection, "holds") == 0
        assert await meter(connection, "kept/uses") == (1, 0, 1)
        for late in (confirm(hold_id), release(hold_id), give_back(hold_id, key=None, a=1000)):
            with pytest.raises(NotFound, match="no such hold"):
                await lanes.changing.answer(late)
        with pytest.raises(QuoteExpired):
            await lanes.holding.answer(hold(quote_id, "o-1"))
        with pytest.raises(LimitReached):
            await lanes.holding.answer(hold(await quote(connection, draw("kept/uses", cap=1)), "o-2"))
    assert await find_drift(connection) == []


async def test_a_hold_goes_after_the_instant_and_not_at_it(database: Database, connection: asyncpg.Connection) -> None:
    async with redemptions(database) as lanes:
        await bought(lanes, await quote(connection, draw("edge/uses")), "o-1")
    at = await connection.fetchval("SELECT changed_at FROM holds")

    assert await forget_holds(connection, used_before=at, released_before=at + timedelta(days=1)) == 0
    assert await forget_holds(connection, used_before=at + MICROSECOND, released_before=at + timedelta(days=1)) == 1


async def test_the_time_is_counted_by_the_clock_of_the_database_from_the_confirm_on(
    database: Database, connection: asyncpg.Connection
) -> None:
    async with redemptions(database) as lanes:
        young, old = [await bought(lanes, await quote(connection, draw("clock/uses")), f"o-{n}") for n in range(2)]
    await connection.execute("UPDATE holds SET created_at = created_at - interval '500 days'")
    for hold_id, ago in ((young, "30 days 23:59"), (old, "31 days 00:01")):
        await connection.execute(
            "UPDATE holds SET changed_at = clock_timestamp() - $2::text::interval WHERE id = $1", hold_id, ago
        )

    assert (await forget(connection, retention_days=31)).holds_removed == 1
    assert await connection.fetchval("SELECT id FROM holds") == young


async def test_only_what_did_not_come_back_stays_used_and_balances_are_exact(
    database: Database, connection: asyncpg.Connection
) -> None:
    earned = [{"meter": "points/c", "amount": 40, "parts": [("a", 40)]}]
    first = await quote(connection, draw("back/budget", 500, cap=900, a=300, b=200), grants=earned, sold={"a": 3000, "b": 1000})
    async with redemptions(database) as lanes:
        hold_id = await bought(lanes, first, "o-1")
        await lanes.changing.answer(give_back(hold_id, a=1000))
        await bought(lanes, await quote(connection, draw("points/c", 5, cap=None)), "o-2")
    before = [await meter(connection, one) for one in ("back/budget", "points/c")]

    assert await forget_all(connection) == 2

    assert [await meter(connection, one) for one in ("back/budget", "points/c")] == before == [(900, 0, 400), (27, 0, 5)]
    assert await count_of(connection, "returns") == 0
    assert dict(await connection.fetch("SELECT id, used FROM meters_forgotten")) == {"back/budget": 400, "points/c": 5}
    assert await find_drift(connection) == []


async def test_a_hold_to_which_a_return_is_just_being_stored_is_left_for_another_round(
    database: Database, connection: asyncpg.Connection
) -> None:
    async with redemptions(database) as lanes:
        hold_id, _ = [await bought(lanes, await quote(connection, draw("busy/uses")), f"o-{n}") for n in range(2)]
    returning = await database.connect()
    async with returning.transaction():
        await returning.fetch(queries.LOCK_HOLDS, [hold_id])
        assert await forget_all(connection) == 1
        assert [row["id"] for row in await connection.fetch("SELECT id FROM holds")] == [hold_id]
    await returning.close()

    assert await forget_all(connection) == 1
    assert await find_drift(connection) == []


async def test_the_meter_of_a_past_window_goes_with_the_last_hold_that_used_it(
    database: Database, connection: asyncpg.Connection
) -> None:
    today = f"promotions/p/uses/day/{datetime.now(UTC).date()}"
    of_customer = "promotions/p/customers/c%2Fday/month/2024-02-01"
    async with redemptions(database) as lanes:
        for order in ("o-1", "o-2"):
            await bought(
                lanes, await quote(connection, *(draw(one) for one in (DAY, today, of_customer, "promotions/p/uses"))), order
            )
        await lanes.holding.answer(hold(await quote(connection, draw("promotions/q/uses/week/2024-02-26")), "o-3"))
    await connection.execute(
        "UPDATE holds SET created_at = created_at - $1::interval, changed_at = changed_at - $1::interval WHERE order_id = 'o-1'",
        timedelta(days=401),
    )

    assert await forget(connection, retention_days=400) == (1, 0)
    await age(connection, 401)
    assert await forget(connection, retention_days=400) == (1, 2)

    left = {row["id"]: row["used"] for row in await connection.fetch("SELECT id, used FROM meters")}
    assert left == {"promotions/p/uses": 2, today: 2, "promotions/q/uses/week/2024-02-26": 0}
    assert {row["id"] for row in await connection.fetch("SELECT id FROM meters_forgotten")} == {"promotions/p/uses", today}
    assert await find_drift(connection) == []


async def test_a_window_goes_by_its_first_date_and_not_on_that(database: Database, connection: asyncpg.Connection) -> None:
    async with redemptions(database) as lanes:
        hold_id = id_of(await lanes.holding.answer(hold(await quote(connection, draw(DAY)))))
        assert await forget_windows(connection, began_before=date(2024, 3, 1)) == 0  # it holds something
        await lanes.changing.answer(release(hold_id))
        assert await forget_windows(connection, began_before=date(2024, 2, 29)) == 0
        assert await forget_windows(connection, began_before=date(2024, 3, 1)) == 1
        # Who draws on it all the same has it made anew.
        await bought(lanes, await quote(connection, draw(DAY)), "o-2")

    assert await meter(connection, DAY) == (10, 0, 1)
    assert await find_drift(connection) == []


async def test_meters_are_what_holds_add_up_to_at_every_look_while_lanes_run_and_two_processes_remove(
    database: Database, connection: asyncpg.Connection
) -> None:
    cap, orders = 90, 240
    quotes = [
        await quote(connection, draw("busy/uses", cap=cap), draw(f"busy/{n % 7}/budget", 4, cap=10_000, a=4), sold={"a": 2000})
        for n in range(orders)
    ]
    removed, looks, highest = [0, 0], 0, 0

    async def shop(lanes: Redemptions, number: int) -> int:
        """How many uses an order ends with."""
        order = f"o-{number}"
        hold_id = id_of(await lanes.holding.answer(hold(quotes[number], order)))
        if number % 5 == 0:
            await lanes.changing.answer(release(hold_id))
            return 0
        await lanes.changing.answer(confirm(hold_id, order))
        if number % 3 == 0:
            # Its hold may be gone by then, and what is gone is not given back.
            returned = await gathered(lanes.changing.answer(give_back(hold_id, a=2000)))
            assert isinstance(returned[0], (Answer, NotFound))
            return int(not isinstance(returned[0], Answer))
        return 1

    async def remove(which: int, shops: asyncio.Future[list[int | BaseException]]) -> None:
        own = await database.connect()
        while not shops.done():
            removed[which] += await forget_all(own)
        await own.close()

    async with redemptions(database) as one, redemptions(database) as other:
        shopping = asyncio.gather(*(shop((one, other)[n % 2], n) for n in range(orders)), return_exceptions=True)
        removing = [asyncio.create_task(remove(which, shopping)) for which in range(2)]
        while not shopping.done():
            assert await find_drift(connection) == []
            row = await connection.fetchrow("SELECT held + used AS taken FROM meters WHERE id = 'busy/uses'")
            highest, looks = max(highest, 0 if row is None else row["taken"]), looks + 1
        outcomes = await shopping
        await asyncio.gather(*removing)
    removed[0] += await forget_all(connection)

    assert {type(each) for each in outcomes if not isinstance(each, int)} <= {LimitReached}
    assert await meter(connection, "busy/uses") == (cap, 0, sum(each for each in outcomes if isinstance(each, int)))
    assert looks > 1
    assert highest <= cap
    assert (await count_of(connection, "holds"), await count_of(connection, "returns")) == (0, 0)
    assert sum(removed) == sum(isinstance(each, int) for each in outcomes)
    assert await find_drift(connection) == []


@pytest.mark.parametrize("left_out", [queries.FORGET_USED, queries.REMOVE_RETURNS])
async def test_removing_in_part_is_found_as_drift(database: Database, connection: asyncpg.Connection, left_out: str) -> None:
    async with redemptions(database) as lanes:
        hold_id = await bought(lanes, await quote(connection, draw("lost/budget", 100, cap=900, a=100), sold={"a": 2000}), "o-1")
        await lanes.changing.answer(give_back(hold_id, a=1000))
    for sql in (queries.FORGET_USED, queries.REMOVE_RETURNS, queries.REMOVE_HOLDS):
        if sql != left_out:
            await connection.execute(sql, [hold_id])

    assert [one.meter for one in await find_drift(connection)] == ["lost/budget"]


async def test_what_is_forgotten_of_a_meter_that_is_not_there_is_drift(connection: asyncpg.Connection) -> None:
    await connection.execute("INSERT INTO meters_forgotten VALUES ('nowhere', 3)")

    assert await find_drift(connection) == [("nowhere", 0, 0, 0, 3)]


async def test_many_rows_go_in_batches_and_what_is_locked_stays(database: Database, connection: asyncpg.Connection) -> None:
    count = 2 * BATCH_ROWS + 3
    await connection.execute(
        "INSERT INTO holds SELECT gen_random_uuid(), gen_random_uuid(), n::text, 'used', NULL, at, at, at, '{many/uses}', '{2}', '', ''"
        " FROM generate_series(1, $1::integer) AS n, (SELECT clock_timestamp() - interval '401 days') AS old (at)",
        count,
    )
    await connection.execute("INSERT INTO meters VALUES ('many/uses', NULL, 9999, 1, 9999, 0, $1)", 2 * count)
    await connection.execute(
        "INSERT INTO idempotency SELECT 's', n::text, '', 200, '{}', '', clock_timestamp() - interval '32 days'"
        " FROM generate_series(1, $1::integer) AS n",
        count,
    )
    other = await database.connect()
    async with other.transaction():
        await other.execute("SELECT key FROM idempotency WHERE key = '7' FOR UPDATE")
        done = await keep_up(connection, datetime.now(UTC), retention_days=400)
    await other.close()

    assert done.keys_removed == count - 1
    assert await connection.fetchval("SELECT key FROM idempotency") == "7"
    assert (await forget(connection, retention_days=400)).holds_removed == count
    assert await connection.fetchval("SELECT used FROM meters_forgotten") == 2 * count
    assert await find_drift(connection) == []
