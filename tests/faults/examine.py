"""What is in Postgres, against what the clients were told."""

import asyncio
import hashlib
import uuid
from collections.abc import Mapping
from typing import NamedTuple

from app.db.engine import Database
from tests.faults.load import Load
from tests.faults.wire import Answer, Wire

# One row an id: a client's id that was decided twice would be there under two instants.
_STORED = "SELECT id, count(*) AS times, min(encode(sha256(reply), 'hex')) AS digest FROM decisions GROUP BY id"
# A key is taken in the transaction that stores its decision or refusal.
_EMPTY_KEYS = """
SELECT count(*) FROM decision_keys AS key
WHERE NOT EXISTS (SELECT FROM decisions WHERE issued_at = key.issued_at AND id = key.id)
AND NOT EXISTS (SELECT FROM idempotency WHERE scope = 'quotes' AND key = key.id::text)
"""


class Examined(NamedTuple):
    """How many acknowledged decisions are not in Postgres, how many ids are there more than once, how many differ from what was sent."""

    stored: int
    lost: int
    doubled: int
    altered: int
    empty_keys: int

    @property
    def is_kept(self) -> bool:
        """Whether every promise was kept."""
        return not (self.lost or self.doubled or self.altered or self.empty_keys)


async def examine(url: str, acknowledged: Mapping[uuid.UUID, bytes]) -> Examined:
    """Compare the decisions stored with the digests of those acknowledged."""
    connection = await Database(url).connect(statement_seconds=0)
    try:
        stored = {row["id"]: (row["times"], bytes.fromhex(row["digest"])) for row in await connection.fetch(_STORED)}
        empty_keys = await connection.fetchval(_EMPTY_KEYS)
    finally:
        await connection.close()
    return Examined(
        stored=len(stored),
        lost=sum(quote_id not in stored for quote_id in acknowledged),
        doubled=sum(times > 1 for times, _ in stored.values()),
        altered=sum(quote_id in stored and stored[quote_id][1] != digest for quote_id, digest in acknowledged.items()),
        empty_keys=empty_keys,
    )


async def ask_again(port: int, load: Load, *, most: int = 200) -> None:
    """Late repetitions get what was answered then: quotes by their id, refusals by the same request."""
    async with Wire(port) as wire:
        for quote_id in list(load.acknowledged)[-most:]:
            answer = await _answered(wire, "GET", f"/v1/quotes/{quote_id}")
            assert (answer.status, hashlib.sha256(answer.body).digest()) == (200, load.acknowledged[quote_id]), (quote_id, answer)
        for key, (body, digest) in list(load.refused.items())[-most:]:
            answer = await _answered(wire, "POST", "/v1/quotes", body, headers={"Idempotency-Key": str(key)})
            assert (answer.status, answer.headers["idempotent-replayed"]) == (422, "true")
            assert hashlib.sha256(answer.body).digest() == digest


async def _answered(wire: Wire, method: str, path: str, body: bytes = b"", *, headers: Mapping[str, str] | None = None) -> Answer:
    """The reply of a service whose database may only just have come back, so that 503 means to ask once more."""
    for _ in range(100):
        answer = await wire.exchange(method, path, body, headers=headers)
        if answer.status != 503:
            break
        await asyncio.sleep(0.1)
    return answer
