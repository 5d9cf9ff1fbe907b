"""Sale prices with so many units: which lines of a basket get them, and what a line comes to that gets some of what it asks for.

Few lines are so near the end of a sale, so they are gone through one by one in exact integers. Source: SEMANTICS.md, Units of a sale price.
"""

from typing import NamedTuple

import numpy as np

from app.pricing.money import E7, Bools, Int64s, Rounding
from app.pricing.scope import value_at


class Units(NamedTuple):
    """Units left of sale prices in baskets, by key: basket · number of sale prices + row, sorted."""

    key: Int64s
    left_milli: Int64s


class Rationed(NamedTuple):
    """The lines of a call to the sale prices (n_lines,), and the units that are left for their baskets."""

    units: Units
    basket: Int64s
    group: Int64s  # lines that are priced together have one number, which is that of the first of them
    quantity_milli: Int64s


class Split(NamedTuple):
    """Lines whose sale price holds for a part of them (n_split,)."""

    line: Int64s
    asked_milli: Int64s  # the line's quantity, or that of all lines that are priced together
    given_milli: Int64s  # how much of that the sale price holds for
    own_milli: Int64s  # what of this the line itself gets

    def amounts(self, on_sale_e7: Int64s, before_e7: Int64s, whole_milli: Int64s, *, per: str, rounding: Rounding) -> Int64s:
        """What the split lines come to, from the exact amounts of all lines (n_lines,) with and without the sale price, rounded (n_split,).

        `per` is `line` for the amount of the line, or `unit` for the average unit price of the whole quantity (n_lines,) that it counts to.
        """
        columns = (self.asked_milli, self.given_milli, on_sale_e7[self.line], before_e7[self.line], whole_milli[self.line])
        found = []
        for asked, given, on_sale, before, whole in zip(*(column.tolist() for column in columns), strict=True):
            exact = on_sale * given + before * (asked - given)
            found.append(_rounded(exact, whole * (E7 if per == "line" else asked), rounding))
        return np.array(found, np.int64)


def left_for(rationed: Rationed, line: Int64s, sale: Int64s, n_sales: int) -> Int64s:
    """The units left for pairs of lines and sale prices (n,), −1 where nobody counts them."""
    return value_at(rationed.units.key, rationed.units.left_milli, rationed.basket[line] * n_sales + sale)


def is_short(rationed: Rationed, line: Int64s, sale: Int64s, left_milli: Int64s, n_sales: int) -> Bools:
    """Which pairs (n,) are of a sale price that the lines of the basket ask more of than there is."""
    key = rationed.basket[line] * n_sales + sale
    counted = (left_milli >= 0).nonzero()[0]
    number, place = np.unique(key[counted], return_inverse=True)
    asked = np.zeros(number.size, np.int64)
    np.add.at(asked, place, rationed.quantity_milli[line[counted]])
    found = np.zeros(line.size, np.bool_)
    found[counted] = asked[place] > left_milli[counted]
    return found


class Pairs(NamedTuple):
    """Lines and the sale prices that hold for them (n_pairs,), with the exact amount of the line when all of it is on sale."""

    line: Int64s
    sale: Int64s
    offered_e7: Int64s
    left_milli: Int64s  # of the sale price in the basket, −1 where nobody counts


def ration(rationed: Rationed, pairs: Pairs, chosen: Int64s, before_e7: Int64s) -> tuple[Int64s, Split]:
    """Serve lines in their order: each gets the sale price that makes it cheapest with the units that are left.

    Args: chosen: the pairs (n,) to choose among, all of the lines they are of. Returns the pairs that won, and the lines that got a sale
    price for a part only.
    """
    order = chosen[np.lexsort((pairs.sale[chosen], pairs.line[chosen], rationed.group[pairs.line[chosen]]))]
    won: list[int] = []
    split: list[tuple[int, int, int, int]] = []
    left: dict[tuple[int, int], int] = {}
    by_line: dict[int, list[int]] = {}
    for pair, line in zip(order.tolist(), pairs.line[order].tolist(), strict=True):
        by_line.setdefault(line, []).append(pair)
    groups: dict[int, list[int]] = {}
    for line in by_line:
        groups.setdefault(int(rationed.group[line]), []).append(line)
    for own_lines in groups.values():
        quantities = rationed.quantity_milli[own_lines].tolist()
        asked, first = sum(quantities), own_lines[0]
        before, basket = int(before_e7[first]), int(rationed.basket[first])
        best = None
        for place, pair in enumerate(by_line[first]):
            counted = int(pairs.left_milli[pair])
            key = basket, int(pairs.sale[pair])
            given = asked if counted < 0 else min(asked, left.setdefault(key, counted))
            exact = int(pairs.offered_e7[pair]) * given + before * (asked - given)
            if given and exact < before * asked and (best is None or exact < best[0]):
                best = exact, place, given, key
        if best is None:
            continue
        _, place, given, key = best
        if key in left:
            left[key] -= given
        won += [by_line[line][place] for line in own_lines]
        if given < asked:
            rest = given
            for line, quantity in zip(own_lines, quantities, strict=True):
                split.append((line, asked, given, min(rest, quantity)))
                rest -= min(rest, quantity)
    return np.array(won, np.int64), Split(*np.array(split, np.int64).reshape(-1, 4).T)


def groups_of_lines(key: Int64s, is_shared: Bools) -> Int64s:
    """The first line that each line (n_lines,) is priced together with: itself, or the first one of its key among the shared."""
    first = np.arange(key.size)
    shared = is_shared.nonzero()[0]
    if shared.size:
        _, at, place = np.unique(key[shared], return_index=True, return_inverse=True)
        first[shared] = shared[at][place]
    return first


def _rounded(numerator: int, divisor: int, rounding: Rounding) -> int:
    """Round a non-negative fraction of any size by the policy."""
    quotient, remainder = divmod(numerator, divisor)
    other = divisor - remainder
    is_tie_up = rounding == "half_up" or (rounding == "half_even" and quotient & 1 == 1)
    return quotient + (remainder > other or (remainder == other and is_tie_up))
