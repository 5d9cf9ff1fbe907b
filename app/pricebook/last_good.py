"""The last good book on this machine's disk: a pod starts and quotes from it while the database is away.

The file holds the documents and not the compiled arrays, so that a new release compiles them its own way. Layout: magic, 32 bytes
BLAKE2b of the rest, the rest as MessagePack [version, published_at_us, {resource: {id: [body, revision]}}].
"""

import hashlib
import os
from pathlib import Path
from typing import Any, Final

import msgspec

from app.pricing.book import BookRows, Document

_MAGIC: Final = b"centwise-book-1\n"
_DIGEST_BYTES: Final = 32
_decoder: Final = msgspec.msgpack.Decoder(tuple[int, int, dict[str, dict[str, tuple[dict[str, Any], int]]]])


class DamagedBook(Exception):
    """The file is not what was written: cut off, altered, or of another format."""


def write_last_good(path: Path, rows: BookRows) -> None:
    """Write the documents so that a reader sees the old file or the new one, whatever fails in between. Raises OSError."""
    documents = {resource: dict(by_id) for resource, by_id in rows.documents.items()}
    payload = msgspec.msgpack.encode((rows.version, rows.published_at_us, documents))
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            file.write(_MAGIC)
            file.write(hashlib.blake2b(payload, digest_size=_DIGEST_BYTES).digest())
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_last_good(path: Path) -> BookRows | None:
    """The documents last written, None when there are none. Raises DamagedBook, OSError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    header = len(_MAGIC) + _DIGEST_BYTES
    payload = memoryview(content)[header:]
    digest = hashlib.blake2b(payload, digest_size=_DIGEST_BYTES).digest()
    if content[: len(_MAGIC)] != _MAGIC or content[len(_MAGIC) : header] != digest:
        raise DamagedBook(f"{path} is damaged")
    version, published_at_us, documents = _decoder.decode(payload)
    return BookRows(
        version,
        published_at_us,
        {
            resource: {document_id: Document(body, revision) for document_id, (body, revision) in by_id.items()}
            for resource, by_id in documents.items()
        },
    )
