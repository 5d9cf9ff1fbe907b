"""Replaying decisions: the stored request, priced again by the stored version's book, gives the stored bytes again."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from app.pricebook.load import NoSuchVersion
from app.pricing.basket import Left
from app.pricing.book import PriceBook
from app.quotes.decision import Decision
from app.quotes.decisions import DecisionReader
from app.quotes.encode import EncodedQuote
from app.quotes.limited import left_of
from app.quotes.parse import basket_of, format_instant, instant_ms_of, read_stored
from app.quotes.pricing_pass import PriceAndEncode

_PAGE_ROWS: Final = 1_000
_TOKEN: Final = b',"token":"'
_EXPIRES: Final = b'"expires_at":"'
_LIMITED: Final = b',"limited":['


class Difference(msgspec.Struct, frozen=True):
    """The first place where what is computed now differs from what was stored; an absent value is null."""

    path: str
    stored: Any
    recomputed: Any


@dataclass(slots=True)
class ReplayReport:
    """What came of replaying many decisions: how many, how many lines, and which were not equal."""

    decision_count: int = 0
    line_count: int = 0
    differences: list[tuple[str, Difference]] = field(default_factory=list)
    # Decisions by version, where the version is not stored any more and nobody can replay them.
    missing_versions: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def is_equal(self) -> bool:
        return not self.differences and not self.missing_versions


class Replay:
    """Recomputes decisions, many in one vectorised call where they are of one version."""

    def __init__(
        self,
        reader: DecisionReader,
        *,
        book_of_version: Callable[[int], Awaitable[PriceBook]],
        price: PriceAndEncode,
        lines_max: int,
    ) -> None:
        self._reader = reader
        self._book_of_version = book_of_version
        self._price = price
        self._lines_max = lines_max

    async def replay(self, decision: Decision) -> Difference | None:
        """The first difference, None when every byte but the token's is equal. Raises NoSuchVersion, DatabaseUnreachable."""
        book = await self._book_of_version(decision.version)
        return self._compare([decision], book)[0]

    async def replay_last(self, count: int, *, note: Callable[[ReplayReport], None] | None = None) -> ReplayReport:
        """Replay the newest `count` decisions; `note` hears of the progress after each page. Raises Unavailable, DatabaseUnreachable."""
        report = ReplayReport()
        before = None
        while report.decision_count < count:
            page = await self._reader.newest(before=before, limit=min(_PAGE_ROWS, count - report.decision_count))
            if not page:
                break
            before = (page[-1].issued_at, page[-1].id)
            by_version: dict[int, list[Decision]] = defaultdict(list)
            for decision in page:
                by_version[decision.version].append(decision)
            for version, of_version in sorted(by_version.items(), reverse=True):
                await self._replay_version(version, of_version, report)
            report.decision_count += len(page)
            if note is not None:
                note(report)
        return report

    async def _replay_version(self, version: int, of_version: Sequence[Decision], report: ReplayReport) -> None:
        try:
            book = await self._book_of_version(version)
        except NoSuchVersion:
            report.missing_versions[version] += len(of_version)
            return
        for chunk in self._chunks(of_version):
            for decision, difference in zip(chunk, self._compare(chunk, book), strict=True):
                if difference is not None:
                    report.differences.append((str(decision.id), difference))
            report.line_count += sum(decision.line_count for decision in chunk)
            await asyncio.sleep(0)

    def _chunks(self, of_version: Sequence[Decision]) -> list[list[Decision]]:
        chunks: list[list[Decision]] = [[]]
        line_count = 0
        for decision in of_version:
            if chunks[-1] and line_count + decision.line_count > self._lines_max:
                chunks.append([])
                line_count = 0
            chunks[-1].append(decision)
            line_count += decision.line_count
        return chunks

    def _compare(self, of_one_version: Sequence[Decision], book: PriceBook) -> list[Difference | None]:
        stored = [read_stored(decision.request) for decision in of_one_version]
        # The instant of the price is in the stored request; that of the issue would be the fallback and is the same then.
        baskets = [
            basket_of(one, instant_ms_of(decision.issued_at))._replace(left=_left_of(decision.reply))
            for one, decision in zip(stored, of_one_version, strict=True)
        ]
        encoded = self._price(book, baskets, [one.request.partial for one in stored])
        return [_difference(decision, one) for decision, one in zip(of_one_version, encoded, strict=True)]


def _left_of(reply: bytes) -> tuple[Left, ...]:
    """The counters that a decision was priced with: its reply says them all."""
    # Inside a text the quotes would be escaped.
    return left_of(msgspec.json.decode(reply)["limited"]) if _LIMITED in reply else ()


def _difference(decision: Decision, encoded: EncodedQuote) -> Difference | None:
    if encoded.errors:
        errors = [dict(zip(("path", "code", "message"), error, strict=True)) for error in encoded.errors]
        return Difference("", "a quote", errors)
    stored = decision.reply[: decision.reply.rindex(_TOKEN)]
    # How long a quote binds is a setting and no price, so its end is taken over.
    expires = decision.reply[decision.reply.index(_EXPIRES) + len(_EXPIRES) :].partition(b'"')[0].decode()
    issued = format_instant(instant_ms_of(decision.issued_at))
    head = f'{{"id":"{decision.id}","version":{decision.version},"issued_at":"{issued}","expires_at":"{expires}",'
    recomputed = head.encode() + encoded.body
    if stored == recomputed:
        return None
    found = _first_difference("", msgspec.json.decode(stored + b"}"), msgspec.json.decode(recomputed + b"}"))
    # Equal as JSON and not as bytes: spelling or order differs.
    return found or Difference("", stored.decode(), recomputed.decode())


def _first_difference(path: str, stored: Any, recomputed: Any) -> Difference | None:
    if isinstance(stored, dict) and isinstance(recomputed, dict):
        for name in dict.fromkeys((*stored, *recomputed)):
            place = f"{path}.{name}" if path else name
            if name not in stored or name not in recomputed:
                return Difference(place, stored.get(name), recomputed.get(name))
            if found := _first_difference(place, stored[name], recomputed[name]):
                return found
        return None
    if isinstance(stored, list) and isinstance(recomputed, list):
        for index in range(max(len(stored), len(recomputed))):
            one = stored[index] if index < len(stored) else None
            other = recomputed[index] if index < len(recomputed) else None
            if found := _first_difference(f"{path}[{index}]", one, other):
                return found
        return None
    return None if stored == recomputed and type(stored) is type(recomputed) else Difference(path, stored, recomputed)
