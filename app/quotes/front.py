"""The front table: the hot endpoints as raw ASGI, ahead of FastAPI, which declares and serves the same ones (see router.py).

Plain requests it takes directly from the connection; whatever is unusual about one, a refusal included, goes the way of ASGI.
"""

import asyncio
import os
import re
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from types import MappingProxyType
from typing import Any, Final, NamedTuple, Protocol

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import (
    BadRequest,
    BodyTooLarge,
    FieldError,
    InternalError,
    Problem,
    RequestTimeout,
    TooManyRequests,
    UnsupportedMediaType,
    ValidationFailed,
)
from app.metrics import Metrics
from app.quotes.storefront import Asked, Reply, Storefront
from app.web.auth import Principal
from app.web.direct import Place, Replying
from app.web.gate import Gate, refusal_lines
from app.web.logs import Seldom
from app.web.problems import MEDIA_TYPE, problem_bytes
from app.web.query import check_query
from app.web.quotas import Quota, counted

type Authenticate = Callable[..., Awaitable[Principal]]
type Operation = Callable[[bytes, Asked], Awaitable[Reply]]

BATCH_BODY_OCTETS: Final = 1 << 20
PRICES_BODY_OCTETS: Final = 256 << 10
_MEDIA_TYPE: Final = b"application/json"
_JSON: Final = (b"content-type", _MEDIA_TYPE)
_PROBLEM: Final = (b"content-type", MEDIA_TYPE.encode())
_REPLAYED: Final = (b"idempotent-replayed", b"true")
_DIRECT_REST: Final = b"content-length: %d\r\nx-request-id: %s\r\n"
_DIRECT_HEAD: Final = b"%s: %s\r\n" % _JSON + _DIRECT_REST
_DIRECT_PROBLEM_HEAD: Final = b"%s: %s\r\n" % _PROBLEM + _DIRECT_REST
_REQUEST_ID: Final = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_READ_HEADERS: Final = frozenset((b"content-type", b"content-length", b"idempotency-key", b"min-version"))
# Of refusals with 5xx there is no more than one line in the log in this time.
_TOLD_EVERY_S: Final = 0.1
_EXPLAIN: Final = frozenset(("explain",))
_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})
_CLASSES: Final = ("1xx", "2xx", "3xx", "4xx", "5xx")
_log = structlog.get_logger(__name__)


class Callers(Protocol):
    """Who tells callers by their requests; see app.web.auth.Authenticator."""

    async def authenticate(self, scope: Scope, *scopes: str) -> Principal: ...

    def known(self, headers: Mapping[bytes, bytes], client: Sequence[Any] | None) -> Principal | None: ...


class DirectOperation(NamedTuple):
    """An operation in two halves: `take` lets a request in, if it may, and `reply_of` is asked when the call has come."""

    take: Callable[[bytes, Asked, Callable[[], None]], Any | None]
    reply_of: Callable[[Any], tuple[int, bytes, bool]]  # status, body, whether it was given before


class Beside(NamedTuple):
    """A route of another feature of which plain requests are taken here; all others go to the route itself.

    Its path is as the route declares it, and may have a parameter as its last part but one.
    """

    path: str
    octets_max: int
    scope: str
    direct: DirectOperation


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row of the table: where it is, what runs, how much is read for it, and how plain requests are taken, if they are."""

    path: str
    operation: Operation
    octets_max: int
    direct: DirectOperation | None = None
    explained: Operation | None = None  # what runs with `explain=full`

    async def respond(self, scope: Scope, receive: Receive, authenticate: Authenticate, *, read_s: float) -> Reply:
        """Let the caller in, read the body and run the operation: the same steps for both doors. Raises Problem."""
        headers = read_headers(scope)
        admitted: Principal | None = scope.get("centwise.principal")
        if admitted is not None:
            # The route has asked and counted already.
            return await self._run(scope, receive, admitted, headers, read_s=read_s)
        principal = await authenticate(scope, "quote")
        with counted(principal.quota):
            return await self._run(scope, receive, principal, headers, read_s=read_s)

    async def _run(
        self, scope: Scope, receive: Receive, principal: Principal, headers: Mapping[bytes, bytes], *, read_s: float
    ) -> Reply:
        operation = self._named(scope["query_string"]) if scope["query_string"] else self.operation
        media_type = headers.get(b"content-type", b"")
        if media_type != b"application/json" and media_type.partition(b";")[0].strip().lower() != b"application/json":
            raise UnsupportedMediaType("send JSON as application/json")
        raw = await _read_body(receive, headers.get(b"content-length"), octets_max=self.octets_max, read_s=read_s)
        return await operation(raw, Asked(principal, headers))

    def _named(self, query: bytes) -> Operation:
        """The operation that the query names. Raises ValidationFailed."""
        check_query(query, frozenset() if self.explained is None else _EXPLAIN)
        if self.explained is None:
            return self.operation
        if query != b"explain=full":
            raise ValidationFailed(errors=[FieldError("explain", "invalid", "must be full")])
        return self.explained


def endpoints(storefront: Storefront, *, quote_octets_max: int) -> tuple[Endpoint, ...]:
    """The table of both doors."""
    quote = DirectOperation(storefront.take_quote, storefront.quoted)
    preview = DirectOperation(storefront.take_preview, storefront.previewed)
    return (
        Endpoint("/v1/quotes", storefront.quote, quote_octets_max, quote),
        Endpoint("/v1/quotes/batch", storefront.batch, BATCH_BODY_OCTETS),
        Endpoint("/v1/prices", storefront.prices, PRICES_BODY_OCTETS),
        Endpoint("/v1/preview", storefront.preview, quote_octets_max, preview, storefront.explained_preview),
    )


class FrontTable:
    """An ASGI app that answers POSTs to the table's paths itself and hands everything else to `app`."""

    def __init__(
        self,
        app: ASGIApp,
        table: Iterable[Endpoint],
        *,
        callers: Callers,
        metrics: Metrics,
        read_s: float,
        gate: Gate,
        beside: Iterable[Beside] = (),
    ) -> None:
        self.gate: Final = gate
        self._app = app
        self._callers = callers
        self._metrics = metrics
        self._read_s = read_s
        self._table = {endpoint.path: endpoint for endpoint in table}
        own = [
            Beside(endpoint.path, endpoint.octets_max, "quote", endpoint.direct)
            for endpoint in self._table.values()
            if endpoint.direct is not None
        ]
        self._direct = {one.path: one for one in (*own, *beside)}
        # Those without a parameter by their path; the others by what is before and behind it, with its name.
        self._places = {path.encode(): Place(path, _NOTHING) for path in self._direct if "{" not in path}
        self._named_places: dict[tuple[bytes, bytes], tuple[str, str]] = {}
        for path in self._direct.keys() - {place.route for place in self._places.values()}:
            before, name, last = _parts_of(path)
            self._named_places[before.encode(), last.encode()] = path, name
        paths = {*self._table, *self._direct}
        self._seconds = {path: metrics.request_seconds.at(f"POST {path}") for path in paths}
        self._requests = {
            (path, code): metrics.requests.at(f"POST {path}", word)
            for path in paths
            for code, word in enumerate(_CLASSES, start=1)
        }
        self._ids = count(int.from_bytes(os.urandom(2)))
        self._refusals_told = Seldom(_TOLD_EVERY_S)
        self._process = os.urandom(8).hex().encode()

    def place_of(self, path: bytes) -> Place | None:
        """The place of an endpoint that takes plain requests."""
        place = self._places.get(path)
        if place is not None:
            return place
        rest, _, last = path.rpartition(b"/")
        before, _, value = rest.rpartition(b"/")
        found = self._named_places.get((before, last))
        return None if found is None else Place(found[0], {found[1]: value.decode("latin-1")})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST" or (endpoint := self._table.get(scope["path"])) is None:
            await self._app(scope, receive, send)
            return
        scope["centwise.route"] = endpoint.path
        began_s = time.perf_counter()
        request_id = _sent_request_id(scope) or self._made_request_id()
        try:
            reply = await endpoint.respond(scope, receive, self._callers.authenticate, read_s=self._read_s)
            status, body = reply.status, reply.body
            headers = [_JSON, (b"content-length", b"%d" % len(body)), (b"x-request-id", request_id)]
            if reply.is_replay:
                headers.append(_REPLAYED)
        except Exception as error:  # noqa: BLE001 - what is no problem of ours is logged there and answered as an internal error
            # What the context says of the request is in lines of the log already.
            status, body, headers = self._refusal(error, request_id, {})
        finally:
            self._seconds[endpoint.path].observe(time.perf_counter() - began_s)
        self._requests[endpoint.path, status // 100].n += 1
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def take(self, exchange: Replying, place: Place, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bool:
        """Take a plain request of a caller that is known; it is answered when its batch is done."""
        began_s = time.perf_counter()
        endpoint = self._direct[place.route]
        fields = dict(headers)
        # Where there is nothing, nothing need be said of what it is.
        is_plain = len(fields) == len(headers) and fields.get(b"content-type", None if body else _MEDIA_TYPE) == _MEDIA_TYPE
        if not is_plain or len(body) > endpoint.octets_max:
            return False
        principal = self._callers.known(fields, exchange.client)
        if principal is None or not principal.holds(endpoint.scope):
            return False
        quota = principal.quota
        if quota is not None and (refusal := quota.refusal(time.monotonic())) is not None:
            self._refuse(exchange, endpoint.path, refusal)
            return True
        taken = _Taken(self, exchange, endpoint.path, endpoint.direct.reply_of, fields.get(b"x-request-id"), began_s, quota)
        try:
            taken.entry = endpoint.direct.take(body, Asked(principal, fields, place.named), taken.answer)
        except Exception:  # noqa: BLE001 - the ordinary way comes to the same refusal, and answers it
            return False
        if taken.entry is None:
            return False
        if quota is not None:
            quota.enter()
        return True

    def _refuse(self, exchange: Replying, path: str, refusal: TooManyRequests) -> None:
        """Send away whose key has had enough, at the pace that the gate has for that."""
        headers, body = refusal_lines(refusal, pause_s=exchange.pause())
        self._requests[path, 4].n += 1
        self._metrics.request_errors.at(refusal.slug).n += 1
        exchange.answer(refusal.status, headers, body)

    def respond(self, taken: "_Taken") -> None:
        """Answer what was taken."""
        assert taken.entry is not None
        if taken.quota is not None:
            taken.quota.leave()
        sent = taken.sent_request_id
        request_id = sent if sent is not None and _REQUEST_ID.fullmatch(sent) else self._made_request_id()
        try:
            status, body, is_replay = taken.reply_of(taken.entry)
            # A refusal that was stored under a key is a reply as well.
            headers = (_DIRECT_HEAD if status < 400 else _DIRECT_PROBLEM_HEAD) % (len(body), request_id)
            if is_replay:
                headers += b"%s: %s\r\n" % _REPLAYED
        except Exception as error:  # noqa: BLE001 - as in __call__
            status, body, fields = self._refusal(error, request_id, taken.exchange.log_fields)
            headers = b"".join([b"%s: %s\r\n" % field for field in fields])
        self._seconds[taken.path].observe(time.perf_counter() - taken.began_s)
        self._requests[taken.path, status // 100].n += 1
        taken.exchange.answer(status, headers, body)

    def _made_request_id(self) -> bytes:
        return b"%s-%x" % (self._process, next(self._ids))

    def _refusal(
        self, error: Exception, request_id: bytes, log_fields: Mapping[str, str]
    ) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
        """Status, body and headers."""
        problem = self._problem(error, {"request_id": request_id.decode(), **log_fields})
        body = problem_bytes(problem)
        headers = [_PROBLEM, (b"content-length", b"%d" % len(body)), (b"x-request-id", request_id)]
        headers += [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
        return problem.status, body, headers

    def _problem(self, error: Exception, log_fields: Mapping[str, str]) -> Problem:
        if isinstance(error, Problem):
            problem = error
            # An overload and a database that is away refuse many at once, and the metrics count each.
            if problem.status >= 500 and (untold := self._refusals_told.untold()) is not None:
                _log.warning("request", problem=problem.slug, detail=problem.detail, untold=untold, **log_fields)
        else:
            problem = InternalError("The request failed. It was our fault and is in the log with this request id.")
            text = "".join(traceback.format_exception(error))
            _log.error("request failed", traceback=text, **log_fields)
        self._metrics.request_errors.at(problem.slug).n += 1
        return problem


class _Taken:
    """A request that was taken, until it is answered."""

    __slots__ = ("_table", "began_s", "entry", "exchange", "path", "quota", "reply_of", "sent_request_id")

    def __init__(
        self,
        table: FrontTable,
        exchange: Replying,
        path: str,
        reply_of: Callable[[Any], tuple[int, bytes, bool]],
        sent_request_id: bytes | None,
        began_s: float,
        quota: Quota | None,
    ) -> None:
        self._table = table
        self.exchange = exchange
        self.path = path
        self.reply_of = reply_of
        self.sent_request_id = sent_request_id
        self.began_s = began_s
        self.quota = quota
        self.entry: Any | None = None

    def answer(self) -> None:
        self._table.respond(self)


def _parts_of(path: str) -> tuple[str, str, str]:
    """What is before the parameter of a path, its name, and what is behind it.

    >>> _parts_of("/v1/holds/{hold_id}/confirm")
    ('/v1/holds', 'hold_id', 'confirm')
    """
    before, name, last = path.rsplit("/", 2)
    return before, name.removeprefix("{").removesuffix("}"), last


def read_headers(scope: Scope) -> dict[bytes, bytes]:
    """The headers that the operations look at. Raises BadRequest when one of them is there twice: two readers could take either."""
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in _READ_HEADERS:
            if name in headers:
                raise BadRequest(f"the header {name.decode()} is there twice")
            headers[name] = value
    return headers


def _sent_request_id(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return bytes(value)
    return None


async def _read_body(receive: Receive, declared: bytes | None, *, octets_max: int, read_s: float) -> bytes:
    """The whole body. Raises BodyTooLarge, RequestTimeout, and BadRequest when the connection ended before it did."""
    if declared is not None and declared.isdigit() and int(declared[:20]) > octets_max:
        raise BodyTooLarge(f"the limit here is {octets_max} bytes")
    limit = _ReadLimit(read_s)
    try:
        message: Message = await receive()
        body: bytes = message.get("body", b"")
        if len(body) <= octets_max and message["type"] == "http.request" and not message.get("more_body", False):
            return body
        return await _read_rest(receive, message, octets_max)
    except asyncio.CancelledError:
        limit.raise_if_passed()
        raise
    finally:
        limit.end()


class _ReadLimit:
    """What asyncio.timeout does, at half of its cost: it stands in the way of every request."""

    __slots__ = ("_is_passed", "_seconds", "_task", "_timer")

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._is_passed = False
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._timer = asyncio.get_running_loop().call_later(seconds, self._pass)

    def _pass(self) -> None:
        self._is_passed = True
        self._task.cancel()

    def raise_if_passed(self) -> None:
        """Raise RequestTimeout if it was this limit that cancelled the task, and nobody else did as well."""
        if self._is_passed and self._task.uncancel() == 0:
            raise RequestTimeout(f"the body did not arrive within {self._seconds:g} s") from None

    def end(self) -> None:
        self._timer.cancel()


async def _read_rest(receive: Receive, message: Message, octets_max: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    while True:
        if message["type"] == "http.disconnect":
            raise BadRequest("the connection ended before the body did")
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > octets_max:
            raise BodyTooLarge(f"the limit here is {octets_max} bytes")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return b"".join(chunks)
        message = await receive()
