"""What the database needs from us from time to time: partitions ahead, old days and old keys away."""

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import asyncpg

from app.db.partitions import DAYS_AHEAD, drop_before, ensure_partitions

# Replies to a repeated request are promised for at least 30 days.
IDEMPOTENCY_DAYS = 31


# What was held and given back counts nowhere any more; what was used stays, for meters are held to it. Whoever has one locked keeps it for another
# round: who waits for nobody is in nobody's circle.
_REMOVE_RELEASED: Final = """
DELETE FROM holds USING (
  SELECT quote_id, id FROM holds WHERE state = 'released' AND created_at < $1 FOR UPDATE SKIP LOCKED
) AS old
WHERE holds.quote_id = old.quote_id AND holds.id = old.id
"""


class Upkeep(NamedTuple):
    """What one round did, for the log."""

    partitions_made: int
    partitions_dropped: int
    keys_removed: int
    holds_removed: int


async def prepare_partitions(connection: asyncpg.Connection, now: datetime) -> int:
    """Makes the partitions from yesterday (clocks differ) to a week ahead; returns how many were made."""
    today = now.astimezone(UTC).date()
    return len(await ensure_partitions(connection, today - timedelta(days=1), today + timedelta(days=DAYS_AHEAD)))


async def keep_up(connection: asyncpg.Connection, now: datetime, *, retention_days: int) -> Upkeep:
    """One round of upkeep, safe to run in any number of processes at once."""
    made = await prepare_partitions(connection, now)
    dropped = await drop_before(connection, (now - timedelta(days=retention_days)).astimezone(UTC).date())
    removed = 0
    for sql, days in (
        ("DELETE FROM idempotency WHERE created_at < $1", IDEMPOTENCY_DAYS),
        # A client-made id must stay known for as long as its decision.
        ("DELETE FROM decision_keys WHERE created_at < $1", max(IDEMPOTENCY_DAYS, retention_days + 1)),
    ):
        status = await connection.execute(sql, now - timedelta(days=days))
        removed += int(status.rsplit(" ", 1)[-1])
    status = await connection.execute(_REMOVE_RELEASED, now - timedelta(days=IDEMPOTENCY_DAYS))
    return Upkeep(made, len(dropped), removed, int(status.rsplit(" ", 1)[-1]))
