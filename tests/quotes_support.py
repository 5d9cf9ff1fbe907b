"""A small shop and the quote service around it, as main wires it, for tests of several levels."""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg
import httpx
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.types import ASGIApp, Scope

from app.db.engine import Database
from app.errors import VersionNotReached
from app.metrics import Metrics
from app.pricebook.load import NoSuchVersion
from app.pricing.basket import Left
from app.pricing.book import BookRows, Document, PriceBook
from app.pricing.compile import compile_price_book
from app.quotes.decisions import DecisionReader
from app.quotes.front import Endpoint, FrontTable, endpoints
from app.quotes.ids import IssueClock
from app.quotes.lane import LaneLimits, QuoteLane
from app.quotes.listing import Listing, list_prices
from app.quotes.openapi import declare_structs
from app.quotes.preview import PreviewLane
from app.quotes.pricing_pass import PriceAndEncode, Pricing
from app.quotes.replay import Replay
from app.quotes.router import decisions_router, storefront_router
from app.quotes.standing import Standings
from app.quotes.store import DecisionStore
from app.quotes.storefront import Storefront
from app.quotes.tokens import KeyRing, SigningKey
from app.web.admission import Admission
from app.web.auth import SCOPES, Principal
from app.web.gate import Gate
from app.web.problem_handlers import install_problem_handlers
from tests.memos import MEMOS, price_and_encode

KEYS = KeyRing([SigningKey("new", b"n" * 32), SigningKey("old", b"o" * 32)], issuer="centwise")
CALLER = Principal("tests", frozenset(SCOPES))
STOREFRONT_ONLY = Principal("till", frozenset({"quote"}))
EVERYTHING: dict[str, Any] = {"include": {}, "exclude": {}}


def shop_book(version: int = 1, *, ten_off: str = "10") -> PriceBook:
    """SKU-1 at 12.99 with tiers, SKU-2 at 2.50, SKU-3 in EUR alone; the code SAVE10 takes `ten_off` percent off."""
    prices: list[dict[str, Any]] = [
        {
            "sku": "SKU-1",
            "unit_price": "1299",
            "tiers": {
                "mode": "volume",
                "steps": [
                    {"up_to": "9", "unit_price": "1299", "flat_fee": 0},
                    {"up_to": None, "unit_price": "999", "flat_fee": 0},
                ],
            },
        },
        {"sku": "SKU-2", "unit_price": "250"},
        {"sku": "SKU-3", "unit_price": "100", "currency": "EUR"},
    ]
    defaults: dict[str, Any] = {"currency": "USD", "price_list": "default", "tiers": None, "valid_from": None, "valid_to": None}
    whole = [defaults | one for one in prices]
    ten = {
        "name": "Ten off",
        "kind": "percent_off",
        "params": {"percent": ten_off},
        "level": "line",
        "currency": "USD",
        "scope": EVERYTHING,
        "requires_code": True,
    }
    documents: dict[str, dict[str, Document]] = {
        "prices": {f"{one['sku']}|default|{one['currency']}|": Document(one, 1) for one in whole},
        "promotions": {"ten-off": Document(ten, 3)},
        "coupons": {"SAVE10": Document({"promotion": "ten-off", "codes": ["SAVE10"]}, 1)},
    }
    return compile_price_book(BookRows(version, 1_750_000_000_000_000, documents))


class Books:
    """Which books there are; the highest version is in force."""

    def __init__(self, *books: PriceBook) -> None:
        self.by_version = {book.version: book for book in books}

    def current(self) -> PriceBook:
        return self.by_version[max(self.by_version)]

    async def get(self, version: int) -> PriceBook:
        if version not in self.by_version:
            raise NoSuchVersion(version)
        return self.by_version[version]

    async def wait_for_version(self, version: int, timeout_s: float) -> PriceBook:
        if version > self.current().version:
            raise VersionNotReached(f"not within {timeout_s:g} s")
        return self.current()


class NobodyCounted:
    """A shop without limits by customer and by code."""

    has_any = False

    async def told(self, priced: Sequence[tuple[str | None, bytes]]) -> list[tuple[Left, ...]]:
        raise AssertionError(priced)


@dataclass(frozen=True, slots=True)
class House:
    """The quote service of one process."""

    lane: QuoteLane
    storefront: Storefront
    table: tuple[Endpoint, ...]
    metrics: Metrics
    books: Books
    standings: Standings


@contextlib.asynccontextmanager
async def house(
    connect: Callable[[], Awaitable[asyncpg.Connection]],
    *,
    books: Books,
    limits: LaneLimits | None = None,
    price: PriceAndEncode = price_and_encode,
    now_ms: Callable[[], int] | None = None,
    store_class: type[DecisionStore] = DecisionStore,
) -> AsyncIterator[House]:
    """Start the service's quote part and stop it at the end."""
    limits = limits or LaneLimits()
    metrics = Metrics()
    clock = IssueClock() if now_ms is None else IssueClock(now_ms)
    standings = Standings()
    pricing = Pricing(
        current_book=books.current,
        price=price,
        standings=standings,
        personal=NobodyCounted(),
        metrics=metrics,
        lines_max=limits.batch_lines_max,
    )
    store = store_class(connect, metrics=metrics)
    lane = QuoteLane(pricing=pricing, store=store, keys=KEYS, metrics=metrics, limits=limits, quote_ttl_s=900, clock=clock)
    previews = PreviewLane(pricing=pricing, limits=limits, quote_ttl_s=900, clock=clock, metrics=metrics)
    listing = Listing(
        current_book=books.current,
        price=list_prices,
        standings=standings,
        clock=clock,
        metrics=metrics,
        lines_max=limits.batch_lines_max,
        memos=MEMOS,
    )
    storefront = Storefront(
        lane=lane,
        previews=previews,
        listing=listing,
        book_of_version=books.get,
        wait_for_version=books.wait_for_version,
        metrics=metrics,
    )
    previews.start()
    await lane.start()
    try:
        yield House(lane, storefront, endpoints(storefront, quote_octets_max=64 << 10), metrics, books, standings)
    finally:
        await lane.stop()
        await previews.stop()


class Caller:
    """Stands in for the authenticator: everybody is `principal`."""

    def __init__(self, principal: Principal = CALLER) -> None:
        self.principal = principal

    async def authenticate(self, scope: Scope, *scopes: str) -> Principal:
        self.principal.require(*scopes)
        return self.principal

    def known(self, headers: Mapping[bytes, bytes], client: Sequence[Any] | None) -> Principal | None:
        return self.principal


def doors(served: House, engine: AsyncEngine, *, caller: Caller | None = None) -> tuple[FrontTable, FastAPI]:
    """The front table with FastAPI behind it, and that FastAPI by itself."""
    caller = caller or Caller()
    api = FastAPI(redirect_slashes=False)
    api.state.authenticator = caller
    install_problem_handlers(api)
    reader = DecisionReader(engine)
    replay = Replay(reader, book_of_version=served.books.get, price=price_and_encode, lines_max=2048)
    api.include_router(storefront_router(served.table, authenticate=caller.authenticate, read_s=0.3))
    api.include_router(decisions_router(reader, replay))
    declare_structs(api)
    admission = Admission(target_s=60, metrics=served.metrics)
    gate = Gate(admission, connections_max=10_000, connections_per_address_max=None, metrics=served.metrics)
    return FrontTable(api, served.table, callers=caller, metrics=served.metrics, read_s=0.3, gate=gate), api


def client_of(app: ASGIApp) -> httpx.AsyncClient:
    """A client that speaks to the app without a network."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


def basket(*lines: tuple[str, int | str], **more: Any) -> dict[str, Any]:
    """A request for lines of (SKU, quantity) in USD; by default two of SKU-1."""
    asked = lines or (("SKU-1", 2),)
    return {"currency": "USD", "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in asked]} | more


def encoded(request: Mapping[str, Any]) -> bytes:
    return json.dumps(request).encode()


def connector(database: Database) -> Callable[[], Awaitable[asyncpg.Connection]]:
    """What a lane connects by."""
    return lambda: database.connect(application="centwise lane")
