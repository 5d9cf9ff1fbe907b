"""Both doors with a span around each request; stands before them only while tracing is on."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

import structlog
from starlette.types import Message, Receive, Scope, Send

from app.tracing import RequestTrace, Tracing
from app.web.access import ids_of
from app.web.direct import Place, Replying
from app.web.gate import Gate
from app.web.server import Door

# Asked by machines each few seconds; nobody looks for a trace of them.
_UNTRACED: Final = frozenset(("/livez", "/readyz", "/metrics"))
# What is made by a POST tells its id at the beginning of the reply.
_MADE: Final = {"/v1/quotes": "quote_id", "/v1/holds": "hold_id"}
_ID: Final = re.compile(rb'\{"id":"([0-9a-f-]{36})"')
_REQUEST_ID: Final = re.compile(rb"x-request-id: ([^\r]+)\r")


class TracedDoor:
    """A door that tells each request it lets through."""

    def __init__(self, door: Door, tracing: Tracing) -> None:
        self._door = door
        self._tracing = tracing

    @property
    def gate(self) -> Gate:
        """The gate before the door."""
        return self._door.gate

    def place_of(self, path: bytes) -> Place | None:
        """As the door."""
        return self._door.place_of(path)

    def take(self, exchange: Replying, place: Place, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """As the door; a request that is left to the ordinary way gets its span there."""
        trace = self._tracing.begin("POST", dict(headers))
        with trace.current():
            return self._door.take(_TracedExchange(exchange, trace, place), place, headers, body)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _UNTRACED:
            await self._door(scope, receive, send)
            return
        trace = self._tracing.begin(scope["method"], dict(scope["headers"]))
        status = 0
        attributes: dict[str, str] = {}

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                sent = dict(message["headers"]).get(b"x-request-id")
                if sent is not None:
                    attributes["centwise.request_id"] = sent.decode()
            elif scope["method"] == "POST":
                attributes.update(_ids_in(scope["path"], status, message.get("body", b"")))
            await send(message)

        with trace.current(), structlog.contextvars.bound_contextvars(trace_id=trace.trace_id):
            try:
                await self._door(scope, receive, send_on)
            finally:
                attributes |= {f"centwise.{name}": value for name, value in ids_of(scope).items()}
                trace.end(route=_route_of(scope), status=status, attributes=attributes)


class _TracedExchange:
    """The place for the response to a request that was taken directly, which is told when it is sent."""

    __slots__ = ("_exchange", "_place", "_trace")

    def __init__(self, exchange: Replying, trace: RequestTrace, place: Place) -> None:
        self._exchange = exchange
        self._trace = trace
        self._place = place

    @property
    def client(self) -> Sequence[Any] | None:
        return self._exchange.client

    @property
    def log_fields(self) -> Mapping[str, str]:
        return {"trace_id": self._trace.trace_id}

    def pause(self) -> float:
        return self._exchange.pause()

    def answer(self, status: int, headers: bytes, body: bytes) -> None:
        self._exchange.answer(status, headers, body)
        attributes = _ids_in(self._place.route, status, body)
        attributes |= {f"centwise.{name}": value for name, value in self._place.named.items()}
        if found := _REQUEST_ID.search(headers):
            attributes["centwise.request_id"] = found[1].decode()
        self._trace.end(route=self._place.route, status=status, attributes=attributes)


def _ids_in(path: str, status: int, body: bytes) -> dict[str, str]:
    """The id of what was made, as the reply tells it."""
    name = _MADE.get(path)
    if name is None or not 200 <= status < 300 or (found := _ID.match(body)) is None:
        return {}
    return {f"centwise.{name}": found[1].decode()}


def _route_of(scope: Scope) -> str | None:
    """The template of the request's route; None for a path or a method of the caller's invention."""
    route = scope.get("route")
    if route is not None and scope["method"] in (getattr(route, "methods", None) or ()):
        return str(route.path_format)
    return scope.get("centwise.route")
