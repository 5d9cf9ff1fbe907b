"""Promise R3 for every route that changes something: sent again under its key it answers the same bytes, and with another request it is refused.

The routes are those of the application, so one that is added has to be here or to be named as one that changes nothing.
"""

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import pytest
from fastapi import FastAPI

from app.api import create_api
from app.db.engine import Database
from app.main import Service
from app.web.routing import api_routes
from tests.contract.examples import (
    PRICE,
    PRODUCT,
    QUOTE,
    SALE,
    SIGNALS,
)
from tests.contract.test_api_examples import DOCUMENTS
from tests.served import served
from tests.service import settings_in
from tests.support import is_problem

# They read what they are sent and leave nothing behind.
CHANGES_NOTHING: Final = {
    ("POST", "/v1/prices"),
    ("POST", "/v1/preview"),
    ("POST", "/v1/decisions/{decision_id}/replay"),
    ("POST", "/v1/releases/{id}/validate"),
}
# What they answer holds a secret, which is shown once and not kept: a repetition is told so, always in the same bytes.
SHOWN_ONCE: Final = {("POST", "/v1/keys"), ("POST", "/v1/keys/{key_id}/rotate")}
_NOBODY: Final = "00000000-0000-4000-8000-000000000001"


class Call(NamedTuple):
    """A request that is valid, and another one that is not the same; without a body for calls that take none."""

    path: str
    other_path: str
    body: bytes | None = None
    other_body: bytes | None = None
    media_type: str = "application/json"


def resource(path: str, body: dict[str, Any]) -> dict[tuple[str, str], Call]:
    """Putting and deleting a document. That it is a draft or complete makes no difference here."""
    collection, _, document = path.removeprefix("/v1/").partition("/")
    template = (
        f"/v1/{collection}"
        if not document
        else f"/v1/{collection}/{{sku}}"
        if collection == "prices"
        else f"/v1/{collection}/{{id}}"
    )
    other = f"{path}-2" if document else f"{path}?publish=now"
    query = "?currency=USD" if collection == "prices" else ""
    return {("PUT", template): sent(path, body), ("DELETE", template): Call(path + query, other + query)}


def sent(path: str, body: Any, other_body: Any = None) -> Call:
    """A call with a body; without another one it is the same in another spelling, which is another request."""
    raw = json.dumps(body).encode()
    return Call(path, path, raw, raw + b" " if other_body is None else json.dumps(other_body).encode())


_LADDER: Final = {"currency": "USD", "rungs": [{"sku": "A"}]}
_SEASON: Final = {
    "scope": {"include": {"skus": ["SKU-1"]}},
    "timezone": "Europe/Berlin",
    "periods": [{"from": "2026-01-05T00:00:00", "to": "2026-01-12T00:00:00", "index": "1.5"}],
}
_KEY: Final = {"name": "shop", "scopes": ["quote"]}
_TWO: Final = QUOTE | {"codes": [], "lines": [{"id": "1", "sku": "SKU-1", "quantity": 3}]}
_ONE: Final = QUOTE | {"codes": []}
CALLS: Final[dict[tuple[str, str], Call]] = {
    ("POST", "/v1/quotes"): sent("/v1/quotes", _ONE, _TWO),
    ("POST", "/v1/quotes/batch"): sent("/v1/quotes/batch", {"quotes": [_ONE, _ONE]}, {"quotes": [_TWO, _TWO]}),
    **{name: call for path, body, _ in DOCUMENTS for name, call in resource(path, body).items()},
    **resource("/v1/ladders/mugs", _LADDER),
    **resource("/v1/seasons/lamps", _SEASON),
    **resource("/v1/publishing-policy", {"publish_now": True}),
    ("POST", "/v1/import"): Call(
        "/v1/import?resource=products",
        "/v1/import?resource=products",
        b'{"id":"SKU-7","name":"Laces"}\n',
        b'{"id":"SKU-8","name":"Laces"}\n',
        "application/x-ndjson",
    ),
    ("POST", "/v1/releases"): sent("/v1/releases", {"name": "autumn"}),
    ("POST", "/v1/releases/rollback"): sent("/v1/releases/rollback", {"to_version": 2}),
    ("DELETE", "/v1/releases/{id}"): Call(f"/v1/releases/{_NOBODY}", f"/v1/releases/{_NOBODY}?keep_drafts=true"),
    ("POST", "/v1/releases/{id}/publish"): Call(f"/v1/releases/{_NOBODY}/publish", f"/v1/releases/{_NOBODY[:-1]}2/publish"),
    **{("PUT", f"/v1/signals/{kind}"): sent(f"/v1/signals/{kind}", facts) for kind, facts in SIGNALS.items()},
    ("POST", "/v1/sales"): sent("/v1/sales", [SALE]),
    ("POST", "/v1/holds"): sent("/v1/holds", {"quote": "QUOTE", "order": "ORDER-2"}),
    ("POST", "/v1/holds/{hold_id}/confirm"): sent("/v1/holds/HOLD/confirm", {"order": "ORDER"}),
    ("POST", "/v1/holds/{hold_id}/release"): Call("/v1/holds/HOLD/release", f"/v1/holds/{_NOBODY}/release"),
    ("POST", "/v1/holds/{hold_id}/returns"): sent("/v1/holds/HOLD/returns", {"lines": [{"id": "1", "quantity": "1"}]}),
    ("POST", "/v1/points/grants"): sent("/v1/points/grants", {"customer": "c-17", "points": 100, "reason": "welcome"}),
    ("POST", "/v1/keys"): sent("/v1/keys", _KEY),
    ("POST", "/v1/keys/{key_id}/rotate"): sent("/v1/keys/KEY/rotate", {}),
    ("PUT", "/v1/keys/{key_id}/limits"): sent("/v1/keys/KEY/limits", {"concurrent": 5}),
    ("DELETE", "/v1/keys/{key_id}"): Call("/v1/keys/KEY", "/v1/keys/aaaaaaaaaaaa"),
}


def made_for(shop: httpx.Client) -> dict[str, str]:
    """What stands for the words in capitals of a call: a key, a quote and a hold of it, made for this one."""
    order = f"o-{uuid.uuid4()}"
    key = shop.post("/v1/keys", json=_KEY).json()["id"]
    held, free = (shop.post("/v1/quotes", json=_ONE).json()["id"] for _ in range(2))
    hold = shop.post("/v1/holds", json={"quote": held, "order": order}).json()["id"]
    return {"KEY": key, "QUOTE": free, "HOLD": hold, "ORDER": order}


def filled(part: Any, words: dict[str, str]) -> Any:
    """A part of a call with what stands for its words."""
    for word, value in words.items():
        if isinstance(part, bytes):
            part = part.replace(word.encode(), value.encode())
        elif isinstance(part, str):
            part = part.replace(word, value)
    return part


def changing_routes(api: FastAPI) -> set[tuple[str, str]]:
    return {(method, path) for path, route in api_routes(api) for method in (route.methods or set()) - {"GET", "HEAD"}}


@pytest.fixture
def api(tmp_path: Path) -> FastAPI:
    return create_api(Service(settings_in(tmp_path), Database("postgresql://nobody@127.0.0.1:1/nothing")))


@pytest.fixture(scope="module")
def shop(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with (
        served(database, tmp_path_factory.mktemp("shop"), log_level="error") as address,
        httpx.Client(base_url=address, timeout=30) as client,
    ):
        for path, body in (("/v1/products/SKU-1", PRODUCT), ("/v1/prices/SKU-1", PRICE)):
            client.put(path, json=body, params={"publish": "now"}).raise_for_status()
        yield client


def test_every_route_that_changes_something_is_tried_here_and_says_that_it_takes_a_key(api: FastAPI) -> None:
    assert changing_routes(api) == set(CALLS) | CHANGES_NOTHING
    document = api.openapi()["paths"]
    for method, path in CALLS:
        named = [parameter["name"] for parameter in document[path][method.lower()]["parameters"]]
        assert "Idempotency-Key" in named, (method, path)
    for method, path in CHANGES_NOTHING:
        named = [parameter["name"] for parameter in document[path][method.lower()].get("parameters", [])]
        assert "Idempotency-Key" not in named, (method, path)


@pytest.mark.parametrize("name", list(CALLS), ids=" ".join)
def test_a_repetition_is_answered_with_the_same_bytes_and_another_request_is_refused(
    shop: httpx.Client, name: tuple[str, str]
) -> None:
    words = made_for(shop)
    call = Call(*(filled(part, words) for part in CALLS[name]))
    method, headers = name[0], {"Idempotency-Key": str(uuid.uuid4()), "Content-Type": call.media_type}

    first = shop.request(method, call.path, content=call.body, headers=headers)
    again = [shop.request(method, call.path, content=call.body, headers=headers) for _ in range(2)]
    other = shop.request(method, call.other_path, content=call.other_body, headers=headers)

    assert first.status_code < 300 or first.status_code in (404, 409), first.text
    assert "idempotent-replayed" not in first.headers
    assert [reply.headers.get("idempotent-replayed") for reply in again] == ["true", "true"]
    assert again[0].content == again[1].content
    if name in SHOWN_ONCE:
        assert is_problem(again[0], 409, "conflict")
    else:
        assert (again[0].status_code, again[0].content) == (first.status_code, first.content)
        assert again[0].headers.get("etag") == first.headers.get("etag")
    if name == ("POST", "/v1/quotes/batch"):
        # Each basket has its own id, and each is refused by itself.
        assert [each["problem"]["type"] for each in other.json()["results"]] == ["/problems/idempotency_mismatch"] * 2
    else:
        assert is_problem(other, 422, "idempotency_mismatch")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/quotes", QUOTE | {"codes": [], "lines": [{"id": "1", "sku": "UNKNOWN", "quantity": 1}]}),
        ("DELETE", "/v1/products/UNKNOWN", None),
        ("DELETE", "/v1/prices/UNKNOWN", None),
        ("PUT", "/v1/coupons/NOBODY?publish=now", {"promotion": "nobody", "codes": ["A"]}),
        ("POST", "/v1/keys", {"name": "late", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}),
    ],
)
def test_a_refusal_is_repeated_to_the_byte(shop: httpx.Client, method: str, path: str, body: Any) -> None:
    headers = {"Idempotency-Key": str(uuid.uuid4())}

    first = shop.request(method, path, json=body, headers=headers)
    again = shop.request(method, path, json=body, headers=headers)

    assert 400 <= first.status_code < 500
    assert (again.status_code, again.content) == (first.status_code, first.content)
    assert again.headers["idempotent-replayed"] == "true"


def test_a_price_that_a_request_deleted_stays_deleted_by_it(shop: httpx.Client) -> None:
    """Which price it is, is looked up; and when the request comes again there is none, or another one."""
    put = {"currency": "USD", "unit_price": "100"}
    query = {"publish": "now"}
    headers = {"Idempotency-Key": str(uuid.uuid4())}
    assert shop.put("/v1/prices/GONE", json=put, params=query).status_code == 201

    first = shop.delete("/v1/prices/GONE", params=query, headers=headers)
    when_gone = shop.delete("/v1/prices/GONE", params=query, headers=headers)
    shop.put("/v1/prices/GONE", json=put, params=query)
    when_back = shop.delete("/v1/prices/GONE", params=query, headers=headers)

    assert first.status_code == 200
    assert (when_gone.status_code, when_gone.content) == (when_back.status_code, when_back.content) == (200, first.content)
    assert shop.get("/v1/prices/GONE").status_code == 200
