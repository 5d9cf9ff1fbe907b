"""uvicorn's HTTP protocol with the bounds that it lacks: on the time and size of a request's head, and on clients that stop reading.

uvicorn waits for ever for headers that were begun, keeps as many of them as are sent, forgets to let a connection go whose body came after the
answer, and never gives up writing. Bodies that are waited for are bounded where they are read.

Requests that arrive whole are offered to the application directly before a cycle and a task are made for them (see direct.py). Whether one is let
in is asked when its head has come (see gate.py); a connection that was refused something is then not heard for a while.
"""

import asyncio
import http
from typing import ClassVar, Final

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from app.errors import BadRequest, HeadersTooLarge, Problem, RequestTimeout, TooManyRequests, Unavailable
from app.web.direct import Direct, Exchange, Place
from app.web.gate import Gate, is_always_heard, refusal_lines
from app.web.problems import MEDIA_TYPE, problem_bytes

HEAD_OCTETS_MAX: Final = 64 << 10
WRITE_STALL_S: Final = 30.0
# So much of what comes before its turn is kept, and for more the client waits. One request is mostly less, and changes nothing in what is polled.
UNHEARD_OCTETS: Final = 16 << 10
# Requests that may wait behind one another on a connection: a chunk has room for thousands, and each is some kilobytes here.
PIPELINED_MAX: Final = 100


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection. It has one timer for heads and for idling, which is set anew only when it runs out, so that a request costs none."""

    head_s: ClassVar[float] = 10.0
    linger_s: ClassVar[float] = 2.0
    write_stall_s: ClassVar[float] = WRITE_STALL_S
    direct: ClassVar[Direct | None] = None
    gate: ClassVar[Gate | None] = None

    # The loop's time since when a head is awaited or under way, None while there is none to wait for.
    _head_since: float | None = None
    # The loop's time since when everything is answered and nothing has come.
    _idle_since: float | None = None
    _timer: asyncio.TimerHandle | None = None
    _is_head_begun = False
    _is_in_body = False
    _head_octets = 0
    _chunk_octets = 0
    _is_refused = False
    _write_timer: asyncio.TimerHandle | None = None
    # The body so far of a request that may be taken directly, None of any other.
    _offered: list[bytes] | None = None
    # Where that goes.
    _place: Place | None = None
    # The address under which the gate has counted us in, None when it has not.
    _counted_as: str | None = None
    # The loop's time until when no new request is read, None when all are.
    _paused_until: float | None = None
    # What has come meanwhile, whether nothing more is read of it, and the timer of the instant when it is heard.
    _unheard = b""
    _is_reading_paused = False
    _pause_timer: asyncio.TimerHandle | None = None
    # What is parsed had come before its turn.
    _is_early = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.gate is not None:
            address = self.client[0] if self.client is not None else ""
            problem = self.gate.enter(address)
            if problem is not None:
                self._turn_away(problem)
                return
            self._counted_as = address
        self._head_since = self.loop.time()
        self._check_times()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._timer, self._write_timer, self._pause_timer):
            if timer is not None:
                timer.cancel()
        if self.gate is not None and self._counted_as is not None:
            self.gate.leave(self._counted_as)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_refused or (self._paused_until is not None and self._waits(data)):
            return
        self._idle_since = None
        was_in_head = self._head_since is not None
        if not was_in_head and not self._is_in_body:
            # Whatever comes between requests has to become a head, even if it begins with empty lines.
            self._head_since = self.loop.time()
        self._chunk_octets = len(data)
        while data:
            try:
                self.parser.feed_data(data)
                break
            except httptools.HttpParserUpgrade as upgrade:
                data = data[upgrade.args[0] :]
                self._go_on_in_http_1()
            except httptools.HttpParserError:
                self._refuse(BadRequest("not an HTTP request that can be read"))
                return
        if self._offered is not None:
            self._go_the_ordinary_way()
        # Of the chunk that a head begins in, the part before it is not told apart; a chunk is small enough.
        self._head_octets = self._head_octets + len(data) if was_in_head and self._head_since is not None else 0
        if self._head_octets > HEAD_OCTETS_MAX:
            self._refuse(HeadersTooLarge(f"the limit is {HEAD_OCTETS_MAX} bytes"))

    def on_message_begin(self) -> None:
        # uvicorn makes the scope here; it waits until somebody needs one.
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self._is_head_begun = True
        if self._head_since is None:
            # It begins in the chunk that the one before it ended in.
            self._head_since = self.loop.time()

    def on_headers_complete(self) -> None:
        if self._chunk_octets > HEAD_OCTETS_MAX and self._octets_of_head() > HEAD_OCTETS_MAX:
            self._refuse(HeadersTooLarge(f"the limit is {HEAD_OCTETS_MAX} bytes"))
            raise ValueError("the headers are too large")  # ends the parsing
        self._head_since, self._is_head_begun, self._is_in_body = None, False, True
        if len(self.pipeline) >= PIPELINED_MAX:
            self._refuse(TooManyRequests("Too many requests were sent without waiting for their answers."))
            raise ValueError("too many")  # ends the parsing
        if self.gate is not None:
            problem = self.gate.refusal(self.parser.get_method(), self.url, is_early=self._is_early)
            if problem is not None:
                self._refuse_request(problem)
                return
        self._place = None if self.direct is None else self.direct.place_of(self.url)
        if self._place is not None and self._is_plain():
            self._offered = []
        else:
            self._begin_cycle()

    def on_body(self, body: bytes) -> None:
        if self._offered is None:
            super().on_body(body)
        else:
            self._offered.append(body)

    def on_message_complete(self) -> None:
        if self._offered is not None:
            assert self.direct is not None
            assert self._place is not None
            exchange = Exchange(self, keep_alive=not self._is_leaving())
            before, self.cycle = self.cycle, exchange  # type: ignore[assignment]
            if self.direct.take(exchange, self._place, self.headers, b"".join(self._offered)):
                self._offered, self._is_in_body = None, False
                return
            self.cycle = before
            self._go_the_ordinary_way()
        super().on_message_complete()
        self._is_in_body = False
        if self.cycle.response_complete and not self.pipeline:
            # It was answered before its body had come.
            self._idle_since = self.loop.time()

    def on_response_complete(self) -> None:
        """What uvicorn does, but for its timer."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        else:
            self._idle_since = self.loop.time()
        if self._is_in_body and self.cycle.response_complete:
            # A client that is still sending its body gets to see the answer, and is then let go.
            self.loop.call_later(self.linger_s, self._end_lingering, self.cycle)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.write_stall_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None

    def timeout_keep_alive_handler(self) -> None:
        """End an idle connection; at once where the client has not taken what it was sent, because closing would wait for that."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    def tell_to_go(self) -> None:
        """Have the answer to what is under way say that it is the last one. What is idle may still ask once."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.keep_alive = False

    def shutdown(self) -> None:
        """What uvicorn does; but what was not heard yet has been sent, and is heard now."""
        self._hear()
        super().shutdown()

    def pause(self) -> float:
        """Do not read new requests until it is this connection's turn again, and return how long that is."""
        assert self.gate is not None
        now = self.loop.time()
        self._paused_until = self.gate.pause_until_s(now)
        return self._paused_until - now

    def _waits(self, data: bytes) -> bool:
        """Put away what begins a new request before the pause is over, unless it is of the kind that does not wait."""
        assert self._paused_until is not None
        if self.loop.time() >= self._paused_until and not self._unheard:
            self._paused_until = None
            return False
        if self._is_in_body or self._is_head_begun or (not self._unheard and is_always_heard(data)):
            return False
        self._idle_since = None
        self._unheard += data
        if len(self._unheard) > UNHEARD_OCTETS and not self._is_reading_paused:
            self._is_reading_paused = True
            self.transport.pause_reading()
        if self._pause_timer is None:
            self._pause_timer = self.loop.call_at(self._paused_until, self._hear)
        return True

    def _hear(self) -> None:
        """Read what has come while the connection was paused."""
        data, self._unheard, self._paused_until = self._unheard, b"", None
        if self._pause_timer is not None:
            self._pause_timer.cancel()
            self._pause_timer = None
        if data and not self.transport.is_closing():
            if self._is_reading_paused:
                self._is_reading_paused = False
                self.transport.resume_reading()
            self._is_early = True
            try:
                self.data_received(data)
            finally:
                self._is_early = False

    def _is_leaving(self) -> bool:
        return self.gate is not None and self.gate.is_leaving

    def _go_on_in_http_1(self) -> None:
        """After a head that offers another protocol, which we do not switch to: the parser would read no body, nor anything behind it."""
        framing = [header for header in self.headers if header[0] in (b"content-length", b"transfer-encoding")]
        callbacks = _AfterHead(self)
        self.parser = httptools.HttpRequestParser(callbacks)
        if framing:
            self._is_in_body = self.cycle.more_body = True
            head = b"".join(b"%s: %s\r\n" % header for header in framing)
            self.parser.feed_data(b"POST / HTTP/1.1\r\n" + head + b"\r\n")
        callbacks.is_in_head = False

    def _is_plain(self) -> bool:
        """Whether nothing about the connection and the head asks for more than one response to one request."""
        return (
            (self.cycle is None or self.cycle.response_complete)  # type: ignore[redundant-expr]
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
            and not self.expect_100_continue
            and not self.flow.write_paused
        )

    def _begin_cycle(self) -> None:
        """Do what uvicorn does when a head begins, and when it ends."""
        url, headers, expect_100_continue = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect_100_continue
        self.headers += headers
        super().on_headers_complete()
        if self._is_leaving():
            self.cycle.keep_alive = False

    def _go_the_ordinary_way(self) -> None:
        """A request that was not taken, or is not whole yet, gets its cycle with what has come of the body."""
        assert self._offered is not None
        parts, self._offered = self._offered, None
        self._begin_cycle()
        for part in parts:
            super().on_body(part)

    def _octets_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _check_times(self) -> None:
        """Let go of whoever took too long. It looks in at least as often as the shortest of the times, so it is never late."""
        now = self.loop.time()
        due = next_look = now + min(self.head_s, self.timeout_keep_alive)
        if self._head_since is not None:
            due = self._head_since + self.head_s
        elif self._idle_since is not None:
            due = self._idle_since + self.timeout_keep_alive
        if due > now:
            self._timer = self.loop.call_at(min(due, next_look), self._check_times)
        elif self._is_head_begun:
            self._refuse(RequestTimeout(f"the headers did not arrive within {self.head_s:g} s"))
        else:
            self.timeout_keep_alive_handler()

    def _end_lingering(self, answered: object) -> None:
        if self._is_in_body and self.cycle is answered:
            self.transport.close()

    def _refuse_request(self, problem: Unavailable) -> None:
        """Refuse the request whose head has come, before anything is done for it.

        Where others are under way before it, or were refused just now and this one did not wait for that, the connection ends with them.
        Raises ValueError then, to end the parsing.
        """
        parser = self.parser
        is_free = self.cycle is None or self.cycle.response_complete  # type: ignore[redundant-expr]
        if not is_free or self._paused_until is not None or parser.should_upgrade():
            self._refuse(problem)
            raise ValueError("refused")
        keep_alive = parser.get_http_version() == "1.1" and parser.should_keep_alive() and not self._is_leaving()
        exchange = Exchange(self, keep_alive=keep_alive)
        self.cycle = exchange  # type: ignore[assignment]
        headers, body = refusal_lines(problem, pause_s=self.pause())
        exchange.answer(problem.status, headers, b"" if parser.get_method() == b"HEAD" else body)

    def _turn_away(self, problem: Unavailable) -> None:
        """Answer a connection that is one too many, without waiting for what it would ask."""
        headers, body = refusal_lines(problem)
        self.transport.write(b"HTTP/1.1 503 Service Unavailable\r\n" + headers + b"connection: close\r\n\r\n" + body)
        self.transport.close()
        self._is_refused = True

    def _refuse(self, problem: Problem) -> None:
        """Answer outside of the application, and close. Requests that are under way are answered first, and then nothing else is."""
        if self._is_refused or self.transport.is_closing():
            return
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is None or cycle.response_complete or (cycle.more_body and not cycle.response_started and not self.pipeline):
            body = problem_bytes(problem)
            head = f"HTTP/1.1 {problem.status} {http.HTTPStatus(problem.status).phrase}\r\n"
            head += f"content-type: {MEDIA_TYPE}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n"
            head += "".join(f"{name.lower()}: {value}\r\n" for name, value in problem.headers.items()) + "\r\n"
            self.transport.write(head.encode() + body)
            # Closing at once would tell a client that is still sending of a reset, and not of the answer.
            self.transport.write_eof()
            self.loop.call_later(self.linger_s, self.transport.close)
            if cycle is not None:
                cycle.disconnected = True
                cycle.message_event.set()
        else:
            self.flow.pause_reading()
            cycle.keep_alive = False
        self._is_refused = True


class _AfterHead:
    """The callbacks of a parser that is given a head which the connection has heard of already."""

    def __init__(self, connection: BoundedHttpProtocol) -> None:
        self.is_in_head = True
        self._connection = connection
        self.on_body = connection.on_body
        self.on_message_complete = connection.on_message_complete

    def on_message_begin(self) -> None:
        if not self.is_in_head:
            self._connection.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self.is_in_head:
            self._connection.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.is_in_head:
            self._connection.on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self.is_in_head:
            self._connection.on_headers_complete()


def bounded_protocol(
    *, head_s: float, write_stall_s: float = WRITE_STALL_S, direct: Direct | None = None, gate: Gate | None = None
) -> type[BoundedHttpProtocol]:
    """The protocol with other times for headers and for writing, an application that takes requests directly, and a gate before it."""
    members = {"head_s": head_s, "write_stall_s": write_stall_s, "direct": direct, "gate": gate}
    return type("BoundedHttpProtocol", (BoundedHttpProtocol,), members)
