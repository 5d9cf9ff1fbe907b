"""What the parties of joint promotions bear, as JSON text. Source: app/pricing/SEMANTICS.md, Funding."""

from collections.abc import Sequence
from typing import NamedTuple

from app.pricing.book import PriceBook
from app.pricing.funding import Shares, joined_blocks, shares_of_each, shares_on_lines
from app.pricing.money import Int64s
from app.pricing.stacking import Adjustment, Outcome
from app.quotes.phrases import json_text

type Texts = dict[int, str]  # by place of the adjustment in its block


class FundingTexts(NamedTuple):
    """The members `funding` of adjustments, block by block."""

    on_lines: list[Texts]
    on_orders: list[Texts]
    on_shipping: list[Texts]


def funding_texts(book: PriceBook, outcome: Outcome, basket_of_line: Int64s, n_baskets: int) -> FundingTexts | None:
    """Those of an outcome; None where no promotion of the book is funded by others."""
    funding = book.promotions.funding
    if funding.share_ppm.size == 0:
        return None
    is_order_level = [bool(block.is_order_level.size and block.is_order_level[0]) for block in outcome.on_lines]
    own = [block for block, is_order in zip(outcome.on_lines, is_order_level, strict=True) if not is_order]
    of_own = iter(shares_of_each(funding, own, basket_of_line.size))
    of_orders = [block for block, is_order in zip(outcome.on_lines, is_order_level, strict=True) if is_order]
    whole = shares_of_each(funding, outcome.on_orders, n_baskets)
    on_lines: Shares = {}
    if of_orders:
        on_lines = shares_on_lines(funding, outcome.on_orders, whole, joined_blocks(of_orders), basket_of_line)
    found: list[Shares] = []
    first = 0
    for block, is_order in zip(outcome.on_lines, is_order_level, strict=True):
        if not is_order:
            found.append(next(of_own))
            continue
        size = block.where.size
        found.append({place: on_lines[first + place] for place in range(size) if first + place in on_lines})
        first += size
    shipped = shares_of_each(funding, outcome.on_shipping, n_baskets)
    return FundingTexts(
        _texts(book, outcome.on_lines, found), _texts(book, outcome.on_orders, whole), _texts(book, outcome.on_shipping, shipped)
    )


def _texts(book: PriceBook, blocks: Sequence[Adjustment], shares: Sequence[Shares]) -> list[Texts]:
    return [
        {place: _text(book, int(block.rule[place]), amounts) for place, amounts in own.items()}
        for block, own in zip(blocks, shares, strict=True)
    ]


def _text(book: PriceBook, rule: int, amounts: Sequence[int]) -> str:
    parties = book.promotions.funding.parties[rule]
    return f',"funding":{json_text([{"party": party, "amount": amount} for party, amount in zip(parties, amounts, strict=True)])}'
