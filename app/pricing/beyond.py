"""Steps 8, 10 and 11 and the gifts: what lies beyond the lines of an order. Source: SEMANTICS.md, Beyond the lines."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from app.pricing.asked import places_and_times
from app.pricing.basket import Basket
from app.pricing.book import PriceBook
from app.pricing.cash import cash_difference
from app.pricing.gifts import worth_of_gifts
from app.pricing.groups import Groups
from app.pricing.money import E4, Bools, Int64s
from app.pricing.points import ProgramColumns, earn, multiplied, programs_of, redeem, weighed_by_line
from app.pricing.rules import gift, points
from app.pricing.shipping import take_shipping
from app.pricing.stacking import Applications, Outcome
from app.pricing.together import TAKES_AMOUNTS, Work


class Gifts(NamedTuple):
    """The gifts of a batch, by basket and sequence (n_gifts,)."""

    basket: Int64s
    rule: Int64s
    worth_minor: Int64s


class Multipliers(NamedTuple):
    """The points promotions that applied, by basket and sequence (n_multipliers,)."""

    basket: Int64s
    rule: Int64s


class Beyond(NamedTuple):
    """What lies beyond the lines of each basket (n_baskets,)."""

    shipping_minor: Int64s  # what promotions left of it; 0 where none is stated
    has_points: Bools  # there is a program
    redeemed: Int64s
    redeemed_minor: Int64s
    earned: Int64s
    cash_minor: Int64s
    gifts: Gifts
    multipliers: Multipliers


def reaches_beyond(book: PriceBook) -> bool:
    """Whether anything of the book lies beyond the lines; most books pay for nothing here."""
    promotions, policy = book.promotions, book.policy
    return bool(
        policy.points or policy.cash_rounding or promotions.first_of_shipping < len(promotions.id) or gives_beside_amounts(book)
    )


def gives_beside_amounts(book: PriceBook) -> bool:
    """Whether there are promotions that give something else than amounts."""
    return gift.KIND in book.promotions.kinds or points.KIND in book.promotions.kinds


def gives_on_lines(book: PriceBook) -> bool:
    """Whether there are such among line promotions."""
    promotions = book.promotions
    numbers = [number for number, kind in enumerate(promotions.kinds) if kind in (gift.KIND, points.KIND)]
    return bool(numbers) and bool(np.isin(promotions.kind[: promotions.n_line_level], numbers).any())


def given_worth(book: PriceBook, contexts: Sequence[Basket], context: Int64s, apps: Applications) -> Int64s | None:
    """What each application (n_apps,) gives beside amounts: the worth of a gift, 0 for points, TAKES_AMOUNTS for all others.

    None where all are others. `context` is that of each basket (n_baskets,).
    """
    is_gift, gives = _is_of_kind(book, apps, gift.KIND), _is_of_kind(book, apps, points.KIND)
    gifts = is_gift.nonzero()[0]
    if gifts.size == 0 and not gives.any():
        return None
    worth = np.where(gives, 0, TAKES_AMOUNTS)
    if gifts.size:
        currency_row, at_s = places_and_times(book, contexts)
        worth[gifts] = worth_of_gifts(book, contexts, currency_row, at_s, context[apps.basket[gifts]], apps.rule[gifts])
    return worth


def _is_of_kind(book: PriceBook, apps: Applications, kind: str) -> Bools:
    kinds = book.promotions.kinds
    return book.promotions.kind[apps.rule] == kinds.index(kind) if kind in kinds else np.zeros(apps.rule.size, np.bool_)


def go_beyond(book: PriceBook, baskets: Sequence[Basket], work: Work, apps: Applications, outcome: Outcome) -> Beyond:
    """Go on from the lines as all promotions on lines and orders left them."""
    currencies = [basket.currency for basket in baskets]
    merchandise = work.orders.sums(work.lines.running_minor)
    stated = np.array([-1 if basket.shipping_minor is None else basket.shipping_minor for basket in baskets], np.int64)
    shipping = take_shipping(work, apps, outcome, stated)
    program = programs_of(book.policy.points, currencies)
    redeemed, paid_with_points = redeem(program, np.array([basket.points for basket in baskets], np.int64), merchandise)
    multipliers = _applied(book, apps, outcome, points.KIND)
    payable = merchandise + shipping - paid_with_points
    return Beyond(
        shipping,
        _has_program(book, currencies),
        redeemed,
        paid_with_points,
        _earned(work, apps, multipliers, program, merchandise, paid_with_points),
        cash_difference(payable, currencies, book.policy.cash_rounding, book.policy.rounding),
        _gifts(book, baskets, apps, outcome),
        Multipliers(apps.basket[multipliers], apps.rule[multipliers]),
    )


def has_points(book: PriceBook, contexts: Sequence[Basket], context: Int64s) -> Bools | None:
    """Whether the policy has a points program in the currency of each context (n_baskets,); None where no promotion asks."""
    if points.KIND not in book.promotions.kinds:
        return None
    return _has_program(book, [one.currency for one in contexts])[context]


def shipping_stated(book: PriceBook, baskets: Sequence[Basket]) -> Int64s | None:
    """The shipping amount of each basket, −1 where none is stated; None where no condition asks."""
    if "order.shipping" not in book.asked_facts:
        return None
    return np.array([-1 if basket.shipping_minor is None else basket.shipping_minor for basket in baskets], np.int64)


def _has_program(book: PriceBook, currencies: Sequence[str]) -> Bools:
    offered = {currency for currency, _ in book.policy.points}
    return np.array([currency in offered for currency in currencies], np.bool_)


def _applied(book: PriceBook, apps: Applications, outcome: Outcome, kind: str) -> Int64s:
    """The applications of a kind that applied."""
    if kind not in book.promotions.kinds:
        return np.zeros(0, np.int64)
    is_kind = book.promotions.kind[apps.rule] == book.promotions.kinds.index(kind)
    found: Int64s = (is_kind & outcome.is_applied).nonzero()[0]
    return found


def _gifts(book: PriceBook, baskets: Sequence[Basket], apps: Applications, outcome: Outcome) -> Gifts:
    given = _applied(book, apps, outcome, gift.KIND)
    basket, rule = apps.basket[given], apps.rule[given]
    if given.size == 0:
        return Gifts(basket, rule, given)
    numbers, context = np.unique(basket, return_inverse=True)
    contexts = [baskets[number] for number in numbers.tolist()]
    return Gifts(basket, rule, worth_of_gifts(book, contexts, *places_and_times(book, contexts), context, rule))


def _earned(
    work: Work, apps: Applications, multipliers: Int64s, program: ProgramColumns, merchandise: Int64s, paid_with_points: Int64s
) -> Int64s:
    """The points that each basket earns (n_baskets,)."""
    weighed_e4 = (merchandise - paid_with_points) * E4
    if multipliers.size:
        numbers = np.unique(apps.basket[multipliers])
        first = work.orders.first_line
        count = first[numbers + 1] - first[numbers]
        starts = np.cumsum(count) - count
        group = np.repeat(np.arange(numbers.size), count)
        line = np.repeat(first[numbers] - starts, count) + np.arange(group.size)
        factor_e4 = _factors(work, apps, multipliers)[line]
        policy = work.policy
        weighed_e4[numbers] = weighed_by_line(
            work.lines.running_minor[line],
            factor_e4,
            paid_with_points[numbers],
            Groups(group, starts),
            remainder=policy.remainder,
            rounding=policy.rounding,
        )
    return earn(program, weighed_e4)


def _factors(work: Work, apps: Applications, multipliers: Int64s) -> Int64s:
    """The factor of each line (n_lines,) in 1/10 000."""
    promotions, lines = work.promotions, work.lines
    packed: points.Packed = promotions.packed[promotions.kinds.index(points.KIND)]
    factor_e4 = np.full(lines.basket.size, E4, np.int64)
    # By basket and sequence, so that no line is in two applications of one round.
    waiting = multipliers
    while waiting.size:
        first = np.unique(apps.basket[waiting], return_index=True)[1]
        now, waiting = waiting[first], np.delete(waiting, first)
        pair, groups = apps.lines.chosen(now)
        line, rule = apps.line[pair], apps.rule[now]
        is_shut = lines.is_exclusively_taken[line] | (promotions.not_on_sale[rule][groups.group] & lines.is_on_sale[line])
        multiplier_e4 = packed.multiplier_e4[promotions.kind_row[rule]][groups.group]
        factor_e4[line] = np.where(is_shut, factor_e4[line], multiplied(factor_e4[line], multiplier_e4))
    return factor_e4
