"""What the operations of the OpenAPI document have in common: the key's scopes, the problems they answer, the headers they take."""

from collections.abc import Iterable
from typing import Any, Final

from fastapi import FastAPI

from app.web.problems import MEDIA_TYPE
from app.web.routing import api_routes, scope_guards

ABOUT: Final = """Amounts are integers in minor units of the currency; unit prices, quantities and percentages are decimal strings, unit prices in
minor units. Errors are `application/problem+json` (RFC 9457). Requests with fields or parameters that an operation does not have are refused;
replies may gain fields. Every operation that changes something takes an `Idempotency-Key`."""
TAGS: Final = {
    "storefront": "Prices for baskets and listing pages.",
    "decisions": "What was quoted, found again and recomputed.",
    "holds": "What orders take of limits, budgets and stock, and give back.",
    "catalog": "Products, prices, strategies, bounds and the calculation policy.",
    "promotions": "Promotions, the codes that unlock them, and campaigns.",
    "import and export": "The same in bulk.",
    "releases": "Drafts that are published together, rollback, and who changed what.",
    "signals": "Facts that prices are calculated from, and what was sold.",
    "keys": "Who may do what.",
    "operations": "For the platform.",
}
PROBLEM_SCHEMA: Final[dict[str, Any]] = {
    "title": "Problem",
    "description": "RFC 9457. `type` is `/problems/<slug>`; `errors` says what is wrong where, as far as it is at one place.",
    "type": "object",
    "required": ["type", "title", "status", "errors"],
    "properties": {
        "type": {"type": "string", "pattern": "^/problems/[a-z_]+$"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["path", "code", "message"],
                "properties": {
                    "path": {"type": "string", "examples": ["lines[0].quantity"]},
                    "code": {"type": "string"},
                    "message": {"type": "string"},
                },
            },
        },
    },
}
_CONTENT: Final[dict[str, Any]] = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
_DEFAULT: Final[dict[str, Any]] = {
    "description": "A problem: the request was refused, or cannot be answered now.",
    "content": _CONTENT,
}
_OF_KEYS: Final = {"401": "No valid key.", "403": "The key lacks the scope.", "503": "Not now: try again after `Retry-After`."}
_OF_INPUT: Final = {"422": "The request is not valid; `errors` says where."}
_OF_BODIES: Final = {
    "400": "The body is not JSON as this service reads it.",
    "408": "The body did not arrive in time.",
    "413": "The body is too large.",
    "415": "The body is of a media type that is not read here.",
}


def _header(name: str, description: str, pattern: str | None = None) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"} | ({} if pattern is None else {"pattern": pattern})
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


# `openapi_extra` of operations that run once for a key, and of those that look at the ETag of what is there as well.
IDEMPOTENT: Final[dict[str, Any]] = {
    "parameters": [
        _header("Idempotency-Key", "1 to 255 visible ASCII characters; sent again it gets the stored reply.", "^[!-~]{1,255}$")
    ]
}
CONDITIONAL: Final[dict[str, Any]] = {
    "parameters": [
        *IDEMPOTENT["parameters"],
        _header("If-Match", "Only if this is the ETag of what is there; else 412."),
        _header("If-None-Match", "`*`: only if nothing is there; else 412."),
    ]
}
IF_CHANGED: Final[dict[str, Any]] = {"parameters": [_header("If-None-Match", "Answer 304 if this is the ETag still.")]}
ETAG: Final[dict[str, Any]] = {"ETag": {"description": "Of the body, for `If-Match`.", "schema": {"type": "string"}}}


def describe_problems(app: FastAPI) -> None:
    """Makes the document say which scopes an operation needs and that it may answer with a problem, in place of the framework's own 422."""
    generate = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is not None:
            return app.openapi_schema
        document = generate()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        schemas["Problem"] = PROBLEM_SCHEMA
        for path, route in api_routes(app):
            scopes = sorted({scope for guard in scope_guards(route.dependant) for scope in guard.scopes})
            for method in route.methods or ():
                operation = document["paths"].get(path, {}).get(method.lower())
                if operation is not None:
                    _describe(operation, scopes)
        _whole_numbers(document)
        return document

    app.openapi = openapi  # type: ignore[method-assign]


def _describe(operation: dict[str, Any], scopes: list[str]) -> None:
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422", "")):
        del responses["422"]
    if scopes:
        operation["security"] = [{"key": scopes}]
        _add(responses, _OF_KEYS.items())
        if operation.get("parameters") or "requestBody" in operation:
            _add(responses, _OF_INPUT.items())
        if "requestBody" in operation:
            _add(responses, _OF_BODIES.items())
    responses["default"] = _DEFAULT
    operation["responses"] = dict(sorted(responses.items()))


def _add(responses: dict[str, Any], problems: Iterable[tuple[str, str]]) -> None:
    for status, description in problems:
        responses.setdefault(status, {"description": description, "content": _CONTENT})


def _whole_numbers(node: Any) -> None:
    """The framework writes the bounds of integers as floats; generated code would carry them on."""
    if isinstance(node, dict):
        for name, member in node.items():
            if isinstance(member, float) and member.is_integer():
                node[name] = int(member)
            else:
                _whole_numbers(member)
    elif isinstance(node, list):
        for member in node:
            _whole_numbers(member)
