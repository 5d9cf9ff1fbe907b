"""The composition root: settings in, one ASGI application out. Everything is made and wired here, and nowhere else.

The only reader of settings beside the command line. Nothing here decides anything about prices.
"""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

import asyncpg
import structlog

from app.db.durable import connect_durable, require_schema
from app.db.engine import Database, DatabaseUnreachable, pool_usage, report_loop_error
from app.db.pulse import Pulse
from app.db.upkeep import keep_up, prepare_partitions
from app.errors import Unavailable, ValidationFailed
from app.metrics import Metrics
from app.pricebook.holder import BookHolder
from app.pricebook.refresh import Refresher
from app.pricebook.renewal import NO_PATTERNS_DAYS, Reach, renew_schedules
from app.pricebook.versions import BookVersions
from app.pricing.book import PriceBook
from app.quotes.decisions import DecisionReader
from app.quotes.front import Beside, DirectOperation, FrontTable, endpoints
from app.quotes.ids import IssueClock
from app.quotes.key_file import KeyFile
from app.quotes.lane import LaneLimits, QuoteLane
from app.quotes.listing import Listing, list_prices
from app.quotes.memo import Memos
from app.quotes.preview import PreviewLane
from app.quotes.pricing_pass import Pricing
from app.quotes.replay import Replay
from app.quotes.spool import DRAIN_S, Spool
from app.quotes.standing import Standings
from app.quotes.store import DecisionStore
from app.quotes.storefront import Storefront
from app.quotes.tokens import KeyRing, SigningKey, TokenError
from app.redemptions.counters import Counters
from app.redemptions.entries import SignedQuote
from app.redemptions.personal import Personal
from app.redemptions.plain import PlainChanges, PlainHolds
from app.redemptions.quoted import QuotedDraws
from app.redemptions.redemptions import Redemptions, connect_by_keys
from app.redemptions.retention import forget
from app.settings import PREFIX, Settings, SettingsError
from app.web.access import Access
from app.web.admission import Admission
from app.web.auth import Authenticator
from app.web.gate import Gate
from app.web.late import LateApp
from app.web.logs import failure_notes
from app.web.looplag import measure_loop_lag
from app.web.probes import Probes
from app.web.quotas import Limits, Quotas
from app.web.server import Door

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from app.tracing import Tracing

ISSUER: Final = "centwise"
UPKEEP_SECONDS: Final = 3600.0
_ANY_AGE_S: Final = 10**10
RETRY_SECONDS: Final = 1.0
_log = structlog.get_logger(__name__)


class Service:
    """One process's objects, and the order in which they start and stop."""

    def __init__(self, settings: Settings, database: Database, *, spool_class: type[Spool] = Spool) -> None:
        self.settings = settings
        self.database = database
        self.metrics = Metrics(channel_room=settings.metric_channels)
        self.note_failure = failure_notes(self.metrics)
        self.tracing = open_tracing() if settings.tracing else None
        self.pulse = Pulse(database, changed=self._note_pulse)
        self.engine = self.pulse.engine
        key_limits = Limits(settings.key_requests_per_second, settings.key_burst, settings.key_concurrent)
        self.authenticator = Authenticator(
            self.engine, open_loopback=settings.open_loopback, quotas=Quotas(key_limits, self.metrics)
        )
        self.holder = BookHolder()
        self.memos = Memos(lines_max=settings.memo_lines)
        self.holder.watch(lambda before, held: None if before is None else self.memos.hand_over(before.book, held.book))
        self.refresher = Refresher(
            self.connect,
            self.holder,
            self.metrics,
            last_good=settings.data_dir / "last-good-book",
            poll_seconds=settings.poll_seconds,
        )
        self.reach = Reach()
        self.versions = BookVersions(self.connect, self.holder)
        self.store = DecisionStore(self.connect_durable, metrics=self.metrics)
        limits = LaneLimits(
            rows_max=settings.lane_rows,
            octets_max=settings.lane_bytes,
            batch_rows_max=settings.lane_batch_rows,
            flush_s=settings.flush_seconds,
        )
        self.keys = KeyRing([SigningKey(kid, secret) for kid, secret in settings.load_signing_keys()], issuer=ISSUER)
        clock = IssueClock()
        self.standings = Standings()
        self.drawing = QuotedDraws()
        self.holder.watch(self.drawing.follow)
        self.personal = Personal(lambda: connect_by_keys(self.connect), limits=self.drawing.limits)
        self.counters = Counters(
            self.connect,
            current_book=self._book_in_force,
            hand_on=self.standings.set,
            hand_on_personal=self.personal.set_any,
        )
        self.holder.watch(lambda _, held: self.counters.take(held.book))
        pricing = Pricing(
            current_book=self.holder.current,
            price=self.memos.price,
            standings=self.standings,
            personal=self.personal,
            metrics=self.metrics,
            lines_max=limits.batch_lines_max,
        )
        spool_folder = settings.data_dir / "spool"
        is_spooling = settings.durability == "spool"
        # What was left there is drained whatever the setting says now.
        self.uses_spool = is_spooling or spool_folder.exists()
        self.spool = spool_class(spool_folder, self._connect_drain, octets_max=settings.spool_bytes, metrics=self.metrics)
        self.lane = QuoteLane(
            pricing=pricing,
            store=self.store,
            keys=self.keys,
            metrics=self.metrics,
            limits=limits,
            quote_ttl_s=settings.quote_ttl_seconds,
            clock=clock,
            spool=self.spool if is_spooling else None,
            traces=None if self.tracing is None else self.tracing.lane("quotes"),
        )
        self.previews = PreviewLane(
            pricing=pricing, limits=limits, quote_ttl_s=settings.quote_ttl_seconds, clock=clock, metrics=self.metrics
        )
        listing = Listing(
            current_book=self.holder.current,
            price=list_prices,
            standings=self.standings,
            clock=clock,
            metrics=self.metrics,
            lines_max=limits.batch_lines_max,
            memos=self.memos,
        )
        storefront = Storefront(
            lane=self.lane,
            previews=self.previews,
            listing=listing,
            book_of_version=self.versions.get,
            wait_for_version=self.holder.wait_for_version,
            metrics=self.metrics,
        )
        self.redemptions = Redemptions(
            self.connect_durable,
            find_draws=self.drawing.find,
            flush_s=settings.flush_seconds,
            metrics=self.metrics,
            tracing=self.tracing,
        )
        self.admission = Admission(target_s=settings.wait_ms / 1000, metrics=self.metrics)
        self.admission.add_lane("quotes", lambda: self.lane.expected_wait_s)
        self.admission.add_lane("previews", lambda: self.previews.expected_wait_s)
        self.admission.add_lane("holds", lambda: self.redemptions.holding.expected_wait_s)
        self.gate = Gate(
            self.admission,
            connections_max=settings.connections,
            connections_per_address_max=settings.connections_per_address,
            metrics=self.metrics,
        )
        self.plain_holds = PlainHolds(
            self.redemptions.holding, quote_of_token=self.quote_of_token, hold_ttl_s=settings.hold_ttl_seconds
        )
        self.plain_changes = PlainChanges(self.redemptions.changing)
        self.front = endpoints(storefront, quote_octets_max=settings.quote_body_bytes)
        self.decisions = DecisionReader(self.engine, spooled=self.spool.find)
        self.replay = Replay(
            self.decisions, book_of_version=self.versions.get, price=self.memos.price, lines_max=limits.batch_lines_max
        )
        self.probes = Probes(readiness=self.readiness, figures=self.metrics)
        self._tasks: list[asyncio.Task[None]] = []
        self._watch()

    def quote_of_token(self, token: str) -> SignedQuote:
        """The quote that a token of ours is of. Raises ValidationFailed for any other.

        An old token is read like a new one. Whether its quote still binds is told by the database's clock, and whoever repeats a request gets the
        reply that he got, however late.
        """
        now_s = int(time.time())
        try:
            claims = self.keys.verify(token, now_s=now_s, leeway_s=_ANY_AGE_S)
        except TokenError as error:
            raise ValidationFailed(errors=[("token", "invalid", str(error))]) from None
        return SignedQuote(UUID(claims.jti), binds=now_s < claims.exp)

    async def connect(self) -> asyncpg.Connection:
        """A connection of its own, for the caller to keep and end."""
        return await self.database.connect()

    async def connect_durable(self) -> asyncpg.Connection:
        """The same, to a server that keeps what it acknowledges. Asked of each connection, because a failover may bring another server."""
        return await self._connect_to_keep("centwise lane", self.settings.flush_seconds)

    async def _connect_drain(self) -> asyncpg.Connection:
        """The same for what drains the spool."""
        return await self._connect_to_keep("centwise drain", DRAIN_S)

    async def _connect_to_keep(self, application: str, statement_s: float) -> asyncpg.Connection:
        is_strict = self.settings.durability != "relaxed"
        return await connect_durable(self.database, application=application, statement_s=statement_s, is_strict=is_strict)

    async def start(self) -> None:
        """Raises NotDurable and WrongSchema. A database that is away is no reason not to start: the last good book serves previews."""
        asyncio.get_running_loop().set_exception_handler(report_loop_error)
        self.metrics.expect_task("start")
        # What was imported stays as long as the process does: the collection at the end of the start need not walk it.
        gc.freeze()
        try:
            await self._prepare_database()
            await self.authenticator.refresh()
        except (DatabaseUnreachable, Unavailable) as error:
            self.note_failure("start", error)
        await self.refresher.start()
        if self.uses_spool:
            await asyncio.to_thread(self.spool.open)
        try:
            await self.counters.refresh()
        except DatabaseUnreachable as error:
            self.note_failure("start", error)
        await self.lane.start()
        await self.redemptions.start()
        self.previews.start()
        # A book is millions of objects that live as long as it does: the collector has no business walking them while quotes wait.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        self._run("pulse", self.pulse.run)
        if self.uses_spool:
            self._run("spool", self.spool.run)
        self._run("refresher", self.refresher.run)
        self._run("keys", lambda: self.authenticator.keep_fresh(note_failure=self.note_failure))
        self._run("admission", self.admission.watch_loop)
        if path := self.settings.signing_keys_file:
            read = self.settings.read_signing_keys_file
            key_file = KeyFile(path, self.keys, read=read, note_failure=self.note_failure)
            self._run("signing keys", key_file.follow)
        self._run("counters", self.counters.run)
        self._run("sweeper", self.redemptions.run_sweeper)
        self._run("loop lag", lambda: measure_loop_lag(self.metrics))
        self._run("upkeep", self._keep_up)
        self._run("schedules", self._renew_schedules)

    async def stop(self) -> None:
        """The lanes first: what they hold is stored and answered before anything it needs is gone."""
        await self.lane.stop()
        await self.redemptions.stop()
        await self.previews.stop()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.spool.close()
        self.counters.close()
        await self.personal.stop()
        await self.refresher.close()
        await self.engine.dispose()
        if self.tracing is not None:
            await self.tracing.stop()

    async def _prepare_database(self) -> None:
        connection = await self.connect_durable()
        try:
            await require_schema(connection)
            await prepare_partitions(connection, datetime.now(UTC))
        finally:
            connection.terminate()

    async def _keep_up(self) -> None:
        while True:
            connection = await self.database.connect(application="centwise upkeep")
            try:
                done = await keep_up(connection, datetime.now(UTC), retention_days=self.settings.decision_retention_days)
                forgotten = await forget(connection, retention_days=self.settings.hold_retention_days)
                if any((*done, *forgotten)):
                    _log.info("upkeep", **done._asdict(), **forgotten._asdict())
            finally:
                connection.terminate()
            await asyncio.sleep(UPKEEP_SECONDS)

    async def _renew_schedules(self) -> None:
        while True:
            try:
                await renew_schedules(self.engine, self.holder, self.metrics)
            except Exception as error:  # noqa: BLE001 - there is a month to succeed in, and compiling a book each second would be felt
                self.note_failure("schedules", error)
            await asyncio.sleep(UPKEEP_SECONDS)

    def _run(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Runs `work` until the service stops; if it fails, that is noted and it starts again."""

        async def forever() -> None:
            while True:
                try:
                    await work()
                except Exception as error:  # noqa: BLE001 - whatever ended a background task, the service goes on and says so
                    self.note_failure(name, error)
                await asyncio.sleep(RETRY_SECONDS)

        self.metrics.expect_task(name)
        self._tasks.append(asyncio.create_task(forever(), name=name))

    def _note_pulse(self, silence: str) -> None:
        if silence:
            _log.warning("the database does not answer", reason=silence)
        else:
            _log.info("the database answers")
            self.refresher.look_now()

    def _watch(self) -> None:
        gauge = self.metrics.gauge
        gauge("pricing_book_version", "Version of the price book in force here.", lambda: self.holder.version or 0)
        gauge("pricing_book_age_seconds", "Time since the book in force was published.", self._book_age_seconds)
        gauge("pricing_book_checked_seconds", "Time since the database last told the latest version.", self._checked_seconds)
        gauge(
            "pricing_schedule_days_ahead",
            "Days that patterns of schedules reach ahead, -1 without any.",
            self._schedule_days_ahead,
        )
        gauge("pricing_database_up", "1 when the database answered the last question.", lambda: int(self.pulse.is_up))
        gauge(
            "pricing_counters_age_seconds",
            "Time since what is left of limits was last read, -1 before; 0 without limits.",
            lambda: self.counters.age_s,
        )
        gauge(
            "pricing_budget_used_share",
            "What is used of the budget nearest to its end, of promotions and campaigns; 0 without budgets.",
            lambda: self.counters.budget_used_share,
        )
        gauge("pricing_lane_rows", "Baskets in the lane, waiting or under way.", lambda: self.lane.rows)
        gauge(
            "pricing_expected_wait_seconds",
            "How long a request that comes now would wait, by where.",
            self.admission.waits_s,
            label="in",
        )
        gauge("pricing_signing_keys", "Keys that quotes are signed or verified with.", lambda: len(self.keys.kids))
        gauge("pricing_connections", "Connections of clients.", lambda: self.gate.connection_count)
        gauge(
            "pricing_redemption_lane_rows",
            "Holds, or changes of them, in their lane, waiting or under way.",
            lambda: {"holds": self.redemptions.holding.rows, "changes": self.redemptions.changing.rows},
            label="lane",
        )
        gauge("pricing_lane_connected", "1 when the lane has its connection.", lambda: int(self.lane.is_connected))
        gauge("pricing_memo_entries", "What is remembered for the book in force, by what it is.", self._memo_sizes, label="of")
        gauge("pricing_pool_connections", "Pooled connections by state.", lambda: pool_usage(self.engine), label="state")

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        """Whether requests should be sent here, and what people may want to know about it."""
        status = self.refresher.status
        is_leaving = self.gate.is_leaving
        ready = self.holder.version is not None and not is_leaving
        return ready, {
            "status": "ready" if ready else "stopping" if is_leaving else "not ready",
            "version": self.holder.version,
            "database_version": status.database_version,
            "database": "reachable" if self.pulse.is_up else "away",
            "problem": status.problem,
            "signing_keys": self.keys.kids,
        }

    def _book_in_force(self) -> PriceBook | None:
        held = self.holder.held()
        return None if held is None else held.book

    def _book_age_seconds(self) -> float:
        held = self.holder.held()
        return 0.0 if held is None else max(0.0, time.time() - held.book.published_at_us / 1e6)

    def _schedule_days_ahead(self) -> int:
        held = self.holder.held()
        return NO_PATTERNS_DAYS if held is None else self.reach.days_ahead(held, datetime.now(UTC))

    def _memo_sizes(self) -> dict[str, int]:
        held = self.holder.held()
        return self.memos.sizes(None if held is None else held.book)

    def _checked_seconds(self) -> float:
        checked_at = self.refresher.status.checked_at
        return -1.0 if checked_at is None else time.monotonic() - checked_at


def open_tracing() -> "Tracing":
    """What sends spans, which is imported only here. Raises SettingsError."""
    try:
        from app.tracing import Tracing  # noqa: PLC0415 - not there without its extra, and not free
    except ModuleNotFoundError as error:
        raise SettingsError(f"{PREFIX}TRACING needs the extra `tracing`: there is no {error.name}") from None
    try:
        return Tracing()
    except ValueError as error:
        raise SettingsError(str(error)) from None


def create_app(settings: Settings, *, database: Database, spool_class: type[Spool] = Spool) -> Door:
    """The application as the server runs it."""
    service = Service(settings, database, spool_class=spool_class)
    holds, changes = service.plain_holds, service.plain_changes

    def make_api() -> "ASGIApp":
        from app.api import create_api  # noqa: PLC0415 - two thirds of all imports, and no quote needs them

        api = create_api(service)
        # It stays as long as the process does, like what was there when the service started.
        gc.freeze()
        return api

    api = LateApp(make_api, start=service.start, stop=service.stop, probes=service.probes)
    front = FrontTable(
        Access(api, service.metrics, admission=service.admission),
        service.front,
        gate=service.gate,
        callers=service.authenticator,
        metrics=service.metrics,
        read_s=settings.read_seconds,
        beside=(
            Beside(holds.path, holds.octets_max, "redeem", DirectOperation(holds.take, holds.answered)),
            Beside(changes.confirm_path, changes.octets_max, "redeem", DirectOperation(changes.take_confirm, changes.answered)),
            Beside(changes.release_path, changes.octets_max, "redeem", DirectOperation(changes.take_release, changes.answered)),
        ),
    )
    if service.tracing is None:
        return front
    from app.web.traced import TracedDoor  # noqa: PLC0415 - as above

    return TracedDoor(front, service.tracing)
