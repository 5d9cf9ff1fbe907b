"""Bad bodies for every resource and the storefront: each is a clear 4xx, and where a field is wrong, its place is told."""

import json
from typing import Any

import httpx
import pytest

from tests.contract.wire import is_problem, places

AT = "2026-01-01T00:00:00Z"
BASKET: dict[str, Any] = {"currency": "USD", "lines": [{"sku": "MUG-ENAMEL-BLUE", "quantity": 2}]}
PRICE = {"currency": "USD", "unit_price": "1299"}
PROMOTION: dict[str, Any] = {"name": "P", "kind": "percent_off", "params": {"percent": "10"}}
LEAF = {"attribute": "order.subtotal", "op": ">=", "value": 1}
SALE: dict[str, Any] = {"id": "s-1", "at": AT, "sku": "A", "quantity": 1, "paid": 1, "currency": "USD"}
COST_PLUS: dict[str, Any] = {"kind": "cost_plus", "scope": {}, "currency": "USD", "params": {"markup": "40"}}
ELASTIC: dict[str, Any] = COST_PLUS | {
    "kind": "elasticity",
    "params": {"form": "iso_elastic", "elasticity": "-2.4", "reference_price": "1299"},
}


def line(**fields: Any) -> dict[str, Any]:
    return {"lines": [BASKET["lines"][0], {"sku": "A", "quantity": 1} | fields]}


def nested(levels: int) -> Any:
    tree: Any = LEAF
    for _ in range(levels):
        tree = {"not": tree}
    return tree


# What is changed in BASKET, and the place that is told.
BASKETS: list[tuple[dict[str, Any], str]] = [
    ({"currency": None}, "currency"),
    ({"currency": "usd"}, "currency"),
    ({"currency": "ABC"}, "currency"),
    ({"currency": "US"}, "currency"),
    ({"lines": []}, "lines"),
    ({"lines": None}, "lines"),
    ({"lines": {}}, "lines"),
    ({"lines": [BASKET["lines"][0]] * 501}, "lines"),
    ({"lines": [7]}, "lines[0]"),
    ({"lines": [{"quantity": 1}]}, "lines[0].sku"),
    ({"lines": [{"sku": "A"}]}, "lines[0].quantity"),
    ({"basket": []}, "basket"),
    (line(sku=""), "lines[1].sku"),
    (line(sku="a b"), "lines[1].sku"),
    (line(sku="a\nb"), "lines[1].sku"),
    (line(sku="A" * 129), "lines[1].sku"),
    (line(sku=5), "lines[1].sku"),
    (line(price=5), "lines[1].price"),
    (line(id=""), "lines[1].id"),
    (line(id="x" * 65), "lines[1].id"),
    (line(id="1"), "lines[1].id"),
    (line(id=2), "lines[1].id"),
    (line(quantity=0), "lines[1].quantity"),
    (line(quantity=-1), "lines[1].quantity"),
    (line(quantity=1_000_001), "lines[1].quantity"),
    (line(quantity=10**30), "lines[1].quantity"),
    (line(quantity=1.5), "lines[1].quantity"),
    (line(quantity=True), "lines[1].quantity"),
    (line(quantity=None), "lines[1].quantity"),
    (line(quantity="0"), "lines[1].quantity"),
    (line(quantity="0.0001"), "lines[1].quantity"),
    (line(quantity="1e3"), "lines[1].quantity"),
    (line(quantity="-1"), "lines[1].quantity"),
    (line(quantity=" 1"), "lines[1].quantity"),
    (line(quantity="1,5"), "lines[1].quantity"),
    (line(quantity="\u0661"), "lines[1].quantity"),
    (line(quantity="1000000.001"), "lines[1].quantity"),
    (line(quantity=""), "lines[1].quantity"),
    ({"channel": ""}, "channel"),
    ({"channel": 5}, "channel"),
    ({"channel": "x" * 129}, "channel"),
    ({"channel": "a\x00b"}, "channel"),
    ({"store": "a\x1fb"}, "store"),
    ({"codes": "SAVE"}, "codes"),
    ({"codes": [""]}, "codes[0]"),
    ({"codes": ["  "]}, "codes[0]"),
    ({"codes": ["a\x00"]}, "codes[0]"),
    ({"codes": ["A", 5]}, "codes[1]"),
    ({"codes": ["A"] * 51}, "codes"),
    ({"points": -1}, "points"),
    ({"points": 1.0}, "points"),
    ({"shipping": -1}, "shipping"),
    ({"shipping": "500"}, "shipping"),
    ({"shipping": 900_000_000_001}, "shipping"),
    ({"shipping": 2**63}, "shipping"),
    ({"partial": "yes"}, "partial"),
    ({"partial": 1}, "partial"),
    ({"attributes": []}, "attributes"),
    ({"attributes": {"a": {}}}, "attributes[...]"),
    ({"attributes": {"a": 1.5}}, "attributes[...]"),
    ({"attributes": {"": 1}}, "attributes"),
    ({"attributes": {"a\x00": 1}}, "attributes.a?"),
    ({"attributes": {f"a{number}": 1 for number in range(51)}}, "attributes"),
    ({"customer": "c-17"}, "customer"),
    ({"customer": {"name": "x"}}, "customer.name"),
    ({"customer": {"orders": -1}}, "customer.orders"),
    ({"customer": {"spend": "1"}}, "customer.spend"),
    ({"customer": {"segments": "vip"}}, "customer.segments"),
    ({"customer": {"segments": [""]}}, "customer.segments[0]"),
    ({"customer": {"id": "x\u007f"}}, "customer.id"),
    ({"at": "2026-01-01"}, "at"),
    ({"at": "2026-01-01T00:00:00"}, "at"),
    ({"at": "2300-01-01T00:00:00Z"}, "at"),
    ({"at": "1969-12-31T23:59:59Z"}, "at"),
    ({"at": 1_700_000_000}, "at"),
    ({"version": 0}, "version"),
    ({"version": "1"}, "version"),
    ({"version": 2**53}, "version"),
    ({"min_version": -1}, "min_version"),
]
# (method, path, body, the places that are told)
BODIES: list[tuple[str, str, Any, set[str]]] = [
    ("PUT", "/v1/products/A", {}, {"name"}),
    ("PUT", "/v1/products/A", [], {""}),
    ("PUT", "/v1/products/A", None, {""}),
    ("PUT", "/v1/products/A", {"name": "A", "colour": 1, "size": 2}, {"colour", "size"}),
    ("PUT", "/v1/products/A", {"name": "A\x07"}, {"name"}),
    ("PUT", "/v1/products/A", {"name": "A" * 201}, {"name"}),
    ("PUT", "/v1/products/A", {"name": "A", "category": "/a"}, {"category"}),
    ("PUT", "/v1/products/A", {"name": "A", "attributes": {"Colour": "red"}}, {"attributes.Colour"}),
    ("PUT", "/v1/price-lists/A", {"priority": 2**31}, {"priority"}),
    ("PUT", "/v1/price-lists/A", {"match": {"groups": [5]}}, {"match.groups[0]"}),
    ("PUT", "/v1/prices/A", {}, {"currency", "unit_price"}),
    ("PUT", "/v1/prices/A", PRICE | {"currency": "XYZ"}, {"currency"}),
    ("PUT", "/v1/prices/A", PRICE | {"unit_price": 12.99}, {"unit_price"}),
    ("PUT", "/v1/prices/A", PRICE | {"unit_price": "-1"}, {"unit_price"}),
    ("PUT", "/v1/prices/A", PRICE | {"unit_price": "10000000000.0001"}, {"unit_price"}),
    ("PUT", "/v1/prices/A", PRICE | {"price_list": "a b"}, {"price_list"}),
    ("PUT", "/v1/prices/A", PRICE | {"valid_from": "2026-13-01T00:00:00Z"}, {"valid_from"}),
    ("PUT", "/v1/prices/A", PRICE | {"tiers": {"mode": "other", "steps": []}}, {"tiers.mode", "tiers.steps"}),
    (
        "PUT",
        "/v1/prices/A",
        PRICE | {"tiers": {"mode": "volume", "steps": [{"up_to": 5, "unit_price": "1"}]}},
        {"tiers.steps[0].up_to"},
    ),
    ("PUT", "/v1/sale-prices/A", {"name": "A", "scope": {}}, {"unit_price"}),
    ("PUT", "/v1/sale-prices/A", {"name": "A", "scope": {}, "percent": "101"}, {"percent"}),
    ("PUT", "/v1/sale-prices/A", {"name": "A", "scope": {}, "percent": "1", "stock_cap": 0}, {"stock_cap"}),
    ("PUT", "/v1/sale-prices/A", {"name": "A", "scope": {"include": {"sku": []}}, "percent": "1"}, {"scope.include.sku"}),
    ("PUT", "/v1/promotions/A", {}, {"kind"}),
    ("PUT", "/v1/promotions/A", PROMOTION | {"kind": "magic"}, {"kind"}),
    ("PUT", "/v1/promotions/A", PROMOTION | {"params": {}}, {"params.percent"}),
    ("PUT", "/v1/promotions/A", PROMOTION | {"params": {"percent": 10}}, {"params.percent"}),
    ("PUT", "/v1/promotions/A", PROMOTION | {"params": {"percent": "101"}}, {"params.percent"}),
    ("PUT", "/v1/promotions/A", PROMOTION | {"params": {"percent": "1", "cap": -1}}, {"params.cap"}),
    ("PUT", "/v1/promotions/A", PROMOTION | {"params": {"percent": "1", "cap": 5}}, {"currency"}),
    ("PUT", "/v1/promotions/A", PROMOTION | {"level": "basket"}, {"level"}),
    ("PUT", "/v1/promotions/A", PROMOTION | {"lane": "0"}, {"lane"}),
    ("PUT", "/v1/promotions/A", PROMOTION | {"limits": {"uses": 0}}, {"limits.uses"}),
    ("PUT", "/v1/promotions/A", PROMOTION | {"limits": {"gifts": 5}}, {"limits.gifts"}),
    ("PUT", "/v1/coupons/A", {"promotion": "A", "codes": ["A"], "limits": {"uses_per_code": 0}}, {"limits.uses_per_code"}),
    ("PUT", "/v1/promotions/A", PROMOTION | {"funding": [{"party": "a", "percent": "60"}] * 2}, {"funding", "funding[1].party"}),
    ("PUT", "/v1/promotions/A", PROMOTION | {"schedule": {}}, {"schedule.timezone"}),
    ("PUT", "/v1/promotions/A", PROMOTION | {"schedule": {"timezone": "Mars/Base"}}, {"schedule.timezone"}),
    ("PUT", "/v1/promotions/A", PROMOTION | {"schedule": {"timezone": "../etc/passwd"}}, {"schedule.timezone"}),
    ("PUT", "/v1/promotions/A", PROMOTION | {"schedule": {"timezone": "UTC", "from": AT}}, {"schedule.from"}),
    (
        "PUT",
        "/v1/promotions/A",
        PROMOTION | {"currency": "USD", "conditions": {"all": [LEAF | {"op": "~"}]}},
        {"conditions.all[0].op"},
    ),
    ("PUT", "/v1/promotions/A", PROMOTION | {"currency": "USD", "conditions": nested(9)}, {"conditions"}),
    ("PUT", "/v1/promotions/A", PROMOTION | {"currency": "USD", "conditions": {"any": [LEAF] * 51}}, {"conditions.any"}),
    (
        "PUT",
        "/v1/promotions/A?publish=now",
        PROMOTION | {"conditions": LEAF | {"attribute": "order.weather"}},
        {"conditions.attribute"},
    ),
    ("PUT", "/v1/coupons/A", {}, {"promotion"}),
    ("PUT", "/v1/coupons/A", {"promotion": "p", "codes": []}, {"codes"}),
    ("PUT", "/v1/coupons/A", {"promotion": "p", "codes": ["A", " a "]}, {"codes[1]"}),
    ("PUT", "/v1/coupons/A", {"promotion": "p", "codes": ["\u00a0"]}, {"codes[0]"}),
    ("PUT", "/v1/coupons/A?publish=now", {"promotion": "nope", "codes": ["ZZZ"]}, {"promotion"}),
    ("PUT", "/v1/guardrails/A", {"scope": {}, "currency": "USD"}, {"floor"}),
    ("PUT", "/v1/guardrails/A", {"scope": {}, "currency": "USD", "floor": "2", "ceiling": "1"}, {"ceiling"}),
    ("PUT", "/v1/strategies/A", COST_PLUS | {"kind": "oracle"}, {"kind"}),
    ("PUT", "/v1/strategies/A", COST_PLUS | {"params": {"markup": "40", "margin": "20"}}, {"params.markup"}),
    ("PUT", "/v1/strategies/A", ELASTIC | {"params": ELASTIC["params"] | {"elasticity": -2.4}}, {"params.elasticity"}),
    ("PUT", "/v1/strategies/A", ELASTIC | {"params": ELASTIC["params"] | {"form": "cubic"}}, {"params.form"}),
    ("PUT", "/v1/strategies/A?publish=now", COST_PLUS | {"endings": "nope"}, {"endings"}),
    ("PUT", "/v1/endings/A", {"currency": "USD", "bands": [{"up_to": None, "endings": ["9x"]}]}, {"bands[0].endings[0]"}),
    ("PUT", "/v1/endings/A", {"currency": "USD", "bands": []}, {"bands"}),
    ("PUT", "/v1/attributes/A", {"type": "float"}, {"type"}),
    ("PUT", "/v1/campaigns/A", {"name": "A", "budget": 5}, {"currency"}),
    ("PUT", "/v1/policy", {"rounding": "up"}, {"rounding"}),
    ("PUT", "/v1/policy", {"rounding_level": "order"}, {"rounding_level"}),
    ("PUT", "/v1/policy", {"cash_rounding": 0}, {"cash_rounding"}),
    ("PUT", "/v1/policy", {"points": {"USD": {"worth": "0"}}}, {"points.USD.worth"}),
    (
        "PUT",
        "/v1/promotions/A",
        {"name": "A", "kind": "shipping", "params": {"percent": "5", "amount": 5}},
        {"params.amount", "currency"},
    ),
    ("PUT", "/v1/publishing-policy", {"publish_now": "no"}, {"publish_now"}),
    ("PUT", "/v1/signals/costs", {}, {""}),
    ("PUT", "/v1/signals/costs", [], {""}),
    ("PUT", "/v1/signals/costs", [{"sku": "A", "currency": "USD", "unit_cost": "-1", "at": AT}], {"[0].unit_cost"}),
    ("PUT", "/v1/signals/costs", [{"sku": "A", "currency": "USD", "unit_cost": "1", "at": "2199-01-01T00:00:00Z"}], {"[0].at"}),
    ("PUT", "/v1/signals/stock", [{"sku": "A", "units": 5, "at": AT}], {"[0].units"}),
    ("PUT", "/v1/signals/stock", [{"sku": "A", "units": "1000001", "at": AT}], {"[0].units"}),
    ("PUT", "/v1/signals/demand", [{"sku": "A", "index": "0", "at": AT}], {"[0].index"}),
    (
        "PUT",
        "/v1/signals/competitors",
        [{"sku": "A"}],
        {"[0].competitor", "[0].currency", "[0].unit_price", "[0].in_stock", "[0].at"},
    ),
    ("POST", "/v1/sales", [SALE, SALE | {"id": "s-2", "quantity": 0}], {"[1].quantity"}),
    ("POST", "/v1/sales", [SALE | {"quote": "x"}], {"[0].quote"}),
    ("POST", "/v1/sales", [SALE | {"paid": -1}], {"[0].paid"}),
    ("POST", "/v1/releases", {}, {"name"}),
    ("POST", "/v1/releases", {"name": "A", "documents": []}, {"documents"}),
    ("POST", "/v1/releases", {"name": "A", "documents": [{"resource": "nope", "id": "A"}]}, {"documents[0].resource"}),
    ("POST", "/v1/releases", {"name": "A", "documents": [{"resource": "products", "id": "NOT-DRAFTED"}]}, {"documents[0]"}),
    ("POST", "/v1/releases/rollback", {"to_version": -1}, {"to_version"}),
    ("POST", "/v1/releases/rollback", {"to_version": 2**62}, {"to_version"}),
    ("POST", "/v1/keys", {"name": "k"}, {"scopes"}),
    ("POST", "/v1/keys", {"name": "k", "scopes": ["root"]}, {"scopes[0]"}),
    ("POST", "/v1/keys", {"name": "k", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, {"expires_at"}),
    ("POST", "/v1/keys", {"name": "k", "scopes": ["read"], "expires_at": 4_000_000_000}, {"expires_at"}),
    ("POST", "/v1/keys", {"name": "k", "scopes": ["read"], "expires_at": "9999-12-31T23:59:59-12:00"}, {"expires_at"}),
    ("POST", "/v1/prices", {"currency": "USD"}, {"skus"}),
    ("POST", "/v1/prices", {"currency": "USD", "skus": []}, {"skus"}),
    ("POST", "/v1/prices", {"currency": "USD", "skus": ["A", ""]}, {"skus[1]"}),
    ("POST", "/v1/prices", {"currency": "USD", "skus": ["A", "b c"]}, {"skus[1]"}),
    ("POST", "/v1/quotes/batch", {"quotes": []}, {"quotes"}),
    ("POST", "/v1/quotes/batch", {"quotes": {}}, {"quotes"}),
    ("POST", "/v1/quotes/batch", {"baskets": []}, {"baskets"}),
]
# (media type, resource, body, the places that are told)
IMPORTS: list[tuple[str, str, bytes, set[str]]] = [
    ("application/x-ndjson", "products", b'{"id": "A", "name": "A"}\n{"id": "B"}\n', {"line[2].name"}),
    ("application/x-ndjson", "products", b'{"id": "A", "name": "A"}\n{oops\n', {"line[2]"}),
    ("application/x-ndjson", "products", b'{"id": "A", "name": "A"}\n\n{"id": "A", "name": "B"}\n', {"line[3]"}),
    ("application/x-ndjson", "products", b'{"id": "A", "name": "\\u0000"}\n', {"line[1]"}),
    ("application/x-ndjson", "products", b'{"id": "A", "name": NaN}\n', {"line[1]"}),
    ("application/x-ndjson", "products", b"\xff\xfe\n", {"line[1]"}),
    ("application/x-ndjson", "products", b"[]\n7\n", {"line[1]", "line[2]"}),
    ("application/x-ndjson", "products", b"\n\n", {"body"}),
    ("application/x-ndjson", "prices", b'{"sku": "A", "currency": "USD", "unit_price": "x"}\n', {"line[1].unit_price"}),
    ("text/csv", "products", b"id,name\nA,A\nB,\n", {"line[3].name"}),
    ("text/csv", "products", b"id,name\nA,A,A\n", {"line[2]"}),
    ("text/csv", "products", b"id,name,name\nA,A,A\n", {"line[1].name"}),
    ("text/csv", "products", b'id,name\nA,"A\n', {"line[2]"}),
    ("text/csv", "products", b"id,name\nA,\x00\n", {"line[2]"}),
    ("text/csv", "products", b"id,name\nA,\xff\n", {"line[1]"}),
    ("text/csv", "products", b"id,name,colour\nA,A,red\n", {"line[2].colour"}),
    ("text/csv", "prices", b"sku,currency,unit_price,valid_from\nA,USD,1,soon\n", {"line[2].valid_from"}),
    ("text/csv", "promotions", b"id,name,kind,params.percent\nA,A,percent_off,200\n", {"line[2].params.percent"}),
]
# What no reader of JSON should take, whatever the operation.
MALFORMED = {
    "nothing": b"",
    "blank": b"  ",
    "not JSON": b"oops",
    "half": b'{"name": ',
    "two": b"{} {}",
    "NaN": b'{"name": NaN}',
    "infinity": b"[-Infinity]",
    "duplicate": b'{"name": "A", "name": "B"}',
    "not UTF-8": b'{"name": "\xff"}',
    "UTF-16": '{"name": "A"}'.encode("utf-16"),
    "byte order mark": b"\xef\xbb\xbf{}",
    "surrogate": b'{"name": "\\ud800"}',
    "raw control": b'{"name": "\x01"}',
    "single quotes": b"{'name': 'A'}",
    "comment": b"/* A */ {}",
    "trailing comma": b"[1,]",
    "leading zero": b'{"name": 01}',
    "deep list": b"[" * 20_000,
    "deep object": b'{"name":' * 8_000,
    "deep and closed": b"[" * 20_000 + b"]" * 20_000,
    "deep in a field": b'{"name": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    "long integer": b'{"name": ' + b"9" * 20_000 + b"}",
    "long exponent": b'{"name": 1e' + b"9" * 2_000 + b"}",
    "zero": b'{"name": "\\u0000"}',
    "long string": b'{"name": "' + b"A" * 50_000 + b'"}',
}
OPERATIONS = [
    ("POST", "/v1/quotes"),
    ("POST", "/v1/quotes/batch"),
    ("POST", "/v1/prices"),
    ("POST", "/v1/preview"),
    ("PUT", "/v1/products/A"),
    ("PUT", "/v1/prices/A"),
    ("PUT", "/v1/promotions/A"),
    ("PUT", "/v1/policy"),
    ("PUT", "/v1/signals/stock"),
    ("POST", "/v1/sales"),
    ("POST", "/v1/releases"),
    ("POST", "/v1/keys"),
]


def send(client: httpx.Client, method: str, path: str, body: bytes, media_type: str = "application/json") -> httpx.Response:
    return client.request(method, path, content=body, headers={"Content-Type": media_type})


@pytest.mark.parametrize("path", ["/v1/quotes", "/v1/preview"])
@pytest.mark.parametrize(("change", "place"), BASKETS, ids=[f"{place}-{number}" for number, (_, place) in enumerate(BASKETS)])
def test_a_bad_basket_is_told_where(client: httpx.Client, path: str, change: dict[str, Any], place: str) -> None:
    reply = send(client, "POST", path, json.dumps(BASKET | change).encode())

    assert is_problem(reply, 422, "validation")
    assert places(reply) == [place]


def test_a_bad_basket_in_a_batch_is_told_where(client: httpx.Client) -> None:
    reply = send(client, "POST", "/v1/quotes/batch", json.dumps({"quotes": [BASKET | change for change, _ in BASKETS]}).encode())

    assert reply.status_code == 200
    problems = [result["problem"] for result in reply.json()["results"]]
    assert [[error["path"] for error in problem["errors"]] for problem in problems] == [[place] for _, place in BASKETS]


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"), BODIES, ids=[f"{path}-{number}" for number, (_, path, _, _) in enumerate(BODIES)]
)
def test_a_bad_body_is_told_where(client: httpx.Client, method: str, path: str, body: Any, expected: set[str]) -> None:
    reply = send(client, method, path, json.dumps(body).encode())

    assert is_problem(reply, 422, "validation")
    assert set(places(reply)) == expected
    assert all(error["message"] and error["code"] for error in reply.json()["errors"])


@pytest.mark.parametrize(
    ("media_type", "resource", "body", "expected"),
    IMPORTS,
    ids=[f"{resource}-{number}" for number, (_, resource, _, _) in enumerate(IMPORTS)],
)
@pytest.mark.parametrize("publish", [{}, {"publish": "now"}])
def test_a_bad_row_is_told_where(
    client: httpx.Client, media_type: str, resource: str, body: bytes, expected: set[str], publish: dict[str, str]
) -> None:
    reply = client.post("/v1/import", params={"resource": resource} | publish, content=body, headers={"Content-Type": media_type})

    assert is_problem(reply, 422, "validation")
    assert set(places(reply)) == expected


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED.keys())
@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_what_is_not_json_is_refused_everywhere(client: httpx.Client, method: str, path: str, body: bytes) -> None:
    reply = send(client, method, path, body)

    assert is_problem(reply, 400, "malformed_json") or is_problem(reply, 422, "validation")
    assert len(reply.content) < 5_000


def test_a_refusal_does_not_repeat_what_was_sent(client: httpx.Client) -> None:
    secret = "4111-1111-1111-1111"
    for body in ({"currency": secret}, {"currency": "USD", "lines": secret}, BASKET | {"channel": secret * 20}):
        assert secret not in client.post("/v1/quotes", json=body).text
    assert secret not in client.put("/v1/products/A", json={"name": "A", "category": f"/{secret}"}).text


def test_nothing_of_this_was_our_fault(client: httpx.Client) -> None:
    """The last test of the module: what came before left no internal error."""
    assert 'pricing_request_errors_total{problem="validation"}' in client.get("/metrics").text
    assert 'pricing_request_errors_total{problem="internal"}' not in client.get("/metrics").text
