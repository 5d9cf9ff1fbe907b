"""Bugs of the protocol, planted one at a time: each a pod that does one thing wrong."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Final
from uuid import UUID

from app.redemptions.protocol import (
    Asked,
    Confirming,
    Decided,
    Done,
    Hold,
    HoldOutcome,
    Meter,
    Refused,
    Same,
    decide_confirms,
    decide_holds,
    expire,
    is_expired,
)
from app.redemptions.returning import Sold
from tests.simulation.database import Entry, Reply, Steps, Transaction, Writes
from tests.simulation.pods import ConnectionLost, Pod

type Holding = Decided[HoldOutcome]
type Changing = Decided[Done | Same | Refused]


class ChecksThenActs(Pod):
    """Reads the meters, decides and writes what it decided, without a lock."""

    def lock_meters(self, transaction: Transaction, meter_ids: list[str]) -> Steps[None]:
        yield None


class LocksInOrderOfArrival(Pod):
    """Locks meters as they are named."""

    def lock_meters(self, transaction: Transaction, meter_ids: list[str]) -> Steps[None]:
        for meter_id in (*meter_ids[::-1],) if self.skew_ms > 0 else meter_ids:
            if self.database.locks.get(meter_id) is not transaction:
                yield from transaction.lock((meter_id,))
            yield None


class TrustsItsClock(Pod):
    """Decides what is expired by the pod's clock."""

    def read_clock(self, transaction: Transaction) -> int:
        return self.database.now_ms + self.skew_ms


class ReadsTheClockFirst(Pod):
    """Reads the database's clock when the transaction begins, as `now()` does."""

    began_ms = 0

    def attempt(self, transaction: Transaction, batch: list[Entry]) -> Steps[None]:
        self.began_ms = self.database.now_ms
        yield from super().attempt(transaction, batch)

    def read_clock(self, transaction: Transaction) -> int:
        return self.began_ms


class RepliesBeforeTheCommit(Pod):
    """Replies once everything is decided."""

    def finish(self, transaction: Transaction, batch: list[Entry], writes: Writes) -> Steps[None]:
        for entry in batch:
            if entry.reply is not None:
                self.outside.tell(entry, entry.reply)
        yield None
        self.outside.commit(transaction, writes)


class DrivesAgainByNewIds(Pod):
    """Makes new ids when it does not know what became of a batch."""

    def again(self, batch: list[Entry]) -> list[Entry]:
        for entry in batch:
            entry.id = self.outside.make_id()
        return batch


class StoresKeysAfterTheCommit(Pod):
    """Writes keys in a transaction of their own."""

    def store_keys(self, fresh: list[Entry], writes: Writes) -> None:
        self._keys: dict[str, Reply] = {}
        for entry in fresh:
            if entry.request.key is not None and entry.reply is not None:
                self._keys[entry.request.key] = entry.reply

    def finish(self, transaction: Transaction, batch: list[Entry], writes: Writes) -> Steps[None]:
        keys = self._keys
        yield None
        self.outside.commit(transaction, writes)
        yield None
        self.outside.commit(Transaction(self.database), Writes(keys=keys))
        self.reply(batch)


class StoresNoRefusals(Pod):
    """Stores by key what was done only."""

    def store_keys(self, fresh: list[Entry], writes: Writes) -> None:
        super().store_keys(fresh, writes)
        writes.keys = {key: reply for key, reply in writes.keys.items() if reply.said in {"held", "used", "released", "returned"}}


class ReleasesTwice(Pod):
    """Gives back what was given back already."""

    def decide_releases(self, asked: list[UUID], holds: dict[UUID, Hold], now_ms: int) -> Changing:
        decided = super().decide_releases(asked, holds, now_ms)
        meters = self.read_meters() | {meter.id: meter for meter in decided.meters}
        for outcome in decided.outcomes:
            if isinstance(outcome, Same):
                for draw in outcome.hold.draws:
                    meter = meters[draw.meter]
                    meters[draw.meter] = replace(meter, held=max(0, meter.held - draw.amount))
        decided.meters = list(meters.values())
        return decided


class ConfirmsWhatIsExpired(Pod):
    """Looks at the state of a hold only."""

    def decide_confirms(self, asked: list[Confirming], holds: dict[UUID, Hold], now_ms: int) -> Changing:
        return decide_confirms(asked, holds=holds, meters=self.read_meters(), now_ms=0)


class ConfirmsWithoutALock(Pod):
    """Reads the holds it confirms or releases before it has them."""

    def lock_holds(self, transaction: Transaction, fresh: list[Entry], *, is_of_orders: bool) -> Steps[dict[UUID, Hold]]:
        yield None
        return {
            entry.request.hold_id: self.database.holds[entry.request.hold_id]
            for entry in fresh
            if entry.request.hold_id is not None
        }


class ConfirmsAnOrderTwice(Pod):
    """Brings the hold that is confirmed and none of the others of its order."""

    def lock_holds(self, transaction: Transaction, fresh: list[Entry], *, is_of_orders: bool) -> Steps[dict[UUID, Hold]]:
        return (yield from super().lock_holds(transaction, fresh, is_of_orders=False))


class TakesAPart(Pod):
    """Keeps what it took from the first meters when a later one is short."""

    def decide_holds(
        self, asked: Sequence[Asked], existing: list[Hold], meters: dict[str, Meter], now_ms: int, settled: set[str]
    ) -> Holding:
        decided = super().decide_holds(asked, existing, meters, now_ms, settled)
        numbers = meters | {meter.id: meter for meter in decided.meters}
        for ask, outcome in zip(asked, decided.outcomes, strict=True):
            if isinstance(outcome, Refused) and outcome.reason == "limit_reached":
                first = numbers[ask.draws[0].meter]
                if first.left >= ask.draws[0].amount:
                    numbers[first.id] = replace(first, held=first.held + ask.draws[0].amount)
        decided.meters = list(numbers.values())
        return decided


class FollowsAnyCap(Pod):
    """Takes the cap of whichever version asks."""

    def decide_holds(
        self, asked: Sequence[Asked], existing: list[Hold], meters: dict[str, Meter], now_ms: int, settled: set[str]
    ) -> Holding:
        lowest = {
            meter_id: replace(meter, cap_version=-1) if meter_id != "points" else meter for meter_id, meter in meters.items()
        }
        return super().decide_holds(asked, existing, lowest, now_ms, settled)


class CountsRetriesAnew(Pod):
    """Does not look for the holds that there are."""

    def lock_existing(self, transaction: Transaction, fresh: list[Entry]) -> Steps[list[Hold]]:
        yield None
        return []

    def claim_quotes(self, transaction: Transaction, fresh: list[Entry]) -> Steps[set[UUID]]:
        yield None
        return {entry.request.quote.id for entry in fresh if entry.request.quote is not None}


class BlocksItsOwnRetry(Pod):
    """Does not look for what the order holds of another quote."""

    def lock_existing(self, transaction: Transaction, fresh: list[Entry]) -> Steps[list[Hold]]:
        existing = yield from super().lock_existing(transaction, fresh)
        quotes = {entry.request.quote.id for entry in fresh if entry.request.quote is not None}
        return [hold for hold in existing if hold.quote_id in quotes]


class RefusesThoughSomeAreExpired(Pod):
    """Leaves expired holds to the sweeper."""

    def decide_holds(
        self, asked: Sequence[Asked], existing: list[Hold], meters: dict[str, Meter], now_ms: int, settled: set[str]
    ) -> Holding:
        return decide_holds(asked, existing=existing, meters=meters, now_ms=now_ms, settled=meters.keys())


class RefusesThoughSomeWerePassedOver(Pod):
    """Takes expired holds that somebody has locked for live ones."""

    def release_expired(
        self, transaction: Transaction, unsettled: set[str], brought: set[UUID], meters: dict[str, Meter], now_ms: int
    ) -> tuple[Changing, set[str]]:
        released, _ = super().release_expired(transaction, unsettled, brought, meters, now_ms)
        return released, set()


class ReleasesTheSameExpiredTwice(Pod):
    """Looks for expired holds among those that it has brought already, too."""

    def release_expired(
        self, transaction: Transaction, unsettled: set[str], brought: set[UUID], meters: dict[str, Meter], now_ms: int
    ) -> tuple[Changing, set[str]]:
        holds = [hold for hold in self.database.holds.values() if hold.id in brought and is_expired(hold, now_ms)]
        released, passed = super().release_expired(transaction, unsettled, brought, meters, now_ms)
        more = expire(holds, meters=meters | {meter.id: meter for meter in released.meters}, now_ms=now_ms)
        released.changed += more.changed
        released.meters += more.meters
        return released, passed


class HonoursNoGrace(Pod):
    """Believes that all pods' clocks are right."""

    def ask(self, entry: Entry) -> Asked:
        ask = super().ask(entry)
        return ask._replace(quote_expires_ms=ask.quote_expires_ms - 120_000)


class ReturnsWhatWasReturned(Pod):
    """Does not look at earlier returns."""

    def read_sold(self, hold_id: UUID, entry: Entry) -> Sold:
        return super().read_sold(hold_id, entry)._replace(returned_milli={})


class SweepsWithoutALock(Pod):
    """Releases the holds that it found expired, whatever became of them since."""

    def sweep(self) -> Steps[None]:
        transaction = Transaction(self.database)
        yield from self.release_found(
            transaction, [hold.id for hold in self.database.holds.values() if is_expired(hold, self.database.now_ms)]
        )


class SweepsEarly(Pod):
    """Finds expired holds by the pod's clock and releases them without another look."""

    def sweep(self) -> Steps[None]:
        transaction = Transaction(self.database)
        now_ms = self.database.now_ms + self.skew_ms
        brought = [hold for hold in self.database.holds.values() if is_expired(hold, now_ms) and transaction.try_lock(hold.id)]
        yield from self.lock_meters(transaction, _meters_of(brought))
        decided = expire(brought, meters=self.read_meters(), now_ms=now_ms)
        try:
            self.outside.commit(
                transaction, Writes(changed=decided.changed, meters={meter.id: meter for meter in decided.meters})
            )
        except ConnectionLost:
            return


def _meters_of(holds: Iterable[Hold]) -> list[str]:
    return [draw.meter for hold in holds for draw in hold.draws]


DEFECTS: Final[Sequence[type[Pod]]] = (
    ChecksThenActs,
    LocksInOrderOfArrival,
    TrustsItsClock,
    ReadsTheClockFirst,
    RepliesBeforeTheCommit,
    DrivesAgainByNewIds,
    StoresKeysAfterTheCommit,
    StoresNoRefusals,
    ReleasesTwice,
    ConfirmsWhatIsExpired,
    ConfirmsWithoutALock,
    ConfirmsAnOrderTwice,
    TakesAPart,
    FollowsAnyCap,
    CountsRetriesAnew,
    BlocksItsOwnRetry,
    RefusesThoughSomeAreExpired,
    RefusesThoughSomeWerePassedOver,
    ReleasesTheSameExpiredTwice,
    HonoursNoGrace,
    ReturnsWhatWasReturned,
    SweepsWithoutALock,
    SweepsEarly,
)
