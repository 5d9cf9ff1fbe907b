"""Promise R5: a version reaches every process within a second, is never mixed within a quote and never goes backwards.

Each version gives two SKUs one price. A quote of both that shows two prices has mixed two versions; one that shows another price than the
version it names was made by another book.
"""

import asyncio
import itertools
import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final

import asyncpg
import msgspec

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from app.pricing.basket import Basket
from app.pricing.book import BookRows, Document, PriceBook
from app.pricing.compile import compile_price_book
from app.quotes.encode import EncodedQuote
from app.quotes.pricing_pass import PriceAndEncode
from app.quotes.storefront import Asked
from tests.e2e.shop import basket
from tests.faults.fleet import open_shop_at
from tests.faults.forks import Fork, start
from tests.faults.scale import SEED, scaled
from tests.faults.wire import Wire
from tests.memos import price_and_encode
from tests.quotes_support import CALLER, Books, connector, house

_PODS: Final = 3
_PUBLICATIONS: Final = scaled(30, most=3_000)
_CLIENTS_A_POD: Final = 2
_WATCHED: Final = 50
_BODY: Final = json.dumps(basket(("SKU-1", 1), ("SKU-3", 1))).encode()
# The promise is a second; a machine that runs tests has more to do than one that serves, so the figure is printed and this is the gate.
_ARRIVES_S: Final = 5.0
# A poll comes within a second, is given up after 0.6 s on a frozen connection, and comes again on a new one at once.
_ARRIVES_UNHEARD_S: Final = 6.0
_LISTENERS: Final = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%held_published_at%' AND pid <> pg_backend_pid()"


class _Line(msgspec.Struct):
    unit_price: str


class _Quote(msgspec.Struct):
    id: str
    version: int
    lines: list[_Line]


class Watcher:
    """Looks at each quote as it comes: by process, the version may only rise from one that was answered before it was asked."""

    def __init__(self) -> None:
        self.price_of: dict[int, str] = {}
        self.newest: dict[int, int] = {}
        self.mixed: list[str] = []
        self.backwards: list[str] = []
        self.seen: list[
            tuple[int, str]
        ] = []  # version and price of each, for the publisher may hear of its version later than a client
        self.ids: list[str] = []

    def note(self, pod: int, least: int, body: bytes) -> None:
        quote = msgspec.json.decode(body, type=_Quote)
        prices = {line.unit_price for line in quote.lines}
        if len(prices) != 1:
            self.mixed.append(f"version {quote.version} with {prices}")
        if quote.version < least:
            self.backwards.append(f"version {quote.version} after {least} on {pod}")
        self.newest[pod] = max(self.newest.get(pod, 0), quote.version)
        self.seen.append((quote.version, max(prices)))
        self.ids.append(quote.id)

    def of_another_book(self) -> list[str]:
        """Quotes that do not show the price of the version they name."""
        return [f"version {version} at {price}" for version, price in self.seen if self.price_of.get(version, price) != price]


async def test_versions_arrive_whole_in_order_and_in_time(server: EmbeddedPostgres, tmp_path: Path) -> None:
    random = Random(SEED)
    pods = [await start(tmp_path / str(number), database_url=server.url) for number in range(_PODS)]
    await open_shop_at(pods[0].port)
    watcher = Watcher()
    took_s: list[float] = []
    stopping = asyncio.Event()
    first = await _publish(pods[0], watcher, 2_998)
    while min([await _version(pod) for pod in pods]) < first:
        await asyncio.sleep(0.02)
    clients = [asyncio.create_task(_quote(pods, number % _PODS, watcher, stopping)) for number in range(_PODS * _CLIENTS_A_POD)]
    try:
        for number in range(_PUBLICATIONS):
            version = await _publish(random.choice(pods), watcher, 3_000 + number)
            took_s.append(await _arrival_s(watcher, version, most=_ARRIVES_S))
        frozen = await _listeners(server.url)
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        version = await _publish(random.choice(pods), watcher, 2_999)
        unheard_s = await _arrival_s(watcher, version, most=_ARRIVES_UNHEARD_S)
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        stopping.set()
        await asyncio.gather(*clients)
        replayed = await _replay(pods[0], random.sample(watcher.ids, min(200, len(watcher.ids))))
    finally:
        for client in clients:
            client.cancel()
        for pod in pods:
            await asyncio.to_thread(pod.kill)

    took_s.sort()
    print(
        f"figure: R5: {len(took_s)} versions published under load on {_PODS} processes were in force in all of them after"
        f" {took_s[len(took_s) // 2]:.3f} s (median), {took_s[-1]:.3f} s (longest); with {len(frozen)} listening connections frozen after"
        f" {unheard_s:.3f} s; of {len(watcher.seen)} quotes 0 mixed, 0 of another version, 0 backwards, {replayed} recomputed"
        f" equal, seed {SEED}"
    )
    assert len(frozen) == _PODS
    assert (watcher.mixed, watcher.backwards, watcher.of_another_book()) == ([], [], [])
    assert replayed == min(200, len(watcher.ids))


class _Flickering(Books):
    """A planted defect: the book in force is now this one and now that."""

    def __init__(self, *books: PriceBook) -> None:
        super().__init__(*books)
        self._turns = itertools.cycle(books)

    def current(self) -> PriceBook:
        return next(self._turns)


async def test_versions_that_go_backwards_are_found(fresh_database: Database) -> None:
    found = await _watched(fresh_database, _Flickering(_book(1), _book(2)), price_and_encode)

    print(f"figure: R5 planted: a book in force that flickers: {len(found.backwards)} of {_WATCHED} quotes found, seed none")
    assert found.backwards != []


async def test_quotes_of_another_book_are_found(fresh_database: Database) -> None:
    older = _book(1)

    def late(_: PriceBook, baskets: Sequence[Basket], partial: Sequence[bool]) -> list[EncodedQuote]:
        return price_and_encode(older, baskets, partial)

    found = await _watched(fresh_database, Books(_book(2)), late)

    wrong = found.of_another_book()
    print(f"figure: R5 planted: priced by an older book than named: {len(wrong)} of {_WATCHED} quotes found, seed none")
    assert len(wrong) == _WATCHED


async def _watched(database: Database, books: Books, price: PriceAndEncode) -> Watcher:
    watcher = Watcher()
    watcher.price_of = {version: str(1_000 + version) for version in books.by_version}
    async with house(connector(database), books=books, price=price) as served:
        for _ in range(_WATCHED):
            least = watcher.newest.get(0, 0)
            reply = await served.storefront.quote(_BODY, Asked(CALLER, {}))
            watcher.note(0, least, reply.body)
    return watcher


def _book(version: int) -> PriceBook:
    """Both SKUs at 10.00 and as many cents as its version."""
    prices = {
        f"{sku}|default|USD|": Document(
            {
                "sku": sku,
                "unit_price": str(1_000 + version),
                "currency": "USD",
                "price_list": "default",
                "tiers": None,
                "valid_from": None,
                "valid_to": None,
            },
            1,
        )
        for sku in ("SKU-1", "SKU-3")
    }
    return compile_price_book(BookRows(version, 1_750_000_000_000_000, {"prices": prices}))


async def _version(pod: Fork) -> int:
    async with Wire(pod.port) as wire:
        return int(json.loads((await wire.exchange("GET", "/readyz")).body)["version"] or 0)


async def _quote(pods: list[Fork], pod: int, watcher: Watcher, stopping: asyncio.Event) -> None:
    async with Wire(pods[pod].port) as wire:
        while not stopping.is_set():
            least = watcher.newest.get(pod, 0)
            answer = await wire.exchange("POST", "/v1/quotes", _BODY)
            assert answer.status == 201, answer
            watcher.note(pod, least, answer.body)
            await asyncio.sleep(0.005)


async def _publish(pod: Fork, watcher: Watcher, price: int) -> int:
    """One version in which both SKUs cost the same."""
    rows = b"\n".join(
        json.dumps({"sku": sku, "currency": "USD", "unit_price": str(price)}).encode() for sku in ("SKU-1", "SKU-3")
    )
    async with Wire(pod.port) as wire:
        answer = await wire.exchange(
            "POST", "/v1/import?resource=prices&publish=now", rows, headers={"Content-Type": "application/x-ndjson"}
        )
    assert answer.status == 200, answer
    version = int(json.loads(answer.body)["version"])
    watcher.price_of[version] = str(price)
    return version


async def _arrival_s(watcher: Watcher, version: int, *, most: float) -> float:
    began_s = time.monotonic()
    while min(watcher.newest.get(pod, 0) for pod in range(_PODS)) < version:
        assert time.monotonic() - began_s < most
        await asyncio.sleep(0.002)
    return time.monotonic() - began_s


async def _listeners(url: str) -> list[int]:
    """The server's processes behind the connections that listen, which are known by the question that they ask each second."""
    connection: asyncpg.Connection = await Database(url).connect()
    try:
        async with asyncio.timeout(10):
            while len(found := [row["pid"] for row in await connection.fetch(_LISTENERS)]) < _PODS:
                await asyncio.sleep(0.02)
        return found
    finally:
        await connection.close()


async def _replay(pod: Fork, ids: Sequence[str]) -> int:
    async with Wire(pod.port) as wire:
        answers = [await wire.exchange("POST", f"/v1/decisions/{quote_id}/replay") for quote_id in ids]
    return sum(json.loads(answer.body) == {"equal": True} for answer in answers)
