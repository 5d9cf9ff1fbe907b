"""The front table and FastAPI give the same answers, good and bad."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from openapi_spec_validator import validate

from app.db.engine import Database
from app.web.auth import Principal
from app.web.routing import check_routes
from tests.quotes_support import (
    STOREFRONT_ONLY,
    Books,
    Caller,
    basket,
    client_of,
    connector,
    doors,
    encoded,
    house,
    shop_book,
)

PATHS = ("/v1/quotes", "/v1/quotes/batch", "/v1/prices", "/v1/preview")
JSON = {"content-type": "application/json"}
# What may differ: when it was issued, and what follows from that.
_PASSING = re.compile(rb'"(id|issued_at|expires_at|token)":"[^"]+"')


class Doors:
    """Both doors of one house, as clients."""

    def __init__(self, front: httpx.AsyncClient, api: httpx.AsyncClient, caller: Caller, schema: dict[str, Any]) -> None:
        self.front = front
        self.api = api
        self.caller = caller
        self.schema = schema

    async def both(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
        """Send the request to both, assert that they answer alike, and return the front table's answer."""
        one, other = [
            await door.post(path, content=body, headers=JSON if headers is None else headers) for door in (self.front, self.api)
        ]
        assert one.status_code == other.status_code
        assert _PASSING.sub(rb'"\1":""', one.content) == _PASSING.sub(rb'"\1":""', other.content)
        for name in ("content-type", "retry-after", "idempotent-replayed", "www-authenticate"):
            assert one.headers.get(name) == other.headers.get(name), name
        return one


@pytest.fixture
async def open_doors(database: Database) -> AsyncIterator[Doors]:
    engine = database.engine()
    caller = Caller()
    async with house(connector(database), books=Books(shop_book(3))) as served:
        front, api = doors(served, engine, caller=caller)
        check_routes(api)
        async with client_of(front) as one, client_of(api) as other:
            yield Doors(one, other, caller, api.openapi())
    await engine.dispose()


async def test_a_preview_explains_itself_in_full_when_asked(open_doors: Doors) -> None:
    full = await open_doors.both("/v1/preview?explain=full", encoded(basket()))
    plain = await open_doors.both("/v1/preview", encoded(basket()))
    refused = [
        await open_doors.both(path, encoded(basket()))
        for path in ("/v1/preview?explain=some", "/v1/preview?explain=full&explain=full", "/v1/quotes?explain=full")
    ]

    assert full.json()["explanation"]["order"][-1]["after"] == full.json()["total"]
    assert "explanation" not in plain.json()
    assert [reply.status_code for reply in refused] == [422, 422, 422]
    assert {reply.json()["errors"][0]["path"] for reply in refused} == {"explain"}


async def test_good_requests(open_doors: Doors) -> None:
    quote = await open_doors.both("/v1/quotes", encoded(basket(codes=["save10"])))
    preview = await open_doors.both("/v1/preview", encoded(basket(codes=["save10"])))
    batch = await open_doors.both("/v1/quotes/batch", encoded({"quotes": [basket(), basket(("SKU-9", 1)), 7]}))
    prices = await open_doors.both("/v1/prices", encoded({"currency": "USD", "skus": ["SKU-2", "SKU-9", "SKU-1"]}))

    assert [quote.status_code, preview.status_code, batch.status_code, prices.status_code] == [201, 200, 200, 200]
    assert list(quote.json())[:4] == ["id", "version", "issued_at", "expires_at"]
    assert list(quote.json())[-1] == "token"
    assert (preview.json()["id"], preview.json()["token"]) == (None, None)
    assert [list(result) for result in batch.json()["results"]] == [["quote"], ["problem"], ["problem"]]
    assert prices.json() == {
        "currency": "USD",
        "version": 3,
        "items": [
            {"sku": "SKU-2", "list_unit_price": "250", "unit_price": "250", "net_unit_price": "250"},
            {
                "sku": "SKU-9",
                "list_unit_price": None,
                "unit_price": None,
                "net_unit_price": None,
                "problem": {"code": "no_price"},
            },
            {"sku": "SKU-1", "list_unit_price": "1299", "unit_price": "1299", "net_unit_price": "1299"},
        ],
    }


@pytest.mark.parametrize("path", PATHS)
async def test_plumbing_is_refused_alike(open_doors: Doors, path: str) -> None:
    good = encoded(basket())

    assert (await open_doors.both(path, good, {"content-type": "text/plain"})).status_code == 415
    assert (await open_doors.both(path, good, {})).status_code == 415
    assert (await open_doors.both(path, b"")).status_code == 400
    assert (await open_doors.both(path, b"\xff")).status_code == 400
    assert (await open_doors.both(path, b" " * ((1 << 20) + 1))).status_code == 413
    assert (await open_doors.both(path, b"{}", JSON | {"idempotency-key": "a b"})).status_code == 422
    assert (await open_doors.both(path, b"{}")).status_code == 422
    open_doors.caller.principal = Principal("reader", frozenset({"read"}))
    assert (await open_doors.both(path, good)).status_code == 403


async def test_a_slow_body_is_not_waited_for(open_doors: Doors) -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    for door in (open_doors.front, open_doors.api):
        response = await door.post("/v1/quotes", content=slow(), headers=JSON)
        assert response.status_code == 408
        assert response.json()["type"] == "/problems/request_timeout"


async def test_versions(open_doors: Doors) -> None:
    assert (await open_doors.both("/v1/quotes", encoded(basket(version=3)))).json()["version"] == 3
    assert (await open_doors.both("/v1/quotes", encoded(basket(min_version=3)))).status_code == 201
    assert (await open_doors.both("/v1/quotes", encoded(basket()), JSON | {"min-version": "3"})).status_code == 201
    late = await open_doors.both("/v1/quotes", encoded(basket()), JSON | {"min-version": "4"})
    assert (late.status_code, late.json()["type"]) == (503, "/problems/version_not_reached")
    unknown = await open_doors.both("/v1/preview", encoded(basket(version=2)))
    assert [error["path"] for error in unknown.json()["errors"]] == ["version"]
    assert (await open_doors.both("/v1/quotes", encoded(basket()), JSON | {"min-version": "x"})).status_code == 422


async def test_simulating_needs_its_scope(open_doors: Doors) -> None:
    open_doors.caller.principal = STOREFRONT_ONLY

    for more in ({"at": "2026-11-27T10:00:00Z"}, {"version": 3}):
        assert (await open_doors.both("/v1/preview", encoded(basket(**more)))).status_code == 403
        one = await open_doors.both("/v1/quotes/batch", encoded({"quotes": [basket(**more), basket()]}))
        assert [list(result) for result in one.json()["results"]] == [["problem"], ["quote"]]


async def test_request_ids_come_back_or_are_made(open_doors: Doors) -> None:
    kept = await open_doors.front.post("/v1/quotes", content=encoded(basket()), headers=JSON | {"x-request-id": "trace-7"})
    made = [await open_doors.front.post("/v1/quotes", content=b"", headers=JSON) for _ in range(2)]

    assert kept.headers["x-request-id"] == "trace-7"
    assert len({response.headers["x-request-id"] for response in made}) == 2


async def test_other_methods_and_paths_go_past_the_table(open_doors: Doors) -> None:
    assert (await open_doors.front.get("/v1/preview")).status_code == 405
    assert (await open_doors.front.post("/v1/quotes/")).status_code == 404


async def test_the_openapi_document_is_valid_and_names_our_structs(open_doors: Doors) -> None:
    schema = open_doors.schema

    validate(schema)
    assert {"QuoteRequest", "Quote", "PricesRequest", "BatchReply", "Problem"} <= schema["components"]["schemas"].keys()
    assert schema["paths"]["/v1/quotes"]["post"]["operationId"] == "createQuote"


VALUES = st.none() | st.booleans() | st.integers(-3, 12) | st.sampled_from(["SKU-1", "SKU-2", "0.5", "", "USD", "EUR", "save10"])
LINES = st.fixed_dictionaries({"sku": VALUES, "quantity": VALUES}, optional={"id": VALUES})
REQUESTS = st.fixed_dictionaries(
    {"currency": st.sampled_from(["USD", "EUR", "usd", 1]), "lines": st.lists(LINES, max_size=3)},
    optional={
        "codes": st.lists(VALUES, max_size=2),
        "partial": VALUES,
        "points": VALUES,
        "attributes": st.dictionaries(st.sampled_from("ab"), VALUES, max_size=1),
        "customer": st.none() | st.fixed_dictionaries({}, optional={"id": VALUES, "orders": VALUES}),
        "surprise": VALUES,
    },
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=REQUESTS)
async def test_both_doors_answer_alike(open_doors: Doors, request: dict[str, Any]) -> None:
    body = json.dumps(request).encode()

    for path in ("/v1/quotes", "/v1/preview"):
        assert (await open_doors.both(path, body)).status_code in (200, 201, 422)
    assert (await open_doors.both("/v1/quotes/batch", b'{"quotes":[' + body + b"]}")).status_code == 200
