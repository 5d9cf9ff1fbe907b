"""Unit prices for listing pages: each SKU by itself, one unit of it, in vectorised calls that do not hold the event loop up."""

import asyncio
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from app.errors import FieldError, ValidationFailed
from app.metrics import Metrics
from app.pricing.basket import Basket, Left
from app.pricing.book import PriceBook
from app.pricing.budgets import overdrawn
from app.pricing.line_price import LineStatus
from app.pricing.money import E7, MILLI, round_div
from app.pricing.quote import Priced, price_each_alone
from app.quotes.ids import IssueClock
from app.quotes.memo import Memos
from app.quotes.pace import Pace
from app.quotes.parse import listing_basket
from app.quotes.phrases import UNIT_PRICES
from app.quotes.schemas import PricesRequest
from app.quotes.standing import Standings, of_one_unit

_STATUS_NAMES: Final = tuple(status.name.lower() for status in LineStatus)
_ATTRIBUTE_MESSAGES: Final = {
    "undeclared_attribute": "the price book declares no such attribute",
    "wrong_type": "the attribute is declared with another type",
}


type PriceListing = Callable[[PriceBook, Basket, Sequence[str]], list[str]]


def list_prices(book: PriceBook, context: Basket, skus: Sequence[str]) -> list[str]:
    """Price one unit of each SKU in the context of a basket, in one vectorised call: the entries of a reply.

    Raises ValidationFailed for attributes that the book does not know.
    """
    priced = price_each_alone(book, context, skus, [MILLI] * len(skus))
    more = overdrawn(book, [context] * len(skus), priced)
    if more:
        # What a budget does not suffice for differs by SKU, so these are asked for again, each alone.
        items = dict(zip(skus, _items(book, skus, priced), strict=True))
        for number, barred in more.items():
            items[skus[number]] = list_prices(book, context._replace(barred=context.barred + barred), skus[number : number + 1])[
                0
            ]
        return [items[sku] for sku in skus]
    return _items(book, skus, priced)


def _items(book: PriceBook, skus: Sequence[str], priced: Priced) -> list[str]:
    """The entries of SKUs. Raises ValidationFailed."""
    if priced.attribute_problems:
        first = priced.attribute_problems[0].basket
        raise ValidationFailed(
            errors=[
                FieldError(problem.path, problem.code, _ATTRIBUTE_MESSAGES[problem.code])
                for problem in priced.attribute_problems
                if problem.basket == first
            ]
        )
    lines = priced.lines
    net_unit_e4 = round_div(priced.total_minor * E7, lines.quantity_milli, book.policy.rounding)
    columns = (lines.list_unit_e4, lines.unit_e4, net_unit_e4)
    units, texts = zip(*(column.tolist() for column in columns), strict=True), UNIT_PRICES
    items: list[str] = []
    for sku, status in zip(skus, lines.status.tolist(), strict=True):
        # A SKU has no character that JSON would escape.
        if status == LineStatus.OK:
            listed, unit, net = next(units)
            items.append(
                f'{{"sku":"{sku}","list_unit_price":{texts[listed]},"unit_price":{texts[unit]},"net_unit_price":{texts[net]}}}'
            )
        else:
            none = '"list_unit_price":null,"unit_price":null,"net_unit_price":null'
            items.append(f'{{"sku":"{sku}",{none},"problem":{{"code":"{_STATUS_NAMES[status]}"}}}}')
    return items


class Listing:
    """Answers listings; stores nothing."""

    def __init__(
        self,
        *,
        current_book: Callable[[], PriceBook],
        price: PriceListing,
        standings: Standings,
        clock: IssueClock,
        metrics: Metrics,
        lines_max: int,
        memos: Memos,
    ) -> None:
        self._current_book = current_book
        self._price = price
        self._memos = memos
        self._standings = standings
        self._clock = clock
        self._metrics = metrics
        self._pace = Pace(lines_max=lines_max)

    async def answer(self, request: PricesRequest, book: PriceBook | None) -> bytes:
        """Price every SKU by one book, the one in force unless one is given. Raises Unavailable where there is none."""
        book = book or self._current_book()
        instant_ms = self._clock.read_ms()
        basket = listing_basket(request, instant_ms)
        is_for_now = request.at is None and request.version is None
        items: dict[str, str] = {}
        for context, skus in self._contexts(book, basket, request.skus, is_for_now=is_for_now):
            items |= await self._known_or_priced(book, context, skus)
        entries = ",".join(map(items.__getitem__, request.skus))
        return f'{{"currency":"{request.currency}","version":{book.version},"items":[{entries}]}}'.encode()

    def _contexts(
        self, book: PriceBook, basket: Basket, skus: Sequence[str], *, is_for_now: bool
    ) -> Iterable[tuple[Basket, Sequence[str]]]:
        """The SKUs by what they are told of limits."""
        standing = self._standings.of(book) if is_for_now else None
        if standing is None:
            return ((basket, skus),)
        by_left: dict[tuple[Left, ...], list[str]] = {}
        for sku in skus:
            left = of_one_unit(standing.of(basket._replace(skus=(sku,), line_ids=(sku,), quantities_milli=(MILLI,))))
            by_left.setdefault(left, []).append(sku)
        return [(basket._replace(left=left), own) for left, own in by_left.items()]

    async def _known_or_priced(self, book: PriceBook, basket: Basket, asked: Sequence[str]) -> dict[str, str]:
        memo = self._memos.of(book)
        context = memo.context(basket)
        items = {} if context is None else memo.listed(context, asked)
        missing = list(dict.fromkeys(sku for sku in asked if sku not in items))
        while missing:
            began_s = time.perf_counter()
            skus = missing[: self._pace.lines]
            learned = dict(zip(skus, self._price(book, basket, skus), strict=True))
            items |= learned
            if context is not None:
                memo.keep_listed(context, learned)
            took_s = time.perf_counter() - began_s
            self._pace.note(len(skus), took_s)
            self._metrics.price_seconds.at().observe(took_s)
            missing = missing[len(skus) :]
            if missing:
                await asyncio.sleep(0)
        return items
