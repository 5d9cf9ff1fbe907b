"""What lies beyond the lines goes through every door alike, is stored with the decision, and comes out the same when it is recomputed."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest

from app.db.engine import Database
from app.db.partitions import ensure_day
from app.pricing.book import BookRows, Document, PriceBook
from app.pricing.compile import compile_price_book
from app.quotes.replies import DecisionDetail, Quote
from tests.quotes_support import Books, basket, client_of, connector, doors, encoded, house
from tests.reference.builders import amount_off, only, prices, promotion

JSON = {"content-type": "application/json"}
SHARED = [{"party": "acme", "percent": "50"}]


def beyond_book() -> PriceBook:
    documents: dict[str, dict[str, Any]] = {
        "prices": prices(**{"SKU-1": "1299", "SKU-2": "250"}),
        "policy": {"default": {"cash_rounding": 5, "points": {"USD": {"worth": "1", "max_percent": "50", "earn": "0.1"}}}},
        "promotions": {
            "order": amount_off(101, level="order", funding=SHARED),
            "gift": promotion("gift", {"skus": ["SKU-2"]}, level="order", requires_code=True),
            "double": promotion("points", {"multiplier": "2"}, level="order", scope=only(skus=["SKU-2"])),
            "half": promotion("shipping", {"percent": "50"}, level="shipping", funding=SHARED),
        },
        "coupons": {"c": {"promotion": "gift", "codes": ["GIFT"]}},
    }
    whole = {resource: {name: Document(body, 2) for name, body in bodies.items()} for resource, bodies in documents.items()}
    return compile_price_book(BookRows(1, 1_750_000_000_000_000, whole))


@pytest.fixture
async def client(fresh_database: Database) -> AsyncIterator[httpx.AsyncClient]:
    engine = fresh_database.engine()
    connection = await fresh_database.connect()
    await ensure_day(connection, datetime.now(UTC))
    await connection.close()
    async with house(connector(fresh_database), books=Books(beyond_book())) as served:
        front, _ = doors(served, engine)
        async with client_of(front) as found:
            yield found
    await engine.dispose()


def apart(reply: dict[str, Any]) -> dict[str, Any]:
    """A reply without what is its own."""
    return {name: value for name, value in reply.items() if name not in ("id", "token", "issued_at", "expires_at")}


@pytest.mark.parametrize(
    "more", [{"codes": ["gift"], "points": 300}, {}, {"shipping": None}], ids=["all", "known", "no-shipping"]
)
async def test_every_door_says_the_same_and_the_decision_keeps_it(client: httpx.AsyncClient, more: dict[str, Any]) -> None:
    request = basket(("SKU-1", 2), ("SKU-2", 1), **({"shipping": 501} | more))
    # More than once, so that the later ones are put together from lines that are remembered.
    quotes = [await client.post("/v1/quotes", content=encoded(request), headers=JSON) for _ in range(4)]
    batch = await client.post("/v1/quotes/batch", content=encoded({"quotes": [request]}), headers=JSON)
    preview = await client.post("/v1/preview", content=encoded(request), headers=JSON)

    assert {quote.status_code for quote in quotes} == {201}
    replies = [*(quote.json() for quote in quotes), batch.json()["results"][0]["quote"], preview.json()]
    assert [apart(reply) for reply in replies] == [apart(replies[0])] * 6
    for quote in quotes:
        reply = msgspec.json.decode(quote.content, type=Quote)
        stored = await client.get(f"/v1/decisions/{reply.id}")
        detail = msgspec.json.decode(stored.content, type=DecisionDetail)
        assert bytes(detail.reply) == quote.content
        assert (detail.subtotal, detail.discount, detail.total) == (reply.subtotal, reply.discount, reply.total)
        replay = await client.post(f"/v1/decisions/{reply.id}/replay")
        assert (replay.status_code, replay.content) == (200, b'{"equal":true}')


async def test_the_reply_is_worked_by_hand(client: httpx.AsyncClient) -> None:
    request = basket(("SKU-1", 2), ("SKU-2", 1), shipping=501, codes=["gift"], points=300)

    reply = (await client.post("/v1/quotes", content=encoded(request), headers=JSON)).json()

    # 2598 + 250 less 101 is 2747: 2506 and 241. Half of 501 is 250.5, rounded to 251; 250 are left.
    assert (reply["subtotal"], reply["discount"]) == (2848, 101)
    assert [line["total"] for line in reply["lines"]] == [2506, 241]
    assert (reply["shipping"]["discount"], reply["shipping"]["total"]) == (251, 250)
    assert reply["shipping"]["adjustments"][0]["funding"] == [{"party": "acme", "amount": 126}]
    # 300 points: 273.68 and 26.32 of them on the lines, so that 2232 and twice 215 earn.
    assert {name: reply["points"][name] for name in ("redeemed", "amount", "earned")} == {
        "redeemed": 300,
        "amount": 300,
        "earned": 266,
    }
    assert reply["points"]["multipliers"][0]["rule"] == "double"
    assert (reply["gifts"][0]["skus"], reply["gifts"][0]["worth"], reply["gifts"][0]["code"]) == (["SKU-2"], 250, "GIFT")
    # 2747 + 250 − 300 is 2697, in coins of five 2695.
    assert reply["adjustments"][-1] == {
        "kind": "cash_rounding",
        "rule": "cash_rounding",
        "revision": 2,
        "name": "Cash rounding",
        "amount": -2,
    }
    assert reply["total"] == 2695
    # Of 101 acme bears 50.5, and the tie goes to it: 51, of which 46.5 and 4.5 fall on the 92 and the 9 of the lines.
    assert reply["adjustments"][0]["funding"] == [{"party": "acme", "amount": 51}]
    assert [line["adjustments"][0]["funding"][0]["amount"] for line in reply["lines"]] == [46, 5]
