"""Holds, confirms and releases are taken by the front table or by their routes, and nobody who asks can tell."""

import asyncio
import contextlib
import json
import re
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from app.db.engine import Database
from tests.served import served

_REQUEST_ID = re.compile(rb"x-request-id: ([^\r]+)\r\n")


class Heard(NamedTuple):
    """A response but for its request id, and whether the front table took the request: its ids have a dash."""

    status: int
    headers: frozenset[bytes]
    body: bytes
    is_direct: bool


class Shop:
    """A service, and quotes that it gave."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=address)
        self._host, self._port = address.removeprefix("http://").split(":")

    def quote(self) -> dict[str, Any]:
        reply = self.client.post("/v1/quotes", json={"currency": "USD", "lines": [{"id": "1", "sku": "MUG", "quantity": 1}]})
        assert reply.status_code == 201, reply.text
        quote: dict[str, Any] = reply.json()
        return quote

    def hold(self, order: str) -> str:
        """The id of a new hold."""
        reply = self.client.post("/v1/holds", json={"quote": self.quote()["id"], "order": order})
        assert reply.status_code == 201, reply.text
        return str(reply.json()["id"])

    def send(self, body: bytes, *fields: str, path: str = "/v1/holds", in_two: bool = False) -> Heard:
        """Send a request at one stroke, or its head first, which goes the ordinary way."""
        return asyncio.run(self._send(body, fields, path, in_two=in_two))

    async def _send(self, body: bytes, fields: tuple[str, ...], path: str, *, in_two: bool) -> Heard:
        reader, writer = await asyncio.open_connection(self._host, int(self._port))
        # Asked whether it may go on, a body waits for the answer: that is how the head is known to have been read before it comes.
        more = ("Expect: 100-continue",) if in_two else ()
        typed = () if any(field.startswith("Content-Type:") for field in fields) else ("Content-Type: application/json",)
        names = ["Host: localhost", *typed, f"Content-Length: {len(body)}", *more, *fields]
        head = f"POST {path} HTTP/1.1\r\n{'\r\n'.join(names)}\r\n\r\n".encode("latin-1")
        if in_two:
            writer.write(head)
            answered = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
            if answered.startswith(b"HTTP/1.1 100"):
                writer.write(body)
                answered = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        else:
            writer.write(head + body)
            answered = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 10)
        length = re.search(rb"content-length: ([0-9]+)", answered)
        assert length is not None
        content = await reader.readexactly(int(length[1]))
        writer.close()
        request_id = _REQUEST_ID.search(answered)
        assert request_id is not None
        lines = _REQUEST_ID.sub(b"", answered).lower().split(b"\r\n")[1:]
        return Heard(int(answered[9:12]), frozenset(lines), content, b"-" in request_id[1])

    def alike(self, body: bytes, *fields: str, path: str = "/v1/holds") -> Heard:
        """Both doors, after the route has answered once, so that it is done already; gives what the front table said."""
        self.send(body, *fields, path=path, in_two=True)
        ordinary, plain = self.send(body, *fields, path=path, in_two=True), self.send(body, *fields, path=path)
        assert not ordinary.is_direct
        assert plain[:3] == ordinary[:3]
        return plain


@contextlib.contextmanager
def _shop(database: Database, folder: Path, *, uses: int) -> Iterator[Shop]:
    with served(database, folder) as address:
        made = Shop(address)
        for path, body in (
            ("/v1/prices/MUG", {"currency": "USD", "unit_price": "1000"}),
            (
                "/v1/promotions/half",
                {"name": "Half", "kind": "percent_off", "params": {"percent": "50"}, "currency": "USD", "limits": {"uses": uses}},
            ),
        ):
            assert made.client.put(path, json=body, params={"publish": "now"}).status_code in (200, 201)
        yield made
        made.client.close()


@pytest.fixture
def shop(fresh_database: Database, tmp_path: Path) -> Iterator[Shop]:
    """Two can have what is there."""
    with _shop(fresh_database, tmp_path, uses=2) as made:
        yield made


@pytest.fixture
def large_shop(fresh_database: Database, tmp_path: Path) -> Iterator[Shop]:
    """There is enough."""
    with _shop(fresh_database, tmp_path, uses=1000) as made:
        yield made


def test_plain_holds_are_taken_by_the_front_table_and_answered_as_by_the_route(shop: Shop) -> None:
    first, second, third = shop.quote(), shop.quote(), shop.quote()
    by_token = json.dumps({"token": first["token"], "order": "o-1"}).encode()

    taken = shop.send(by_token)
    assert (taken.status, taken.is_direct) == (201, True)
    assert json.loads(taken.body)["draws"] == [{"meter": "promotions/half/uses", "amount": 1, "left": 1}]
    again = shop.alike(by_token)
    assert (again.status, again.is_direct, again.body) == (201, True, taken.body)
    by_id = shop.alike(json.dumps({"quote": second["id"], "order": "o-2", "ttl_seconds": 60}).encode())
    assert (by_id.status, by_id.is_direct) == (201, True)
    refused = shop.alike(json.dumps({"token": third["token"], "order": "o-3"}).encode())
    assert (refused.status, refused.is_direct) == (409, True)
    assert json.loads(refused.body)["type"] == "/problems/limit_reached"
    metrics = shop.client.get("/metrics").text
    assert re.search(r"^pricing_requests_total\{[^}]*\"POST /v1/holds\"[^}]*\"2xx\"\} 7(\.0)?$", metrics, re.MULTILINE), metrics


def test_a_key_is_the_same_key_at_both_doors(shop: Shop) -> None:
    quote = shop.quote()
    body = json.dumps({"token": quote["token"], "order": "o-1"}).encode()
    nothing = json.dumps({"quote": str(uuid.uuid4()), "order": "o-2"}).encode()

    first = shop.send(body, "Idempotency-Key: k-1")
    repeated = shop.alike(body, "Idempotency-Key: k-1")
    assert (first.status, repeated.status, repeated.is_direct) == (201, 201, True)
    assert repeated.body == first.body
    assert b"idempotent-replayed: true" in repeated.headers
    missing = shop.alike(nothing, "Idempotency-Key: k-2")
    assert (missing.status, missing.is_direct) == (404, True)
    assert b"content-type: application/problem+json" in missing.headers
    other = shop.alike(nothing, "Idempotency-Key: k-1")
    assert (other.status, json.loads(other.body)["type"]) == (422, "/problems/idempotency_mismatch")


def test_a_key_without_the_scope_takes_nothing_at_either_door(shop: Shop) -> None:
    made = shop.client.post("/v1/keys", json={"name": "web", "scopes": ["quote"]})
    body = json.dumps({"token": shop.quote()["token"], "order": "o-1"}).encode()

    refused = shop.alike(body, f"Authorization: Bearer {made.json()['key']}")

    assert (refused.status, refused.is_direct) == (403, False)
    assert shop.client.get("/v1/meters").json()["items"] == []


def _confirm(order: str) -> bytes:
    return json.dumps({"order": order}).encode()


def test_plain_confirms_and_releases_are_taken_by_the_front_table_and_answered_as_by_the_routes(large_shop: Shop) -> None:
    shop = large_shop
    bought, left, other = f"/v1/holds/{shop.hold('o-1')}", f"/v1/holds/{shop.hold('o-2')}", f"/v1/holds/{shop.hold('o-3')}"
    nothing = f"/v1/holds/{uuid.uuid4()}"

    confirmed = shop.send(_confirm("o-1"), path=f"{bought}/confirm")
    assert (confirmed.status, confirmed.is_direct, json.loads(confirmed.body)["state"]) == (200, True, "used")
    again = shop.alike(_confirm("o-1"), path=f"{bought}/confirm")
    assert (again.is_direct, again.body) == (True, confirmed.body)
    released = shop.send(b"", path=f"{left}/release")
    assert (released.status, released.is_direct, json.loads(released.body)["state"]) == (200, True, "released")
    again = shop.alike(b"", path=f"{left}/release")
    assert (again.is_direct, again.body) == (True, released.body)
    for path, body, status, problem in (
        (f"{bought}/confirm", _confirm("o-2"), 409, "other_order"),
        (f"{bought}/release", b"", 409, "hold_used"),
        (f"{left}/confirm", _confirm("o-2"), 409, "hold_released"),
        (f"{other}/confirm", _confirm("o-1"), 409, "other_order"),
        (f"{nothing}/confirm", _confirm("o-1"), 404, "not_found"),
        (f"{nothing}/release", b"", 404, "not_found"),
    ):
        refused = shop.alike(body, path=path)
        assert (refused.status, refused.is_direct) == (status, True), path
        assert json.loads(refused.body)["type"] == f"/problems/{problem}"
        assert b"content-type: application/problem+json" in refused.headers
    [meter] = shop.client.get("/v1/meters").json()["items"]
    assert (meter["held"], meter["used"]) == (1, 1)
    metrics = shop.client.get("/metrics").text
    confirms = r"^pricing_requests_total\{[^}]*\"POST /v1/holds/\{hold_id\}/confirm\"[^}]*\"2xx\"\} 4(\.0)?$"
    assert re.search(confirms, metrics, re.MULTILINE), metrics


def test_a_release_without_a_media_type_is_plain_and_one_with_a_body_is_not(large_shop: Shop) -> None:
    shop = large_shop
    path = f"/v1/holds/{shop.hold('o-1')}/release"

    for body, field, is_direct in (
        (b"", "Accept: */*", True),
        (b"", "Content-Type: text/plain", False),
        (b"{}", "Accept: */*", False),
    ):
        heard = shop.alike(body, field, path=path)

        assert (heard.status, heard.is_direct) == (200, is_direct), (body, field)


def test_a_key_of_a_confirm_or_a_release_is_the_same_key_at_both_doors(large_shop: Shop) -> None:
    shop = large_shop
    bought, left = f"/v1/holds/{shop.hold('o-1')}", f"/v1/holds/{shop.hold('o-2')}"

    for path, body, key in ((f"{bought}/confirm", _confirm("o-1"), "k-1"), (f"{left}/release", b"", "k-2")):
        first = shop.send(body, f"Idempotency-Key: {key}", path=path)
        repeated = shop.alike(body, f"Idempotency-Key: {key}", path=path)
        assert (first.status, repeated.status, repeated.is_direct) == (200, 200, True)
        assert repeated.body == first.body
        assert b"idempotent-replayed: true" in repeated.headers
    mismatched = shop.alike(_confirm("o-2"), "Idempotency-Key: k-1", path=f"{bought}/confirm")
    assert (mismatched.status, json.loads(mismatched.body)["type"]) == (422, "/problems/idempotency_mismatch")
    refused = shop.alike(_confirm("o-9"), "Idempotency-Key: k-3", path=f"{bought}/confirm")
    assert (refused.status, refused.is_direct) == (409, True)


def test_a_key_without_the_scope_changes_nothing_at_either_door(large_shop: Shop) -> None:
    shop = large_shop
    made = shop.client.post("/v1/keys", json={"name": "web", "scopes": ["quote"]}).json()["key"]
    hold = f"/v1/holds/{shop.hold('o-1')}"

    for path, body in ((f"{hold}/confirm", _confirm("o-1")), (f"{hold}/release", b"")):
        refused = shop.alike(body, f"Authorization: Bearer {made}", path=path)
        assert (refused.status, refused.is_direct) == (403, False)
    assert shop.client.get(hold).json()["state"] == "held"


_QUOTE = "0197f3c2-0000-7000-8000-000000000001"
# What a field may be sent as: right, nearly right and wrong; spelled as it stands here.
_VALUES = {
    "token": ['"x.y.z"', '""', "null", "1", f'"{"t" * 4097}"'],
    "quote": [
        f'"{_QUOTE}"',
        f'"{_QUOTE.replace("-", "")}"',
        f'"{_QUOTE.upper()}"',
        f'"{{{_QUOTE}}}"',
        f'"urn:uuid:{_QUOTE}"',
        '"0197f3c2"',
        "null",
        "7",
    ],
    "order": ['"o-1"', '""', '"\u00e9"', '"\x7f"', '"\\u006f-1"', f'"{"o" * 128}"', f'"{"o" * 129}"', "null", "[]", '"order"'],
    "ttl_seconds": ["60", "0", "86400", "86401", "60.0", "6e1", "60.5", "-1", "true", '"60"', "null", "NaN", "1e999", "0060"],
    "other": ["1"],
}
_FIELDS = [(name, value) for name, values in _VALUES.items() for value in values]
_RIGHT = [("quote", f'"{_QUOTE}"'), ("order", '"o-1"')]
_WRAPS = ["{%s}", " {%s}\n", "{%s} 1", "[{%s}]", "{%s", "\ufeff{%s}", "%s"]


def _bodies(right_fields: list[tuple[str, str]] = _RIGHT) -> Iterator[bytes]:
    """Every field by itself, beside the first and beside a right request, and that in every wrapping and with bytes that are no text."""
    beside = (
        *([one] for one in _FIELDS),
        *([*right_fields, one] for one in _FIELDS),
        *([right_fields[0], one] for one in _FIELDS),
    )
    for fields in beside:
        yield "{{{}}}".format(",".join(f'"{name}":{value}' for name, value in fields)).encode()
    right = ",".join(f'"{name}":{value}' for name, value in right_fields)
    for wrap in _WRAPS:
        yield (wrap % right).encode()
    for octets in (b"\xff", b"\xed\xa0\x80", b"\x00", b"\n", b"\xc2\x85"):
        yield (_WRAPS[0] % right).encode().replace(b"o-1", octets)


def test_both_doors_say_the_same_of_any_body(shop: Shop) -> None:
    taken = 0
    for body in _bodies():
        ordinary, plain = shop.send(body, in_two=True), shop.send(body)

        assert not ordinary.is_direct, body
        assert plain[:3] == ordinary[:3], body
        taken += plain.is_direct
    assert taken >= 8


def test_both_doors_say_the_same_of_any_confirm(large_shop: Shop) -> None:
    """Of a hold that is confirmed already, so that the first to be asked changes nothing for the second."""
    shop = large_shop
    hold = shop.hold("o-1")
    path = f"/v1/holds/{hold}/confirm"
    assert shop.send(_confirm("o-1"), path=path).status == 200
    taken = 0
    for body in _bodies([("order", '"o-1"')]):
        ordinary, plain = shop.send(body, path=path, in_two=True), shop.send(body, path=path)

        assert not ordinary.is_direct, body
        assert plain[:3] == ordinary[:3], body
        taken += plain.is_direct
    assert taken >= 5


def test_both_doors_say_the_same_however_a_hold_is_spelled(large_shop: Shop) -> None:
    shop = large_shop
    hold = shop.hold("o-1")
    assert shop.send(_confirm("o-1"), path=f"/v1/holds/{hold}/confirm").status == 200
    spelled = [
        hold,
        hold.upper(),
        hold.replace("-", ""),
        f"{{{hold}}}",
        f"urn:uuid:{hold}",
        f"%3{hold[0]}{hold[1:]}" if hold[0].isdigit() else f"%6{ord(hold[0]) - 96}{hold[1:]}",
        f"{hold[:-1]}%B2",
        f"{hold[:-1]}",
        f"{hold}/",
        f"/{hold}",
        f"x/{hold}",
        f"{hold}?a=b",
        "",
        "%",
    ]
    taken = 0
    for one in spelled:
        for path, body in (
            (f"/v1/holds/{one}/confirm", _confirm("o-1")),
            (f"/v1/holds/{one}/confirm?", _confirm("o-1")),
            (f"/v1/holds/{one}/confirm?a=b", _confirm("o-1")),
            (f"/v1/holds/{one}/confirm/", _confirm("o-1")),
            (f"/v1/holds/{one}/confirmed", _confirm("o-1")),
            (f"/v1/holds/{one}/release", b""),
        ):
            ordinary, plain = shop.send(body, path=path, in_two=True), shop.send(body, path=path)

            assert not ordinary.is_direct, path
            assert plain[:3] == ordinary[:3], path
            taken += plain.is_direct
    assert taken == 2
