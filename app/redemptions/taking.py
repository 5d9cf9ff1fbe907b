"""Taking holds: one transaction for a batch, as protocol.py says it must be done."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from app.errors import Unavailable
from app.redemptions import queries
from app.redemptions.entries import Answer, Drawn, FindDraws, HoldEntry
from app.redemptions.keys import Raced, answer_repeated, write_keys
from app.redemptions.locked import Meters, lock_holds, write
from app.redemptions.problems import problem_of
from app.redemptions.protocol import Again, Asked, Hold, HoldOutcome, Meter, Refused, Same, Taken, decide_holds, expire
from app.redemptions.records import Stored, hold_columns, instant_of, stored_hold, taken_reply

_EXPIRED_MAX: Final = 500


class Taking:
    """Drives batches of holds; one object a lane."""

    def __init__(self, find_draws: FindDraws) -> None:
        self._find_draws = find_draws
        self._meters = Meters()
        # Meters of expired holds that were in the way and could not be released, because not all they hold was locked.
        self._also: set[str] = set()

    async def run(self, connection: asyncpg.Connection, entries: Sequence[HoldEntry]) -> None:
        """Give each entry its outcome, but for those that have to be asked again. Raises Raced, and whatever asyncpg raises."""
        for entry in entries:
            entry.outcome = None
        await answer_repeated(connection, entries)
        asked = [entry for entry in entries if entry.outcome is None]
        drawn = await self._drawn(connection, asked)
        async with connection.transaction():
            open_entries = [entry for entry in asked if entry.outcome is None]
            at = await self._take(connection, open_entries, drawn) if open_entries else None
            done = [entry for entry in asked if entry.outcome is not None]
            if any(entry.key is not None for entry in done):
                await write_keys(connection, done, at or instant_of(await connection.fetchval(queries.NOW)))

    async def _drawn(self, connection: asyncpg.Connection, entries: Sequence[HoldEntry]) -> Mapping[UUID, Drawn]:
        """What the entries' quotes draw on, by quote; entries that cannot be taken for it get their refusal."""
        ids = list({entry.quote_id for entry in entries})
        if not ids:
            return {}
        found = await self._find_draws(connection, ids)
        for entry in entries:
            drawn = found.get(entry.quote_id)
            if drawn is None and entry.is_promised:
                # Given while the database was away: it waits in the log of the process that gave it.
                entry.outcome = Unavailable("The quote is not stored yet. Send the request again.")
            elif drawn is None:
                entry.outcome = problem_of(Refused("unknown_quote"))
            elif drawn.needs_customer:
                entry.outcome = problem_of(Refused("customer_needed", drawn.needs_customer))
        return found

    async def _take(self, connection: asyncpg.Connection, entries: Sequence[HoldEntry], drawn: Mapping[UUID, Drawn]) -> datetime:
        rows = await self._find(connection, entries)
        existing = await lock_holds(connection, [row["id"] for row in rows])
        holds = [stored.hold for stored in existing.values()]
        asks = [_asked(entry, drawn[entry.quote_id]) for entry in entries]
        meters, now_ms = await self._meters.lock(connection, (*asks, *holds), self._also)
        decided = decide_holds(asks, existing=holds, meters=meters, now_ms=now_ms)
        changed: list[Hold] = []
        numbers: dict[str, Meter] = {}
        if decided.unsettled:
            settled = await self._release_expired(connection, decided.unsettled, list(existing), meters, now_ms, changed, numbers)
            decided = decide_holds(asks, existing=holds, meters=meters | numbers, now_ms=now_ms, settled=settled)
        else:
            self._also.clear()
        numbers |= {meter.id: meter for meter in decided.meters}
        await write(connection, meters=numbers, changed=[*changed, *decided.changed], now_ms=now_ms)
        await self._add(connection, entries, decided.outcomes, decided.taken, drawn, existing, now_ms)
        return instant_of(now_ms)

    async def _find(self, connection: asyncpg.Connection, entries: Sequence[HoldEntry]) -> Sequence[Mapping[str, UUID]]:
        """The ids of holds that are in the way of these, or are these."""
        of_quotes, of_orders = [entry.quote_id for entry in entries], [entry.order for entry in entries]
        tried = [entry.hold_id for entry in entries if entry.is_tried]
        for entry in entries:
            entry.is_tried = True
        if tried:
            found: list[Mapping[str, UUID]] = await connection.fetch(queries.HOLDS_TO_TAKE_AGAIN, of_quotes, of_orders, tried)
        else:
            found = await connection.fetch(queries.HOLDS_TO_TAKE, of_quotes, of_orders)
        return found

    async def _release_expired(
        self,
        connection: asyncpg.Connection,
        unsettled: set[str],
        brought: list[UUID],
        meters: dict[str, Meter],
        now_ms: int,
        changed: list[Hold],
        numbers: dict[str, Meter],
    ) -> set[str]:
        """Release the expired holds of meters that are short, as far as nobody else has them; gives the meters that have none left."""
        rows = await connection.fetch(queries.LOCK_EXPIRED, list(unsettled), brought, _EXPIRED_MAX)
        expired = [stored_hold(row).hold for row in rows]
        ended = expire(expired, meters=meters, now_ms=now_ms)
        changed += ended.changed
        numbers |= {meter.id: meter for meter in ended.meters}
        gone = {hold.id for hold in ended.changed}
        self._also = {draw.meter for hold in expired if hold.id not in gone for draw in hold.draws}
        passed_over = await connection.fetch(queries.EXPIRED_METERS, instant_of(now_ms), list(unsettled), [*brought, *gone])
        return unsettled - {row["meter"] for row in passed_over}

    async def _add(
        self,
        connection: asyncpg.Connection,
        entries: Sequence[HoldEntry],
        outcomes: Sequence[HoldOutcome],
        taken: Sequence[Hold],
        drawn: Mapping[UUID, Drawn],
        existing: dict[UUID, Stored],
        now_ms: int,
    ) -> None:
        """Add the new holds and give the entries their outcomes. Raises Raced where a quote was taken meanwhile."""
        replies = {outcome.hold.id: taken_reply(outcome.hold, outcome.left) for outcome in outcomes if isinstance(outcome, Taken)}
        if taken:
            columns = hold_columns([(hold, drawn[hold.quote_id].sold_milli, replies[hold.id]) for hold in taken])
            try:
                await connection.execute(queries.ADD_HOLDS, *columns, instant_of(now_ms))
            except asyncpg.UniqueViolationError as error:
                raise Raced from error
        for entry, outcome in zip(entries, outcomes, strict=True):
            match outcome:
                case Taken(hold):
                    entry.outcome = Answer(201, replies[hold.id])
                case Same(hold):
                    reply = replies[hold.id] if hold.id in replies else existing[hold.id].reply
                    entry.outcome = Answer(201, reply, is_replay=hold.id != entry.hold_id)
                case Refused():
                    entry.outcome = problem_of(outcome)
                case Again():
                    pass


def _asked(entry: HoldEntry, drawn: Drawn) -> Asked:
    return Asked(entry.hold_id, entry.quote_id, entry.order, drawn.expires_ms, entry.ttl_ms, drawn.draws, drawn.grants)
