"""A lane whose database refuses connections asks it now and then, and not as often as it can."""

import uuid
from collections.abc import Sequence

import asyncpg
import pytest

from app.db.engine import DatabaseUnreachable
from app.errors import Unavailable
from app.metrics import Metrics
from app.redemptions.entries import HoldEntry
from app.redemptions.lane import RedemptionLane

_FLUSH_S = 0.5


class Away:
    """A database that is there for nobody, and the work that never begins."""

    def __init__(self) -> None:
        self.asked = 0

    async def connect(self) -> asyncpg.Connection:
        self.asked += 1
        raise DatabaseUnreachable("away")

    async def run(self, connection: asyncpg.Connection, entries: Sequence[HoldEntry]) -> None:
        raise AssertionError


async def test_a_lane_pauses_between_its_tries_to_connect() -> None:
    away = Away()
    lane: RedemptionLane[HoldEntry] = RedemptionLane("holds", away, away.connect, flush_s=_FLUSH_S, metrics=Metrics())
    # Not opened: the first use connects, as after a connection that was lost.
    lane._gather.start()

    with pytest.raises(Unavailable):
        await lane.answer(HoldEntry(None, None, uuid.uuid4(), uuid.uuid4(), "o-1", 60_000))

    await lane.stop()
    # 25 tries with pauses of 20 ms; without them it would be tens of thousands.
    assert 1 < away.asked <= 30
