"""Routes that read JSON strictly, ask for the key and what it may still do before the body, and bound what they read.

Every router of the service is made with `APIRouter(route_class=StrictRoute)`, or `strict_route(body_bytes=...)` where the limit differs.
`check_routes` lets no API be made that has a route under /v1 which is not such a route or declares no scope.
"""

import asyncio
import re
from collections.abc import Callable, Coroutine, Iterable
from functools import cache
from typing import Any, ClassVar

from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import compile_path

from app.errors import BadRequest, BodyTooLarge, RequestTimeout, UnsupportedMediaType
from app.web.auth import Principal
from app.web.query import check_query
from app.web.quotas import counted
from app.web.requires import RequiresScope
from app.web.strict_json import loads

BODY_BYTES = 1 << 20
READ_SECONDS = 10.0


class StrictRequest(Request):
    """A request whose body is bounded in size and time, and whose JSON is read strictly."""

    async def read(self, *, limit: int, seconds: float = READ_SECONDS) -> bytes:
        """The body, kept for later calls. Raises BodyTooLarge, RequestTimeout, BadRequest."""
        if hasattr(self, "_body"):
            return self._body
        declared = self.headers.get("content-length")
        if declared is not None and declared.isascii() and declared.isdigit() and int(declared[:20]) > limit:
            raise BodyTooLarge(f"the limit here is {limit} bytes")
        chunks: list[bytes] = []
        size = 0
        try:
            async with asyncio.timeout(seconds):
                async for chunk in self.stream():
                    size += len(chunk)
                    if size > limit:
                        raise BodyTooLarge(f"the limit here is {limit} bytes")
                    chunks.append(chunk)
        except TimeoutError:
            raise RequestTimeout(f"the body did not arrive within {seconds:g} s") from None
        except ClientDisconnect:
            raise BadRequest("the connection ended before the body did") from None
        self._body = b"".join(chunks)
        return self._body

    async def read_json(self, *, limit: int, seconds: float = READ_SECONDS) -> Any:
        """The JSON value of the body. Raises what `read` does, UnsupportedMediaType and MalformedJson."""
        media_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        body = await self.read(limit=limit, seconds=seconds)
        if body and media_type != "application/json":
            raise UnsupportedMediaType("send JSON as application/json")
        self._json = loads(body) if body else None
        return self._json


class StrictRoute(APIRoute):
    """A FastAPI route that authenticates, then reads and parses the body by our rules, then lets FastAPI validate it."""

    body_bytes: ClassVar[int] = BODY_BYTES

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()
        guards = scope_guards(self.dependant)
        has_body = self.body_field is not None
        parameters = query_parameters(self.dependant)
        limit = self.body_bytes

        async def strictly(request: Request) -> Response:
            strict = StrictRequest(request.scope, request.receive)
            for guard in guards:
                await guard(strict)
            principal = request.scope.get("centwise.principal")
            with counted(principal.quota if isinstance(principal, Principal) else None):
                check_query(request.scope["query_string"], parameters)
                if has_body:
                    await strict.read_json(limit=limit, seconds=getattr(request.app.state, "read_seconds", READ_SECONDS))
                return await handle(strict)

        return strictly


def strict_route(*, body_bytes: int) -> type[StrictRoute]:
    """A `StrictRoute` with another limit for the body."""
    return type("StrictRoute", (StrictRoute,), {"body_bytes": body_bytes})


def scope_guards(dependant: Dependant) -> list[RequiresScope]:
    """The scope declarations anywhere among a route's dependencies."""
    found = [dependant.call] if isinstance(dependant.call, RequiresScope) else []
    for child in dependant.dependencies:
        found.extend(scope_guards(child))
    return found


def query_parameters(dependant: Dependant) -> frozenset[str]:
    """The names of the query parameters that a route and what it depends on take."""
    own = {parameter.alias for parameter in dependant.query_params}
    return frozenset(own.union(*map(query_parameters, dependant.dependencies)))


def allowed_methods(app: FastAPI, path: str) -> list[str]:
    """The methods of the routes at a path; what can be got can be asked for its head."""
    found: dict[str, set[str]] = {}
    for context in iter_route_contexts(app.routes):
        if context.path is not None and _pattern_of(context.path).match(path):
            found.setdefault(context.path, set()).update(getattr(context.original_route, "methods", None) or ())
    # `/releases/rollback` is itself, and no `/releases/{id}`.
    methods = found.get(path) or set().union(*found.values())
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


@cache
def _pattern_of(template: str) -> re.Pattern[str]:
    return compile_path(template)[0]


def check_routes(app: FastAPI) -> None:
    """Raises RuntimeError when a route under /v1 declares no scope or would read JSON leniently."""
    wrong: list[str] = []
    for path, route in api_routes(app):
        if not path.startswith("/v1"):
            continue
        name = f"{','.join(sorted(route.methods or ()))} {path}"
        if not scope_guards(route.dependant):
            wrong.append(f"{name} declares no scope")
        if not isinstance(route, StrictRoute):
            wrong.append(f"{name} is not a StrictRoute")
    if wrong:
        raise RuntimeError("; ".join(wrong))


def api_routes(app: FastAPI) -> Iterable[tuple[str, APIRoute]]:
    """(whole path template as OpenAPI writes it, route) of everything declared, included routers' routes as well."""
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and context.path is not None:
            yield compile_path(context.path)[1], route
