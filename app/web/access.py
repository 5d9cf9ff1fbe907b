"""What happens around every request of the FastAPI side: a request id, counts and times, a last net for failures. Plain ASGI."""

import re
import time
import uuid

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import InternalError
from app.metrics import Metrics
from app.web.admission import CONTROL, Admission, rank_of
from app.web.problems import MEDIA_TYPE, problem_bytes

_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
_log = structlog.get_logger(__name__)
_CLASSES = ("1xx", "2xx", "3xx", "4xx", "5xx")


class Access:
    """Wraps an ASGI app. Requests are counted under the template of their route, never under their path."""

    def __init__(self, app: ASGIApp, metrics: Metrics, *, admission: Admission | None = None) -> None:
        self._app = app
        self._metrics = metrics
        self._admission = admission

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        admission = self._admission
        if admission is not None and rank_of(scope["method"].encode("latin-1"), scope["path"].encode()) is CONTROL:
            with admission.control():
                await self._answer(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = _request_id(scope)
        is_head = scope["method"] == "HEAD"
        if is_head:
            # What can be got can be asked for its head: the same answer, and nobody sends its body.
            scope = {**scope, "method": "GET"}
        status = 0
        began = time.perf_counter()

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            elif is_head:
                message = {**message, "body": b""}
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self._app(scope, receive, send_on)
            except Exception:  # noqa: BLE001 - the last net: whatever failed is logged, and answered if nothing was
                # Starlette raises a failure again after its handler has answered, so that a server may log it; this is where it is logged.
                _log.exception("request failed", method=scope["method"], endpoint=_endpoint(scope))
                if not status:
                    await _answer_failure(send_on)
            finally:
                seconds = time.perf_counter() - began
                self._count(scope, status, seconds)
                if status >= 500 or scope["method"] not in ("GET", "HEAD"):
                    report = _log.warning if status >= 500 else _log.info
                    ms = round(seconds * 1000, 2)
                    report("request", method=scope["method"], endpoint=_endpoint(scope), status=status, ms=ms, **ids_of(scope))

    def _count(self, scope: Scope, status: int, seconds: float) -> None:
        endpoint = _endpoint(scope)
        # 0 is a client that left before it was answered.
        self._metrics.requests.at(endpoint, _CLASSES[status // 100 - 1] if 100 <= status < 600 else "other").n += 1
        self._metrics.request_seconds.at(endpoint).observe(seconds)
        if problem := scope.get("centwise.problem"):
            self._metrics.request_errors.at(problem).n += 1


def ids_of(scope: Scope) -> dict[str, str]:
    """The quote and the hold that the request's path names, once it is routed."""
    named = scope.get("path_params") or {}
    return {name: str(named[name]) for name in ("quote_id", "hold_id") if name in named}


def _endpoint(scope: Scope) -> str:
    route = scope.get("route")
    # A method that the route does not have is the caller's invention, and there are many.
    if route is None or scope["method"] not in (getattr(route, "methods", None) or ()):
        return "other"
    return f"{scope['method']} {route.path_format}"


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _ID.fullmatch(value):
            return str(value.decode())
    return uuid.uuid4().hex


async def _answer_failure(send: Send) -> None:
    body = problem_bytes(InternalError("The request failed. It was our fault and is in the log with this request id."))
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 500, "headers": headers})
    await send({"type": "http.response.body", "body": body})
