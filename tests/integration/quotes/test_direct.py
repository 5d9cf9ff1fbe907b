"""Plain requests are answered without a task, and nobody who asks can tell."""

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from uvicorn.server import ServerState

from app.db.engine import Database
from app.quotes.decision import Decision
from app.quotes.front import FrontTable
from app.quotes.lane import LaneLimits
from app.quotes.store import Claim, DecisionStore, Outcome
from app.web.auth import Principal
from app.web.connections import BoundedHttpProtocol, bounded_protocol
from app.web.direct import Place as Where
from app.web.direct import Replying
from tests.integration.quotes.test_doors import REQUESTS
from tests.quotes_support import Books, Caller, basket, connector, doors, encoded, house, shop_book

_PASSING = re.compile(rb'"(id|issued_at|expires_at|token)":"[^"]+"|x-request-id: [^\r]+')
_KEEP_ALIVE_S = 1


class Counting:
    """The front table, and whether it has taken what it was offered."""

    def __init__(self, front: FrontTable) -> None:
        self._front = front
        self.taken: list[bool] = []

    def place_of(self, path: bytes) -> Where | None:
        return self._front.place_of(path)

    def take(self, exchange: Replying, place: Where, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        self.taken.append(self._front.take(exchange, place, headers, body))
        return self.taken[-1]


class Line:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def response(self) -> tuple[int, bytes, bytes]:
        """Status, head and body of the next response."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 10)
        length = re.search(rb"\r\ncontent-length: ([0-9]+)\r\n", head)
        return int(head[9:12]), head, await self.reader.readexactly(int(length[1])) if length else b""

    async def ask(self, *chunks: bytes) -> tuple[int, bytes, bytes]:
        """Send a request in pieces, each by itself, and wait for the response."""
        for chunk in chunks:
            self.writer.write(chunk)
            await self.writer.drain()
            await asyncio.sleep(0.01)
        return await self.response()


class Gate(DecisionStore):
    """A store that waits until it is opened."""

    is_open = asyncio.Event()
    is_reached = asyncio.Event()

    async def store(
        self, issued_at: datetime, decisions: Sequence[Decision], claims: Sequence[Claim], *, deadline_s: float
    ) -> Outcome:
        self.is_reached.set()
        await self.is_open.wait()
        return await super().store(issued_at, decisions, claims, deadline_s=deadline_s)


class Place:
    """A house that listens."""

    def __init__(self, direct: Counting, state: ServerState, port: int, caller: Caller) -> None:
        self.direct = direct
        self.state = state
        self.caller = caller
        self._port = port

    @contextlib.asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        try:
            yield Line(reader, writer)
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def place(database: Database, **wiring: Any) -> AsyncIterator[Place]:
    engine = database.engine()
    connect = wiring.pop("connect", connector(database))
    caller = Caller()
    async with house(connect, books=Books(shop_book(3)), **wiring) as served:
        front, _ = doors(served, engine, caller=caller)
        direct, state = Counting(front), ServerState()
        config = uvicorn.Config(
            front, lifespan="off", log_config=None, access_log=False, timeout_keep_alive=_KEEP_ALIVE_S, proxy_headers=False
        )
        protocol: type[BoundedHttpProtocol] = bounded_protocol(head_s=10, direct=direct)
        server = await asyncio.get_running_loop().create_server(lambda: protocol(config, state, {}), "127.0.0.1")
        try:
            yield Place(direct, state, server.sockets[0].getsockname()[1], caller)
        finally:
            server.close()
    await engine.dispose()


@pytest.fixture
async def here(database: Database) -> AsyncIterator[Place]:
    async with place(database) as made:
        yield made


def post(body: bytes, *headers: str, path: str = "/v1/quotes") -> tuple[bytes, bytes]:
    """Head and body of a request."""
    fields = ["Host: localhost", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers]
    return f"POST {path} HTTP/1.1\r\n{'\r\n'.join(fields)}\r\n\r\n".encode(), body


async def alike(here: Place, request: tuple[bytes, bytes], *, is_taken: bool | None = None) -> tuple[int, bytes, bytes]:
    """Send a request in one piece, and in two, which goes the ordinary way; assert equal answers and return the first."""
    async with here.line() as line:
        before = len(here.direct.taken)
        one = await line.ask(b"".join(request))
        offered = here.direct.taken[before:]
        other = await line.ask(*request)

    assert len(here.direct.taken) == before + len(offered)
    assert is_taken is None or offered == [is_taken]
    assert [_PASSING.sub(b"", part) for part in one[1:]] == [_PASSING.sub(b"", part) for part in other[1:]]
    return one


@pytest.mark.parametrize("path", ["/v1/quotes", "/v1/preview"])
async def test_plain_requests_are_taken_and_answered_alike(here: Place, path: str) -> None:
    good = await alike(here, post(encoded(basket(codes=["save10"])), path=path), is_taken=True)
    unpriced = await alike(here, post(encoded(basket(("SKU-9", 1))), path=path), is_taken=True)
    partial = await alike(here, post(encoded(basket(("SKU-9", 1), ("SKU-1", 1), partial=True)), path=path), is_taken=True)

    assert [good[0], unpriced[0], partial[0]] == [201 if path == "/v1/quotes" else 200, 422, good[0]]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        pytest.param(post(b"{"), 400, id="not JSON"),
        pytest.param(post(b"{}"), 422, id="not a quote"),
        pytest.param(post(encoded(basket()), "Idempotency-Key: a b"), 422, id="not a key"),
        pytest.param(post(encoded(basket()), "Idempotency-Key: a", "Idempotency-Key: b"), 400, id="two keys"),
        pytest.param(post(encoded(basket()), "Min-Version: 3"), 201, id="a version to wait for"),
        pytest.param(post(encoded(basket(min_version=3))), 201, id="the same in the body"),
        pytest.param(post(encoded(basket(at="2026-11-27T10:00:00Z"))), 201, id="an instant"),
        pytest.param(post(encoded(basket(version=3))), 201, id="a version"),
        pytest.param(post(b" " * (64 << 10) + b"{}"), 413, id="too large"),
    ],
)
async def test_the_unusual_is_left_and_answered_alike(here: Place, request_: tuple[bytes, bytes], status: int) -> None:
    assert (await alike(here, request_))[0] == status
    assert True not in here.direct.taken


async def test_other_media_types_queries_and_versions_of_http_are_left(here: Place) -> None:
    head, body = post(encoded(basket()))

    assert (await alike(here, (head.replace(b"application/json", b"text/plain"), body), is_taken=False))[0] == 415
    assert (await alike(here, (head.replace(b"application/json", b"application/json; charset=utf-8"), body), is_taken=False))[
        0
    ] == 201
    assert (await alike(here, (head.replace(b"/v1/quotes", b"/v1/quotes?a=1"), body)))[0] == 422
    async with here.line() as line:
        old = await line.ask(head.replace(b"HTTP/1.1", b"HTTP/1.0\r\nConnection: keep-alive") + body)
        assert await line.reader.read() == b""
    async with here.line() as line:
        closing = await line.ask(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + body)
        assert await line.reader.read() == b""
    assert [old[0], closing[0]] == [201, 201]
    assert True not in here.direct.taken


async def test_a_caller_without_the_scope_is_refused_the_ordinary_way(here: Place) -> None:
    here.caller.principal = Principal("reader", frozenset({"read"}))

    assert (await alike(here, post(encoded(basket())), is_taken=False))[0] == 403


async def test_a_chunked_body_that_comes_whole_is_read(here: Place) -> None:
    head, body = post(encoded(basket()))
    chunked = re.sub(rb"Content-Length: [0-9]+", b"Transfer-Encoding: chunked", head)
    async with here.line() as line:
        answer = await line.ask(chunked + b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:5], len(body) - 5, body[5:]))

    assert (answer[0], here.direct.taken) == (201, [True])


async def test_request_ids_and_replays_are_told(here: Place) -> None:
    key = "Idempotency-Key: order-7"
    async with here.line() as line:
        first = await line.ask(b"".join(post(encoded(basket()), key, "X-Request-Id: trace-7")))
        again = await line.ask(b"".join(post(encoded(basket()), key, "X-Request-Id: not/one")))

    assert here.direct.taken == [True, True]
    assert again[2] == first[2]
    assert b"\r\nx-request-id: trace-7\r\n" in first[1]
    assert b"not/one" not in again[1]
    assert [b"\r\nidempotent-replayed: true\r\n" in head for _, head, _ in (first, again)] == [False, True]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=REQUESTS)
async def test_the_direct_way_and_the_ordinary_answer_alike(here: Place, request: dict[str, Any]) -> None:
    body = json.dumps(request).encode()

    for path in ("/v1/quotes", "/v1/preview"):
        assert (await alike(here, post(body, path=path)))[0] in (200, 201, 422)


async def test_without_a_database_it_says_so_alike(database: Database) -> None:
    async def nowhere() -> asyncpg.Connection:
        raise ConnectionRefusedError

    async with place(database, connect=nowhere) as here:
        status, head, _ = await alike(here, post(encoded(basket())), is_taken=True)

    assert status == 503
    assert b"\r\nretry-after: 1\r\n" in head


async def test_a_full_lane_refuses_at_once(database: Database) -> None:
    async with place(database, limits=LaneLimits(rows_max=0)) as here:
        assert (await alike(here, post(encoded(basket())), is_taken=False))[0] == 503


async def test_requests_in_one_go_are_answered_in_order(here: Place) -> None:
    quote, preview = (b"".join(post(encoded(basket()), path=path)) for path in ("/v1/quotes", "/v1/preview"))
    async with here.line() as line:
        line.writer.write(quote + preview + b"GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n" + quote)
        statuses = [(await line.response())[0] for _ in range(4)]
        line.writer.write(preview)
        last = await line.response()

    assert (statuses, last[0]) == ([201, 200, 404, 201], 200)
    assert here.direct.taken == [True, True]


@contextlib.asynccontextmanager
async def behind_a_gate(database: Database) -> AsyncIterator[tuple[Place, Line]]:
    """A quote that is in flight until the gate opens."""
    Gate.is_open, Gate.is_reached = asyncio.Event(), asyncio.Event()
    async with place(database, store_class=Gate, limits=LaneLimits(flush_s=10)) as here, here.line() as line:
        line.writer.write(b"".join(post(encoded(basket()))))
        await Gate.is_reached.wait()
        assert here.direct.taken == [True]
        try:
            yield here, line
        finally:
            Gate.is_open.set()


async def test_a_shutdown_waits_for_the_answer(database: Database) -> None:
    async with behind_a_gate(database) as (here, line):
        for connection in list(here.state.connections):
            connection.shutdown()
        await asyncio.sleep(0.05)
        assert here.state.connections
        Gate.is_open.set()
        status, head, _ = await line.response()
        rest = await line.reader.read()

    assert (status, rest) == (201, b"")
    assert b"\r\nconnection: close\r\n" in head


async def test_garbage_behind_a_request_ends_the_connection_after_its_answer(database: Database) -> None:
    async with behind_a_gate(database) as (_, line):
        line.writer.write(b"\x00\x01\r\n\r\n")
        await asyncio.sleep(0.05)
        Gate.is_open.set()
        status, _, _ = await line.response()
        rest = await line.reader.read()

    assert (status, rest) == (201, b"")


async def test_a_client_that_leaves_has_its_decision_stored(fresh_database: Database) -> None:
    async with behind_a_gate(fresh_database) as (here, line):
        line.writer.close()
        while here.state.connections:
            await asyncio.sleep(0.01)
        Gate.is_open.set()
    connection = await fresh_database.connect()
    count = await connection.fetchval("SELECT count(*) FROM decisions")
    await connection.close()

    assert count == 1


async def test_who_waits_for_an_answer_is_not_idle_and_who_has_it_is(database: Database) -> None:
    loop = asyncio.get_running_loop()
    async with behind_a_gate(database) as (_, line):
        await asyncio.sleep(_KEEP_ALIVE_S + 0.2)
        Gate.is_open.set()
        status, _, _ = await line.response()
        answered_s = loop.time()
        await line.reader.read()
        idled_s = loop.time() - answered_s

    assert status == 201
    assert _KEEP_ALIVE_S - 0.1 < idled_s < _KEEP_ALIVE_S + 0.5
