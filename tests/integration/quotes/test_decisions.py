"""What was decided is found again, byte for byte, and comes out the same when it is recomputed."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import msgspec
import pytest

from app.db.engine import Database
from app.db.partitions import ensure_day
from app.quotes.decisions import DecisionReader
from app.quotes.replay import Replay
from app.quotes.replies import BatchReply, DecisionDetail, DecisionPage, PricesReply, Quote
from tests.memos import price_and_encode
from tests.quotes_support import Books, basket, client_of, connector, doors, encoded, house, shop_book

JSON = {"content-type": "application/json"}


class Shop:
    """A client of one house, and the house's books."""

    def __init__(self, client: httpx.AsyncClient, books: Books, reader: DecisionReader) -> None:
        self.client = client
        self.books = books
        self.reader = reader

    def replay(self) -> Replay:
        return Replay(self.reader, book_of_version=self.books.get, price=price_and_encode, lines_max=8)

    async def quote(self, **more: object) -> httpx.Response:
        response = await self.client.post("/v1/quotes", content=encoded(basket(**more)), headers=JSON)
        assert response.status_code == 201, response.text
        return response


@pytest.fixture
async def shop(fresh_database: Database) -> AsyncIterator[Shop]:
    engine = fresh_database.engine()
    connection = await fresh_database.connect()
    await ensure_day(connection, datetime.now(UTC))
    await connection.close()
    async with house(connector(fresh_database), books=Books(shop_book(1))) as served:
        front, _ = doors(served, engine)
        async with client_of(front) as client:
            yield Shop(client, served.books, DecisionReader(engine))
    await engine.dispose()


async def ids_of(shop: Shop, **filters: str | int) -> list[str]:
    response = await shop.client.get("/v1/decisions", params=filters)
    assert response.status_code == 200, response.text
    return [item.id for item in msgspec.json.decode(response.content, type=DecisionPage).items]


async def test_a_quote_is_read_again_by_its_id(shop: Shop) -> None:
    ours = await shop.quote()
    key = str(uuid.uuid4())
    theirs = await shop.client.post("/v1/quotes", content=encoded(basket()), headers=JSON | {"idempotency-key": key})

    assert (await shop.client.get(f"/v1/quotes/{ours.json()['id']}")).content == ours.content
    assert (await shop.client.get(f"/v1/quotes/{key}")).content == theirs.content
    for nobody in (uuid.uuid4(), uuid.UUID("01970000-0000-7000-8000-000000000000")):
        missing = await shop.client.get(f"/v1/quotes/{nobody}")
        assert (missing.status_code, missing.json()["type"]) == (404, "/problems/not_found")
    assert (await shop.client.get("/v1/quotes/x")).status_code == 422


async def test_decisions_are_found_by_what_is_remembered(shop: Shop) -> None:
    plain = (await shop.quote()).json()["id"]
    coupon = (await shop.quote(codes=["save10"], customer={"id": "c-17"})).json()["id"]
    useless = (await shop.quote(codes=["save10"], lines=[{"sku": "SKU-2", "quantity": "0.001"}])).json()["id"]
    shop.books.by_version[2] = shop_book(2)
    later = (await shop.quote(lines=[{"sku": "SKU-2", "quantity": 1}])).json()

    assert await ids_of(shop) == [later["id"], useless, coupon, plain]
    assert await ids_of(shop, customer="c-17") == [coupon]
    assert await ids_of(shop, sku="SKU-1") == [coupon, plain]
    assert await ids_of(shop, code=" Save10") == [useless, coupon]
    # 10 % of nothing: the promotion did not apply.
    assert await ids_of(shop, promotion="ten-off") == [coupon]
    assert await ids_of(shop, version=2) == [later["id"]]
    assert later["id"] not in await ids_of(shop, to=later["issued_at"])
    assert (await ids_of(shop, **{"from": later["issued_at"]}))[0] == later["id"]


async def test_pages_follow_one_another(shop: Shop) -> None:
    made = [(await shop.quote()).json()["id"] for _ in range(7)]
    seen: list[str] = []
    cursor = None
    while True:
        response = await shop.client.get("/v1/decisions", params={"limit": 3} | ({"cursor": cursor} if cursor else {}))
        page = msgspec.json.decode(response.content, type=DecisionPage)
        seen += [item.id for item in page.items]
        cursor = page.next
        if cursor is None:
            break

    assert seen == made[::-1]
    assert (await shop.client.get("/v1/decisions", params={"cursor": "WzEsIngiXQ"})).status_code == 422
    assert (await shop.client.get("/v1/decisions", params={"sku": "a b"})).status_code == 422
    assert (await shop.client.get("/v1/decisions", params={"from": "2026-11-27T00:00:00"})).status_code == 422


async def test_a_decision_shows_request_and_reply(shop: Shop) -> None:
    quote = await shop.quote(codes=["save10"])

    response = await shop.client.get(f"/v1/decisions/{quote.json()['id']}")

    detail = msgspec.json.decode(response.content, type=DecisionDetail)
    assert bytes(detail.reply) == quote.content
    assert response.json()["request"]["codes"] == ["SAVE10"]
    assert response.json()["request"]["at"] == quote.json()["issued_at"]
    assert (detail.subtotal, detail.discount, detail.total, detail.lines) == (2598, 260, 2338, 1)


async def test_replays_are_equal_whatever_was_published_since(shop: Shop) -> None:
    quotes = [
        await shop.quote(codes=["save10"], shipping=500),
        await shop.quote(at="2026-01-01T00:00:00.5+01:00"),
        await shop.quote(partial=True, lines=[{"sku": "SKU-1", "quantity": 1}, {"sku": "SKU-9", "quantity": "0.5"}]),
        await shop.quote(customer={"id": 'Zoë "Z"', "segments": ["vip"]}, channel="web"),
    ]
    shop.books.by_version[2] = shop_book(2, ten_off="50")
    quotes += [await shop.quote(codes=["save10"]), await shop.quote(version=1, codes=["save10"])]

    for quote in quotes:
        replay = await shop.client.post(f"/v1/decisions/{quote.json()['id']}/replay")
        assert (replay.status_code, replay.content) == (200, b'{"equal":true}')
    report = await shop.replay().replay_last(1000)

    assert (report.decision_count, report.line_count, report.is_equal) == (6, 7, True)


async def test_a_replay_that_differs_says_where(shop: Shop) -> None:
    quote = (await shop.quote(codes=["save10"])).json()
    # The planted defect: the stored version's book is not what it was.
    shop.books.by_version[1] = shop_book(1, ten_off="20")

    replay = (await shop.client.post(f"/v1/decisions/{quote['id']}/replay")).json()
    report = await shop.replay().replay_last(10)

    # 12.99 less 10 % and less 20 % of 25.98 for two: 2338 / 2 and 2078 / 2.
    expected = {"path": "lines[0].net_unit_price", "stored": "1169", "recomputed": "1039"}
    assert replay == {"equal": False, "difference": expected}
    assert [(quote_id, found.path) for quote_id, found in report.differences] == [(quote["id"], "lines[0].net_unit_price")]


async def test_a_version_that_is_gone_is_said_so(shop: Shop) -> None:
    quote = (await shop.quote()).json()
    shop.books.by_version = {2: shop_book(2)}

    replay = await shop.client.post(f"/v1/decisions/{quote['id']}/replay")
    report = await shop.replay().replay_last(10)

    assert replay.status_code == 404
    assert (report.missing_versions, report.is_equal) == ({1: 1}, False)


async def test_replies_are_what_openapi_says(shop: Shop) -> None:
    quote = await shop.quote(codes=["save10"], shipping=500)
    preview = await shop.client.post("/v1/preview", content=encoded(basket()), headers=JSON)
    batch = await shop.client.post("/v1/quotes/batch", content=encoded({"quotes": [basket(), 7]}), headers=JSON)
    prices = await shop.client.post("/v1/prices", content=encoded({"currency": "USD", "skus": ["A", "SKU-1"]}), headers=JSON)

    for response, struct in ((quote, Quote), (preview, Quote), (batch, BatchReply), (prices, PricesReply)):
        assert msgspec.to_builtins(msgspec.json.decode(response.content, type=struct)).keys() == response.json().keys()
