"""Promises R2 and R3 against a real Postgres: limits hold, replies repeat, and whoever is refused was refused for a reason."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from app.db.engine import Database
from app.errors import IdempotencyMismatch, NotFound
from app.redemptions.entries import Answer, Key
from app.redemptions.problems import (
    HoldExpired,
    HoldReleased,
    HoldUsed,
    LimitReached,
    OrderConfirmed,
    OtherOrder,
    QuoteExpired,
    QuoteHeld,
    ReturnsTooMuch,
)
from app.redemptions.protocol import Amount
from app.redemptions.records import new_id
from app.redemptions.retention import forget
from app.redemptions.upkeep import find_drift, sweep
from tests.redemptions_support import (
    body,
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


@pytest.fixture
def database(fresh_database: Database) -> Database:
    """One of each test's own: orders are confirmed once."""
    return fresh_database


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await database.connect()
    yield connection
    assert await find_drift(connection) == []
    await connection.close()


async def test_what_is_held_is_taken_and_said(database: Database, connection: asyncpg.Connection) -> None:
    quote_id = await quote(connection, draw("said/uses", cap=3), draw("said/budget", 250, cap=1000))
    async with redemptions(database) as lanes:
        taken = body(await lanes.holding.answer(hold(quote_id)))

    assert (taken["quote"], taken["order"], taken["state"]) == (str(quote_id), "o-1", "held")
    assert taken["draws"] == [
        {"meter": "said/budget", "amount": 250, "left": 750},
        {"meter": "said/uses", "amount": 1, "left": 2},
    ]
    assert await meter(connection, "said/uses") == (3, 1, 0)
    assert await meter(connection, "said/budget") == (1000, 250, 0)


async def test_the_last_use_is_given_once_however_many_ask_in_two_processes(
    database: Database, connection: asyncpg.Connection
) -> None:
    quotes = [await quote(connection, draw("last/uses", cap=5)) for _ in range(60)]
    async with redemptions(database) as one, redemptions(database) as other:
        asked = [(one, other)[n % 2].holding.answer(hold(each, f"o-{n}")) for n, each in enumerate(quotes)]
        outcomes = await gathered(*asked)

    assert sum(isinstance(each, Answer) for each in outcomes) == 5
    refused = [each for each in outcomes if not isinstance(each, Answer)]
    assert all(isinstance(each, LimitReached) and each.short == (Amount("last/uses", 0),) for each in refused)
    assert await meter(connection, "last/uses") == (5, 5, 0)


async def test_all_or_nothing(database: Database, connection: asyncpg.Connection) -> None:
    quote_id = await quote(connection, draw("all/a", cap=5), draw("all/b", 7, cap=6))
    async with redemptions(database) as lanes:
        with pytest.raises(LimitReached) as refused:
            await lanes.holding.answer(hold(quote_id))

    assert refused.value.document()["limits"] == [{"meter": "all/b", "left": 6}]
    assert await meter(connection, "all/a") == (5, 0, 0)


async def test_lanes_that_cross_do_not_stand_still(database: Database, connection: asyncpg.Connection) -> None:
    there = [await quote(connection, draw("x/a", cap=200), draw("x/b", cap=200)) for _ in range(80)]
    back = [await quote(connection, draw("x/b", cap=200), draw("x/a", cap=200), draw(f"x/own-{n}")) for n in range(80)]
    async with redemptions(database) as one, redemptions(database) as other:
        work = [one.holding.answer(hold(each, f"t-{n}")) for n, each in enumerate(there)]
        work += [other.holding.answer(hold(each, f"b-{n}")) for n, each in enumerate(back)]
        outcomes = await gathered(*work)

    assert all(isinstance(each, Answer) for each in outcomes)
    assert await meter(connection, "x/a") == (200, 160, 0)


async def test_the_same_order_again_gets_the_same_bytes_and_another_is_told(
    database: Database, connection: asyncpg.Connection
) -> None:
    quote_id = await quote(connection, draw("again/uses", cap=1))
    async with redemptions(database) as one, redemptions(database) as other:
        first = await one.holding.answer(hold(quote_id))
        again = await other.holding.answer(hold(quote_id))
        with pytest.raises(QuoteHeld):
            await other.holding.answer(hold(quote_id, "o-2"))

    assert again == first._replace(is_replay=True)
    assert await meter(connection, "again/uses") == (1, 1, 0)


async def test_two_orders_that_ask_for_one_quote_at_once_do_not_both_get_it(
    database: Database, connection: asyncpg.Connection
) -> None:
    quotes = [await quote(connection, draw("both/uses", cap=1000)) for _ in range(30)]
    async with redemptions(database) as one, redemptions(database) as other:
        work = [one.holding.answer(hold(each, f"a-{n}")) for n, each in enumerate(quotes)]
        work += [other.holding.answer(hold(each, f"b-{n}")) for n, each in enumerate(quotes)]
        outcomes = await gathered(*work)

    assert sum(isinstance(each, Answer) for each in outcomes) == 30
    assert sum(isinstance(each, QuoteHeld) for each in outcomes) == 30
    assert await meter(connection, "both/uses") == (1000, 30, 0)


async def test_an_order_that_asks_anew_gives_its_first_hold_back(database: Database, connection: asyncpg.Connection) -> None:
    first, second = [await quote(connection, draw("anew/customer", cap=1)) for _ in range(2)]
    async with redemptions(database) as lanes:
        before = await lanes.holding.answer(hold(first))
        await lanes.holding.answer(hold(second))
        with pytest.raises(HoldReleased):
            await lanes.changing.answer(confirm(id_of(before)))

    assert await meter(connection, "anew/customer") == (1, 1, 0)


async def test_a_confirmed_hold_is_used_and_stays_so(database: Database, connection: asyncpg.Connection) -> None:
    quote_id, other_quote = await quote(connection, draw("used/uses", cap=2)), await quote(connection)
    async with redemptions(database) as lanes:
        taken = id_of(await lanes.holding.answer(hold(quote_id)))
        with pytest.raises(OtherOrder):
            await lanes.changing.answer(confirm(taken, "o-2"))
        first = await lanes.changing.answer(confirm(taken))
        again = await lanes.changing.answer(confirm(taken))
        with pytest.raises(HoldUsed):
            await lanes.changing.answer(release(taken))
        with pytest.raises(OrderConfirmed):
            await lanes.holding.answer(hold(other_quote))
        with pytest.raises(NotFound):
            await lanes.changing.answer(confirm(new_id()))

    assert body(first)["state"] == "used"
    assert again == first._replace(is_replay=True)
    assert await meter(connection, "used/uses") == (2, 0, 1)


async def test_what_is_released_is_there_for_others(database: Database, connection: asyncpg.Connection) -> None:
    first, second = [await quote(connection, draw("free/uses", cap=1)) for _ in range(2)]
    async with redemptions(database) as lanes:
        taken = id_of(await lanes.holding.answer(hold(first)))
        with pytest.raises(LimitReached):
            await lanes.holding.answer(hold(second, "o-2"))
        released = await lanes.changing.answer(release(taken))
        again = await lanes.changing.answer(release(taken))
        await lanes.holding.answer(hold(second, "o-2"))
        with pytest.raises(HoldReleased):
            await lanes.changing.answer(confirm(taken))

    assert again == released._replace(is_replay=True)
    assert await meter(connection, "free/uses") == (1, 1, 0)


async def test_expired_holds_are_given_back_in_place(database: Database, connection: asyncpg.Connection) -> None:
    first, second = [await quote(connection, draw("late/uses", cap=1), draw(f"late/own-{n}")) for n in range(2)]
    async with redemptions(database) as lanes:
        taken = id_of(await lanes.holding.answer(hold(first, ttl_ms=1)))
        # No sweeper runs here: the one who is short finds it, although it holds a meter that nobody else has locked.
        await lanes.holding.answer(hold(second, "o-2"))
        with pytest.raises(HoldExpired):
            await lanes.changing.answer(confirm(taken))

    assert await meter(connection, "late/uses") == (1, 1, 0)
    assert await meter(connection, "late/own-0") == (10, 0, 0)


async def test_nobody_is_told_sold_out_while_somebody_else_has_the_expired_hold(
    database: Database, connection: asyncpg.Connection
) -> None:
    first, second = [await quote(connection, draw("busy/uses", cap=1)) for _ in range(2)]
    async with redemptions(database) as lanes:
        taken = id_of(await lanes.holding.answer(hold(first, ttl_ms=1)))
        blocked = asyncio.Event()

        async def keep() -> None:
            keeper = await database.connect()
            async with keeper.transaction():
                await keeper.execute("SELECT FROM holds WHERE id = $1 FOR UPDATE", taken)
                blocked.set()
                await asyncio.sleep(0.3)
            await keeper.close()

        keeping = asyncio.create_task(keep())
        await blocked.wait()
        answer = await lanes.holding.answer(hold(second, "o-2"))
        await keeping

    assert body(answer)["state"] == "held"


async def test_the_sweeper_gives_expired_holds_back(database: Database, connection: asyncpg.Connection) -> None:
    quotes = [await quote(connection, draw("swept/uses", cap=100)) for _ in range(5)]
    async with redemptions(database) as lanes:
        for number, each in enumerate(quotes):
            await lanes.holding.answer(hold(each, f"s-{number}", ttl_ms=1 if number < 3 else 60_000))
        await asyncio.sleep(0.01)
        swept = await sweep(connection)

    assert swept == 3
    assert await meter(connection, "swept/uses") == (100, 2, 0)


async def test_holds_that_were_given_back_are_removed_after_a_month_and_no_others(
    database: Database, connection: asyncpg.Connection
) -> None:
    quotes = [await quote(connection, draw("old/uses", cap=10)) for _ in range(4)]
    async with redemptions(database) as lanes:
        released, used, still, kept = [id_of(await lanes.holding.answer(hold(each, f"o-{n}"))) for n, each in enumerate(quotes)]
        await lanes.changing.answer(release(released))
        await lanes.changing.answer(confirm(used, "o-1"))
        await connection.execute(
            "UPDATE holds SET created_at = created_at - interval '32 days', changed_at = changed_at - interval '32 days'"
        )
        await lanes.changing.answer(release(kept))
        await connection.execute("UPDATE holds SET created_at = created_at + interval '2 days' WHERE id = $1", kept)

    assert (await forget(connection, retention_days=400)).holds_removed == 1
    assert {row["id"] for row in await connection.fetch("SELECT id FROM holds")} == {used, still, kept}


async def test_a_lowered_cap_takes_nothing_away_and_gives_nothing_more(
    database: Database, connection: asyncpg.Connection
) -> None:
    quotes = [await quote(connection, draw("cap/uses", cap=3)) for _ in range(3)]
    lowered = await quote(connection, draw("cap/uses", cap=2, version=2))
    old = await quote(connection, draw("cap/uses", cap=3, version=1))
    raised = await quote(connection, draw("cap/uses", cap=4, version=3))
    async with redemptions(database) as lanes:
        for number, each in enumerate(quotes):
            await lanes.holding.answer(hold(each, f"c-{number}"))
        for number, each in enumerate((lowered, old)):
            with pytest.raises(LimitReached):
                await lanes.holding.answer(hold(each, f"d-{number}"))
        await lanes.holding.answer(hold(raised, "e"))

    assert await meter(connection, "cap/uses") == (4, 4, 0)


async def test_a_quote_is_honoured_for_two_minutes_more_because_clocks_differ(
    database: Database, connection: asyncpg.Connection
) -> None:
    late = await quote(connection, draw("grace/uses"), expires_in=-timedelta(seconds=90))
    too_late = await quote(connection, draw("grace/uses"), expires_in=-timedelta(seconds=121))
    async with redemptions(database) as lanes:
        await lanes.holding.answer(hold(late))
        with pytest.raises(QuoteExpired):
            await lanes.holding.answer(hold(too_late, "o-2"))


async def test_returns_add_up_to_what_was_taken(database: Database, connection: asyncpg.Connection) -> None:
    quote_id = await quote(
        connection,
        draw("back/uses"),
        draw("back/budget", 100, cap=1000, a=67, b=33),
        draw("back/units", 3000, cap=9000, a=3000),
        grants=[{"meter": "back/points", "amount": 10, "parts": [("a", 7), ("b", 3)]}],
        sold={"a": 3000, "b": 1000},
    )
    async with redemptions(database) as lanes:
        taken = id_of(await lanes.holding.answer(hold(quote_id)))
        await lanes.changing.answer(confirm(taken))
        first, second = [await lanes.changing.answer(give_back(taken, a=1000)) for _ in range(2)]
        with pytest.raises(ReturnsTooMuch):
            await lanes.changing.answer(give_back(taken, a=2000))
        assert await meter(connection, "back/uses") == (10, 0, 1)
        last = await lanes.changing.answer(give_back(taken, a=1000, b=1000))

    # 67 cents of three units: 22, 44 and 67 in all; 7 points: 2, 4 and 7.
    assert body(first)["given_back"] == [{"meter": "back/budget", "amount": 22}, {"meter": "back/units", "amount": 1000}]
    assert body(second)["given_back"][0]["amount"] == 22
    assert body(first)["withdrawn"] == [{"meter": "back/points", "amount": 2}]
    assert body(last)["given_back"] == [
        {"meter": "back/budget", "amount": 23 + 33},
        {"meter": "back/units", "amount": 1000},
        {"meter": "back/uses", "amount": 1},
    ]
    for name in ("uses", "budget", "units"):
        assert (await meter(connection, f"back/{name}"))[1:] == (0, 0)
    assert await meter(connection, "back/points") == (0, 0, 0)


async def test_a_key_gives_the_same_bytes_refusals_included(database: Database, connection: asyncpg.Connection) -> None:
    quotes = [await quote(connection, draw("key/uses", cap=1)) for _ in range(2)]
    first_key, second_key = Key("till", "k-1", b"1"), Key("till", "k-2", b"2")
    async with redemptions(database) as one, redemptions(database) as other:
        first = await one.holding.answer(hold(quotes[0], key=first_key))
        with pytest.raises(LimitReached):
            await one.holding.answer(hold(quotes[1], "o-2", key=second_key))
        await one.changing.answer(release(id_of(first)))
        again = await other.holding.answer(hold(quotes[0], key=first_key))
        refused = await other.holding.answer(hold(quotes[1], "o-2", key=second_key))
        with pytest.raises(IdempotencyMismatch):
            await other.holding.answer(hold(quotes[1], key=first_key._replace(request_sha256=b"3")))

    assert again == first._replace(is_replay=True)
    assert (refused.status, refused.is_replay, body(refused)["type"]) == (409, True, "/problems/limit_reached")
    assert await meter(connection, "key/uses") == (1, 0, 0)


async def test_a_repeat_behind_another_request_with_its_key_gets_what_is_stored(
    database: Database, connection: asyncpg.Connection
) -> None:
    quotes = [await quote(connection, draw("behind/uses", cap=5)) for _ in range(2)]
    key = Key("till", "behind-1", b"1")
    async with redemptions(database) as lanes:
        first = await lanes.holding.answer(hold(quotes[0], key=key))
        other, again = await asyncio.gather(
            lanes.holding.answer(hold(quotes[1], key=key._replace(request_sha256=b"2"))),
            lanes.holding.answer(hold(quotes[0], key=key)),
            return_exceptions=True,
        )

    assert isinstance(other, IdempotencyMismatch)
    assert again == first._replace(is_replay=True)
    assert await meter(connection, "behind/uses") == (5, 1, 0)


async def test_a_return_is_made_once_for_a_key(database: Database, connection: asyncpg.Connection) -> None:
    quote_id = await quote(connection, draw("once/units", 5000, cap=9000, a=5000), sold={"a": 5000})
    key = Key("till", "return-1", b"r")
    async with redemptions(database) as lanes:
        taken = id_of(await lanes.holding.answer(hold(quote_id)))
        await lanes.changing.answer(confirm(taken))
        answers = await asyncio.gather(*(lanes.changing.answer(give_back(taken, key=key, a=1000)) for _ in range(4)))

    assert len({answer.body for answer in answers}) == 1
    assert await meter(connection, "once/units") == (9000, 0, 4000)


async def test_a_hold_whose_answer_was_lost_is_not_taken_twice(database: Database, connection: asyncpg.Connection) -> None:
    quote_id = await quote(connection, draw("lost/uses", cap=5))
    entry = hold(quote_id)
    async with redemptions(database) as lanes:
        first = await lanes.holding.answer(entry)
        # What the lane does when it does not know whether a batch was committed: the same entries, with the same ids.
        again = await lanes.holding.answer(hold(quote_id, hold_id=entry.hold_id))

    assert again == first
    assert await meter(connection, "lost/uses") == (5, 1, 0)


async def test_ended_connections_lose_nothing(database: Database, connection: asyncpg.Connection) -> None:
    quotes = [await quote(connection, draw("cut/uses", cap=100)) for _ in range(150)]
    async with redemptions(database) as lanes:

        async def cut() -> None:
            for _ in range(10):
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND application_name = 'centwise lane'"
                )
                await asyncio.sleep(0.005)

        cutting = asyncio.create_task(cut())
        outcomes = await gathered(*(lanes.holding.answer(hold(each, f"o-{n}")) for n, each in enumerate(quotes)))
        await cutting

    assert sum(isinstance(each, Answer) for each in outcomes) == 100
    assert sum(isinstance(each, LimitReached) for each in outcomes) == 50
    assert await meter(connection, "cut/uses") == (100, 100, 0)
