"""Methods, media types and headers: what HTTP asks of every resource, and refusals that are problems everywhere."""

from typing import Any

import httpx
import pytest

from tests.contract.wire import is_problem, places

JSON = {"Content-Type": "application/json"}
BASKET: dict[str, Any] = {"currency": "USD", "lines": [{"sku": "MUG-ENAMEL-BLUE", "quantity": 2}]}


@pytest.mark.parametrize(
    "path", ["/nope", "/v1", "/v1/nope", "/v1/quotes/", "/v1/products/", "/v1/products/A/B", "/v1/products/NOPE"]
)
def test_what_is_not_there_is_a_problem(client: httpx.Client, path: str) -> None:
    assert is_problem(client.get(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/v1/quotes", "POST"),
        ("PUT", "/v1/quotes", "POST"),
        ("GET", "/v1/preview", "POST"),
        ("DELETE", "/v1/prices", "GET, HEAD, POST"),
        ("POST", "/v1/products/A", "DELETE, GET, HEAD, PUT"),
        ("PATCH", "/v1/policy", "DELETE, GET, HEAD, PUT"),
        ("OPTIONS", "/v1/products", "GET, HEAD"),
        ("OPTIONS", "/v1/prices/A", "DELETE, GET, HEAD, PUT"),
        ("HEAD", "/v1/import", "POST"),
        ("POST", "/livez", "GET, HEAD"),
        ("TRACE", "/docs", "GET, HEAD"),
        ("OPTIONS", "/v1/releases/rollback", "POST"),
        ("GET", "/v1/releases/rollback", "POST"),
        ("GET", "/v1/quotes/batch", "POST"),
        ("POST", "/v1/releases/A", "DELETE, GET, HEAD"),
        ("PROPFIND", "/v1/keys", "GET, HEAD, POST"),
    ],
)
def test_a_method_that_is_not_there_is_told_which_are(client: httpx.Client, method: str, path: str, allowed: str) -> None:
    reply = client.request(method, path)

    assert reply.status_code == 405
    assert method == "HEAD" or is_problem(reply, 405, "method_not_allowed")
    assert reply.headers["allow"] == allowed


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/metrics", "/openapi.json", "/v1/products", "/v1/products/MUG-ENAMEL-BLUE", "/v1/decisions"]
)
def test_what_can_be_got_can_be_asked_for_its_head(client: httpx.Client, path: str) -> None:
    whole, head = client.get(path), client.head(path)

    assert head.status_code == whole.status_code == 200
    assert head.content == b""
    assert {name: head.headers.get(name) for name in ("content-type", "etag")} == {
        name: whole.headers.get(name) for name in ("content-type", "etag")
    }
    assert path == "/metrics" or head.headers["content-length"] == str(len(whole.content))


def test_invented_methods_make_no_series(client: httpx.Client) -> None:
    for method in ("PROPFIND", "LOCK", "MKCOL"):
        client.request(method, "/v1/products")

    assert not {"PROPFIND", "LOCK", "MKCOL"} & set(client.get("/metrics").text.replace('"', " ").split())


@pytest.mark.parametrize("accept", ["application/json", "*/*", "text/html", "application/xml;q=0.9", ""])
def test_there_is_one_representation_whatever_is_accepted(client: httpx.Client, accept: str) -> None:
    """RFC 9110, 12.5.1: a server that has one representation may send that."""
    assert client.post("/v1/quotes", json=BASKET, headers={"Accept": accept}).headers["content-type"] == "application/json"
    assert is_problem(client.post("/v1/quotes", json={}, headers={"Accept": accept}), 422, "validation")


@pytest.mark.parametrize(
    "media_type", [None, "text/plain", "application/xml", "application/x-www-form-urlencoded", "multipart/form-data", "json"]
)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/quotes"), ("POST", "/v1/prices"), ("PUT", "/v1/products/A"), ("POST", "/v1/keys")]
)
def test_bodies_that_are_not_declared_as_json_are_not_read(
    client: httpx.Client, method: str, path: str, media_type: str | None
) -> None:
    headers = {} if media_type is None else {"Content-Type": media_type}
    assert is_problem(client.request(method, path, content=b"{}", headers=headers), 415, "unsupported_media_type")


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON", "application/json;"])
def test_json_may_be_declared_with_parameters(client: httpx.Client, media_type: str) -> None:
    body = b'{"currency":"USD","lines":[{"sku":"MUG-ENAMEL-BLUE","quantity":2}]}'
    assert client.post("/v1/preview", content=body, headers={"Content-Type": media_type}).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "octets"),
    [
        ("POST", "/v1/quotes", 65_537),
        ("POST", "/v1/preview", 65_537),
        ("POST", "/v1/prices", 262_145),
        ("POST", "/v1/quotes/batch", 1_048_577),
        ("PUT", "/v1/products/A", 4_194_305),
        ("POST", "/v1/keys", 1_048_577),
        ("PUT", "/v1/signals/costs", 8_388_609),
    ],
)
def test_a_body_over_the_limit_is_refused_and_the_client_learns_it(
    client: httpx.Client, method: str, path: str, octets: int
) -> None:
    for much in (octets, octets + 5_000_000):
        assert is_problem(client.request(method, path, content=b" " * much, headers=JSON), 413, "body_too_large")


def test_a_chunked_body_over_the_limit_is_refused_too(client: httpx.Client) -> None:
    for path in ("/v1/quotes", "/v1/keys"):
        chunks = iter([b" " * 100_000] * 20)
        assert is_problem(client.post(path, content=chunks, headers=JSON), 413, "body_too_large")


@pytest.mark.parametrize(
    ("method", "path", "place"),
    [
        ("GET", "/v1/products?limt=5", "limt"),
        ("GET", "/v1/products?limit=5&limit=6", "limit"),
        ("GET", "/v1/products?limit=0", "limit"),
        ("GET", "/v1/products?limit=1001", "limit"),
        ("GET", "/v1/products?limit=x", "limit"),
        ("GET", "/v1/products?cursor=x", "cursor"),
        ("GET", "/v1/products?cursor=", "cursor"),
        ("GET", "/v1/products?cursor=WzFd", "cursor"),
        ("GET", "/v1/releases?cursor=WzkyMjMzNzIwMzY4NTQ3NzU4MDcsIngiXQ", "cursor"),
        ("GET", "/v1/releases?cursor=WzEsIngiXQ", "cursor"),
        ("GET", "/v1/decisions?cursor=WzkyMjMzNzIwMzY4NTQ3NzU4MDcsIngiXQ", "cursor"),
        ("GET", "/v1/audit?cursor=WyJ4Il0", "cursor"),
        ("GET", "/v1/audit?actor=%00", "actor"),
        ("GET", "/v1/decisions?custmer=c-17", "custmer"),
        ("GET", "/v1/decisions?customer=%00", "customer"),
        ("GET", "/v1/decisions?code=a%00b", "code"),
        ("GET", "/v1/decisions?sku=a%20b", "sku"),
        ("GET", "/v1/decisions?version=0", "version"),
        ("GET", "/v1/decisions?from=2026-01-01", "from"),
        ("GET", "/v1/decisions?from=1700000000", "from"),
        ("GET", "/v1/decisions?from=2026-01-01T00:00:00", "from"),
        ("GET", "/v1/decisions?from=9999-12-31T23:59:59-12:00", "from"),
        ("GET", "/v1/decisions?to=0001-01-01T00:00:00%2B12:00", "to"),
        ("GET", "/v1/decisions/x", "decision_id"),
        ("GET", "/v1/quotes/x", "quote_id"),
        ("GET", "/v1/releases/x", "id"),
        ("GET", "/v1/products/a%20b", "id"),
        ("GET", "/v1/products/%00", "id"),
        ("GET", "/v1/products/" + "A" * 129, "id"),
        ("GET", "/v1/products/A?draft=perhaps", "draft"),
        ("GET", "/v1/prices/A?currency=usd", "currency"),
        ("GET", "/v1/prices/A?valid_from=yesterday", "valid_from"),
        ("GET", "/v1/export?resource=nope", "resource"),
        ("GET", "/v1/export?resource=products&format=xml", "format"),
        ("PUT", "/v1/products/A?publish=later", "publish"),
        ("PUT", "/v1/products/A?publsh=now", "publsh"),
        ("POST", "/v1/quotes?simulate=true", "simulate"),
        ("POST", "/v1/prices?%00=1", "?"),
        ("DELETE", "/v1/keys/short", "key_id"),
    ],
)
def test_bad_parameters_are_named(client: httpx.Client, method: str, path: str, place: str) -> None:
    body = {"name": "A"} if method == "PUT" else BASKET
    reply = client.request(method, path, json=None if method in ("GET", "DELETE") else body)

    assert is_problem(reply, 422, "validation")
    assert places(reply) == [place]


@pytest.mark.parametrize("key", ["", "a b", "a" * 256, "\u00e9"])
def test_bad_idempotency_keys_are_named(client: httpx.Client, key: str) -> None:
    header = {b"Idempotency-Key": key.encode("latin-1")}
    for reply in (
        client.post("/v1/quotes", json=BASKET, headers=header),
        client.put("/v1/products/A", json={"name": "A"}, headers=header),
    ):
        assert is_problem(reply, 422, "validation")
        assert places(reply) == ["Idempotency-Key"]


@pytest.mark.parametrize("version", ["0", "-1", "1.5", "x", "", "9" * 17])
def test_bad_min_versions_are_named(client: httpx.Client, version: str) -> None:
    reply = client.post("/v1/quotes", json=BASKET, headers={"Min-Version": version})

    assert is_problem(reply, 422, "validation")
    assert places(reply) == ["Min-Version"]


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer x", "Basic YTpi", "Bearer cw_aaaaaaaaaaaa_" + "a" * 38, "Bearer \u00e9"]
)
def test_a_wrong_key_is_refused_even_on_this_machine(client: httpx.Client, authorization: str) -> None:
    for method, path in (("POST", "/v1/quotes"), ("GET", "/v1/products"), ("PUT", "/v1/policy")):
        reply = client.request(method, path, headers={b"Authorization": authorization.encode("latin-1")})
        assert is_problem(reply, 401, "unauthorized")
        assert reply.headers["www-authenticate"].startswith("Bearer")


def test_a_name_of_another_site_is_not_this_machine(client: httpx.Client) -> None:
    """A web page can point its own name at 127.0.0.1, and a proxy makes everybody look local."""
    for headers in ({"Host": "evil.example"}, {"X-Forwarded-For": "203.0.113.7"}, {"Forwarded": "for=203.0.113.7"}):
        assert is_problem(client.post("/v1/quotes", json=BASKET, headers=headers), 401, "unauthorized")


def test_every_reply_has_a_request_id(client: httpx.Client) -> None:
    given = client.get("/v1/products", headers={"X-Request-Id": "mine-1"})
    odd = client.get("/v1/products", headers={"X-Request-Id": 'a "b"'})

    assert given.headers["x-request-id"] == "mine-1"
    assert odd.headers["x-request-id"] not in ("", 'a "b"')
