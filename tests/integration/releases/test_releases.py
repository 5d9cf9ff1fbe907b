"""Releases over HTTP: gather, check, publish, discard, roll back; and the trail of it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.db.engine import Database
from tests.service import publish, serving
from tests.support import is_problem, paths


@pytest.fixture
async def client(fresh_database: Database, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(fresh_database, tmp_path) as client:
        yield client


async def draft(client: httpx.AsyncClient, sku: str, **more: Any) -> None:
    reply = await client.put(f"/v1/products/{sku}", json={"name": sku} | more)
    assert reply.status_code in (200, 201), reply.text


async def gather(client: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    reply = await client.post("/v1/releases", json={"name": "Autumn"} | body)
    assert reply.status_code == 201, reply.text
    content: dict[str, Any] = reply.json()
    return content


async def test_a_release_puts_its_drafts_in_force_as_one_version(client: httpx.AsyncClient) -> None:
    await publish(client, "/v1/products/A", {"name": "A"})
    await draft(client, "A", brand="acme")
    await draft(client, "B")
    release = await gather(client)
    path = f"/v1/releases/{release['id']}"
    checked = await client.post(f"{path}/validate")
    published = await client.post(f"{path}/publish")
    again = await client.post(f"{path}/publish")
    shown = await client.get(path)
    products = (await client.get("/v1/products")).json()["items"]
    drafts = (await client.get("/v1/products", params={"draft": "true"})).json()["items"]

    assert [(item["resource"], item["id"], item["base_revision"]) for item in release["documents"]] == [
        ("products", "A", 1),
        ("products", "B", 0),
    ]
    assert checked.json() == {"valid": True, "problems": []}
    assert (published.json()["state"], published.json()["version"]) == ("published", 2)
    assert is_problem(again, 409, "conflict")
    assert shown.json() == published.json()
    assert [(item["id"], item["brand"], item["version"]) for item in products] == [("A", "acme", 2), ("B", None, 2)]
    assert drafts == []


async def test_a_release_can_be_of_chosen_drafts(client: httpx.AsyncClient) -> None:
    await draft(client, "A")
    await draft(client, "B")
    missing = await client.post("/v1/releases", json={"name": "x", "documents": [{"resource": "products", "id": "Z"}]})
    release = await gather(client, documents=[{"resource": "products", "id": "B"}])
    taken = await client.post("/v1/releases", json={"name": "y", "documents": [{"resource": "products", "id": "B"}]})
    rest = await gather(client)
    empty = await client.post("/v1/releases", json={"name": "z"})
    listed = (await client.get("/v1/releases", params={"limit": 1})).json()
    following = (await client.get("/v1/releases", params={"limit": 1, "cursor": listed["next"]})).json()

    assert paths(missing) == ["documents[0]"]
    assert [item["id"] for item in release["documents"]] == ["B"]
    assert is_problem(taken, 409, "conflict")
    assert [item["id"] for item in rest["documents"]] == ["A"]
    assert is_problem(empty, 409, "conflict")
    assert [item["id"] for item in listed["items"] + following["items"]] == [rest["id"], release["id"]]


async def test_a_release_of_what_does_not_fit_together_says_so(client: httpx.AsyncClient) -> None:
    await client.put("/v1/coupons/c", json={"promotion": "p", "codes": ["A"]})
    release = await gather(client)
    checked = await client.post(f"/v1/releases/{release['id']}/validate")
    published = await client.post(f"/v1/releases/{release['id']}/publish")

    assert [problem["path"] for problem in checked.json()["problems"]] == ["coupons/c/promotion"]
    assert paths(published) == ["coupons/c/promotion"]


async def test_a_coupon_and_its_promotion_are_published_together(client: httpx.AsyncClient) -> None:
    await client.put("/v1/coupons/c", json={"promotion": "p", "codes": ["A"]})
    await client.put("/v1/promotions/p", json={"name": "P", "kind": "percent_off", "params": {"percent": "10"}})
    release = await gather(client)
    published = await client.post(f"/v1/releases/{release['id']}/publish")

    assert published.status_code == 200


async def test_a_draft_written_before_a_publication_does_not_undo_it(client: httpx.AsyncClient) -> None:
    await publish(client, "/v1/products/A", {"name": "A"})
    await draft(client, "A", brand="old idea")
    release = await gather(client)
    rolled = await client.post("/v1/releases/rollback", json={"to_version": 0})
    published = await client.post(f"/v1/releases/{release['id']}/publish")

    assert rolled.json() == {"version": 2, "body_of": 0, "changed": 1}
    assert is_problem(published, 409, "conflict")
    assert [error["code"] for error in published.json()["errors"]] == ["draft_outdated"]


async def test_discarding_a_release_discards_its_drafts_unless_they_are_kept(client: httpx.AsyncClient) -> None:
    await draft(client, "A")
    first = await gather(client)
    kept = await client.delete(f"/v1/releases/{first['id']}", params={"keep_drafts": "true"})
    second = await gather(client)
    discarded = await client.delete(f"/v1/releases/{second['id']}")
    drafts = (await client.get("/v1/products", params={"draft": "true"})).json()["items"]

    assert (kept.json()["state"], discarded.json()["state"]) == ("discarded", "discarded")
    assert [item["id"] for item in second["documents"]] == ["A"]
    assert drafts == []


async def test_a_rollback_is_a_new_version_with_the_old_body(client: httpx.AsyncClient) -> None:
    await publish(client, "/v1/prices/A", {"currency": "USD", "unit_price": "1000"})
    await publish(client, "/v1/prices/A", {"currency": "USD", "unit_price": "1"})
    await publish(client, "/v1/products/B", {"name": "B"})
    await client.put("/v1/signals/costs", json=[{"sku": "A", "currency": "USD", "unit_cost": "7", "at": "2026-01-01T00:00:00Z"}])
    rolled = await client.post("/v1/releases/rollback", json={"to_version": 1, "note": "wrong price"})
    price = (await client.get("/v1/prices/A")).json()
    unknown = await client.post("/v1/releases/rollback", json={"to_version": 99})

    assert rolled.json() == {"version": 5, "body_of": 1, "changed": 2}
    assert (price["unit_price"], price["revision"], price["version"]) == ("1000", 3, 5)
    assert (await client.get("/v1/products/B")).status_code == 404
    assert is_problem(unknown, 404, "not_found")


async def test_the_audit_trail_lists_the_newest_first_and_filters(client: httpx.AsyncClient) -> None:
    await publish(client, "/v1/products/A", {"name": "A"})
    await draft(client, "A", brand="acme")
    await publish(client, "/v1/products/B", {"name": "B"})
    everything = (await client.get("/v1/audit")).json()["items"]
    of_a = (await client.get("/v1/audit", params={"resource": "products", "document": "A", "limit": 1})).json()
    rest = (await client.get("/v1/audit", params={"resource": "products", "document": "A", "cursor": of_a["next"]})).json()

    assert [(item["action"], item["document_id"], item["version"]) for item in everything] == [
        ("publish", "B", 2),
        ("draft", "A", None),
        ("publish", "A", 1),
    ]
    assert [item["action"] for item in of_a["items"] + rest["items"]] == ["draft", "publish"]
    assert rest["next"] is None


async def test_a_policy_can_send_everything_through_releases(client: httpx.AsyncClient) -> None:
    await publish(client, "/v1/publishing-policy", {"publish_now": False})
    refused = await client.put("/v1/products/A", json={"name": "A"}, params={"publish": "now"})
    imported = await client.post(
        "/v1/import?resource=products&publish=now",
        content=b'{"id": "A", "name": "A"}',
        headers={"Content-Type": "application/x-ndjson"},
    )
    await client.put("/v1/publishing-policy", json={"publish_now": True})
    release = await gather(client)
    published = await client.post(f"/v1/releases/{release['id']}/publish")
    allowed = await client.put("/v1/products/A", json={"name": "A"}, params={"publish": "now"})

    assert is_problem(refused, 409, "conflict")
    assert is_problem(imported, 409, "conflict")
    assert published.status_code == 200
    assert allowed.status_code == 201
