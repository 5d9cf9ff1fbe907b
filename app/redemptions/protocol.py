"""The protocol of meters, holds, confirms and releases: what is decided once everything named is locked. Returns have a file of their own.

Pure: no input or output and no clock. The lanes bring what they have locked, in READ COMMITTED and in the order below, and write what
comes back in the same transaction; the simulator drives these same functions.

1. Holds before meters, each in order of id. Every meter of what is asked for and of every hold that is brought has to be locked.
2. `now_ms` is the database's `clock_timestamp()` in milliseconds since 1970, rounded down, read after the last lock was got.
3. There is one hold that is not released for a quote: a unique index keeps that for holds nobody has seen yet. Of an order there may be several
   for a moment, when pods that do not see each other's take them at once; one of them is confirmed.
4. Replies leave after the commit.

Nothing that is passed in is changed.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
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
    `parts` say what a return of a line gives back; what of the amount is in none is given back with the last unit of the last line.
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


class Numbers(dict[str, Meter]):
    """Copies of the meters that are looked at."""

    def __init__(self, locked: Mapping[str, Meter]) -> None:
        self._locked = locked

    def __missing__(self, meter_id: str) -> Meter:
        locked = self._locked[meter_id]
        # Written out: dataclasses.replace takes several times as long, and there is one for each hold of a batch.
        meter = self[meter_id] = Meter(meter_id, locked.cap_wanted, locked.cap_version, locked.cap, locked.held, locked.used)
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
    An expired one is released. What an order holds of another quote is released if the new hold is taken, and its amounts do not stand in the way: a
    hold never blocks its own retry.

    `settled` are the meters of which every hold that was expired at `now_ms` is known to be released. Whoever is short of another meter with
    anything held is told `Again`: call `expire` with the expired holds of `Decided.unsettled` that can be locked without waiting (but not with
    those of `existing`, nor with any a second time), apply what it changes to the meters, and decide anew with those meters settled of which no
    expired hold was passed over.
    """
    decided: Decided[HoldOutcome] = Decided()
    numbers = Numbers(meters)
    by_id: dict[UUID, Hold] = {}
    by_quote: dict[UUID, Hold] = {}
    by_order: dict[str, dict[UUID, Hold]] = {}
    for hold in existing:
        if is_expired(hold, now_ms):
            by_id[hold.id] = _end(hold, "expired", numbers, decided)
            continue
        by_id[hold.id] = hold
        if hold.state != "released":
            by_quote[hold.quote_id] = hold
            by_order.setdefault(hold.order, {})[hold.id] = hold
    new: dict[UUID, Hold] = {}
    for ask in asked:
        earlier = by_id.get(ask.hold_id) or by_quote.get(ask.quote_id)
        if earlier is not None:
            is_same = earlier.quote_id == ask.quote_id and earlier.order == ask.order
            decided.outcomes.append(Same(earlier) if is_same else Refused("quote_held"))
            continue
        of_order = by_order.setdefault(ask.order, {})
        if any(hold.state == "used" for hold in of_order.values()):
            decided.outcomes.append(Refused("order_confirmed"))
            continue
        if now_ms >= ask.quote_expires_ms + QUOTE_GRACE_MS:
            decided.outcomes.append(Refused("quote_expired"))
            continue
        short = _take(ask.draws, [draw for hold in of_order.values() for draw in hold.draws], numbers)
        if short:
            doubtful = tuple(meter for meter, _ in short if meter not in settled and numbers[meter].held > 0)
            decided.outcomes.append(Again(doubtful) if doubtful else Refused("limit_reached", short))
            continue
        for hold in of_order.values():
            # Its amounts were given back by _take.
            released = by_id[hold.id] = hold._replace(state="released", ended="replaced")
            del by_quote[hold.quote_id]
            if hold.id in new:
                new[hold.id] = released
            else:
                decided.changed.append(released)
        of_order.clear()
        hold = Hold(ask.hold_id, ask.quote_id, ask.order, "held", now_ms + ask.ttl_ms, ask.draws, ask.grants)
        new[hold.id] = by_id[hold.id] = by_quote[hold.quote_id] = of_order[hold.id] = hold
        decided.outcomes.append(Taken(hold, tuple([numbers[draw.meter].left for draw in ask.draws])))
    decided.taken = list(new.values())
    decided.meters = numbers.changed()
    return decided


def _take(draws: Iterable[Draw], back: Iterable[Draw], numbers: Numbers) -> tuple[Amount, ...]:
    """Take the draws and give back those of `back`, or, where something is short, change nothing but caps and tell what is left.

    A meter follows the newest cap that it has seen, even of a hold that is refused. A lowered cap takes nothing away from who has it, and nothing
    more is given until less is taken than the new cap.
    """
    returning: dict[str, int] = {}
    for draw in back:
        returning[draw.meter] = returning.get(draw.meter, 0) + draw.amount
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


def _end[O](hold: Hold, ended: Ended, numbers: Numbers, decided: Decided[O]) -> Hold:
    numbers.give_back(hold.draws)
    released = hold._replace(state="released", ended=ended)
    decided.changed.append(released)
    return released


def decide_confirms(
    asked: Sequence[Confirming], *, holds: Mapping[UUID, Hold], meters: Mapping[str, Meter], now_ms: int
) -> Decided[ChangeOutcome]:
    """Make held holds used.

    `holds` are those that are asked for and all of their orders that are not released. An order is confirmed once, and what else it holds is
    released with that. An expired hold is released, so that whoever asks again is told the same.
    """
    decided: Decided[ChangeOutcome] = Decided()
    numbers = Numbers(meters)
    current = dict(holds)
    by_order: dict[str, set[UUID]] = {}
    for brought in holds.values():
        by_order.setdefault(brought.order, set()).add(brought.id)
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
        elif any(current[other].state == "used" for other in by_order[hold.order]):
            decided.outcomes.append(Refused("order_confirmed"))
        else:
            for other in sorted(by_order[hold.order]):
                if other != hold.id and current[other].state == "held":
                    ended: Ended = "expired" if is_expired(current[other], now_ms) else "replaced"
                    current[other] = _end(current[other], ended, numbers, decided)
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
    numbers = Numbers(meters)
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
    numbers = Numbers(meters)
    for hold in holds:
        if is_expired(hold, now_ms) and all(draw.meter in meters for draw in hold.draws):
            decided.outcomes.append(Done(_end(hold, "expired", numbers, decided)))
    decided.meters = numbers.changed()
    return decided
