"""Whether the database answers, told within a second, so that no request waits for one that does not.

A server that is frozen or behind a network that drops packets raises nothing: a query on it simply waits. One connection of its own is
asked about four times a second. When a question stays without answer, the connections of the pool are terminated, which ends
whatever waits on them, the transactions that wait for something else are ended too, and new connections are refused at once until the server
answers again.
"""

import asyncio
from collections.abc import Callable
from random import Random
from typing import Final
from weakref import WeakSet

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.engine import Database, DatabaseUnreachable, consume, end_transactions

# At random within these, so that many processes do not ask, nor come back, in one instant.
EVERY_SECONDS: Final = (0.15, 0.35)
ANSWER_SECONDS: Final = 0.4
# Of its own: whoever draws from the generator of all would move it under others.
_jitter: Final = Random()


class Pulse:
    """Watches one database and owns the pool of connections to it, `engine`. `run` goes beside the service.

    `changed` is told when the server stops answering, with the reason, and when it answers again, with an empty one.
    """

    def __init__(self, database: Database, *, changed: Callable[[str], None]) -> None:
        self._database = database
        self._changed = changed
        self._silence = ""
        self._pooled: WeakSet[asyncpg.Connection] = WeakSet()
        self.engine: AsyncEngine = database.engine(self._connect)

    @property
    def is_up(self) -> bool:
        """Whether the server answered the last question."""
        return not self._silence

    async def _connect(self) -> asyncpg.Connection:
        """A connection for the pool, which is terminated when the server stops answering. Raises DatabaseUnreachable."""
        self._require_up()
        connection = await self._database.connect()
        if not self.is_up:
            # The others were terminated while this one was being opened.
            connection.terminate()
        self._require_up()
        self._pooled.add(connection)
        return connection

    async def run(self) -> None:
        """Asks until cancelled."""
        connection: asyncpg.Connection | None = None
        try:
            while True:
                try:
                    if connection is None or connection.is_closed():
                        connection = await self._database.connect(application="centwise pulse")
                    await _ask(connection)
                except (DatabaseUnreachable, asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
                    if connection is not None:
                        connection.terminate()
                        connection = None
                    self._tell(str(error) or type(error).__name__)
                    for pooled in list(self._pooled):
                        pooled.terminate()
                    end_transactions(self.engine)
                else:
                    self._tell("")
                await asyncio.sleep(_jitter.uniform(*EVERY_SECONDS))
        finally:
            if connection is not None:
                connection.terminate()

    def _require_up(self) -> None:
        if self._silence:
            raise DatabaseUnreachable(self._silence)

    def _tell(self, silence: str) -> None:
        was_up, self._silence = self.is_up, silence
        if was_up != self.is_up:
            self._changed(silence)


async def _ask(connection: asyncpg.Connection) -> None:
    """Raises DatabaseUnreachable when there is no answer in time."""
    question = asyncio.ensure_future(connection.fetchval("SELECT 1"))
    # Two waits: when the loop itself was held up, the first one is over before the answer could be read.
    for _ in range(2):
        done, _pending = await asyncio.wait({question}, timeout=ANSWER_SECONDS)
        if done:
            question.result()
            return
    connection.terminate()
    question.add_done_callback(consume)
    raise DatabaseUnreachable(f"no answer within {2 * ANSWER_SECONDS:g} s")
