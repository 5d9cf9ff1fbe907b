"""What is used of the limits by customer and by code that priced baskets would draw on, asked of their meters before they are stored.

There are too many such meters to follow them, so a batch asks once for all its baskets, and only where something that has such a limit applied.
Only what is used counts: what is held may be held for this very basket, whose customer has gone back to change it. A hold counts both, so that
nothing is passed. Where the meters cannot be asked nothing is known, and the hold decides.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Final

import asyncpg
import structlog

from app.db.engine import DatabaseUnreachable, within
from app.lanes.own_connection import OwnConnection
from app.pricing.basket import Left
from app.pricing.counters import PERSONAL
from app.redemptions import queries
from app.redemptions.counters import Taken, left_of_cap
from app.redemptions.draws import draws_of, read_quoted
from app.redemptions.limits import Limits
from app.redemptions.meter_names import MeterName, read_meter
from app.redemptions.protocol import Draw

# A quote waits for it, so that a database that keeps silent costs little until it is taken as away.
ASK_S: Final = 0.25
_PERSONAL: Final = frozenset(PERSONAL)
_log = structlog.get_logger(__name__)

type Drawn = Sequence[tuple[MeterName, Draw]]


class Personal:
    """Asks on a connection of its own, which it opens when there is something to ask."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        *,
        limits: Callable[[], Limits | None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._connection: Final = OwnConnection(connect, name="personal counters")
        self._one_at_a_time: Final = asyncio.Lock()
        self._limits = limits
        self._now = now
        self.has_any = False  # whether the book in force has such limits

    def set_any(self, has_any: bool) -> None:
        """Take whether the book that comes into force has such limits."""
        self.has_any = has_any

    async def told(self, priced: Sequence[tuple[str | None, bytes]]) -> list[tuple[Left, ...]]:
        """What each basket is told, from its customer and the members of its reply: the limits that it would pass, and those that are close."""
        limits = self._limits()
        if limits is None:
            return [()] * len(priced)
        now = self._now()
        drawn = [_personal_draws(customer, body, limits, now) for customer, body in priced]
        meters = sorted({draw.meter for own in drawn for _, draw in own})
        if not meters:
            return [()] * len(priced)
        try:
            taken = await self._read(meters)
        except DatabaseUnreachable:
            return [()] * len(priced)
        return [_told(own, taken) for own in drawn]

    async def _read(self, meters: Sequence[str]) -> dict[str, Taken]:
        async with self._one_at_a_time:
            if self._connection.is_away:
                raise DatabaseUnreachable("the database is away")
            deadline_s = time.monotonic() + ASK_S
            try:
                connection = await self._connection.connected(deadline_s)
                rows = await within(connection, connection.fetch(queries.USED, meters), seconds=deadline_s - time.monotonic())
            except Exception as error:  # whatever a lost connection comes to in its driver
                self._connection.terminate()
                self._connection.give_up()
                _log.warning("personal_counters_not_read", error=repr(error))
                raise DatabaseUnreachable(f"cannot ask the meters: {error!r}") from error
        return {row["id"]: Taken(row["cap"], row["cap_version"], row["taken"]) for row in rows}

    async def stop(self) -> None:
        """End the connection."""
        await self._connection.close()


def _personal_draws(customer: str | None, body: bytes, limits: Limits, at: datetime) -> Drawn:
    instant = at.isoformat().encode()
    quote = read_quoted(b'{"version":0,"issued_at":"%s","expires_at":"%s",%s}' % (instant, instant, body))
    names = [(read_meter(draw.meter), draw) for draw in draws_of(quote, customer=customer, limits=limits).draws]
    return [(name, draw) for name, draw in names if name is not None and name.limit in _PERSONAL]


def _told(drawn: Drawn, taken: dict[str, Taken]) -> tuple[Left, ...]:
    found = []
    for name, draw in drawn:
        assert draw.cap is not None
        own = taken.get(draw.meter)
        left, is_close = left_of_cap(name.limit, draw.cap, draw.cap_version, own)
        # Of a limit that nobody has used yet there is nothing to tell.
        if draw.amount > left or (own is not None and own.taken > 0 and is_close):
            found.append(Left(name.rule, name.limit, left, name.code or ""))
    return tuple(found)
