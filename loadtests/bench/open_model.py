"""Requests at their own times, whatever the server does: latency counts from the instant a request was meant to be sent.

    python -m loadtests.bench.open_model < job.json

A process of its own, on the core that the server is not on. What it finds goes to standard output as JSON. Arrivals are random and
independent (exponential gaps, seeded). A request that finds no idle connection waits for one, and its latency runs on meanwhile.
"""

import asyncio
import json
import selectors
import sys
from collections import deque
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from loadtests.bench.stats import InvalidRun, quantile

_CONNECTIONS: Final = 256
_GRACE_S: Final = 30.0


class Job(NamedTuple):
    """What to send: `bodies` is a file with one a line, sent in turn."""

    port: int
    path: str
    bodies: str
    headers: list[tuple[str, str]]
    per_second: float
    seconds: float
    seed: int


class Run(NamedTuple):
    """By request, in seconds: when it was meant to be sent since the start, how late the generator was, and the latency."""

    due_s: list[float]
    late_s: list[float]
    latency_s: list[float]
    bad: int


def arrivals(per_second: float, seconds: float, seed: int) -> list[float]:
    """Instants of independent arrivals within so many seconds."""
    rng = Random(seed)
    found: list[float] = []
    at_s = rng.expovariate(per_second)
    while at_s < seconds:
        found.append(at_s)
        at_s += rng.expovariate(per_second)
    return found


def require_punctual(run: Run, *, late_s_max: float) -> None:
    """Raises InvalidRun when requests failed, or the generator was later than that for more than one in a hundred."""
    if run.bad:
        raise InvalidRun(f"{run.bad} of {len(run.due_s)} requests did not succeed")
    late_s = quantile(run.late_s, 0.99)
    if late_s > late_s_max:
        raise InvalidRun(f"the generator was late: one request in a hundred by more than {late_s * 1e3:.1f} ms")


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
    def __init__(self, generator: "_Generator") -> None:
        self._generator = generator
        self._buffer = bytearray()
        self._number = -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def send(self, number: int, request: bytes) -> None:
        self._number = number
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        reply = parse_reply(self._buffer)
        if reply is not None and len(self._buffer) >= reply[1]:
            self._buffer.clear()
            self._generator.note(self, self._number, reply[0])

    def connection_lost(self, exc: Exception | None) -> None:
        self._generator.lose(self._number)


class _Generator:
    def __init__(self, job: Job) -> None:
        head = f"POST {job.path} HTTP/1.1\r\nHost: 127.0.0.1:{job.port}\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in job.headers)
        bodies = Path(job.bodies).read_bytes().splitlines()
        self._requests = [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in bodies]
        self._job = job
        self._due_s = arrivals(job.per_second, job.seconds, job.seed)
        self._late_s: list[float] = []
        self._latency_s = [-1.0] * len(self._due_s)
        self._bad = 0
        self._open = len(self._due_s)
        self._idle: list[_Connection] = []
        self._waiting: deque[int] = deque()
        self._is_over = False

    async def run(self) -> Run:
        self._loop = asyncio.get_running_loop()
        self._done: asyncio.Future[None] = self._loop.create_future()
        for _ in range(_CONNECTIONS):
            _, connection = await self._loop.create_connection(lambda: _Connection(self), "127.0.0.1", self._job.port)
            self._idle.append(connection)
        self._began_s = self._loop.time() + 0.05
        for number, due_s in enumerate(self._due_s):
            delay_s = self._began_s + due_s - self._loop.time()
            if delay_s > 0:
                await asyncio.sleep(delay_s)
            self._late_s.append(self._loop.time() - self._began_s - due_s)
            self._waiting.append(number)
            self._send_waiting()
        async with asyncio.timeout(_GRACE_S):
            await self._done
        self._is_over = True
        return Run(self._due_s, self._late_s, self._latency_s, self._bad)

    def note(self, connection: _Connection, number: int, status: int) -> None:
        self._latency_s[number] = self._loop.time() - self._began_s - self._due_s[number]
        self._bad += status >= 300
        self._idle.append(connection)
        self._open -= 1
        if self._open == 0:
            self._done.set_result(None)
        self._send_waiting()

    def lose(self, number: int) -> None:
        if not self._is_over and not self._done.done():
            self._done.set_exception(ConnectionError(f"the server closed the connection of request {number}"))

    def _send_waiting(self) -> None:
        while self._waiting and self._idle:
            number = self._waiting.popleft()
            self._idle.pop().send(number, self._requests[number % len(self._requests)])


def main() -> None:
    """Run the job of standard input."""
    job = Job(**json.loads(sys.stdin.read()))
    # epoll wakes on whole milliseconds only, select on microseconds.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        print(json.dumps(runner.run(_Generator(job).run())))


if __name__ == "__main__":
    main()
