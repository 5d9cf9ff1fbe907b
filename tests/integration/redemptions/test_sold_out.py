"""A coupon and a flash sale are sold out by holds, and quotes follow within two seconds; what was quoted replays as it was."""

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.db.engine import Database
from tests.service import publish, serving

type Quote = dict[str, Any]


class Shop:
    """A till of a whole service, and all that it has quoted."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.quotes: list[Quote] = []

    async def quote(self) -> Quote:
        lines = [{"id": "1", "sku": "MUG", "quantity": 3}]
        reply = await self.client.post("/v1/quotes", json={"currency": "USD", "lines": lines, "codes": ["SAVE"]})
        assert reply.status_code == 201, reply.text
        self.quotes.append(reply.json())
        return self.quotes[-1]

    async def hold(self, quote: Quote, order: str) -> httpx.Response:
        return await self.client.post("/v1/holds", json={"token": quote["token"], "order": order})

    async def until(self, is_so: Callable[[Quote], bool]) -> float:
        """Quote until a quote is so; the seconds that it took."""
        began_s = time.monotonic()
        while not is_so(await self.quote()):
            assert time.monotonic() - began_s < 15, self.quotes[-1]
        return time.monotonic() - began_s

    async def replayed(self) -> set[str]:
        return {(await self.client.post(f"/v1/decisions/{quote['id']}/replay")).text for quote in self.quotes}


@pytest.fixture
async def shop(fresh_database: Database, tmp_path: Path) -> AsyncIterator[Shop]:
    async with serving(fresh_database, tmp_path) as client:
        await publish(client, "/v1/prices/MUG", {"currency": "USD", "unit_price": "1000"})
        flash = {"name": "Flash", "scope": {"include": {"skus": ["MUG"]}}, "currency": "USD", "unit_price": "600", "stock_cap": 8}
        await publish(client, "/v1/sale-prices/flash", flash)
        ten = {"name": "Ten", "kind": "percent_off", "params": {"percent": "10"}, "currency": "USD", "requires_code": True}
        await publish(client, "/v1/promotions/ten", ten)
        await publish(client, "/v1/coupons/save", {"promotion": "ten", "codes": ["SAVE"], "limits": {"uses": 3}})
        yield Shop(client)


def told(quote: Quote) -> dict[str, int | str]:
    return {one["limit"]: one["left"] for one in quote.get("limited", ())}


async def test_quotes_follow_holds_until_all_is_sold_and_when_it_is_given_back(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    first = await shop.quote()
    assert (told(first), first["total"]) == ({"coupon_uses": 3, "units": "8"}, 1620)
    holds = [await shop.hold(first, "o-1"), await shop.hold(await shop.quote(), "o-2")]
    assert [hold.status_code for hold in holds] == [201, 201]

    took_s = [await shop.until(lambda quote: told(quote) == {"coupon_uses": 1, "units": "2"})]
    # Two at 600 and one at 1000, less a tenth.
    last = shop.quotes[-1]
    assert (last["subtotal"], last["total"]) == (2200, 1980)
    assert last["lines"][0]["price_steps"][-1]["units"] == "2"
    too_late = await shop.quote()
    assert (await shop.hold(last, "o-3")).status_code == 201

    took_s.append(await shop.until(lambda quote: told(quote) == {"coupon_uses": 0, "units": "0"}))
    assert shop.quotes[-1]["total"] == 3000
    assert shop.quotes[-1]["not_applied"] == [
        {"rule": "ten", "code": "SAVE", "reason": "limit_reached", "limit": "coupon_uses", "left": 0}
    ]
    # Who was quoted before comes too late, and is told so.
    refused = await shop.hold(too_late, "o-4")
    assert refused.status_code == 409
    assert {error["path"] for error in refused.json()["errors"]} == {"coupons/save/uses", "sale-prices/flash/units"}
    # What is quoted when all is gone draws on nothing.
    assert (await shop.hold(shop.quotes[-1], "o-5")).json()["draws"] == []

    released = await shop.client.post(f"/v1/holds/{holds[0].json()['id']}/release", json={})
    assert released.status_code == 200, released.text
    took_s.append(await shop.until(lambda quote: told(quote) == {"coupon_uses": 1, "units": "3"}))
    assert shop.quotes[-1]["total"] == 1620
    assert max(took_s) < 2
    assert await shop.replayed() == {'{"equal":true}'}
    with capsys.disabled():
        print(f"\nsold out: {len(shop.quotes)} quotes, all replay; they followed after {', '.join(f'{s:.1f}' for s in took_s)} s")
