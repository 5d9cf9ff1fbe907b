"""Decisions while the database is away (`durability = spool`): kept in a local log, answered as such, and stored when it is back.

What is drained is stored by its id, exactly once: a decision that is there already is left alone, unless the client was told other bytes,
which happens when the outcome of its first batch was unknown; then Postgres gets what the client was told.
"""

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from random import Random
from typing import Final

import asyncpg
import structlog

from app.db.engine import DatabaseUnreachable, within
from app.db.partitions import day_of, ensure_partitions
from app.errors import Unavailable
from app.metrics import Metrics
from app.quotes import queries
from app.quotes.decision import Decision
from app.quotes.spool_log import SpoolFile, SpoolFull, SpoolLog, take_abandoned_slot, take_slot

_LOCAL: Final = b',"durability":"local"}'
# How long a disk may take over one batch before its requests are refused.
_KEEP_S: Final = 0.4
# At random, so that many processes do not drain in one instant.
_EVERY_S: Final = (0.3, 0.9)
_ABANDONED_EVERY_S: Final = 5.0
_NOTE_EVERY_S: Final = 1.0
_ROWS_AT_ONCE: Final = 256
_OCTETS_AT_ONCE: Final = 2 << 20
DRAIN_S: Final = 10.0
# What Postgres, or packing a row, says of a row that it will never take. Another row of the same key is a matter of looking again.
_REFUSED: Final = (
    asyncpg.DataError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.ProgramLimitExceededError,
    asyncpg.RaiseError,
    TypeError,
    ValueError,
    OverflowError,
)
# Of its own: whoever draws from the generator of all would move it under others.
_jitter: Final = Random()
_log = structlog.get_logger(__name__)


def told_locally(decision: Decision) -> Decision:
    """The decision with a reply that says where it is kept, as its last member; the token and its hash do not cover that."""
    return decision._replace(reply=decision.reply[:-1] + _LOCAL)


class Spool:
    """One process's part of the spool: what it keeps, and the task that drains it and what dead processes left beside it."""

    def __init__(
        self, folder: Path, connect: Callable[[], Awaitable[asyncpg.Connection]], *, octets_max: int, metrics: Metrics
    ) -> None:
        self._folder = folder
        self._connect = connect
        self._octets_max = octets_max
        self._metrics = metrics
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="spool")
        self._writing: asyncio.Future[None] | None = None
        self._days: set[date] = set()
        self._noted_s = -_NOTE_EVERY_S
        self._is_open = False
        metrics.gauge("pricing_spool_waiting", "Decisions in the local log that the database does not have yet.", self._waiting)
        metrics.gauge("pricing_spool_bytes", "Size of the local log.", lambda: self._kept.octets if self._is_open else 0)
        metrics.gauge("pricing_spool_oldest_seconds", "Age of the oldest decision in the local log.", self._oldest_seconds)
        metrics.gauge(
            "pricing_spool_set_aside",
            "Decisions that the database refuses, kept beside the local log.",
            lambda: self._kept.set_aside_count if self._is_open else 0,
        )

    def open(self) -> None:
        """Take a slot and what lies in it. Raises OSError."""
        self._slot = take_slot(self._folder)
        self._kept = SpoolLog(self._slot.folder, octets_max=self._octets_max)
        for note in self._kept.open():
            _log.warning("spool_not_whole", note=note)
        self._is_open = True

    def close(self) -> None:
        """Write no more, and leave what waits to the next process."""
        if not self._is_open:
            return
        if waiting := self._kept.waiting:
            _log.warning("spool_left_behind", decisions=waiting, folder=str(self._slot.folder))
        # A write that hangs is not waited for here.
        self._thread.shutdown(wait=False, cancel_futures=True)
        if self._writing is None or self._writing.done():
            self._kept.close()
        self._slot.release()
        self._is_open = False

    async def keep(self, decisions: Sequence[Decision]) -> None:
        """Have the decisions on the disk. Raises Unavailable when they are not known to be there; they may be stored or not then."""
        if self._writing is not None and not self._writing.done():
            raise Unavailable("The local disk does not answer.")
        loop = asyncio.get_running_loop()
        self._writing = writing = loop.run_in_executor(self._thread, self._kept.append, decisions)
        done, _ = await asyncio.wait({writing}, timeout=_KEEP_S)
        if not done:
            writing.add_done_callback(lambda future: future.exception())
            raise Unavailable("The local disk does not answer.")
        try:
            writing.result()
        except (SpoolFull, OSError) as error:
            self._note_refusal(error)
            raise Unavailable("The database is away, and the local log takes no more.") from error
        self._metrics.spooled.at().n += len(decisions)

    def _note_refusal(self, error: Exception) -> None:
        if time.monotonic() - self._noted_s >= _NOTE_EVERY_S:
            self._noted_s = time.monotonic()
            _log.warning("not_spooled", error=str(error))

    async def find(self, quote_id: uuid.UUID) -> Decision | None:
        """A decision that waits in this process's log."""
        if not self._is_open or not self._kept.has_files:
            return None
        try:
            return await asyncio.to_thread(self._kept.find, quote_id.bytes)
        except OSError:
            # Drained this moment, or a disk that cannot be read: the database is asked next.
            return None

    async def run(self) -> None:
        """Drain whenever there is something, until cancelled."""
        looked_s = -_ABANDONED_EVERY_S
        while True:
            await asyncio.sleep(_jitter.uniform(*_EVERY_S))
            if self._kept.has_files:
                await self._drain_or_note(self._kept)
            if time.monotonic() - looked_s >= _ABANDONED_EVERY_S:
                looked_s = time.monotonic()
                await self._drain_abandoned()

    async def _drain_abandoned(self) -> None:
        """What processes left that have ended and whose slot nobody has taken since."""
        seen: set[str] = set()
        while (slot := await asyncio.to_thread(take_abandoned_slot, self._folder, but=seen)) is not None:
            seen.add(slot.folder.name)
            try:
                left = SpoolLog(slot.folder, octets_max=self._octets_max)
                for note in await asyncio.to_thread(left.open):
                    _log.warning("spool_not_whole", note=note)
                await self._drain_or_note(left)
            finally:
                slot.release()

    async def _drain_or_note(self, log: SpoolLog) -> None:
        try:
            await self._drain(log)
        except (DatabaseUnreachable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
            _log.info("not_drained", error=repr(error), decisions=log.waiting)

    async def _drain(self, log: SpoolLog) -> None:
        """Store what waits, file after file. Raises what the connection or the disk raised; what was not stored then still waits."""
        connection = await self._connect()
        self._days.clear()
        try:
            for file in await asyncio.to_thread(log.seal):
                connection = await self._drain_file(connection, log, file)
        finally:
            connection.terminate()

    async def _drain_file(self, connection: asyncpg.Connection, log: SpoolLog, file: SpoolFile) -> asyncpg.Connection:
        """Store what a file holds and remove it; gives the connection to go on with, which may be another one."""
        decisions, is_damaged = await asyncio.to_thread(log.decisions, file)
        refused = 0
        try:
            for chunk in _chunks(decisions):
                try:
                    await self._store(connection, chunk)
                    continue
                except asyncpg.UniqueViolationError:
                    raise
                except _REFUSED as error:
                    _log.warning("spooled_batch_refused", error=repr(error), decisions=len(chunk))
                    connection = await self._replaced(connection)
                self._days.clear()
                # One by one, so that a row which Postgres cannot take is set aside alone.
                for decision in chunk:
                    try:
                        await self._store(connection, [decision])
                    except asyncpg.UniqueViolationError:
                        raise
                    except _REFUSED as error:
                        _log.error("spooled_decision_refused", id=str(decision.id), error=repr(error))
                        await asyncio.to_thread(log.set_aside, decision)
                        refused += 1
                        connection = await self._replaced(connection)
        except BaseException:
            connection.terminate()
            raise
        await asyncio.to_thread(log.remove, file, is_damaged=is_damaged)
        self._metrics.drained.at().n += len(decisions) - refused
        _log.info("drained", decisions=len(decisions), refused=refused, file=file.path.name)
        return connection

    async def _replaced(self, connection: asyncpg.Connection) -> asyncpg.Connection:
        """A new connection in place of one on which something failed."""
        connection.terminate()
        return await self._connect()

    async def _store(self, connection: asyncpg.Connection, decisions: Sequence[Decision]) -> None:
        days = {day_of(decision.issued_at) for decision in decisions}
        for day in sorted(days - self._days):
            await within(connection, ensure_partitions(connection, day, day), seconds=DRAIN_S)
        self._days |= days
        await within(connection, store_spooled(connection, decisions), seconds=DRAIN_S)

    def _waiting(self) -> int:
        return self._kept.waiting if self._is_open else 0

    def _oldest_seconds(self) -> float:
        oldest_us = self._kept.oldest_us if self._is_open else None
        return 0.0 if oldest_us is None else max(0.0, time.time() - oldest_us / 1e6)


def _chunks(decisions: Sequence[Decision]) -> Iterator[list[Decision]]:
    """What is stored in one transaction: not too many rows, and not too much of them."""
    chunk: list[Decision] = []
    octets = 0
    for decision in decisions:
        if chunk and (len(chunk) >= _ROWS_AT_ONCE or octets > _OCTETS_AT_ONCE):
            yield chunk
            chunk, octets = [], 0
        chunk.append(decision)
        octets += len(decision.request) + len(decision.reply)
    if chunk:
        yield chunk


async def store_spooled(connection: asyncpg.Connection, decisions: Sequence[Decision]) -> None:
    """Store decisions of any instants in one transaction: those that are not there, and the bytes the client was told of those that are."""
    async with connection.transaction():
        rows = await connection.fetch(
            queries.REPLIES, [decision.issued_at for decision in decisions], [decision.id for decision in decisions]
        )
        found = {row["id"]: row["reply"] for row in rows}
        missing = [decision for decision in decisions if decision.id not in found]
        if missing:
            await connection.copy_records_to_table("decisions", records=missing, columns=queries.COLUMNS)
        told = [one for one in decisions if one.id in found and found[one.id] != one.reply]
        if told:
            await connection.executemany(queries.SET_REPLY, [(one.issued_at, one.id, one.reply) for one in told])
