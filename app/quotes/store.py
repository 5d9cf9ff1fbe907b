"""Storing a batch of decisions: one binary COPY and one commit on a connection of its own, driven again until the outcome is known."""

import asyncio
import struct
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, NamedTuple

import asyncpg
import structlog
from asyncpg.pgproto.pgproto import UUID

from app.db.engine import DatabaseUnreachable, within
from app.db.partitions import ensure_day
from app.lanes.own_connection import RETRY_PAUSE_S, OwnConnection
from app.metrics import Metrics
from app.quotes import queries
from app.quotes.copy_rows import copy_chunks
from app.quotes.decision import Decision
from app.quotes.ids import issued_ms_of
from app.quotes.parse import instant_of

REFUSAL_SCOPE: Final = "quotes"
_log = structlog.get_logger(__name__)

# What the server, or packing a row, says of values that cannot be taken, however often they are sent.
_POISON: Final = (asyncpg.DataError, asyncpg.ProgramLimitExceededError, TypeError, ValueError, OverflowError, struct.error)


class Claim(NamedTuple):
    """An id that the client made, with the hash of what it asks; a refusal in place of a decision is kept under it as well."""

    id: UUID
    request_sha256: bytes
    decision: Decision | None
    refusal: bytes | None


class Earlier(NamedTuple):
    """What was stored under an id before: a reply or a refusal; neither when it is past its retention."""

    request_sha256: bytes
    reply: bytes | None
    refusal: bytes | None


class Outcome(NamedTuple):
    """How the ids of a batch fared that were not simply stored."""

    earlier: Mapping[UUID, Earlier]
    failed: frozenset[UUID]


class DecisionStore:
    """Stores on a connection of its own."""

    def __init__(self, connect: Callable[[], Awaitable[asyncpg.Connection]], *, metrics: Metrics) -> None:
        self.connection = OwnConnection(connect, name="lane")
        self._metrics = metrics

    async def store(
        self, issued_at: datetime, decisions: Sequence[Decision], claims: Sequence[Claim], *, deadline_s: float
    ) -> Outcome:
        """Store all of it in one transaction; every decision is of the instant `issued_at`.

        When this returns, each decision is committed, or its id is in the outcome. Raises DatabaseUnreachable when that could not be
        found out before `time.monotonic()` reads `deadline_s`; the decisions may then be stored or not.
        """
        if self.connection.is_away:
            raise DatabaseUnreachable("the database is away")
        is_unknown, needs_partition, goes_singly = False, False, False
        while True:
            try:
                connection = await self.connection.connected(deadline_s)
                if needs_partition:
                    await within(connection, ensure_day(connection, issued_at), seconds=deadline_s - time.monotonic())
                if is_unknown and decisions:
                    found = _stored_ids(connection, issued_at, decisions)
                    stored = await within(connection, found, seconds=deadline_s - time.monotonic())
                    decisions = [decision for decision in decisions if decision.id not in stored]
                if goes_singly:
                    return await self._write_singly(connection, issued_at, decisions, claims, deadline_s)
                return await within(
                    connection, _write(connection, issued_at, decisions, claims), seconds=deadline_s - time.monotonic()
                )
            except Exception as error:
                self.connection.terminate()
                self._metrics.flush_failures.at().n += 1
                _log.warning("flush_failed", error=repr(error), decisions=len(decisions), claims=len(claims))
                needs_partition = isinstance(error, asyncpg.CheckViolationError)
                goes_singly = isinstance(error, _POISON)
                is_unknown = True
                if time.monotonic() + RETRY_PAUSE_S >= deadline_s:
                    self.connection.give_up()
                    raise DatabaseUnreachable(f"the outcome is unknown: {error!r}") from error
                if not isinstance(error, asyncpg.PostgresError):
                    await asyncio.sleep(RETRY_PAUSE_S)

    async def _write_singly(
        self,
        connection: asyncpg.Connection,
        issued_at: datetime,
        decisions: Sequence[Decision],
        claims: Sequence[Claim],
        deadline_s: float,
    ) -> Outcome:
        """Store one by one, so that a value that Postgres cannot take fails alone."""
        earlier: dict[UUID, Earlier] = {}
        failed: set[UUID] = set()
        parts: Iterable[tuple[UUID, list[Decision], list[Claim]]] = (
            *((decision.id, [decision], []) for decision in decisions),
            *((claim.id, [], [claim]) for claim in claims),
        )
        for decision_id, own_decisions, own_claims in parts:
            try:
                write = _write(connection, issued_at, own_decisions, own_claims)
                outcome = await within(connection, write, seconds=deadline_s - time.monotonic())
                earlier |= outcome.earlier
            except _POISON:
                _log.error("decision_not_storable", id=str(decision_id), traceback=traceback.format_exc())
                failed.add(decision_id)
                self.connection.terminate()
                connection = await self.connection.connected(deadline_s)
        return Outcome(earlier, frozenset(failed))


async def read_earlier(connection: asyncpg.Connection, ids: Sequence[UUID]) -> dict[UUID, Earlier]:
    """What was stored under ids that clients made; ids without a key are left out."""
    keys = await connection.fetch(queries.KEYS, ids)
    replies = {
        row["id"]: row["reply"]
        for row in await connection.fetch(queries.REPLIES, [key["issued_at"] for key in keys], [key["id"] for key in keys])
    }
    refused = [str(key["id"]) for key in keys if key["id"] not in replies]
    refusals = {}
    if refused:
        refusals = {row["key"]: row["reply"] for row in await connection.fetch(queries.REFUSALS, REFUSAL_SCOPE, refused)}
    return {key["id"]: Earlier(key["request_sha256"], replies.get(key["id"]), refusals.get(str(key["id"]))) for key in keys}


async def _stored_ids(connection: asyncpg.Connection, issued_at: datetime, decisions: Sequence[Decision]) -> set[UUID]:
    rows = await connection.fetch(queries.STORED_IDS, issued_at, [decision.id for decision in decisions])
    return {row["id"] for row in rows}


async def _write(
    connection: asyncpg.Connection, issued_at: datetime, decisions: Sequence[Decision], claims: Sequence[Claim]
) -> Outcome:
    """One transaction; without claims it is the COPY's own."""
    if not claims:
        if decisions:
            await _copy(connection, decisions)
        return Outcome({}, frozenset())
    async with connection.transaction():
        earlier = await _claim(connection, issued_at, claims)
        won = [claim for claim in claims if claim.id not in earlier]
        rows = [*decisions, *(claim.decision for claim in won if claim.decision is not None)]
        if rows:
            await _copy(connection, rows)
        refused = [claim for claim in won if claim.refusal is not None]
        if refused:
            await connection.execute(
                queries.STORE_REFUSALS,
                REFUSAL_SCOPE,
                [str(claim.id) for claim in refused],
                [claim.request_sha256 for claim in refused],
                [claim.refusal for claim in refused],
                issued_at,
            )
    return Outcome(earlier, frozenset())


async def _copy(connection: asyncpg.Connection, decisions: Sequence[Decision]) -> None:
    await connection.copy_to_table("decisions", source=copy_chunks(decisions), columns=queries.COLUMNS, format="binary")


async def _claim(connection: asyncpg.Connection, issued_at: datetime, claims: Sequence[Claim]) -> dict[UUID, Earlier]:
    """Take the ids that are free; return what is stored under the others. Waits for a transaction that is taking one of them now."""
    taken = await _ids_of_our_own(connection, claims)
    free = [claim for claim in claims if claim.id not in taken]
    rows = await connection.fetch(
        queries.CLAIM_KEYS, [claim.id for claim in free], [claim.request_sha256 for claim in free], issued_at
    )
    won = {row["id"] for row in rows}
    lost = [claim.id for claim in free if claim.id not in won]
    return taken | (await read_earlier(connection, lost) if lost else {})


async def _ids_of_our_own(connection: asyncpg.Connection, claims: Sequence[Claim]) -> dict[UUID, Earlier]:
    """Ids that a client took from a quote which it had made without a key: such an id is in use and no request matches it."""
    candidates = [(claim.id, issued_ms) for claim in claims if (issued_ms := issued_ms_of(claim.id)) is not None]
    if not candidates:
        return {}
    ids = [claim_id for claim_id, _ in candidates]
    keyed = {row["id"] for row in await connection.fetch(queries.KEYS, ids)}
    instants = [instant_of(issued_ms) for _, issued_ms in candidates]
    rows = await connection.fetch(queries.REPLIES, instants, ids)
    return {row["id"]: Earlier(b"", None, None) for row in rows if row["id"] not in keyed}
