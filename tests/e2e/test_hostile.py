"""Promise R9: nothing large, slow or deep hurts others. Ordinary quotes go on while every kind of bad client is there at once."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from app.db.engine import Database
from tests.contract.test_sockets import HOST, JSON, POST, exchange, posted
from tests.e2e.conftest import StartPod
from tests.e2e.shop import open_shop

_QUOTES = 150
_KINDS_TIMES = 2
# Machines that run tests stall for reasons of their own; what is to be noticed here are waits for bad clients, who take seconds.
_HURT_S = 1.5
BASKET = b'{"currency":"USD","lines":[{"sku":"SKU-1","quantity":2}]}'
_BATCH = b"/v1/quotes/batch"


def _connected(address: str) -> socket.socket:
    parts = urlsplit(address)
    assert parts.hostname
    return socket.create_connection((parts.hostname, parts.port or 80), timeout=10)


def huge_by_length(address: str) -> None:
    exchange(address, [POST + b"Content-Length: 20000000\r\n\r\n", *[b" " * 1_000_000] * 20])


def huge_by_chunks(address: str) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    exchange(address, [b"POST " + _BATCH + b" HTTP/1.1\r\n" + JSON + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 300])


def deep(address: str) -> None:
    exchange(address, [posted(b'{"lines":' + b"[" * 60_000)])
    exchange(address, [posted(b'{"quotes":' + b'[{"lines":' * 50_000, path=_BATCH)])


def many_names(address: str) -> None:
    exchange(address, [posted(b"{" + b",".join(b'"a%d":1' % number for number in range(6_000)) + b"}")])


def slow_head(address: str) -> None:
    with _connected(address) as connection:
        for octet in POST:
            connection.sendall(bytes((octet,)))
            time.sleep(0.02)


def slow_body(address: str) -> None:
    with _connected(address) as connection:
        connection.sendall(POST + b"Content-Length: 60000\r\n\r\n")
        for _ in range(100):
            connection.sendall(b" ")
            time.sleep(0.02)


def deaf(address: str) -> None:
    """Asks for much, again and again, and reads nothing."""
    with _connected(address) as connection:
        connection.settimeout(0.3)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        with contextlib.suppress(TimeoutError):
            for _ in range(200):
                connection.sendall((b"GET /openapi.json HTTP/1.1\r\n" + HOST + b"\r\n") * 20)


def hasty(address: str) -> None:
    """Opens and goes, with and without half a request."""
    for number in range(100):
        with _connected(address) as connection:
            connection.sendall((b"", b"POST /v1", POST + b"Content-Length: 500\r\n\r\n{")[number % 3])


BAD = (huge_by_length, huge_by_chunks, deep, many_names, slow_head, slow_body, deaf, hasty)


@contextlib.contextmanager
def beset(address: str, kinds: tuple[Callable[[str], None], ...]) -> Iterator[None]:
    """While clients of these kinds come again and again."""
    over = threading.Event()

    def come(kind: Callable[[str], None]) -> None:
        while not over.is_set():
            with contextlib.suppress(OSError):  # let go while it was still sending, as it should be
                kind(address)
            # So that the machine is not theirs: what is asked is whether they hurt by what they are, not by being many.
            time.sleep(0.05)

    threads = [threading.Thread(target=come, args=(kind,)) for kind in kinds * _KINDS_TIMES]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join(60)


def asked_s(client: httpx.Client) -> list[float]:
    """How long previews take, one after another with a quote after each; all are answered. What the disk takes is not in it."""
    taken = []
    for _ in range(_QUOTES):
        began_s = time.monotonic()
        replies = [client.post("/v1/preview", content=BASKET, headers={"Content-Type": "application/json"})]
        taken.append(time.monotonic() - began_s)
        replies.append(client.post("/v1/quotes", content=BASKET, headers={"Content-Type": "application/json"}))
        assert [reply.status_code for reply in replies] == [200, 201], [reply.text for reply in replies]
    return sorted(taken)


def test_ordinary_clients_go_on_among_bad_ones(fresh_database: Database, tmp_path: Path, start_pod: StartPod) -> None:
    given = {"database_url": fresh_database.url, "read_seconds": "1", "write_seconds": "1", "flush_seconds": "9"}
    pod = start_pod(tmp_path, **given).wait_until_ready()
    open_shop(pod.client)
    address = f"http://127.0.0.1:{pod.port}"

    calm = asked_s(pod.client)
    with beset(address, BAD):
        busy = asked_s(pod.client)
    after = asked_s(pod.client)

    print(
        f"figure: {_QUOTES} previews and quotes among {len(BAD) * _KINDS_TIMES} bad clients: previews median {busy[_QUOTES // 2] * 1e3:.0f} ms "
        f"and at most {busy[-1] * 1e3:.0f} ms, {calm[_QUOTES // 2] * 1e3:.0f} and {calm[-1] * 1e3:.0f} ms before"
    )
    assert busy[-1] < _HURT_S
    assert after[_QUOTES // 2] < 5 * calm[_QUOTES // 2] + 0.05
