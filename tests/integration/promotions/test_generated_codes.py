"""Coupons that generate their codes: made once, kept, listed, and known by every version that had them."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.db.engine import Database
from tests.service import publish, serving
from tests.support import is_problem, paths

FIVE_OFF = {
    "name": "Five off",
    "kind": "amount_off",
    "level": "order",
    "currency": "USD",
    "params": {"amount": 500, "per": "across"},
    "requires_code": True,
}
COUPON = "/v1/coupons/letter"


@pytest.fixture
async def client(fresh_database: Database, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(fresh_database, tmp_path) as client:
        await publish(client, "/v1/prices/MUG", {"currency": "USD", "unit_price": "1000"})
        await publish(client, "/v1/promotions/five", FIVE_OFF)
        yield client


def coupon(count: int, prefix: str = "SP-", **more: str) -> dict[str, Any]:
    return {"promotion": "five", "generate": {"count": count, "prefix": prefix, **more}}


async def codes_of(client: httpx.AsyncClient, **params: str | int) -> list[str]:
    """All codes, read in pages."""
    codes: list[str] = []
    while True:
        reply = await client.get(f"{COUPON}/codes", params=params)
        assert reply.status_code == 200, reply.text
        codes += [item["code"] for item in reply.json()["items"]]
        if reply.json()["next"] is None:
            return codes
        params = params | {"cursor": reply.json()["next"]}


async def quote(client: httpx.AsyncClient, code: str) -> dict[str, Any]:
    body = {"currency": "USD", "codes": [code], "lines": [{"sku": "MUG", "quantity": 1}]}
    reply = await client.post("/v1/quotes", json=body)
    assert reply.status_code == 201, reply.text
    content: dict[str, Any] = reply.json()
    return content


async def total(client: httpx.AsyncClient, code: str) -> int:
    found: int = (await quote(client, code))["total"]
    return found


async def test_a_hundred_thousand_codes_are_made_once_and_any_of_them_takes_five_off(client: httpx.AsyncClient) -> None:
    made = await publish(client, COUPON, coupon(100_000))
    again = await publish(client, COUPON, coupon(100_000))
    codes = await codes_of(client, limit=1000)

    assert (made["generate"]["count"], made["generate"]["prefix"], made["codes"]) == (100_000, "SP-", [])
    assert again == made
    assert len(set(codes)) == 100_000
    assert all(code.startswith("SP-") for code in codes)
    assert [await total(client, code) for code in (codes[0], codes[-1].lower(), "SP-NONE")] == [500, 500, 1000]


async def test_more_codes_keep_those_there_are_and_fewer_take_the_last_back(client: httpx.AsyncClient) -> None:
    await publish(client, COUPON, coupon(10))
    ten = await codes_of(client)
    await publish(client, COUPON, coupon(25))
    more = await codes_of(client, limit=7)
    await publish(client, COUPON, coupon(5))

    assert more[:10] == ten
    assert len(set(more)) == 25
    assert await codes_of(client) == ten[:5]
    assert [await total(client, code) for code in ten[4:6]] == [500, 1000]


async def test_another_prefix_or_a_new_coupon_makes_other_codes(client: httpx.AsyncClient) -> None:
    await publish(client, COUPON, coupon(3))
    first = await codes_of(client)
    await publish(client, COUPON, coupon(3, " xmas-"))
    renamed = await codes_of(client)
    await client.delete(COUPON, params={"publish": "now"})
    await publish(client, COUPON, coupon(3))
    new = await codes_of(client)

    assert all(code.startswith("XMAS-") for code in renamed)
    assert len({code[-16:] for code in (*first, *renamed, *new)}) == 9
    assert [await total(client, codes[0]) for codes in (first, renamed, new)] == [1000, 1000, 500]


async def test_codes_of_a_draft_are_those_that_it_publishes(client: httpx.AsyncClient) -> None:
    await client.put(COUPON, json=coupon(3))
    drafted = await codes_of(client, draft="true")
    nothing = await client.get(f"{COUPON}/codes")
    await client.put(COUPON, json=coupon(4))
    release = (await client.post("/v1/releases", json={"name": "letter"})).json()
    published = await client.post(f"/v1/releases/{release['id']}/publish")
    at_once = await publish(client, COUPON, coupon(4))

    assert is_problem(nothing, 404, "not_found")
    assert published.status_code == 200, published.text
    assert at_once["version"] == published.json()["version"]
    assert (await codes_of(client))[:3] == drafted


async def test_a_replay_knows_the_codes_of_its_version_and_a_rollback_brings_them_back(client: httpx.AsyncClient) -> None:
    made = await publish(client, COUPON, coupon(3))
    [code, *_] = await codes_of(client)
    quoted = await quote(client, code)
    await client.delete(COUPON, params={"publish": "now"})
    without = await total(client, code)
    replayed = await client.post(f"/v1/decisions/{quoted['id']}/replay")
    rolled = await client.post("/v1/releases/rollback", json={"to_version": made["version"]})

    assert (quoted["total"], without) == (500, 1000)
    assert replayed.json()["equal"] is True
    assert rolled.status_code == 200, rolled.text
    assert await total(client, code) == 500


@pytest.mark.parametrize(("form", "media_type"), [("csv", "text/csv"), ("ndjson", "application/x-ndjson")])
async def test_what_is_exported_makes_the_same_codes_elsewhere(client: httpx.AsyncClient, form: str, media_type: str) -> None:
    await publish(client, COUPON, coupon(3))
    codes = await codes_of(client)
    exported = await client.get("/v1/export", params={"resource": "coupons", "format": form})
    await client.delete(COUPON, params={"publish": "now"})

    async def take(publish_: dict[str, str]) -> httpx.Response:
        headers = {"Content-Type": media_type}
        return await client.post(
            "/v1/import", params={"resource": "coupons", **publish_}, content=exported.content, headers=headers
        )

    assert (await take({})).json()["draft"] is True
    assert await codes_of(client, draft="true") == codes
    assert (await take({"publish": "now"})).json()["changed"] == 1
    assert await codes_of(client) == codes


async def test_an_import_without_seeds_keeps_the_codes_there_are(client: httpx.AsyncClient) -> None:
    rows = b"id,promotion,generate.count,generate.prefix\r\nletter,five,4,SP-\r\nother,five,4,SP-\r\n"

    async def take() -> dict[str, Any]:
        query = {"resource": "coupons", "publish": "now"}
        reply = await client.post("/v1/import", params=query, content=rows, headers={"Content-Type": "text/csv"})
        assert reply.status_code == 200, reply.text
        content: dict[str, Any] = reply.json()
        return content

    first = await take()
    codes = await codes_of(client)
    again = await take()

    assert (first["changed"], again["changed"]) == (2, 0)
    assert len(codes) == 4
    assert await codes_of(client) == codes


async def test_one_seed_belongs_to_one_coupon(client: httpx.AsyncClient) -> None:
    await publish(client, COUPON, coupon(3, seed="ab" * 16))
    copied = await client.put("/v1/coupons/the-same", json=coupon(3, seed="ab" * 16), params={"publish": "now"})

    assert is_problem(copied, 422, "validation")
    assert paths(copied) == ["generate.seed"]


async def test_listed_codes_are_listed_too_and_a_forged_cursor_is_refused(client: httpx.AsyncClient) -> None:
    await publish(client, COUPON, {"promotion": "five", "codes": ["b", "a", "c"]})
    first = (await client.get(f"{COUPON}/codes", params={"limit": 2})).json()
    forged = await client.get(f"{COUPON}/codes", params={"cursor": "Wy0xXQ"})  # [-1]

    assert first["items"] == [{"code": "B"}, {"code": "A"}]
    assert await codes_of(client, limit=2) == ["B", "A", "C"]
    assert is_problem(forged, 422, "validation")
