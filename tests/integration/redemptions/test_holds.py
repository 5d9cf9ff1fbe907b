"""Holds over HTTP, from a quote to a return: limits of promotions, coupons, campaigns and sale prices on a whole service."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.db.engine import Database
from tests.forged import claims_of, signed
from tests.service import publish, serving


@pytest.fixture
async def client(fresh_database: Database, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(fresh_database, tmp_path) as served:
        for sku in ("MUG", "PAN"):
            await publish(served, f"/v1/prices/{sku}", {"currency": "USD", "unit_price": "1000"})
        yield served


async def quoted(client: httpx.AsyncClient, **more: Any) -> dict[str, Any]:
    body = {"currency": "USD", "lines": [{"id": "1", "sku": "MUG", "quantity": 2}], **more}
    reply = await client.post("/v1/quotes", json=body)
    assert reply.status_code == 201, reply.text
    content: dict[str, Any] = reply.json()
    return content


async def held(client: httpx.AsyncClient, quote: dict[str, Any], order: str, **more: Any) -> httpx.Response:
    return await client.post("/v1/holds", json={"token": quote["token"], "order": order, **more})


def half_off(**more: Any) -> dict[str, Any]:
    return {"name": "Half", "kind": "percent_off", "params": {"percent": "50"}, "currency": "USD", **more}


async def left(client: httpx.AsyncClient, prefix: str) -> dict[str, int]:
    reply = await client.get("/v1/meters", params={"prefix": prefix})
    return {one["id"]: one["left"] for one in reply.json()["items"]}


async def test_a_use_is_held_confirmed_and_returned(client: httpx.AsyncClient) -> None:
    await publish(client, "/v1/promotions/half", half_off(limits={"uses": 2, "budget": 2500}))
    quote = await quoted(client)

    taken = await held(client, quote, "o-1")
    hold_id = taken.json()["id"]
    assert taken.status_code == 201
    assert taken.json()["draws"] == [
        {"meter": "promotions/half/budget", "amount": 1000, "left": 1500},
        {"meter": "promotions/half/uses", "amount": 1, "left": 1},
    ]
    confirmed = await client.post(f"/v1/holds/{hold_id}/confirm", json={"order": "o-1"})
    assert (confirmed.status_code, confirmed.json()["state"]) == (200, "used")
    back = await client.post(f"/v1/holds/{hold_id}/returns", json={"lines": [{"id": "1", "quantity": 1}]})
    assert (back.status_code, back.json()["given_back"]) == (201, [{"meter": "promotions/half/budget", "amount": 500}])
    assert await left(client, "promotions/half/") == {"promotions/half/budget": 2000, "promotions/half/uses": 1}
    shown = await client.get(f"/v1/holds/{hold_id}")
    assert (shown.status_code, shown.json()["state"]) == (200, "used")


async def test_what_is_used_up_is_refused_with_what_is_left(client: httpx.AsyncClient) -> None:
    await publish(client, "/v1/promotions/half", half_off(limits={"uses": 1}))
    first, second = await quoted(client), await quoted(client)

    assert (await held(client, first, "o-1")).status_code == 201
    refused = await held(client, second, "o-2")

    assert refused.status_code == 409
    problem = refused.json()
    assert problem["type"] == "/problems/limit_reached"
    assert problem["limits"] == [{"meter": "promotions/half/uses", "left": 0}]
    assert problem["errors"] == [{"path": "promotions/half/uses", "code": "limit_reached", "message": "0 left"}]


async def test_limits_by_customer_need_a_customer(client: httpx.AsyncClient) -> None:
    await publish(client, "/v1/promotions/half", half_off(limits={"uses_per_customer": 1}))
    nobody, somebody = await quoted(client), await quoted(client, customer={"id": "c/17"})
    again = await quoted(client, customer={"id": "c/17"})

    refused = await held(client, nobody, "o-0")
    assert (refused.status_code, refused.json()["errors"][0]["code"]) == (422, "customer_needed")
    assert (await held(client, somebody, "o-1")).json()["draws"][0]["meter"] == "promotions/half/customers/c%2F17"
    assert (await held(client, again, "o-2")).status_code == 409


async def test_coupons_campaigns_and_sale_prices_have_meters(client: httpx.AsyncClient) -> None:
    await publish(client, "/v1/promotions/half", half_off(requires_code=True))
    await publish(client, "/v1/coupons/half", {"promotion": "half", "codes": ["HALF"], "limits": {"uses": 5}})
    await publish(client, "/v1/campaigns/spring", {"name": "Spring", "promotions": ["half"], "budget": 5000, "currency": "USD"})
    flash = {"name": "Flash", "scope": {"include": {"skus": ["MUG"]}}, "unit_price": "800", "stock_cap": 10}
    await publish(client, "/v1/sale-prices/flash", flash)
    quote = await quoted(client, codes=["half"])

    taken = await held(client, quote, "o-1")

    assert [(one["meter"], one["amount"], one["left"]) for one in taken.json()["draws"]] == [
        ("campaigns/spring/budget", 800, 4200),
        ("coupons/half/uses", 1, 4),
        ("sale-prices/flash/units", 2000, 8000),
    ]


async def test_a_rule_that_is_gone_still_counts_by_its_old_limits(client: httpx.AsyncClient) -> None:
    await publish(client, "/v1/promotions/half", half_off(limits={"uses": 1}))
    first, second = await quoted(client), await quoted(client)
    await client.delete("/v1/promotions/half", params={"publish": "now"})

    assert (await held(client, first, "o-1")).status_code == 201
    assert (await held(client, second, "o-2")).status_code == 409


async def test_a_hold_of_a_quote_without_limits_takes_nothing_and_works(client: httpx.AsyncClient) -> None:
    quote = await quoted(client)
    taken = await client.post("/v1/holds", json={"quote": quote["id"], "order": "o-1"})

    assert (taken.status_code, taken.json()["draws"]) == (201, [])
    released = await client.post(f"/v1/holds/{taken.json()['id']}/release")
    assert (released.status_code, released.json()["state"]) == (200, "released")


async def test_a_key_repeats_the_bytes(client: httpx.AsyncClient) -> None:
    quote = await quoted(client)
    body, key = {"token": quote["token"], "order": "o-1"}, {"Idempotency-Key": "hold-o-1"}

    first = await client.post("/v1/holds", json=body, headers=key)
    again = await client.post("/v1/holds", json=body, headers=key)
    other = await client.post("/v1/holds", json=body | {"order": "o-2"}, headers=key)

    assert (again.content, again.headers["idempotent-replayed"]) == (first.content, "true")
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency_mismatch")


async def test_whether_a_quote_binds_is_told_by_the_database_and_not_by_its_token(
    fresh_database: Database, tmp_path: Path
) -> None:
    secret = "s" * 40
    (tmp_path / "keys").write_text(f"k1:{secret}\n")
    async with serving(fresh_database, tmp_path, signing_keys_file=str(tmp_path / "keys")) as client:
        await publish(client, "/v1/prices/MUG", {"currency": "USD", "unit_price": "1000"})
        first, second = await quoted(client), await quoted(client)
        # As this process would see tokens whose time was over long ago.
        for each in (first, second):
            claims = claims_of(each["token"])
            each["token"] = signed({"alg": "HS256", "kid": "k1", "typ": "JWT"}, {**claims, "exp": claims["exp"] - 10_000}, secret)
        connection = await fresh_database.connect()
        await connection.execute(
            "UPDATE decisions SET reply = convert_to(replace(convert_from(reply, 'UTF8'), $2, '2026-01-01T00:00:00.000Z'), 'UTF8') WHERE id = $1",
            uuid.UUID(second["id"]),
            second["expires_at"],
        )
        await connection.close()
        body, key = {"token": first["token"], "order": "o-1"}, {"Idempotency-Key": "late"}

        taken = await client.post("/v1/holds", json=body, headers=key)
        again = await client.post("/v1/holds", json=body, headers=key)
        expired = await held(client, second, "o-2")

    assert (taken.status_code, again.content, again.headers["idempotent-replayed"]) == (201, taken.content, "true")
    assert (expired.status_code, expired.json()["type"]) == (409, "/problems/quote_expired")


async def test_a_quote_that_was_promised_and_is_not_stored_yet_is_asked_for_again(
    client: httpx.AsyncClient, fresh_database: Database
) -> None:
    quote = await quoted(client)
    body, key = {"token": quote["token"], "order": "o-1"}, {"Idempotency-Key": "early"}
    connection = await fresh_database.connect()
    await connection.execute("CREATE TEMP TABLE kept AS SELECT * FROM decisions")
    await connection.execute("DELETE FROM decisions")

    early = await client.post("/v1/holds", json=body, headers=key)
    await connection.execute("INSERT INTO decisions SELECT * FROM kept")
    await connection.close()
    taken = await client.post("/v1/holds", json=body, headers=key)

    assert (early.status_code, early.headers["retry-after"]) == (503, "1")
    assert (taken.status_code, taken.json()["quote"]) == (201, quote["id"])


@pytest.mark.parametrize("customer", ["c-17", "c 17%", "shop/c-17", "c-17/grants"])
async def test_each_customer_that_quotes_can_have_has_a_balance(client: httpx.AsyncClient, customer: str) -> None:
    granted = await client.post("/v1/points/grants", json={"customer": customer, "points": 5, "reason": "welcome"})
    shown = await client.get("/v1/points", params={"customer": customer})

    assert (granted.status_code, granted.json()["customer"], granted.json()["balance"]) == (201, customer, 5)
    assert shown.json() == granted.json()


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"order": "o-1"}, "token"),
        ({"order": "", "quote": str(uuid.uuid4())}, "order"),
        ({"order": "o-1", "token": "a.b.c"}, "token"),
        ({"order": "o-1", "quote": "x"}, "quote"),
        ({"order": "o-1", "quote": str(uuid.uuid4()), "ttl_seconds": 0}, "ttl_seconds"),
        ({"order": "o-1", "quote": str(uuid.uuid4()), "more": 1}, "more"),
    ],
)
async def test_bad_input_is_told_with_its_path(client: httpx.AsyncClient, body: dict[str, Any], path: str) -> None:
    reply = await client.post("/v1/holds", json=body)

    assert (reply.status_code, reply.json()["errors"][0]["path"]) == (422, path)


async def test_what_is_not_there_is_told(client: httpx.AsyncClient) -> None:
    unknown = await client.post("/v1/holds", json={"quote": str(uuid.uuid4()), "order": "o-1"})
    no_hold = await client.post(f"/v1/holds/{uuid.uuid4()}/confirm", json={"order": "o-1"})

    assert (unknown.status_code, no_hold.status_code) == (404, 404)
    assert (await client.get(f"/v1/holds/{uuid.uuid4()}")).status_code == 404


@pytest.mark.parametrize("quantity", [0, -1, "0.0001", "x", "1000001", ""])
async def test_quantities_of_returns_are_checked(client: httpx.AsyncClient, quantity: Any) -> None:
    body = {"lines": [{"id": "1", "quantity": quantity}]}
    reply = await client.post(f"/v1/holds/{uuid.uuid4()}/returns", json=body)

    assert (reply.status_code, reply.json()["errors"][0]["path"]) == (422, "lines[0].quantity")
