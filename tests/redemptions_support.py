"""The lanes of holds on a real Postgres, with quotes that say outright what they draw on."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from app.db.engine import Database
from app.db.partitions import ensure_day
from app.metrics import Metrics
from app.redemptions.entries import Answer, ChangeEntry, Drawn, HoldEntry, Key
from app.redemptions.protocol import Draw, Grant, Part
from app.redemptions.records import ms_of, new_id
from app.redemptions.redemptions import Redemptions

HOUR = timedelta(hours=1)


class Draws:
    """What quotes draw on: written into their replies by `quote`, and read from them."""

    async def find(self, connection: asyncpg.Connection, quote_ids: Sequence[uuid.UUID]) -> dict[uuid.UUID, Drawn]:
        rows = await connection.fetch("SELECT id, reply FROM decisions WHERE id = ANY($1::uuid[])", quote_ids)
        return {row["id"]: _drawn(json.loads(row["reply"])) for row in rows}


def _drawn(reply: Mapping[str, Any]) -> Drawn:
    draws = tuple(
        Draw(one["meter"], one["amount"], one["cap"], one["version"], None, tuple(Part(*part) for part in one["parts"]))
        for one in sorted(reply["draws"], key=lambda one: str(one["meter"]))
    )
    grants = tuple(Grant(one["meter"], one["amount"], None, tuple(Part(*p) for p in one["parts"])) for one in reply["grants"])
    return Drawn(draws, grants, (), reply["expires_ms"], reply["sold"])


def draw(meter: str, amount: int = 1, *, cap: int | None = 10, version: int = 1, **parts: int) -> dict[str, Any]:
    """A draw; `parts` are the shares of lines."""
    return {"meter": meter, "amount": amount, "cap": cap, "version": version, "parts": list(parts.items())}


async def quote(
    connection: asyncpg.Connection,
    *draws: Mapping[str, Any],
    grants: Sequence[Mapping[str, Any]] = (),
    sold: Mapping[str, int] | None = None,
    expires_in: timedelta = HOUR,
) -> uuid.UUID:
    """Store a decision with these draws."""
    now = datetime.now(UTC)
    quote_id = new_id()
    issued_at = datetime.fromtimestamp(int.from_bytes(quote_id.bytes[:6]) / 1000, UTC)
    reply = {
        "draws": list(draws),
        "grants": list(grants),
        "expires_ms": ms_of(now + expires_in),
        "sold": sold or {"1": 1000},
    }
    await ensure_day(connection, issued_at)
    await connection.execute(
        "INSERT INTO decisions VALUES ($1, $2, 1, 'USD', NULL, NULL, '{}', 0, 0, 0, 1, 'quote', '{}', $3)",
        issued_at,
        quote_id,
        json.dumps(reply).encode(),
    )
    return quote_id


def hold(
    quote_id: uuid.UUID, order: str = "o-1", *, key: Key | None = None, ttl_ms: int = 900_000, hold_id: uuid.UUID | None = None
) -> HoldEntry:
    return HoldEntry(key, None, hold_id or new_id(), quote_id, order, ttl_ms)


def confirm(hold_id: uuid.UUID, order: str = "o-1", *, key: Key | None = None) -> ChangeEntry:
    return ChangeEntry(key, None, "confirm", hold_id, order, new_id(), {}, ())


def release(hold_id: uuid.UUID, *, key: Key | None = None) -> ChangeEntry:
    return ChangeEntry(key, None, "release", hold_id, "", new_id(), {}, ())


def give_back(hold_id: uuid.UUID, *, key: Key | None = None, **milli: int) -> ChangeEntry:
    lines = [{"id": line, "quantity": str(amount / 1000)} for line, amount in milli.items()]
    return ChangeEntry(key, None, "return", hold_id, "", new_id(), milli, lines)


@contextlib.asynccontextmanager
async def redemptions(database: Database, *, flush_s: float = 5.0) -> AsyncIterator[Redemptions]:
    """The lanes of one process."""

    async def connect() -> asyncpg.Connection:
        return await database.connect(application="centwise lane")

    lanes = Redemptions(connect, find_draws=Draws().find, flush_s=flush_s, metrics=Metrics())
    await lanes.start()
    try:
        yield lanes
    finally:
        await lanes.stop()


def body(answer: Answer) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(answer.body)
    return content


def id_of(answer: Answer) -> uuid.UUID:
    return uuid.UUID(body(answer)["id"])


async def meter(connection: asyncpg.Connection, meter_id: str) -> tuple[int, int, int]:
    """Cap, held and used."""
    row = await connection.fetchrow("SELECT cap, held, used FROM meters WHERE id = $1", meter_id)
    return (row["cap"], row["held"], row["used"])


async def gathered(*work: Any) -> list[Any]:
    """Outcomes and problems, in order."""
    return list(await asyncio.gather(*work, return_exceptions=True))
