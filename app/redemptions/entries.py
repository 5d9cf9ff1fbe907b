"""What waits in a lane, and what comes of it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple
from uuid import UUID

from app.errors import InternalError, Problem
from app.redemptions.protocol import Amount, Draw, Grant


class Key(NamedTuple):
    """An `Idempotency-Key`, who sent it, and the hash of what it was sent with."""

    scope: str
    key: str
    request_sha256: bytes


class Answer(NamedTuple):
    """A reply; `is_replay` says that it was given before. A refusal that is given again is one, too."""

    status: int
    body: bytes
    is_replay: bool = False


class Earlier(NamedTuple):
    """What is stored under a key: the hash of the request that has it, and its answer."""

    request_sha256: bytes
    answer: Answer


class SignedQuote(NamedTuple):
    """The quote of a token of ours, and whether it binds by the clock of this process."""

    id: UUID
    binds: bool


@dataclass(slots=True, eq=False)
class Entry:
    """A request in a lane. Its outcome is there when its batch is done."""

    key: Key | None
    outcome: Answer | Problem | None
    earlier: Earlier | None = field(init=False, default=None)  # what is stored under its key already


@dataclass(slots=True, eq=False)
class HoldEntry(Entry):
    """A hold that is asked for. Its id is made before the first try and kept over all."""

    hold_id: UUID
    quote_id: UUID
    order: str
    ttl_ms: int
    is_promised: bool = False  # by a token of ours that still binds, so that the quote is there, stored or not
    is_tried: bool = False  # so that its id may be stored already


@dataclass(slots=True, eq=False)
class ChangeEntry(Entry):
    """A confirm, a release or a return; `return_id`, `milli` and `lines` (as they are shown) are those of a return."""

    kind: Literal["confirm", "release", "return"]
    hold_id: UUID
    order: str
    return_id: UUID
    milli: Mapping[str, int]
    lines: Sequence[Mapping[str, str]]


class Drawn(NamedTuple):
    """What a quote draws on; `needs_customer` are limits by customer of a quote that names none."""

    draws: tuple[Draw, ...]
    grants: tuple[Grant, ...]
    needs_customer: tuple[Amount, ...]
    expires_ms: int
    sold_milli: Mapping[str, int]


type FindDraws = Callable[[Any, Sequence[UUID]], Awaitable[Mapping[UUID, Drawn]]]


def fail(entry: Entry, problem: InternalError) -> None:
    """Have an entry answered with a failure of our own."""
    entry.outcome = problem
