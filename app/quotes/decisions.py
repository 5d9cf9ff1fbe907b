"""Finding stored decisions: by id, and by what somebody remembers of them."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import Select, and_, any_, literal, select, text, tuple_
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.engine import transaction
from app.db.tables import decision_keys, decisions
from app.errors import NotFound, Unavailable
from app.quotes.decision import Decision
from app.quotes.parse import instant_of, normalise_code

READ_S: Final = 1.4
SEARCH_S: Final = 10.0
SCAN_SPAN: Final = timedelta(days=1)
_COLUMNS: Final = tuple(decisions.c[name] for name in Decision._fields)


@dataclass(frozen=True, slots=True)
class Filters:
    """What decisions are looked for by; None does not restrict. `since` is inclusive, `until` exclusive.

    A SKU or a promotion is looked for in the replies' bytes, which reads every reply of the time range: by default the last day's.
    """

    customer: str | None = None
    sku: str | None = None
    promotion: str | None = None
    code: str | None = None
    version: int | None = None
    since: datetime | None = None
    until: datetime | None = None


class DecisionReader:
    """Reads decisions through the engine's pool; answers Unavailable in bounded time when the database does not."""

    def __init__(self, engine: AsyncEngine, *, spooled: Callable[[uuid.UUID], Awaitable[Decision | None]] | None = None) -> None:
        self._engine = engine
        self._spooled = spooled

    async def find(self, quote_id: uuid.UUID) -> Decision:
        """The decision of an id, be it still in this process's local log. Raises NotFound, Unavailable."""
        if self._spooled is not None and (waiting := await self._spooled(quote_id)) is not None:
            return waiting
        return await _bounded(self._find(quote_id), READ_S)

    async def search(self, filters: Filters, *, before: tuple[datetime, uuid.UUID] | None, limit: int) -> list[Decision]:
        """Up to `limit` decisions, the newest first, those before the sort key `before`. Raises Unavailable."""
        return await _bounded(self._search(_restricted(filters, before).limit(limit)), SEARCH_S)

    async def newest(self, *, before: tuple[datetime, uuid.UUID] | None, limit: int) -> list[Decision]:
        """The same without filters and without a bound on time, for work in bulk."""
        return await self._search(_restricted(Filters(), before).limit(limit))

    async def _find(self, quote_id: uuid.UUID) -> Decision:
        async with transaction(self._engine) as connection:
            # Ids of our own tell their instant, and with it their partition; those of clients stand in the table of keys.
            if quote_id.version == 7:
                row = (await connection.execute(_at(instant_of(quote_id.int >> 80), quote_id))).first()
                if row is not None:
                    return Decision(*row)
            keys = select(decision_keys.c.issued_at).where(decision_keys.c.id == quote_id)
            issued_at = (await connection.execute(keys)).scalar()
            row = None if issued_at is None else (await connection.execute(_at(issued_at, quote_id))).first()
        if row is None:
            raise NotFound("There is no quote with this id.")
        return Decision(*row)

    async def _search(self, query: Select[Any]) -> list[Decision]:
        async with transaction(self._engine) as connection:
            return [Decision(*row) for row in (await connection.execute(query)).all()]


def _at(issued_at: datetime, quote_id: uuid.UUID) -> Select[Any]:
    return select(*_COLUMNS).where(decisions.c.issued_at == issued_at, decisions.c.id == quote_id)


def _restricted(filters: Filters, before: tuple[datetime, uuid.UUID] | None) -> Select[Any]:
    query = select(*_COLUMNS).order_by(decisions.c.issued_at.desc(), decisions.c.id.desc())
    since = filters.since
    needles = _needles(filters)
    if needles and since is None:
        since = (filters.until or datetime.now(UTC)) - SCAN_SPAN
    if since is not None:
        query = query.where(decisions.c.issued_at >= since)
    if filters.until is not None:
        query = query.where(decisions.c.issued_at < filters.until)
    if filters.customer is not None:
        query = query.where(decisions.c.customer == filters.customer)
    if filters.code is not None:
        query = query.where(literal(normalise_code(filters.code)) == any_(decisions.c.codes))
    if filters.version is not None:
        query = query.where(decisions.c.version == filters.version)
    for number, needle in enumerate(needles):
        query = query.where(text(f"position(:needle_{number} IN reply) > 0").bindparams(**{f"needle_{number}": needle}))
    if before is not None:
        # The first half lets the planner leave out partitions and use the key's index; the row comparison alone does not.
        query = query.where(and_(decisions.c.issued_at <= before[0], tuple_(decisions.c.issued_at, decisions.c.id) < before))
    return query


def _needles(filters: Filters) -> Sequence[bytes]:
    needles = []
    if filters.sku is not None:
        needles.append(f'"sku":"{filters.sku}"'.encode())
    if filters.promotion is not None:
        # With the revision behind it the rule is that of an adjustment; what did not apply is written without.
        needles.append(f'"rule":"{filters.promotion}","revision":'.encode())
    return needles


async def _bounded[T](work: Awaitable[T], seconds: float) -> T:
    """Wait so long and no longer. The work is not cancelled, which could hang as well; it ends with its statement's timeout."""
    task = asyncio.ensure_future(work)
    done, _ = await asyncio.wait({task}, timeout=seconds)
    if not done:
        task.add_done_callback(_take_exception)
        raise Unavailable("The database did not answer in time.")
    return task.result()


def _take_exception(task: "asyncio.Future[Any]") -> None:
    # Nobody waits for it any more; its caller was answered.
    if not task.cancelled():
        task.exception()
