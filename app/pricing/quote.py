"""The only way in: baskets and a book go in, everything about their prices comes out. The order of the steps stands here, once."""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from app.pricing.asked import Asked, asked_alone, asked_of, contexts_of, places_and_times
from app.pricing.basket import Basket
from app.pricing.beyond import (
    Beyond,
    given_worth,
    gives_beside_amounts,
    gives_on_lines,
    go_beyond,
    has_points,
    reaches_beyond,
    shipping_stated,
)
from app.pricing.book import PriceBook
from app.pricing.counters import Bars, Counted, codes_of, counted_of
from app.pricing.line_price import LinePrices, LineStatus, NextTiers, next_tiers, price_lines
from app.pricing.money import AMOUNT_MINOR_MAX, Bools, Int64s
from app.pricing.promotions import ANY_CURRENCY, Promotions
from app.pricing.rewards import ABSENT
from app.pricing.rules import KINDS
from app.pricing.schedule import is_active
from app.pricing.scope import candidates, has
from app.pricing.search import stack
from app.pricing.stacking import Applications, Lines, Orders, Outcome, applications_of, whole_orders
from app.pricing.together import Work
from app.pricing.vocabulary import AttributeProblem, read_facts


class CodeOutcome(IntEnum):
    """What became of a code that was given."""

    UNLOCKS = 0  # its promotion is a candidate; the promotion's own outcome tells the rest
    NO_MATCHING_LINES = 1
    REDUNDANT = 2
    INVALID = 3
    USED_UP = 4


class Code(NamedTuple):
    """A code of a request and the promotion it names (row, −1 where the request may not know)."""

    basket: int
    number: int
    text: str
    promotion: int
    outcome: CodeOutcome
    limit: str = ""  # of a code that is used up


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
    beyond: Beyond | None  # None where nothing of the book lies beyond the lines, or nothing of it was asked for


def price_baskets(book: PriceBook, baskets: Sequence[Basket]) -> Priced:
    """Price a batch of baskets with one book.

    One vectorised pass over all lines of all baskets; element i of the batch equals the same basket priced alone. Lines that
    cannot be priced carry a status and touch nothing else.
    """
    return _price(book, asked_of(book, baskets), n_rules=len(book.promotions.id), baskets=baskets)


def price_line_level(book: PriceBook, baskets: Sequence[Basket], *, by_sequence: bool = False) -> Priced:
    """The same without order promotions: what the lines are before the order is looked at; or what the sequence alone would make of them."""
    return _price(book, asked_of(book, baskets), n_rules=book.promotions.n_line_level, by_sequence=by_sequence)


def price_each_alone(book: PriceBook, context: Basket, skus: Sequence[str], quantities_milli: Sequence[int]) -> Priced:
    """What `price_baskets` makes of the lines of baskets of one SKU each, all of them in the context of one basket; its lines do not count."""
    return _price(book, asked_alone(book, context, skus, quantities_milli), n_rules=book.promotions.first_of_shipping)


def _price(book: PriceBook, asked: Asked, *, n_rules: int, baskets: Sequence[Basket] = (), by_sequence: bool = False) -> Priced:
    """Price by the first `n_rules` promotions of the sequence, and with `baskets` what lies beyond their lines."""
    facts, problems = read_facts(book.vocabulary, asked.contexts)
    prices = price_lines(book, asked)  # steps 1 to 4
    prices, first_line, is_too_large = _without_too_large(prices, asked.context.size)
    lines, orders = _lines(prices), _orders(book, baskets, asked.contexts, asked.context, first_line)
    codes, apps = _candidates(book, asked, prices, n_rules=n_rules)
    work = Work(book.promotions, KINDS, facts, lines, orders, book.policy, bars=_bars(asked.counted))
    if by_sequence:
        work = work._replace(by_sequence=np.ones(asked.context.size, np.bool_))
    work = _weighing_gifts(book, asked.contexts, asked.context, work, apps)
    outcome = stack(work, apps)  # steps 5 to 7 and 9
    beyond = go_beyond(book, baskets, work, apps, outcome) if baskets and reaches_beyond(book) else None  # 8, 10 and 11
    return Priced(
        prices,
        lines.running_minor,
        asked.first_line,
        first_line,
        is_too_large,
        apps,
        outcome,
        codes,
        _by_basket(problems, asked.context),
        next_tiers(book, prices),
        book.price_lists.names_groups[book.entries.list_row[prices.entry]],
        lines.is_exclusively_taken,
        beyond,
    )


class LineLevel(NamedTuple):
    """Lines after the line promotions, by basket (n_lines,): all that order promotions need of them."""

    basket: Int64s
    sku_row: Int64s
    quantity_milli: Int64s
    list_minor: Int64s
    subtotal_minor: Int64s
    running_minor: Int64s
    sequence_minor: Int64s  # the same where the sequence alone decides
    lowest_minor: Int64s
    lowest_rule: Int64s
    is_on_sale: Bools
    is_exclusively_taken: Bools
    is_disputed: Bools  # which line promotions it has may depend on the order's


class OrderPriced(NamedTuple):
    """What the order promotions made of lines: the amounts, and the applications with their outcome."""

    total_minor: Int64s  # (n_lines,)
    applications: Applications
    outcome: Outcome
    beyond: Beyond | None
    is_undecided: Bools  # (n_baskets,) which promotions take part is decided for lines and order together


def by_sequence(book: PriceBook, baskets: Sequence[Basket], priced: Priced) -> Int64s:
    """What the kept lines (n_kept,) of `price_line_level` come to where the sequence alone decides."""
    contested = priced.outcome.contested
    if contested is None or not contested.is_turned.any():
        return priced.total_minor
    basket = priced.lines.basket
    turned = np.unique(basket[contested.is_turned])
    found = priced.total_minor.copy()
    found[np.isin(basket, turned)] = price_line_level(book, [baskets[one] for one in turned], by_sequence=True).total_minor
    return found


def disputed_lines(book: PriceBook, priced: Priced) -> Bools:
    """Which kept lines (n_kept,) may have other line promotions for the sake of the order's, by more than what they come to."""
    outcome, apps = priced.outcome, priced.applications
    is_disputed = np.zeros(priced.total_minor.size, np.bool_)
    if book.policy.selection == "priority":
        return is_disputed
    if outcome.contested is not None and gives_on_lines(book):
        is_disputed |= outcome.contested.is_turned
    shuts_out = outcome.is_live & book.promotions.is_exclusive[apps.rule] & (apps.rule < book.promotions.n_line_level)
    is_disputed[apps.line[shuts_out[apps.lines.group]]] = True
    return is_disputed


def price_order_level(book: PriceBook, baskets: Sequence[Basket], level: LineLevel) -> OrderPriced:
    """Go on from `price_line_level`: baskets without codes, all of whose lines have a price."""
    contexts, context = contexts_of(baskets)
    facts, _ = read_facts(book.vocabulary, contexts)
    first_line = _first_line(level.basket, len(baskets))
    apps = _order_applications(book, contexts, context, level, first_line)
    lines = Lines(
        level.basket,
        level.sku_row,
        level.quantity_milli,
        level.list_minor,
        level.subtotal_minor,
        level.lowest_minor,
        level.lowest_rule,
        level.is_on_sale,
        level.running_minor.copy(),
        level.is_exclusively_taken,
        np.zeros(level.basket.size, np.int64),  # no order promotion makes sets
    )
    orders = _orders(book, baskets, contexts, context, first_line)
    work = Work(book.promotions, KINDS, facts, lines, orders, book.policy, bars=_bars(counted_of(book, baskets)))
    work = _weighing_gifts(book, contexts, context, work, apps)
    is_undecided, is_disputed = np.zeros(len(baskets), np.bool_), np.zeros(len(baskets), np.bool_)
    is_disputed[level.basket[level.is_disputed]] = True
    outcome = stack(work, apps, leaves=is_disputed, sequence_minor=level.sequence_minor)
    is_undecided[apps.basket[outcome.is_live]] = True
    is_undecided &= is_disputed
    is_undecided[apps.basket[outcome.is_short]] = True
    if outcome.is_overtaken is not None:
        is_undecided |= outcome.is_overtaken
    beyond = go_beyond(book, baskets, work, apps, outcome) if reaches_beyond(book) else None
    return OrderPriced(lines.running_minor, apps, outcome, beyond, is_undecided)


def _bars(counted: Counted | None) -> Bars | None:
    return None if counted is None else counted.bars


def _weighing_gifts(book: PriceBook, contexts: Sequence[Basket], context: Int64s, work: Work, apps: Applications) -> Work:
    """The work with what gifts are worth, which the choice among promotions asks for."""
    if book.policy.selection == "priority" or not gives_beside_amounts(book):
        return work
    return work._replace(worth_minor=given_worth(book, contexts, context, apps))


def _order_applications(
    book: PriceBook, contexts: Sequence[Basket], context: Int64s, level: LineLevel, first_line: Int64s
) -> Applications:
    """The order promotions in the baskets."""
    promotions, scopes = book.promotions, book.promotions.order_scopes
    currency_row, at_s = places_and_times(book, contexts)
    if scopes.rule.size or scopes.excludes_any:
        line, rule = candidates(scopes, level.sku_row)
        its_context = context[level.basket]
        is_kept = _is_offered(
            promotions, rule, _each_or_one(currency_row, its_context, line), _each_or_one(at_s, its_context, line)
        )
        return applications_of(line[is_kept], rule[is_kept], level.basket, len(promotions.id))
    # All of them are open to every line: what is offered in a basket has all its lines, in their order.
    basket = np.repeat(np.arange(context.size), scopes.open_rule.size)
    rule = np.tile(scopes.open_rule, context.size)
    is_kept = _is_offered(promotions, rule, _each_or_one(currency_row, context, basket), _each_or_one(at_s, context, basket))
    is_kept &= (first_line[:-1] < first_line[1:])[basket]
    return whole_orders(basket[is_kept], rule[is_kept], first_line)


def _without_too_large(prices: LinePrices, n_baskets: int) -> tuple[LinePrices, Int64s, Bools]:
    """Drop the lines of orders whose subtotals add up past the bound, and delimit the lines of each basket."""
    first_line = _first_line(prices.basket, n_baskets)
    reached = np.zeros(prices.basket.size + 1, np.int64)
    np.cumsum(prices.subtotal_minor, out=reached[1:])
    is_too_large = reached[first_line[1:]] - reached[first_line[:-1]] > AMOUNT_MINOR_MAX
    if is_too_large.any():
        good = ~is_too_large[prices.basket]
        status = prices.status.copy()
        status[prices.kept[~good]] = LineStatus.ORDER_OUT_OF_BOUNDS
        columns = prices._asdict() | {
            name: column[good]
            for name, column in prices._asdict().items()
            if name not in ("status", "base", "bounds") and column is not None
        }
        columns["base"] = prices.base.only(good)
        columns["bounds"] = prices.bounds.only(good.nonzero()[0])
        prices = LinePrices(**(columns | {"status": status}))
        first_line = _first_line(prices.basket, n_baskets)
    return prices, first_line, is_too_large


def _first_line(basket: Int64s, n_baskets: int) -> Int64s:
    """Where the lines of each basket begin (n_baskets + 1,)."""
    first_line = np.zeros(n_baskets + 1, np.int64)
    np.cumsum(np.bincount(basket, minlength=n_baskets), out=first_line[1:])
    return first_line


def _lines(prices: LinePrices) -> Lines:
    return Lines(
        prices.basket,
        prices.sku_row,
        prices.quantity_milli,
        prices.list_minor,
        prices.subtotal_minor,
        prices.lowest_minor,
        prices.lowest_rule,
        prices.sale >= 0,
        prices.subtotal_minor.copy(),
        np.zeros(prices.basket.size, np.bool_),
        np.zeros(prices.basket.size, np.int64),
        prices.shown_lowest_minor,
        None if prices.shown_lowest_minor is None else prices.bounds.floor_rule,
    )


def _orders(
    book: PriceBook, baskets: Sequence[Basket], contexts: Sequence[Basket], context: Int64s, first_line: Int64s
) -> Orders:
    orders = np.array([ABSENT if one.orders is None else one.orders for one in contexts], np.int64)
    spend_minor = np.array([ABSENT if one.spend_minor is None else one.spend_minor for one in contexts], np.int64)
    return Orders(
        first_line,
        context,
        orders[context],
        spend_minor[context],
        shipping_stated(book, baskets) if baskets else None,
        has_points(book, contexts, context),
    )


def _by_basket(problems: Sequence[AttributeProblem], context: Int64s) -> tuple[AttributeProblem, ...]:
    """The problems of contexts for each basket in them."""
    return tuple(
        problem._replace(basket=basket) for problem in problems for basket in (context == problem.basket).nonzero()[0].tolist()
    )


def _candidates(book: PriceBook, asked: Asked, prices: LinePrices, *, n_rules: int) -> tuple[tuple[Code, ...], Applications]:
    """The promotions that may apply in each basket, with the lines of their scopes; codes bring in those they unlock."""
    promotions = book.promotions
    line, rule = candidates(promotions.scopes, prices.sku_row)
    context = asked.context[prices.basket]
    currency_row = _each_or_one(asked.currency_row, context, line)
    is_kept = _is_offered(promotions, rule, currency_row, _each_or_one(asked.at_s, context, line))
    if n_rules < len(promotions.id):
        is_kept &= rule < n_rules
    if not is_kept.all():
        line, rule = line[is_kept], rule[is_kept]
    codes: list[Code] = []
    if any(context.codes for context in asked.contexts):
        codes = _read_codes(book, asked)
        unlocked = sorted({(code.basket, code.promotion) for code in codes if code.outcome == CodeOutcome.UNLOCKS})
        if unlocked:
            pairs = np.array(unlocked, np.int64)
            code_line, code_rule = _lines_of(book, prices, pairs[:, 0], pairs[:, 1])
            matched = set(zip(prices.basket[code_line].tolist(), code_rule.tolist(), strict=True))
            is_new = promotions.requires_code[code_rule]
            line, rule = np.concatenate([line, code_line[is_new]]), np.concatenate([rule, code_rule[is_new]])
            codes = [
                code._replace(outcome=CodeOutcome.NO_MATCHING_LINES)
                if code.outcome == CodeOutcome.UNLOCKS and (code.basket, code.promotion) not in matched
                else code
                for code in codes
            ]
    return tuple(codes), applications_of(line, rule, prices.basket, len(promotions.id))


def _each_or_one(values: Int64s, context: Int64s, line: Int64s) -> Int64s:
    """What contexts have, for each line (n,), or once where they have it in common: a batch mostly has one instant and one currency."""
    if values.size and values.min() == values.max():
        return values[:1]
    return values[context][line]


def _is_offered(promotions: Promotions, rule: Int64s, currency_row: Int64s, at_s: Int64s) -> Bools:
    """Whether promotions (n,) are offered in a currency, and at an instant."""
    own = promotions.currency_row[rule]
    holds: Bools = (own == ANY_CURRENCY) | (own == currency_row)
    holds &= is_active(promotions.schedule, rule, at_s)
    return holds


def _lines_of(book: PriceBook, prices: LinePrices, basket: Int64s, rule: Int64s) -> tuple[Int64s, Int64s]:
    """The lines of baskets (n,) that are in the scopes of rules (n,)."""
    first_line = np.searchsorted(prices.basket, np.arange(int(basket.max()) + 2))
    low = first_line[basket]
    count = first_line[basket + 1] - low
    pair = np.repeat(np.arange(basket.size), count)
    line = np.repeat(low - (np.cumsum(count) - count), count) + np.arange(pair.size)
    is_in = has(book.promotions.scopes, rule[pair], prices.sku_row[line])
    return line[is_in], rule[pair[is_in]]


def _read_codes(book: PriceBook, asked: Asked) -> list[Code]:
    """What the codes of each basket name; the promotions behind them may be beyond those that are asked for."""
    codes: list[Code] = []
    for number, context in enumerate(asked.context.tolist()):
        seen: set[int] = set()
        counters = () if asked.counted is None else asked.counted.used_up.get(number, ())
        used_up = [(one.limit, one.code.__eq__ if one.code else codes_of(book, one.rule)) for one in counters]
        for place, text in enumerate(asked.contexts[context].codes):
            row = book.promotions.codes.row_of(text)
            at = asked.currency_row[context : context + 1], asked.at_s[context : context + 1]
            if row < 0 or not _is_offered(book.promotions, np.array([row]), *at)[0]:
                codes.append(Code(number, place, text, -1, CodeOutcome.INVALID))
            elif limit := next((limit for limit, has_code in used_up if has_code(text)), ""):
                codes.append(Code(number, place, text, row, CodeOutcome.USED_UP, limit))
            else:
                codes.append(Code(number, place, text, row, CodeOutcome.REDUNDANT if row in seen else CodeOutcome.UNLOCKS))
                seen.add(row)
    return codes
