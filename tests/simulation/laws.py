"""The laws: what has to be true after each step, told from the holds and from what clients were told, not from the meters' numbers."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from uuid import UUID

from app.redemptions.protocol import Again, Asked, Decided, Hold, HoldOutcome, Refused, Taken
from tests.simulation.database import SOLD_MILLI, Database, Entry, Reply, Transaction, Writes


class Violation(AssertionError):
    """A law was broken."""


def _is_live(hold: Hold, now_ms: int) -> bool:
    return hold.state == "held" and hold.expires_ms > now_ms


def _add(amounts: dict[str, int], hold: Hold, sign: int) -> None:
    for draw in hold.draws:
        amounts[draw.meter] = amounts.get(draw.meter, 0) + sign * draw.amount


class Laws:
    """Watches a database and what clients are told."""

    def __init__(self, database: Database, caps: Sequence[dict[str, int]], balance: int) -> None:
        self._database = database
        self._caps = caps
        self._seen_version: dict[str, int] = {}
        self._granted = balance
        self._told: dict[object, Reply] = {}
        self._made: dict[Entry, UUID] = {}
        self._held_since: dict[UUID, int] = {}

    def newest_cap(self, meter_id: str, seen: Mapping[str, int] = MappingProxyType({})) -> int:
        """The limit of the newest version that the meter has seen."""
        if meter_id == "points":
            return self._granted
        return self._caps[seen.get(meter_id, self._seen_version.get(meter_id, 0))][meter_id]

    def check_decided(self, entries: Sequence[Entry], asked: Sequence[Asked], decided: Decided[HoldOutcome]) -> dict[str, int]:
        """Whoever is refused was refused when too little was left; the versions are returned that the meters have seen.

        All expired holds count as released, and so does what the order itself held before it asked.
        """
        seen: dict[str, int] = {}
        is_refused = any(isinstance(outcome, Refused) for outcome in decided.outcomes)
        live = (
            {hold.id: hold for hold in self._database.holds.values() if _is_live(hold, self._database.now_ms)}
            if is_refused
            else {}
        )
        taken = self._taken(live) if is_refused else {}
        replaced = {hold.id for hold in (*decided.changed, *decided.taken) if hold.ended == "replaced"}
        for entry, ask, outcome in zip(entries, asked, decided.outcomes, strict=True):
            if isinstance(outcome, Taken | Again) or (isinstance(outcome, Refused) and outcome.reason == "limit_reached"):
                for draw in ask.draws:
                    if draw.cap is not None and draw.cap_version > seen.get(draw.meter, self._seen_version.get(draw.meter, 0)):
                        seen[draw.meter] = draw.cap_version
            if not is_refused:
                continue
            if isinstance(outcome, Taken):
                for hold in [hold for hold in live.values() if hold.order == ask.order and hold.id in replaced]:
                    del live[hold.id]
                    _add(taken, hold, -1)
                live[outcome.hold.id] = outcome.hold
                _add(taken, outcome.hold, 1)
            elif isinstance(outcome, Refused) and outcome.reason == "limit_reached":
                back: dict[str, int] = {}
                for hold in live.values():
                    if hold.order == ask.order and self._held_since.get(hold.id, 0) <= entry.arrived:
                        _add(back, hold, 1)
                if not any(
                    draw.amount > self.newest_cap(draw.meter, seen) - taken.get(draw.meter, 0) + back.get(draw.meter, 0)
                    for draw in ask.draws
                ):
                    raise Violation(f"{ask.order} was refused although enough was left")
            elif isinstance(outcome, Refused) and outcome.reason == "quote_expired":
                assert entry.request.quote is not None
                if self._database.now_ms < entry.request.quote.expires_true_ms:
                    raise Violation(f"{ask.order} was refused by a clock that is off")
        return seen

    def _taken(self, live: dict[UUID, Hold]) -> dict[str, int]:
        taken: dict[str, int] = {}
        for hold in self._database.holds.values():
            if hold.state == "used" or hold.id in live:
                _add(taken, hold, 1)
        for made in self._database.returns.values():
            for amount in made.given:
                taken[amount.meter] -= amount.amount
        return taken

    def check_commit(self, transaction: Transaction, writes: Writes, step: int) -> None:
        """What a commit would make of the database."""
        database = self._database
        # In one batch some may take before others bring another cap.
        highest_caps = {
            meter_id: max(caps[meter_id] for caps in self._caps[self._seen_version.get(meter_id, 0) : version + 1])
            for meter_id, version in writes.seen.items()
        }
        self._seen_version.update(writes.seen)
        for entry, hold, _ in writes.taken:
            self._make_once(entry, hold.id)
            self._held_since[hold.id] = step
        for entry, made in writes.returns:
            self._make_once(entry, made.id)
            if made.id in database.returns:
                raise Violation("a return was stored twice")
            self._granted -= sum(amount.amount for amount in made.withdrawn)
        for hold in writes.changed:
            self._check_change(hold, transaction)
        before = {meter.id: meter.held + meter.used for meter in database.meters.values()}
        database.apply(writes)
        if writes.taken or writes.changed or writes.returns or writes.meters:
            self._check_numbers(before, highest_caps)

    def _make_once(self, entry: Entry, made_id: UUID) -> None:
        if self._made.setdefault(entry, made_id) != made_id:
            raise Violation(f"one arrival of {entry.request.kind} of {entry.request.order} took twice")

    def _check_change(self, hold: Hold, transaction: Transaction) -> None:
        was = self._database.holds.get(hold.id)
        if was is None:
            raise Violation("a hold was changed that is not there")
        if was.state != "held":
            raise Violation(f"a hold that was {was.state} was made {hold.state}")
        if hold.state == "used" and transaction.locked_ms >= was.expires_ms:
            raise Violation("an expired hold was confirmed")
        if hold.ended == "expired" and self._database.now_ms < was.expires_ms:
            raise Violation("a hold was expired early")
        if hold.state == "used":
            self._granted += sum(grant.amount for grant in hold.grants)

    def _check_numbers(self, before: dict[str, int], highest_caps: dict[str, int]) -> None:
        database = self._database
        held: dict[str, int] = dict.fromkeys(database.meters, 0)
        used: dict[str, int] = dict.fromkeys(database.meters, 0)
        confirmed: set[str] = set()
        quotes: set[UUID] = set()
        for hold in database.holds.values():
            state = hold.state
            if state == "released":
                continue
            if hold.quote_id in quotes:
                raise Violation("a quote has two holds")
            quotes.add(hold.quote_id)
            if state == "used":
                if hold.order in confirmed:
                    raise Violation(f"{hold.order} was confirmed twice")
                confirmed.add(hold.order)
            of = held if state == "held" else used
            for draw in hold.draws:
                of[draw.meter] += draw.amount
        if database.returns:
            self._check_returns(used)
        for meter in database.meters.values():
            if (meter.held, meter.used) != (held[meter.id], used[meter.id]):
                raise Violation(f"{meter} but its holds sum up to {held[meter.id]} held and {used[meter.id]} used")
            taken = meter.held + meter.used
            if meter.held < 0 or meter.used < 0 or taken > meter.cap:
                raise Violation(f"{meter} is above its cap")
            newest = self.newest_cap(meter.id)
            if meter.cap_wanted != newest and meter.cap_version >= 0:
                raise Violation(f"{meter} has seen the cap {newest}")
            if taken > highest_caps.get(meter.id, newest) and taken > before[meter.id]:
                raise Violation(f"{meter} gave more than the cap {newest}")

    def _check_returns(self, used: dict[str, int]) -> None:
        given: dict[tuple[UUID, str], int] = {}
        returned: dict[tuple[UUID, str], int] = {}
        for made in self._database.returns.values():
            for amount in made.given:
                used[amount.meter] -= amount.amount
                given[made.hold_id, amount.meter] = given.get((made.hold_id, amount.meter), 0) + amount.amount
            for line, milli in made.milli.items():
                returned[made.hold_id, line] = returned.get((made.hold_id, line), 0) + milli
        for hold in self._database.holds.values():
            for draw in hold.draws:
                if given.get((hold.id, draw.meter), 0) > draw.amount:
                    raise Violation("returns gave more than was taken")
        for (_, line), milli in returned.items():
            if milli > SOLD_MILLI[line]:
                raise Violation("more was returned than was sold")

    def check_told(self, entry: Entry, reply: Reply) -> None:
        """What a client is told is stored, and is what it was told before."""
        request = entry.request
        database = self._database
        if request.key is not None and self._told.setdefault(request.key, reply) != reply:
            raise Violation(f"{request.key} was told {self._told[request.key]}, then {reply}")
        if request.kind == "hold" and reply.said == "held":
            hold = database.holds.get(reply.id) if reply.id is not None else None
            if hold is None:
                raise Violation("a hold was acknowledged that is not stored")
            assert request.quote is not None
            if hold.quote_id != request.quote.id or hold.order != request.order:
                raise Violation("the hold of another was acknowledged")
            if self._told.setdefault(hold.id, reply) != reply:
                raise Violation(f"a hold was told as {self._told[hold.id]}, then as {reply}")
        elif request.kind in {"confirm", "release"} and reply.said in {
            "used",
            "released",
            "hold_expired",
            "hold_released",
            "hold_used",
        }:
            assert request.hold_id is not None
            hold = database.holds[request.hold_id]
            is_stored = hold.state == ("used" if reply.said in {"used", "hold_used"} else "released")
            if not is_stored:
                raise Violation(f"{request.kind} was told {reply.said}, but the hold is {hold.state}")
            if self._told.setdefault((request.kind, hold.id), reply) != reply:
                raise Violation(f"{request.kind} was told {self._told[request.kind, hold.id]}, then {reply}")
        elif reply.said == "returned" and (reply.id is None or reply.id not in database.returns):
            raise Violation("a return was acknowledged that is not stored")
