"""A guardrail's maximum change over HTTP: however a price is published, it moves no further than it may."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.db.engine import Database
from tests.service import publish, serving
from tests.support import is_problem, paths

NOW = {"publish": "now"}


@pytest.fixture
async def client(fresh_database: Database, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(fresh_database, tmp_path) as client:
        await publish(client, "/v1/prices/A", price("1000"))
        await publish(client, "/v1/prices/B", price("1000"))
        await publish(client, "/v1/guardrails/steady", bounds("10"))
        yield client


def price(unit: str, **more: Any) -> dict[str, Any]:
    return {"currency": "USD", "unit_price": unit} | more


def bounds(percent: str, **more: Any) -> dict[str, Any]:
    return {"scope": {"include": {"skus": ["A"]}}, "currency": "USD", "max_change": {"percent": percent, "days": 7}} | more


async def put(client: httpx.AsyncClient, unit: str, sku: str = "A", **more: Any) -> httpx.Response:
    return await client.put(f"/v1/prices/{sku}", params=NOW, json=price(unit, **more))


async def set_back(database: Database, days: int) -> None:
    """Let everything have been published so many days before."""
    connection = await database.connect()
    await connection.execute(f"UPDATE versions SET published_at = published_at - interval '{days} days'")
    await connection.close()


async def test_price_that_moves_too_far_is_refused_with_its_path(client: httpx.AsyncClient) -> None:
    refused = await put(client, "1101")
    taken = await put(client, "1100")
    elsewhere = await put(client, "5000", sku="B")

    assert is_problem(refused, 422, "validation")
    assert paths(refused) == ["unit_price"]
    assert "from 1000 to 1101" in refused.json()["errors"][0]["message"]
    assert (taken.status_code, elsewhere.status_code) == (200, 200)


async def test_many_small_steps_are_as_far_as_one(client: httpx.AsyncClient) -> None:
    first, second = await put(client, "1060"), await put(client, "1120")

    assert (first.status_code, second.status_code) == (200, 422)


async def test_deleting_a_price_does_not_forget_it(client: httpx.AsyncClient) -> None:
    await client.delete("/v1/prices/A", params=NOW | {"currency": "USD"})
    again = await put(client, "2000")

    assert paths(again) == ["unit_price"]


async def test_price_of_a_week_ago_is_forgotten(fresh_database: Database, client: httpx.AsyncClient) -> None:
    await put(client, "1100")
    await set_back(fresh_database, 8)
    taken, refused = await put(client, "1210"), await put(client, "1331")

    assert (taken.status_code, refused.status_code) == (200, 422)


async def test_import_names_the_line(client: httpx.AsyncClient) -> None:
    rows = "sku,currency,unit_price\nB,USD,5000\nA,USD,5000\n"
    refused = await client.post(
        "/v1/import", params=NOW | {"resource": "prices"}, content=rows, headers={"Content-Type": "text/csv"}
    )

    assert paths(refused) == ["line[3].unit_price"]


async def test_release_is_told_beforehand(client: httpx.AsyncClient) -> None:
    await client.put("/v1/prices/A", json=price("5000"))
    release = (await client.post("/v1/releases", json={"name": "Too much"})).json()
    checked = await client.post(f"/v1/releases/{release['id']}/validate")
    published = await client.post(f"/v1/releases/{release['id']}/publish")

    assert [problem["path"] for problem in checked.json()["problems"]] == ["prices/A|default|USD|/unit_price"]
    assert paths(published) == ["prices/A|default|USD|/unit_price"]


async def test_price_to_come_is_held_to_the_one_before_it(client: httpx.AsyncClient) -> None:
    far = await put(client, "1500", valid_from="2040-01-01T00:00:00Z")
    near = await put(client, "1100", valid_from="2040-01-01T00:00:00Z")
    under_it = await put(client, "990", valid_from="2041-01-01T00:00:00Z")

    assert (far.status_code, near.status_code, under_it.status_code) == (422, 201, 201)


async def test_other_lists_and_currencies_are_other_prices(client: httpx.AsyncClient) -> None:
    await publish(client, "/v1/price-lists/vip", {"match": {"groups": ["vip"]}})

    assert (await put(client, "10", price_list="vip")).status_code == 201
    assert (await client.put("/v1/prices/A", params=NOW, json={"currency": "EUR", "unit_price": "1"})).status_code == 201


async def test_end_of_an_entry_may_change_where_its_price_does_not(client: httpx.AsyncClient) -> None:
    await publish(client, "/v1/guardrails/steady", bounds("50"))
    await put(client, "1400")
    await publish(client, "/v1/guardrails/steady", bounds("10"))

    assert (await put(client, "1400", valid_to="2040-01-01T00:00:00Z")).status_code == 200


async def test_rollback_brings_back_what_was(client: httpx.AsyncClient) -> None:
    await publish(client, "/v1/guardrails/steady", bounds("100"))
    raised = await put(client, "2000")
    await publish(client, "/v1/guardrails/steady", bounds("10"))
    rolled = await client.post("/v1/releases/rollback", json={"to_version": 3})

    assert raised.status_code == 200
    assert rolled.json()["changed"] == 1


async def test_strategy_and_maximum_change_of_one_sku_do_not_publish(client: httpx.AsyncClient) -> None:
    strategy = {"kind": "cost_plus", "scope": {}, "currency": "USD", "params": {"markup": "40"}}
    refused = await client.put("/v1/strategies/s", params=NOW, json=strategy)
    other = strategy | {"scope": {"include": {"skus": ["B"]}}}
    taken = await client.put("/v1/strategies/s", params=NOW, json=other)
    wider = await client.put("/v1/guardrails/wide", params=NOW, json=bounds("10", scope={}))

    assert paths(refused) == ["guardrails/steady/max_change"]
    assert taken.status_code == 201
    assert paths(wider) == ["max_change"]
