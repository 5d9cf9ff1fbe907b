"""What no HTTP library would send: half requests, endless headers, garbage. Each is answered with a 4xx or let go, in time, and hurts nobody else."""

import re
import socket
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import httpx
import pytest

HOST = b"Host: localhost\r\n"
JSON = HOST + b"Content-Type: application/json\r\n"
LIVEZ = b"GET /livez HTTP/1.1\r\n" + HOST + b"\r\n"
LAST_LIVEZ = b"GET /livez HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
BASKET = b'{"currency":"USD","lines":[{"sku":"MUG-ENAMEL-BLUE","quantity":2}]}'
POST = b"POST /v1/quotes HTTP/1.1\r\n" + JSON
# The service of these tests waits a second for a head, and as long for a body; then it lingers for two.
IN_TIME_S = 8.0


def exchange(address: str, chunks: Sequence[bytes]) -> tuple[bytes, float]:
    """Everything that comes back until the other side closes, and how long that took. Raises TimeoutError when it does not close."""
    parts = urlsplit(address)
    assert parts.hostname
    began = time.monotonic()
    received = b""
    with socket.create_connection((parts.hostname, parts.port or 80), timeout=IN_TIME_S) as connection:
        try:
            for chunk in chunks:
                connection.sendall(chunk)
            while got := connection.recv(65536):
                received += got
        except ConnectionError:
            pass  # let go while we were still sending
    return received, time.monotonic() - began


def statuses(received: bytes) -> list[int]:
    """The status codes of the responses in what came back."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", received)]


def posted(body: bytes, more: bytes = b"", path: bytes = b"/v1/quotes") -> bytes:
    head = b"POST " + path + b" HTTP/1.1\r\n" + JSON + more
    return head + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        pytest.param([], [], id="nothing at all"),
        pytest.param([b"\r\n\r\n"], [], id="empty lines"),
        pytest.param([b"POST /v1/quotes HTTP/1.1\r\nHost: lo"], [408], id="half a head"),
        pytest.param([POST + b"X: 1\r\n"], [408], id="a head without its end"),
        pytest.param([POST + b"Content-Length: 100\r\n\r\n{"], [408], id="half a body"),
        pytest.param(
            [b"PUT /v1/products/A HTTP/1.1\r\n" + JSON + b"Content-Length: 9\r\n\r\n{"], [408], id="half a body elsewhere"
        ),
        pytest.param([POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"], [408], id="half a chunk"),
        pytest.param([b"GET /livez HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\n"], [200], id="a body that nobody reads"),
        pytest.param([LIVEZ, b"GET /li"], [200], id="half a head after a request"),
        pytest.param([LIVEZ, b"\r\n"], [200], id="an empty line after a request"),
    ],
)
def test_who_does_not_go_on_is_let_go(address: str, chunks: list[bytes], expected: list[int]) -> None:
    received, seconds = exchange(address, chunks)

    assert statuses(received)[:1] == expected[:1]
    assert seconds < IN_TIME_S


@pytest.mark.parametrize(
    ("chunks", "status"),
    [
        pytest.param([b"GET /livez HTTP/1.1\r\nX: " + b"a" * 100_000 + b"\r\n\r\n"], 431, id="a long header"),
        pytest.param([b"GET /livez HTTP/1.1\r\nX: "] + [b"a" * 10_000] * 20, 431, id="an endless header"),
        pytest.param([b"GET /livez HTTP/1.1\r\n"] + [b"X: " + b"a" * 1000 + b"\r\n"] * 200, 431, id="endless headers"),
        pytest.param([b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"], 431, id="a long path"),
        pytest.param([b"\x16\x03\x01\x02\x00\x01\x00"], 400, id="TLS"),
        pytest.param([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], 400, id="HTTP/2"),
        pytest.param([b"HELLO\r\n\r\n"], 400, id="not HTTP"),
        pytest.param([b"GET /livez HTTP/9.9\r\n\r\n"], 400, id="another version"),
        pytest.param([b"GET /livez HTTP/1.1\r\nX: a\x00b\r\n\r\n"], 400, id="a zero in a header"),
        pytest.param([b"GET /livez HTTP/1.1\r\nX : a\r\n\r\n"], 400, id="a space in a name"),
        pytest.param([b"GET /v1/products/\xff HTTP/1.1\r\n\r\n"], 400, id="a path that is not ASCII"),
        pytest.param([b"CONNECT localhost:1 HTTP/1.1\r\n\r\n"], 400, id="CONNECT"),
        pytest.param([POST + b"Content-Length: -1\r\n\r\n"], 400, id="a negative length"),
        pytest.param([POST + b"Content-Length: 99999999999999999999999\r\n\r\n"], 400, id="an impossible length"),
        pytest.param([POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}x"], 400, id="two lengths"),
        pytest.param([POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"], 400, id="a length and chunks"),
        pytest.param([POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"], 400, id="a bad chunk"),
        pytest.param([posted(BASKET, b"Content-Type: text/plain\r\n")], 400, id="two media types"),
        pytest.param([posted(BASKET, b"Idempotency-Key: a\r\nIdempotency-Key: b\r\n")], 400, id="two keys"),
        pytest.param([posted(BASKET, b"Authorization: Bearer \xff\xfe\r\n")], 401, id="a key of odd bytes"),
        pytest.param([posted(BASKET).replace(HOST, b"")], 401, id="no host"),
        pytest.param([b"OPTIONS * HTTP/1.1\r\nConnection: close\r\n\r\n"], 404, id="the whole server"),
    ],
)
def test_what_is_not_a_request_is_refused_as_a_problem(address: str, chunks: list[bytes], status: int) -> None:
    received, seconds = exchange(address, chunks)

    assert statuses(received) == [status]
    assert b"content-type: application/problem+json\r\n" in received
    assert seconds < 3


@pytest.mark.parametrize("garbage", [b"\x00\x01\x02", b"GARBAGE\r\n\r\n", b"GET /livez HTTP/1.1\r\nX: " + b"a" * 80_000])
def test_a_request_is_answered_whatever_comes_behind_it(address: str, garbage: bytes) -> None:
    quoted = POST + b"Content-Length: %d\r\n\r\n" % len(BASKET) + BASKET
    received, seconds = exchange(address, [quoted + garbage])

    assert statuses(received) in ([201], [201, 400], [201, 431], [201, 408])
    assert seconds < IN_TIME_S


def test_requests_in_one_go_are_answered_in_order(address: str) -> None:
    quoted = POST + b"Content-Length: %d\r\n\r\n" % len(BASKET) + BASKET
    received, _ = exchange(address, [LIVEZ + quoted + LIVEZ * 20 + quoted + LAST_LIVEZ])

    assert statuses(received) == [200, 201, *[200] * 20, 201, 200]


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket"])
def test_an_upgrade_that_we_do_not_do_is_ignored(address: str, protocol: bytes) -> None:
    """Some clients offer HTTP/2 with every first request and go on in HTTP/1.1."""
    upgrade = b"Connection: Upgrade\r\nUpgrade: " + protocol + b"\r\n"
    quoted = POST + upgrade + b"Content-Length: %d\r\n\r\n" % len(BASKET) + BASKET
    received, seconds = exchange(address, [quoted, LIVEZ.replace(b"\r\n\r\n", b"\r\n" + upgrade + b"\r\n"), LAST_LIVEZ])

    assert statuses(received) == [201, 200, 200]
    assert seconds < 3


def test_who_answers_slowly_for_a_body_gets_to_see_the_answer_first(address: str) -> None:
    """20 MB to an endpoint that takes 64 KiB: refused from the declared length, and the answer is not lost in a reset."""
    received, seconds = exchange(address, [POST + b"Content-Length: 20000000\r\n\r\n", *[b" " * 1_000_000] * 20])

    assert statuses(received) == [413]
    assert seconds < IN_TIME_S


def test_many_who_dawdle_hold_up_nobody(address: str) -> None:
    parts = urlsplit(address)
    assert parts.hostname
    dawdlers = [socket.create_connection((parts.hostname, parts.port or 80), timeout=IN_TIME_S) for _ in range(200)]
    try:
        for number, connection in enumerate(dawdlers):
            connection.sendall((b"", b"GET /livez HT", POST + b"Content-Length: 9\r\n\r\n{")[number % 3])
        began = time.monotonic()
        quoted = httpx.post(f"{address}/v1/quotes", content=BASKET, headers={"Content-Type": "application/json"})
        seconds = time.monotonic() - began

        assert quoted.status_code == 201
        assert seconds < 1

        def end_of(connection: socket.socket) -> bytes:
            received = b""
            while got := connection.recv(65536):
                received += got
            return received

        with ThreadPoolExecutor(8) as threads:
            ends = list(threads.map(end_of, dawdlers))
        assert [statuses(end) for end in ends] == [[[], [408], [408]][number % 3] for number in range(200)]
    finally:
        for connection in dawdlers:
            connection.close()


@pytest.mark.parametrize(
    ("path", "limit"), [(b"/v1/quotes", 64 << 10), (b"/v1/preview", 64 << 10), (b"/v1/quotes/batch", 1 << 20)]
)
def test_a_body_may_be_as_large_as_its_class_and_a_byte_more_is_refused(address: str, path: bytes, limit: int) -> None:
    body = BASKET if path != b"/v1/quotes/batch" else b'{"quotes":[' + BASKET + b"]}"
    largest = body + b" " * (limit - len(body))

    taken, _ = exchange(address, [posted(largest, path=path)])
    refused, _ = exchange(address, [posted(largest + b" ", path=path)])
    head = b"POST " + path + b" HTTP/1.1\r\n" + JSON + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked, _ = exchange(address, [head, b"%x\r\n" % (limit + 1), largest, b" \r\n0\r\n\r\n"])

    assert statuses(taken)[0] in (200, 201)
    assert statuses(refused) == statuses(chunked) == [413]


def test_who_sends_on_and_on_without_waiting_is_answered_up_to_a_bound_and_let_go(address: str) -> None:
    received, seconds = exchange(address, [LIVEZ * 4_000])

    assert 100 <= len(statuses(received)) <= 110
    assert set(statuses(received)) == {200}
    assert received.lower().count(b"connection: close\r\n") == 1
    assert seconds < IN_TIME_S
