"""The transactions of holds: everything is locked in the one order that the protocol names, decided in Python and written at one stroke."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import Any, Final

import asyncpg
import msgspec
from asyncpg.pgproto.pgproto import UUID

from app.redemptions import queries
from app.redemptions.protocol import (
    Asked,
    ChangeOutcome,
    Confirming,
    Decided,
    Draw,
    Grant,
    Hold,
    HoldOutcome,
    Meter,
    Refused,
    Same,
    Taken,
    decide_confirms,
    decide_holds,
    decide_releases,
    expire,
)
from app.redemptions.replies import held_reply

# Expired holds that one batch looks at; where there are more, the next batch goes on.
_EXPIRED_MAX: Final = 500
_SWEPT_AT_ONCE: Final = 500
# How often a batch looks for expired holds on meters that it did not look at before.
_ROUNDS_MAX: Final = 4

_encode = msgspec.json.Encoder().encode
_decode_draws = msgspec.json.Decoder(tuple[Draw, ...]).decode
_decode_grants = msgspec.json.Decoder(tuple[Grant, ...]).decode


class Overtaken(Exception):
    """Another process took a hold of one of the quotes since we looked. Nothing was written; the batch is to be driven again."""


class KnownMeters:
    """The meters that are known to be there, so that they need not be made."""

    _MOST: Final = 100_000

    def __init__(self) -> None:
        self._ids: set[str] = set()

    def unknown(self, draws: Iterable[Draw | Grant]) -> dict[str, str | None]:
        """Of the meters named those that may have to be made, each with its customer."""
        return {draw.meter: draw.customer for draw in draws if draw.meter not in self._ids}

    def add(self, meter_ids: Iterable[str]) -> None:
        """Note meters after a commit."""
        if len(self._ids) > self._MOST:
            self._ids.clear()
        self._ids.update(meter_ids)


def hold_of(row: Mapping[str, Any]) -> Hold:
    """The hold of a row."""
    draws, grants = _decode_draws(row["draws"]), _decode_grants(row["grants"])
    return Hold(row["id"], row["quote_id"], row["order_id"], row["state"], row["expires_ms"], draws, grants, row["ended"])


async def take_holds(
    connection: asyncpg.Connection, asked: Sequence[Asked], known: KnownMeters, *, is_repeated: bool
) -> list[tuple[HoldOutcome, bytes | None]]:
    """Take holds in one transaction; with each outcome the stored reply of its hold, where it has one.

    `is_repeated` says that the same may have been tried before with an outcome that nobody knows. Raises Overtaken.
    """
    async with connection.transaction():
        own_ids = [ask.hold_id for ask in asked] if is_repeated else []
        rows = await connection.fetch(
            queries.LOCK_FOR_HOLDS, [ask.quote_id for ask in asked], [ask.order for ask in asked], own_ids
        )
        named = set(own_ids)
        rows = [row for row in rows if row["state"] != "released" or row["id"] in named]
        replies: dict[UUID, bytes] = {row["id"]: row["reply"] for row in rows}
        existing = [hold_of(row) for row in rows]
        draws = [draw for ask in asked for draw in ask.draws]
        meters, now_ms = await _lock_meters(connection, [*draws, *(draw for hold in existing for draw in hold.draws)], known)
        decided, released, numbers = await _decide(connection, asked, existing, meters, now_ms)
        changed = [*released, *decided.changed]
        if changed:
            await _change_holds(connection, changed, now_ms)
        lefts = {outcome.hold.id: outcome.left for outcome in decided.outcomes if isinstance(outcome, Taken)}
        if decided.taken:
            fresh = {hold.id: held_reply(hold, lefts[hold.id]) for hold in decided.taken}
            replies |= fresh
            stored = await connection.fetchval(
                queries.STORE_HOLDS,
                [hold.id for hold in decided.taken],
                [hold.quote_id for hold in decided.taken],
                [hold.order for hold in decided.taken],
                [hold.state for hold in decided.taken],
                [hold.ended for hold in decided.taken],
                [hold.expires_ms for hold in decided.taken],
                [_encode(hold.draws).decode() for hold in decided.taken],
                [_encode(hold.grants).decode() for hold in decided.taken],
                list(fresh.values()),
            )
            if stored != len(decided.taken):
                raise Overtaken
        await _store_meters(connection, numbers)
    known.add(draw.meter for draw in draws)
    return [(outcome, replies[outcome.hold.id] if isinstance(outcome, Taken | Same) else None) for outcome in decided.outcomes]


async def confirm_holds(
    connection: asyncpg.Connection, asked: Sequence[Confirming], known: KnownMeters
) -> list[tuple[ChangeOutcome, int]]:
    """Confirm holds in one transaction; with each outcome the instant since when its hold is what it is, in milliseconds, 0 where it is refused."""
    async with connection.transaction():
        rows = await connection.fetch(queries.LOCK_FOR_CONFIRMS, [ask.hold_id for ask in asked])
        named = {ask.hold_id for ask in asked}
        rows = [row for row in rows if row["state"] != "released" or row["id"] in named]
        holds = {row["id"]: hold_of(row) for row in rows}
        meters, now_ms = await _lock_meters(connection, _moves_of(holds.values()), known)
        decided = decide_confirms(asked, holds=holds, meters=meters, now_ms=now_ms)
        await _write_changes(connection, decided, now_ms)
    known.add(meters)
    return _with_instants(decided, rows, now_ms)


async def release_holds(
    connection: asyncpg.Connection, hold_ids: Sequence[UUID], known: KnownMeters
) -> list[tuple[ChangeOutcome, int]]:
    """Release holds in one transaction; with each outcome the instant since when its hold is what it is, in milliseconds, 0 where it is refused."""
    async with connection.transaction():
        rows = await connection.fetch(queries.LOCK_HOLDS, list(set(hold_ids)))
        holds = {row["id"]: hold_of(row) for row in rows}
        meters, now_ms = await _lock_meters(connection, _moves_of(holds.values()), known)
        decided = decide_releases(hold_ids, holds=holds, meters=meters, now_ms=now_ms)
        await _write_changes(connection, decided, now_ms)
    return _with_instants(decided, rows, now_ms)


async def sweep(connection: asyncpg.Connection, known: KnownMeters) -> int:
    """Release some expired holds that nobody has locked; returns how many there were, `_SWEPT_AT_ONCE` if there may be more."""
    async with connection.transaction():
        holds = [hold_of(row) for row in await connection.fetch(queries.FIND_TO_SWEEP, _SWEPT_AT_ONCE)]
        if not holds:
            return 0
        meters, now_ms = await _lock_meters(connection, _moves_of(holds), known)
        await _write_changes(connection, expire(holds, meters=meters, now_ms=now_ms), now_ms)
    return len(holds)


async def _decide(
    connection: asyncpg.Connection, asked: Sequence[Asked], existing: list[Hold], meters: dict[str, Meter], now_ms: int
) -> tuple[Decided[HoldOutcome], list[Hold], list[Meter]]:
    """Decide, and where a meter is short release what is expired of it and decide anew.

    Returns also the holds released for that, and all meters with other numbers.
    """
    settled: set[str] = set()
    passed_over: set[str] = set()
    released: list[Hold] = []
    freed: dict[str, Meter] = {}
    brought = {hold.id for hold in existing}
    for rounds in count(1):
        decided = decide_holds(asked, existing=existing, meters=meters, now_ms=now_ms, settled=settled)
        unsettled = decided.unsettled - settled - passed_over
        if not unsettled or rounds == _ROUNDS_MAX:
            break
        expired, others, passed = await _lock_expired(connection, unsettled, brought, meters, now_ms)
        meters |= others
        given_back = expire(expired, meters=meters, now_ms=now_ms)
        brought.update(hold.id for hold in expired)
        released += given_back.changed
        freed |= {meter.id: meter for meter in given_back.meters}
        meters = meters | freed
        passed_over |= passed
        settled |= unsettled - passed
    return decided, released, list((freed | {meter.id: meter for meter in decided.meters}).values())


async def _lock_expired(
    connection: asyncpg.Connection, unsettled: set[str], brought: set[UUID], meters: dict[str, Meter], now_ms: int
) -> tuple[list[Hold], dict[str, Meter], set[str]]:
    """Lock the expired holds of meters, and their other meters, as far as that goes without waiting.

    Returns these holds, the other meters, and the meters of which an expired hold was passed over.
    """
    found = await connection.fetch(queries.FIND_EXPIRED, now_ms, list(unsettled), _EXPIRED_MAX)
    passed = set(unsettled) if len(found) == _EXPIRED_MAX else set()
    wanted = {row["id"]: _decode_draws(row["draws"]) for row in found if row["id"] not in brought}
    if not wanted:
        return [], {}, passed
    holds = [hold_of(row) for row in await connection.fetch(queries.TRY_LOCK_EXPIRED, list(wanted))]
    missing = {draw.meter for hold in holds for draw in hold.draws} - meters.keys()
    others: dict[str, Meter] = {}
    if missing:
        others = {row["id"]: Meter(*row.values()) for row in await connection.fetch(queries.TRY_LOCK_METERS, list(missing))}
    holds = [hold for hold in holds if all(draw.meter in meters or draw.meter in others for draw in hold.draws)]
    for hold_id in wanted.keys() - {hold.id for hold in holds}:
        passed.update(draw.meter for draw in wanted[hold_id])
    return holds, others, passed


async def _lock_meters(
    connection: asyncpg.Connection, moves: Sequence[Draw | Grant], known: KnownMeters
) -> tuple[dict[str, Meter], int]:
    """Make the meters that are not there and lock all, in order of id; returns them and the clock after the last lock."""
    unknown = known.unknown(moves)
    if unknown:
        await connection.execute(queries.MAKE_METERS, list(unknown), list(unknown.values()))
    meter_ids = list({move.meter for move in moves})
    if not meter_ids:
        return {}, await connection.fetchval(queries.READ_CLOCK)
    rows = await connection.fetch(queries.LOCK_METERS, meter_ids)
    assert len(rows) == len(meter_ids)
    return {row[0]: Meter(row[0], row[1], row[2], row[3], row[4], row[5]) for row in rows}, rows[-1]["now_ms"]


def _moves_of(holds: Iterable[Hold]) -> list[Draw | Grant]:
    moves: list[Draw | Grant] = []
    for hold in holds:
        moves += hold.draws
        moves += hold.grants
    return moves


async def _write_changes(connection: asyncpg.Connection, decided: Decided[ChangeOutcome], now_ms: int) -> None:
    if decided.changed:
        await _change_holds(connection, decided.changed, now_ms)
    await _store_meters(connection, decided.meters)


async def _change_holds(connection: asyncpg.Connection, holds: list[Hold], now_ms: int) -> None:
    await connection.execute(
        queries.CHANGE_HOLDS,
        [hold.id for hold in holds],
        [hold.state for hold in holds],
        [hold.ended for hold in holds],
        now_ms,
    )


async def _store_meters(connection: asyncpg.Connection, meters: list[Meter]) -> None:
    if meters:
        await connection.execute(
            queries.STORE_METERS,
            [meter.id for meter in meters],
            [meter.cap_wanted for meter in meters],
            [meter.cap_version for meter in meters],
            [meter.cap for meter in meters],
            [meter.held for meter in meters],
            [meter.used for meter in meters],
        )


def _with_instants(
    decided: Decided[ChangeOutcome], rows: Sequence[Mapping[str, Any]], now_ms: int
) -> list[tuple[ChangeOutcome, int]]:
    changed_ms = {row["id"]: row["changed_ms"] for row in rows} | {hold.id: now_ms for hold in decided.changed}
    return [(outcome, 0 if isinstance(outcome, Refused) else changed_ms[outcome.hold.id]) for outcome in decided.outcomes]
