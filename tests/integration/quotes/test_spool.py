"""`durability = spool`: while the database is away quotes are kept on this machine's disk, and stored exactly once when it is back."""

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import httpx
import pytest
from asyncpg.pgproto.pgproto import UUID

from app.db.engine import Database
from app.quotes.decision import Decision
from app.quotes.spool_log import SpoolLog, take_slot
from tests.faults.proxy import Proxy
from tests.quotes_support import basket
from tests.service import publish, serving

_LOCAL = b',"durability":"local"}'


@contextlib.asynccontextmanager
async def shop_behind(
    proxy: Proxy, database: Database, folder: Path, *, durability: str = "spool", **settings: str
) -> AsyncIterator[httpx.AsyncClient]:
    """A service with one price that reaches its database by way of the proxy."""
    parts = urlsplit(database.url)
    through = replace(
        database, url=urlunsplit(parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{proxy.port}"))
    )
    async with serving(through, folder, durability=durability, flush_seconds="0.3", **settings) as client:
        await publish(client, "/v1/prices/SKU-1", {"currency": "USD", "unit_price": "1299"})
        yield client


@pytest.fixture
async def proxy(fresh_database: Database) -> AsyncIterator[Proxy]:
    async with Proxy(urlsplit(fresh_database.url).port or 0) as between:
        yield between


@pytest.fixture
async def reader(fresh_database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await fresh_database.connect()
    yield connection
    await connection.close()


async def replies(reader: asyncpg.Connection) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for row in await reader.fetch("SELECT id, reply FROM decisions"):
        found.setdefault(str(row["id"]), []).append(row["reply"])
    return found


async def metric(client: httpx.AsyncClient, name: str) -> float:
    text = (await client.get("/metrics")).text
    return next(float(line.split(" ")[1]) for line in text.splitlines() if line.startswith(name + " "))


async def until(fact: Callable[[], Awaitable[bool]], *, seconds: float = 15.0) -> None:
    began_s = time.monotonic()
    while not await fact():
        assert time.monotonic() - began_s < seconds
        await asyncio.sleep(0.02)


async def test_a_quote_while_the_database_is_away_is_kept_answered_found_and_stored(
    proxy: Proxy, fresh_database: Database, reader: asyncpg.Connection, tmp_path: Path
) -> None:
    async with shop_behind(proxy, fresh_database, tmp_path) as client:
        before = await client.post("/v1/quotes", json=basket(("SKU-1", 1)))
        await proxy.refuse()
        first = await client.post("/v1/quotes", json=basket(("SKU-1", 2), customer={"id": "c-1"}, codes=["none"]))
        began_s = time.monotonic()
        second = await client.post("/v1/quotes", json=basket(("SKU-1", 3)))
        took_s = time.monotonic() - began_s
        batch = await client.post("/v1/quotes/batch", json={"quotes": [basket(("SKU-1", 4)), basket(("SKU-1", 5))]})
        keyed = await client.post("/v1/quotes", json=basket(), headers={"Idempotency-Key": "o-1"})
        found = await client.get(f"/v1/quotes/{first.json()['id']}")
        decision = await client.get(f"/v1/decisions/{first.json()['id']}")
        other = await client.get(f"/v1/quotes/{before.json()['id']}")
        ready = await client.get("/readyz")
        waiting = await metric(client, "pricing_spool_waiting")
        on_disk = await metric(client, "pricing_spool_bytes")
        oldest_s = await metric(client, "pricing_spool_oldest_seconds")
        await proxy.accept()
        await until(lambda: _is_drained(client))
        again = await client.get(f"/v1/quotes/{first.json()['id']}")
        replayed = await client.post(f"/v1/decisions/{first.json()['id']}/replay")
        counted = [await metric(client, name) for name in ("pricing_spooled_total", "pricing_spool_drained_total")]

    quotes = [first.content, second.content, *(_raw(result["quote"]) for result in batch.json()["results"])]
    assert [reply.status_code for reply in (before, first, second, batch, keyed, other)] == [201, 201, 201, 200, 503, 503]
    assert not before.content.endswith(_LOCAL)
    assert first.content.endswith(_LOCAL)
    assert second.content.endswith(_LOCAL)
    assert all(result["quote"]["durability"] == "local" for result in batch.json()["results"])
    assert keyed.headers["Retry-After"] == "1"
    assert took_s < 0.3  # the first one has found out, nobody waits after it
    assert (found.content, again.content) == (first.content, first.content)
    assert decision.json()["customer"] == "c-1"
    assert ready.status_code == 200
    assert (waiting, on_disk > 1_000, 0 <= oldest_s < 60) == (4, True, True)
    assert counted == [4, 4]
    stored = await replies(reader)
    assert [stored[_id(quote)] for quote in (before.content, first.content, second.content)] == [
        [before.content],
        [first.content],
        [second.content],
    ]
    assert len(stored) == 1 + len(quotes)
    assert (replayed.status_code, replayed.json()) == (200, {"equal": True})
    assert list(tmp_path.glob("spool/*/*.log")) == []


async def test_a_batch_that_was_committed_unheard_ends_as_the_client_was_told(
    proxy: Proxy, fresh_database: Database, reader: asyncpg.Connection, tmp_path: Path
) -> None:
    async with shop_behind(proxy, fresh_database, tmp_path) as client:
        await client.post("/v1/quotes", json=basket(("SKU-1", 1)))
        proxy.deafen()
        told = await client.post("/v1/quotes", json=basket(("SKU-1", 2)))
        committed = await replies(reader)
        proxy.cut()
        await until(lambda: _is_drained(client))

    stored = await replies(reader)
    assert (told.status_code, told.content[-len(_LOCAL) :]) == (201, _LOCAL)
    assert committed[_id(told.content)] == [told.content[: -len(_LOCAL)] + b"}"]
    assert stored[_id(told.content)] == [told.content]
    assert len(stored) == 2


async def test_a_decision_that_postgres_refuses_is_set_aside_and_holds_nobody_up(
    proxy: Proxy, fresh_database: Database, reader: asyncpg.Connection, tmp_path: Path
) -> None:
    async with shop_behind(proxy, fresh_database, tmp_path) as client:
        await reader.execute("ALTER TABLE decisions ADD CHECK (customer IS DISTINCT FROM 'odd')")
        await proxy.refuse()
        sent = [await client.post("/v1/quotes", json=basket(("SKU-1", 1), customer={"id": name})) for name in ("a", "odd", "b")]
        await proxy.accept()
        await until(lambda: _is_drained(client))
        aside = await metric(client, "pricing_spool_set_aside")

    assert [reply.status_code for reply in sent] == [201, 201, 201]
    assert await replies(reader) == {reply.json()["id"]: [reply.content] for reply in (sent[0], sent[2])}
    assert aside == 1
    kept = SpoolLog(tmp_path / "spool" / "0", octets_max=1 << 20)
    (tmp_path / "spool" / "0" / "aside.log").rename(tmp_path / "spool" / "0" / "00000099.log")
    kept.open()
    [file] = kept.seal()
    assert [str(one.id) for one in kept.decisions(file)[0]] == [sent[1].json()["id"]]


async def test_a_full_spool_is_told_and_previews_go_on(proxy: Proxy, fresh_database: Database, tmp_path: Path) -> None:
    async with shop_behind(proxy, fresh_database, tmp_path, spool_bytes=str(1 << 20)) as client:
        await proxy.refuse()
        long = basket(*[("SKU-1", number) for number in range(1, 500)])
        statuses = [(await client.post("/v1/quotes", json=long)).status_code for _ in range(12)]
        full = await client.post("/v1/quotes", json=long)
        preview = await client.post("/v1/preview", json=basket(("SKU-1", 1)))

    assert statuses[0] == 201
    assert (full.status_code, full.headers["Retry-After"], preview.status_code) == (503, "1", 200)


@pytest.mark.parametrize("durability", ["spool", "strict"])
async def test_what_a_dead_process_left_is_drained_at_the_next_start(
    proxy: Proxy, fresh_database: Database, reader: asyncpg.Connection, tmp_path: Path, durability: str
) -> None:
    left = {}
    issued_at = datetime(2026, 3, 1, 12, tzinfo=UTC)  # a day that has no partition
    slots = [take_slot(tmp_path / "spool") for _ in range(2)]
    for number, slot in enumerate(slots):
        log = SpoolLog(slot.folder, octets_max=1 << 20)
        log.open()
        fields = (1, "USD", None, None, ["A", "B"], 3, 1, 2, 1, "quote", b"{}", b"told")
        one = Decision(issued_at + timedelta(days=number), UUID(uuid.uuid4().bytes), *fields)
        log.append([one])
        left[str(one.id)] = [one.reply]
    for slot in slots:
        slot.release()

    async with shop_behind(proxy, fresh_database, tmp_path, durability=durability) as client:
        await until(lambda: _is_gone(tmp_path))
        sent = await client.post("/v1/quotes", json=basket(("SKU-1", 1)))

    assert await replies(reader) == left | {sent.json()["id"]: [sent.content]}


async def _is_drained(client: httpx.AsyncClient) -> bool:
    """Whether all is stored, and the process knows that the database answers: the log learns it up to 0.35 s before the pulse."""
    names = ("pricing_spool_waiting", "pricing_database_up")
    return [await metric(client, name) for name in names] == [0, 1]


async def _is_gone(folder: Path) -> bool:
    return not list(folder.glob("spool/*/*.log"))


def _id(quote: bytes) -> str:
    return quote[7:43].decode()


def _raw(quote: dict[str, str]) -> bytes:
    return quote["id"].encode()
