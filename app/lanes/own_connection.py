"""A connection that one lane owns: terminated and replaced after any exception at all on it, and opened again by itself."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from random import Random
from typing import Final

import asyncpg
import structlog

from app.db.engine import DatabaseUnreachable, within

# How long a lane waits before it drives a batch again whose connection failed. One that cannot be had is refused at once, so without
# a pause each process would knock at a server that is recovering a thousand times a second.
RETRY_PAUSE_S: Final = 0.02
# How long until a database that is away is tried again, at random, so that many processes do not come back in one instant.
_REOPEN_S: Final = (0.1, 0.5)
# How long one try may take; with the pause before it less than two seconds, within which everything has to be back.
_REOPEN_ANSWER_S: Final = 1.0
# Of its own: whoever draws from the generator of all would move it under others.
_jitter: Final = Random()
_log = structlog.get_logger(__name__)


class OwnConnection:
    """While the database is away a task of its own tries to connect, and whoever asks meanwhile is refused without waiting for it."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], *, name: str) -> None:
        self._connect = connect
        self._name = name
        self._connection: asyncpg.Connection | None = None
        self._reopening: asyncio.Task[None] | None = None

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    @property
    def is_away(self) -> bool:
        """Whether the database was given up, until it is found again."""
        return self._reopening is not None

    async def open(self, *, seconds: float) -> None:
        """Connect ahead of the first use. Raises DatabaseUnreachable; it is tried again from then on."""
        try:
            await self.connected(time.monotonic() + seconds)
        except DatabaseUnreachable:
            self.give_up()
            raise

    async def close(self) -> None:
        """Say goodbye to the server where it listens, within a second."""
        if self._reopening is not None:
            self._reopening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reopening
            self._reopening = None
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await within(connection, connection.close(), seconds=1.0)
            except (DatabaseUnreachable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                _log.warning("lane_connection_not_closed", lane=self._name, error=repr(error))

    async def connected(self, deadline_s: float) -> asyncpg.Connection:
        """The connection, a new one where the last was terminated. Raises DatabaseUnreachable at `deadline_s` of `time.monotonic()`."""
        connection = self._connection
        if connection is not None and not connection.is_closed():
            return connection
        self.terminate()
        opening = asyncio.ensure_future(self._connect())
        try:
            done, _ = await asyncio.wait({opening}, timeout=deadline_s - time.monotonic())
        except asyncio.CancelledError:
            opening.add_done_callback(_discard)
            raise
        if not done:
            # Cancelling could hang with the network; whatever comes of it later is thrown away.
            opening.add_done_callback(_discard)
            raise DatabaseUnreachable("no connection in time")
        try:
            self._connection = connection = opening.result()
        except DatabaseUnreachable:
            raise
        except Exception as error:
            raise DatabaseUnreachable(f"no connection: {error!r}") from error
        return connection

    def terminate(self) -> None:
        """End the connection at once; the next use makes a new one."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    def give_up(self) -> None:
        """Take the database as away, until a connection is there again."""
        self._reopening = asyncio.get_running_loop().create_task(self._reopen(), name=f"{self._name}, reconnecting")

    async def _reopen(self) -> None:
        """Try until there is a connection."""
        while True:
            await asyncio.sleep(_jitter.uniform(*_REOPEN_S))
            try:
                await self.connected(time.monotonic() + _REOPEN_ANSWER_S)
            except DatabaseUnreachable as error:
                _log.debug("lane_not_connected", lane=self._name, error=str(error))
            else:
                self._reopening = None
                return


def _discard(opening: "asyncio.Future[asyncpg.Connection]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().terminate()
