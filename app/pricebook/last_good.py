"""The last good book on this machine's disk: a pod starts and quotes from it while the database is away.

Two files. The snapshot has the documents of a version, and the compiled book beside them for a start of the very same code. What was
published since is appended to the changes, so that a publication costs the disk what it changed; now and then a new snapshot takes
the place of both. Whatever fails in between, a reader finds a version that was good.

Snapshot: magic, BLAKE2b of the rest, sizes, a head in MessagePack, the arrays. Changes: records of magic, size, BLAKE2b, MessagePack.
"""

import contextlib
import errno
import hashlib
import os
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec
import numpy as np

from app.pricebook.document_table import Columns, DocumentTable, Stored, table_of
from app.pricebook.documents import Documents, replace_stored
from app.pricebook.image import Buffers, fingerprint, image_of, value_of
from app.pricing.book import BookRows, PriceBook
from app.pricing.documents import changed_ids

_MAGIC: Final = b"centwise-book-2\n"
_RECORD: Final = b"centwise-change\n"
_DIGEST_BYTES: Final = 32
_SIZE: Final = struct.Struct("<Q")
# The changes may grow to this share of the snapshot, and to this size in any case.
_SHARE: Final = 4
_CHANGES_OCTETS_MIN: Final = 1 << 20


class DamagedBook(Exception):
    """The file is not what was written: cut off, altered, or of another format."""


class Kept(NamedTuple):
    """What was on disk: the documents of a version, and a book of these or fewer changes if this code made it."""

    rows: BookRows
    book: PriceBook | None


class _Head(msgspec.Struct, array_like=True):
    version: int
    published_at_us: int
    documents: dict[str, tuple[list[Any], list[tuple[str, bytes | None, int]]]]  # columns, and what stands beside them
    code: str
    book: Any
    sizes: list[int]  # of the buffers


class _Change(msgspec.Struct, array_like=True):
    """From one version to another; a body of None is a document that is gone."""

    before: tuple[int, int]
    version: int
    published_at_us: int
    documents: list[tuple[str, str, bytes | None, int]]


_head_decoder: Final = msgspec.msgpack.Decoder(_Head)
_change_decoder: Final = msgspec.msgpack.Decoder(_Change)


class LastGood:
    """The files, and what this process knows to be in them. One thread at a time."""

    def __init__(self, path: Path, *, code: str | None = None) -> None:
        self._path = path
        # A compiled book is taken only from the code that wrote it.
        self._code = fingerprint() if code is None else code
        self._changes_path = path.with_name(f"{path.name}.changes")
        self._rows: BookRows | None = None
        self._snapshot: tuple[int, int] | None = None  # inode and size

    def read(self) -> Kept | None:
        """What was last written, None when there is nothing. Raises DamagedBook, OSError."""
        try:
            with self._path.open("rb") as file:
                rows, book = _read_snapshot(file, self._code)
                self._snapshot = _identity(os.fstat(file.fileno()))
        except FileNotFoundError:
            return None
        for change in _changes(self._changes_path):
            # Several processes may have written the same step, and one of an older snapshot may be left.
            if tuple(change.before) == (rows.version, rows.published_at_us):
                stored = (
                    (resource, name, None if body is None else Stored(body, n)) for resource, name, body, n in change.documents
                )
                rows = BookRows(change.version, change.published_at_us, replace_stored(rows.documents, stored))
        self._rows = rows
        return Kept(rows, book)

    def write(self, rows: BookRows, book: PriceBook | None) -> None:
        """Have these documents on disk. Raises OSError."""
        if self._rows is not None and _knows(self._path, self._snapshot):
            if (self._rows.version, self._rows.published_at_us) == (rows.version, rows.published_at_us):
                return
            record = _record(self._rows, rows)
            if record is not None and self._has_room(len(record)):
                try:
                    _append(self._changes_path, record)
                except OSError:
                    # Whether the record is there is not known, and the next one could not go on from it: the next write is a snapshot.
                    self._snapshot = None
                    raise
                self._rows = rows
                return
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._snapshot = _write_snapshot(self._path, rows, book, self._code)
        self._changes_path.unlink(missing_ok=True)
        self._rows = rows

    def _has_room(self, n_octets: int) -> bool:
        size = self._changes_path.stat().st_size if self._changes_path.exists() else 0
        assert self._snapshot is not None
        return size + n_octets <= max(_CHANGES_OCTETS_MIN, self._snapshot[1] // _SHARE)


def _identity(stat: os.stat_result) -> tuple[int, int]:
    return stat.st_ino, stat.st_size


def _knows(path: Path, snapshot: tuple[int, int] | None) -> bool:
    """Whether the snapshot is the one this process has read or written, and not another process's."""
    try:
        return snapshot == _identity(path.stat())
    except FileNotFoundError:
        return False


def _write_snapshot(path: Path, rows: BookRows, book: PriceBook | None, code: str) -> tuple[int, int]:
    buffers: Buffers = []
    documents: dict[str, tuple[list[Any], list[tuple[str, bytes | None, int]]]] = {}
    for resource, own in rows.documents.items():
        base, beside = table_of(own).parts()
        columns = [image_of(column, buffers) if isinstance(column, np.ndarray) else _put(column, buffers) for column in base]
        documents[resource] = (
            columns,
            [(name, None, 0) if one is None else (name, one.body, one.revision) for name, one in beside.items()],
        )
    bare = None if book is None else replace(book, sources=book.sources._replace(documents={}))
    image = None if bare is None else image_of(bare, buffers)
    views = [memoryview(buffer).cast("B") if memoryview(buffer).nbytes else memoryview(b"") for buffer in buffers]
    sizes = [view.nbytes for view in views]
    head = msgspec.msgpack.encode(_Head(rows.version, rows.published_at_us, documents, code, image, sizes))
    pieces: list[bytes | memoryview] = [_SIZE.pack(len(head)), head, *views]
    digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
    for piece in pieces:
        digest.update(piece)
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            for piece in (_MAGIC, digest.digest(), *pieces):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
            identity = _identity(os.fstat(file.fileno()))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)
    return identity


def _put(content: bytes, buffers: Buffers) -> int:
    buffers.append(content)
    return len(buffers) - 1


def _read_snapshot(file: BinaryIO, code: str) -> tuple[BookRows, PriceBook | None]:
    size = os.fstat(file.fileno()).st_size
    try:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise DamagedBook(f"{file.name} is not a book of this format")
        expected = file.read(_DIGEST_BYTES)
        digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)

        def read(n_octets: int) -> bytes:
            if not 0 <= n_octets <= size:
                raise DamagedBook(f"{file.name} is damaged")
            content = file.read(n_octets)
            hasher.submit(digest.update, content)
            if len(content) != n_octets:
                raise DamagedBook(f"{file.name} is cut off")
            return content

        # Hashing takes longer than reading, so it is done beside it.
        with ThreadPoolExecutor(1) as hasher:
            encoded = read(_SIZE.unpack(read(_SIZE.size))[0])
            head = _head_decoder.decode(encoded)
            # Each array is read to a place of its own: the file as a whole is never in memory.
            buffers = [read(n_octets) for n_octets in head.sizes]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise DamagedBook(f"{file.name} is damaged") from error
    if digest.digest() != expected or file.read(1):
        raise DamagedBook(f"{file.name} is damaged")
    documents: Documents = {resource: _table(columns, beside, buffers) for resource, (columns, beside) in head.documents.items()}
    rows = BookRows(head.version, head.published_at_us, documents)
    if head.book is None or head.code != code:
        return rows, None
    try:
        book: PriceBook = value_of(head.book, buffers)
    except (KeyError, IndexError, TypeError, ValueError):
        # The documents are whole, and a book can be compiled from them again.
        return rows, None
    return rows, replace(book, sources=book.sources._replace(documents=documents))


def _table(columns: list[Any], beside: list[tuple[str, bytes | None, int]], buffers: Buffers) -> DocumentTable:
    ids, id_first, bodies, body_first, revision = columns
    base = Columns(
        buffers[ids], value_of(id_first, buffers), buffers[bodies], value_of(body_first, buffers), value_of(revision, buffers)
    )
    return DocumentTable(base).with_changes((name, None if body is None else Stored(body, n)) for name, body, n in beside)


def _record(before: BookRows, after: BookRows) -> bytes | None:
    """The step from one version to another; None when it cannot be told."""
    documents: list[tuple[str, str, bytes | None, int]] = []
    for resource in before.documents.keys() | after.documents.keys():
        table = table_of(after.documents.get(resource, {}))
        names = changed_ids(before.documents.get(resource, {}), table)
        if names is None:
            return None
        for name in sorted(names):
            one = table.stored(name)
            documents.append((resource, name, None, 0) if one is None else (resource, name, one.body, one.revision))
    change = _Change((before.version, before.published_at_us), after.version, after.published_at_us, documents)
    payload = msgspec.msgpack.encode(change)
    digest = hashlib.blake2b(payload, digest_size=_DIGEST_BYTES).digest()
    return b"".join((_RECORD, _SIZE.pack(len(payload)), digest, payload))


def _append(path: Path, record: bytes) -> None:
    is_new = not path.exists()
    # One write at the end of the file: records of several processes do not mix.
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        if os.write(descriptor, record) != len(record):
            raise OSError(errno.ENOSPC, "the disk took a part of the record only", str(path))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if is_new:
        _sync_folder(path.parent)


def _changes(path: Path) -> Iterator[_Change]:
    """The records that are whole, in the order in which they were written."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    at = content.find(_RECORD)
    while at >= 0:
        head = at + len(_RECORD)
        start = head + _SIZE.size + _DIGEST_BYTES
        if start <= len(content):
            payload = content[start : start + _SIZE.unpack_from(content, head)[0]]
            if hashlib.blake2b(payload, digest_size=_DIGEST_BYTES).digest() == content[start - _DIGEST_BYTES : start]:
                with contextlib.suppress(msgspec.MsgspecError):  # a record of another form is as good as none
                    yield _change_decoder.decode(payload)
                at = content.find(_RECORD, start + len(payload))
                continue
        # A record that a crash has cut off: the next one may be whole.
        at = content.find(_RECORD, head)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
