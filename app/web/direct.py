"""Requests that are answered without a task: what a connection hands to an application, and how the application answers later.

A task, a scope, a cycle and their events are most of what a server spends on a small request (see docs/adr/0010-a-direct-path.md).
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from app.web.connections import BoundedHttpProtocol

_STATUS_LINES: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


class _NobodyWaits:
    """uvicorn sets an event to wake a cycle's task; here is none."""

    def set(self) -> None:
        pass


class Replying(Protocol):
    """What whoever takes a request needs of an exchange."""

    @property
    def client(self) -> Sequence[Any] | None: ...

    @property
    def log_fields(self) -> Mapping[str, str]:
        """What lines of the log say of the request beside its id."""

    def pause(self) -> float: ...

    def answer(self, status: int, headers: bytes, body: bytes) -> None: ...


class Exchange:
    """The place for the response to one request. In its connection it stands where uvicorn has its cycle.

    So requests behind it, a shutdown, a lost connection and garbage after it are treated as with any other request.
    """

    __slots__ = ("_connection", "disconnected", "keep_alive", "response_complete")

    # What a connection asks of a cycle, and what is always so here: the body is whole and the response leaves in one go.
    more_body: Final = False
    response_started: Final = False
    message_event: Final = _NobodyWaits()
    log_fields: Final[Mapping[str, str]] = MappingProxyType({})

    def __init__(self, connection: "BoundedHttpProtocol", *, keep_alive: bool = True) -> None:
        self.keep_alive = keep_alive
        self.disconnected = False
        self.response_complete = False
        self._connection = connection

    @property
    def client(self) -> Sequence[Any] | None:
        """The address and port of the other side."""
        return self._connection.client

    def pause(self) -> float:
        """Have the connection not read the next request before its turn; the seconds until then."""
        return self._connection.pause()

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        """Send the response, once. `headers` are lines that end in CRLF; whoever has left is not told."""
        transport = self._connection.transport
        if self.disconnected or transport.is_closing():
            return
        end = b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n"
        transport.writelines((_STATUS_LINES[status] + headers + end, body))
        self.response_complete = True
        if not self.keep_alive:
            transport.close()
        self._connection.on_response_complete()


class Place(NamedTuple):
    """Where a request goes: the path as its route declares it, and what its parameter is, if it has one."""

    route: str
    named: Mapping[str, str]


class Direct(Protocol):
    """An application that takes plain requests directly."""

    def place_of(self, path: bytes) -> Place | None:
        """Where a POST to this path goes; None where none is taken directly, and none is offered."""

    def take(self, exchange: Replying, place: Place, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Take the request and answer it later, or leave it, which is free of effects: it then goes the ordinary way. Never raises.

        Names of headers are in lower case. Nothing of the request is kept here, so that its memory is soon used again.
        """
