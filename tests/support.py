"""What tests of several levels share: an ASGI app with its lifespan, spoken to without a network."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
from starlette.types import ASGIApp


@contextlib.asynccontextmanager
async def running(
    app: ASGIApp, *, client: tuple[str, int] = ("127.0.0.1", 5), base_url: str = "http://localhost"
) -> AsyncIterator[httpx.AsyncClient]:
    """Starts `app` as a server would and yields a client of it; shuts it down at the end. Raises RuntimeError when it does not start."""
    to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    from_app: asyncio.Queue[Any] = asyncio.Queue()
    state: dict[str, Any] = {}
    lifespan = app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": state}, to_app.get, from_app.put)
    task = asyncio.ensure_future(lifespan)
    task.add_done_callback(lambda done: from_app.put_nowait({"type": "lifespan.ended", "message": repr(done)}))
    await to_app.put({"type": "lifespan.startup"})
    started = await from_app.get()
    if started["type"] != "lifespan.startup.complete":
        await asyncio.gather(task, return_exceptions=True)
        raise RuntimeError(f"the app did not start: {started.get('message')}")
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=client)
    try:
        async with httpx.AsyncClient(transport=transport, base_url=base_url) as http:
            yield http
    finally:
        await to_app.put({"type": "lifespan.shutdown"})
        ended = await from_app.get()
        await asyncio.gather(task, return_exceptions=True)
    assert ended["type"] == "lifespan.shutdown.complete", ended


async def send_raw(host: str, port: int, raw: bytes) -> bytes:
    """Sends bytes over a plain socket and returns everything that comes back until the other side closes."""
    reader, writer = await asyncio.open_connection(host, port)
    writer.write(raw)
    await writer.drain()
    reply = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    await writer.wait_closed()
    return reply


def is_problem(response: httpx.Response, status: int, slug: str) -> bool:
    """Whether `response` is the problem `slug`, in full form."""
    if response.status_code != status or response.headers["content-type"] != "application/problem+json":
        return False
    document = response.json()
    return (
        document["type"] == f"/problems/{slug}"
        and document["status"] == status
        and bool(document["title"])
        and isinstance(document["errors"], list)
    )


def paths(response: httpx.Response) -> Sequence[str]:
    """The places that a problem names."""
    return [error["path"] for error in response.json()["errors"]]
