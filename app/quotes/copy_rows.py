"""Decisions in the binary format of COPY: what is the same for many rows is packed once, and a row is a handful of joined pieces.

The format is the one of PostgreSQL's documentation (SQL commands, COPY, Binary Format): a header, rows of fields with their lengths in
front, a trailer. The fields are those of `queries.COLUMNS`, which a driver would otherwise encode one by one.
"""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Final

from app.quotes.decision import Decision

_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER: Final = b"\xff\xff"
_EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_OID_OF_TEXT: Final = 25
# What leaves in one message. Buffers beyond 128 KiB are taken from the system and given back each time, which costs more than the copying.
_CHUNK_OCTETS: Final = 64 << 10

_LENGTH: Final = Struct(">i")
_START: Final = Struct(">hiqi")  # 14 fields; issued_at; the length of the id
_VERSION: Final = Struct(">iq")
_SUMS: Final = Struct(">iqiqiqii")  # subtotal_minor, discount_minor, total_minor, line_count
_ARRAY: Final = Struct(">iiIii")
_NULL: Final = _LENGTH.pack(-1)
_NO_CODES: Final = _LENGTH.pack(12) + Struct(">iiI").pack(0, 0, _OID_OF_TEXT)


async def copy_chunks(decisions: Sequence[Decision]) -> AsyncIterator[bytes]:
    """The whole COPY of decisions that are of one instant. Raises ValueError and struct.error for what no column can hold."""
    if not decisions:
        yield _HEADER + _TRAILER
        return
    start = _START.pack(14, 8, (decisions[0].issued_at - _EPOCH) // _MICROSECOND, 16)
    texts = _Texts({None: _NULL})
    versions = _Versions()
    pieces = [_HEADER]
    octets = 0
    # Taken apart at once, which is cheaper than asking a row for each of its fields.
    for (
        _,
        quote_id,
        version,
        currency,
        channel,
        customer,
        codes,
        subtotal,
        discount,
        total,
        line_count,
        source,
        request,
        reply,
    ) in decisions:
        pieces += (
            start,
            quote_id.bytes,
            versions[version],
            texts[currency],
            texts[channel],
            texts[customer],
            _codes(codes) if codes else _NO_CODES,
            _SUMS.pack(8, subtotal, 8, discount, 8, total, 4, line_count),
            texts[source],
            _LENGTH.pack(len(request)),
            request,
            _LENGTH.pack(len(reply)),
            reply,
        )
        octets += len(request) + len(reply)
        if octets > _CHUNK_OCTETS:
            yield b"".join(pieces)
            pieces.clear()
            octets = 0
    pieces.append(_TRAILER)
    yield b"".join(pieces)


class _Texts(dict[str | None, bytes]):
    """Fields of text, each packed once."""

    def __missing__(self, text: str) -> bytes:
        octets = text.encode()
        field = self[text] = _LENGTH.pack(len(octets)) + octets
        return field


class _Versions(dict[int, bytes]):
    """Fields of versions, each packed once."""

    def __missing__(self, version: int) -> bytes:
        field = self[version] = _VERSION.pack(8, version)
        return field


def _codes(codes: Sequence[str]) -> bytes:
    """A field of text[]: one dimension, no nulls, from index 1."""
    elements = [code.encode() for code in codes]
    array = b"".join([_ARRAY.pack(1, 0, _OID_OF_TEXT, len(elements), 1), *(_LENGTH.pack(len(one)) + one for one in elements)])
    return _LENGTH.pack(len(array)) + array
