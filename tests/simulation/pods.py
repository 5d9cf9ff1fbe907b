"""Pods with their lanes, as the lanes run in SQL: one generator a batch, which yields wherever others may come in between."""

from collections import deque
from collections.abc import Iterable, Sequence
from typing import Protocol
from uuid import UUID

from app.redemptions.protocol import (
    Again,
    Asked,
    Confirming,
    Decided,
    Done,
    Hold,
    Meter,
    Refused,
    Same,
    Taken,
    decide_confirms,
    decide_holds,
    decide_releases,
    expire,
    is_expired,
)
from app.redemptions.returning import Returned, Returning, Sold, decide_returns
from tests.simulation.database import Database, Entry, Quote, Reply, Request, Return, Steps, Transaction, Writes
from tests.simulation.laws import Laws

TTL_MS = 900_000


class ConnectionLost(Exception):
    """The pod does not know what became of its transaction."""


class Outside(Protocol):
    """What a pod meets: the network, the disk's temper, ids that nobody else makes."""

    step: int

    def make_id(self) -> UUID: ...

    def tell(self, entry: Entry, reply: Reply) -> None: ...

    def commit(self, transaction: Transaction, writes: Writes) -> None:
        """Commit and end the transaction. Raises ConnectionLost, whatever became of it."""


class Pod:
    """One process: a lane for holds and one for what becomes of them. Its clock may be off."""

    def __init__(self, database: Database, laws: Laws, outside: Outside, skew_ms: int) -> None:
        self.database = database
        self.laws = laws
        self.outside = outside
        self.skew_ms = skew_ms
        self.version = 1
        self.asks: deque[Entry] = deque()
        self.changes: deque[Entry] = deque()
        self.transactions: list[Transaction | None] = [None, None]

    def arrive(self, request: Request, client: int) -> None:
        """Take a request in."""
        lane = self.asks if request.kind == "hold" else self.changes
        lane.append(Entry(request, client, self.outside.make_id(), self.version, self.outside.step))

    def run_holds(self) -> Steps[None]:
        """Work on what waits for the lane of holds, until its outcome is known."""
        batch = list(self.asks)
        self.asks.clear()
        yield from self._drive(0, batch)

    def run_changes(self) -> Steps[None]:
        """Work on what waits for the other lane, as far as it is of one kind."""
        kind = self.changes[0].request.kind
        batch = [entry for entry in self.changes if entry.request.kind == kind]
        self.changes = deque(entry for entry in self.changes if entry.request.kind != kind)
        yield from self._drive(1, batch)

    def _drive(self, lane: int, batch: list[Entry]) -> Steps[None]:
        while True:
            transaction = self.transactions[lane] = Transaction(self.database)
            try:
                yield from self.attempt(transaction, batch)
            except ConnectionLost:
                batch = self.again(batch)
            else:
                self.transactions[lane] = None
                return

    def again(self, batch: list[Entry]) -> list[Entry]:
        """What is driven again when the outcome of a batch is unknown: the same, by the same ids."""
        return batch

    def attempt(self, transaction: Transaction, batch: list[Entry]) -> Steps[None]:
        """One transaction from the first lock to the replies."""
        fresh = yield from self.claim_keys(transaction, batch)
        writes = Writes()
        if fresh:
            kind = fresh[0].request.kind
            if kind == "hold":
                fresh = yield from self.hold(transaction, fresh, writes)
            elif kind == "return":
                yield from self.give_back(transaction, fresh, writes)
            else:
                yield from self.change(transaction, fresh, writes, kind)
        self.store_keys(fresh, writes)
        yield from self.finish(transaction, batch, writes)

    def finish(self, transaction: Transaction, batch: list[Entry], writes: Writes) -> Steps[None]:
        """Commit, and only then reply."""
        yield None
        self.outside.commit(transaction, writes)
        yield None
        self.reply(batch)

    def reply(self, batch: list[Entry]) -> None:
        told: dict[str, Reply] = {}
        for entry in batch:
            key = entry.request.key
            if key is not None and entry.reply is None and key in told:
                entry.reply = told[key]
            if entry.reply is None:
                self.asks.append(entry)
                continue
            if key is not None:
                told[key] = entry.reply
            self.outside.tell(entry, entry.reply)

    def claim_keys(self, transaction: Transaction, batch: list[Entry]) -> Steps[list[Entry]]:
        """Take the keys nobody has used; entries with a used one are answered from what is stored, twins with the first of them."""
        fresh: dict[object, Entry] = {}
        for number, entry in enumerate(batch):
            entry.reply = None
            fresh.setdefault(entry.request.key or number, entry)
        for key in sorted({entry.request.key for entry in batch if entry.request.key is not None}):
            if key not in self.database.keys:
                yield from transaction.lock((("key", key),))
        for entry in batch:
            if entry.request.key in self.database.keys:
                entry.reply = self.database.keys[entry.request.key]
        return [entry for entry in fresh.values() if entry.reply is None]

    def store_keys(self, fresh: list[Entry], writes: Writes) -> None:
        """Store replies by key in the transaction of their effect, refusals too."""
        for entry in fresh:
            if entry.request.key is not None and entry.reply is not None:
                writes.keys[entry.request.key] = entry.reply

    def hold(self, transaction: Transaction, fresh: list[Entry], writes: Writes) -> Steps[list[Entry]]:
        """Decide what is asked, as far as its quotes could be claimed or its holds be found; the others come again."""
        claimed = yield from self.claim_quotes(transaction, fresh)
        yield None
        existing = yield from self.lock_existing(transaction, fresh)
        found = {hold.quote_id for hold in existing} | claimed
        ids = {hold.id for hold in existing}
        fresh = [entry for entry in fresh if entry.id in ids or _quote(entry).id in found]
        asked = [self.ask(entry) for entry in fresh]
        yield from self.lock_meters(transaction, [*(d.meter for a in asked for d in a.draws), *_meters_of(existing)])
        now_ms = self.read_clock(transaction)
        meters = self.read_meters()
        settled: set[str] = set()
        passed_over: set[str] = set()
        brought = {hold.id for hold in existing}
        while True:
            decided = self.decide_holds(asked, existing, meters, now_ms, settled)
            unsettled = decided.unsettled - settled - passed_over
            if not unsettled:
                break
            released, passed = self.release_expired(transaction, unsettled, brought, meters, now_ms)
            brought.update(hold.id for hold in released.changed)
            meters = meters | {meter.id: meter for meter in released.meters}
            writes.changed += released.changed
            writes.meters |= {meter.id: meter for meter in released.meters}
            passed_over |= passed
            settled |= unsettled - passed
        writes.seen = self.laws.check_decided(fresh, asked, decided)
        self.note_holds(fresh, decided, writes)
        return fresh

    def note_holds(self, fresh: list[Entry], decided: Decided[Taken | Same | Refused | Again], writes: Writes) -> None:
        stored = {hold.id: hold for hold in decided.taken}
        replies: dict[UUID, Reply] = {}
        for entry, outcome in zip(fresh, decided.outcomes, strict=True):
            if isinstance(outcome, Taken):
                hold = outcome.hold
                entry.reply = replies[hold.id] = Reply("held", hold.id, (hold.expires_ms, *outcome.left))
                writes.taken.append((entry, stored[hold.id], entry.reply))
            elif isinstance(outcome, Same):
                entry.reply = replies.get(outcome.hold.id) or self.database.hold_replies[outcome.hold.id]
            elif isinstance(outcome, Refused):
                entry.reply = Reply(outcome.reason, None, outcome.short)
        writes.changed += decided.changed
        writes.meters |= {meter.id: meter for meter in decided.meters}

    def ask(self, entry: Entry) -> Asked:
        """The hold that is asked for, drawing by the version of the book that the pod had."""
        quote = _quote(entry)
        return Asked(entry.id, quote.id, entry.request.order, quote.expires_ms, TTL_MS, quote.draws[entry.version], quote.grants)

    def decide_holds(
        self, asked: Sequence[Asked], existing: list[Hold], meters: dict[str, Meter], now_ms: int, settled: set[str]
    ) -> Decided[Taken | Same | Refused | Again]:
        return decide_holds(asked, existing=existing, meters=meters, now_ms=now_ms, settled=settled)

    def claim_quotes(self, transaction: Transaction, fresh: list[Entry]) -> Steps[set[UUID]]:
        """Insert a hold for each quote, in order of quote, where the quote has none; wait for who inserts one at the same time."""
        claimed = set()
        for quote_id in sorted({_quote(entry).id for entry in fresh}):
            if self.database.live_hold_of_quote(quote_id) is None:
                yield from transaction.lock((("quote", quote_id),))
                if self.database.live_hold_of_quote(quote_id) is None:
                    claimed.add(quote_id)
        return claimed

    def lock_existing(self, transaction: Transaction, fresh: list[Entry]) -> Steps[list[Hold]]:
        """Lock the holds of these quotes and orders, and those with the asked ids: read again when the lock is got."""
        quotes = {_quote(entry).id for entry in fresh}
        orders = {entry.request.order for entry in fresh}
        ids = {entry.id for entry in fresh}

        def matches(hold: Hold) -> bool:
            return hold.id in ids or (hold.state != "released" and (hold.quote_id in quotes or hold.order in orders))

        return (
            yield from self._lock_matching(transaction, [hold.id for hold in self.database.holds.values() if matches(hold)], ids)
        )

    def _lock_matching(self, transaction: Transaction, hold_ids: list[UUID], ids: set[UUID]) -> Steps[list[Hold]]:
        hold_ids.sort()
        yield from transaction.lock(hold_ids)
        holds = [self.database.holds[hold_id] for hold_id in hold_ids]
        return [hold for hold in holds if hold.state != "released" or hold.id in ids]

    def lock_meters(self, transaction: Transaction, meter_ids: list[str]) -> Steps[None]:
        """Lock meters in order of id."""
        for meter_id in sorted(set(meter_ids)):
            yield from transaction.lock((meter_id,))
            yield None

    def read_meters(self) -> dict[str, Meter]:
        """The meters as committed."""
        return dict(self.database.meters)

    def read_clock(self, transaction: Transaction) -> int:
        """The database's clock, now that everything is locked."""
        return self.database.now_ms

    def release_expired(
        self, transaction: Transaction, unsettled: set[str], brought: set[UUID], meters: dict[str, Meter], now_ms: int
    ) -> tuple[Decided[Done | Same | Refused], set[str]]:
        """Release the expired holds of meters, without waiting, and tell the meters of which one was passed over."""
        passed: set[str] = set()
        found = []
        for hold in self.database.holds.values():
            if not is_expired(hold, now_ms) or hold.id in brought or unsettled.isdisjoint(_meters_of([hold])):
                continue
            if transaction.try_lock(hold.id) and all(transaction.try_lock(meter_id) for meter_id in _meters_of([hold])):
                found.append(hold)
            else:
                passed.update(_meters_of([hold]))
        return expire(found, meters=meters, now_ms=now_ms), passed

    def change(self, transaction: Transaction, fresh: list[Entry], writes: Writes, kind: str) -> Steps[None]:
        """Confirm or release."""
        holds = yield from self.lock_holds(transaction, fresh, is_of_orders=kind == "confirm")
        yield None
        yield from self.lock_meters(transaction, _meters_of(holds.values()))
        now_ms = self.read_clock(transaction)
        decided = (
            self.decide_confirms([Confirming(_hold_id(entry), entry.request.order) for entry in fresh], holds, now_ms)
            if kind == "confirm"
            else self.decide_releases([_hold_id(entry) for entry in fresh], holds, now_ms)
        )
        for entry, outcome in zip(fresh, decided.outcomes, strict=True):
            if isinstance(outcome, Refused):
                entry.reply = Reply(outcome.reason, entry.request.hold_id, outcome.short)
            else:
                entry.reply = Reply("used" if kind == "confirm" else "released", outcome.hold.id)
        writes.changed += decided.changed
        writes.meters |= {meter.id: meter for meter in decided.meters}

    def decide_confirms(self, asked: list[Confirming], holds: dict[UUID, Hold], now_ms: int) -> Decided[Done | Same | Refused]:
        return decide_confirms(asked, holds=holds, meters=self.read_meters(), now_ms=now_ms)

    def decide_releases(self, asked: list[UUID], holds: dict[UUID, Hold], now_ms: int) -> Decided[Done | Same | Refused]:
        return decide_releases(asked, holds=holds, meters=self.read_meters(), now_ms=now_ms)

    def lock_holds(self, transaction: Transaction, fresh: list[Entry], *, is_of_orders: bool) -> Steps[dict[UUID, Hold]]:
        """Lock the holds that are named, and for confirms all that their orders hold."""
        named = {_hold_id(entry) for entry in fresh}
        stored = self.database.holds
        orders = {stored[hold_id].order for hold_id in named if hold_id in stored} if is_of_orders else ()
        wanted = [hold.id for hold in stored.values() if hold.id in named or (hold.state != "released" and hold.order in orders)]
        return {hold.id: hold for hold in (yield from self._lock_matching(transaction, wanted, named))}

    def give_back(self, transaction: Transaction, fresh: list[Entry], writes: Writes) -> Steps[None]:
        """Return lines."""
        holds = yield from self.lock_holds(transaction, fresh, is_of_orders=False)
        yield None
        yield from self.lock_meters(transaction, _meters_of(holds.values()))
        asked = [Returning(entry.id, _hold_id(entry), entry.request.milli or {}) for entry in fresh]
        sold = {hold_id: self.read_sold(hold_id, entry) for hold_id, entry in {_hold_id(entry): entry for entry in fresh}.items()}
        decided = decide_returns(asked, holds=holds, sold=sold, meters=self.read_meters())
        for entry, outcome in zip(fresh, decided.outcomes, strict=True):
            if isinstance(outcome, Returned):
                entry.reply = Reply("returned", entry.id, (outcome.given, outcome.withdrawn, outcome.missing))
                made = Return(entry.id, outcome.hold.id, entry.request.milli or {}, outcome.given, outcome.withdrawn, entry.reply)
                writes.returns.append((entry, made))
            elif isinstance(outcome, Same):
                entry.reply = self.database.returns[entry.id].reply
            else:
                entry.reply = Reply(outcome.reason, entry.request.hold_id, outcome.short)
        writes.meters |= {meter.id: meter for meter in decided.meters}

    def read_sold(self, hold_id: UUID, entry: Entry) -> Sold:
        """What the hold sold and what came back of it, read under its lock."""
        returned: dict[str, int] = {}
        ids = set()
        for made in self.database.returns.values():
            if made.hold_id == hold_id:
                ids.add(made.id)
                for line, milli in made.milli.items():
                    returned[line] = returned.get(line, 0) + milli
        return Sold(_quote(entry).sold_milli, returned, ids)

    def sweep(self) -> Steps[None]:
        """Release a few expired holds, in order of id, passing over those that somebody has locked."""
        transaction = Transaction(self.database)
        now_ms = self.database.now_ms
        found = sorted(hold.id for hold in self.database.holds.values() if is_expired(hold, now_ms))
        yield from self.release_found(transaction, [hold_id for hold_id in found if transaction.try_lock(hold_id)])

    def release_found(self, transaction: Transaction, hold_ids: list[UUID]) -> Steps[None]:
        brought = [self.database.holds[hold_id] for hold_id in hold_ids]
        yield None
        yield from self.lock_meters(transaction, _meters_of(brought))
        decided = expire(brought, meters=self.read_meters(), now_ms=self.database.now_ms)
        yield None
        try:
            self.outside.commit(
                transaction, Writes(changed=decided.changed, meters={meter.id: meter for meter in decided.meters})
            )
        except ConnectionLost:
            return


def _quote(entry: Entry) -> Quote:
    quote = entry.request.quote
    assert quote is not None
    return quote


def _hold_id(entry: Entry) -> UUID:
    assert entry.request.hold_id is not None
    return entry.request.hold_id


def _meters_of(holds: Iterable[Hold]) -> list[str]:
    return [meter for hold in holds for meter in (*[draw.meter for draw in hold.draws], *[grant.meter for grant in hold.grants])]
