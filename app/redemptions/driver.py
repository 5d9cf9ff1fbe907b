"""A lane's own connection, and work on it that is driven again until its outcome is known."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

import asyncpg
import structlog

from app.db.engine import DatabaseUnreachable, within
from app.redemptions import queries
from app.redemptions.store import Overtaken

_PAUSE_S: Final = 0.02
_log = structlog.get_logger(__name__)


class Driver:
    """Owns one connection, which is terminated and replaced after any exception at all on it."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], *, name: str) -> None:
        self._connect = connect
        self._name = name
        self._connection: asyncpg.Connection | None = None

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    async def close(self) -> None:
        """Say goodbye to the server where it listens, within a second."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await within(connection, connection.close(), seconds=1.0)
            except (DatabaseUnreachable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                _log.warning("connection_not_closed", lane=self._name, error=repr(error))

    async def drive[T](self, work: Callable[[asyncpg.Connection, bool], Awaitable[T]], *, deadline_s: float) -> T:
        """Have `work` done in one transaction of its own; it is told whether the same was tried before.

        Raises DatabaseUnreachable when its outcome could not be found out before `time.monotonic()` reads `deadline_s`; it may then be done or not.
        """
        is_repeated = False
        while True:
            try:
                connection = await self._connected(deadline_s)
                return await within(connection, work(connection, is_repeated), seconds=deadline_s - time.monotonic())
            except Overtaken:
                # Rolled back; what overtook us is there to be seen now.
                continue
            except Exception as error:
                self._terminate()
                _log.warning("transaction_failed", lane=self._name, error=repr(error))
                is_repeated = True
                if time.monotonic() + _PAUSE_S >= deadline_s:
                    raise DatabaseUnreachable(f"the outcome is unknown: {error!r}") from error
                await asyncio.sleep(_PAUSE_S)

    async def _connected(self, deadline_s: float) -> asyncpg.Connection:
        connection = self._connection
        if connection is not None and not connection.is_closed():
            return connection
        self._terminate()
        opening = asyncio.ensure_future(self._open())
        done, _ = await asyncio.wait({opening}, timeout=max(deadline_s - time.monotonic(), 0))
        if not done:
            # Cancelling could hang with the network; whatever comes of it later is thrown away.
            opening.add_done_callback(_discard)
            raise DatabaseUnreachable("no connection in time")
        self._connection = opening.result()
        return self._connection

    async def _open(self) -> asyncpg.Connection:
        connection = await self._connect()
        await connection.execute(queries.SESSION)
        return connection

    def _terminate(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


def _discard(opening: "asyncio.Future[asyncpg.Connection]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().terminate()
