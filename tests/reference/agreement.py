"""Hold the engine against the reference: the same documents and baskets through both."""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from app.pricing.basket import Basket
from app.pricing.book import BookRows, Document, PriceBook
from app.pricing.compile import compile_price_book
from app.pricing.money import parse_quantity_milli
from app.quotes.limited import left_of, quotes_by_engine
from tests.reference.price import price_basket
from tests.reference.shop import Body, Documents

type Revisions = Mapping[tuple[str, str], int]


def compiled(documents: Documents, revisions: Revisions, published_at_us: int) -> PriceBook:
    """The engine's book of the documents."""
    rows = {
        resource: {name: Document(body, revisions.get((resource, name), 1)) for name, body in bodies.items()}
        for resource, bodies in documents.items()
    }
    return compile_price_book(BookRows(1, published_at_us, rows))


def as_basket(body: Body, at_us: int) -> Basket:
    """The engine's basket of a request."""
    customer = body.get("customer") or {}
    segments = customer.get("segments")
    codes = dict.fromkeys(unicodedata.normalize("NFKC", code.strip()).upper() for code in body.get("codes") or ())
    return Basket(
        currency=body["currency"],
        skus=[line["sku"] for line in body["lines"]],
        line_ids=[line["id"] for line in body["lines"]],
        quantities_milli=[parse_quantity_milli(line["quantity"]) for line in body["lines"]],
        at_us=at_us,
        channel=body.get("channel"),
        store=body.get("store"),
        market=body.get("market"),
        customer_id=customer.get("id"),
        segments=None if segments is None else tuple(segments),
        level=customer.get("level"),
        orders=customer.get("orders"),
        spend_minor=customer.get("spend"),
        days_since_last_order=customer.get("days_since_last_order"),
        codes=tuple(codes),
        attributes=body.get("attributes") or {},
        customer_attributes=customer.get("attributes") or {},
        shipping_minor=body.get("shipping"),
        points=body.get("points") or 0,
        left=left_of(body.get("limited") or ()),
    )


def engine_replies(book: PriceBook, bodies: Sequence[Body], at_us: Sequence[int]) -> list[Body]:
    """The engine's replies, parsed, in the reference's form; a refused request has nothing but its errors."""
    baskets = [as_basket(body, at) for body, at in zip(bodies, at_us, strict=True)]
    partial = [bool(body.get("partial")) for body in bodies]
    replies: list[Body] = []
    for encoded in quotes_by_engine(book, baskets, partial):
        members: dict[str, Any] = {} if encoded.errors else json.loads(b"{" + encoded.body + b"}")
        replies.append({"errors": sorted([path, code] for path, code, _ in encoded.errors), **members})
    return replies


def reference_reply(documents: Documents, revisions: Revisions, body: Body, at_us: int, published_at_us: int) -> Body:
    """The reference's reply in the same form."""
    codes = list(dict.fromkeys(unicodedata.normalize("NFKC", code.strip()).upper() for code in body.get("codes") or ()))
    reply = price_basket(documents, dict(revisions), {**body, "codes": codes}, at_us, published_at_us)
    errors: list[list[str]] = [list(error) for error in reply["errors"]]
    if sum(path.startswith("lines[") for path, _ in errors) < len(body["lines"]) and body.get("partial"):
        errors = [error for error in errors if not error[0].startswith("lines[")]
    if errors:
        return {"errors": sorted(errors)}
    return {**reply, "errors": []}


def difference(one: Any, other: Any, path: str = "") -> str | None:
    """The first place where two replies differ, or None."""
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted(one.keys() | other.keys()):
            if key not in one or key not in other:
                return f"{path}.{key}: only one side has it: {one.get(key, other.get(key))!r}"
            if found := difference(one[key], other[key], f"{path}.{key}"):
                return found
        return None
    if isinstance(one, list) and isinstance(other, list):
        for number, (left, right) in enumerate(zip(one, other, strict=False)):
            if found := difference(left, right, f"{path}[{number}]"):
                return found
        return None if len(one) == len(other) else f"{path}: {len(one)} against {len(other)} entries: {one!r} / {other!r}"
    return None if one == other and type(one) is type(other) else f"{path}: {one!r} against {other!r}"
