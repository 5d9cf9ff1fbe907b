"""What is counted of priced lines beside their amounts: which bounds of guardrails hold them, and what they cost.

No price depends on it. A line that is held has one bit for each bound that holds it, so far apart that the bits of all lines of a basket
can be added up as one integer.
"""

from typing import Final

import numpy as np

from app.pricing.base_price import cost_of
from app.pricing.book import PriceBook
from app.pricing.guardrails import BOUNDS, place_of
from app.pricing.line_price import LinePrices
from app.pricing.money import AMOUNT_E7_MAX, AMOUNT_MINOR_MAX, E7, Int64s, round_div
from app.pricing.stacking import Outcome

NO_COST: Final = -1
# So many lines of a basket can be added up.
LINES_MAX: Final = (1 << 12) - 1
_BITS: Final = LINES_MAX.bit_length()

assert _BITS * len(BOUNDS) < 61
assert AMOUNT_MINOR_MAX * E7 == AMOUNT_E7_MAX


def held_by_steps(book: PriceBook, prices: LinePrices) -> Int64s:
    """The bounds that have moved the prices of lines (n_kept,): those that the price steps name."""
    held = np.zeros(prices.kept.size, np.int64)
    if book.guardrails.key.size == 0:
        return held
    moves = (prices.base.strategy_bound, prices.tier_bound, prices.final_bound)
    for sign, bound in ((1, prices.bounds.floor_rule), (-1, prices.bounds.ceiling_rule)):
        line = np.logical_or.reduce([move == sign for move in moves]).nonzero()[0]
        if line.size:
            held[line] |= _bit(bound[line])
    return held


def with_promotions(
    held: Int64s, book: PriceBook, outcome: Outcome, total_minor: Int64s, lowest_minor: Int64s, lowest_rule: Int64s
) -> Int64s:
    """The same with the bounds that promotions met (n_lines,): what was given back, and order promotions that ended at the lowest amount.

    An amount that is shared out goes to other lines instead of being given back, so for order promotions the line tells by where it ended.
    """
    if book.guardrails.key.size == 0:
        return held
    held = held.copy()
    for block in outcome.on_lines:
        if block.where.size == 0:
            continue
        if block.is_give_back[0]:
            np.bitwise_or.at(held, block.where, _bit(block.rule))
        elif block.is_order_level[0]:
            line = block.where[(total_minor == lowest_minor)[block.where] & (lowest_rule[block.where] >= 0)]
            np.bitwise_or.at(held, line, _bit(lowest_rule[line]))
    return held


def costs_minor(book: PriceBook, prices: LinePrices) -> Int64s:
    """What lines cost (n_kept,), NO_COST where no unit cost is known; at most the greatest amount."""
    if book.cost_key.size == 0:
        return np.full(prices.kept.size, NO_COST, np.int64)
    unit_e4 = cost_of(book)(prices.key)
    exact_e7 = np.minimum(unit_e4, AMOUNT_E7_MAX // prices.quantity_milli) * prices.quantity_milli
    return np.where(unit_e4 < 0, NO_COST, round_div(np.maximum(exact_e7, 0), E7, book.policy.rounding))


def lines_by_bound(sum_of_held: int) -> tuple[tuple[str, int], ...]:
    """How many lines each bound holds, by the sum over the lines of a basket.

    >>> lines_by_bound(0), lines_by_bound(3 + (2 << 48))
    ((), (('floor', 3), ('ceiling', 2)))
    """
    if not sum_of_held:
        return ()
    counts = ((name, sum_of_held >> _BITS * place & LINES_MAX) for place, name in enumerate(BOUNDS))
    return tuple((name, count) for name, count in counts if count)


def _bit(bound: Int64s) -> Int64s:
    """The bit of what is told of bounds (n,)."""
    return np.left_shift(1, _BITS * place_of(bound))
