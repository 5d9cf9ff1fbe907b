"""The limits of a key hold at both doors, over a real socket, and at every route."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.db.engine import Database
from tests.served import served
from tests.support import is_problem

QUOTE = {"currency": "USD", "lines": [{"sku": "MUG", "quantity": 1}]}


@pytest.fixture
def client(fresh_database: Database, tmp_path: Path) -> Iterator[httpx.Client]:
    """A client that may do everything, of a service with one price."""
    with (
        served(fresh_database, tmp_path, log_level="error", key_concurrent="50") as address,
        httpx.Client(base_url=address, timeout=30) as client,
    ):
        client.put("/v1/prices/MUG", json={"currency": "USD", "unit_price": "1299"}, params={"publish": "now"}).raise_for_status()
        yield client


def made(client: httpx.Client, **limits: int) -> dict[str, str]:
    """The header of a new key with these limits."""
    body = {"name": "limited", "scopes": ["quote", "read"], **limits}
    reply = client.post("/v1/keys", json=body)
    assert reply.status_code == 201, reply.text
    assert {name: reply.json()[name] for name in limits} == limits
    return {"Authorization": f"Bearer {reply.json()['key']}"}


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/v1/quotes", {}),
        ("/v1/preview", {}),
        # Not taken directly: another spelling of the media type goes by way of ASGI.
        ("/v1/quotes", {"Content-Type": "application/json; charset=utf-8"}),
    ],
)
def test_a_key_gets_its_burst_and_then_429(client: httpx.Client, path: str, headers: dict[str, str]) -> None:
    key = made(client, requests_per_second=1, burst=5)

    replies = [client.post(path, json=QUOTE, headers={**key, **headers}) for _ in range(8)]

    statuses = [reply.status_code for reply in replies]
    assert statuses[:5] == [replies[0].status_code] * 5
    assert replies[0].is_success
    refused = [reply for reply in replies if reply.status_code == 429]
    assert refused
    assert all(is_problem(reply, 429, "too_many") and int(reply.headers["retry-after"]) >= 1 for reply in refused)
    assert client.post(path, json=QUOTE).is_success  # others go on
    told = client.get("/metrics").text
    assert f'pricing_refused_total{{reason="key_rate"}} {len(refused)}.0' in told
    assert 'pricing_request_errors_total{problem="too_many"}' in told


def test_the_routes_of_the_control_plane_count_as_well(client: httpx.Client) -> None:
    key = made(client, requests_per_second=1, burst=2)

    replies = [client.get("/v1/products", headers=key) for _ in range(4)]

    assert [reply.status_code for reply in replies[:2]] == [200, 200]
    assert is_problem(replies[3], 429, "too_many")


def test_a_batch_costs_its_baskets(client: httpx.Client) -> None:
    key = made(client, requests_per_second=1, burst=10)

    first = client.post("/v1/quotes/batch", json={"quotes": [QUOTE] * 8}, headers=key)
    second = client.post("/v1/quotes/batch", json={"quotes": [QUOTE] * 8}, headers=key)

    assert first.status_code == 200
    assert is_problem(second, 429, "too_many")
    # Two or so were left of ten, and it takes eight.
    assert 4 <= int(second.headers["retry-after"]) <= 6
    assert client.post("/v1/quotes", json=QUOTE, headers=key).status_code == 201


def test_a_batch_larger_than_the_burst_is_let_in_and_paid_for(client: httpx.Client) -> None:
    key = made(client, requests_per_second=10, burst=10)

    first = client.post("/v1/quotes/batch", json={"quotes": [QUOTE] * 40}, headers=key)
    then = client.post("/v1/quotes", json=QUOTE, headers=key)

    assert first.status_code == 200
    assert is_problem(then, 429, "too_many")
    assert 2 <= int(then.headers["retry-after"]) <= 4  # thirty were owed, at ten a second


def test_new_limits_hold_within_two_seconds(client: httpx.Client) -> None:
    body = {"name": "limited", "scopes": ["quote"], "requests_per_second": 1, "burst": 1}
    made_ = client.post("/v1/keys", json=body).json()
    key = {"Authorization": f"Bearer {made_['key']}"}
    statuses = [client.post("/v1/quotes", json=QUOTE, headers=key).status_code for _ in range(3)]
    changed = client.put(f"/v1/keys/{made_['id']}/limits", json={"concurrent": 3})
    began_s = time.monotonic()

    while [client.post("/v1/quotes", json=QUOTE, headers=key).status_code for _ in range(5)] != [201] * 5:
        assert time.monotonic() - began_s < 2

    assert statuses[0] == 201
    assert 429 in statuses
    shown = changed.json()
    assert (shown["requests_per_second"], shown["burst"], shown["concurrent"]) == (None, None, 3)
    assert client.put("/v1/keys/aaaaaaaaaaaa/limits", json={}).status_code == 404


@pytest.mark.parametrize(
    ("limits", "place"),
    [
        ({"requests_per_second": 0}, "requests_per_second"),
        ({"concurrent": -1}, "concurrent"),
        ({"burst": 5}, "burst"),
        ({"requests_per_second": 5, "burst": 1_000_001}, "burst"),
    ],
)
def test_limits_that_are_none_are_refused_with_their_place(client: httpx.Client, limits: dict[str, int], place: str) -> None:
    reply = client.post("/v1/keys", json={"name": "x", "scopes": ["quote"], **limits})

    assert is_problem(reply, 422, "validation")
    assert [error["path"] for error in reply.json()["errors"]] == [place]
