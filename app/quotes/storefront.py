"""What the storefront's endpoints do, whichever door the request came through: bytes and a caller in, a reply out."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from asyncpg.pgproto.pgproto import UUID

from app.db.engine import DatabaseUnreachable
from app.errors import FieldError, InternalError, Problem, Unavailable, ValidationFailed
from app.metrics import Metrics
from app.pricebook.load import NoSuchVersion
from app.pricing.book import PriceBook
from app.quotes.encode import EncodedQuote
from app.quotes.explanation import explained
from app.quotes.ids import id_in_batch, id_of_key
from app.quotes.lane import QuoteLane
from app.quotes.listing import Listing
from app.quotes.parse import Understood, read_batch, read_batch_quotes, read_prices, read_quote
from app.quotes.preview import PreviewLane
from app.quotes.pricing_pass import Answered, Entry
from app.quotes.schemas import Context
from app.web.auth import Principal
from app.web.problems import problem_bytes

VERSION_WAIT_S: Final = 1.0
_KEY: Final = re.compile(rb"[\x21-\x7e]{1,255}")
_VERSION: Final = re.compile(rb"[1-9][0-9]{0,15}")
_PARSED_AT_ONCE: Final = 64
_LINE_ERROR: Final = b'"error":{'


class Asked(NamedTuple):
    """Who asks, and what the headers say. The names of headers are lower case."""

    principal: Principal
    headers: Mapping[bytes, bytes]
    named: Mapping[str, str] = MappingProxyType({})  # the parameters of the path


class Reply(NamedTuple):
    """A reply in JSON; `is_replay` says that it was given before."""

    status: int
    body: bytes
    is_replay: bool = False


class Storefront:
    """The operations. Each raises Problem for what it refuses."""

    def __init__(
        self,
        *,
        lane: QuoteLane,
        previews: PreviewLane,
        listing: Listing,
        book_of_version: Callable[[int], Awaitable[PriceBook]],
        wait_for_version: Callable[[int, float], Awaitable[object]],
        metrics: Metrics,
    ) -> None:
        self._lane = lane
        self._previews = previews
        self._listing = listing
        self._book_of_version = book_of_version
        self._wait_for_version = wait_for_version
        self._metrics = metrics
        self._quote_lines = metrics.lines.at("quote")
        self._batch_lines = metrics.lines.at("batch")
        self._preview_lines = metrics.lines.at("preview")
        self._prices_lines = metrics.lines.at("prices")

    async def quote(self, raw: bytes, asked: Asked) -> Reply:
        """Price one basket and store the decision: 201 with the quote."""
        understood = read_quote(raw)
        book = await self._book_for(understood.request, asked)
        key = _read_key(asked)
        entry = Entry(understood, book=book, key=None if key is None else id_of_key(key, caller=asked.principal.id))
        try:
            await self._lane.answer([entry])
        except Unavailable as problem:
            entry.outcome = problem
        return self.quoted(entry)

    def take_quote(self, raw: bytes, asked: Asked, call: Callable[[], None]) -> Entry | None:
        """Do what `quote` does up to the lane, which then calls `call`; None where there is more to wait for. Raises what `quote` does."""
        understood = read_quote(raw)
        if not _is_for_now(understood.request, asked.headers):
            return None
        key = _read_key(asked)
        entry = Entry(understood, key=None if key is None else id_of_key(key, caller=asked.principal.id))
        self._lane.enter(entry, call)
        return entry

    def quoted(self, entry: Entry) -> Reply:
        """The reply of a quote when it has come out of the lane. Raises Problem."""
        outcome = entry.outcome
        self._count(entry)
        if isinstance(outcome, Answered):
            self._quote_lines.n += entry.line_count
            return Reply(201, outcome.reply, outcome.is_replay)
        raise outcome or InternalError()

    async def batch(self, raw: bytes, asked: Asked) -> Reply:
        """Price many baskets and store their decisions together: 200 with a quote or a problem for each. A limited key pays for each basket."""
        key = _read_key(asked)
        if (header := asked.headers.get(b"min-version")) is not None:
            _read_version(header)  # wrong for all of them
        batch_id = None if key is None else id_of_key(key, caller=asked.principal.id)
        results: list[Entry | Problem] = []
        quotes = read_batch(raw)
        if asked.principal.quota is not None:
            asked.principal.quota.charge(len(quotes) - 1, time.monotonic())
        for position, each in enumerate(read_batch_quotes(quotes)):
            if position % _PARSED_AT_ONCE == _PARSED_AT_ONCE - 1:
                await asyncio.sleep(0)
            results.append(each if isinstance(each, Problem) else await self._batch_entry(each, asked, batch_id, position))
        entries = [each for each in results if isinstance(each, Entry)]
        if entries:
            await self._lane.answer(entries)
        for entry in entries:
            self._count(entry)
        answered = [entry for entry in entries if isinstance(entry.outcome, Answered)]
        away = next((entry.outcome for entry in entries if isinstance(entry.outcome, Unavailable)), None)
        if away is not None and not answered:
            raise away
        self._batch_lines.n += sum(entry.line_count for entry in answered)
        is_replay = bool(answered) and all(isinstance(entry.outcome, Answered) and entry.outcome.is_replay for entry in answered)
        return Reply(200, b'{"results":[' + b",".join(map(_result, results)) + b"]}", is_replay)

    async def prices(self, raw: bytes, asked: Asked) -> Reply:
        """Unit prices of many SKUs: 200; nothing is stored."""
        request = read_prices(raw)
        book = await self._book_for(request, asked)
        body = await self._listing.answer(request, book)
        self._prices_lines.n += len(request.skus)
        return Reply(200, body)

    async def preview(self, raw: bytes, asked: Asked) -> Reply:
        """Price one basket and store nothing: 200 with a quote that binds nobody."""
        understood = read_quote(raw)
        entry = Entry(understood, book=await self._book_for(understood.request, asked))
        await self._previews.answer(entry)
        return self.previewed(entry)

    async def explained_preview(self, raw: bytes, asked: Asked) -> Reply:
        """The same with every step and the amounts before and after it."""
        reply = await self.preview(raw, asked)
        return reply._replace(body=explained(reply.body))

    def take_preview(self, raw: bytes, asked: Asked, call: Callable[[], None]) -> Entry | None:
        """As `take_quote`, for previews."""
        understood = read_quote(raw)
        if not _is_for_now(understood.request, asked.headers):
            return None
        entry = Entry(understood)
        self._previews.enter(entry, call)
        return entry

    def previewed(self, entry: Entry) -> Reply:
        """The reply of a preview when it has been priced. Raises Problem."""
        if isinstance(entry.outcome, Answered):
            self._preview_lines.n += entry.line_count
            return Reply(200, entry.outcome.reply)
        raise entry.outcome or InternalError()

    async def _batch_entry(self, understood: Understood, asked: Asked, batch_id: UUID | None, position: int) -> Entry | Problem:
        try:
            book = await self._book_for(understood.request, asked)
        except Problem as problem:
            return problem
        key = None if batch_id is None else id_in_batch(batch_id, position)
        return Entry(understood, book=book, key=key, source="batch")

    async def _book_for(self, request: Context, asked: Asked) -> PriceBook | None:
        """The book of the version that the request names, None for the one in force; waits for the version that it needs at least."""
        if request.at is not None or request.version is not None:
            asked.principal.require("simulate")
        header = asked.headers.get(b"min-version")
        if header is not None or request.min_version is not None:
            least = max(request.min_version or 0, 0 if header is None else _read_version(header))
            await self._wait_for_version(least, VERSION_WAIT_S)
        if request.version is None:
            return None
        try:
            return await self._book_of_version(request.version)
        except NoSuchVersion:
            raise ValidationFailed(errors=[FieldError("version", "unknown_version", "there is no such version")]) from None
        except DatabaseUnreachable as error:
            raise Unavailable("The version could not be read.") from error

    def _count(self, entry: Entry) -> None:
        outcome = entry.outcome
        if isinstance(outcome, Answered):
            encoded = entry.encoded
            if outcome.is_replay:
                word = "replayed"
            else:
                assert encoded is not None
                is_partial = entry.understood.request.partial and _LINE_ERROR in encoded.body
                word = "partial" if is_partial else "priced"
                self._metrics.selection_bounded.at().n += encoded.is_bounded
                self._count_money(entry.understood.request, encoded)
        else:
            word = "unavailable" if isinstance(outcome, Unavailable | InternalError) else "refused"
        self._metrics.quotes.at(entry.understood.request.channel or "", word).n += 1

    def _count_money(self, request: Context, encoded: EncodedQuote) -> None:
        metrics, channel, currency = self._metrics, request.channel or "", request.currency
        metrics.subtotal_minor.at(channel, currency).n += encoded.subtotal_minor
        metrics.merchandise_minor.at(channel, currency).n += encoded.subtotal_minor - encoded.discount_minor
        if encoded.cost_minor or encoded.costed_minor:
            tax = "included" if encoded.tax_included else "excluded"
            metrics.costed_minor.at(channel, currency, tax).n += encoded.costed_minor
            metrics.cost_minor.at(channel, currency, tax).n += encoded.cost_minor
        for kind, amount_minor in encoded.discount_by_kind:
            metrics.discount_minor.at(kind).n += amount_minor
        for bound, line_count in encoded.held_lines:
            metrics.held_lines.at(bound).n += line_count


def _result(result: Entry | Problem) -> bytes:
    outcome = result.outcome if isinstance(result, Entry) else result
    if isinstance(outcome, Answered):
        return b'{"quote":' + outcome.reply + b"}"
    return b'{"problem":' + problem_bytes(outcome or InternalError()) + b"}"


def _is_for_now(request: Context, headers: Mapping[bytes, bytes]) -> bool:
    """Whether it is priced by the book in force at this instant: it needs no more scopes, and there is nothing to wait for."""
    return request.at is None and request.version is None and request.min_version is None and b"min-version" not in headers


def _read_key(asked: Asked) -> str | None:
    key = asked.headers.get(b"idempotency-key")
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        raise ValidationFailed(errors=[FieldError("Idempotency-Key", "invalid", "1 to 255 visible ASCII characters, sent once")])
    return key.decode()


def _read_version(header: bytes) -> int:
    if not _VERSION.fullmatch(header):
        raise ValidationFailed(errors=[FieldError("Min-Version", "invalid", "a version, sent once")])
    return int(header)
