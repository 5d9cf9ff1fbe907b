"""Who works for the shop: households that get a tenth off its own brand, and from which week to which.

The data does not name them. In some households nearly every line of the own brand at its regular price has a discount of exactly a tenth,
for a stretch of the year; in all others nearly none has.
"""

from typing import Final, NamedTuple

import numpy as np

from app.completejourney.shelf import COLUMNS, Shelf
from app.completejourney.tables import Bools, Int64s, Lines, Products
from app.completejourney.votes import amounts_minor

OWN_BRAND: Final = "Private"
PERCENT: Final = "10"
# So many discounted lines, and such a share of those in the stretch, make an associate.
_LEAST_LINES: Final = 8
_LEAST_SHARE: Final = 0.6


class Associates(NamedTuple):
    """One row each, by household; weeks are inclusive."""

    household: Int64s
    first_week: Int64s
    last_week: Int64s

    def are_in(self, household: Int64s, week: Int64s) -> Bools:
        """Whether a household is an associate in a week."""
        if self.household.size == 0:
            return np.zeros(household.size, np.bool_)
        at = np.minimum(np.searchsorted(self.household, household), self.household.size - 1)
        return np.asarray((self.household[at] == household) & (self.first_week[at] <= week) & (week <= self.last_week[at]))


def find_associates(lines: Lines, products: Products, shelf: Shelf, *, is_used: Bools) -> Associates:
    """The households with a stretch of weeks in which own-brand lines off special mostly have a tenth off."""
    regular = amounts_minor(shelf.regular_e4[lines.product, lines.week], lines.quantity_milli)
    tells = (
        is_used
        & (lines.quantity_milli > 0)
        & own_brand(products)[lines.product]
        & ~shelf.is_weighed[lines.product]
        & (shelf.special_e4[lines.product, lines.week] == 0)
        & (regular == lines.regular_minor)
        & (regular >= 10)
    )
    has_tenth = np.abs(lines.loyalty_minor * 10 - lines.regular_minor) <= 10
    households, household = np.unique(lines.household, return_inverse=True)
    key = (household * COLUMNS + lines.week)[tells]
    tenths = np.bincount(key, weights=has_tenth[tells], minlength=households.size * COLUMNS).reshape(-1, COLUMNS)
    lines_seen = np.bincount(key, minlength=households.size * COLUMNS).reshape(-1, COLUMNS)
    first, last = best_stretch(2 * tenths - lines_seen)
    columns = np.arange(COLUMNS)
    inside = (first[:, None] <= columns) & (columns <= last[:, None])
    hits = np.sum(tenths * inside, axis=1)
    seen = np.sum(lines_seen * inside, axis=1)
    is_associate = (hits >= _LEAST_LINES) & (hits >= _LEAST_SHARE * seen)
    return Associates(households[is_associate], first[is_associate], last[is_associate])


def own_brand(products: Products) -> Bools:
    """Whether a product is of the shop's own brand and can come cheaper for associates: all but fuel (n_products,)."""
    return np.asarray((products.brand == OWN_BRAND) & ~products.is_fuel, np.bool_)


def best_stretch(score: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> tuple[Int64s, Int64s]:
    """The stretch of columns of the greatest sum in each row, both ends inclusive (Kadane, 1984).

    >>> [end.tolist() for end in best_stretch(np.array([[-1.0, 2.0, -1.0, 3.0, -5.0, 1.0]]))]
    [[1], [3]]
    """
    rows, columns = score.shape
    running = np.zeros(rows)
    start = np.zeros(rows, np.int64)
    best = np.full(rows, -np.inf)
    first, last = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    for column in range(columns):
        begins = running <= 0
        start = np.where(begins, column, start)
        running = np.where(begins, 0, running) + score[:, column]
        is_better = running > best
        best = np.where(is_better, running, best)
        first, last = np.where(is_better, start, first), np.where(is_better, column, last)
    return first, last
