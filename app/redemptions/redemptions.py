"""The feature as main wires it: the lane of holds, the lane of what becomes of them, and the sweeper."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final

import asyncpg
import structlog

from app.metrics import Metrics
from app.redemptions import queries
from app.redemptions.changing import Changing
from app.redemptions.entries import ChangeEntry, FindDraws, HoldEntry
from app.redemptions.lane import RedemptionLane
from app.redemptions.taking import Taking
from app.redemptions.upkeep import SWEEP_S, sweep

if TYPE_CHECKING:
    from app.tracing import Tracing

type Connect = Callable[[], Awaitable[asyncpg.Connection]]
_log = structlog.get_logger(__name__)


async def connect_by_keys(connect: Connect) -> asyncpg.Connection:
    """A connection for whoever looks rows up by their keys."""
    connection = await connect()
    try:
        await connection.execute(queries.BY_KEYS)
    except BaseException:
        connection.terminate()
        raise
    return connection


class Redemptions:
    """Starts and stops with the service; `run_sweeper` goes beside it."""

    def __init__(
        self, connect: Connect, *, find_draws: FindDraws, flush_s: float, metrics: Metrics, tracing: "Tracing | None" = None
    ) -> None:
        self._connect = connect
        self._metrics = metrics
        self.holding: Final[RedemptionLane[HoldEntry]] = RedemptionLane(
            "holds",
            Taking(find_draws),
            self._connect_by_keys,
            flush_s=flush_s,
            metrics=metrics,
            traces=None if tracing is None else tracing.lane("holds", prices=False),
        )
        self.changing: Final[RedemptionLane[ChangeEntry]] = RedemptionLane(
            "changes",
            Changing(),
            self._connect_by_keys,
            flush_s=flush_s,
            metrics=metrics,
            traces=None if tracing is None else tracing.lane("changes", prices=False),
        )

    async def _connect_by_keys(self) -> asyncpg.Connection:
        return await connect_by_keys(self._connect)

    async def start(self) -> None:
        """Connect and begin to work."""
        await self.holding.start()
        await self.changing.start()

    async def stop(self) -> None:
        """Finish what is inside: new holds first, and then what becomes of them."""
        await self.holding.stop()
        await self.changing.stop()

    async def run_sweeper(self) -> None:
        """Give back, each second, the holds whose time is over. Runs until cancelled or something fails."""
        connection = await self._connect_by_keys()
        try:
            while True:
                released = await sweep(connection)
                if released:
                    self._metrics.holds_expired.at().n += released
                    _log.info("holds_expired", holds=released)
                await asyncio.sleep(SWEEP_S)
        finally:
            connection.terminate()
