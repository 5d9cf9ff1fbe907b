"""Ids of holds, returns and grants."""

import os
import time

from asyncpg.pgproto.pgproto import UUID

_VERSION_7 = 0x7000
_VARIANT = 0x8000


def make_hold_id() -> UUID:
    """A UUIDv7: ids of one time lie close together in the index. The time in it decides nothing."""
    tail = int.from_bytes(os.urandom(10))
    high = (time.time_ns() // 1_000_000) << 16 | _VERSION_7 | tail >> 68
    low = _VARIANT << 48 | tail & ((1 << 62) - 1)
    return UUID(high.to_bytes(8) + low.to_bytes(8))
