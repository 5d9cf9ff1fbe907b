"""Requests at their own times, whatever the server does: latency counts from the instant a request was meant to be sent.

    python -m loadtests.open.model < job.json

So the bench starts it, as a process of its own on the core that the server is not on; what it finds goes to standard output as JSON. People
use `python -m loadtests.open`. A request that finds no idle connection waits for one, and its latency runs on meanwhile. A connection that
the server closes is opened again, and the request that was on it has failed.
"""

import asyncio
import json
import selectors
import sys
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Final, Literal, NamedTuple

from loadtests.bench.stats import InvalidRun, quantile
from loadtests.crowd import Asked

type Arrivals = Literal["poisson", "constant"]

# select() takes no more descriptors than that, and some are not ours.
CONNECTIONS_MAX: Final = 960
# In place of a status: the connection was closed, or the answer had not come when the run was given up.
LOST: Final = 0
UNANSWERED: Final = -1
_GRACE_S: Final = 30.0
_PAUSE_S: Final = 0.1


class Job(NamedTuple):
    """What the bench has sent: `bodies` is a file with one a line, sent in turn."""

    port: int
    path: str
    bodies: str
    headers: list[tuple[str, str]]
    per_second: float
    seconds: float
    seed: int
    connections: int = 256


class Run(NamedTuple):
    """By request: when it was meant to be sent since the start, how late the generator was, the latency, all in seconds, and the status."""

    due_s: list[float]
    late_s: list[float]
    latency_s: list[float]
    status: list[int]
    waited: int  # requests that found every connection busy
    generator_cpu: float  # of one core, while it sent


def arrivals(per_second: float, seconds: float, seed: int, kind: Arrivals = "poisson") -> list[float]:
    """Instants within so many seconds: independent of one another, or evenly spaced.

    >>> arrivals(4, 1, 0, "constant")
    [0.0, 0.25, 0.5, 0.75]
    """
    if kind == "constant":
        return [number / per_second for number in range(round(per_second * seconds))]
    rng = Random(seed)
    found: list[float] = []
    at_s = rng.expovariate(per_second)
    while at_s < seconds:
        found.append(at_s)
        at_s += rng.expovariate(per_second)
    return found


def is_good(status: int) -> bool:
    """Whether a request was served."""
    return 200 <= status < 300


def require_punctual(run: Run, *, late_s_max: float) -> None:
    """Raises InvalidRun when the generator was later than that for more than one in a hundred: then it is itself what was measured."""
    late_s = quantile(run.late_s, 0.99)
    if late_s > late_s_max:
        raise InvalidRun(f"the generator was late: one request in a hundred by more than {late_s * 1e3:.1f} ms")


def require_good(run: Run) -> None:
    """Raises InvalidRun when any request failed."""
    bad = sum(not is_good(status) for status in run.status)
    if bad:
        raise InvalidRun(f"{bad} of {len(run.status)} requests did not succeed")


def parse_reply(buffer: bytes | bytearray) -> tuple[int, int] | None:
    """(status, length of head and body) of the reply that the buffer begins with; None while its head is not whole."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = bytes(buffer[:end]).lower()
    at = head.find(b"content-length:")
    if at < 0:
        raise ValueError("a reply without Content-Length")
    return int(head[9:12]), end + 4 + int(head[at + 15 :].split(b"\r\n", 1)[0])


class _Connection(asyncio.Protocol):
    def __init__(self, generator: "Generator") -> None:
        self._generator = generator
        self._buffer = bytearray()
        self._reply: tuple[int, int] | None = None
        self.number: int | None = None  # of the request under way

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, number: int, request: bytes) -> None:
        self.number = number
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._reply = self._reply or parse_reply(self._buffer)
        if self._reply is not None and len(self._buffer) >= self._reply[1]:
            status, self._reply, number = self._reply[0], None, self.number
            self._buffer.clear()
            if number is not None:
                self.number = None
                self._generator.note(self, number, status)

    def connection_lost(self, exc: Exception | None) -> None:
        self._generator.lose(self)

    def close(self) -> None:
        self._transport.abort()


class Generator:
    """Sends `requests` in turn at the instants `due_s` to a port of this machine or another."""

    def __init__(self, host: str, port: int, requests: Sequence[bytes], due_s: Sequence[float], *, connections: int) -> None:
        if not 1 <= connections <= CONNECTIONS_MAX:
            raise ValueError(f"between 1 and {CONNECTIONS_MAX} connections, not {connections}")
        self._address = (host, port)
        self._requests = requests
        self._due_s = list(due_s)
        self._n_connections = connections
        self._late_s: list[float] = []
        self._latency_s = [-1.0] * len(self._due_s)
        self._status = [UNANSWERED] * len(self._due_s)
        self._open = len(self._due_s)
        self._idle: list[_Connection] = []
        self._waiting: deque[int] = deque()
        self._waited = 0
        self._is_over = False
        self._reopening: set[asyncio.Task[None]] = set()

    async def run(self, *, grace_s: float = _GRACE_S) -> Run:
        """Send all of them, and wait for the answers for so long behind the last."""
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        for _ in range(self._n_connections):
            await self._connect()
        self._began_s = self._loop.time() + 0.05
        cpu_s = time.process_time()
        for number, due_s in enumerate(self._due_s):
            delay_s = self._began_s + due_s - self._loop.time()
            if delay_s > 0:
                await asyncio.sleep(delay_s)
            self._late_s.append(self._loop.time() - self._began_s - due_s)
            self._waited += not self._idle
            self._waiting.append(number)
            self._send_waiting()
        cpu = (time.process_time() - cpu_s) / (self._loop.time() - self._began_s)
        if self._open:
            await asyncio.wait([self._done], timeout=grace_s)
        self._is_over = True
        for number, status in enumerate(self._status):
            if status == UNANSWERED:
                self._latency_s[number] = self._loop.time() - self._began_s - self._due_s[number]
        for connection in self._idle:
            connection.close()
        return Run(self._due_s, self._late_s, self._latency_s, self._status, self._waited, cpu)

    def note(self, connection: _Connection, number: int, status: int) -> None:
        """A request is answered."""
        self._settle(number, status)
        self._idle.append(connection)
        self._send_waiting()

    def lose(self, connection: _Connection) -> None:
        """A connection is gone, and with it the request that was on it."""
        if self._is_over:
            return
        if connection.number is None:
            self._idle.remove(connection)
        else:
            self._settle(connection.number, LOST)
        task = self._loop.create_task(self._reopen())
        self._reopening.add(task)
        task.add_done_callback(self._reopening.discard)

    async def _reopen(self) -> None:
        """Another connection. A server that does not take any is asked again until the run is over; requests wait meanwhile, as people do."""
        while not self._is_over:
            try:
                await self._connect()
            except OSError:
                await asyncio.sleep(_PAUSE_S)
            else:
                break

    async def _connect(self) -> None:
        _, connection = await self._loop.create_connection(lambda: _Connection(self), *self._address)
        self._idle.append(connection)
        self._send_waiting()

    def _settle(self, number: int, status: int) -> None:
        if self._is_over:
            return
        self._latency_s[number] = self._loop.time() - self._began_s - self._due_s[number]
        self._status[number] = status
        self._open -= 1
        if self._open == 0:
            self._done.set_result(None)

    def _send_waiting(self) -> None:
        while self._waiting and self._idle:
            number = self._waiting.popleft()
            self._idle.pop().send(number, self._requests[number % len(self._requests)])


def asked(kind: str, host: str, path: str, headers: Sequence[tuple[str, str]], body: bytes) -> Asked:
    """A request as the bytes that go over the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers)
    return Asked(kind, f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


def run_in_own_loop(generator: Generator) -> Run:
    """The run, on a loop that wakes on microseconds: epoll wakes on whole milliseconds only."""
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        return runner.run(generator.run())


def main() -> None:
    """Run the job of standard input."""
    job = Job(**json.loads(sys.stdin.read()))
    bodies = Path(job.bodies).read_bytes().splitlines()
    requests = [asked("", f"127.0.0.1:{job.port}", job.path, job.headers, body).octets for body in bodies]
    due_s = arrivals(job.per_second, job.seconds, job.seed)
    print(json.dumps(run_in_own_loop(Generator("127.0.0.1", job.port, requests, due_s, connections=job.connections))))


if __name__ == "__main__":
    main()
