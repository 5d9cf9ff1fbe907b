"""A balancer as operators have them, and no cleverer: it asks `/readyz` now and then, keeps connections open, and repeats nothing."""

import asyncio
from collections import deque
from collections.abc import Iterable
from itertools import count
from typing import Final, NamedTuple

_SECONDS: Final = 15.0


class Failed(Exception):
    """A request was not answered; the message says why."""


class Answer(NamedTuple):
    """A reply, and whether it said that the connection ends with it."""

    status: int
    body: bytes
    is_last: bool


type Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Balancer:
    """Sends each request to one of the processes that said they are ready, in turn."""

    def __init__(self, ports: Iterable[int], *, every_s: float) -> None:
        self._every_s = every_s
        self._turn = count()
        self._ready: dict[int, bool] = dict.fromkeys(ports, False)
        self._idle: dict[int, deque[Streams]] = {}
        self._watching: dict[int, asyncio.Task[None]] = {port: asyncio.create_task(self._watch(port)) for port in self._ready}

    async def wait_until_ready(self, *ports: int) -> None:
        """Until it sends to each of these."""
        async with asyncio.timeout(60):
            while not all(self._ready[port] for port in ports):
                await asyncio.sleep(0.02)

    def add(self, port: int) -> None:
        """Send there as well, from when it is ready."""
        self._ready[port] = False
        self._watching[port] = asyncio.create_task(self._watch(port))

    async def stop(self) -> None:
        """Ask nobody any more."""
        for task in self._watching.values():
            task.cancel()
        await asyncio.gather(*self._watching.values(), return_exceptions=True)
        for kept in self._idle.values():
            for _, writer in kept:
                writer.close()

    async def exchange(self, request: bytes) -> tuple[int, Answer]:
        """The port that answered, and what it said. Raises Failed."""
        ready = [port for port, is_ready in self._ready.items() if is_ready]
        if not ready:
            raise Failed("nobody is ready")
        port = ready[next(self._turn) % len(ready)]
        return port, await self._send(port, request)

    async def _send(self, port: int, request: bytes) -> Answer:
        kept = self._idle.setdefault(port, deque())
        streams: Streams | None = None
        while kept and streams is None:
            streams = kept.popleft()
            if streams[0].at_eof():
                streams[1].close()
                streams = None
        try:
            async with asyncio.timeout(_SECONDS):
                if streams is None:
                    streams = await asyncio.open_connection("127.0.0.1", port)
                answer = await _exchange(streams, request)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            if streams is not None:
                streams[1].close()
            raise Failed(f"{type(error).__name__}: {error}") from error
        if answer.is_last:
            streams[1].close()
        else:
            kept.append(streams)
        return answer

    async def _watch(self, port: int) -> None:
        while True:
            try:
                answer = await self._send(port, b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                self._ready[port] = answer.status == 200
            except Failed:
                self._ready[port] = False
            await asyncio.sleep(self._every_s)


async def _exchange(streams: Streams, request: bytes) -> Answer:
    reader, writer = streams
    writer.write(request)
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.partition(b"content-length: ")[2].split(b"\r\n")[0])
    return Answer(int(head[9:12]), await reader.readexactly(length), b"connection: close\r\n" in head)
