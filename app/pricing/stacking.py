"""What promotions work on and what they leave: the lines and orders of a batch, the promotions in its baskets, the outcome."""

from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np

from app.pricing.groups import Groups, alone, groups_of, groups_of_sizes
from app.pricing.money import Bools, Int64s

NO_RULE: Final = -1


@dataclass(slots=True)
class Lines:
    """The lines of a batch, basket by basket, as the price steps left them and as promotions change them (n_lines,).

    The running amount of a line never lies below its lowest: it starts at or above it, and nothing takes more than the room between them.
    Where an advertised price binds, what needs no code must leave more: the lowest of what is shown, below which a code may have brought the line.
    """

    basket: Int64s
    sku_row: Int64s
    quantity_milli: Int64s
    list_minor: Int64s
    subtotal_minor: Int64s
    lowest_minor: Int64s
    lowest_rule: Int64s  # what is told of it, as in the bounds of guardrails
    is_on_sale: Bools
    running_minor: Int64s
    is_exclusively_taken: Bools
    served_milli: Int64s  # whole units that served a set
    shown_lowest_minor: Int64s | None = None  # None: no advertised price binds
    shown_lowest_rule: Int64s | None = None

    def lowest_for(self, line: Int64s, needs_code: Bools) -> Int64s:
        """The lowest amounts that line promotions may leave of lines (n,) where an advertised price binds, by whether each needs a code."""
        assert self.shown_lowest_minor is not None
        return np.where(needs_code, self.lowest_minor[line], self.shown_lowest_minor[line])

    def untouched(self) -> "Lines":
        """The lines as if their amounts before promotions were the running ones."""
        return replace(self, running_minor=self.subtotal_minor)


@dataclass(slots=True)
class Orders:
    """The orders of a batch (n_baskets,)."""

    first_line: Int64s  # (n_baskets + 1,)
    context: Int64s  # column of the facts
    orders: Int64s  # of the customer, or ABSENT
    spend_minor: Int64s  # of the customer, or ABSENT
    shipping_minor: Int64s | None = None  # as stated, or ABSENT; None where nobody asks
    has_points: Bools | None = None  # the policy has a points program in the currency; None where nobody asks

    def copied(self, source: Int64s, first_line: Int64s) -> "Orders":
        """Copies of some orders (n,), whose lines begin at `first_line` (n + 1,)."""
        return Orders(
            first_line,
            self.context[source],
            self.orders[source],
            self.spend_minor[source],
            None if self.shipping_minor is None else self.shipping_minor[source],
            None if self.has_points is None else self.has_points[source],
        )

    def sums(self, values: Int64s) -> Int64s:
        """The sum of values (n_lines,) over each order (n_baskets,)."""
        reached = np.zeros(values.size + 1, np.int64)
        np.cumsum(values, out=reached[1:])
        return np.asarray(reached[self.first_line[1:]] - reached[self.first_line[:-1]], np.int64)


class Applications(NamedTuple):
    """Promotions in baskets, by basket and sequence, with the lines of their scopes."""

    basket: Int64s  # (n_apps,)
    rule: Int64s  # (n_apps,)
    lines: Groups  # group = the application of each pair
    line: Int64s  # (n_pairs,) ascending within an application


class Adjustment(NamedTuple):
    """Columns of adjustments in the order of application; `where` is a line, or a basket for those of the order and of its shipping.

    A give-back has the bound of a guardrail as `rule` and follows, in its place, the adjustment that it lessens. `is_order_level` marks what an
    order promotion took of a line. Both flags are the same all through a block.
    """

    where: Int64s
    rule: Int64s
    amount_minor: Int64s
    is_give_back: Bools
    is_order_level: Bools


class Contested(NamedTuple):
    """What contests on lines came to (n_lines,)."""

    has_losers: Bools
    is_turned: Bools  # the sequence alone could have come to something else
    is_bounded: Bools  # there were more contestants than are searched


@dataclass(slots=True)
class Outcome:
    """What became of each application (n_apps,), and all adjustments."""

    is_live: Bools  # its condition holds or is judged at its turn
    is_short: Bools  # it measures less at its turn than there was before promotions, and gives something else for it
    is_applied: Bools
    reason: Int64s
    slot: Int64s
    needed: Int64s
    unit: Int64s
    next_step: Int64s
    next_needed: Int64s
    next_times: Int64s
    on_lines: list[Adjustment] = field(default_factory=list)
    on_orders: list[Adjustment] = field(default_factory=list)
    on_shipping: list[Adjustment] = field(default_factory=list)
    contested: Contested | None = None  # None where there was no contest
    is_searched: Bools | None = None  # (n_baskets,) combinations of rivals were tried; None where in no basket
    is_bounded: Bools | None = None  # (n_baskets,) not all of them were
    is_overtaken: Bools | None = (
        None  # (n_baskets,) the sequence alone comes to less, by lines that are not here as it leaves them; None: nowhere
    )


def nothing_yet(n_apps: int) -> Outcome:
    """The outcome before any promotion has been looked at."""
    return Outcome(
        np.zeros(n_apps, np.bool_),
        np.zeros(n_apps, np.bool_),
        np.zeros(n_apps, np.bool_),
        np.zeros(n_apps, np.int64),
        np.full(n_apps, -1),
        np.zeros(n_apps, np.int64),
        np.zeros(n_apps, np.int64),
        np.full(n_apps, -1),
        np.zeros(n_apps, np.int64),
        np.ones(n_apps, np.int64),
    )


def applications_of(line: Int64s, rule: Int64s, line_basket: Int64s, n_rules: int) -> Applications:
    """Gather distinct (line, rule) pairs into applications."""
    line_bits, rule_bits = line_basket.size.bit_length(), n_rules.bit_length()
    # One integer holds basket, rule and line, so that one sort of plain integers lays everything out.
    assert 2 * line_bits + rule_bits < 63
    if (line_basket[1:] > line_basket[:-1]).all():
        # Each line is a basket of its own, and candidates mostly come line by line.
        key = (line << rule_bits) | rule
        if (key[1:] < key[:-1]).any():
            key.sort()
            line, rule = key >> rule_bits, key & ((1 << rule_bits) - 1)
        return Applications(line_basket[line], rule, alone(line.size), line)
    key = (((line_basket[line] << rule_bits) | rule) << line_bits) | line
    key.sort()
    own = key >> line_bits
    groups = groups_of(own)
    first = own[groups.starts]
    return Applications(first >> rule_bits, first & ((1 << rule_bits) - 1), groups, key & ((1 << line_bits) - 1))


def whole_orders(basket: Int64s, rule: Int64s, first_line: Int64s) -> Applications:
    """Applications (n_apps,), by basket and sequence, whose scopes have all lines of their baskets."""
    count = first_line[basket + 1] - first_line[basket]
    groups = groups_of_sizes(count)
    line = np.arange(groups.group.size) - (groups.starts - first_line[basket])[groups.group]
    return Applications(basket, rule, groups, line)
