"""Gathering: what waits is taken together, at once when idle, in batches while a batch is under way. No timers."""

import asyncio
import time
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

import structlog

from app.errors import InternalError, Unavailable

if TYPE_CHECKING:
    from app.tracing import BatchTrace, LaneTraces

# Answering this many takes the loop about a millisecond.
_CALLED_AT_ONCE: Final = 64
# Of a smaller batch the work is no more than what it costs to have one batch more.
_AHEAD_ROWS: Final = 16
# A batch with less in it mostly pays for being a batch, and says little about what more of it would cost.
_TELLING_WEIGHT: Final = 1 / 16
_FORGETTING: Final = 0.2
_log = structlog.get_logger(__name__)


type Rest = Awaitable[None]


class Batch[E]:
    """Entries that are worked on together. Whoever waits for one of them awaits `done`, or is called, and then looks at his entry."""

    __slots__ = ("calls", "done", "entries", "line_count", "octets", "opened_s", "trace")

    def __init__(self, opened_s: float, loop: asyncio.AbstractEventLoop) -> None:
        self.entries: list[E] = []
        self.line_count = 0
        self.octets = 0
        self.opened_s = opened_s
        self.done = _Done(loop=loop)
        self.calls: list[Callable[[], None]] = []
        self.trace: BatchTrace | None = None


class _Done(asyncio.Future[None]):
    """A future that many tasks await and none can cancel: a client that goes away must not take the others' answers with it.

    A task that is cancelled while it waits is cancelled when the batch is done, which is soon and bounded.
    """

    def cancel(self, msg: Any | None = None) -> bool:
        return False


class Gather[E]:
    """Joins entries into batches and has `work` do one batch after another, on the event loop.

    At most `rows_max` entries and `octets_max` bytes are inside at any time, waiting or under way. A batch holds up to `batch_rows_max`
    entries and `batch_lines_max` lines; entries that are submitted together stay together even if they are more.
    `work` sets each entry's outcome, or leaves a rest that does. One rest is run at a time, while the next batch is worked on already if it
    is large enough. If either raises, `fail` is called with each entry and the problem.
    """

    def __init__(
        self,
        work: Callable[[Batch[E]], Awaitable[Rest | None]],
        *,
        fail: Callable[[E, InternalError], None],
        rows_max: int,
        octets_max: int,
        batch_rows_max: int,
        batch_lines_max: int,
        traces: "LaneTraces | None" = None,
    ) -> None:
        self._work = work
        self._fail = fail
        self._rows_max = rows_max
        self._octets_max = octets_max
        self._batch_rows_max = batch_rows_max
        self._batch_lines_max = batch_lines_max
        self._traces = traces
        self._queue: deque[Batch[E]] = deque()
        self._rows = 0
        self._octets = 0
        self._idle: asyncio.Future[None] | None = None
        self._workers: tuple[asyncio.Task[None], ...] = ()
        self._ready: asyncio.Queue[tuple[Batch[E], Rest | None] | None] = asyncio.Queue()
        # How much is inside, and how long that much takes: a batch that is full of rows, or of lines, weighs 1.
        self._weight = 0.0
        self._seconds_a_weight = 0.0
        self._finished_s = 0.0
        self._is_ahead = False  # a batch is being prepared, or is ready and waits for the one before it
        self._is_finishing = False
        self._is_stopping = False

    @property
    def rows(self) -> int:
        """Entries inside, waiting or under way."""
        return self._rows

    @property
    def expected_wait_s(self) -> float:
        """How long what comes now would be inside: what is inside already, at the pace of the batches before. 0 until a pace is known."""
        return self._weight * self._seconds_a_weight

    def start(self) -> None:
        """Begin to work. Call it on the loop that will submit."""
        assert not self._workers
        self._loop = asyncio.get_running_loop()
        self._workers = (
            self._loop.create_task(self._prepare(), name="gather"),
            self._loop.create_task(self._finish(), name="gather, finishing"),
        )

    async def stop(self) -> None:
        """Refuse what comes from now on, finish what is inside."""
        workers, self._workers = self._workers, ()
        if workers:
            self._is_stopping = True
            self._wake()
            await asyncio.gather(*workers)

    def submit(self, entries: list[E], *, line_count: int, octets: int) -> Batch[E]:
        """Put entries into the next batch that has room and return it.

        Raises Unavailable at once when there is no room inside, or the process is stopping.
        """
        if not self._workers:
            raise Unavailable("The process is stopping.")
        if self._rows + len(entries) > self._rows_max or self._octets + octets > self._octets_max:
            raise Unavailable("Too many requests are waiting.")
        batch = self._queue[-1] if self._queue else None
        if (
            batch is None
            or len(batch.entries) + len(entries) > self._batch_rows_max
            or batch.line_count + line_count > self._batch_lines_max
        ):
            batch = Batch(time.monotonic(), self._loop)
            self._queue.append(batch)
            self._wake()
        elif len(batch.entries) < _AHEAD_ROWS <= len(batch.entries) + len(entries):
            self._wake()
        if self._traces is not None:
            batch.trace = self._traces.join(batch.trace)
        batch.entries += entries
        batch.line_count += line_count
        batch.octets += octets
        self._rows += len(entries)
        self._octets += octets
        self._weight += self._weight_of(len(entries), line_count)
        return batch

    def _weight_of(self, row_count: int, line_count: int) -> float:
        return row_count / self._batch_rows_max + line_count / self._batch_lines_max

    def _learn_pace(self, batch: Batch[E], weight: float) -> None:
        """Learn from a batch that is finished; the time before it was opened, or while the one before it was finished, is not its own."""
        now = time.monotonic()
        if weight >= _TELLING_WEIGHT:
            found = (now - max(self._finished_s, batch.opened_s)) / weight
            self._seconds_a_weight += (found - self._seconds_a_weight) * (_FORGETTING if self._seconds_a_weight else 1.0)
        self._finished_s = now

    def _wake(self) -> None:
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)

    async def _prepare(self) -> None:
        """Work on one batch after another, up to what is left to be finished."""
        while True:
            while not self._is_time():
                if self._is_stopping and not self._queue:
                    self._ready.put_nowait(None)
                    return
                self._idle = self._loop.create_future()
                await self._idle
            batch = self._queue.popleft()
            self._is_ahead = True
            rest: Rest | None = None
            if batch.trace is not None:
                batch.trace.mark("gather")
            try:
                rest = await self._work(batch)
            except Exception:  # noqa: BLE001
                self._fail_all(batch)
            if batch.trace is not None:
                batch.trace.mark("price")
            self._ready.put_nowait((batch, rest))

    def _is_time(self) -> bool:
        """Whether to take the next batch. While one is being finished, one more is prepared, when it is large enough to be worth it."""
        if not self._queue or self._is_ahead:
            return False
        return not self._is_finishing or self._is_stopping or len(self._queue) > 1 or len(self._queue[0].entries) >= _AHEAD_ROWS

    async def _finish(self) -> None:
        """Finish the prepared batches, one at a time, and have them answered."""
        answering: set[asyncio.Task[None]] = set()
        while (ready := await self._ready.get()) is not None:
            batch, rest = ready
            self._is_ahead = False
            if rest is not None:
                self._is_finishing = True
                self._wake()
                if batch.trace is not None:
                    batch.trace.mark("wait")
                try:
                    await rest
                except Exception:  # noqa: BLE001
                    self._fail_all(batch)
                if batch.trace is not None:
                    batch.trace.mark("store")
                self._is_finishing = False
            self._wake()
            self._rows -= len(batch.entries)
            self._octets -= batch.octets
            weight = self._weight_of(len(batch.entries), batch.line_count)
            # Sums of fractions do not come back to zero by themselves.
            self._weight = self._weight - weight if self._rows else 0.0
            self._learn_pace(batch, weight)
            batch.done.set_result(None)
            # In a task, so that the next batch is on its way to the disk meanwhile.
            task = self._loop.create_task(self._call(batch.calls))
            answering.add(task)
            task.add_done_callback(answering.discard)
            if batch.trace is not None:
                batch.trace.end(entries=len(batch.entries))
        await asyncio.gather(*answering)

    def _fail_all(self, batch: Batch[E]) -> None:
        # The batch is answered and the next one is worked on: a worker that dies answers nobody ever again.
        if batch.trace is not None:
            batch.trace.has_failed = True
        _log.error("batch_failed", entries=len(batch.entries), traceback=traceback.format_exc())
        for entry in batch.entries:
            self._fail(entry, InternalError())

    async def _call(self, calls: list[Callable[[], None]]) -> None:
        for number, call in enumerate(calls, start=1):
            try:
                call()
            except Exception:  # noqa: BLE001 - as above
                _log.error("answer_failed", traceback=traceback.format_exc())
            if number % _CALLED_AT_ONCE == 0:
                await asyncio.sleep(0)
