"""A model of Postgres at READ COMMITTED: rows with locks, writes that are seen from the commit on, a clock."""

from collections.abc import Generator, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from app.redemptions.protocol import Amount, Draw, Grant, Hold, Meter

# A task runs until it yields: the row it waits for, or None where others may come in between.
type Steps[R] = Generator[Hashable | None, None, R]


# What every quote of the simulation sells, in thousandths.
SOLD_MILLI = {"a": 3000, "b": 1000}


class Reply(NamedTuple):
    """What a client is told; equal replies are the same bytes."""

    said: str
    id: UUID | None = None
    facts: tuple[Any, ...] = ()


class Quote(NamedTuple):
    """A stored decision: what it draws on, by the caps of each version of the book, and what it sold."""

    id: UUID
    expires_ms: int
    expires_true_ms: int  # by a clock that is right
    draws: Sequence[tuple[Draw, ...]]
    grants: tuple[Grant, ...]
    sold_milli: dict[str, int]


class Request(NamedTuple):
    """What a client wants. It may arrive several times; with a key it is the same request each time."""

    kind: str
    order: str
    key: str | None = None
    quote: Quote | None = None
    hold_id: UUID | None = None
    milli: dict[str, int] | None = None


class Entry:
    """One arrival of a request at a pod, and the id that the pod made for what may come of it."""

    __slots__ = ("arrived", "client", "id", "reply", "request", "version")

    def __init__(self, request: Request, client: int, made_id: UUID, version: int, arrived: int) -> None:
        self.request = request
        self.client = client
        self.id = made_id
        self.version = version
        self.arrived = arrived
        self.reply: Reply | None = None

    def __repr__(self) -> str:
        return f"<{self.request.kind} of {self.request.order}>"


class Return(NamedTuple):
    """A stored return."""

    id: UUID
    hold_id: UUID
    milli: dict[str, int]
    given: tuple[Amount, ...]
    withdrawn: tuple[Amount, ...]
    reply: Reply


@dataclass(slots=True)
class Writes:
    """What a transaction writes; nobody sees it before the commit."""

    taken: list[tuple[Entry, Hold, Reply]] = field(default_factory=list)
    changed: list[Hold] = field(default_factory=list)
    meters: dict[str, Meter] = field(default_factory=dict)
    keys: dict[str, Reply] = field(default_factory=dict)
    returns: list[tuple[Entry, Return]] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)  # the versions that meters have seen


class Transaction:
    """Holds locks until it ends. `locked_ms` is the database's clock when it got the last one."""

    __slots__ = ("database", "locked_ms", "owned", "waits_for")

    def __init__(self, database: "Database") -> None:
        self.database = database
        self.owned: list[Hashable] = []
        self.waits_for: Hashable | None = None
        self.locked_ms = database.now_ms

    def try_lock(self, row: Hashable) -> bool:
        """Lock a row unless another transaction has it."""
        owner = self.database.locks.setdefault(row, self)
        if owner is not self:
            return False
        self.owned.append(row)
        self.locked_ms = self.database.now_ms
        return True

    def lock(self, rows: Iterable[Hashable]) -> Steps[None]:
        """Lock rows one after another, waiting for each."""
        for row in rows:
            while not self.try_lock(row):
                self.waits_for = row
                yield row
            self.waits_for = None

    def is_stuck(self) -> bool:
        """Whether it waits for a row whose owner waits, over any number of others, for this one."""
        at = self
        for _ in range(len(self.database.locks)):
            owner = self.database.locks.get(at.waits_for) if at.waits_for is not None else None
            if owner is None:
                return False
            if owner is self:
                return True
            at = owner
        return False

    def end(self) -> None:
        """Let go of all locks."""
        for row in self.owned:
            self.database.locks.pop(row, None)
        self.owned.clear()


class Database:
    """What is committed, and who has locked what."""

    def __init__(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.locks: dict[Hashable, Transaction] = {}
        self.holds: dict[UUID, Hold] = {}
        self.meters: dict[str, Meter] = {}
        self.hold_replies: dict[UUID, Reply] = {}
        self.keys: dict[str, Reply] = {}
        self.returns: dict[UUID, Return] = {}

    def live_hold_of_quote(self, quote_id: UUID) -> Hold | None:
        """The hold of the quote that is not released."""
        for hold in self.holds.values():
            if hold.quote_id == quote_id and hold.state != "released":
                return hold
        return None

    def apply(self, writes: Writes) -> None:
        """Make writes visible."""
        for _, hold, reply in writes.taken:
            self.holds[hold.id] = hold
            self.hold_replies[hold.id] = reply
        for hold in writes.changed:
            self.holds[hold.id] = hold
        self.meters.update(writes.meters)
        self.keys.update(writes.keys)
        for _, made in writes.returns:
            self.returns[made.id] = made
