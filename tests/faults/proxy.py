"""A TCP proxy between the service and its database that can behave as bad networks do."""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

_CHUNK = 1 << 16


class Proxy:
    """Listens on a port of this machine and forwards to another one.

    `stall` holds everything back, both ways, and takes new connections without a word; `flow` delivers what was held back. `refuse`
    ends all connections and lets nobody in until `accept`. `deafen` lets requests through and swallows the replies; `cut` ends all
    connections there are. `stall_after` lets so many bytes of replies through and then stalls by itself, in the middle of one.
    """

    def __init__(self, target: int) -> None:
        self.port = 0
        self._target = target
        self._server: asyncio.Server | None = None
        self._flows = asyncio.Event()
        self._flows.set()
        self._is_deaf = False
        self._octets_left: int | None = None
        self.has_stalled = asyncio.Event()
        self._transports: set[asyncio.WriteTransport] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        await self.accept()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.refuse()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def accept(self) -> None:
        """Let connections in, at the same port as before."""
        self._server = await asyncio.start_server(self._open, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def refuse(self) -> None:
        """Be gone, as a host is whose process ended."""
        assert self._server is not None
        self._server.close()
        self.cut()

    def stall(self) -> None:
        self._flows.clear()

    def stall_after(self, octets: int) -> None:
        self._octets_left = octets

    def flow(self) -> None:
        self._octets_left = None
        self._flows.set()

    def deafen(self) -> None:
        """Requests arrive and their replies do not; ended by `cut`."""
        self._is_deaf = True

    def cut(self) -> None:
        """Reset every connection."""
        for transport in self._transports:
            transport.abort()
        self._transports.clear()
        self._is_deaf = False

    async def _open(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        transports = {writer.transport}
        self._transports |= transports
        try:
            await self._flows.wait()
            there, out = await asyncio.open_connection("127.0.0.1", self._target)
            transports.add(out.transport)
            self._transports |= transports
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(reader, out, is_reply=False))
                both.create_task(self._pump(there, writer, is_reply=True))
        except* OSError:
            # One side is gone; the other one shall see it too.
            pass
        finally:
            for transport in transports:
                transport.abort()
            self._transports -= transports
            self._tasks.discard(task)

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, *, is_reply: bool) -> None:
        while chunk := await source.read(_CHUNK):
            if is_reply and self._octets_left is not None:
                self._octets_left -= len(chunk)
                if self._octets_left < 0:
                    self.stall()
                    self.has_stalled.set()
            await self._flows.wait()
            if is_reply and self._is_deaf:
                continue
            sink.write(chunk)
            await sink.drain()
        await self._flows.wait()
        with contextlib.suppress(OSError):
            sink.write_eof()
