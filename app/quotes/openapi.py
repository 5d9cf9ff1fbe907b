"""The storefront's part of OpenAPI, made from the structs that validation uses."""

from collections.abc import Callable
from typing import Any, Final

import msgspec
from fastapi import FastAPI

from app.quotes import replies
from app.quotes.schemas import BatchRequest, PricesRequest, QuoteRequest

_REF: Final = "#/components/schemas/{name}"
# A stored request and reply are shown as they are.
_SHOWN: Final = {"type": "object"}

_QUOTE_EXAMPLE: Final = {
    "currency": "USD",
    "channel": "web",
    "customer": {"id": "c-17", "segments": ["vip"], "level": "gold", "orders": 12},
    "lines": [{"id": "1", "sku": "SKU-1", "quantity": 2}, {"id": "2", "sku": "SKU-2", "quantity": "0.350"}],
    "codes": ["SAVE10"],
    "shipping": 500,
}
_EXAMPLES: Final[dict[type, Any]] = {
    QuoteRequest: _QUOTE_EXAMPLE,
    BatchRequest: {"quotes": [_QUOTE_EXAMPLE]},
    PricesRequest: {"currency": "USD", "channel": "web", "skus": ["SKU-1", "SKU-2"]},
}
_STRUCTS: Final = (
    QuoteRequest,
    BatchRequest,
    PricesRequest,
    replies.Quote,
    replies.BatchReply,
    replies.PricesReply,
    replies.DecisionPage,
    replies.DecisionDetail,
    replies.ReplayReply,
    replies.Problem,
)


def request_body(struct: type) -> dict[str, Any]:
    """`openapi_extra` of an endpoint that reads this struct."""
    content = {"application/json": {"schema": _reference(struct), "example": _EXAMPLES[struct]}}
    return {"requestBody": {"required": True, "content": content}}


def responses(status: int, struct: type, description: str, *problems: tuple[int, str]) -> dict[int | str, dict[str, Any]]:
    """`responses` of an endpoint that answers this struct, and the problems it can answer besides."""
    answers: dict[int | str, dict[str, Any]] = {
        status: {"description": description, "content": {"application/json": {"schema": _reference(struct)}}}
    }
    for code, meaning in problems:
        answers[code] = {"description": meaning, "content": {"application/problem+json": {"schema": _reference(replies.Problem)}}}
    return answers


def declare_structs(api: FastAPI) -> None:
    """Have `api` list our structs among the components of its OpenAPI document."""
    make: Callable[[], dict[str, Any]] = api.openapi

    def openapi() -> dict[str, Any]:
        document = make()
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        ours = components()
        if "Problem" in schemas:
            del ours["ProblemError"]  # the service's own problem holds it
        for name, schema in ours.items():
            schemas.setdefault(name, schema)
        return document

    api.openapi = openapi  # type: ignore[method-assign]


def components() -> dict[str, Any]:
    """The structs' JSON schemas by name."""

    def show(kind: type) -> dict[str, Any]:
        assert kind is msgspec.Raw
        return dict(_SHOWN)

    _, schemas = msgspec.json.schema_components(_STRUCTS, schema_hook=show, ref_template=_REF)
    return schemas


def _reference(struct: type) -> dict[str, str]:
    return {"$ref": _REF.format(name=struct.__name__)}
