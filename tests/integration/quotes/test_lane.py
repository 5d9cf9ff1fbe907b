"""Promises R1 and R3 against a real Postgres: acknowledged means stored, once; the same id gives the same answer."""

import asyncio
import random
import time
import uuid
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from app.db.engine import Database
from app.db.partitions import ensure_day, list_partitions
from app.errors import Conflict, IdempotencyMismatch, InternalError, Unavailable, ValidationFailed
from app.pricing.basket import Basket
from app.pricing.book import BookRows, Document, PriceBook
from app.pricing.compile import compile_price_book
from app.quotes.encode import EncodedQuote
from app.quotes.lane import LaneLimits
from app.quotes.storefront import Asked, Reply, Storefront
from tests.memos import price_and_encode
from tests.quotes_support import CALLER, Books, basket, connector, encoded, house, shop_book

SEED = random.SystemRandom().randrange(1 << 32)


@pytest.fixture
async def reader(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await database.connect()
    await ensure_day(connection, datetime.now(UTC))
    yield connection
    await connection.close()


def asked(key: str | None = None) -> Asked:
    return Asked(CALLER, {} if key is None else {b"idempotency-key": key.encode()})


async def stored(reader: asyncpg.Connection, ids: Sequence[str]) -> dict[str, list[bytes]]:
    rows = await reader.fetch("SELECT id, reply FROM decisions WHERE id = ANY($1::uuid[])", ids)
    found: dict[str, list[bytes]] = {each: [] for each in ids}
    for row in rows:
        found[str(row["id"])].append(row["reply"])
    return found


def id_of(reply: Reply) -> str:
    return reply.body[7:43].decode()


async def test_acknowledged_is_stored_with_the_same_bytes(database: Database, reader: asyncpg.Connection) -> None:
    async with house(connector(database), books=Books(shop_book(7))) as served:
        request = basket(("SKU-1", 12), ("SKU-2", "0.350"), codes=["save10"], channel="web", customer={"id": "c-1"})
        reply = await served.storefront.quote(encoded(request), asked())

    row = await reader.fetchrow("SELECT * FROM decisions WHERE id = $1", id_of(reply))
    assert reply.status == 201
    assert row["reply"] == reply.body
    assert (row["version"], row["currency"], row["channel"], row["customer"]) == (7, "USD", "web", "c-1")
    assert (row["codes"], row["line_count"], row["source"]) == (["SAVE10"], 2, "quote")
    # 12 x 9.99 = 119.88, 0.35 x 2.50 = 0.88 (half up); 10 % of each: 11.99 and 0.09.
    assert (row["subtotal_minor"], row["discount_minor"], row["total_minor"]) == (12076, 1208, 10868)
    assert f'"at":"{row["issued_at"]:%Y-%m-%dT%H:%M:%S}'.encode() in row["request"]


async def test_what_waits_is_taken_together_while_a_flush_is_under_way(database: Database, reader: asyncpg.Connection) -> None:
    sizes: list[int] = []
    is_taken = asyncio.Event()

    def price(book: PriceBook, baskets: Sequence[Basket], partial: Sequence[bool]) -> list[EncodedQuote]:
        sizes.append(len(baskets))
        is_taken.set()
        return price_and_encode(book, baskets, partial)

    async with house(connector(database), books=Books(shop_book()), price=price) as served:
        first = asyncio.create_task(served.storefront.quote(encoded(basket()), asked()))
        await is_taken.wait()
        await asyncio.gather(first, *(served.storefront.quote(encoded(basket()), asked()) for _ in range(40)))

    assert sizes == [1, 40]


async def test_a_client_that_goes_away_takes_nobody_with_it(database: Database, reader: asyncpg.Connection) -> None:
    async with house(connector(database), books=Books(shop_book())) as served:
        key = str(uuid.uuid4())
        leaving = asyncio.create_task(served.storefront.quote(encoded(basket()), asked(key)))
        staying = asyncio.create_task(served.storefront.quote(encoded(basket()), asked()))
        await asyncio.sleep(0)
        leaving.cancel()
        reply = await staying

    assert len((await stored(reader, [id_of(reply)]))[id_of(reply)]) == 1
    assert len((await stored(reader, [key]))[key]) == 1


async def test_the_same_id_gives_the_same_bytes_and_another_request_is_refused(
    database: Database, reader: asyncpg.Connection
) -> None:
    key = str(uuid.uuid4())
    async with house(connector(database), books=Books(shop_book(1))) as served:
        first = await served.storefront.quote(encoded(basket()), asked(key))
        served.books.by_version[2] = shop_book(2)
        again = await served.storefront.quote(encoded(basket(points=0)), asked(key.upper()))
        with pytest.raises(IdempotencyMismatch):
            await served.storefront.quote(encoded(basket(("SKU-1", 3))), asked(key))

    assert id_of(first) == key
    assert (again.body, first.is_replay, again.is_replay) == (first.body, False, True)
    assert len((await stored(reader, [key]))[key]) == 1


async def test_equal_keys_in_one_batch_are_one_decision(database: Database, reader: asyncpg.Connection) -> None:
    key = str(uuid.uuid4())
    async with house(connector(database), books=Books(shop_book())) as served:
        first, twin, other = await asyncio.gather(
            served.storefront.quote(encoded(basket()), asked(key)),
            served.storefront.quote(encoded(basket()), asked(key)),
            served.storefront.quote(encoded(basket(("SKU-1", 3))), asked(key)),
            return_exceptions=True,
        )

    assert isinstance(first, Reply)
    assert isinstance(twin, Reply)
    assert (twin.body, twin.is_replay) == (first.body, True)
    assert isinstance(other, IdempotencyMismatch)
    assert len((await stored(reader, [key]))[key]) == 1


async def test_a_repeat_behind_another_request_with_its_key_gets_what_is_stored(
    database: Database, reader: asyncpg.Connection
) -> None:
    key = str(uuid.uuid4())
    async with house(connector(database), books=Books(shop_book())) as served:
        first = await served.storefront.quote(encoded(basket()), asked(key))
        other, again = await asyncio.gather(
            served.storefront.quote(encoded(basket(("SKU-1", 3))), asked(key)),
            served.storefront.quote(encoded(basket()), asked(key)),
            return_exceptions=True,
        )

    assert isinstance(other, IdempotencyMismatch)
    assert isinstance(again, Reply)
    assert (again.body, again.is_replay) == (first.body, True)
    assert len((await stored(reader, [key]))[key]) == 1


async def test_a_refusal_is_given_again_even_when_the_price_is_there_by_now(
    database: Database, reader: asyncpg.Connection
) -> None:
    key = str(uuid.uuid4())
    unpriced = encoded(basket(("SKU-9", 1)))
    async with house(connector(database), books=Books(shop_book())) as served:
        with pytest.raises(ValidationFailed) as first:
            await served.storefront.quote(unpriced, asked(key))
        with pytest.raises(ValidationFailed) as again:
            await served.storefront.quote(unpriced, asked(key))
        with pytest.raises(IdempotencyMismatch):
            await served.storefront.quote(encoded(basket()), asked(key))

    assert again.value.document() == first.value.document()
    assert first.value.errors[0].path == "lines[0]"
    assert again.value.headers == {"Idempotent-Replayed": "true"}


async def test_an_id_of_ours_is_not_taken_as_a_key(database: Database, reader: asyncpg.Connection) -> None:
    async with house(connector(database), books=Books(shop_book())) as served:
        ours = id_of(await served.storefront.quote(encoded(basket()), asked()))
        for _ in range(2):
            with pytest.raises(IdempotencyMismatch):
                await served.storefront.quote(encoded(basket()), asked(ours))

    assert len((await stored(reader, [ours]))[ours]) == 1


async def test_a_key_whose_quote_is_past_its_retention_is_a_conflict(database: Database, reader: asyncpg.Connection) -> None:
    key = str(uuid.uuid4())
    async with house(connector(database), books=Books(shop_book())) as served:
        await served.storefront.quote(encoded(basket()), asked(key))
        await reader.execute("DELETE FROM decisions WHERE id = $1", key)
        with pytest.raises(Conflict):
            await served.storefront.quote(encoded(basket()), asked(key))


async def test_duplicates_over_two_processes_are_one_decision(database: Database, reader: asyncpg.Connection) -> None:
    keys = [str(uuid.uuid4()) for _ in range(30)]
    # Two processes that have different versions in force would answer differently, if both answered.
    async with (
        house(connector(database), books=Books(shop_book(1))) as one,
        house(connector(database), books=Books(shop_book(2))) as two,
    ):
        sends = [(house_, key) for key in keys for house_ in (one, two) for _ in range(3)]
        random.Random(SEED).shuffle(sends)
        replies = await asyncio.gather(*(house_.storefront.quote(encoded(basket()), asked(key)) for house_, key in sends))

    by_key: dict[str, set[bytes]] = {key: set() for key in keys}
    for (_, key), reply in zip(sends, replies, strict=True):
        by_key[key].add(reply.body)
    assert {len(bodies) for bodies in by_key.values()} == {1}, f"seed {SEED}"
    assert sum(not reply.is_replay for reply in replies) == len(keys)
    assert {key: {*rows} for key, rows in (await stored(reader, keys)).items()} == by_key
    assert {len(rows) for rows in (await stored(reader, keys)).values()} == {1}


async def test_nothing_is_lost_or_doubled_when_backends_are_killed(database: Database, reader: asyncpg.Connection) -> None:
    choose = random.Random(SEED)
    deadline_s = time.monotonic() + 30
    acknowledged: dict[str, bytes] = {}
    sent: list[str] = []
    kills = 0

    def goes_on() -> bool:
        return (kills < 40 or len(acknowledged) < 1000) and time.monotonic() < deadline_s

    async def client(storefront: Storefront) -> None:
        while goes_on():
            key = str(uuid.uuid4()) if choose.random() < 0.5 else None
            sent.extend([key] if key else [])
            while True:
                try:
                    reply = await storefront.quote(encoded(basket()), asked(key))
                except Unavailable:
                    # A client without an id of its own cannot ask again for the same quote.
                    if key is None:
                        break
                    continue
                acknowledged[id_of(reply)] = reply.body
                break

    async def killer() -> None:
        nonlocal kills
        while goes_on():
            await asyncio.sleep(choose.random() * 0.08)
            kills += await reader.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE application_name = 'centwise lane' AND datname = current_database()"
            )

    async with house(connector(database), books=Books(shop_book())) as served:
        await asyncio.gather(killer(), *(client(served.storefront) for _ in range(24)))

    found = await stored(reader, list(acknowledged))
    print(f"kills {kills}, acknowledged {len(acknowledged)}, seed {SEED}")
    assert kills >= 40
    assert len(acknowledged) >= 1000
    assert found == {quote_id: [reply] for quote_id, reply in acknowledged.items()}, f"seed {SEED}"
    assert {len(rows) for rows in (await stored(reader, sent)).values()} == {1}, f"seed {SEED}"


async def test_beyond_the_bound_it_refuses_at_once(database: Database, reader: asyncpg.Connection) -> None:
    async with house(connector(database), books=Books(shop_book()), limits=LaneLimits(rows_max=5)) as served:
        replies = await asyncio.gather(
            *(served.storefront.quote(encoded(basket()), asked()) for _ in range(8)), return_exceptions=True
        )

    refused = [reply for reply in replies if isinstance(reply, Unavailable)]
    assert len(refused) == 3
    assert refused[0].headers == {"Retry-After": "1"}
    assert served.lane.rows == 0


async def test_a_missing_partition_is_made(database: Database, reader: asyncpg.Connection) -> None:
    future = datetime.now(UTC) + timedelta(days=100)
    async with house(connector(database), books=Books(shop_book()), now_ms=lambda: int(future.timestamp() * 1000)) as served:
        reply = await served.storefront.quote(encoded(basket()), asked())

    assert future.date() in await list_partitions(reader)
    assert len((await stored(reader, [id_of(reply)]))[id_of(reply)]) == 1


async def test_what_postgres_cannot_hold_fails_alone(database: Database, reader: asyncpg.Connection) -> None:
    def price(book: PriceBook, baskets: Sequence[Basket], partial: Sequence[bool]) -> list[EncodedQuote]:
        encoded_ = price_and_encode(book, baskets, partial)
        return [
            one._replace(total_minor=1 << 70) if b.channel == "poison" else one for one, b in zip(encoded_, baskets, strict=True)
        ]

    async with house(connector(database), books=Books(shop_book()), price=price) as served:
        good, bad, keyed = await asyncio.gather(
            served.storefront.quote(encoded(basket()), asked()),
            served.storefront.quote(encoded(basket(channel="poison")), asked()),
            served.storefront.quote(encoded(basket()), asked(str(uuid.uuid4()))),
            return_exceptions=True,
        )

    assert isinstance(good, Reply)
    assert isinstance(keyed, Reply)
    assert isinstance(bad, InternalError)
    assert {len(rows) for rows in (await stored(reader, [id_of(good), id_of(keyed)])).values()} == {1}


async def test_a_basket_that_breaks_the_engine_fails_alone(database: Database, reader: asyncpg.Connection) -> None:
    def price(book: PriceBook, baskets: Sequence[Basket], partial: Sequence[bool]) -> list[EncodedQuote]:
        if any(each.channel == "broken" for each in baskets):
            raise ZeroDivisionError
        return price_and_encode(book, baskets, partial)

    async with house(connector(database), books=Books(shop_book()), price=price) as served:
        good, bad = await asyncio.gather(
            served.storefront.quote(encoded(basket()), asked()),
            served.storefront.quote(encoded(basket(channel="broken")), asked()),
            return_exceptions=True,
        )

    assert isinstance(good, Reply)
    assert isinstance(bad, InternalError)


async def test_a_batch_is_stored_by_one_flush_and_can_be_sent_again(database: Database, reader: asyncpg.Connection) -> None:
    quotes = [basket(("SKU-1", 1 + number % 9)) for number in range(200)]
    quotes[7] = basket(("SKU-9", 1))
    quotes[8] = basket(("SKU-1", 0))
    key = str(uuid.uuid4())
    async with house(connector(database), books=Books(shop_book()), limits=LaneLimits(batch_lines_max=64)) as served:
        first = await served.storefront.batch(encoded({"quotes": quotes}), asked(key))
        again = await served.storefront.batch(encoded({"quotes": quotes}), asked(key))

    count = await reader.fetchval("SELECT count(*) FROM decisions WHERE source = 'batch'")
    assert count == 198
    assert (first.is_replay, again.is_replay) == (False, True)
    assert again.body == first.body
    assert first.body.count(b'{"problem":') == 2
    assert sum(served.metrics.flush_seconds.at().counts) == 2


async def test_quotes_whose_search_was_bounded_are_counted(database: Database) -> None:
    async with house(connector(database), books=Books(crowded_book())) as served:
        bounded = await served.storefront.quote(encoded(basket(("SKU-1", 1))), asked())
        exact = await served.storefront.quote(encoded(basket(("SKU-2", 1))), asked())

    assert b'"selection":"bounded"' in bounded.body
    assert b'"selection":"exact"' in exact.body
    assert served.metrics.selection_bounded.at().n == 1


def crowded_book() -> PriceBook:
    """Thirteen promotions of one group compete for SKU-1, and none for SKU-2."""
    promotion = {
        "name": "P",
        "kind": "percent_off",
        "params": {"percent": "5"},
        "scope": {"include": {"skus": ["SKU-1"]}},
        "group": "g",
    }
    price = {"currency": "USD", "price_list": "default", "unit_price": "1000"}
    documents: dict[str, dict[str, Document]] = {
        "prices": {sku: Document({"sku": sku, **price}, 1) for sku in ("SKU-1", "SKU-2")},
        "promotions": {f"p{number}": Document(promotion, 1) for number in range(13)},
    }
    return compile_price_book(BookRows(1, 1_750_000_000_000_000, documents))


async def test_without_a_database_it_refuses_at_once(database: Database) -> None:
    async def nowhere() -> asyncpg.Connection:
        raise ConnectionRefusedError

    async with house(nowhere, books=Books(shop_book())) as served:
        began_s = time.monotonic()
        with pytest.raises(Unavailable):
            await served.storefront.quote(encoded(basket()), asked())
        took_s = time.monotonic() - began_s
        preview = await served.storefront.preview(encoded(basket()), asked())

    assert took_s < 0.2
    assert preview.body.startswith(b'{"id":null,')
    assert preview.body.endswith(b',"token":null}')


async def test_stopping_finishes_what_is_inside(database: Database, reader: asyncpg.Connection) -> None:
    async with house(connector(database), books=Books(shop_book())) as served:
        inside = [asyncio.create_task(served.storefront.quote(encoded(basket()), asked())) for _ in range(10)]
        await asyncio.sleep(0)
        await served.lane.stop()
        replies = await asyncio.gather(*inside)
        with pytest.raises(Unavailable):
            await served.storefront.quote(encoded(basket()), asked())

    assert {len(rows) for rows in (await stored(reader, [id_of(reply) for reply in replies])).values()} == {1}


async def test_an_acknowledgement_before_the_commit_would_be_noticed(database: Database, reader: asyncpg.Connection) -> None:
    """The planted defect of the kill test: a connection that says it has copied and has not."""

    class Forgetful:
        def __init__(self, connection: asyncpg.Connection) -> None:
            self._connection = connection

        def __getattr__(self, name: str) -> object:
            return getattr(self._connection, name)

        async def copy_to_table(self, *_: object, **__: object) -> str:
            return "COPY 1"

    async def connect() -> asyncpg.Connection:
        return Forgetful(await database.connect())

    async with house(connect, books=Books(shop_book())) as served:
        reply = await served.storefront.quote(encoded(basket()), asked())

    assert (await stored(reader, [id_of(reply)]))[id_of(reply)] == []
