"""What quotes come to is counted alike whichever way they are priced: by the engine, from known lines, whole from memory, in a batch."""

from pathlib import Path

import httpx
from prometheus_client.parser import text_string_to_metric_families

from app.db.engine import Database
from tests.quotes_support import basket
from tests.service import publish, serving

MUGS = {"include": {"skus": ["MUG"]}}


async def counted(client: httpx.AsyncClient) -> dict[str, float]:
    """What the counters of money and of held lines say, by name and values of labels, but what is 0."""
    families = text_string_to_metric_families((await client.get("/metrics")).text)
    names = ("subtotal_minor", "merchandise_minor", "costed_minor", "cost_minor", "held_lines")
    return {
        " ".join((sample.name.removeprefix("pricing_").removesuffix("_total"), *sample.labels.values())).strip(): sample.value
        for family in families
        for sample in family.samples
        if family.name.removeprefix("pricing_") in names and sample.value
    }


async def test_amounts_and_held_lines_add_up_over_all_ways(fresh_database: Database, tmp_path: Path) -> None:
    async with serving(fresh_database, tmp_path) as client:
        for sku, unit in (("MUG", "1299"), ("PAN", "4000")):
            await publish(client, f"/v1/prices/{sku}", {"currency": "USD", "unit_price": unit})
        costs = [{"sku": "MUG", "currency": "USD", "unit_cost": "700", "at": "2026-01-01T00:00:00Z"}]
        assert (await client.put("/v1/signals/costs", json=costs)).is_success
        await publish(client, "/v1/guardrails/g", {"scope": MUGS, "currency": "USD", "floor": "1200"})
        ten = {"name": "Ten off", "kind": "percent_off", "params": {"percent": "10"}, "scope": MUGS}
        await publish(client, "/v1/promotions/ten", ten)
        before = await counted(client)
        one = basket(("MUG", 1), ("PAN", 1), channel="web")

        for _ in range(4):
            assert (await client.post("/v1/quotes", json=one)).json()["total"] == 5_200
        batch = await client.post("/v1/quotes/batch", json={"quotes": [one] * 6})
        assert len(batch.json()["results"]) == 6
        # Neither counts: it binds nobody, it is not priced again, and it is refused.
        assert (await client.post("/v1/preview", json=one)).is_success
        for _ in range(2):
            assert (await client.post("/v1/quotes", json=basket(("PAN", 1)), headers={"Idempotency-Key": "k"})).is_success
        assert (await client.post("/v1/quotes", json=basket(("NONE", 1)))).status_code == 422
        after = await counted(client)

    assert before == {}
    assert after == {
        "subtotal_minor web USD": 10 * 5_299,
        "merchandise_minor web USD": 10 * 5_200,
        "costed_minor web USD excluded": 10 * 1_200,
        "cost_minor web USD excluded": 10 * 700,
        "held_lines floor": 10,
        "subtotal_minor  USD": 4_000,
        "merchandise_minor  USD": 4_000,
    }


async def test_prices_with_tax_are_told_apart_from_those_without(fresh_database: Database, tmp_path: Path) -> None:
    async with serving(fresh_database, tmp_path) as client:
        await publish(client, "/v1/price-lists/default", {"name": "Gross", "tax_included": True})
        await publish(client, "/v1/prices/MUG", {"currency": "EUR", "unit_price": "1190"})
        costs = [{"sku": "MUG", "currency": "EUR", "unit_cost": "700", "at": "2026-01-01T00:00:00Z"}]
        assert (await client.put("/v1/signals/costs", json=costs)).is_success
        for _ in range(3):
            assert (await client.post("/v1/quotes", json=basket(("MUG", 1)) | {"currency": "EUR"})).json()["tax_included"] is True
        after = await counted(client)

    assert after["costed_minor  EUR included"] == 3 * 1_190
    assert after["cost_minor  EUR included"] == 3 * 700
