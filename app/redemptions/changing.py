"""Confirms, releases and returns: one transaction for a batch."""

import json
from collections.abc import Sequence
from itertools import groupby
from uuid import UUID

import asyncpg

from app.redemptions import queries
from app.redemptions.entries import Answer, ChangeEntry
from app.redemptions.keys import answer_repeated, write_keys
from app.redemptions.locked import Meters, lock_holds, write
from app.redemptions.problems import problem_of
from app.redemptions.protocol import (
    ChangeOutcome,
    Confirming,
    Decided,
    Hold,
    Meter,
    Refused,
    Same,
    decide_confirms,
    decide_releases,
)
from app.redemptions.records import SEPARATOR, changed_reply, instant_of, returned_reply
from app.redemptions.returning import Returned, Returning, ReturnOutcome, Sold, decide_returns


class Changing:
    """Drives batches of confirms, releases and returns; one object a lane."""

    def __init__(self) -> None:
        self._meters = Meters()

    async def run(self, connection: asyncpg.Connection, entries: Sequence[ChangeEntry]) -> None:
        """Give each entry its outcome. Raises Raced, and whatever asyncpg raises."""
        for entry in entries:
            entry.outcome = None
        await answer_repeated(connection, entries)
        asked = [entry for entry in entries if entry.outcome is None]
        if not asked:
            return
        async with connection.transaction():
            batch = await _Batch.locked(connection, asked, self._meters)
            # In the order in which they came, so that a release behind a confirm finds it confirmed.
            for kind, of_kind in groupby(asked, key=lambda entry: entry.kind):
                batch.decide(kind, list(of_kind))
            await batch.write(connection)
            await write_keys(connection, asked, instant_of(batch.now_ms))


class _Batch:
    """The holds, returns and meters of a batch, as locked and then as decided."""

    def __init__(self) -> None:
        self.now_ms = 0
        self._holds: dict[UUID, Hold] = {}
        self._changed_ms: dict[UUID, int] = {}
        self._sold: dict[UUID, Sold] = {}
        self._replies: dict[UUID, bytes] = {}  # of returns that were made before
        self._meters: dict[str, Meter] = {}
        self._numbers: dict[str, Meter] = {}
        self._changed: list[Hold] = []
        self._returns: list[tuple[ChangeEntry, Returned, bytes]] = []

    @classmethod
    async def locked(cls, connection: asyncpg.Connection, entries: Sequence[ChangeEntry], meters: Meters) -> "_Batch":
        batch = cls()
        rows = await connection.fetch(queries.HOLDS_TO_CHANGE, list({entry.hold_id for entry in entries}))
        stored = await lock_holds(connection, [row["id"] for row in rows])
        batch._holds = {hold_id: one.hold for hold_id, one in stored.items()}
        batch._changed_ms = {hold_id: one.changed_ms for hold_id, one in stored.items()}
        returning = [entry.hold_id for entry in entries if entry.kind == "return" and entry.hold_id in stored]
        if returning:
            back: dict[UUID, dict[str, int]] = {hold_id: {} for hold_id in returning}
            ids: dict[UUID, list[UUID]] = {hold_id: [] for hold_id in returning}
            for row in await connection.fetch(queries.RETURNS_OF, returning):
                ids[row["hold_id"]].append(row["id"])
                batch._replies[row["id"]] = row["reply"]
                for line, milli in json.loads(row["lines"]).items():
                    back[row["hold_id"]][line] = back[row["hold_id"]].get(line, 0) + milli
            batch._sold = {hold_id: Sold(stored[hold_id].sold_milli, back[hold_id], ids[hold_id]) for hold_id in back}
        batch._meters, batch.now_ms = await meters.lock(connection, batch._holds.values())
        return batch

    def decide(self, kind: str, entries: Sequence[ChangeEntry]) -> None:
        """Decide entries of one kind."""
        meters = self._meters | self._numbers
        if kind == "return":
            returned = decide_returns(
                [Returning(entry.return_id, entry.hold_id, entry.milli) for entry in entries],
                holds=self._holds,
                sold=self._sold,
                meters=meters,
            )
            self._keep(returned)
            for entry, outcome in zip(entries, returned.outcomes, strict=True):
                self._answer_return(entry, outcome)
            return
        if kind == "confirm":
            confirms = [Confirming(entry.hold_id, entry.order) for entry in entries]
            decided = decide_confirms(confirms, holds=self._holds, meters=meters, now_ms=self.now_ms)
        else:
            decided = decide_releases([entry.hold_id for entry in entries], holds=self._holds, meters=meters, now_ms=self.now_ms)
        self._keep(decided)
        for entry, changed in zip(entries, decided.outcomes, strict=True):
            self._answer(entry, changed)

    def _keep[O](self, decided: Decided[O]) -> None:
        self._changed += decided.changed
        self._numbers |= {meter.id: meter for meter in decided.meters}
        self._holds |= {hold.id: hold for hold in decided.changed}
        self._changed_ms |= dict.fromkeys([hold.id for hold in decided.changed], self.now_ms)

    def _answer(self, entry: ChangeEntry, outcome: ChangeOutcome) -> None:
        if isinstance(outcome, Refused):
            entry.outcome = problem_of(outcome)
            return
        reply = changed_reply(outcome.hold, self._changed_ms[outcome.hold.id])
        entry.outcome = Answer(200, reply, is_replay=isinstance(outcome, Same))

    def _answer_return(self, entry: ChangeEntry, outcome: ReturnOutcome) -> None:
        match outcome:
            case Refused():
                entry.outcome = problem_of(outcome)
            case Returned():
                reply = returned_reply(outcome, entry.lines, self.now_ms)
                self._replies[entry.return_id] = reply
                self._returns.append((entry, outcome, reply))
                entry.outcome = Answer(201, reply)
                sold = self._sold[entry.hold_id]
                back = {line: sold.returned_milli.get(line, 0) + milli for line, milli in entry.milli.items()}
                self._sold[entry.hold_id] = sold._replace(returned_milli={**sold.returned_milli, **back})
            case Same():
                entry.outcome = Answer(201, self._replies[entry.return_id], is_replay=True)

    async def write(self, connection: asyncpg.Connection) -> None:
        """Write what was decided."""
        await write(connection, meters=self._numbers, changed=self._changed, now_ms=self.now_ms)
        if self._returns:
            await connection.execute(
                queries.ADD_RETURNS,
                [entry.hold_id for entry, _, _ in self._returns],
                [entry.return_id for entry, _, _ in self._returns],
                [json.dumps(dict(entry.milli)) for entry, _, _ in self._returns],
                [SEPARATOR.join([one.meter for one in returned.given]) for _, returned, _ in self._returns],
                [SEPARATOR.join([str(one.amount) for one in returned.given]) for _, returned, _ in self._returns],
                [reply for _, _, reply in self._returns],
                instant_of(self.now_ms),
            )
