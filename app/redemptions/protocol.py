"""The protocol of meters, holds, confirms, releases and returns: what is decided once everything named is locked.

Pure: no input or output and no clock. The lanes bring what they have locked, in READ COMMITTED and in the order below, and write what
comes back in the same transaction; the simulator drives these same functions.

1. Holds before meters, each in order of id. Every meter of what is asked for and of every hold that is brought has to be locked.
2. `now_ms` is the database's `clock_timestamp()` in milliseconds since 1970, rounded down, read after the last lock was got.
3. There is one hold that is not released for a quote, and one for an order: unique indexes keep that for holds nobody has seen yet.
4. Replies leave after the commit.

Nothing that is passed in is changed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, NamedTuple
from uuid import UUID

# Clocks of pods may be 90 s off, and a quote that its customer sees as good has to be taken.
QUOTE_GRACE_MS: Final = 120_000

type State = Literal["held", "used", "released"]
# Why a hold was released: the customer gave it back, its time was over, or its order took another quote.
type Ended = Literal["asked", "expired", "replaced"]
type Reason = Literal[
    "customer_needed",
    "hold_expired",
    "hold_not_used",
    "hold_released",
    "hold_used",
    "limit_reached",
    "order_confirmed",
    "other_order",
    "quote_expired",
    "quote_held",
    "returns_too_much",
    "unknown_hold",
    "unknown_line",
    "unknown_quote",
]


class Part(NamedTuple):
    """The share of one line of the quote in a draw or a grant."""

    line: str
    amount: int


class Draw(NamedTuple):
    """What a hold takes from a meter: at least 1, from each meter once.

    `cap` is the limit as of the book's version `cap_version`; without one the meter's own cap holds, as it does for balances.
    `parts` sum up to the amount and say what a return of a line gives back; without parts it is given back with the last unit of the last
    line.
    """

    meter: str
    amount: int
    cap: int | None
    cap_version: int
    customer: str | None = None
    parts: tuple[Part, ...] = ()


class Grant(NamedTuple):
    """What a confirm adds to the cap of a balance, and a return takes back from it."""

    meter: str
    amount: int
    customer: str | None = None
    parts: tuple[Part, ...] = ()


@dataclass(slots=True)
class Meter:
    """A capped counter, as locked.

    `cap_wanted` is the newest limit that was seen, or all that was granted of a balance. `cap` is that or, after the limit was lowered, what is
    taken already, so that it bounds what is taken at any time.
    """

    id: str
    cap_wanted: int
    cap_version: int
    cap: int
    held: int
    used: int

    @property
    def left(self) -> int:
        """What can still be taken."""
        return self.cap - self.held - self.used

    def fit(self) -> None:
        """Have `cap` follow the other numbers."""
        taken = self.held + self.used
        self.cap = max(taken, self.cap_wanted)
        assert self.held >= 0, self
        assert self.used >= 0, self


class Hold(NamedTuple):
    """A hold, as locked. `expires_ms` is the database's; `ended` is there when it is released."""

    id: UUID
    quote_id: UUID
    order: str
    state: State
    expires_ms: int
    draws: tuple[Draw, ...]
    grants: tuple[Grant, ...] = ()
    ended: Ended | None = None


class Asked(NamedTuple):
    """A hold that is asked for. The pod makes `hold_id` before the first try and keeps it when it tries again."""

    hold_id: UUID
    quote_id: UUID
    order: str
    quote_expires_ms: int
    ttl_ms: int
    draws: tuple[Draw, ...]
    grants: tuple[Grant, ...] = ()


class Confirming(NamedTuple):
    """A confirm that is asked for."""

    hold_id: UUID
    order: str


class Returning(NamedTuple):
    """A return that is asked for; `milli` holds thousandths of a unit by line. The pod makes `return_id` before the first try."""

    return_id: UUID
    hold_id: UUID
    milli: Mapping[str, int]


class Sold(NamedTuple):
    """The lines of a used hold, what was returned of them before, in thousandths, and by which returns: read under the hold's lock."""

    milli: Mapping[str, int]
    returned_milli: Mapping[str, int]
    return_ids: Collection[UUID] = ()


class Amount(NamedTuple):
    """An amount of a meter."""

    meter: str
    amount: int


class Taken(NamedTuple):
    """A new hold, with what is left of each meter of its draws."""

    hold: Hold
    left: tuple[int, ...]


class Done(NamedTuple):
    """The hold was brought into another state."""

    hold: Hold


class Returned(NamedTuple):
    """A new return: what it gives back, what of the granted it takes back, and what of that is not there any more."""

    return_id: UUID
    hold: Hold
    given: tuple[Amount, ...]
    withdrawn: tuple[Amount, ...]
    missing: tuple[Amount, ...]


class Same(NamedTuple):
    """It was done before: the reply is the stored one. Of an earlier return only its id says which."""

    hold: Hold


class Refused(NamedTuple):
    """It cannot be done, and nothing was changed for it. `short` holds what is left of each meter, or of each line, that is short."""

    reason: Reason
    short: tuple[Amount, ...] = ()


class Again(NamedTuple):
    """Too little is left of these meters, but they may have expired holds: to be asked again in the next batch, not refused."""

    meters: tuple[str, ...]


type HoldOutcome = Taken | Same | Refused | Again
type ChangeOutcome = Done | Same | Refused
type ReturnOutcome = Returned | Same | Refused


@dataclass(slots=True)
class Decided[O]:
    """One outcome for each that was asked, in the same order, and what has to be written.

    `taken` are the new holds, in the state they are left in: one that the same batch replaced is released already. `changed` are the holds
    that were brought and have another state now, `meters` the meters with other numbers.
    """

    outcomes: list[O] = field(default_factory=list)
    taken: list[Hold] = field(default_factory=list)
    changed: list[Hold] = field(default_factory=list)
    meters: list[Meter] = field(default_factory=list)

    @property
    def unsettled(self) -> set[str]:
        """The meters of which expired holds are to be released before anybody is refused."""
        return {meter for outcome in self.outcomes if isinstance(outcome, Again) for meter in outcome.meters}


class _Numbers(dict[str, Meter]):
    """Copies of the meters that are looked at."""

    def __init__(self, locked: Mapping[str, Meter]) -> None:
        self._locked = locked

    def __missing__(self, meter_id: str) -> Meter:
        meter = self[meter_id] = replace(self._locked[meter_id])
        return meter

    def give_back(self, draws: Iterable[Draw]) -> None:
        for draw in draws:
            meter = self[draw.meter]
            meter.held -= draw.amount
            meter.fit()

    def changed(self) -> list[Meter]:
        """Those with other numbers, in order of id."""
        return [self[meter_id] for meter_id in sorted(self) if self[meter_id] != self._locked[meter_id]]


def is_expired(hold: Hold, now_ms: int) -> bool:
    """Whether a held hold counts as released. At `expires_ms` it does."""
    return hold.state == "held" and now_ms >= hold.expires_ms


def decide_holds(
    asked: Sequence[Asked],
    *,
    existing: Iterable[Hold],
    meters: Mapping[str, Meter],
    now_ms: int,
    settled: Collection[str] = (),
) -> Decided[HoldOutcome]:
    """Take holds greedily in order of arrival, each wholly or not at all.

    `existing` are the holds of these quotes and orders that are not released, and those that have an asked id whatever their state.
    An expired one is released. The hold that an order has on another quote is released if the new one is taken, and its amounts do not stand in the
    way: a hold never blocks its own retry.

    `settled` are the meters of which every hold that was expired at `now_ms` is known to be released. Whoever is short of another meter with
    anything held is told `Again`: call `expire` with the expired holds of `Decided.unsettled`, but for those of `existing`, that can be locked
    without waiting, apply what it changes to the meters, and decide anew with those meters settled of which no expired hold was passed over.
    """
    decided: Decided[HoldOutcome] = Decided()
    numbers = _Numbers(meters)
    by_id: dict[UUID, Hold] = {}
    by_quote: dict[UUID, Hold] = {}
    by_order: dict[str, Hold] = {}
    for hold in existing:
        if is_expired(hold, now_ms):
            by_id[hold.id] = _end(hold, "expired", numbers, decided)
            continue
        by_id[hold.id] = hold
        if hold.state != "released":
            by_quote[hold.quote_id] = by_order[hold.order] = hold
    new: dict[UUID, Hold] = {}
    for ask in asked:
        earlier = by_id.get(ask.hold_id) or by_quote.get(ask.quote_id)
        if earlier is not None:
            is_same = earlier.quote_id == ask.quote_id and earlier.order == ask.order
            decided.outcomes.append(Same(earlier) if is_same else Refused("quote_held"))
            continue
        of_order = by_order.get(ask.order)
        if of_order is not None and of_order.state == "used":
            decided.outcomes.append(Refused("order_confirmed"))
            continue
        if now_ms >= ask.quote_expires_ms + QUOTE_GRACE_MS:
            decided.outcomes.append(Refused("quote_expired"))
            continue
        short = _take(ask.draws, of_order.draws if of_order else (), numbers)
        if short:
            doubtful = tuple(meter for meter, _ in short if meter not in settled and numbers[meter].held > 0)
            decided.outcomes.append(Again(doubtful) if doubtful else Refused("limit_reached", short))
            continue
        if of_order is not None:
            # Its amounts were given back by _take.
            released = of_order._replace(state="released", ended="replaced")
            if of_order.id in new:
                new[of_order.id] = released
            else:
                decided.changed.append(released)
            by_id[of_order.id] = released
            del by_quote[of_order.quote_id]
        hold = Hold(ask.hold_id, ask.quote_id, ask.order, "held", now_ms + ask.ttl_ms, ask.draws, ask.grants)
        new[hold.id] = by_id[hold.id] = by_quote[hold.quote_id] = by_order[hold.order] = hold
        decided.outcomes.append(Taken(hold, tuple([numbers[draw.meter].left for draw in ask.draws])))
    decided.taken = list(new.values())
    decided.meters = numbers.changed()
    return decided


def _take(draws: Iterable[Draw], back: Iterable[Draw], numbers: _Numbers) -> tuple[Amount, ...]:
    """Take the draws and give back those of `back`, or, where something is short, change nothing but caps and tell what is left.

    A meter follows the newest cap that it has seen, even of a hold that is refused. A lowered cap takes nothing away from who has it, and nothing
    more is given until less is taken than the new cap.
    """
    returning = {draw.meter: draw.amount for draw in back}
    short = []
    for draw in draws:
        meter = numbers[draw.meter]
        if draw.cap is not None and draw.cap_version > meter.cap_version:
            meter.cap_wanted, meter.cap_version = draw.cap, draw.cap_version
            meter.fit()
        left = meter.cap_wanted - meter.held - meter.used + returning.get(draw.meter, 0)
        if draw.amount > left:
            short.append(Amount(draw.meter, max(left, 0)))
    if short:
        return tuple(short)
    numbers.give_back(back)
    for draw in draws:
        meter = numbers[draw.meter]
        meter.held += draw.amount
        meter.fit()
    return ()


def _end[O](hold: Hold, ended: Ended, numbers: _Numbers, decided: Decided[O]) -> Hold:
    numbers.give_back(hold.draws)
    released = hold._replace(state="released", ended=ended)
    decided.changed.append(released)
    return released


def decide_confirms(
    asked: Sequence[Confirming], *, holds: Mapping[UUID, Hold], meters: Mapping[str, Meter], now_ms: int
) -> Decided[ChangeOutcome]:
    """Make held holds used. An expired one is released, so that whoever asks again is told the same."""
    decided: Decided[ChangeOutcome] = Decided()
    numbers = _Numbers(meters)
    current = dict(holds)
    for ask in asked:
        hold = current.get(ask.hold_id)
        if hold is None:
            decided.outcomes.append(Refused("unknown_hold"))
            continue
        if is_expired(hold, now_ms):
            hold = current[hold.id] = _end(hold, "expired", numbers, decided)
        if hold.order != ask.order:
            decided.outcomes.append(Refused("other_order"))
        elif hold.state == "used":
            decided.outcomes.append(Same(hold))
        elif hold.state == "released":
            decided.outcomes.append(Refused("hold_expired" if hold.ended == "expired" else "hold_released"))
        else:
            for draw in hold.draws:
                meter = numbers[draw.meter]
                meter.held -= draw.amount
                meter.used += draw.amount
                meter.fit()
            for grant in hold.grants:
                balance = numbers[grant.meter]
                balance.cap_wanted += grant.amount
                balance.fit()
            hold = current[hold.id] = hold._replace(state="used")
            decided.changed.append(hold)
            decided.outcomes.append(Done(hold))
    decided.meters = numbers.changed()
    return decided


def decide_releases(
    asked: Sequence[UUID], *, holds: Mapping[UUID, Hold], meters: Mapping[str, Meter], now_ms: int
) -> Decided[ChangeOutcome]:
    """Give held holds back. One that is released already, for whatever reason, is answered the same."""
    decided: Decided[ChangeOutcome] = Decided()
    numbers = _Numbers(meters)
    current = dict(holds)
    for hold_id in asked:
        hold = current.get(hold_id)
        if hold is None:
            decided.outcomes.append(Refused("unknown_hold"))
        elif hold.state == "used":
            decided.outcomes.append(Refused("hold_used"))
        elif hold.state == "released":
            decided.outcomes.append(Same(hold))
        else:
            hold = current[hold_id] = _end(hold, "expired" if is_expired(hold, now_ms) else "asked", numbers, decided)
            decided.outcomes.append(Done(hold))
    decided.meters = numbers.changed()
    return decided


def expire(holds: Iterable[Hold], *, meters: Mapping[str, Meter], now_ms: int) -> Decided[ChangeOutcome]:
    """Release the holds that are expired, as far as all their meters were locked; the others are left as they are."""
    decided: Decided[ChangeOutcome] = Decided()
    numbers = _Numbers(meters)
    for hold in holds:
        if is_expired(hold, now_ms) and all(draw.meter in meters for draw in hold.draws):
            decided.outcomes.append(Done(_end(hold, "expired", numbers, decided)))
    decided.meters = numbers.changed()
    return decided


def decide_returns(
    asked: Sequence[Returning],
    *,
    holds: Mapping[UUID, Hold],
    sold: Mapping[UUID, Sold],
    meters: Mapping[str, Meter],
) -> Decided[ReturnOutcome]:
    """Give back what was used, in proportion of what is returned.

    What all returns of a line have given back is its part times the share returned, rounded down, so that the returns of a whole line give back
    exactly its part. What was granted is taken back the same way as far as it is there; the rest is told and not asked for again.
    """
    decided: Decided[ReturnOutcome] = Decided()
    numbers = _Numbers(meters)
    returned: dict[UUID, dict[str, int]] = {}
    done: set[UUID] = set()
    for ask in asked:
        hold = holds.get(ask.hold_id)
        refusal = _refuse_return(hold)
        if hold is None or refusal is not None:
            decided.outcomes.append(refusal or Refused("unknown_hold"))
            continue
        lines = sold[hold.id]
        if ask.return_id in done or ask.return_id in lines.return_ids:
            decided.outcomes.append(Same(hold))
            continue
        before = returned.get(hold.id) or dict(lines.returned_milli)
        unknown = tuple(Amount(line, 0) for line in ask.milli if line not in lines.milli)
        over = tuple(
            Amount(line, lines.milli[line] - before.get(line, 0))
            for line, milli in ask.milli.items()
            if line in lines.milli and milli > lines.milli[line] - before.get(line, 0)
        )
        if unknown or over:
            decided.outcomes.append(Refused("unknown_line", unknown) if unknown else Refused("returns_too_much", over))
            continue
        after = before | {line: before.get(line, 0) + milli for line, milli in ask.milli.items()}
        returned[hold.id] = after
        done.add(ask.return_id)
        decided.outcomes.append(_return(ask.return_id, hold, lines.milli, before, after, numbers))
    decided.meters = numbers.changed()
    return decided


def _refuse_return(hold: Hold | None) -> Refused | None:
    if hold is None:
        return Refused("unknown_hold")
    if hold.state == "released":
        return Refused("hold_expired" if hold.ended == "expired" else "hold_released")
    return None if hold.state == "used" else Refused("hold_not_used")


def _return(
    return_id: UUID, hold: Hold, sold: Mapping[str, int], before: Mapping[str, int], after: Mapping[str, int], numbers: _Numbers
) -> Returned:
    given, withdrawn, missing = [], [], []
    for draw in hold.draws:
        amount = _share(draw, sold, after) - _share(draw, sold, before)
        if amount:
            meter = numbers[draw.meter]
            meter.used -= amount
            meter.fit()
            given.append(Amount(draw.meter, amount))
    for grant in hold.grants:
        amount = _share(grant, sold, after) - _share(grant, sold, before)
        meter = numbers[grant.meter]
        there = min(amount, meter.left)
        if there:
            meter.cap_wanted -= there
            meter.fit()
            withdrawn.append(Amount(grant.meter, there))
        if amount > there:
            missing.append(Amount(grant.meter, amount - there))
    return Returned(return_id, hold, tuple(given), tuple(withdrawn), tuple(missing))


def _share(of: Draw | Grant, sold: Mapping[str, int], returned: Mapping[str, int]) -> int:
    """What of a draw or a grant all returns together have moved."""
    if not of.parts:
        return of.amount if all(returned.get(line, 0) == milli for line, milli in sold.items()) else 0
    return sum(part.amount * returned.get(part.line, 0) // sold[part.line] for part in of.parts)
