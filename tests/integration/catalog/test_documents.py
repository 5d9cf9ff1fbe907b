"""Documents over HTTP: drafts, publishing at once, preconditions, deletion."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.db.engine import Database
from tests.service import publish, serving
from tests.support import is_problem, paths

SHOE = {"name": "Red shoe", "category": "shoes/running", "brand": "acme", "tags": ["new"], "attributes": {"colour": "red"}}


@pytest.fixture
async def client(database: Database, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(database, tmp_path) as client:
        yield client


async def test_a_draft_is_shown_as_a_draft_and_changes_nothing(client: httpx.AsyncClient) -> None:
    put = await client.put("/v1/products/draft-1", json=SHOE)
    published = await client.get("/v1/products/draft-1")
    drafted = await client.get("/v1/products/draft-1", params={"draft": "true"})

    assert put.status_code == 201
    assert put.json() | SHOE == put.json()
    assert (put.json()["version"], put.json()["draft"], put.json()["revision"]) == (None, True, 0)
    assert is_problem(published, 404, "not_found")
    assert drafted.json() == put.json()
    assert drafted.headers["ETag"] == put.headers["ETag"]


async def test_publish_now_answers_with_the_version_and_counts_revisions(client: httpx.AsyncClient) -> None:
    first = await publish(client, "/v1/products/now-1", SHOE)
    second = await publish(client, "/v1/products/now-1", SHOE | {"brand": None})
    again = await publish(client, "/v1/products/now-1", SHOE | {"brand": None})
    shown = (await client.get("/v1/products/now-1")).json()

    assert (first["revision"], second["revision"], second["version"]) == (1, 2, first["version"] + 1)
    assert (again["revision"], again["version"]) == (2, second["version"])
    assert (shown["brand"], shown["version"], shown["draft"]) == (None, second["version"], False)


async def test_a_deleted_document_that_comes_back_goes_on_counting(client: httpx.AsyncClient) -> None:
    await publish(client, "/v1/products/back-1", SHOE)
    deleted = await client.delete("/v1/products/back-1", params={"publish": "now"})
    gone = await client.get("/v1/products/back-1")
    back = await publish(client, "/v1/products/back-1", SHOE)

    assert (deleted.status_code, deleted.json()["deleted"]) == (200, True)
    assert is_problem(gone, 404, "not_found")
    assert back["revision"] == 2


async def test_if_match_lets_only_the_one_who_has_seen_it_write(client: httpx.AsyncClient) -> None:
    put = await client.put("/v1/products/etag-1", json=SHOE, params={"publish": "now"})
    etag = put.headers["ETag"]

    async def write(brand: str, **headers: str) -> httpx.Response:
        return await client.put("/v1/products/etag-1", json=SHOE | {"brand": brand}, params={"publish": "now"}, headers=headers)

    stale = await write("other", **{"If-Match": '"stale"'})
    fresh = await write("other", **{"If-Match": etag})
    late = await write("third", **{"If-Match": etag})
    new_only = await write("fourth", **{"If-None-Match": "*"})
    unchanged = await client.get("/v1/products/etag-1", headers={"If-None-Match": fresh.headers["ETag"]})

    assert is_problem(stale, 412, "precondition_failed")
    assert fresh.status_code == 200
    assert is_problem(late, 412, "precondition_failed")
    assert is_problem(new_only, 412, "precondition_failed")
    assert (unchanged.status_code, unchanged.content) == (304, b"")


async def test_if_none_match_star_writes_what_is_new(client: httpx.AsyncClient) -> None:
    reply = await client.put("/v1/products/brand-new", json=SHOE, headers={"If-None-Match": "*"})

    assert reply.status_code == 201


async def test_the_etag_is_of_the_body(client: httpx.AsyncClient) -> None:
    first = await client.put("/v1/products/same-1", json=SHOE)
    reordered = await client.put("/v1/products/same-2", json=dict(reversed(SHOE.items())))

    assert first.headers["ETag"] == reordered.headers["ETag"]


async def test_deleting_what_was_only_drafted_leaves_nothing(client: httpx.AsyncClient) -> None:
    await client.put("/v1/products/only-draft", json=SHOE)
    deleted = await client.delete("/v1/products/only-draft")
    missing = await client.delete("/v1/products/only-draft")
    drafted = await client.get("/v1/products/only-draft", params={"draft": "true"})

    assert deleted.status_code == 200
    assert is_problem(missing, 404, "not_found")
    assert is_problem(drafted, 404, "not_found")


async def test_discarding_a_draft_leaves_what_is_published(client: httpx.AsyncClient) -> None:
    await publish(client, "/v1/products/keep-1", SHOE)
    await client.put("/v1/products/keep-1", json=SHOE | {"brand": "other"})
    discarded = await client.delete("/v1/products/keep-1", params={"draft": "true"})
    shown = await client.get("/v1/products/keep-1")

    assert discarded.status_code == 200
    assert shown.json()["brand"] == "acme"


async def test_lists_are_paged_by_cursor(client: httpx.AsyncClient) -> None:
    for number in range(5):
        await client.put(f"/v1/endings/page-{number}", json={"currency": "USD", "bands": [{"up_to": None, "endings": ["99"]}]})
    first = (await client.get("/v1/endings", params={"draft": "true", "limit": 3})).json()
    second = (await client.get("/v1/endings", params={"draft": "true", "limit": 3, "cursor": first["next"]})).json()

    assert [item["id"] for item in first["items"]] == ["page-0", "page-1", "page-2"]
    assert [item["id"] for item in second["items"]] == ["page-3", "page-4"]
    assert second["next"] is None


async def test_prices_of_a_sku_are_told_apart_by_list_currency_and_start(client: httpx.AsyncClient) -> None:
    await publish(client, "/v1/prices/P-1", {"currency": "USD", "unit_price": "1299"})
    await publish(client, "/v1/prices/P-1", {"currency": "EUR", "unit_price": "1199"})
    await publish(client, "/v1/prices/P-1", {"currency": "EUR", "unit_price": "999", "valid_from": "2030-01-01T01:00:00+01:00"})

    several = await client.get("/v1/prices/P-1")
    dollars = await client.get("/v1/prices/P-1", params={"currency": "USD"})
    euros = await client.get("/v1/prices/P-1", params={"currency": "EUR"})
    today = await client.get("/v1/prices/P-1", params={"currency": "EUR", "valid_from": ""})
    later = await client.get("/v1/prices/P-1", params={"currency": "EUR", "valid_from": "2030-01-01T00:00:00Z"})
    listed = await client.get("/v1/prices", params={"sku": "P-1"})

    assert is_problem(several, 409, "ambiguous_price")
    assert paths(several) == ["P-1|default|EUR|", "P-1|default|EUR|2030-01-01T00:00:00Z", "P-1|default|USD|"]
    assert (dollars.json()["unit_price"], dollars.json()["sku"]) == ("1299", "P-1")
    assert is_problem(euros, 409, "ambiguous_price")
    assert today.json()["unit_price"] == "1199"
    assert later.json()["unit_price"] == "999"
    assert len(listed.json()["items"]) == 3


async def test_the_default_price_list_stays_and_matches_everything(client: httpx.AsyncClient) -> None:
    matched = await client.put("/v1/price-lists/default", json={"match": {"channels": ["web"]}})
    deleted = await client.delete("/v1/price-lists/default")
    taxed = await client.put("/v1/price-lists/default", json={"tax_included": True})

    assert is_problem(matched, 409, "conflict")
    assert is_problem(deleted, 409, "conflict")
    assert taxed.status_code == 201


async def test_a_coupon_to_no_promotion_is_not_published(client: httpx.AsyncClient) -> None:
    drafted = await client.put("/v1/coupons/C-1", json={"promotion": "nowhere", "codes": [" save10 "]})
    published = await client.put("/v1/coupons/C-1", json={"promotion": "nowhere", "codes": ["save10"]}, params={"publish": "now"})

    assert drafted.json()["codes"] == ["SAVE10"]
    assert is_problem(published, 422, "validation")
    assert paths(published) == ["promotion"]


async def test_a_code_belongs_to_one_coupon(client: httpx.AsyncClient) -> None:
    ten_off = {"name": "Ten off", "kind": "percent_off", "params": {"percent": "10"}, "requires_code": True}
    await publish(client, "/v1/promotions/ten-off", ten_off)
    await publish(client, "/v1/coupons/mine", {"promotion": "ten-off", "codes": ["ONCE"]})
    taken = await client.put(
        "/v1/coupons/other", json={"promotion": "ten-off", "codes": ["FREE", "once"]}, params={"publish": "now"}
    )

    assert is_problem(taken, 422, "validation")


async def test_deleting_what_others_name_is_refused_with_their_place(client: httpx.AsyncClient) -> None:
    await publish(client, "/v1/promotions/named", {"name": "N", "kind": "percent_off", "params": {"percent": "10"}})
    await publish(client, "/v1/coupons/names-it", {"promotion": "named", "codes": ["NAMED"]})
    deleted = await client.delete("/v1/promotions/named", params={"publish": "now"})

    assert is_problem(deleted, 422, "validation")
    assert paths(deleted) == ["coupons/names-it/promotion"]


async def test_the_policy_is_one_document(client: httpx.AsyncClient) -> None:
    absent = await client.get("/v1/policy")
    put = await publish(client, "/v1/policy", {"rounding": "half_even"})
    by_sequence = await publish(client, "/v1/policy", {"selection": "priority"})
    cheapest = await client.put("/v1/policy", json={"selection": "cheapest"})
    deleted = await client.delete("/v1/policy", params={"publish": "now"})

    assert is_problem(absent, 404, "not_found")
    assert (put["rounding"], put["selection"], put["cash_rounding"]) == ("half_even", "best", None)
    assert (by_sequence["rounding"], by_sequence["selection"]) == ("half_up", "priority")
    assert is_problem(cheapest, 422, "validation")
    assert paths(cheapest) == ["selection"]
    assert deleted.status_code == 200


async def test_a_repeated_key_gives_the_same_reply(client: httpx.AsyncClient) -> None:
    key = {"Idempotency-Key": "put-once"}
    first = await client.put("/v1/products/idem", json=SHOE, params={"publish": "now"}, headers=key)
    await publish(client, "/v1/products/idem", SHOE | {"brand": "other"})
    again = await client.put("/v1/products/idem", json=SHOE, params={"publish": "now"}, headers=key)

    assert again.content == first.content
    assert again.headers["Idempotent-Replayed"] == "true"
    assert (await client.get("/v1/products/idem")).json()["brand"] == "other"
