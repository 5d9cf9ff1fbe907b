"""Tiers that lines reach together: what the lines of a basket with the same `mix` count to, and what each of them pays of it.

A SKU is priced as one line of the whole quantity of its mix, and its lines share what their own part of that comes to.
Source: SEMANTICS.md, Mixed tiers.
"""

from typing import NamedTuple

import numpy as np

from app.pricing.allocation import Remainder, allocate
from app.pricing.groups import Groups, groups_of
from app.pricing.money import E7, INT64_MAX, Int64s, Rounding, mul_div, round_up_where
from app.pricing.price_lists import MIX_BY_NAME, MIX_SKU, NO_MIX, PriceEntries


def whole_quantities(entries: PriceEntries, entry: Int64s, basket: Int64s, key: Int64s, quantity_milli: Int64s) -> Int64s | None:
    """What each line counts to with the others of its mix (n_lines,), its own quantity without any; None where no line has others."""
    if entries.mix.size == 0:
        return None
    mix = entries.mix[entry]
    own = (mix != NO_MIX).nonzero()[0]
    if own.size < 2:
        return None
    n_keys = entries.first.size - 1
    number = np.where(mix[own] == MIX_SKU, key[own], n_keys + mix[own] - MIX_BY_NAME)
    _, group = np.unique(basket[own] * (n_keys + len(entries.mix_names)) + number, return_inverse=True)
    sums = np.zeros(int(group.max()) + 1, np.int64)
    np.add.at(sums, group, quantity_milli[own])
    whole = sums[group]
    if np.array_equal(whole, quantity_milli[own]):
        return None
    assert whole.max() <= INT64_MAX // E7
    found = quantity_milli.copy()
    found[own] = whole
    return found


class Shared(NamedTuple):
    """The lines that count together with others, SKU by SKU."""

    line: Int64s  # (n_shared,) in the order of their SKUs, and of the request within
    skus: Groups
    own_milli: Int64s  # (n_shared,) the quantity of the line's SKU in its mix
    whole_milli: Int64s  # (n_shared,) that of the mix

    def amounts(self, amount_e7: Int64s, rounding: Rounding) -> Int64s:
        """What the SKU of each line pays of the exact amounts of the whole quantities (n_lines,), rounded (n_shared,)."""
        divisor = self.whole_milli * E7
        return round_up_where(*mul_div(amount_e7[self.line], self.own_milli, divisor), divisor, rounding)

    def split(self, amount_minor: Int64s, quantity_milli: Int64s, remainder: Remainder, rounding: Rounding) -> Int64s:
        """Each line's share (n_shared,) of the amount of its SKU (n_shared,), by the quantities of the lines (n_lines,)."""
        amount = amount_minor[self.skus.starts]
        return allocate(amount, quantity_milli[self.line], self.skus, remainder=remainder, rounding=rounding)


def shared_lines(basket: Int64s, key: Int64s, quantity_milli: Int64s, whole_milli: Int64s) -> Shared:
    """Lay out the lines whose whole quantity is more than their own."""
    line = (whole_milli != quantity_milli).nonzero()[0]
    line = line[np.lexsort((line, key[line], basket[line]))]
    skus = groups_of(basket[line] * (int(key.max(initial=0)) + 1) + key[line])
    return Shared(line, skus, skus.sum(quantity_milli[line])[skus.group], whole_milli[line])
