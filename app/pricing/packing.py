"""The dearest units that fill the places of a number of bundles, where a unit may fit several components.

Sets of units that can be matched to places are the independent sets of a transversal matroid: taking the dearest unit that still goes together
with those before gives the greatest total (Edmonds 1971). Whether it goes together is Hall's condition: no choice of components may hold
more units that fit nothing else than it has places. By linear programming duality the greatest total of t bundles is concave in t.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import cmp_to_key
from typing import NamedTuple

import numpy as np

from app.pricing.money import Int64s


class Offered(NamedTuple):
    """Units of a line, each at amount / quantity: how many there are, and which components they fit, as bits."""

    amount: int
    quantity: int
    units: int
    mask: int


def _dearer_first(one: Offered, other: Offered) -> int:
    return other.amount * one.quantity - one.amount * other.quantity


class Packing:
    """The ways to pack bundles of components, each needing some units (n_components,)."""

    def __init__(self, offered: Sequence[Offered], needed: Sequence[int]) -> None:
        self._offered = offered
        # The dearest first, ties to the earlier.
        key = cmp_to_key(_dearer_first)
        self._order = sorted(range(len(offered)), key=lambda at: key(offered[at]))
        choices = np.arange(1 << len(needed))
        self._demand = np.zeros(choices.size, np.int64)
        for component, units in enumerate(needed):
            self._demand += np.where(choices >> component & 1, units, 0)
        self._around = {mask: (choices & mask == mask).nonzero()[0] for mask in {one.mask for one in offered}}
        self._there = np.zeros(choices.size, np.int64)
        for one in offered:
            self._there += np.where(choices & one.mask, one.units, 0)

    def possible(self, most: int) -> int:
        """How many bundles there are units for, up to `most`."""
        return min(most, int((self._there[1:] // self._demand[1:]).min()))

    def missing(self, times: int) -> int:
        """How many units are missing to so many bundles."""
        return int((times * self._demand[1:] - self._there[1:]).max())

    def dearest(self, times: int) -> list[int]:
        """How many units of each are in so many bundles, which must be possible."""
        free: Int64s = times * self._demand
        taken, left = [0] * len(self._offered), int(free[-1])
        for at in self._order:
            if left == 0:
                break
            one = self._offered[at]
            around = self._around[one.mask]
            taken[at] = min(one.units, int(free[around].min()))
            free[around] -= taken[at]
            left -= taken[at]
        return taken

    def worth(self, price: int, most: int) -> int:
        """The number of bundles, up to `most`, whose units cost the most above a price each; of equals the least."""
        if most == 0 or self._is_worth(most, price):
            return most
        low, high = 0, most - 1
        while low < high:
            middle = (low + high + 1) // 2
            if self._is_worth(middle, price):
                low = middle
            else:
                high = middle - 1
        return low

    def _is_worth(self, times: int, price: int) -> bool:
        """Whether the last of so many bundles adds more than its price."""
        pairs = zip(self._offered, self.dearest(times), self.dearest(times - 1), strict=True)
        added = [(one.amount * (now - before), one.quantity) for one, now, before in pairs]
        if sum(amount // quantity for amount, quantity in added) > price:
            return True
        return sum((Fraction(amount, quantity) for amount, quantity in added), Fraction(0)) > price
