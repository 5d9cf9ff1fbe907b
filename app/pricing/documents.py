"""The documents of a version as the compiler reads them: what changed since another version, and their fields as columns."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from app.pricing.book import Document

type Column = list[Any]


@runtime_checkable
class StoredDocuments(Protocol):
    """What a compact store of documents offers beside being a mapping: all of it without a dictionary a document."""

    def changed_since(self, before: object) -> set[str] | None:
        """The ids whose documents differ from those of an earlier store; None where that cannot be told cheaply."""

    def columns(self, fields: Sequence[str]) -> Iterator[tuple[list[str], list[Column]]]:
        """Ids and the named fields of their bodies (None where absent), in parts, by id."""


def changed_ids(before: Mapping[str, Document], after: Mapping[str, Document]) -> set[str] | None:
    """The ids whose documents differ (never too few); None where everything may."""
    if before is after:
        return set()
    if isinstance(after, StoredDocuments):
        return after.changed_since(before)
    if isinstance(before, StoredDocuments):
        return None
    return {name for name in before.keys() | after.keys() if before.get(name) is not after.get(name)}


def columns_of(documents: Mapping[str, Document], fields: Sequence[str]) -> Iterator[tuple[list[str], list[Column]]]:
    """Ids and the named fields of their bodies (None where absent), in parts."""
    if isinstance(documents, StoredDocuments):
        yield from documents.columns(fields)
    elif documents:
        yield list(documents), [[one.body.get(field) for one in documents.values()] for field in fields]
