"""Import and export: what goes in comes out, all of it or nothing."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.db.engine import Database
from tests.service import publish, serving
from tests.support import is_problem, paths

SCOPE = {"include": {"skus": ["A-1"], "attributes": {"colour": ["red", "dark|blue"]}}, "exclude": {"tags": ["old"]}}
DOCUMENTS: dict[str, list[dict[str, Any]]] = {
    "products": [
        {
            "id": "A-1",
            "name": 'Red, "fast" shoe',
            "category": "shoes/running",
            "tags": ["new", "x"],
            "attributes": {"colour": "red"},
        },
        {"id": "A-2", "name": "Überschuh — 鞋", "brand": "acme", "tags": ["a|b"]},
        {"id": "A-3", "name": "=1+1", "tags": ["[odd"]},
    ],
    "price-lists": [
        {"id": "vip", "priority": -3, "tax_included": True, "match": {"groups": ["vip"], "channels": ["web", "app"]}}
    ],
    "prices": [
        {"sku": "A-1", "currency": "USD", "unit_price": "1299"},
        {"sku": "A-1", "currency": "JPY", "unit_price": "0.8", "valid_from": "2030-01-01T00:00:00Z"},
        {
            "sku": "A-2",
            "currency": "USD",
            "price_list": "vip",
            "unit_price": "10.5",
            "tiers": {
                "mode": "graduated",
                "steps": [{"up_to": "2.5", "unit_price": "10.5"}, {"up_to": None, "unit_price": "9", "flat_fee": 3}],
            },
        },
    ],
    "guardrails": [{"id": "g1", "scope": SCOPE, "currency": "USD", "floor": "9"}],
    "endings": [
        {"id": "us", "currency": "USD", "bands": [{"up_to": 1000, "endings": ["9"]}, {"up_to": None, "endings": ["99", "49"]}]}
    ],
    "strategies": [
        {"id": "s1", "kind": "cost_plus", "scope": SCOPE, "currency": "USD", "params": {"markup": "40", "amount": "0.5"}},
        {
            "id": "s2",
            "kind": "elasticity",
            "scope": {},
            "currency": "USD",
            "params": {"form": "iso_elastic", "elasticity": "-2.4", "reference_price": "1299"},
            "endings": "us",
        },
        {
            "id": "s3",
            "kind": "competitor",
            "scope": {},
            "currency": "USD",
            "params": {
                "against": "weighted",
                "weights": [{"competitor": "a", "weight": "2"}],
                "in_stock_only": True,
                "max_age_hours": 9,
            },
        },
        {
            "id": "s4",
            "kind": "lifecycle",
            "scope": SCOPE,
            "currency": "USD",
            "params": {"stages": [{"stage": "exit", "from": "2026-01-01T00:00:00Z", "unit_price": "5"}]},
        },
    ],
    "ladders": [
        {"id": "l1", "currency": "USD", "rungs": [{"sku": "A-1"}, {"sku": "A-2", "gap_amount": "5", "low_percent": "90"}]}
    ],
    "seasons": [
        {
            "id": "w1",
            "scope": SCOPE,
            "timezone": "UTC",
            "periods": [{"from": "2026-01-05T00:00:00", "to": "2026-01-12T00:00:00", "index": "1.5"}],
        }
    ],
    "attributes": [{"id": "age", "type": "integer", "personal": True}, {"id": "club", "type": "string"}],
    "sale-prices": [
        {"id": "flash", "name": "Flash", "scope": SCOPE, "currency": "USD", "unit_price": "999", "stock_cap": 500},
        {
            "id": "happy",
            "name": "Happy hour",
            "scope": {},
            "percent": "12.5",
            "schedule": {"timezone": "Europe/Berlin", "weekly": {"days": ["mon", "fri"], "start": "22:00", "end": "02:00"}},
        },
    ],
    "promotions": [
        {
            "id": "ten",
            "name": "Ten off",
            "kind": "percent_off",
            "params": {"percent": "10", "cap": 5000},
            "currency": "USD",
            "scope": SCOPE,
            "conditions": {"all": [{"attribute": "order.subtotal", "op": ">=", "value": 5000}, {"not": {"any": []}}]},
            "schedule": {"from": "2026-11-27T00:00:00", "to": "2026-11-30T00:00:00", "timezone": "America/New_York"},
            "requires_code": True,
            "limits": {"uses": 1000},
            "funding": [{"party": "acme", "percent": "60"}],
        },
        {
            "id": "steps",
            "name": "Steps",
            "kind": "tiered",
            "params": {"by": "quantity", "steps": [{"from": "1.5", "percent": "5"}, {"from": 3, "percent": "7"}]},
            "exclusive": True,
        },
        {
            "id": "save",
            "name": "Save",
            "kind": "spend_save",
            "params": {"threshold": 5000, "amount": 500, "repeat": True},
            "currency": "USD",
        },
    ],
    "coupons": [{"id": "c1", "promotion": "ten", "codes": ["TEN", "ÉTÉ|1"]}],
    "campaigns": [
        {"id": "summer", "name": "Summer", "promotions": ["ten"], "from": "2026-06-01T00:00:00", "timezone": "Europe/Paris"}
    ],
    "policy": [{"id": "default", "rounding": "half_down"}],
    "publishing-policy": [{"id": "default", "publish_now": True}],
}
MEDIA_TYPE = {"csv": "text/csv", "ndjson": "application/x-ndjson"}


@pytest.fixture
async def client(fresh_database: Database, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with serving(fresh_database, tmp_path) as client:
        yield client


async def import_rows(
    client: httpx.AsyncClient, resource: str, content: bytes, form: str = "ndjson", **params: str
) -> httpx.Response:
    headers = {"Content-Type": MEDIA_TYPE[form]}
    return await client.post("/v1/import", params={"resource": resource} | params, content=content, headers=headers)


def ndjson(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


async def export(client: httpx.AsyncClient, resource: str, form: str) -> bytes:
    reply = await client.get("/v1/export", params={"resource": resource, "format": form})
    assert reply.status_code == 200, reply.text
    return reply.content


async def test_export_and_import_are_one_another_s_inverse(client: httpx.AsyncClient) -> None:
    for resource, rows in DOCUMENTS.items():
        reply = await import_rows(client, resource, ndjson(rows), publish="now")
        assert reply.status_code == 200, (resource, reply.text)
        assert reply.json()["changed"] == len(rows)
    version = reply.json()["version"]

    for resource in DOCUMENTS:
        for form in ("csv", "ndjson"):
            exported = await export(client, resource, form)
            again = await import_rows(client, resource, exported, form, publish="now")

            assert again.status_code == 200, (resource, form, exported, again.text)
            assert (again.json()["changed"], again.json()["version"]) == (0, version), (resource, form, exported)
            assert await export(client, resource, form) == exported


async def test_a_bulk_of_drafts_waits_for_its_release(client: httpx.AsyncClient) -> None:
    reply = await import_rows(client, "products", ndjson(DOCUMENTS["products"]))
    listed = await client.get("/v1/products")
    drafted = await client.get("/v1/products", params={"draft": "true"})

    assert reply.json() == {"resource": "products", "rows": 3, "changed": 3, "version": None, "draft": True}
    assert listed.json()["items"] == []
    assert len(drafted.json()["items"]) == 3


async def test_one_bad_row_keeps_all_out_and_is_told_with_its_line(client: httpx.AsyncClient) -> None:
    good = b'{"id": "B-1", "name": "Good"}\n'
    bad = (
        b'\n{"id": "B-2", "name": 5}\n{"id": "B-3"\n{"id": "B-1", "name": "Again"}\n{"id": "B-4", "name": "x", "colour": "red"}\n'
    )
    reply = await import_rows(client, "products", good + bad, publish="now")

    assert is_problem(reply, 422, "validation")
    assert [(error["path"], error["code"]) for error in reply.json()["errors"]] == [
        ("line[3].name", "string_type"),
        ("line[4]", "malformed_json"),
        ("line[5]", "duplicate"),
        ("line[6].colour", "extra_forbidden"),
    ]
    assert (await client.get("/v1/products")).json()["items"] == []


async def test_csv_problems_name_line_and_column(client: httpx.AsyncClient) -> None:
    content = (
        b"id,name,kind,params.percent,params.cap,priority,scope.include.skus,exclusive\r\n"
        b'ok,"two\r\nlines",percent_off,10,,,,\r\n'
        b"p2,Fine,percent_off,101,x,1.5,A|B|!,maybe\r\n"
        b"p3,Fine,percent_off,10,,,,,extra\r\n"
    )
    reply = await import_rows(client, "promotions", content, "csv")

    assert is_problem(reply, 422, "validation")
    assert sorted(paths(reply)) == [
        "line[2].name",
        "line[4].exclusive",
        "line[4].params.cap",
        "line[4].params.percent",
        "line[4].priority",
        "line[4].scope.include.skus[2]",
        "line[5]",
    ]


async def test_csv_takes_members_of_objects_in_columns_of_their_own(client: httpx.AsyncClient) -> None:
    content = "\ufeffid,name,attributes.colour,attributes.size,tags\nD-1,Shoe,red,,new|old\n".encode()
    reply = await import_rows(client, "products", content, "csv", publish="now")
    shown = (await client.get("/v1/products/D-1")).json()

    assert reply.status_code == 200, reply.text
    assert (shown["attributes"], shown["tags"]) == ({"colour": "red"}, ["new", "old"])


async def test_what_the_book_refuses_is_told_by_its_line(client: httpx.AsyncClient) -> None:
    rows = [{"id": "c1", "promotion": "nowhere", "codes": ["A"]}]
    reply = await import_rows(client, "coupons", ndjson(rows), publish="now")

    assert is_problem(reply, 422, "validation")
    assert paths(reply) == ["line[1].promotion"]


async def test_at_most_a_hundred_problems_are_listed(client: httpx.AsyncClient) -> None:
    reply = await import_rows(client, "products", b'{"id": "!"}\n' * 300)

    assert len(reply.json()["errors"]) == 100
    assert reply.json()["detail"].startswith("300 of 300 rows")


@pytest.mark.parametrize(
    ("content", "media_type", "status"),
    [(b"", "text/csv", 400), (b"id\n", "text/csv", 422), (b"x", "application/json", 415), (b"\xff\xfe,\n", "text/csv", 422)],
)
async def test_what_is_no_import_is_refused(client: httpx.AsyncClient, content: bytes, media_type: str, status: int) -> None:
    reply = await client.post("/v1/import?resource=products", content=content, headers={"Content-Type": media_type})

    assert reply.status_code == status


async def test_an_import_is_one_version_and_unchanged_rows_make_no_revision(client: httpx.AsyncClient) -> None:
    first = await publish(client, "/v1/products/A-1", {k: v for k, v in DOCUMENTS["products"][0].items() if k != "id"})
    reply = await import_rows(client, "products", ndjson(DOCUMENTS["products"]), publish="now")
    kept = (await client.get("/v1/products/A-1")).json()

    assert (reply.json()["version"], reply.json()["changed"]) == (first["version"] + 1, 2)
    assert (kept["revision"], kept["version"]) == (1, first["version"])


async def test_an_import_with_a_key_is_done_once(client: httpx.AsyncClient) -> None:
    async def send(name: str) -> httpx.Response:
        headers = {"Content-Type": MEDIA_TYPE["ndjson"], "Idempotency-Key": "import-1"}
        content = ndjson([{"id": "E-1", "name": name}])
        return await client.post("/v1/import?resource=products&publish=now", content=content, headers=headers)

    first, again, other = await send("One"), await send("One"), await send("Two")

    assert first.content == again.content
    assert is_problem(other, 422, "idempotency_mismatch")
