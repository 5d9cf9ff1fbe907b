"""The lanes of holds: what waits is decided together in one transaction, and answered after its commit.

Confirms and releases have a lane and a connection of their own, so that they never wait behind a crowd that wants a hot coupon.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
from asyncpg.pgproto.pgproto import UUID

from app.db.engine import DatabaseUnreachable
from app.db.gather import Batch, Gather
from app.errors import InternalError, Problem, Unavailable
from app.redemptions.driver import Driver
from app.redemptions.protocol import Again, Asked, ChangeOutcome, Confirming, Refused, Same, Taken
from app.redemptions.replies import changed_reply
from app.redemptions.store import KnownMeters, confirm_holds, release_holds, take_holds

_BATCH_ROWS_MAX: Final = 512
_ROWS_MAX: Final = 8192
_AGAIN_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class Told:
    """The bytes of a reply, and whether it is what was told before."""

    body: bytes
    is_replay: bool


type Outcome = Told | Refused | Problem


class HoldEntry:
    """A hold that is asked for."""

    __slots__ = ("asked", "outcome")

    def __init__(self, asked: Asked) -> None:
        self.asked = asked
        self.outcome: Outcome | None = None


class ChangeEntry:
    """A confirm, with the order, or a release."""

    __slots__ = ("hold_id", "order", "outcome")

    def __init__(self, hold_id: UUID, order: str | None) -> None:
        self.hold_id = hold_id
        self.order = order
        self.outcome: Outcome | None = None


class HoldLane:
    """Takes holds, batch after batch."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], *, known: KnownMeters, flush_s: float = 1.0) -> None:
        self._driver = Driver(connect, name="holds")
        self._known = known
        self._flush_s = flush_s
        self._gather: Gather[HoldEntry] = _gather(self._work)

    def start(self) -> None:
        """Begin to work, on the loop that will ask."""
        self._gather.start()

    async def stop(self) -> None:
        """Finish what is inside, refuse the rest, disconnect."""
        await self._gather.stop()
        await self._driver.close()

    async def take(self, asked: Asked) -> Outcome:
        """Ask for a hold. Raises Unavailable when the lane is full."""
        entry = HoldEntry(asked)
        await self._gather.submit([entry], line_count=1, octets=0).done
        assert entry.outcome is not None
        return entry.outcome

    async def _work(self, batch: Batch[HoldEntry]) -> Awaitable[None]:
        return self._flush(batch.entries, time.monotonic() + self._flush_s)

    async def _flush(self, entries: Sequence[HoldEntry], deadline_s: float) -> None:
        waiting = list(entries)
        while waiting:
            asked = [entry.asked for entry in waiting]
            try:
                outcomes = await self._driver.drive(
                    lambda connection, is_repeated, asked=asked: take_holds(  # type: ignore[misc]
                        connection, asked, self._known, is_repeated=is_repeated
                    ),
                    deadline_s=deadline_s,
                )
            except DatabaseUnreachable:
                _refuse(waiting)
                return
            for entry, (outcome, reply) in zip(waiting, outcomes, strict=True):
                if isinstance(outcome, Refused):
                    entry.outcome = outcome
                elif reply is not None:
                    entry.outcome = Told(reply, is_replay=not isinstance(outcome, Taken))
            waiting = [entry for entry, (outcome, _) in zip(waiting, outcomes, strict=True) if isinstance(outcome, Again)]
            if waiting:
                # Somebody else has an expired hold of a meter that is short and waits for that meter, which he got by our commit.
                await asyncio.sleep(_AGAIN_S)


class ChangeLane:
    """Confirms and releases holds, batch after batch."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], *, known: KnownMeters, flush_s: float = 1.0) -> None:
        self._driver = Driver(connect, name="confirms")
        self._known = known
        self._flush_s = flush_s
        self._gather: Gather[ChangeEntry] = _gather(self._work)

    def start(self) -> None:
        """Begin to work, on the loop that will ask."""
        self._gather.start()

    async def stop(self) -> None:
        """Finish what is inside, refuse the rest, disconnect."""
        await self._gather.stop()
        await self._driver.close()

    async def confirm(self, hold_id: UUID, order: str) -> Outcome:
        """Make a hold final. Raises Unavailable when the lane is full."""
        return await self._change(ChangeEntry(hold_id, order))

    async def release(self, hold_id: UUID) -> Outcome:
        """Give a hold back. Raises Unavailable when the lane is full."""
        return await self._change(ChangeEntry(hold_id, None))

    async def _change(self, entry: ChangeEntry) -> Outcome:
        await self._gather.submit([entry], line_count=1, octets=0).done
        assert entry.outcome is not None
        return entry.outcome

    async def _work(self, batch: Batch[ChangeEntry]) -> Awaitable[None]:
        return self._flush(batch.entries, time.monotonic() + self._flush_s)

    async def _flush(self, entries: Sequence[ChangeEntry], deadline_s: float) -> None:
        confirms = [entry for entry in entries if entry.order is not None]
        releases = [entry for entry in entries if entry.order is None]
        asked = [Confirming(entry.hold_id, entry.order) for entry in confirms if entry.order is not None]
        try:
            if confirms:
                confirmed = await self._driver.drive(
                    lambda connection, _: confirm_holds(connection, asked, self._known), deadline_s=deadline_s
                )
                _tell(confirms, confirmed)
            if releases:
                released = await self._driver.drive(
                    lambda connection, _: release_holds(connection, [entry.hold_id for entry in releases], self._known),
                    deadline_s=deadline_s,
                )
                _tell(releases, released)
        except DatabaseUnreachable:
            _refuse([entry for entry in entries if entry.outcome is None])


def _gather[E: (HoldEntry, ChangeEntry)](work: Callable[[Batch[E]], Awaitable[Awaitable[None] | None]]) -> Gather[E]:
    return Gather(
        work,
        fail=_fail,
        rows_max=_ROWS_MAX,
        octets_max=1 << 30,
        batch_rows_max=_BATCH_ROWS_MAX,
        batch_lines_max=_BATCH_ROWS_MAX,
    )


def _fail(entry: HoldEntry | ChangeEntry, problem: InternalError) -> None:
    entry.outcome = problem


def _refuse(entries: Sequence[HoldEntry | ChangeEntry]) -> None:
    for entry in entries:
        entry.outcome = Unavailable("The database did not answer in time. Send the request again.")


def _tell(entries: Sequence[ChangeEntry], outcomes: Sequence[tuple[ChangeOutcome, int]]) -> None:
    for entry, (outcome, changed_ms) in zip(entries, outcomes, strict=True):
        if isinstance(outcome, Refused):
            entry.outcome = outcome
        else:
            entry.outcome = Told(changed_reply(outcome.hold, changed_ms), is_replay=isinstance(outcome, Same))
