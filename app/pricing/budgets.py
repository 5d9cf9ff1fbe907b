"""Budgets: which promotions have given more in a basket than is left for them. Source: SEMANTICS.md, Budgets."""

from collections.abc import Sequence

import numpy as np

from app.pricing.basket import Barred, Basket, Left
from app.pricing.book import PriceBook
from app.pricing.counters import BUDGET, CAMPAIGN_BUDGET, rows_of
from app.pricing.funding import given_of
from app.pricing.money import Bools, Int64s
from app.pricing.quote import Priced
from app.pricing.stacking import Adjustment

type Drawn = dict[tuple[int, int], int]  # by basket and promotion


def overdrawn(book: PriceBook, baskets: Sequence[Basket], priced: Priced) -> dict[int, tuple[Barred, ...]]:
    """The promotions that are barred now, by the number of the basket: it is priced anew without them, until none is left here."""
    budgets = {
        number: own
        for number, basket in enumerate(baskets)
        if basket.left and (own := [one for one in basket.left if one.limit in (BUDGET, CAMPAIGN_BUDGET) and one.left > 0])
    }
    if not budgets:
        return {}
    drawn = _drawn(priced, np.isin(np.arange(len(baskets)), list(budgets)))
    by_basket: dict[int, list[tuple[int, int]]] = {}
    for (basket, row), amount in sorted(drawn.items()):
        by_basket.setdefault(basket, []).append((row, amount))
    found = {number: _passing(book, own, by_basket.get(number, ())) for number, own in budgets.items()}
    return {number: barred for number, barred in found.items() if barred}


def _passing(book: PriceBook, budgets: Sequence[Left], drawn: Sequence[tuple[int, int]]) -> tuple[Barred, ...]:
    """Of what promotions draw, in sequence, those that draw more than the ones before them leave."""
    of_campaign = rows_of(book).of_campaign
    spent = dict.fromkeys(budgets, 0)
    found: list[Barred] = []
    for row, amount in drawn:
        promotion = book.promotions.id[row]
        own = [
            one
            for one in budgets
            if (one.rule == promotion if one.limit == BUDGET else promotion in of_campaign.get(one.rule, ()))
        ]
        passed = next((one for one in own if spent[one] + amount > one.left), None)
        if passed is not None:
            found.append(Barred(promotion, passed))
            continue
        for one in own:
            spent[one] += amount
    return tuple(found)


def _drawn(priced: Priced, is_asked: Bools) -> Drawn:
    """What promotions really gave in the baskets that are asked for: amounts, and the worth of gifts."""
    outcome, basket_of_line = priced.outcome, priced.lines.basket
    own = [block for block in outcome.on_lines if not (block.is_order_level.size and block.is_order_level[0])]
    found: Drawn = {}
    baskets = np.arange(is_asked.size)
    for blocks, basket_of in ((own, basket_of_line), (outcome.on_orders, baskets), (outcome.on_shipping, baskets)):
        _add(found, blocks, basket_of, is_asked)
    if priced.beyond is not None:
        gifts = priced.beyond.gifts
        at = is_asked[gifts.basket].nonzero()[0]
        columns = (gifts.basket[at].tolist(), gifts.rule[at].tolist(), gifts.worth_minor[at].tolist())
        for basket, rule, worth in zip(*columns, strict=True):
            found[basket, rule] = found.get((basket, rule), 0) + worth
    return {key: amount for key, amount in found.items() if amount > 0}


def _add(found: Drawn, blocks: Sequence[Adjustment], basket_of: Int64s, is_asked: Bools) -> None:
    for block, given in zip(blocks, given_of(blocks, basket_of.size), strict=True):
        if block.is_give_back.size and block.is_give_back[0]:
            continue
        basket = basket_of[block.where]
        at = is_asked[basket].nonzero()[0]
        for number, rule, amount in zip(basket[at].tolist(), block.rule[at].tolist(), given[at].tolist(), strict=True):
            found[number, rule] = found.get((number, rule), 0) + amount
