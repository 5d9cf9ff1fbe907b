"""Ids of quotes: time-ordered UUIDs of our own, and those that a client makes."""

import hashlib
import os
import re
import time
from collections.abc import Callable
from struct import Struct, unpack
from typing import Final

from asyncpg.pgproto.pgproto import UUID

_PAIR: Final = Struct(">QQ")
_LOW_BITS: Final = (1 << 62) - 1
_VERSION_7: Final = 0x7000
_VERSION_8: Final = 0x8000
_VARIANT: Final = 0x8000_0000_0000_0000
_UUID_TEXT: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_STEP_BACK_MS_MAX: Final = 1_000


class IssueClock:
    """Reads the wall clock in whole milliseconds and never goes backwards by a small step.

    A clock that is set back by more than a second is followed: an instant that stays wrong for an hour is worse than one repeated.
    """

    def __init__(self, now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000) -> None:
        self._now_ms = now_ms
        self._last_ms = 0

    def read_ms(self) -> int:
        now_ms = self._now_ms()
        if 0 < self._last_ms - now_ms <= _STEP_BACK_MS_MAX:
            return self._last_ms
        self._last_ms = now_ms
        return now_ms


class QuoteIds:
    """Makes UUIDv7 whose time is the quote's `issued_at` to the millisecond; within a process they rise while the clock does.

    Of the 74 free bits the first id of a millisecond takes 73 at random and each further one adds a random 32-bit step, so ids of one
    millisecond are in order and two processes do not meet.
    """

    def __init__(self) -> None:
        self._last_ms = -1
        self._tail = 0

    def take(self, issued_ms: int, count: int) -> list[UUID]:
        """Make `count` ids of one instant, in rising order."""
        if issued_ms != self._last_ms:
            self._last_ms = issued_ms
            self._tail = int.from_bytes(os.urandom(10)) >> 7
        high = issued_ms << 16 | _VERSION_7
        tail = self._tail
        ids = []
        for step in unpack(f">{count}I", os.urandom(4 * count)):
            tail += 1 + step
            ids.append(UUID(_PAIR.pack(high | tail >> 62, _VARIANT | tail & _LOW_BITS)))
        # 2^73 of room take 2^41 steps; nobody makes so many ids in a millisecond.
        assert tail < 1 << 74
        self._tail = tail
        return ids


def issued_ms_of(quote_id: UUID) -> int | None:
    """Read the instant in a UUIDv7; None for another version."""
    if quote_id.version != 7:
        return None
    return int.from_bytes(quote_id.bytes[:6])


def parse_uuid(text: str) -> UUID | None:
    """Read the usual form of a UUID, in any case; None when it is not one."""
    return UUID(text) if _UUID_TEXT.fullmatch(text) else None


def id_of_key(key: str, *, caller: str) -> UUID:
    """Turn an Idempotency-Key into the id of its quote: a UUID as it is, any other text by SHA-256 with the caller's name.

    The caller's name is in it because two systems of one shop may well both count their orders from 1.
    """
    return parse_uuid(key) or _hashed("key", caller, key)


def id_in_batch(batch_id: UUID, position: int) -> UUID:
    """The id of one quote of a batch that has an Idempotency-Key."""
    return _hashed("batch", str(batch_id), str(position))


def _hashed(*parts: str) -> UUID:
    """A UUIDv8 (RFC 9562, 5.8) of the SHA-256 of the parts."""
    digest = hashlib.sha256("\0".join(parts).encode()).digest()
    high, low = _PAIR.unpack(digest[:16])
    return UUID(_PAIR.pack(high & ~0xF000 | _VERSION_8, low & _LOW_BITS | _VARIANT))
