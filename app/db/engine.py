"""Connections: the pooled SQLAlchemy engine of the control plane, and dedicated asyncpg connections for lanes and listeners."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit
from weakref import WeakKeyDictionary

import asyncpg
from sqlalchemy import Engine, event
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import Pool

from app.errors import Unavailable

# SQLSTATEs of a server that is stopping, starting, full, read-only after a failover, or too slow for its own limit.
_AWAY = ("08", "57P", "53", "25006", "57014")
_SCHEMES = {"postgresql", "postgres", "postgresql+asyncpg"}
# What is under way in `transaction`, by engine: the bounds that `end_transactions` lets expire.
_under_way: Final[WeakKeyDictionary[Engine, set[asyncio.Timeout]]] = WeakKeyDictionary()
# What waits on a connection that was just terminated ends by itself, with the better reason; this is for all that waits elsewhere.
_ENDS_BY_ITSELF_S: Final = 0.05


class DatabaseUnreachable(Exception):
    """The database did not answer in time, or the connection is gone. What was under way may or may not have been committed."""


class NotDurable(Exception):
    """The server may lose what it has acknowledged, so this service will not promise anything on it."""


@dataclass(frozen=True, slots=True)
class Database:
    """Where the database is and how long to wait for it: all that is needed to open connections of either sort."""

    url: str = field(repr=False)
    connect_seconds: float = 1.0
    statement_seconds: float = 30.0
    pool_size: int = 8

    async def connect(self, *, application: str = "centwise", statement_seconds: float | None = None) -> asyncpg.Connection:
        """Opens a connection that the caller owns and ends, with `terminate()` after any exception at all.

        `statement_seconds` is the server's limit for one statement; 0 is none. Raises DatabaseUnreachable.
        """
        seconds = self.statement_seconds if statement_seconds is None else statement_seconds
        try:
            # asyncpg's own timeout does not bound a server that accepts and then says nothing; the outer one does.
            async with asyncio.timeout(self.connect_seconds + 0.2):
                return await asyncpg.connect(
                    dsn(self.url),
                    timeout=self.connect_seconds,
                    server_settings={
                        "application_name": application,
                        "timezone": "UTC",
                        "statement_timeout": str(round(seconds * 1000)),
                        "idle_in_transaction_session_timeout": "60000",
                    },
                )
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise DatabaseUnreachable(f"cannot connect: {type(error).__name__}: {error}") from error

    def engine(self, connect: Callable[[], Awaitable[asyncpg.Connection]] | None = None) -> AsyncEngine:
        """A pooled engine. Its connections come from `connect`, ours by default, so that a URL's parameters mean the same everywhere."""
        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=connect or self.connect,
            pool_size=self.pool_size,
            max_overflow=0,
            pool_timeout=self.connect_seconds,
            pool_pre_ping=False,
            pool_recycle=1800,
        )
        event.listen(engine.sync_engine, "checkout", _require_open)
        return engine


def _require_open(pooled: Any, *_: object) -> None:
    """Has the pool replace a connection that is known to be closed, as all are after the server's restart; asks nothing of the server."""
    if pooled.driver_connection.is_closed():
        raise DisconnectionError


def dsn(url: str) -> str:
    """The URL as libpq writes it. Raises ValueError when it is not one of Postgres."""
    parts = urlsplit(url)
    if parts.scheme not in _SCHEMES:
        raise ValueError("the database URL must start with postgresql://")
    return urlunsplit(parts._replace(scheme="postgresql"))


def pool_usage(engine: AsyncEngine) -> dict[str, float]:
    """Connections by state, for the metrics."""
    pool: Pool = engine.pool
    checked_out = float(pool.checkedout())  # type: ignore[attr-defined]
    return {"in_use": checked_out, "idle": float(pool.checkedin())}  # type: ignore[attr-defined]


@contextlib.asynccontextmanager
async def transaction(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """One unit of work: commits at the end, rolls back on any exception. A database that is away is `Unavailable` (503).

    It may take as long as it takes while the database answers. When that falls silent, `end_transactions` ends it wherever it waits: for a
    connection of the pool, for an answer, or for a book that compiles under a lock which is lost.
    """
    under_way = _under_way.setdefault(engine.sync_engine, set())
    bound = asyncio.timeout(None)
    try:
        async with bound:
            under_way.add(bound)
            try:
                async with engine.begin() as connection:
                    yield connection
            finally:
                under_way.discard(bound)
    except TimeoutError as error:
        if not bound.expired():
            raise
        raise Unavailable("the database cannot be reached") from error
    except (DatabaseUnreachable, PoolTimeout, ConnectionError) as error:
        raise Unavailable("the database cannot be reached") from error
    except DBAPIError as error:
        state = getattr(error.orig, "sqlstate", None) or ""
        if error.connection_invalidated or state.startswith(_AWAY):
            raise Unavailable("the database cannot be reached") from error
        raise


def end_transactions(engine: AsyncEngine) -> None:
    """Ends what is under way in `transaction`, wherever it waits; whether a commit among them was made is not known then.

    Their connections are to be terminated first, because a rollback asks the server. Called on the event loop of the transactions.
    """
    under_way = _under_way.get(engine.sync_engine, set())
    expires_s = asyncio.get_running_loop().time() + _ENDS_BY_ITSELF_S
    for bound in under_way:
        bound.reschedule(expires_s)
    # A bound expires once.
    under_way.clear()


async def within[T](connection: asyncpg.Connection, work: Awaitable[T], *, seconds: float) -> T:
    """Waits for `work` on `connection` for so long and no longer.

    asyncpg's timeouts cancel politely over the network, which hangs when the network or the server does; here nothing is cancelled:
    the connection is terminated, and the work ends by itself on the dead connection. The same when the caller is cancelled. Raises
    DatabaseUnreachable when the time is up.
    """
    task = asyncio.ensure_future(work)
    try:
        done, _ = await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        connection.terminate()
        task.add_done_callback(consume)
        raise
    if not done:
        connection.terminate()
        task.add_done_callback(consume)
        raise DatabaseUnreachable(f"no answer within {seconds:g} s")
    return task.result()


def consume(task: asyncio.Future[Any]) -> None:
    """Takes the exception of a task nobody waits for any more; it was told to the caller as DatabaseUnreachable already."""
    if not task.cancelled():
        task.exception()


def report_loop_error(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """An event loop's exception handler that leaves out what is no news.

    When a connection is lost in the middle of a COPY, asyncpg raises in the caller and also leaves a future with the same loss unread.
    """
    is_told = isinstance(context.get("exception"), asyncpg.ConnectionDoesNotExistError)
    if not is_told or isinstance(context.get("future"), asyncio.Task):
        loop.default_exception_handler(context)


async def require_durable(connection: asyncpg.Connection) -> None:
    """Raises NotDurable unless the server keeps what it acknowledges over a crash; holds the session to the setting found.

    Without that, a reload of the server's configuration would change `synchronous_commit` under a connection that was asked before.
    """
    rows = await connection.fetch(
        "SELECT name, setting FROM pg_settings WHERE name = ANY($1::text[])", ["fsync", "full_page_writes", "synchronous_commit"]
    )
    found = {row["name"]: row["setting"] for row in rows}
    wrong = [f"{name} is {found[name]}" for name in ("fsync", "full_page_writes") if found[name] != "on"]
    # `local` waits for our own disk, which is what is promised; remote_* and on wait for at least that.
    if found["synchronous_commit"] == "off":
        wrong.append("synchronous_commit is off")
    if wrong:
        raise NotDurable(
            f"the server may lose acknowledged decisions: {', '.join(wrong)}; set them on, or PRICING_DURABILITY=relaxed to serve all the same"
        )
    await connection.execute("SELECT set_config('synchronous_commit', current_setting('synchronous_commit'), false)")
