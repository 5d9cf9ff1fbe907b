"""Unit prices for listing pages: each SKU by itself, one unit of it, in vectorised calls that do not hold the event loop up."""

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from app.errors import FieldError, ValidationFailed
from app.metrics import Metrics
from app.pricing.basket import Basket
from app.pricing.book import PriceBook
from app.pricing.line_price import LineStatus
from app.pricing.money import E7, format_e4, round_div
from app.pricing.quote import price_baskets
from app.quotes.ids import IssueClock
from app.quotes.memo import memo_of
from app.quotes.pace import Pace
from app.quotes.parse import listing_baskets
from app.quotes.schemas import PricesRequest

_ATTRIBUTE_MESSAGES: Final = {
    "undeclared_attribute": "the price book declares no such attribute",
    "wrong_type": "the attribute is declared with another type",
}


class ListedPrice(NamedTuple):
    """What one unit costs, in 1/10 000 minor unit; `problem` is the code where it has no price, and the figures are 0 then."""

    list_unit_e4: int
    unit_e4: int
    net_unit_e4: int
    problem: str | None


type PriceListing = Callable[[PriceBook, Sequence[Basket]], Sequence[ListedPrice]]


def list_prices(book: PriceBook, baskets: Sequence[Basket]) -> list[ListedPrice]:
    """Price baskets of one unit of one SKU in one vectorised call. Raises ValidationFailed for attributes that the book does not know."""
    priced = price_baskets(book, baskets)
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
    listed = [ListedPrice(0, 0, 0, LineStatus(status).name.lower()) for status in lines.status.tolist()]
    columns = (lines.kept, lines.list_unit_e4, lines.unit_e4, net_unit_e4)
    for kept, list_unit, unit, net_unit in zip(*(column.tolist() for column in columns), strict=True):
        listed[kept] = ListedPrice(list_unit, unit, net_unit, None)
    return listed


class Listing:
    """Answers listings; stores nothing."""

    def __init__(
        self,
        *,
        current_book: Callable[[], PriceBook],
        price: PriceListing,
        clock: IssueClock,
        metrics: Metrics,
        lines_max: int,
    ) -> None:
        self._current_book = current_book
        self._price = price
        self._clock = clock
        self._metrics = metrics
        self._pace = Pace(lines_max=lines_max)

    async def answer(self, request: PricesRequest, book: PriceBook | None) -> bytes:
        """Price every SKU by one book, the one in force unless one is given. Raises Unavailable where there is none."""
        book = book or self._current_book()
        instant_ms = self._clock.read_ms()
        memo = memo_of(book)
        context = memo.context(listing_baskets(request, request.skus[:1], instant_ms)[0])
        items = {} if context is None else memo.listed(context, request.skus)
        missing = list(dict.fromkeys(sku for sku in request.skus if sku not in items))
        while missing:
            began_s = time.perf_counter()
            skus = missing[: self._pace.lines]
            prices = self._price(book, listing_baskets(request, skus, instant_ms))
            learned = dict(zip(skus, map(_item, skus, prices), strict=True))
            items |= learned
            if context is not None:
                memo.keep_listed(context, learned)
            took_s = time.perf_counter() - began_s
            self._pace.note(len(skus), took_s)
            self._metrics.price_seconds.at().observe(took_s)
            missing = missing[len(skus) :]
            if missing:
                await asyncio.sleep(0)
        entries = ",".join(map(items.__getitem__, request.skus))
        return f'{{"currency":"{request.currency}","version":{book.version},"items":[{entries}]}}'.encode()


def _item(sku: str, price: ListedPrice) -> str:
    # A SKU has no character that JSON would escape.
    if price.problem is None:
        return (
            f'{{"sku":"{sku}","list_unit_price":"{format_e4(price.list_unit_e4)}",'
            f'"unit_price":"{format_e4(price.unit_e4)}","net_unit_price":"{format_e4(price.net_unit_e4)}"}}'
        )
    return (
        f'{{"sku":"{sku}","list_unit_price":null,"unit_price":null,"net_unit_price":null,"problem":{{"code":"{price.problem}"}}}}'
    )
