"""Baskets with counters: what of them the memo need not know, the baskets whose budgets do not suffice, and the member `limited`.

Most counters change nothing about most baskets: a promotion with three uses left applies as it always did. So a basket is asked for with
those only that can change it, and the reply says all that it came with. Source: app/pricing/SEMANTICS.md, Counters.
"""

from collections.abc import Sequence
from typing import Final

from app.pricing.basket import Basket, Left
from app.pricing.book import PriceBook
from app.pricing.budgets import overdrawn
from app.pricing.counters import BUDGET, CAMPAIGN_BUDGET, GIFTS, OF_SALE_PRICES, gifts_milli
from app.pricing.money import format_milli, parse_decimal
from app.pricing.quote import price_baskets
from app.pricing.rules import gift
from app.quotes.encode import EncodedQuote, encode_quotes
from app.quotes.phrases import TEXTS, json_text

_BUDGETS: Final = (BUDGET, CAMPAIGN_BUDGET)
_QUANTITIES: Final = (GIFTS, *OF_SALE_PRICES)


def quotes_by_engine(book: PriceBook, baskets: Sequence[Basket], partial: Sequence[bool]) -> list[EncodedQuote]:
    """Price baskets with all their counters and encode their replies."""
    encoded = encoded_by_engine(book, baskets, partial)
    return [with_limited(reply, basket.left) for reply, basket in zip(encoded, baskets, strict=True)]


def encoded_by_engine(book: PriceBook, baskets: Sequence[Basket], partial: Sequence[bool]) -> list[EncodedQuote]:
    """The same without the member `limited`. Baskets whose budgets do not suffice are priced again, until they do."""
    priced = price_baskets(book, baskets)
    encoded = encode_quotes(book, baskets, priced, partial=partial)
    more = overdrawn(book, baskets, priced)
    if more:
        again = [baskets[number]._replace(barred=baskets[number].barred + own) for number, own in more.items()]
        replies = encoded_by_engine(book, again, [partial[number] for number in more])
        for number, reply in zip(more, replies, strict=True):
            encoded[number] = reply
    return encoded


def with_few_counters(book: PriceBook, basket: Basket) -> tuple[Basket, int | None]:
    """The basket with the counters that matter to it, and the least of its budgets that matter only if it comes to more than that."""
    left: list[Left] = []
    budget: int | None = None
    for one in basket.left:
        if one.left > 0:
            if one.limit in _BUDGETS and gift.KIND not in book.promotions.kinds:
                budget = one.left if budget is None else min(budget, one.left)
                continue
            if one.limit not in (*_BUDGETS, *_QUANTITIES):
                continue
            if one.limit in OF_SALE_PRICES and one.left >= sum(basket.quantities_milli):
                continue
            if one.limit == GIFTS and one.left >= gifts_milli(book, one.rule):
                continue
        left.append(one)
    return basket._replace(left=tuple(left)), budget


def is_beyond(budget: int | None, basket: Basket, reply: EncodedQuote) -> bool:
    """Whether promotions may have given more than a budget; what they give is no more than there was to pay."""
    return budget is not None and (bool(reply.errors) or reply.subtotal_minor + (basket.shipping_minor or 0) > budget)


def with_limited(reply: EncodedQuote, left: Sequence[Left]) -> EncodedQuote:
    """The reply with all the counters that its basket came with."""
    if not left or reply.errors:
        return reply
    entries = ",".join(
        f'{{"rule":{TEXTS[one.rule]},"limit":"{one.limit}","left":{_left_text(one)}{_code_text(one)}}}' for one in left
    )
    return reply._replace(body=reply.body + f',"limited":[{entries}]'.encode())


def left_of(limited: Sequence[dict[str, str | int]]) -> tuple[Left, ...]:
    """The counters that a reply tells."""
    return tuple(
        Left(str(one["rule"]), str(one["limit"]), _left(str(one["limit"]), one["left"]), str(one.get("code", "")))
        for one in limited
    )


def _code_text(one: Left) -> str:
    return f',"code":{json_text(one.code)}' if one.code else ""


def _left_text(one: Left) -> str:
    return f'"{format_milli(one.left)}"' if one.limit in _QUANTITIES else str(one.left)


def _left(limit: str, left: str | int) -> int:
    return parse_decimal(str(left), 3) if limit in _QUANTITIES else int(left)
