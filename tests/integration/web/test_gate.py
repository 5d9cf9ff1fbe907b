"""Doors that close: connections that are too many, requests that are refused before they are read, clients that do not read."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import NamedTuple

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from app.metrics import Metrics
from app.web.admission import Admission
from app.web.connections import UNHEARD_OCTETS, BoundedHttpProtocol, bounded_protocol
from app.web.direct import Place, Replying
from app.web.gate import PAUSE_S_MAX, REFUSALS_PER_SECOND, Gate, refusal_lines

_HOST = b"Host: localhost\r\n"
QUOTE = b"POST /v1/quotes HTTP/1.1\r\n" + _HOST + b"Content-Length: 2\r\n\r\n{}"
CONFIRM = b"POST /v1/holds/0197/confirm HTTP/1.1\r\n" + _HOST + b"Content-Length: 2\r\n\r\n{}"
READY = b"GET /readyz HTTP/1.1\r\n" + _HOST + b"\r\n"
LARGE = 64 << 20


class Line(NamedTuple):
    """A connection of a client."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def answer(self, seconds: float = 5) -> tuple[int, bytes]:
        """Status and head of the next reply, without its body."""
        async with asyncio.timeout(seconds):
            head = (await self.reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
            await self.reader.readexactly(length)
        return int(head[9:12]), head

    async def ask(self, request: bytes, seconds: float = 5) -> tuple[int, bytes]:
        self.writer.write(request)
        return await self.answer(seconds)

    async def is_closed(self, seconds: float = 5) -> bool:
        async with asyncio.timeout(seconds):
            try:
                return await self.reader.read() == b""
            except ConnectionError:
                return True


class Doors:
    """An application that answers at once behind a gate whose load the test sets."""

    def __init__(self, *, connections_max: int, per_address_max: int | None) -> None:
        self.wait_s = 0.0
        self.answered: list[str] = []
        self.begun = asyncio.Event()
        self.let_go = asyncio.Event()
        self.metrics = Metrics()
        admission = Admission(target_s=0.2, metrics=self.metrics)
        admission.add_lane("quotes", lambda: self.wait_s)
        self.gate = Gate(
            admission, connections_max=connections_max, connections_per_address_max=per_address_max, metrics=self.metrics
        )
        self.state = ServerState()
        self.port = 0
        self.taken: list[Place] = []  # directly

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b"{}"
        if scope["path"] == "/large":
            body = b" " * LARGE
        elif scope["path"] == "/slow":
            self.begun.set()
            await self.let_go.wait()
        headers = [(b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        self.answered.append(scope["path"])

    def place_of(self, path: bytes) -> Place | None:
        return Place("/confirm", {}) if path.endswith(b"/confirm") else None

    def take(self, exchange: Replying, place: Place, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        self.taken.append(place)
        exchange.answer(200, b"content-length: 2\r\n", b"{}")
        return True

    @property
    def connections(self) -> list[BoundedHttpProtocol]:
        """As the server has them."""
        return [one for one in self.state.connections if isinstance(one, BoundedHttpProtocol)]

    def put_turns_off(self) -> None:
        """As if so many others had just been refused that the next one's turn is as late as it can be."""
        for _ in range(int(REFUSALS_PER_SECOND * PAUSE_S_MAX)):
            self.gate.pause_until_s(asyncio.get_running_loop().time())

    @contextlib.asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Line(reader, writer)
        finally:
            writer.close()

    def refused(self, reason: str) -> int:
        return self.metrics.refused.at(reason).n


@contextlib.asynccontextmanager
async def doors(
    *, connections_max: int = 100, per_address_max: int | None = None, write_stall_s: float = 30
) -> AsyncIterator[Doors]:
    made = Doors(connections_max=connections_max, per_address_max=per_address_max)
    config = uvicorn.Config(made, lifespan="off", log_config=None, access_log=False, proxy_headers=False)
    protocol: type[BoundedHttpProtocol] = bounded_protocol(head_s=10, write_stall_s=write_stall_s, direct=made, gate=made.gate)
    server = await asyncio.get_running_loop().create_server(lambda: protocol(config, made.state, {}), "127.0.0.1")
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until it is."""
    async with asyncio.timeout(5):
        while not is_so():
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("limits", "reason"), [({"connections_max": 2}, "connections"), ({"per_address_max": 2}, "address")])
async def test_a_connection_too_many_is_told_so_without_being_asked(limits: dict[str, int], reason: str) -> None:
    async with doors(**limits) as here, here.line() as one, here.line() as two:
        assert (await one.ask(QUOTE))[0] == (await two.ask(QUOTE))[0] == 200
        async with here.line() as three:
            status, head = await three.answer()
            assert await three.is_closed()
        assert here.gate.connection_count == 2
        two.writer.close()
        await until(lambda: here.gate.connection_count == 1)
        async with here.line() as four:
            again, _ = await four.ask(QUOTE)

    assert (status, again) == (503, 200)
    assert b"retry-after: 1\r\n" in head
    assert b"connection: close\r\n" in head
    assert here.refused(reason) == 1


async def test_a_refused_request_is_answered_before_its_body_has_come_and_the_connection_goes_on() -> None:
    async with doors() as here, here.line() as line:
        here.wait_s = 1.0
        status, head = await line.ask(QUOTE[:-2])
        here.wait_s = 0.0
        line.writer.write(b"{}")
        again, _ = await line.ask(QUOTE)

    assert (status, again) == (503, 200)
    assert b"retry-after: 1\r\n" in head
    assert b"application/problem+json" in head
    assert here.answered == ["/v1/quotes"]
    assert here.refused("load_quote") == 1


async def test_who_comes_back_at_once_waits_for_his_turn_while_confirms_and_probes_are_heard() -> None:
    async with doors() as here, here.line() as line:
        here.wait_s = 1.0
        loop = asyncio.get_running_loop()
        for _ in range(int(REFUSALS_PER_SECOND * 1.5)):
            here.gate.pause_until_s(loop.time())  # as many others were refused before him
        began = time.monotonic()
        status, head = await line.ask(QUOTE)
        confirmed, _ = await line.ask(CONFIRM)
        ready, _ = await line.ask(READY)
        heard_s = time.monotonic() - began
        here.wait_s = 0.0
        quoted, _ = await line.ask(QUOTE)
        quoted_s = time.monotonic() - began

    assert (status, confirmed, ready, quoted) == (503, 200, 200, 200)
    assert [place.route for place in here.taken] == ["/confirm"]
    assert b"retry-after: 2\r\n" in head  # no sooner than he is heard
    assert heard_s < 1
    assert quoted_s > 1


async def test_who_comes_back_before_his_turn_is_let_in_only_where_there_is_much_room() -> None:
    async with doors() as here, here.line() as early:
        here.wait_s = 1.0
        here.put_turns_off()
        await early.ask(QUOTE)
        [connection] = here.connections
        async with here.line() as punctual:
            here.wait_s = 0.15  # of a target of 0.2
            let_in, _ = await punctual.ask(QUOTE)
            early.writer.write(QUOTE)
            await until(lambda: bool(connection._unheard))
            assert not connection._is_reading_paused
            connection._hear()
            refused, _ = await early.answer()
            here.wait_s = 0.05
            early.writer.write(QUOTE)
            await until(lambda: bool(connection._unheard))
            connection._hear()
            after, _ = await early.answer()

    assert (let_in, refused, after) == (200, 503, 200)


async def test_more_than_a_request_before_its_turn_is_left_with_the_client_and_heard_in_full() -> None:
    async with doors() as here, here.line() as line:
        here.wait_s = 1.0
        here.put_turns_off()
        await line.ask(QUOTE)
        here.wait_s = 0.0
        [connection] = here.connections
        line.writer.write(b"POST /v1/quotes HTTP/1.1\r\n" + _HOST + b"Content-Length: %d\r\n\r\n" % LARGE)
        line.writer.write(b" " * LARGE)
        await until(lambda: connection._is_reading_paused)
        kept = len(connection._unheard)
        connection._hear()
        status, _ = await line.answer(20)
        again, _ = await line.ask(QUOTE)

    assert (status, again) == (200, 200)
    assert UNHEARD_OCTETS < kept < LARGE // 8


def test_a_refusal_is_the_same_object_and_bytes_each_time() -> None:
    metrics = Metrics()
    admission = Admission(target_s=0.2, metrics=metrics)
    admission.add_lane("quotes", lambda: 1.0)
    gate = Gate(admission, connections_max=1, connections_per_address_max=None, metrics=metrics)

    first, second = (gate.refusal(b"POST", b"/v1/quotes") for _ in range(2))

    assert first is not None
    assert second is first
    assert refusal_lines(first) is refusal_lines(first)


def test_nobody_waits_longer_than_the_bound_however_many_are_refused() -> None:
    metrics = Metrics()
    gate = Gate(Admission(target_s=1, metrics=metrics), connections_max=1, connections_per_address_max=None, metrics=metrics)

    turns = [gate.pause_until_s(100.0) for _ in range(int(REFUSALS_PER_SECOND * PAUSE_S_MAX * 2))]

    assert turns[0] - 100 < 2 / REFUSALS_PER_SECOND
    assert max(turns) == 100 + PAUSE_S_MAX


def test_refusals_are_one_for_ten_requests_that_are_let_in() -> None:
    metrics = Metrics()
    gate = Gate(Admission(target_s=1, metrics=metrics), connections_max=1, connections_per_address_max=None, metrics=metrics)
    turns = []

    for begins_s, let_in in ((100.0, 2_000), (101.0, 0), (102.0, 100_000), (103.0, 0), (200.0, 0)):
        first = gate.pause_until_s(begins_s)
        turns.append(round(gate.pause_until_s(begins_s) - first, 6))
        for _ in range(let_in):
            assert gate.refusal(b"POST", b"/v1/quotes") is None

    # 500 a second before anything is known, and long after; else a tenth of what was let in, from 50 to 500.
    assert turns == [0.002, 0.005, 0.02, 0.002, 0.002]


async def test_what_is_sent_behind_a_refusal_without_waiting_ends_the_connection() -> None:
    async with doors() as here, here.line() as line:
        here.wait_s = 1.0
        line.writer.write(QUOTE * 500)
        first, _ = await line.answer()
        second, head = await line.answer()
        closed = await line.is_closed()

    assert (first, second, closed) == (503, 503, True)
    assert b"connection: close\r\n" in head
    assert here.refused("load_quote") == 2


async def test_what_is_refused_behind_a_request_under_way_lets_that_one_finish() -> None:
    async with doors() as here, here.line() as line:
        line.writer.write(QUOTE.replace(b"/v1/quotes", b"/slow"))
        await here.begun.wait()
        here.wait_s = 1.0
        line.writer.write(QUOTE * 3)
        await until(lambda: here.refused("load_quote") == 1)
        here.let_go.set()
        status, head = await line.answer()
        closed = await line.is_closed()

    assert (status, closed, here.answered) == (200, True, ["/slow"])
    assert b"connection: close\r\n" in head


@pytest.mark.parametrize(
    "request_",
    [
        QUOTE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        QUOTE.replace(_HOST, _HOST + b"Connection: close\r\n"),
        QUOTE.replace(_HOST, _HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n"),
    ],
    ids=["HTTP/1.0", "close", "upgrade"],
)
async def test_who_does_not_keep_the_connection_open_is_refused_and_let_go(request_: bytes) -> None:
    async with doors() as here, here.line() as line:
        here.wait_s = 1.0
        status, head = await line.ask(request_)
        closed = await line.is_closed()

    assert (status, closed) == (503, True)
    assert b"retry-after: 1\r\n" in head


async def test_who_does_not_read_is_let_go_and_hurts_nobody() -> None:
    async with doors(write_stall_s=0.3) as here, here.line() as deaf, here.line() as other:
        deaf.writer.write(b"GET /large HTTP/1.1\r\n" + _HOST + b"\r\n")
        await until(lambda: here.gate.connection_count == 2)
        status, _ = await other.ask(QUOTE)
        await until(lambda: here.gate.connection_count == 1)
        again, _ = await other.ask(QUOTE)

    assert (status, again) == (200, 200)


async def test_a_request_that_waits_for_its_turn_is_answered_when_the_process_stops() -> None:
    async with doors() as here, here.line() as line:
        here.wait_s = 1.0
        loop = asyncio.get_running_loop()
        for _ in range(int(REFUSALS_PER_SECOND * 4)):
            here.gate.pause_until_s(loop.time())
        await line.ask(QUOTE)
        here.wait_s = 0.0
        line.writer.write(QUOTE)
        [connection] = here.state.connections
        assert isinstance(connection, BoundedHttpProtocol)
        await until(lambda: bool(connection._unheard))
        here.gate.is_leaving = True
        connection.shutdown()
        status, head = await line.answer(2)
        closed = await line.is_closed()

    assert (status, closed) == (200, True)
    assert b"connection: close\r\n" in head
