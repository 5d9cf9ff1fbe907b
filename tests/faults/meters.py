"""What is stored of holds and meters, and what a meter still gives."""

import asyncio
import json
import uuid
from collections.abc import Sequence
from typing import Final

from app.db.engine import Database
from app.redemptions.records import ms_of
from app.redemptions.upkeep import find_drift
from tests.faults.history import FOREVER_MS, StoredHold
from tests.faults.holds_load import TTL_MS
from tests.faults.wire import Wire

_STORED: Final = """
SELECT id::text, quote_id::text AS quote, order_id, state, ended, meters, amounts, created_at, expires_at, changed_at FROM holds
"""


async def stored_holds(url: str) -> Sequence[StoredHold]:
    """All holds there are."""
    connection = await Database(url).connect(statement_seconds=0)
    try:
        rows = await connection.fetch(_STORED)
    finally:
        await connection.close()
    holds = []
    for row in rows:
        ended_ms = FOREVER_MS
        if row["state"] != "used":
            ended_ms = ms_of(row["changed_at"] if row["ended"] in ("asked", "replaced") else row["expires_at"])
        draws = tuple(zip(row["meters"], row["amounts"], strict=True))
        taken_ms = ms_of(row["created_at"])
        holds.append(StoredHold(row["id"], row["quote"], row["order_id"], row["state"], taken_ms, ended_ms, draws))
    return holds


async def count_drift(url: str) -> int:
    """How many meters are not what their holds sum up to."""
    connection = await Database(url).connect(statement_seconds=0)
    try:
        return len(await find_drift(connection))
    finally:
        await connection.close()


async def fill(port: int, caps: dict[str, int]) -> dict[str, int]:
    """Once all that was forgotten is over, take single units until nothing is left; what is taken then, of each meter."""
    await asyncio.sleep(TTL_MS / 1000)
    taken = {}
    async with Wire(port) as wire:
        for meter, cap in caps.items():
            for _ in range(cap + 1):
                asked = {"quote": str(uuid.uuid4()), "order": str(uuid.uuid4()), "draws": [(meter, 1, cap)]}
                answer = await wire.exchange("POST", "/v1/holds", json.dumps(asked | {"ttl_ms": 600_000}).encode())
                if answer.status == 409:
                    taken[meter] = cap - json.loads(answer.body)["limits"][0]["left"]
                    break
    return taken
