"""Facts and sales over HTTP."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.db.engine import Database
from tests.service import serving
from tests.support import is_problem, paths

MONDAY, TUESDAY, WEDNESDAY = "2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z", "2026-01-07T00:00:00Z"


@pytest.fixture
async def client(fresh_database: Database, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(fresh_database, tmp_path) as client:
        yield client


def cost(unit_cost: str, at: str, sku: str = "A") -> dict[str, Any]:
    return {"sku": sku, "currency": "USD", "unit_cost": unit_cost, "at": at}


async def stored(database: Database, query: str) -> list[tuple[Any, ...]]:
    connection = await database.connect()
    try:
        return [tuple(row) for row in await connection.fetch(query)]
    finally:
        await connection.close()


async def test_the_newest_fact_counts_and_every_fact_is_kept(client: httpx.AsyncClient, fresh_database: Database) -> None:
    first = await client.put("/v1/signals/costs", json=[cost("7", TUESDAY), cost("6", MONDAY), cost("3", MONDAY, "B")])
    older = await client.put("/v1/signals/costs", json=[cost("9", MONDAY)])
    newer = await client.put("/v1/signals/costs", json=[cost("8", WEDNESDAY)])
    again = await client.put("/v1/signals/costs", json=[cost("8", WEDNESDAY)])
    in_force = await stored(fresh_database, "SELECT id, body->>'unit_cost' FROM documents WHERE to_version IS NULL ORDER BY id")
    facts = await stored(fresh_database, "SELECT sku, body->>'unit_cost' FROM signal_facts ORDER BY 1, 2")

    assert first.json() == {"accepted": 3, "changed": 2, "ignored": 1, "version": 1}
    assert older.json() == {"accepted": 1, "changed": 0, "ignored": 1, "version": 1}
    assert newer.json() == {"accepted": 1, "changed": 1, "ignored": 0, "version": 2}
    assert again.json() == {"accepted": 1, "changed": 0, "ignored": 0, "version": 2}
    assert in_force == [("A|USD", "8"), ("B|USD", "3")]
    assert facts == [("A", "6"), ("A", "7"), ("A", "8"), ("A", "9"), ("B", "3")]


@pytest.mark.parametrize(
    ("path", "fact", "document_id"),
    [
        ("stock", {"sku": "A", "units": "120.5", "at": MONDAY}, "A"),
        ("demand", {"sku": "A", "index": "1.15", "at": MONDAY}, "A"),
        (
            "competitors",
            {"sku": "A", "competitor": "rival", "currency": "USD", "unit_price": "1250", "in_stock": True, "at": MONDAY},
            "A|rival|USD",
        ),
    ],
)
async def test_each_sort_of_fact_has_its_key(
    client: httpx.AsyncClient, fresh_database: Database, path: str, fact: dict[str, Any], document_id: str
) -> None:
    reply = await client.put(f"/v1/signals/{path}", json=[fact])
    keys = await stored(fresh_database, "SELECT resource, id FROM documents")

    assert reply.json()["changed"] == 1
    assert keys == [(f"signals-{path}", document_id)]


async def test_the_facts_in_force_are_listed_as_they_were_sent(client: httpx.AsyncClient) -> None:
    await client.put("/v1/signals/costs", json=[cost("7", TUESDAY), cost("6", MONDAY), cost("3", MONDAY, "B")])
    await client.put("/v1/signals/costs", json=[cost("8", WEDNESDAY)])
    listed = await client.get("/v1/signals/costs")
    none = await client.get("/v1/signals/competitors")

    assert listed.json() == {"items": [cost("8", WEDNESDAY), cost("3", MONDAY, "B")], "next": None}
    assert none.json() == {"items": [], "next": None}


async def test_facts_are_listed_page_by_page(client: httpx.AsyncClient) -> None:
    facts = [{"sku": sku, "units": "5", "at": MONDAY} for sku in ("A", "B", "C")]
    await client.put("/v1/signals/stock", json=facts)
    first = (await client.get("/v1/signals/stock", params={"limit": 2})).json()
    second = (await client.get("/v1/signals/stock", params={"limit": 2, "cursor": first["next"]})).json()
    forged = await client.get("/v1/signals/stock", params={"cursor": "W10"})

    assert first["items"] + second["items"] == facts
    assert second["next"] is None
    assert paths(forged) == ["cursor"]


async def test_the_facts_of_one_sku_are_not_those_of_skus_that_begin_like_it(client: httpx.AsyncClient) -> None:
    """`A-2`, `A1` and `A~` sort before, between and behind the keys `A`, `A|EUR` and `A|USD`."""
    skus = ("A", "A-2", "A1", "A~", "B")
    await client.put("/v1/signals/demand", json=[{"sku": sku, "index": "2", "at": MONDAY} for sku in skus])
    await client.put(
        "/v1/signals/costs", json=[cost("7", MONDAY, sku) | {"currency": currency} for sku in skus for currency in ("USD", "EUR")]
    )
    demand = await client.get("/v1/signals/demand", params={"sku": "A"})
    costs = await client.get("/v1/signals/costs", params={"sku": "A", "limit": 1})
    more = await client.get("/v1/signals/costs", params={"sku": "A", "limit": 1, "cursor": costs.json()["next"]})

    assert [fact["sku"] for fact in demand.json()["items"]] == ["A"]
    assert [(fact["sku"], fact["currency"]) for fact in costs.json()["items"] + more.json()["items"]] == [
        ("A", "EUR"),
        ("A", "USD"),
    ]
    assert more.json()["next"] is None


async def test_facts_from_the_future_are_refused(client: httpx.AsyncClient) -> None:
    ahead = (datetime.now(UTC) + timedelta(hours=1)).isoformat(timespec="seconds")
    reply = await client.put("/v1/signals/costs", json=[cost("7", MONDAY), cost("7", ahead)])

    assert is_problem(reply, 422, "validation")
    assert paths(reply) == ["[1].at"]


async def test_bad_facts_are_told_by_their_place(client: httpx.AsyncClient) -> None:
    reply = await client.put("/v1/signals/costs", json=[cost("7", MONDAY), cost("-1", "yesterday")])
    index = await client.put("/v1/signals/demand", json=[{"sku": "A", "index": "0", "at": MONDAY}])

    assert sorted(paths(reply)) == ["[1].at", "[1].unit_cost"]
    assert paths(index) == ["[0].index"]


async def test_a_sale_counts_once(client: httpx.AsyncClient, fresh_database: Database) -> None:
    sale = {"id": "s-1", "at": MONDAY, "sku": "A", "quantity": "0.350", "paid": 2338, "currency": "USD", "promotion": True}
    first = await client.post("/v1/sales", json=[sale, sale | {"id": "s-2", "quantity": 2}])
    again = await client.post("/v1/sales", json=[sale | {"paid": 1}, sale | {"id": "s-3"}])
    sales = await stored(fresh_database, "SELECT id, quantity_milli, paid_minor FROM sales ORDER BY id")

    assert first.json() == {"accepted": 2, "duplicates": 0}
    assert again.json() == {"accepted": 1, "duplicates": 1}
    assert sales == [("s-1", 350, 2338), ("s-2", 2000, 2338), ("s-3", 350, 2338)]
