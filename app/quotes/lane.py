"""The lane: everything that waits is priced in one vectorised call, stored by one COPY and one commit, and only then answered."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec
import structlog
from asyncpg.pgproto.pgproto import UUID

from app.db.engine import DatabaseUnreachable
from app.errors import Conflict, FieldError, IdempotencyMismatch, InternalError, Problem, Unavailable, ValidationFailed
from app.lanes.gather import Batch, Gather
from app.metrics import Metrics
from app.quotes.decision import Decision
from app.quotes.ids import IssueClock, QuoteIds
from app.quotes.parse import at_member, format_instant, instant_of, with_instant
from app.quotes.pricing_pass import Answered, Entry, Pricing
from app.quotes.spool import Spool, told_locally
from app.quotes.store import Claim, DecisionStore, Earlier
from app.quotes.tokens import KeyRing

if TYPE_CHECKING:
    from app.tracing import LaneTraces

# Composing this many replies takes the loop one or two milliseconds.
_DECIDED_AT_ONCE: Final = 128
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """What a lane takes. `batch_lines_max` bounds one vectorised call, so that the event loop never computes for more than 5 ms."""

    rows_max: int = 8192
    octets_max: int = 64 << 20
    batch_rows_max: int = 512
    batch_lines_max: int = 2048
    flush_s: float = 1.0


class QuoteLane:
    """Prices, stores and answers binding quotes, batch after batch."""

    def __init__(
        self,
        *,
        pricing: Pricing,
        store: DecisionStore,
        keys: KeyRing,
        metrics: Metrics,
        limits: LaneLimits,
        quote_ttl_s: int,
        clock: IssueClock,
        spool: Spool | None = None,
        traces: "LaneTraces | None" = None,
    ) -> None:
        self._pricing = pricing
        self._store = store
        self._spool = spool
        self._keys = keys
        self._metrics = metrics
        self._flush_s = limits.flush_s
        self._quote_ttl_ms = quote_ttl_s * 1000
        self._clock = clock
        self._ids = QuoteIds()
        self._gather: Gather[Entry] = Gather(
            self._work,
            fail=_fail,
            rows_max=limits.rows_max,
            octets_max=limits.octets_max,
            batch_rows_max=limits.batch_rows_max,
            batch_lines_max=limits.batch_lines_max,
            traces=traces,
        )

    @property
    def rows(self) -> int:
        """Baskets inside, waiting or under way."""
        return self._gather.rows

    @property
    def expected_wait_s(self) -> float:
        """How long a basket that comes now would be inside."""
        return self._gather.expected_wait_s

    @property
    def is_connected(self) -> bool:
        """Whether the last batch left a live connection."""
        return self._store.connection.is_connected

    async def start(self) -> None:
        """Connect and begin to work. A database that is away is no error here: quotes are refused and previews answered until it is back."""
        self._gather.start()
        try:
            await self._store.connection.open(seconds=self._flush_s)
        except DatabaseUnreachable as error:
            _log.warning("lane_started_without_database", error=str(error))

    async def stop(self) -> None:
        """Finish what is inside, refuse the rest, disconnect."""
        await self._gather.stop()
        await self._store.connection.close()

    async def answer(self, entries: list[Entry]) -> None:
        """Have the entries priced and stored together and wait for their outcomes. Raises Unavailable when the lane is full."""
        line_count = sum(entry.line_count for entry in entries)
        octets = sum(len(entry.understood.canonical) for entry in entries)
        try:
            batch = self._gather.submit(entries, line_count=line_count, octets=octets)
        except Unavailable:
            self._metrics.lane_refused.at().n += len(entries)
            raise
        await batch.done

    def enter(self, entry: Entry, call: Callable[[], None]) -> None:
        """Have the entry priced and stored; `call` is called when its outcome is there. Raises Unavailable when the lane is full."""
        batch = self._gather.submit([entry], line_count=entry.line_count, octets=len(entry.understood.canonical))
        batch.calls.append(call)

    async def _work(self, batch: Batch[Entry]) -> Awaitable[None]:
        """Price a batch and compose its replies; what is left is to store them."""
        self._metrics.lane_rows.at().observe(len(batch.entries))
        self._metrics.lane_wait_seconds.at().observe(time.monotonic() - batch.opened_s)
        firsts, twins = _split_twins(batch.entries)
        issued_ms = self._clock.read_ms()
        await self._pricing.run(firsts, issued_ms)
        issued_at = instant_of(issued_ms)
        await self._decide(firsts, issued_ms, issued_at)
        decisions = [entry.decision for entry in firsts if entry.key is None and entry.decision is not None]
        claims = [
            Claim(entry.key, entry.request_sha256, entry.decision, entry.refusal)
            for entry in firsts
            if entry.key is not None and (entry.decision is not None or entry.refusal is not None)
        ]

        async def store() -> None:
            if decisions or claims:
                await self._flush(firsts, issued_at, decisions, claims, deadline_s=batch.opened_s + self._flush_s)
            for twin, first in twins:
                twin.outcome = _outcome_of_twin(twin, first)

        return store()

    async def _decide(self, entries: Sequence[Entry], issued_ms: int, issued_at: datetime) -> None:
        """Compose the reply and the row of every entry that was priced, and the refusal of one with a key that was not."""
        priced = []
        for entry in entries:
            if entry.outcome is None:
                priced.append(entry)
            elif entry.key is not None and isinstance(entry.outcome, ValidationFailed):
                entry.refusal = msgspec.json.encode(entry.outcome.errors)
        fresh = iter(self._ids.take(issued_ms, sum(entry.key is None for entry in priced)))
        at = at_member(issued_ms)
        expires_ms = issued_ms + self._quote_ttl_ms
        instants = f'"issued_at":"{format_instant(issued_ms)}","expires_at":"{format_instant(expires_ms)}",'
        sign = self._keys.sign
        for start in range(0, len(priced), _DECIDED_AT_ONCE):
            if start:
                await asyncio.sleep(0)
            for entry in priced[start : start + _DECIDED_AT_ONCE]:
                request = entry.understood.request
                encoded, book = entry.encoded, entry.book
                assert encoded is not None
                assert book is not None
                _, body, subtotal_minor, discount_minor, total_minor = encoded[:5]
                version = book.version
                quote_id = entry.key or next(fresh)
                quote_text = str(quote_id)
                customer_id = None if request.customer is None else request.customer.id
                token = sign(
                    quote_id=quote_text,
                    version=version,
                    currency=request.currency,
                    total_minor=total_minor,
                    issued_ms=issued_ms,
                    expires_ms=expires_ms,
                    customer_id=customer_id,
                    body=body,
                )
                head = f'{{"id":"{quote_text}","version":{version},{instants}'
                entry.decision = Decision(
                    issued_at,
                    quote_id,
                    version,
                    request.currency,
                    request.channel,
                    customer_id,
                    request.codes,
                    subtotal_minor,
                    discount_minor,
                    total_minor,
                    entry.line_count,
                    entry.source,
                    with_instant(entry.understood, at),
                    b"".join((head.encode(), body, b',"token":"', token, b'"}')),
                )

    async def _flush(
        self, entries: Sequence[Entry], issued_at: datetime, decisions: list[Decision], claims: list[Claim], *, deadline_s: float
    ) -> None:
        began_s = time.monotonic()
        try:
            earlier, failed = await self._store.store(issued_at, decisions, claims, deadline_s=deadline_s)
        except DatabaseUnreachable:
            for entry in entries:
                if entry.decision is not None or entry.refusal is not None:
                    entry.outcome = Unavailable("The decision could not be stored in time. Send the request again.")
            if self._spool is not None and decisions:
                await _keep_locally(self._spool, entries)
            return
        self._metrics.flush_seconds.at().observe(time.monotonic() - began_s)
        for entry in entries:
            decision = entry.decision
            if entry.key is not None and entry.key in earlier:
                entry.earlier = earlier[entry.key]
                entry.outcome = _outcome_of_earlier(entry, entry.earlier)
            elif decision is not None:
                is_failed = bool(failed) and decision.id in failed
                entry.outcome = InternalError() if is_failed else Answered(decision.reply, is_replay=False)


async def _keep_locally(spool: Spool, entries: Sequence[Entry]) -> None:
    """Answer from the local log. An id that a client made is for the database alone to give away, so what has one stays refused."""
    local = [(entry, told_locally(entry.decision)) for entry in entries if entry.key is None and entry.decision is not None]
    try:
        await spool.keep([decision for _, decision in local])
    except Unavailable as problem:
        for entry, _ in local:
            entry.outcome = problem
    else:
        for entry, decision in local:
            entry.outcome = Answered(decision.reply, is_replay=False)


def _fail(entry: Entry, problem: InternalError) -> None:
    entry.outcome = problem


def _split_twins(entries: list[Entry]) -> tuple[list[Entry], list[tuple[Entry, Entry]]]:
    """Entries to work on, and those that have the same id as an earlier one, with that one."""
    if all(entry.key is None for entry in entries):
        return entries, []
    firsts: list[Entry] = []
    twins: list[tuple[Entry, Entry]] = []
    by_key: dict[UUID, Entry] = {}
    for entry in entries:
        if entry.key is not None and entry.key in by_key:
            twins.append((entry, by_key[entry.key]))
            continue
        if entry.key is not None:
            by_key[entry.key] = entry
        firsts.append(entry)
    return firsts, twins


def _outcome_of_twin(twin: Entry, first: Entry) -> Answered | Problem:
    if isinstance(first.outcome, Unavailable | InternalError):
        return first.outcome
    if first.earlier is not None:
        # The first of them may itself be another request than the one that has the key.
        return _outcome_of_earlier(twin, first.earlier)
    if twin.request_sha256 != first.request_sha256:
        return IdempotencyMismatch()
    if isinstance(first.outcome, Answered):
        return Answered(first.outcome.reply, is_replay=True)
    assert isinstance(first.outcome, Problem)
    return replayed(first.outcome) if isinstance(first.outcome, ValidationFailed) else first.outcome


def _outcome_of_earlier(entry: Entry, earlier: Earlier) -> Answered | Problem:
    if earlier.request_sha256 != entry.request_sha256:
        return IdempotencyMismatch()
    if earlier.reply is not None:
        return Answered(earlier.reply, is_replay=True)
    if earlier.refusal is not None:
        errors = msgspec.json.decode(earlier.refusal, type=list[FieldError])
        return replayed(ValidationFailed("The request cannot be priced.", errors=errors))
    return Conflict("The quote of this key is past its retention.")


def replayed(problem: ValidationFailed) -> ValidationFailed:
    """The same refusal, marked as given before."""
    return ValidationFailed(problem.detail, errors=problem.errors, headers={"Idempotent-Replayed": "true"})
