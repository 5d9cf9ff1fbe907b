"""Many documents in little memory: ids, JSON bodies and revisions as a few arrays, decoded when asked for.

A table never changes. One with changes shares the arrays of the table it was made from and has what differs beside them; when that is
much, new arrays are laid out.
"""

from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import accumulate, pairwise
from operator import attrgetter
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from app.pricing.book import Document
from app.pricing.documents import Part

# Beside the arrays may stand this many documents, or an eighth of what the arrays have.
_BESIDE_MAX: Final = 1_000
_ROWS_AT_ONCE: Final = 10_000
_body: Final = msgspec.json.Decoder(dict[str, Any])
_encode: Final = msgspec.json.Encoder(order="sorted").encode


class Stored(NamedTuple):
    """A document as it is kept: its body in JSON without line breaks, and its revision."""

    body: bytes
    revision: int


class Columns(NamedTuple):
    """Documents by id in the order of UTF-8, which is that of the text; every body ends in a line break."""

    ids: bytes
    id_first: NDArray[np.int64]  # (n + 1,)
    bodies: bytes
    body_first: NDArray[np.int64]  # (n + 1,)
    revision: NDArray[np.int64]  # (n,)


class DocumentTable(Mapping[str, Document]):
    """The documents of one resource; those that stand beside the arrays hide what the arrays have, None is one that is gone."""

    __slots__ = ("_base", "_beside", "_id_first", "_n", "_older", "_origin")

    def __init__(
        self,
        base: Columns,
        beside: dict[str, Stored | None] | None = None,
        n: int | None = None,
        origin: object | None = None,
        older: tuple[object, frozenset[str]] | None = None,
    ) -> None:
        self._base = base
        self._beside = beside or {}
        # Tables that share arrays have one origin. When arrays are laid out anew, that of the ones before and what differs are kept, so
        # that the next version can tell what changed.
        self._origin = origin or object()
        self._older = older
        # Indexing this gives Python's integers, several times faster than an array does.
        self._id_first = memoryview(base.id_first)
        self._n = base.revision.size if n is None else n

    @classmethod
    def of(cls, rows: Iterable[tuple[str, bytes, int]]) -> "DocumentTable":
        """A table of (id, body, revision)."""
        return cls(_laid_out(rows))

    def with_changes(self, changes: Iterable[tuple[str, Stored | None]]) -> "DocumentTable":
        """The table with some documents replaced, added or (None) left out."""
        last = dict(changes)
        beside = {**self._beside, **last}
        n = self._n + sum((stored is not None) - (name in self) for name, stored in last.items())
        if len(beside) <= max(_BESIDE_MAX, self._base.revision.size // 8):
            return DocumentTable(self._base, beside, n=n, origin=self._origin, older=self._older)
        merged = DocumentTable(self._base, beside)
        return DocumentTable(merged.packed(), older=(self._origin, frozenset(beside)))

    def parts(self) -> tuple[Columns, Mapping[str, Stored | None]]:
        """The arrays, and what stands beside them."""
        return self._base, self._beside

    def packed(self) -> Columns:
        """All documents in arrays."""
        if not self._beside:
            return self._base
        return _laid_out((name, stored.body, stored.revision) for name, stored in self._stored())

    def stored(self, name: str) -> Stored | None:
        """A document as it is kept, None where there is none."""
        if name in self._beside:
            return self._beside[name]
        at = self._find(name)
        if at < 0:
            return None
        base = self._base
        return Stored(base.bodies[base.body_first[at] : base.body_first[at + 1] - 1], int(base.revision[at]))

    def changed_since(self, before: object) -> set[str] | None:
        """The ids whose documents differ from those of another table; None where the two have no arrays in common."""
        if not isinstance(before, DocumentTable):
            return None
        if before._origin is self._origin:
            suspects: set[str] = self._beside.keys() | before._beside.keys()
        elif self._older is not None and before._origin is self._older[0]:
            suspects = {*self._older[1], *self._beside, *before._beside}
        else:
            return None
        return {name for name in suspects if self.stored(name) != before.stored(name)}

    def columns(self, fields: Sequence[str]) -> Iterator[Part]:
        """The named fields of all bodies (None where absent), in parts, by id."""
        base, (decoder, getters) = self.packed(), _row_decoder(tuple(fields))
        for low in range(0, base.revision.size, _ROWS_AT_ONCE):
            high = min(low + _ROWS_AT_ONCE, base.revision.size)
            rows = decoder.decode_lines(memoryview(base.bodies)[base.body_first[low] : base.body_first[high]])
            first = base.id_first[low : high + 1]
            yield Part(partial(_ids, base.ids, first), [list(map(value_of, rows)) for value_of in getters])

    def items(self) -> ItemsView[str, Document]:
        """As of any mapping, decoded in parts."""
        return _Items(self)

    def _documents(self) -> Iterator[tuple[str, Document]]:
        base = self.packed()
        for low in range(0, base.revision.size, _ROWS_AT_ONCE):
            high = min(low + _ROWS_AT_ONCE, base.revision.size)
            bodies = _body.decode_lines(memoryview(base.bodies)[base.body_first[low] : base.body_first[high]])
            names = _texts(base.ids, base.id_first[low : high + 1].tolist())
            yield from zip(names, map(Document, bodies, base.revision[low:high].tolist()), strict=True)

    def __getitem__(self, name: str) -> Document:
        stored = self.stored(name)
        if stored is None:
            raise KeyError(name)
        return Document(_body.decode(stored.body), stored.revision)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.stored(name) is not None

    def __len__(self) -> int:
        return self._n

    def __iter__(self) -> Iterator[str]:
        return (name for name, _ in self._stored())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Mapping) and dict(self.items()) == dict(other.items())

    __hash__ = None  # type: ignore[assignment]

    def _stored(self) -> Iterator[tuple[str, Stored]]:
        """Every document, by id."""
        base = self._base
        beside = sorted(self._beside.items(), reverse=True)
        names = _texts(base.ids, base.id_first.tolist())
        ends = zip(base.body_first[:-1].tolist(), base.body_first[1:].tolist(), base.revision.tolist(), strict=True)
        for name, (low, high, revision) in zip(names, ends, strict=True):
            while beside and beside[-1][0] <= name:
                other, stored = beside.pop()
                if stored is not None:
                    yield other, stored
            if name not in self._beside:
                yield name, Stored(base.bodies[low : high - 1], revision)
        for other, stored in reversed(beside):
            if stored is not None:
                yield other, stored

    def _find(self, name: str) -> int:
        """The place of an id among the arrays, −1 where it is not there."""
        key, ids, first = name.encode(errors="surrogatepass"), self._base.ids, self._id_first
        low, high = 0, len(first) - 1
        while low < high:
            middle = (low + high) // 2
            if ids[first[middle] : first[middle + 1]] < key:
                low = middle + 1
            else:
                high = middle
        return low if low < len(first) - 1 and ids[first[low] : first[low + 1]] == key else -1


class _Items(ItemsView[str, Document]):
    _mapping: DocumentTable

    def __iter__(self) -> Iterator[tuple[str, Document]]:
        return self._mapping._documents()


def stored_of(document: Document) -> Stored:
    """A document as a table keeps it."""
    return Stored(_encode(document.body), document.revision)


def table_of(documents: Mapping[str, Document]) -> DocumentTable:
    """The documents as a table; a table is itself."""
    if isinstance(documents, DocumentTable):
        return documents
    return DocumentTable.of((name, _encode(one.body), one.revision) for name, one in documents.items())


def _laid_out(rows: Iterable[tuple[str, bytes, int]]) -> Columns:
    ordered = sorted(rows, key=lambda row: row[0])
    ids = [row[0].encode() for row in ordered]
    id_first = np.fromiter(accumulate(map(len, ids), initial=0), np.int64, len(ids) + 1)
    ordered_bodies = [row[1] for row in ordered]
    body_first = np.fromiter(accumulate(map(len, ordered_bodies), initial=0), np.int64, len(ids) + 1)
    body_first += np.arange(len(ids) + 1)
    revision = np.fromiter((row[2] for row in ordered), np.int64, len(ids))
    ordered_bodies.append(b"")
    return Columns(b"".join(ids), id_first, b"\n".join(ordered_bodies), body_first, revision)


def _texts(content: bytes, first: list[int]) -> list[str]:
    """The texts that `first` delimits."""
    start = first[0]
    text = content[start : first[-1]].decode()
    if len(text) == first[-1] - start:
        return [text[low - start : high - start] for low, high in pairwise(first)]
    return [content[low:high].decode() for low, high in pairwise(first)]


def _ids(content: bytes, first: NDArray[np.int64]) -> list[str]:
    return _texts(content, first.tolist())


@cache
def _row_decoder(fields: tuple[str, ...]) -> tuple[msgspec.json.Decoder[Any], list[Callable[[Any], Any]]]:
    """Reads these fields of a body and skips the others; and what tells the value of each."""
    names = [f"f{number}" for number in range(len(fields))]
    members = [(name, Any, msgspec.field(default=None, name=field)) for name, field in zip(names, fields, strict=True)]
    return msgspec.json.Decoder(msgspec.defstruct("Row", members, gc=False)), [attrgetter(name) for name in names]
