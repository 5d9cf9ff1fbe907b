"""What customers and codes have used up is told at the quote, before anything is held."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from app.db.engine import Database, DatabaseUnreachable
from app.pricing.basket import Left
from app.pricing.quote import price_baskets
from app.quotes.encode import encode_quotes
from app.redemptions.limits import Limits
from app.redemptions.personal import Personal
from tests.integration.redemptions.rows import stand
from tests.quotes_support import basket, connector
from tests.reference.agreement import as_basket, compiled
from tests.reference.builders import prices
from tests.service import publish, serving

ONCE = {"uses_per_customer": 1}


def ten(percent: int, **more: Any) -> dict[str, Any]:
    return {"name": "P", "kind": "percent_off", "params": {"percent": str(percent)}, "currency": "USD", "scope": {}} | more


class Shop:
    """A storefront's view of the service."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self._orders = 0

    async def quote(self, customer: str | None, *lines: tuple[str, int], path: str = "/v1/quotes", **more: Any) -> dict[str, Any]:
        who = {} if customer is None else {"customer": {"id": customer}}
        reply = await self.client.post(path, json=basket(*lines, **who, **more))
        assert reply.is_success, reply.text
        return dict(reply.json())

    async def hold(self, quote: dict[str, Any]) -> httpx.Response:
        self._orders += 1
        return await self.client.post("/v1/holds", json={"quote": quote["id"], "order": f"o-{self._orders}"})

    async def buy(self, quote: dict[str, Any]) -> None:
        held = await self.hold(quote)
        assert held.status_code == 201, held.text
        confirmed = await self.client.post(f"/v1/holds/{held.json()['id']}/confirm", json={"order": f"o-{self._orders}"})
        assert confirmed.is_success, confirmed.text


@pytest.fixture
async def shop(fresh_database: Database, tmp_path: Path) -> AsyncIterator[Shop]:
    async with serving(fresh_database, tmp_path) as client:
        for sku in ("MUG", "PAN"):
            await publish(client, f"/v1/prices/{sku}", {"currency": "USD", "unit_price": "1000"})
        yield Shop(client)


def told(quote: dict[str, Any]) -> tuple[int, Any, Any]:
    return quote["total"], quote["not_applied"], quote.get("limited")


async def test_a_promotion_that_a_customer_has_used_up_says_so_and_replays(shop: Shop) -> None:
    await publish(shop.client, "/v1/promotions/once", ten(10, limits=ONCE))
    first = await shop.quote("c-1", ("MUG", 1))
    assert told(first) == (900, [], None)
    await shop.buy(first)

    again = await shop.quote("c-1", ("MUG", 1))

    counter = {"limit": "uses_per_customer", "left": 0}
    used_up = (1000, [{"rule": "once", "reason": "limit_reached", **counter}], [{"rule": "once", **counter}])
    assert told(again) == used_up
    assert told(await shop.quote("c-1", ("MUG", 1), path="/v1/preview")) == used_up
    assert told(await shop.quote("c-2", ("MUG", 1))) == (900, [], None)
    assert told(await shop.quote(None, ("MUG", 1))) == (900, [], None)
    replayed = await shop.client.post(f"/v1/decisions/{again['id']}/replay")
    assert replayed.json()["equal"] is True, replayed.text


async def test_what_is_held_may_be_held_for_this_very_basket(shop: Shop) -> None:
    await publish(shop.client, "/v1/promotions/once", ten(10, limits=ONCE))
    held = await shop.hold(await shop.quote("c-1", ("MUG", 1)))
    assert held.status_code == 201

    changed = await shop.quote("c-1", ("MUG", 2))

    assert told(changed) == (1800, [], None)
    assert (await shop.hold(changed)).status_code == 409
    assert (await shop.client.post(f"/v1/holds/{held.json()['id']}/release", json={"order": "o-1"})).is_success
    assert (await shop.hold(changed)).status_code == 201


async def test_what_comes_next_may_be_used_up_as_well(shop: Shop) -> None:
    for percent in (30, 20):
        await publish(shop.client, f"/v1/promotions/p{percent}", ten(percent, group="g", limits=ONCE))
    await publish(shop.client, "/v1/promotions/p10", ten(10, group="g"))

    totals = []
    for _ in range(4):
        quote = await shop.quote("c-1", ("MUG", 1))
        totals.append(quote["total"])
        await shop.buy(quote)

    assert totals == [700, 800, 900, 900]
    assert [(one["rule"], one["reason"]) for one in quote["not_applied"]] == [("p20", "limit_reached"), ("p30", "limit_reached")]


async def test_a_code_that_is_used_up_is_no_other_code(shop: Shop) -> None:
    await publish(shop.client, "/v1/promotions/coded", ten(10, requires_code=True))
    coupon = {"promotion": "coded", "codes": ["SAVE", "KEEP"], "limits": {"uses_per_code": 1, "uses_per_customer": 2}}
    await publish(shop.client, "/v1/coupons/c", coupon)
    await shop.buy(await shop.quote("c-1", ("MUG", 1), codes=["save"]))

    spent, kept = [await shop.quote("c-2", ("MUG", 1), codes=[code]) for code in ("save", "keep")]
    of_who_has_one_left = await shop.quote("c-1", ("MUG", 1), codes=["keep"])

    counter = {"limit": "coupon_uses_per_code", "left": 0}
    entry = {"rule": "coded", "code": "SAVE", "reason": "limit_reached", **counter}
    assert told(spent) == (1000, [entry], [{"rule": "c", **counter, "code": "SAVE"}])
    assert told(kept) == (900, [], None)
    assert told(of_who_has_one_left) == (900, [], [{"rule": "c", "limit": "coupon_uses_per_customer", "left": 1}])


async def test_a_customer_gets_so_many_units_of_a_sale(shop: Shop) -> None:
    sale = {"name": "Flash", "scope": {}, "currency": "USD", "percent": "50", "per_customer_cap": 3}
    await publish(shop.client, "/v1/sale-prices/flash", sale)
    await shop.buy(await shop.quote("c-1", ("MUG", 2)))

    one_left, all_left, unknown = [await shop.quote(who, ("MUG", 4)) for who in ("c-1", "c-2", None)]

    limited = {"rule": "flash", "limit": "units_per_customer"}
    assert told(one_left) == (3500, [], [{**limited, "left": "1"}])
    assert told(all_left) == (2500, [], [{**limited, "left": "3"}])
    assert told(unknown) == (2000, [], None)
    await shop.buy(one_left)
    assert told(await shop.quote("c-1", ("MUG", 1)))[0] == 1000


async def test_a_batch_is_asked_for_together_and_each_basket_told_of_its_own(shop: Shop) -> None:
    await publish(shop.client, "/v1/promotions/once", ten(10, limits=ONCE))
    await shop.buy(await shop.quote("c-1", ("MUG", 1)))
    customers = ["c-1", "c-2", None, "c-1"]
    asked = [basket(("MUG", 1), **({} if who is None else {"customer": {"id": who}})) for who in customers]

    results = (await shop.client.post("/v1/quotes/batch", json={"quotes": asked})).json()["results"]

    assert [one["quote"]["total"] for one in results] == [1000, 900, 900, 1000]


async def test_a_quote_of_another_time_or_version_is_told_of_nothing(shop: Shop) -> None:
    await publish(shop.client, "/v1/promotions/once", ten(10, limits=ONCE))
    first = await shop.quote("c-1", ("MUG", 1))
    await shop.buy(first)

    for then in ({"version": first["version"]}, {"at": first["issued_at"]}):
        assert told(await shop.quote("c-1", ("MUG", 1), path="/v1/preview", **then)) == (900, [], None)
    assert told(await shop.quote("c-1", ("MUG", 1)))[0] == 1000


def bodies(customers: Sequence[str]) -> tuple[Limits, list[tuple[str | None, bytes]]]:
    """The limits of a book whose one promotion may be used once a day by each customer, and priced baskets of some."""
    schedule = {"timezone": "Europe/Berlin"}
    promotion = ten(10, schedule=schedule, limits={"uses_per_customer_per_day": 1})
    at_us = 1_790_000_000_000_000
    book = compiled({"prices": prices(MUG="1000"), "promotions": {"daily": promotion}}, {}, at_us)
    own = as_basket({"currency": "USD", "lines": [{"id": "1", "sku": "MUG", "quantity": 1}]}, at_us)
    encoded = encode_quotes(book, [own], price_baskets(book, [own]), partial=[False])[0]
    limits = Limits(book.version, book.sources.documents, book.promotions.codes)
    return limits, [(customer, encoded.body) for customer in customers]


async def test_a_day_ends_at_midnight_of_the_schedule(fresh_database: Database, meters: asyncpg.Connection) -> None:
    limits, priced = bodies(["c/1", "c-2"])
    await stand(meters, "promotions/daily/customers/c%2F1/day/2026-11-23", cap=1, used=1)
    now = datetime(2026, 11, 23, 22, 59, 59, tzinfo=UTC)
    personal = Personal(connector(fresh_database), limits=lambda: limits, now=lambda: now)

    today = await personal.told(priced)
    now = datetime(2026, 11, 23, 23, 0, tzinfo=UTC)
    tomorrow = await personal.told(priced)
    await personal.stop()

    assert today == [(Left("daily", "uses_per_customer_per_day", 0),), ()]
    assert tomorrow == [(), ()]


async def test_a_cap_of_a_newer_version_is_the_one_that_counts(fresh_database: Database, meters: asyncpg.Connection) -> None:
    limits, priced = bodies(["c-1"])
    personal = Personal(connector(fresh_database), limits=lambda: limits, now=lambda: datetime(2026, 11, 23, tzinfo=UTC))
    meter = "promotions/daily/customers/c-1/day/2026-11-23"

    await stand(meters, meter, cap=3, used=2, version=limits.version + 1)
    raised = await personal.told(priced)
    await stand(meters, meter, cap=3, used=1, version=limits.version - 1)
    lowered = await personal.told(priced)
    await personal.stop()

    assert raised == [(Left("daily", "uses_per_customer_per_day", 1),)]
    assert lowered == [(Left("daily", "uses_per_customer_per_day", 0),)]


async def test_nothing_is_told_while_the_database_is_away_and_it_is_not_waited_for_twice() -> None:
    limits, priced = bodies(["c-1"])
    tries = 0

    async def refuse() -> asyncpg.Connection:
        nonlocal tries
        tries += 1
        raise DatabaseUnreachable("away")

    personal = Personal(refuse, limits=lambda: limits)

    found = [await personal.told(priced) for _ in range(5)]
    await personal.stop()

    assert found == [[()]] * 5
    assert tries == 1
