"""Holds as rows and as replies: what is stored of them, and the bytes that callers get."""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from asyncpg.pgproto import pgproto

from app.redemptions.protocol import Amount, Draw, Grant, Hold, Meter, State
from app.redemptions.returning import Returned

SEPARATOR: Final = "\x01"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class Detail(msgspec.Struct, array_like=True, frozen=True):
    """What is stored of a hold beside its columns: draws and grants with the lines' shares, and the lines sold in thousandths of a unit."""

    draws: tuple[Draw, ...]
    grants: tuple[Grant, ...]
    sold_milli: dict[str, int]


class Stored(NamedTuple):
    """A hold as it is stored."""

    hold: Hold
    sold_milli: Mapping[str, int]
    created_ms: int
    changed_ms: int
    reply: bytes


_detail: Final = msgspec.json.Decoder(Detail)


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562, 5.7) of now. It is of the driver's own class, which is packed and hashed several times faster than the library's."""
    tail = int.from_bytes(os.urandom(10))
    high = (time.time_ns() // 1_000_000 & ((1 << 48) - 1)) << 16 | 0x7000 | tail & 0x0FFF
    made: UUID = pgproto.UUID((high << 64 | 1 << 63 | tail >> 18).to_bytes(16))
    return made


def fast_id(some_id: UUID) -> UUID:
    """The same id, as `new_id` makes them."""
    made: UUID = pgproto.UUID(some_id.bytes)
    return made


@lru_cache(maxsize=1024)  # a batch has one instant, and most of its holds are held for as long
def instant_of(at_ms: int) -> datetime:
    """The instant of so many milliseconds since 1970."""
    return _EPOCH + at_ms * _MILLISECOND


def ms_of(instant: datetime) -> int:
    """Milliseconds since 1970, rounded down."""
    return (instant - _EPOCH) // _MILLISECOND


@lru_cache(maxsize=1024)
def text_of(at_ms: int) -> str:
    """RFC 3339 in UTC, with milliseconds."""
    return instant_of(at_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def stored_hold(row: Mapping[str, Any]) -> Stored:
    """Read a row with the columns of queries.HOLD_COLUMNS."""
    detail = _detail.decode(row["detail"])
    state: State = row["state"]
    hold = Hold(
        row["id"],
        row["quote_id"],
        row["order_id"],
        state,
        ms_of(row["expires_at"]),
        detail.draws,
        detail.grants,
        row["ended"],
    )
    return Stored(hold, detail.sold_milli, ms_of(row["created_at"]), ms_of(row["changed_at"]), row["reply"])


def hold_columns(holds: Sequence[tuple[Hold, Mapping[str, int], bytes]]) -> tuple[list[Any], ...]:
    """The arrays of queries.ADD_HOLDS before the instant, and after it: holds with the lines sold and the reply."""
    return (
        [hold.id for hold, _, _ in holds],
        [hold.quote_id for hold, _, _ in holds],
        [hold.order for hold, _, _ in holds],
        [hold.state for hold, _, _ in holds],
        [hold.ended for hold, _, _ in holds],
        [instant_of(hold.expires_ms) for hold, _, _ in holds],
        [SEPARATOR.join([draw.meter for draw in hold.draws]) for hold, _, _ in holds],
        [SEPARATOR.join([str(draw.amount) for draw in hold.draws]) for hold, _, _ in holds],
        [msgspec.json.encode(Detail(hold.draws, hold.grants, dict(sold))) for hold, sold, _ in holds],
        [reply for _, _, reply in holds],
    )


def meter_of(row: Mapping[str, Any]) -> Meter:
    """Read a row of queries.LOCK_METERS."""
    return Meter(row["id"], row["cap_wanted"], row["cap_version"], row["cap"], row["held"], row["used"])


def meter_columns(meters: Iterable[Meter]) -> tuple[list[Any], ...]:
    """The arrays of queries.SET_METERS, in the order of ids."""
    rows = [
        (one.id, one.cap_wanted, one.cap_version, one.cap, one.held, one.used) for one in sorted(meters, key=lambda one: one.id)
    ]
    return tuple(map(list, zip(*rows, strict=True)))


def taken_reply(hold: Hold, left: Sequence[int]) -> bytes:
    """The reply to a hold that is taken; `left` is what each meter of its draws has left."""
    draws = [{"meter": draw.meter, "amount": draw.amount, "left": rest} for draw, rest in zip(hold.draws, left, strict=True)]
    return msgspec.json.encode(
        {
            "id": str(hold.id),
            "quote": str(hold.quote_id),
            "order": hold.order,
            "state": "held",
            "expires_at": text_of(hold.expires_ms),
            "draws": draws,
        }
    )


def changed_reply(hold: Hold, changed_ms: int) -> bytes:
    """The reply to a confirm or a release, made from what is stored, so that it is the same each time."""
    return msgspec.json.encode(
        {
            "id": str(hold.id),
            "quote": str(hold.quote_id),
            "order": hold.order,
            "state": hold.state,
            "changed_at": text_of(changed_ms),
        }
    )


def shown_hold(stored: Stored) -> bytes:
    """A hold as it stands."""
    hold = stored.hold
    return msgspec.json.encode(
        {
            "id": str(hold.id),
            "quote": str(hold.quote_id),
            "order": hold.order,
            "state": hold.state,
            "ended": hold.ended,
            "created_at": text_of(stored.created_ms),
            "expires_at": text_of(hold.expires_ms),
            "changed_at": text_of(stored.changed_ms),
            "draws": [{"meter": draw.meter, "amount": draw.amount} for draw in hold.draws],
            "grants": [{"meter": grant.meter, "amount": grant.amount} for grant in hold.grants],
        }
    )


def returned_reply(returned: Returned, lines: Sequence[Mapping[str, str]], at_ms: int) -> bytes:
    """The reply to a return."""
    return msgspec.json.encode(
        {
            "id": str(returned.return_id),
            "hold": str(returned.hold.id),
            "order": returned.hold.order,
            "returned_at": text_of(at_ms),
            "lines": lines,
            "given_back": _amounts(returned.given),
            "withdrawn": _amounts(returned.withdrawn),
            "missing": _amounts(returned.missing),
        }
    )


def _amounts(amounts: Iterable[Amount]) -> list[dict[str, Any]]:
    return [one._asdict() for one in amounts]
