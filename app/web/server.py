"""uvicorn's server with an end that fails no request: first it says that it is leaving, and only then does it leave.

A balancer learns from `/readyz` that a process goes, and that takes it a moment. Closing the door before that would refuse what it still sends.
"""

import asyncio
import signal
import socket
from types import FrameType
from typing import Final, Protocol

import uvicorn
from starlette.types import Receive, Scope, Send

from app.web.direct import Direct
from app.web.gate import Gate

_LOOK_EVERY_S: Final = 0.05


class Door(Direct, Protocol):
    """What the server runs: an ASGI application that takes plain requests directly, and the gate before it."""

    @property
    def gate(self) -> Gate: ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...


class LeavingServer(uvicorn.Server):
    """On SIGTERM it serves on for `drain_s`, telling everybody to go; on SIGINT, which a person sends, it goes at once."""

    def __init__(self, config: uvicorn.Config, *, gate: Gate, drain_s: float) -> None:
        super().__init__(config)
        self._gate = gate
        self._drain_s = drain_s
        self._is_terminated = False

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """What uvicorn does; and `/readyz` says so from this instant."""
        self._gate.is_leaving = True
        self._is_terminated |= sig == signal.SIGTERM
        super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve on while balancers notice, then what uvicorn does: let nobody in, finish what is inside, stop the application."""
        self._gate.is_leaving = True
        for connection in list(self.server_state.connections):
            connection.tell_to_go()  # type: ignore[union-attr]
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self._drain_s if self._is_terminated else 0.0
        while loop.time() < until_s and not self.force_exit:  # noqa: ASYNC110 - a second signal sets an attribute of uvicorn's and wakes nobody
            await asyncio.sleep(_LOOK_EVERY_S)
        await super().shutdown(sockets)
