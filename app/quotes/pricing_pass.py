"""The pass that binding quotes and previews share: the baskets of a batch are priced and encoded in vectorised calls."""

import asyncio
import hashlib
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

import structlog
from asyncpg.pgproto.pgproto import UUID

from app.errors import FieldError, InternalError, Problem, Unavailable, ValidationFailed
from app.metrics import Metrics
from app.pricing.basket import Basket, Left
from app.pricing.book import PriceBook
from app.quotes.decision import Decision
from app.quotes.encode import EncodedQuote
from app.quotes.pace import Pace
from app.quotes.parse import Understood, basket_of
from app.quotes.standing import Standings
from app.quotes.store import Earlier

# What is used up lets others apply, which may be used up as well; so many times it is looked at again.
_LOOKS_MAX: Final = 8
_log = structlog.get_logger(__name__)

type PriceAndEncode = Callable[[PriceBook, Sequence[Basket], Sequence[bool]], list[EncodedQuote]]


class PersonalCounters(Protocol):
    """How the limits by customer and by code stand."""

    @property
    def has_any(self) -> bool:
        """Whether the book in force has such limits."""
        ...

    async def told(self, priced: Sequence[tuple[str | None, bytes]]) -> Sequence[tuple[Left, ...]]:
        """What each basket is told, from its customer and the members of its reply."""
        ...


class Answered(NamedTuple):
    """The bytes of a quote, and whether they were stored before by an equal request."""

    reply: bytes
    is_replay: bool


class Entry:
    """A request inside the lane; `outcome` is there when its batch is done.

    `book` is the price book of a request that names a version, None for the one in force. `key` is the id that the client made.
    """

    __slots__ = (
        "book",
        "decision",
        "earlier",
        "encoded",
        "key",
        "line_count",
        "outcome",
        "personal",
        "refusal",
        "request_sha256",
        "source",
        "understood",
    )

    def __init__(
        self,
        understood: Understood,
        *,
        book: PriceBook | None = None,
        key: UUID | None = None,
        source: str = "quote",
    ) -> None:
        self.understood = understood
        self.line_count = len(understood.columns.skus)
        self.book = book
        self.key = key
        self.source = source
        # Hashed as understood, so that spelling a request another way makes no other request of it.
        self.request_sha256 = b"" if key is None else hashlib.sha256(understood.canonical).digest()
        self.outcome: Answered | Problem | None = None
        self.personal: tuple[Left, ...] = ()  # what it is told of the limits of its customer and its codes
        self.encoded: EncodedQuote | None = None
        self.decision: Decision | None = None
        self.earlier: Earlier | None = None  # what is stored under its key already
        self.refusal: bytes | None = None


def _is_for_now(entry: Entry) -> bool:
    """Whether the limits as they stand now are those of the request: not of one that names another instant or version."""
    return entry.understood.request.at is None and entry.understood.request.version is None


def _customer_of(entry: Entry) -> str | None:
    customer = entry.understood.request.customer
    return None if customer is None else customer.id


def _is_somebody(entry: Entry) -> bool:
    """Whether a limit by customer or by code may be felt."""
    return bool(entry.understood.request.codes) or _customer_of(entry) is not None


class Pricing:
    """The pass that lane and previews share: gathers the baskets by book and prices them, in chunks that do not hold the loop up."""

    def __init__(
        self,
        *,
        current_book: Callable[[], PriceBook],
        price: PriceAndEncode,
        standings: Standings,
        personal: PersonalCounters,
        metrics: Metrics,
        lines_max: int,
    ) -> None:
        self._current_book = current_book
        self._standings = standings
        self._personal = personal
        self._price = price
        self._metrics = metrics
        self._pace = Pace(lines_max=lines_max)

    async def run(self, entries: Sequence[Entry], issued_ms: int) -> None:
        """Price the entries at one instant. Sets the book and what was encoded, or the outcome where there is a problem."""
        current: PriceBook | Problem
        try:
            current = self._current_book()
        except Unavailable as problem:
            current = problem
        by_book: dict[int, list[Entry]] = {}
        for entry in entries:
            if entry.book is None:
                if isinstance(current, Problem):
                    entry.outcome = current
                    continue
                entry.book = current
            by_book.setdefault(id(entry.book), []).append(entry)
        is_first = True
        for of_one_book in by_book.values():
            for chunk in self._chunks(of_one_book):
                if not is_first:
                    await asyncio.sleep(0)
                is_first = False
                self._price_chunk(chunk, issued_ms)
                if self._personal.has_any:
                    await self._look_at_personal(chunk, issued_ms)

    async def _look_at_personal(self, entries: Sequence[Entry], issued_ms: int) -> None:
        """Price those anew whose customer or code has used up, or nearly, a limit of what applied, until nothing new is told."""
        for _ in range(_LOOKS_MAX):
            asked: list[tuple[Entry, EncodedQuote]] = [
                (entry, entry.encoded)
                for entry in entries
                if entry.outcome is None and entry.encoded is not None and _is_for_now(entry) and _is_somebody(entry)
            ]
            if not asked:
                return
            told = await self._personal.told([(_customer_of(entry), encoded.body) for entry, encoded in asked])
            again: list[Entry] = []
            for (entry, _), left in zip(asked, told, strict=True):
                known = {(one.rule, one.limit, one.code) for one in entry.personal}
                if new := tuple([one for one in left if (one.rule, one.limit, one.code) not in known]):
                    entry.personal += new
                    again.append(entry)
            if not again:
                return
            self._price_chunk(again, issued_ms)
            entries = again

    def _chunks(self, entries: list[Entry]) -> Iterator[list[Entry]]:
        chunk: list[Entry] = []
        line_count = 0
        for entry in entries:
            if chunk and line_count + entry.line_count > self._pace.lines:
                yield chunk
                chunk, line_count = [], 0
            chunk.append(entry)
            line_count += entry.line_count
        yield chunk

    def _price_chunk(self, entries: list[Entry], issued_ms: int) -> None:
        began_s = time.perf_counter()
        if not self._is_priced(entries, issued_ms):
            # A defect that one basket brings to light must not refuse its neighbours: each is priced again by itself.
            for entry in entries:
                if len(entries) == 1 or not self._is_priced([entry], issued_ms):
                    entry.outcome = InternalError()
        took_s = time.perf_counter() - began_s
        self._pace.note(sum(entry.line_count for entry in entries), took_s)
        self._metrics.price_seconds.at().observe(took_s)

    def _is_priced(self, entries: list[Entry], issued_ms: int) -> bool:
        book = entries[0].book
        assert book is not None
        try:
            baskets = [basket_of(entry.understood, issued_ms) for entry in entries]
            standing = self._standings.of(book)
            if standing is not None:
                baskets = [
                    standing.tell(basket) if _is_for_now(entry) else basket
                    for entry, basket in zip(entries, baskets, strict=True)
                ]
            baskets = [
                basket._replace(left=basket.left + entry.personal) if entry.personal else basket
                for entry, basket in zip(entries, baskets, strict=True)
            ]
            encoded = self._price(book, baskets, [entry.understood.request.partial for entry in entries])
        except Exception:  # noqa: BLE001
            # The plain text of the traceback: a renderer that shows local variables takes a second, and shows customers.
            _log.error("pricing_failed", version=book.version, baskets=len(entries), traceback=traceback.format_exc())
            return False
        for entry, one in zip(entries, encoded, strict=True):
            entry.encoded = one
            if one.errors:
                errors = [FieldError(*error) for error in one.errors]
                entry.outcome = ValidationFailed("The request cannot be priced.", errors=errors)
        return True
