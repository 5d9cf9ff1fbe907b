"""An application that is made once the service serves: what people and tools ask for does not hold up the first quote.

Making the API (its imports, models and routes) is most of what a start computes, and no quote needs it.
"""

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from app.web.probes import Probes


class _ProbeRoute(NamedTuple):
    """What counts requests by their route finds here what it looks for."""

    path_format: str
    methods: frozenset[str] = frozenset(("GET",))


class LateApp:
    """Starts and stops the service, and has `make` make the application in a thread after the start. Requests wait for it, but for early probes."""

    def __init__(
        self,
        make: Callable[[], ASGIApp],
        *,
        start: Callable[[], Awaitable[None]],
        stop: Callable[[], Awaitable[None]],
        probes: Probes,
    ) -> None:
        self._make: Final = make
        self._start: Final = start
        self._stop: Final = stop
        self._probes: Final = probes.early
        self._making: asyncio.Future[ASGIApp] | None = None
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if self._app is None:
            probe = self._probes.get(scope["path"]) if scope["method"] == "GET" else None
            if probe is not None:
                scope["route"] = _ProbeRoute(scope["path"])
                answer = await probe()
                headers = [
                    (b"content-length", b"%d" % len(answer.body)),
                    (b"content-type", answer.media_type.encode()),
                ]
                await send({"type": "http.response.start", "status": answer.status, "headers": headers})
                await send({"type": "http.response.body", "body": answer.body})
                return
            self._app = await asyncio.shield(self._made())
        await self._app(scope, receive, send)

    def _made(self) -> asyncio.Future[ASGIApp]:
        """The application, which is being made from the first time that this is called."""
        if self._making is None:
            self._making = asyncio.ensure_future(asyncio.to_thread(self._make))
        return self._making

    async def _live(self, receive: Receive, send: Send) -> None:
        """ASGI's lifespan. A start or a stop that fails is told to the server with its stack."""
        what = "startup"
        try:
            await receive()
            await self._start()
            self._made()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            what = "shutdown"
            # A thread cannot be called back; whatever becomes of it, whoever waits for it is told.
            await asyncio.wait({self._made()})
            await self._stop()
        except BaseException:
            await send({"type": f"lifespan.{what}.failed", "message": traceback.format_exc()})
            raise
        await send({"type": "lifespan.shutdown.complete"})
