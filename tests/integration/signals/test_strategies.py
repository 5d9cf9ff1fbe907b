"""Prices that follow facts, over HTTP: at once, explained, and the same again when replayed."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.db.engine import Database
from tests.service import publish, serving

MONDAY, TUESDAY = "2026-01-05T00:00:00Z", "2026-01-06T00:00:00Z"


@pytest.fixture
async def client(fresh_database: Database, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(fresh_database, tmp_path) as client:
        yield client


def seen(unit_price: str, at: str) -> list[dict[str, Any]]:
    return [{"sku": "A", "competitor": "rival", "currency": "USD", "unit_price": unit_price, "in_stock": True, "at": at}]


async def state(client: httpx.AsyncClient, kind: str, facts: list[dict[str, Any]]) -> int:
    """State facts; gives the version that has them."""
    reply = await client.put(f"/v1/signals/{kind}", json=facts)
    assert reply.status_code == 200, reply.text
    version: int = reply.json()["version"]
    return version


async def quoted(client: httpx.AsyncClient, version: int, **more: Any) -> dict[str, Any]:
    request = {"currency": "USD", "lines": [{"sku": "A", "quantity": 1}], "min_version": version, **more}
    reply = await client.post("/v1/quotes", json=request)
    assert reply.status_code == 201, reply.text
    content: dict[str, Any] = reply.json()
    return content


async def test_a_fact_moves_the_next_quote_and_no_older_one(client: httpx.AsyncClient) -> None:
    await publish(client, "/v1/prices/A", {"currency": "USD", "unit_price": "1299"})
    follow = {"kind": "competitor", "scope": {}, "currency": "USD", "params": {"against": "lowest", "amount": "1"}}
    await publish(client, "/v1/strategies/follow", follow)

    first = await quoted(client, await state(client, "competitors", seen("1250", MONDAY)))
    second = await quoted(client, await state(client, "competitors", seen("1199", TUESDAY)))
    stale = await quoted(client, await state(client, "competitors", seen("999", MONDAY)))

    assert [quote["total"] for quote in (first, second, stale)] == [1249, 1198, 1198]
    assert second["lines"][0]["price_steps"] == [
        {
            "step": "strategy",
            "rule": "follow",
            "kind": "competitor",
            "inputs": {"competitor": "rival", "reference_price": "1199", "observations": 1},
            "before": "1299",
            "after": "1198",
        }
    ]
    for quote in (first, second):
        replayed = await client.post(f"/v1/decisions/{quote['id']}/replay")
        assert replayed.json()["equal"] is True


async def test_time_moves_a_quote_by_itself(client: httpx.AsyncClient) -> None:
    await publish(client, "/v1/prices/A", {"currency": "USD", "unit_price": "1000"})
    stages = [{"stage": "growth", "from": MONDAY, "percent": "90"}, {"stage": "exit", "from": TUESDAY, "unit_price": "500"}]
    grown = {"kind": "lifecycle", "scope": {}, "currency": "USD", "params": {"stages": stages}}
    version = (await publish(client, "/v1/strategies/life", grown))["version"]

    quotes = [
        await quoted(client, version, at=at) for at in ("2026-01-04T23:59:59Z", MONDAY, "2026-01-05T23:59:59.999Z", TUESDAY) * 3
    ]

    assert [quote["total"] for quote in quotes] == [1000, 900, 900, 500] * 3
    replayed = await client.post(f"/v1/decisions/{quotes[-2]['id']}/replay")
    assert replayed.json()["equal"] is True


async def test_a_product_on_two_ladders_is_not_published(client: httpx.AsyncClient) -> None:
    await publish(client, "/v1/prices/A", {"currency": "USD", "unit_price": "1000"})
    await publish(client, "/v1/ladders/one", {"currency": "USD", "rungs": [{"sku": "A"}]})

    refused = await client.put("/v1/ladders/two?publish=now", json={"currency": "USD", "rungs": [{"sku": "A"}]})

    assert refused.status_code == 422
    assert [error["path"] for error in refused.json()["errors"]] == ["rungs[0].sku"]
