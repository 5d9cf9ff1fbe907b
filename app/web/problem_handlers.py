"""Problems as responses of FastAPI's side: `application/problem+json` for whatever goes wrong, whoever noticed it."""

from collections.abc import Sequence
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from app.errors import (
    BadRequest,
    BodyTooLarge,
    Conflict,
    FieldError,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    NotFound,
    Problem,
    TooManyRequests,
    Unauthorized,
    Unavailable,
    UnsupportedMediaType,
    ValidationFailed,
)
from app.web.problems import MEDIA_TYPE, problem_bytes
from app.web.routing import allowed_methods

MAX_ERRORS = 100
_BY_STATUS: dict[int, type[Problem]] = {
    kind.status: kind
    for kind in (
        BadRequest,
        Forbidden,
        NotFound,
        MethodNotAllowed,
        Conflict,
        BodyTooLarge,
        UnsupportedMediaType,
        ValidationFailed,
    )
}
# What pydantic says of these is about our code.
_NO_OBJECT = frozenset(("model_type", "model_attributes_type", "dict_type"))
_log = structlog.get_logger(__name__)


def problem_response(problem: Problem) -> Response:
    """`problem` as a response, with its headers."""
    return Response(problem_bytes(problem), problem.status, dict(problem.headers), MEDIA_TYPE)


def field_path(location: Sequence[str | int]) -> str:
    """A place in the request as we write it; `body`, `query` and the like in front are left out.

    >>> field_path(("body", "lines", 0, "quantity"))
    'lines[0].quantity'
    """
    path = ""
    for part in location[1:] if location and location[0] in ("body", "query", "path", "header", "cookie") else location:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if path else part
    return path


def without_tags(location: Sequence[str | int], value: Any, *, is_missing: bool) -> list[str | int]:
    """A place as the caller wrote it: what pydantic adds to tell the members of a union apart names nothing in `value`, and is left out.

    >>> without_tags(("percent_off", "params", "percent"), {"kind": "percent_off", "params": {"percent": 5}}, is_missing=False)
    ['params', 'percent']
    """
    kept: list[str | int] = []
    part: Any
    for number, part in enumerate(location):
        if (isinstance(value, dict) and part in value) or (
            isinstance(value, list) and isinstance(part, int) and part < len(value)
        ):
            value = value[part]
        elif not (is_missing and number == len(location) - 1):
            continue
        kept.append(part)
    return kept


def validation_failed(found: Sequence[Any], *, prefix: str = "", body: Any = None) -> ValidationFailed:
    """pydantic's errors as our problem. Only places, codes and messages are taken; the input and the context stay out.

    `body` is what was validated, where it is known: with it the places are those of the body and not those of our models.
    """
    errors = []
    for error in found[:MAX_ERRORS]:
        location = [part if isinstance(part, int) else _printable(str(part)) for part in error["loc"]]
        if body is not None and location[:1] == ["body"]:
            location[1:] = without_tags(error["loc"][1:], body, is_missing=error["type"] == "missing")
            location = [part if isinstance(part, int) else _printable(part) for part in location]
        if error["type"] in ("union_tag_invalid", "union_tag_not_found") and error["ctx"]["discriminator"].startswith("'"):
            location.append(error["ctx"]["discriminator"].strip("'"))
        errors.append(FieldError(prefix + field_path(location), str(error["type"]), _message(error)))
    return ValidationFailed(f"{len(found)} thing{'s are' if len(found) != 1 else ' is'} wrong with the request", errors=errors)


def _message(error: Any) -> str:
    # A validator's own ValueError carries a message of ours; pydantic puts "Value error, " in front of it.
    plain = "must be an object" if error["type"] in _NO_OBJECT else str(error["msg"]).removeprefix("Value error, ")
    return _printable(plain, limit=300)


def _printable(text: str, *, limit: int = 80) -> str:
    # An unknown field's name is the caller's text: it may be long, or not encodable.
    shown = "".join(character if character.isprintable() else "?" for character in text[: limit + 1])
    return shown if len(shown) <= limit else shown[:limit] + "..."


def install_problem_handlers(app: FastAPI) -> None:
    """Makes `app` answer every error as a problem."""

    async def on_problem(request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        _note(request, error)
        return problem_response(error)

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        problem: Problem = validation_failed(error.errors(), body=error.body)
        if any(
            one["loc"][:1] == ("path",) and request.method not in allowed_methods(app, request.url.path) for one in error.errors()
        ):
            # `/quotes/batch` is no `/quotes/{id}`: the route that took it is not the one it names.
            problem = _method_not_allowed(app, request)
        _note(request, problem)
        return problem_response(problem)

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        problem = from_http(error)
        if isinstance(problem, MethodNotAllowed):
            # The framework names the methods of the first route at this path, and there may be several.
            problem = _method_not_allowed(app, request)
        _note(request, problem)
        return problem_response(problem)

    async def on_failure(request: Request, error: Exception) -> Response:
        # The traceback is logged by the wrapper that sees the exception next; the caller learns nothing but that it was us.
        problem = InternalError("The request failed. It was our fault and is in the log with this request id.")
        _note(request, problem)
        return problem_response(problem)

    app.add_exception_handler(Problem, on_problem)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_failure)


def _method_not_allowed(app: FastAPI, request: Request) -> MethodNotAllowed:
    return MethodNotAllowed(headers={"Allow": ", ".join(allowed_methods(app, request.url.path))})


def from_http(error: HTTPException) -> Problem:
    """The framework's own refusals (404, 405 ...) in our types; its detail stays out where it could repeat the input."""
    headers = dict(error.headers or {})
    kind = _BY_STATUS.get(error.status_code)
    if kind is not None:
        return kind(headers=headers)
    if error.status_code == 401:
        return Unauthorized()
    if error.status_code == 429:
        return TooManyRequests()
    if error.status_code == 503:
        return Unavailable()
    return BadRequest() if error.status_code < 500 else InternalError()


def from_validation(error: ValidationError, *, prefix: str = "", body: Any = None) -> ValidationFailed:
    """The same for a model that was validated by hand, for example a row of an import; `prefix` is put in front of each path."""
    found = error.errors(include_url=False, include_input=False)
    return validation_failed([{**one, "loc": ("body", *one["loc"])} for one in found], prefix=prefix, body=body)


def _note(request: Request, problem: Problem) -> None:
    # Read by the wrapper that counts requests; the scope is the one thing both see.
    request.scope["centwise.problem"] = problem.slug
