"""The lanes of holds and of what becomes of them: what waits is driven together, in one transaction, and only then answered.

Each has a connection of its own, so that a hot coupon delays no quote, and holds delay no confirm.
"""

import asyncio
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Final, Protocol

import asyncpg
import structlog

from app.db.engine import DatabaseUnreachable, within
from app.errors import InternalError, Problem, Unavailable
from app.lanes.gather import Batch, Gather
from app.lanes.own_connection import RETRY_PAUSE_S, OwnConnection
from app.metrics import Metrics
from app.redemptions.entries import Answer, Entry, fail
from app.redemptions.keys import Raced, answer_twin

if TYPE_CHECKING:
    from app.tracing import LaneTraces

ROWS_MAX: Final = 8192
BATCH_ROWS_MAX: Final = 512
_OCTETS_MAX: Final = 1 << 30
# What the server says of values that it cannot take, however often they are sent.
_POISON: Final = (
    asyncpg.DataError,
    asyncpg.ProgramLimitExceededError,
    TypeError,
    ValueError,
    OverflowError,
    KeyError,
    AssertionError,
)
_log = structlog.get_logger(__name__)


class Work[E](Protocol):
    """What a lane does with a batch: each entry has its outcome afterwards, or is to be asked again."""

    async def run(self, connection: asyncpg.Connection, entries: Sequence[E]) -> None: ...


class RedemptionLane[E: Entry]:
    """Drives entries of one sort, batch after batch."""

    def __init__(
        self,
        name: str,
        work: Work[E],
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        *,
        flush_s: float,
        metrics: Metrics,
        traces: "LaneTraces | None" = None,
    ) -> None:
        self._name = name
        self._work = work
        self._flush_s = flush_s
        self._metrics = metrics
        self.connection: Final = OwnConnection(connect, name=f"{name} lane")
        self._gather: Gather[E] = Gather(
            self._prepare,
            fail=fail,
            rows_max=ROWS_MAX,
            octets_max=_OCTETS_MAX,
            batch_rows_max=BATCH_ROWS_MAX,
            batch_lines_max=BATCH_ROWS_MAX,
            traces=traces,
        )

    @property
    def rows(self) -> int:
        """Entries inside, waiting or under way."""
        return self._gather.rows

    @property
    def expected_wait_s(self) -> float:
        """How long what comes now would be inside."""
        return self._gather.expected_wait_s

    async def start(self) -> None:
        """Connect and begin to work; a database that is away is no error here."""
        self._gather.start()
        try:
            await self.connection.open(seconds=self._flush_s)
        except DatabaseUnreachable as error:
            _log.warning("lane_started_without_database", lane=self._name, error=str(error))

    async def stop(self) -> None:
        """Finish what is inside, refuse the rest, disconnect."""
        await self._gather.stop()
        await self.connection.close()

    async def answer(self, entry: E) -> Answer:
        """Have the entry driven and wait for its outcome. Raises Problem."""
        await self._gather.submit([entry], line_count=1, octets=0).done
        return self.answer_of(entry)

    def enter(self, entry: E, call: Callable[[], None]) -> None:
        """Have the entry driven; `call` is called when its outcome is there. Raises Unavailable when the lane is full."""
        self._gather.submit([entry], line_count=1, octets=0).calls.append(call)

    def answer_of(self, entry: E) -> Answer:
        """What an entry is told that has come out of the lane. Raises Problem."""
        outcome = entry.outcome
        kind = type(outcome).slug if isinstance(outcome, Problem) else "done"
        self._metrics.redemptions.at(self._name, kind).n += 1
        if isinstance(outcome, Answer):
            return outcome
        raise outcome or InternalError()

    async def _prepare(self, batch: Batch[E]) -> Awaitable[None]:
        return self._flush(batch)

    async def _flush(self, batch: Batch[E]) -> None:
        began_s = time.monotonic()
        self._metrics.redemption_rows.at(self._name).observe(len(batch.entries))
        firsts, twins = _split_twins(batch.entries)
        deadline_s = batch.opened_s + self._flush_s
        try:
            await self._drive(firsts, deadline_s)
        except DatabaseUnreachable:
            for entry in firsts:
                entry.outcome = Unavailable("It could not be stored in time. Send the request again.")
        for twin, first in twins:
            answer_twin(twin, first)
        self._metrics.redemption_seconds.at(self._name).observe(time.monotonic() - began_s)

    async def _drive(self, entries: list[E], deadline_s: float) -> None:
        """Drive entries until each has its outcome. Raises DatabaseUnreachable; what was asked for may then be done or not."""
        if self.connection.is_away:
            raise DatabaseUnreachable("the database is away")
        while entries:
            if time.monotonic() >= deadline_s:
                raise DatabaseUnreachable("not in time")
            try:
                connection = await self.connection.connected(deadline_s)
                await within(connection, self._work.run(connection, entries), seconds=deadline_s - time.monotonic())
            except Raced:
                continue
            except _POISON:
                self.connection.terminate()
                if len(entries) == 1:
                    _log.error("redemption_failed", lane=self._name, traceback=traceback.format_exc())
                    entries[0].outcome = InternalError()
                    return
                # One by one, so that what cannot be taken fails alone.
                for entry in entries:
                    await self._drive([entry], deadline_s)
                return
            except Exception as error:
                self.connection.terminate()
                self._metrics.flush_failures.at().n += 1
                _log.warning("redemption_flush_failed", lane=self._name, error=repr(error), entries=len(entries))
                if time.monotonic() + RETRY_PAUSE_S >= deadline_s:
                    self.connection.give_up()
                    raise DatabaseUnreachable(f"the outcome is unknown: {error!r}") from error
                # What the server says on a connection, a deadlock say, may be tried again at once.
                if not isinstance(error, asyncpg.PostgresError):
                    await asyncio.sleep(RETRY_PAUSE_S)
                continue
            entries = [entry for entry in entries if entry.outcome is None]


def _split_twins[E: Entry](entries: list[E]) -> tuple[list[E], list[tuple[E, E]]]:
    """Entries to work on, and those with the key of an earlier one, with that one."""
    firsts: list[E] = []
    twins: list[tuple[E, E]] = []
    by_key: dict[tuple[str, str], E] = {}
    for entry in entries:
        key = None if entry.key is None else (entry.key.scope, entry.key.key)
        if key is not None and key in by_key:
            twins.append((entry, by_key[key]))
            continue
        if key is not None:
            by_key[key] = entry
        firsts.append(entry)
    return firsts, twins
