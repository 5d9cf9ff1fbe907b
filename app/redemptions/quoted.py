"""What stored quotes draw on by the limits of the book in force, with the documents of rules that it does not have any more."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
import structlog

from app.db.engine import DatabaseUnreachable
from app.pricebook.holder import Held
from app.redemptions import queries
from app.redemptions.draws import Quote, Unknown, draws_of, read_quoted, sold_milli
from app.redemptions.entries import Drawn
from app.redemptions.limits import Earlier, Limits
from app.redemptions.protocol import Amount
from app.redemptions.records import instant_of, ms_of

_VERSION_7: Final = 7
_log = structlog.get_logger(__name__)


class QuotedDraws:
    """Follows the book in force."""

    def __init__(self) -> None:
        self._held: Held | None = None
        self._limits: Limits | None = None
        self._making: asyncio.Task[Limits] | None = None

    def follow(self, _: Held | None, held: Held) -> None:
        """Have the limits of a new book from the next hold on."""
        self._held = held

    async def find(self, connection: asyncpg.Connection, quote_ids: Sequence[UUID]) -> dict[UUID, Drawn]:
        """What each quote that there is draws on. Raises DatabaseUnreachable while there is no book."""
        limits = await self._in_force()
        rows = await connection.fetch(queries.QUOTES, quote_ids, [_issued_at(one) for one in quote_ids])
        return {row["id"]: await self._find(connection, read_quoted(row["reply"]), row["customer"], limits) for row in rows}

    def limits(self) -> Limits | None:
        """Those of the book in force, or of the one before it while they are made."""
        held, limits = self._held, self._limits
        is_old = held is not None and (limits is None or limits.version != held.rows.version)
        if is_old and self._making is None:
            self._making = asyncio.get_running_loop().create_task(self._in_force(), name="limits of a book")
            self._making.add_done_callback(self._made)
        return limits

    def _made(self, making: "asyncio.Task[Limits]") -> None:
        self._making = None
        if not making.cancelled() and (error := making.exception()) is not None:
            _log.error("limits_not_read", error=repr(error))

    async def _in_force(self) -> Limits:
        held, limits = self._held, self._limits
        if held is None:
            raise DatabaseUnreachable("there is no book yet")
        if limits is None or limits.version != held.rows.version:
            limits = await asyncio.to_thread(
                Limits, held.rows.version, held.rows.documents, held.book.promotions.codes, before=limits
            )
            self._limits = limits
        return limits

    async def _find(self, connection: asyncpg.Connection, quote: Quote, customer: str | None, limits: Limits) -> Drawn:
        found = draws_of(quote, customer=customer, limits=limits)
        if found.unknown:
            earlier = await _earlier(connection, quote.version, found.unknown)
            found = draws_of(quote, customer=customer, limits=limits.with_earlier(earlier))
        return Drawn(
            found.draws,
            found.grants,
            tuple([Amount(meter, 0) for meter in found.needs_customer]),
            ms_of(quote.expires_at),
            sold_milli(quote),
        )


def _issued_at(quote_id: UUID) -> datetime | None:
    """The instant in an id of our own; None for one that a client made."""
    return instant_of(int.from_bytes(quote_id.bytes[:6])) if quote_id.version == _VERSION_7 else None


async def _earlier(connection: asyncpg.Connection, version: int, unknown: Iterable[Unknown]) -> Earlier:
    """The documents of rules as of a version; of codes all coupons of their promotions."""
    documents: dict[str, dict[str, Mapping[str, Any] | None]] = {}
    for one in unknown:
        query = queries.COUPONS_AT if one.resource == "coupons" else queries.DOCUMENT_AT
        arguments = (one.id, version) if one.resource == "coupons" else (one.id, version, one.resource)
        for row in await connection.fetch(query, *arguments):
            documents.setdefault(one.resource, {})[row["id"]] = msgspec.json.decode(row["body"])
    return Earlier(version, documents)
