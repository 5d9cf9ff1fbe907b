"""What is left of the limits of the book in force, asked of the meters each second for whoever prices.

A meter that nobody has drawn on has no row yet, and a row keeps the cap of the newest book that drew on it: so the cap is the book's own. What
was known last stands while the database is away. Limits by customer and by code have too many meters to follow; see personal.py.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

import asyncpg

from app.db.engine import DatabaseUnreachable
from app.pricing.basket import Left
from app.pricing.book import PriceBook
from app.pricing.counters import (
    BUDGET,
    CAMPAIGN_BUDGET,
    GIFTS,
    OF_COUPONS,
    OF_SALE_PRICES,
    UNITS,
    USES,
    USES_PER_CUSTOMER,
    Count,
)
from app.pricing.money import MILLI
from app.redemptions import queries
from app.redemptions.book_limits import BookLimits
from app.redemptions.limits import Limit

POLL_S: Final = 1.0
READ_S: Final = 1.5
# Close is what has a tenth of its cap left, or so many orders or units.
_TENTH: Final = 10
_FEW: Final = 20
_FEW_OF: Final[Mapping[str, int]] = {
    **dict.fromkeys((*USES, *USES_PER_CUSTOMER, *OF_COUPONS), _FEW),
    **dict.fromkeys((*OF_SALE_PRICES, GIFTS), _FEW * MILLI),
}
_AT_ONCE: Final = 2_000


class Taken(NamedTuple):
    """What a meter said when it was asked last."""

    cap: int
    cap_version: int
    taken: int


class Counters:
    """Asks the meters, and hands on what is left."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        *,
        current_book: Callable[[], PriceBook | None],
        hand_on: Callable[[Iterable[Count]], None],
        hand_on_personal: Callable[[bool], None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._connect = connect
        self._current_book = current_book
        self._hand_on = hand_on
        self._hand_on_personal = hand_on_personal
        self._now = now
        self._connection: asyncpg.Connection | None = None
        self._of_book: tuple[int, int] | None = None
        self._book_limits = BookLimits()
        self._limits: Sequence[Limit] = ()
        self._taken: dict[str, Taken] = {}
        self._read_at: float | None = None
        # Of the budget that is nearest to its end: one number, however many budgets there are.
        self.budget_used_share = 0.0

    @property
    def age_s(self) -> float:
        """Time since the meters were last read, −1 before; 0 where no limit is to be known."""
        if not self._limits:
            return 0.0
        return -1.0 if self._read_at is None else time.monotonic() - self._read_at

    async def run(self) -> None:
        """Ask again and again. Raises DatabaseUnreachable."""
        try:
            while True:
                await self.refresh()
                await asyncio.sleep(POLL_S)
        finally:
            self.close()

    async def refresh(self) -> None:
        """Ask once. Where the database is away, hand on what is known of the book's limits. Raises DatabaseUnreachable."""
        book = self._current_book()
        if book is None:
            return
        self._take(book)
        try:
            if self._limits:
                async with asyncio.timeout(READ_S):
                    self._taken = await self._read(self._meters())
                self._read_at = time.monotonic()
        except Exception as error:  # whatever a lost connection comes to in its driver
            self.close()
            raise DatabaseUnreachable(f"cannot read the meters: {type(error).__name__}: {error}") from error
        finally:
            self._tell()

    def take(self, book: PriceBook) -> None:
        """Go on with a book that comes into force, from what the meters said last."""
        self._take(book)
        self._tell()

    def _take(self, book: PriceBook) -> None:
        of_book = (book.version, book.published_at_us)
        if of_book != self._of_book:
            limits, self._of_book = self._book_limits.of(book.sources.documents, book.version), of_book
            self._limits = [limit for limit in limits if limit.by is None]
            self._hand_on_personal(len(self._limits) < len(limits))

    def _meters(self) -> list[str]:
        now = self._now()
        return [limit.meter(now) for limit in self._limits]

    def _tell(self) -> None:
        version = 0 if self._of_book is None else self._of_book[0]
        counts = [
            count_of(limit, self._taken.get(meter), version) for limit, meter in zip(self._limits, self._meters(), strict=True)
        ]
        self.budget_used_share = max(
            (
                1 - count.left.left / limit.cap
                for limit, count in zip(self._limits, counts, strict=True)
                if limit.name in (BUDGET, CAMPAIGN_BUDGET) and limit.cap
            ),
            default=0.0,
        )
        self._hand_on([count for count in counts if count.is_close or count.left.limit == UNITS])

    async def _read(self, meters: Sequence[str]) -> dict[str, Taken]:
        if self._connection is None:
            self._connection = await self._connect()
        found: dict[str, Taken] = {}
        for first in range(0, len(meters), _AT_ONCE):
            for row in await self._connection.fetch(queries.TAKEN, meters[first : first + _AT_ONCE]):
                found[row["id"]] = Taken(row["cap"], row["cap_version"], row["taken"])
        return found

    def close(self) -> None:
        """End the connection; the next question opens another one."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def count_of(limit: Limit, taken: Taken | None, version: int) -> Count:
    """What is left of a limit of the book of a version."""
    left, is_close = left_of_cap(limit.name, limit.cap, version, taken)
    return Count(Left(limit.rule, limit.name, left), is_close)


def left_of_cap(limit: str, cap: int, version: int, taken: Taken | None) -> tuple[int, bool]:
    """What is left of a cap that a book of a version has, and whether that is close to nothing."""
    if taken is not None and taken.cap_version > version:
        cap = taken.cap
    left = max(0, cap - (0 if taken is None else taken.taken))
    return left, left * _TENTH <= cap or left <= _FEW_OF.get(limit, 0)
