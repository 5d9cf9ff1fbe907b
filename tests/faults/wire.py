"""HTTP/1.1 as bytes over one kept-open socket: a client that hides nothing and repeats nothing by itself."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import NamedTuple, Self


class Unanswered(Exception):
    """The reply did not come whole: the other side refused, went away, or said nothing in time."""


class Answer(NamedTuple):
    """A reply; names of headers are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Wire:
    """A connection to a port of this machine, opened with the first request and again after each failure."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Drop the connection, whatever is under way on it."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def exchange(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
        seconds: float = 10.0,
    ) -> Answer:
        """Send a request once and read its reply. Raises Unanswered; the request may then have been understood or not."""
        try:
            async with asyncio.timeout(seconds):
                if self._streams is None:
                    self._streams = await asyncio.open_connection("127.0.0.1", self.port)
                reader, writer = self._streams
                lines = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
                lines += [
                    f"{name}: {value}" for name, value in ({"Content-Type": "application/json"} | dict(headers or {})).items()
                ]
                writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
                return await _read(reader)
        except (OSError, EOFError, TimeoutError) as error:
            self.close()
            raise Unanswered(f"{method} {path}: {type(error).__name__}: {error}") from error
        except BaseException:
            self.close()
            raise


async def _read(reader: asyncio.StreamReader) -> Answer:
    first, *rest = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {}
    for line in rest:
        name, _, value = line.partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers["content-length"]))
    return Answer(int(first.split(" ")[1]), headers, body)
