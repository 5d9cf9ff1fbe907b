"""What is configured, as documents: JSON bodies under (resource, id), each with its revision."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from app.pricing.book import Document

RESOURCES: Final = (
    "products",
    "price-lists",
    "prices",
    "sale-prices",
    "promotions",
    "campaigns",
    "coupons",
    "guardrails",
    "strategies",
    "endings",
    "attributes",
    "policy",
    "publishing-policy",
)
SIGNALS: Final = ("signals-costs", "signals-stock", "signals-competitors", "signals-demand")
# The one id of a resource that exists once.
SINGLE_ID: Final = "default"

type Body = Mapping[str, Any]
type Documents = Mapping[str, Mapping[str, Document]]


class Change(NamedTuple):
    """What shall become of a document; a body of None deletes it."""

    resource: str
    id: str
    body: Body | None


def encode_canonical(body: object) -> bytes:
    """JSON with sorted members: equal content gives equal bytes, whatever order the members came in."""
    return msgspec.json.encode(body, order="sorted")


def etag_of(body: object) -> str:
    """The entity tag of a body, without quotes: equal content has equal tags."""
    return hashlib.sha256(encode_canonical(body)).hexdigest()[:32]


def replace_documents(documents: Documents, changes: Iterable[tuple[str, str, Document | None]]) -> Documents:
    """The documents with some replaced, added or (None) left out. What is not touched is shared with the given ones, which stay as they are."""
    replaced: dict[str, Mapping[str, Document]] = dict(documents)
    copies: dict[str, dict[str, Document]] = {}
    for resource, document_id, document in changes:
        copy = copies.get(resource)
        if copy is None:
            copy = copies[resource] = dict(documents.get(resource, {}))
            replaced[resource] = copy
        if document is None:
            copy.pop(document_id, None)
        else:
            copy[document_id] = document
    return replaced
