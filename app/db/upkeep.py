"""What the database needs from us from time to time: partitions ahead, old days and old keys away."""

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import asyncpg

from app.db.batches import Rows, remove_in_batches
from app.db.partitions import DAYS_AHEAD, drop_before, ensure_partitions

# Replies to a repeated request are promised for at least 30 days.
IDEMPOTENCY_DAYS = 31

_OLD_REPLIES: Final = "SELECT scope, key FROM idempotency WHERE created_at < $1 LIMIT $2"
# Found by their keys and looked at once more under their locks: an old key that was removed may have been used anew meanwhile.
_REMOVE_REPLIES: Final = """
DELETE FROM idempotency USING (
  SELECT stored.scope, stored.key FROM unnest($1::text[], $2::text[]) AS wanted (scope, key)
  JOIN idempotency AS stored ON stored.scope = wanted.scope AND stored.key = wanted.key
  WHERE stored.created_at < $3 FOR UPDATE OF stored SKIP LOCKED
) AS old
WHERE idempotency.scope = old.scope AND idempotency.key = old.key
"""
_OLD_DECISION_KEYS: Final = "SELECT id FROM decision_keys WHERE created_at < $1 LIMIT $2"
_REMOVE_DECISION_KEYS: Final = """
DELETE FROM decision_keys USING (
  SELECT id FROM decision_keys WHERE id = ANY($1::uuid[]) AND created_at < $2 FOR UPDATE SKIP LOCKED
) AS old
WHERE decision_keys.id = old.id
"""


class Upkeep(NamedTuple):
    """What one round did, for the log."""

    partitions_made: int
    partitions_dropped: int
    keys_removed: int


async def prepare_partitions(connection: asyncpg.Connection, now: datetime) -> int:
    """Makes the partitions from yesterday (clocks differ) to a week ahead; returns how many were made."""
    today = now.astimezone(UTC).date()
    return len(await ensure_partitions(connection, today - timedelta(days=1), today + timedelta(days=DAYS_AHEAD)))


async def keep_up(connection: asyncpg.Connection, now: datetime, *, retention_days: int) -> Upkeep:
    """One round of upkeep, safe to run in any number of processes at once."""
    made = await prepare_partitions(connection, now)
    dropped = await drop_before(connection, (now - timedelta(days=retention_days)).astimezone(UTC).date())
    removed = await _remove(connection, _OLD_REPLIES, _REMOVE_REPLIES, now - timedelta(days=IDEMPOTENCY_DAYS))
    # A client-made id must stay known for as long as its decision.
    kept_days = max(IDEMPOTENCY_DAYS, retention_days + 1)
    removed += await _remove(connection, _OLD_DECISION_KEYS, _REMOVE_DECISION_KEYS, now - timedelta(days=kept_days))
    return Upkeep(made, len(dropped), removed)


async def _remove(connection: asyncpg.Connection, find: str, remove: str, before: datetime) -> int:
    """Remove rows of before an instant; `remove` gets the columns that `find` gives as arrays."""

    async def remove_batch(rows: Rows) -> int:
        columns = map(list, zip(*rows, strict=True))
        status = await connection.execute(remove, *columns, before)
        return int(status.rsplit(" ", 1)[-1])

    return await remove_in_batches(lambda rows_max: connection.fetch(find, before, rows_max), remove_batch)
