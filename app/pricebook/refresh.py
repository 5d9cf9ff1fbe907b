"""Keeps a process's price book the latest one: a LISTEN connection as the hint, a poll every second as the truth.

The connection is the refresher's own. Each step on it is bounded in time and any exception ends it, because a frozen server or a
dropped network raises nothing by itself. A version that does not compile is refused once and the last good book stays.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from time import monotonic
from typing import Any, Final

import asyncpg
import structlog

from app.db.engine import within
from app.metrics import Metrics
from app.pricebook.compile import compile_off_loop
from app.pricebook.holder import BookHolder, Held
from app.pricebook.last_good import DamagedBook, LastGood
from app.pricebook.load import load_changes, load_rows, read_latest
from app.pricing.book import BookError, BookRows, PriceBook

CHANNEL: Final = "centwise_version"
_LISTEN_BOUND_SECONDS: Final = 2.0
# A poll is an index look-up. A connection that takes longer over it is as good as frozen, and a new one may not be.
_POLL_BOUND_SECONDS: Final = 0.6
# Each poll comes up to so much of the interval early, so that many processes do not ask in one instant.
_POLL_JITTER: Final = 0.2
# A burst of versions is written once at its end.
_DISK_PAUSE_SECONDS: Final = 5.0
# Of its own: whoever draws from the generator of all would move it under others.
_jitter: Final = Random()
_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class RefreshStatus:
    """How the refresher is doing, for readiness and metrics."""

    checked_at: float | None = None  # monotonic seconds of the last poll that the database answered
    database_version: int | None = None  # the latest version the database had then
    refused_version: int | None = None  # a version that did not compile, as long as it is the latest
    problem: str = ""  # what went wrong last, empty when all is well


class Refresher:
    """Runs beside the service and puts each new version into the holder."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        holder: BookHolder,
        metrics: Metrics,
        *,
        last_good: Path | None = None,
        poll_seconds: float = 1.0,
    ) -> None:
        self._connect = connect
        self._holder = holder
        self._metrics = metrics
        self._last_good = None if last_good is None else LastGood(last_good)
        self._poll_seconds = poll_seconds
        self._hint = asyncio.Event()
        self._unwritten = asyncio.Event()
        self._connection: asyncpg.Connection | None = None
        self.status = RefreshStatus()
        holder.watch(lambda *_: self._unwritten.set())

    async def start(self) -> None:
        """Have a book if there is one: the one on disk at once, then what the database has more. Without either the holder stays empty."""
        await self._take_last_good()
        await self._refresh_or_note()

    async def run(self) -> None:
        """Refresh until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_fresh())
            if self._last_good is not None:
                tasks.create_task(self._keep_on_disk(self._last_good))

    async def close(self) -> None:
        """End the connection, and leave the book in force on disk."""
        self._end_connection()
        if self._last_good is not None and self._unwritten.is_set():
            await self._write(self._last_good)

    def look_now(self) -> None:
        """Poll without waiting for the time to come: the database was away and answers again."""
        self._hint.set()

    async def refresh(self) -> None:
        """Bring the holder to the latest version of the database.

        Raises DatabaseUnreachable, and whatever asyncpg raises; the connection is ended then.
        """
        try:
            await self._refresh(await self._connected())
        except BaseException:
            self._end_connection()
            raise

    async def _keep_fresh(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds * _jitter.uniform(1 - _POLL_JITTER, 1)):
                    await self._hint.wait()
            self._hint.clear()
            await self._refresh_or_note()

    async def _refresh_or_note(self) -> None:
        had_connection = self._connection is not None
        try:
            await self.refresh()
        except Exception as error:  # noqa: BLE001 - whatever it was, the next poll tries again on a new connection
            self._note(f"{type(error).__name__}: {error}")
            if had_connection:
                # It may have been the connection alone that was frozen: look again at once, and only once.
                self._hint.set()
        else:
            self.status.checked_at = monotonic()
            if self.status.refused_version is None:
                self.status.problem = ""

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await self._connect()
            await within(self._connection, self._connection.add_listener(CHANNEL, self._on_notice), seconds=_LISTEN_BOUND_SECONDS)
        return self._connection

    def _on_notice(self, *_: Any) -> None:
        self._hint.set()

    def _end_connection(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _refresh(self, connection: asyncpg.Connection) -> None:
        held = self._holder.held()
        latest = await read_latest(connection, None if held is None else held.rows, seconds=_POLL_BOUND_SECONDS)
        self.status.database_version = latest.version
        is_ours = held is not None and latest.knows_held
        if held is not None and is_ours and latest.version <= held.rows.version:
            self.status.refused_version = None
            return
        if latest.version == self.status.refused_version or latest.version in self._holder.expected:
            return
        if held is not None and is_ours:
            rows = await load_changes(connection, held.rows, latest)
        else:
            rows = await load_rows(connection)
        book = await self._compiled(rows, earlier=None if held is None else held.book)
        if book is None:
            return
        if held is not None and not is_ours:
            _log.warning("book_of_another_database", held=held.rows.version, version=rows.version)
            self._holder.replace_foreign(book)
        elif self._holder.offer(book):
            _log.info("book_in_force", version=rows.version)

    async def _compiled(self, rows: BookRows, *, earlier: PriceBook | None) -> Held | None:
        try:
            book = await compile_off_loop(rows, self._metrics, earlier=earlier)
        except BookError as error:
            reason = "; ".join(f"{p.resource}/{p.id} {p.path}: {p.message}" for p in error.problems[:5])
        except Exception as error:  # noqa: BLE001 - a defect of the compiler must not end the refresher, and shows as a refusal
            _log.exception("book_compiler_failed", version=rows.version)
            reason = f"{type(error).__name__}: {error}"
        else:
            self.status.refused_version = None
            return Held(book, rows)
        if self.status.refused_version != rows.version:
            self._metrics.book_refusals.at().n += 1
        self.status.refused_version = rows.version
        self._note(f"version {rows.version} does not compile: {reason}")
        return None

    async def _take_last_good(self) -> None:
        if self._last_good is None:
            return
        try:
            kept = await asyncio.to_thread(self._last_good.read)
            if kept is not None and (held := await self._compiled(kept.rows, earlier=kept.book)) is not None:
                self._holder.offer(held)
        except (DamagedBook, OSError) as error:
            self._note(f"the last good book cannot be read: {error}")
        self.status.refused_version = None

    async def _keep_on_disk(self, last_good: LastGood) -> None:
        while True:
            await self._unwritten.wait()
            await self._write(last_good)
            await asyncio.sleep(_DISK_PAUSE_SECONDS)

    async def _write(self, last_good: LastGood) -> None:
        self._unwritten.clear()
        held = self._holder.held()
        if held is None:
            return
        try:
            await asyncio.to_thread(last_good.write, held.rows, held.book)
        except Exception as error:  # noqa: BLE001 - a disk or a book that cannot be written must not end the refresher, nor hold a stop
            self._note(f"the last good book cannot be written: {type(error).__name__}: {error}")

    def _note(self, problem: str) -> None:
        if self.status.problem != problem:
            _log.warning("book_not_refreshed", problem=problem, version=self._holder.version)
        self.status.problem = problem
