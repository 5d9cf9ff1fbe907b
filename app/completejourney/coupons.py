"""What the campaigns' coupons are worth, and in which baskets they were used.

The data says which household used which coupon on which day, and what was taken off which line, but not which coupon took it. A coupon's
worth is the most frequent amount on lines where it alone can have been: the only line of its products, in that household's baskets of
that day, with a coupon's discount.
"""

from collections import Counter, defaultdict
from typing import NamedTuple

import numpy as np

from app.completejourney.calendar import local_days
from app.completejourney.tables import Bools, Coupons, Int64s, Lines, Products


class Offer(NamedTuple):
    """A coupon of a campaign: its products and its worth; 0 where that is unknown."""

    coupon: int
    campaign: int
    products: Int64s  # rows of Products
    worth_minor: int

    @property
    def code(self) -> str:
        """What the customer shows. One coupon may come in several campaigns, to different households."""
        return f"{self.coupon}-{self.campaign}"


class Uses(NamedTuple):
    """The coupons shown with each basket, and how many uses found no basket."""

    offers_of_basket: dict[int, list[Offer]]
    without_basket: int
    of_unknown_worth: int


def find_offers(coupons: Coupons, lines: Lines, products: Products, *, is_used: Bools) -> list[Offer]:
    """All coupons of all campaigns, by campaign and coupon, with what they are worth by the lines used."""
    scopes = _scopes(coupons, products)
    days = _HouseholdDays(lines)
    amounts: dict[tuple[int, int], Counter[int]] = defaultdict(Counter)
    for key, household, day in _uses(coupons):
        line = days.lines_of(household, day, scopes.get(key))
        line = line[is_used[line] & (lines.coupon_minor[line] > 0)]
        if line.size == 1:
            amounts[key][int(lines.coupon_minor[line[0]] + lines.match_minor[line[0]])] += 1
    # Of equally frequent amounts the lower one is taken.
    worth = {key: min(counts, key=lambda amount: (-counts[amount], amount)) for key, counts in amounts.items()}
    return [
        Offer(coupon, campaign, rows, worth.get((campaign, coupon), 0)) for (campaign, coupon), rows in sorted(scopes.items())
    ]


def find_uses(coupons: Coupons, offers: list[Offer], lines: Lines) -> Uses:
    """The offers of known worth shown with each basket: the household's first basket of that day with one of the offer's products."""
    by_key = {(offer.campaign, offer.coupon): offer for offer in offers}
    days = _HouseholdDays(lines)
    shown: dict[int, list[Offer]] = defaultdict(list)
    without_basket = of_unknown_worth = 0
    for key, household, day in _uses(coupons):
        offer = by_key.get(key)
        line = days.lines_of(household, day, None if offer is None else offer.products)
        if offer is None or line.size == 0:
            without_basket += 1
        elif offer.worth_minor == 0:
            of_unknown_worth += 1
        else:
            basket = int(lines.basket[line].min())
            if offer not in shown[basket]:
                shown[basket].append(offer)
    return Uses(dict(shown), without_basket, of_unknown_worth)


class _HouseholdDays:
    """Finds the lines of a household on a day."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        day = local_days(lines.at_s)
        self._order = np.lexsort((day, lines.household))
        self._key = lines.household[self._order] * 100_000 + day[self._order]

    def lines_of(self, household: int, day: int, products: Int64s | None) -> Int64s:
        """The lines of these products (none where there are none), of quantity above 0."""
        if products is None:
            return np.zeros(0, np.int64)
        key = household * 100_000 + day
        first, last = np.searchsorted(self._key, key), np.searchsorted(self._key, key, side="right")
        found = self._order[first:last]
        return found[np.isin(self._lines.product[found], products) & (self._lines.quantity_milli[found] > 0)]


def _scopes(coupons: Coupons, products: Products) -> dict[tuple[int, int], Int64s]:
    """(campaign, coupon) -> rows of its products, ascending; products that were neither listed nor sold are left out."""
    at = np.minimum(np.searchsorted(products.id, coupons.scope_product), products.id.size - 1)
    is_known = products.id[at] == coupons.scope_product
    order = np.lexsort((at, coupons.scope_coupon, coupons.scope_campaign))
    order = order[is_known[order]]
    campaign, coupon, row = coupons.scope_campaign[order], coupons.scope_coupon[order], at[order]
    if row.size == 0:
        return {}
    first = np.flatnonzero(np.concatenate([[True], (campaign[1:] != campaign[:-1]) | (coupon[1:] != coupon[:-1])]))
    parts = np.split(row, first[1:])
    return {(int(campaign[start]), int(coupon[start])): np.unique(part) for start, part in zip(first, parts, strict=True)}


def _uses(coupons: Coupons) -> list[tuple[tuple[int, int], int, int]]:
    columns = (coupons.used_campaign, coupons.used_coupon, coupons.used_household, coupons.used_day)
    return [((int(a), int(b)), int(c), int(d)) for a, b, c, d in zip(*columns, strict=True)]
