"""One process for the long jobs beside the serving ones: whether meters are what holds add up to, and the upkeep of the database.

It promises nothing to anybody, so it may be away for a day: serving processes never wait for it. Any number may run at once.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from app.db.engine import Database, report_loop_error, within
from app.db.upkeep import keep_up
from app.metrics import Metrics
from app.redemptions.retention import forget
from app.redemptions.upkeep import Drift, find_drift
from app.web.logs import failure_notes

if TYPE_CHECKING:
    from app.tracing import Tracing

RETRY_S: Final = 1.0
# A job rests this many times as long as it ran, so that all its rounds are at most a twentieth of the time, however much there is to read.
REST: Final = 19.0
_SHOWN: Final = 20
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """What is done again and again: a round ends within `round_s`, and the next one begins no sooner than `every_s` later."""

    name: str
    work: Callable[[asyncpg.Connection], Awaitable[None]]
    every_s: float
    round_s: float


def rest_s(ran_s: float, *, at_least_s: float) -> float:
    """How long a job rests after a round that took `ran_s`.

    >>> rest_s(0.5, at_least_s=60.0), rest_s(10.0, at_least_s=60.0)
    (60.0, 190.0)
    """
    return max(at_least_s, REST * ran_s)


class Worker:
    """The jobs of one process, and what their last rounds came to."""

    def __init__(
        self, database: Database, *, retention_days: int, hold_retention_days: int, tracing: "Tracing | None" = None
    ) -> None:
        self.metrics = Metrics()
        self._database = database
        self._tracing = tracing
        self._retention_days = retention_days
        self._hold_retention_days = hold_retention_days
        self._note_failure = failure_notes(self.metrics)
        self._adrift: list[Drift] = []
        self._drift_at_s: float | None = None
        self._jobs = (
            # It reads all holds there are, so it has minutes. A lane's transaction is in its snapshot whole or not at all.
            Job("drift", self.look_for_drift, every_s=60.0, round_s=300.0),
            Job("upkeep", self._keep_up, every_s=3600.0, round_s=300.0),
        )
        self._has_succeeded = {job.name: False for job in self._jobs}
        self._tasks: list[asyncio.Task[None]] = []
        self.metrics.gauge(
            "pricing_meter_drift",
            "Meters that were not what their holds and returns add up to, at the last look.",
            lambda: len(self._adrift),
        )
        self.metrics.gauge(
            "pricing_meter_drift_checked_seconds",
            "Seconds since meters were last compared with their holds; -1 before the first time.",
            lambda: -1.0 if self._drift_at_s is None else time.monotonic() - self._drift_at_s,
        )

    def start(self) -> None:
        for job in self._jobs:
            self.metrics.expect_task(job.name)
        asyncio.get_running_loop().set_exception_handler(report_loop_error)
        self._tasks = [asyncio.create_task(self._repeat(job), name=job.name) for job in self._jobs]

    async def stop(self) -> None:
        """Ends at once: a round that is cut off is a transaction that never was, and is not traced."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._tracing is not None:
            await self._tracing.stop()

    @property
    def jobs(self) -> dict[str, bool]:
        """The jobs, and whether the last round of each succeeded."""
        return dict(self._has_succeeded)

    async def look_for_drift(self, connection: asyncpg.Connection) -> None:
        """One look at all meters; what is wrong is logged each time, because it must not be overlooked."""
        adrift = await find_drift(connection)
        self._adrift, self._drift_at_s = adrift, time.monotonic()
        if adrift:
            _log.error("meters differ from their holds", count=len(adrift), meters=[one._asdict() for one in adrift[:_SHOWN]])

    async def _keep_up(self, connection: asyncpg.Connection) -> None:
        done = await keep_up(connection, datetime.now(UTC), retention_days=self._retention_days)
        forgotten = await forget(connection, retention_days=self._hold_retention_days)
        if any((*done, *forgotten)):
            _log.info("upkeep", **done._asdict(), **forgotten._asdict())

    async def _repeat(self, job: Job) -> None:
        while True:
            began_s = time.monotonic()
            try:
                await self._run_round(job)
            except Exception as error:  # noqa: BLE001 - whatever ended a round, the next one begins, and it is told
                self._has_succeeded[job.name] = False
                self._note_failure(job.name, error)
                at_least_s = RETRY_S
            else:
                self._has_succeeded[job.name] = True
                at_least_s = job.every_s
            await asyncio.sleep(rest_s(time.monotonic() - began_s, at_least_s=at_least_s))

    async def _run_round(self, job: Job) -> None:
        if self._tracing is None:
            await self._work(job, lambda _: None)
            return
        trace = self._tracing.round(job.name)
        # For what the round logs, its failure included.
        structlog.contextvars.bind_contextvars(trace_id=trace.trace_id)
        try:
            await self._work(job, trace.begin)
        except Exception as error:
            trace.end(error)
            raise
        trace.end()

    async def _work(self, job: Job, begin: Callable[[str], None]) -> None:
        begin("connect")
        connection = await self._database.connect(application=f"centwise {job.name}", statement_seconds=job.round_s)
        try:
            begin("work")
            await within(connection, job.work(connection), seconds=job.round_s)
        finally:
            connection.terminate()


def create_worker_app(worker: Worker) -> Starlette:
    """The worker's HTTP: `/livez`, `/readyz`, `/metrics`, for the platform."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        worker.start()
        try:
            yield
        finally:
            await worker.stop()

    async def livez(_: Request) -> Response:
        return _json({"status": "alive"}, 200)

    async def readyz(_: Request) -> Response:
        ready = all(worker.jobs.values())
        return _json({"status": "ready" if ready else "not ready", "jobs": worker.jobs}, 200 if ready else 503)

    async def metrics(_: Request) -> Response:
        text = await asyncio.to_thread(worker.metrics.render)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    routes = [Route("/livez", livez), Route("/readyz", readyz), Route("/metrics", metrics)]
    return Starlette(routes=routes, lifespan=lifespan)


def _json(content: object, status: int) -> Response:
    return Response(json.dumps(content), status, media_type="application/json")
