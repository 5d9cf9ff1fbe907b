"""The only way in: baskets and a book go in, everything about their prices comes out. The order of the steps stands here, once."""

from collections.abc import Callable, Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from app.pricing.basket import Basket
from app.pricing.book import PriceBook
from app.pricing.line_price import LinePrices, LineStatus, NextTiers, next_tiers, price_lines
from app.pricing.money import AMOUNT_MINOR_MAX, Bools, Int64s
from app.pricing.promotions import ANY_CURRENCY
from app.pricing.rewards import ABSENT
from app.pricing.rules import KINDS
from app.pricing.schedule import is_active
from app.pricing.scope import candidates, has
from app.pricing.stacking import Applications, Lines, Orders, Outcome, applications_of, stack
from app.pricing.vocabulary import ORDER_DISTINCT, ORDER_QUANTITY, ORDER_SUBTOTAL, AttributeProblem, Facts, read_facts


class CodeOutcome(IntEnum):
    """What became of a code that was given."""

    UNLOCKS = 0  # its promotion is a candidate; the promotion's own outcome tells the rest
    NO_MATCHING_LINES = 1
    REDUNDANT = 2
    INVALID = 3


class Code(NamedTuple):
    """A code of a request and the promotion it names (row, −1 where the request may not know)."""

    basket: int
    number: int
    text: str
    promotion: int
    outcome: CodeOutcome


class Priced(NamedTuple):
    """Everything about the prices of a batch of baskets. Lines are those of `lines`, by basket."""

    lines: LinePrices
    total_minor: Int64s  # (n_kept,)
    first_asked: Int64s  # (n_baskets,) the first line of each basket among all lines asked for
    first_line: Int64s  # (n_baskets + 1,) delimits the kept lines of each basket
    is_order_too_large: Bools  # (n_baskets,)
    applications: Applications
    outcome: Outcome
    codes: tuple[Code, ...]
    attribute_problems: tuple[AttributeProblem, ...]
    next_tiers: NextTiers
    names_groups: Bools  # (n_kept,) the winning price list names customer groups
    is_exclusively_taken: Bools  # (n_kept,) an exclusive line promotion has applied


def price_baskets(book: PriceBook, baskets: Sequence[Basket]) -> Priced:
    """Price a batch of baskets with one book.

    One vectorised pass over all lines of all baskets; element i of the batch equals the same basket priced alone. Lines that
    cannot be priced carry a status and touch nothing else.
    """
    return _price(book, baskets, n_rules=len(book.promotions.id))


def price_line_level(book: PriceBook, baskets: Sequence[Basket]) -> Priced:
    """The same without order promotions: what the lines are before the order is looked at."""
    return _price(book, baskets, n_rules=book.promotions.n_line_level)


def _price(book: PriceBook, baskets: Sequence[Basket], *, n_rules: int) -> Priced:
    """Price by the first `n_rules` promotions of the sequence."""
    facts, attribute_problems = read_facts(book.vocabulary, baskets)
    prices = price_lines(book, baskets)  # steps 1 to 4
    prices, first_line, is_too_large = _without_too_large(prices, len(baskets))
    lines, orders = _state(baskets, prices, first_line)
    _fill_in_amounts(facts, prices.basket, prices.sku_row, prices.subtotal_minor, prices.quantity_milli, first_line)
    codes, apps = _candidates(book, baskets, prices, n_rules=n_rules)
    outcome = stack(book.promotions, KINDS, apps, facts, lines, orders, book.policy)  # steps 5 to 7 and 9
    return Priced(
        prices,
        lines.running_minor,
        np.cumsum([0, *(len(basket.skus) for basket in baskets[:-1])]),
        first_line,
        is_too_large,
        apps,
        outcome,
        codes,
        tuple(attribute_problems),
        next_tiers(book, prices),
        book.price_lists.names_groups[book.entries.list_row[prices.entry]],
        lines.is_exclusively_taken,
    )


class LineLevel(NamedTuple):
    """Lines after the line promotions, by basket (n_lines,): all that order promotions need of them."""

    basket: Int64s
    sku_row: Int64s
    quantity_milli: Int64s
    list_minor: Int64s
    subtotal_minor: Int64s
    running_minor: Int64s
    lowest_minor: Int64s
    floor_rule: Int64s
    is_on_sale: Bools
    is_exclusively_taken: Bools


class OrderPriced(NamedTuple):
    """What the order promotions made of lines: the amounts, and the applications with their outcome."""

    total_minor: Int64s  # (n_lines,)
    applications: Applications
    outcome: Outcome


def price_order_level(book: PriceBook, baskets: Sequence[Basket], level: LineLevel) -> OrderPriced:
    """Go on from `price_line_level`: baskets without codes, all of whose lines have a price."""
    facts, _ = read_facts(book.vocabulary, baskets)
    first_line = np.searchsorted(level.basket, np.arange(len(baskets) + 1))
    _fill_in_amounts(facts, level.basket, level.sku_row, level.subtotal_minor, level.quantity_milli, first_line)
    line, rule = candidates(book.promotions.order_scopes, level.sku_row)
    is_kept = _offers(book, baskets)(rule, level.basket[line])
    apps = applications_of(line[is_kept], rule[is_kept], level.basket, max(len(book.promotions.id), 1))
    n_lines = level.basket.size
    lines = Lines(
        level.basket,
        level.quantity_milli,
        level.list_minor,
        level.subtotal_minor,
        level.lowest_minor,
        level.floor_rule,
        level.is_on_sale,
        level.running_minor.copy(),
        np.zeros(n_lines, np.int64),
        level.is_exclusively_taken,
        np.zeros((n_lines, 0), np.bool_),
    )
    outcome = stack(book.promotions, KINDS, apps, facts, lines, _orders(baskets, first_line), book.policy)
    return OrderPriced(lines.running_minor, apps, outcome)


def _without_too_large(prices: LinePrices, n_baskets: int) -> tuple[LinePrices, Int64s, Bools]:
    """Drop the lines of orders whose subtotals add up past the bound, and delimit the lines of each basket."""
    subtotal = np.zeros(n_baskets, np.int64)
    np.add.at(subtotal, prices.basket, prices.subtotal_minor)
    is_too_large = subtotal > AMOUNT_MINOR_MAX
    if is_too_large.any():
        good = ~is_too_large[prices.basket]
        status = prices.status.copy()
        status[prices.kept[~good]] = LineStatus.ORDER_OUT_OF_BOUNDS
        columns = prices._asdict() | {
            name: column[good] for name, column in prices._asdict().items() if name not in ("status", "bounds")
        }
        columns["bounds"] = type(prices.bounds)(*(column[good] for column in prices.bounds))
        prices = LinePrices(**(columns | {"status": status}))
    first_line = np.zeros(n_baskets + 1, np.int64)
    np.cumsum(np.bincount(prices.basket, minlength=n_baskets), out=first_line[1:])
    return prices, first_line, is_too_large


def _state(baskets: Sequence[Basket], prices: LinePrices, first_line: Int64s) -> tuple[Lines, Orders]:
    n_lines = prices.basket.size
    lines = Lines(
        prices.basket,
        prices.quantity_milli,
        prices.list_minor,
        prices.subtotal_minor,
        prices.lowest_minor,
        prices.bounds.floor_rule,
        prices.sale >= 0,
        prices.subtotal_minor.copy(),
        np.zeros(n_lines, np.int64),
        np.zeros(n_lines, np.bool_),
        np.zeros((n_lines, 0), np.bool_),
    )
    return lines, _orders(baskets, first_line)


def _orders(baskets: Sequence[Basket], first_line: Int64s) -> Orders:
    n_baskets = len(baskets)
    return Orders(
        first_line,
        np.array([ABSENT if basket.orders is None else basket.orders for basket in baskets], np.int64),
        np.array([ABSENT if basket.spend_minor is None else basket.spend_minor for basket in baskets], np.int64),
        np.zeros(n_baskets, np.int64),
        np.zeros(n_baskets, np.bool_),
        np.zeros((n_baskets, 0), np.bool_),
    )


def _fill_in_amounts(
    facts: Facts, basket: Int64s, sku_row: Int64s, subtotal_minor: Int64s, quantity_milli: Int64s, first_line: Int64s
) -> None:
    """Amounts and quantities of the orders before promotions, as conditions ask for them."""
    for slot, values in ((ORDER_SUBTOTAL, subtotal_minor), (ORDER_QUANTITY, quantity_milli)):
        reached = np.concatenate([[0], np.cumsum(values)])
        facts.value[slot] = reached[first_line[1:]] - reached[first_line[:-1]]
        facts.is_known[slot] = True
    pairs = np.unique(np.stack([basket, sku_row], axis=1), axis=0)
    facts.value[ORDER_DISTINCT] = np.bincount(pairs[:, 0], minlength=first_line.size - 1)
    facts.is_known[ORDER_DISTINCT] = True


def _candidates(
    book: PriceBook, baskets: Sequence[Basket], prices: LinePrices, *, n_rules: int
) -> tuple[tuple[Code, ...], Applications]:
    """The promotions that may apply in each basket, with the lines of their scopes; codes bring in those they unlock."""
    promotions = book.promotions
    is_offered = _offers(book, baskets)
    line, rule = candidates(promotions.scopes, prices.sku_row)
    if line.size:
        is_kept = (rule < n_rules) & is_offered(rule, prices.basket[line])
        line, rule = line[is_kept], rule[is_kept]
    codes = _read_codes(book, baskets, is_offered)
    unlocked = np.array(sorted({(c.basket, c.promotion) for c in codes if c.outcome == CodeOutcome.UNLOCKS}), np.int64).reshape(
        -1, 2
    )
    matched: set[tuple[int, int]] = set()
    if unlocked.size:
        code_line, code_rule = _lines_of(book, prices, unlocked[:, 0], unlocked[:, 1])
        matched = set(zip(prices.basket[code_line].tolist(), code_rule.tolist(), strict=True))
        is_new = promotions.requires_code[code_rule]
        line, rule = np.concatenate([line, code_line[is_new]]), np.concatenate([rule, code_rule[is_new]])
    codes = [
        code._replace(outcome=CodeOutcome.NO_MATCHING_LINES)
        if code.outcome == CodeOutcome.UNLOCKS and (code.basket, code.promotion) not in matched
        else code
        for code in codes
    ]
    return tuple(codes), applications_of(line, rule, prices.basket, max(len(promotions.id), 1))


def _offers(book: PriceBook, baskets: Sequence[Basket]) -> Callable[[Int64s, Int64s], Bools]:
    """The question whether promotions (n,) are offered in baskets (n,): in their currency, and at their instant."""
    promotions = book.promotions
    at_s = np.array([basket.at_us // 1_000_000 for basket in baskets], np.int64)
    currency = np.array([book.currency_rows.get(basket.currency, -2) for basket in baskets], np.int64)

    def is_offered(rule: Int64s, basket: Int64s) -> Bools:
        its_currency = promotions.currency_row[rule]
        holds = (its_currency == ANY_CURRENCY) | (its_currency == currency[basket])
        return np.asarray(holds & is_active(promotions.schedule, rule, at_s[basket]), np.bool_)

    return is_offered


def _lines_of(book: PriceBook, prices: LinePrices, basket: Int64s, rule: Int64s) -> tuple[Int64s, Int64s]:
    """The lines of baskets (n,) that are in the scopes of rules (n,)."""
    first_line = np.searchsorted(prices.basket, np.arange(int(basket.max()) + 2))
    low = first_line[basket]
    count = first_line[basket + 1] - low
    pair = np.repeat(np.arange(basket.size), count)
    line = np.repeat(low - (np.cumsum(count) - count), count) + np.arange(pair.size)
    is_in = has(book.promotions.scopes, rule[pair], prices.sku_row[line])
    return line[is_in], rule[pair[is_in]]


def _read_codes(book: PriceBook, baskets: Sequence[Basket], is_offered: Callable[[Int64s, Int64s], Bools]) -> list[Code]:
    codes: list[Code] = []
    for number, basket in enumerate(baskets):
        seen: set[int] = set()
        for place, text in enumerate(basket.codes):
            row = book.promotions.row_of_code.get(text, -1)
            if row < 0 or not is_offered(np.array([row]), np.array([number]))[0]:
                codes.append(Code(number, place, text, -1, CodeOutcome.INVALID))
            else:
                codes.append(Code(number, place, text, row, CodeOutcome.REDUNDANT if row in seen else CodeOutcome.UNLOCKS))
                seen.add(row)
    return codes
