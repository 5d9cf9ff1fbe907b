"""What is configured, as documents: JSON bodies under (resource, id), each with its revision."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import msgspec

from app.pricebook.document_table import Stored, stored_of, table_of
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
    "ladders",
    "seasons",
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
    return replace_stored(
        documents, ((resource, name, None if one is None else stored_of(one)) for resource, name, one in changes)
    )


def replace_stored(documents: Documents, changes: Iterable[tuple[str, str, Stored | None]]) -> Documents:
    """The same, of documents as they are kept."""
    by_resource: dict[str, list[tuple[str, Stored | None]]] = {}
    for resource, document_id, stored in changes:
        by_resource.setdefault(resource, []).append((document_id, stored))
    replaced = dict(documents)
    for resource, own in by_resource.items():
        replaced[resource] = table_of(documents.get(resource, {})).with_changes(own)
    return replaced
