"""A store whose database is away tries by itself, at moments of its own, and lets nobody wait meanwhile."""

import asyncio
import time
from datetime import UTC, datetime

import asyncpg
import pytest

from app.db.engine import DatabaseUnreachable
from app.metrics import Metrics
from app.quotes.store import DecisionStore

_STORES = 40


class Away:
    """A database that refuses connections, and notes when it was asked."""

    def __init__(self) -> None:
        self.asked_s: list[float] = []

    async def connect(self) -> asyncpg.Connection:
        self.asked_s.append(time.monotonic())
        raise DatabaseUnreachable("away")


async def test_many_stores_try_at_moments_of_their_own() -> None:
    away = Away()
    stores = [DecisionStore(away.connect, metrics=Metrics()) for _ in range(_STORES)]
    for store in stores:
        with pytest.raises(DatabaseUnreachable):
            await store.connection.open(seconds=1)
    away.asked_s.clear()
    began_s = time.monotonic()

    while len(away.asked_s) < 3 * _STORES:
        await asyncio.sleep(0.01)
    took_s = time.monotonic() - began_s
    for store in stores:
        await store.connection.close()

    # Each comes back every 0.1 to 0.5 s: three rounds take a second or so, and no twentieth of a second sees half of a round.
    at_once = max(sum(start <= at < start + 0.05 for at in away.asked_s) for start in away.asked_s)
    assert took_s < 3.0
    assert at_once < _STORES // 2


async def test_what_comes_while_the_database_is_away_is_refused_without_asking_it() -> None:
    away = Away()
    store = DecisionStore(away.connect, metrics=Metrics())
    with pytest.raises(DatabaseUnreachable):
        await store.connection.open(seconds=1)
    began_s = time.monotonic()
    asked = len(away.asked_s)

    for _ in range(100):
        with pytest.raises(DatabaseUnreachable):
            await store.store(datetime.now(UTC), [], [], deadline_s=began_s + 60)

    await store.connection.close()
    assert len(away.asked_s) - asked <= 1
