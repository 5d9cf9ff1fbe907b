"""What the reconstructed shop charges for the data's own lines, in arrays, and why a line comes out otherwise than it was paid.

The service says the same from the documents; this says it in seconds, and for a shop made from half of the baskets.
"""

from enum import IntEnum
from typing import Final, NamedTuple

import numpy as np

from app.completejourney.associates import PERCENT, own_brand
from app.completejourney.coupons import Uses
from app.completejourney.documents import Shop
from app.completejourney.shelf import COLUMNS, Shelf
from app.completejourney.tables import Bools, Int64s, Lines
from app.completejourney.votes import amounts_minor

_TENTH: Final = int(PERCENT)


class Cause(IntEnum):
    """Why the amount of a line is not what was paid; the first that holds."""

    NO_PRICE = 0
    WEIGHT_UNKNOWN = 1
    FUEL = 2
    FREE = 3
    COUPON_UNKNOWN = 4
    COUPON_DIFFERS = 5
    ASSOCIATE_SPECIAL = 6
    ASSOCIATE = 7
    SPLIT_CENT = 8
    NOT_ON_SPECIAL = 9
    ONLY_HERE_ON_SPECIAL = 10
    OTHER_SPECIAL = 11
    OTHER_REGULAR = 12


DESCRIPTIONS: Final = {
    Cause.NO_PRICE: "never sold at a price above zero, so there is none",
    Cause.WEIGHT_UNKNOWN: "sold by weight, and the weight is not in the data",
    Cause.FUEL: "fuel: its price changes by day and store, its discount by the household's points",
    Cause.FREE: "given away free (2 for 1, gifts)",
    Cause.COUPON_UNKNOWN: "paid with a coupon that is in no campaign, or of unknown worth",
    Cause.COUPON_DIFFERS: "a campaign's coupon took another amount, or was booked on another line",
    Cause.ASSOCIATE_SPECIAL: "an associate's tenth off a special: the data books the regular price less that tenth, without the special",
    Cause.ASSOCIATE: "a tenth off the own brand where we expected none, or none where we did, or rounded by the unit",
    Cause.SPLIT_CENT: "within a cent a unit: 3 for 5.00 sold singly",
    Cause.NOT_ON_SPECIAL: "on special in most stores, not in this one",
    Cause.ONLY_HERE_ON_SPECIAL: "on special here, not in most stores",
    Cause.OTHER_SPECIAL: "on special here and elsewhere, at another price",
    Cause.OTHER_REGULAR: "the store's regular price is not its zone's",
}


class Estimate(NamedTuple):
    """Along the lines of the data, in minor units; 0 where a line has no price or quantity 0."""

    list_e4: Int64s
    unit_e4: Int64s  # after the special
    total_minor: Int64s
    coupon_minor: Int64s  # what campaigns' coupons took


def estimate_lines(shop: Shop, uses: Uses) -> Estimate:
    """What the service's quotes come to for all baskets, with their codes."""
    lines, products, shelf = shop.tables.lines, shop.tables.products, shop.shelf
    list_e4 = list_prices_e4(shelf, lines)
    special = shelf.special_e4[lines.product, lines.week]
    is_on_special = (special > 0) & (special < list_e4)
    unit_e4 = np.where(is_on_special, special, list_e4)
    subtotal = amounts_minor(unit_e4, lines.quantity_milli)
    is_reduced = shop.associates.are_in(lines.household, lines.week) & own_brand(products)[lines.product] & ~is_on_special
    total = subtotal - np.where(is_reduced, (subtotal * _TENTH + 50) // 100, 0)
    coupon = _coupon_amounts(lines, total, uses)
    return Estimate(list_e4, unit_e4, total - coupon, coupon)


def list_prices_e4(shelf: Shelf, lines: Lines) -> Int64s:
    """The list price of each line: its store's zone's, or the chain's."""
    zone = shelf.zone[np.searchsorted(shelf.stores, lines.store)]
    price = shelf.regular_e4[lines.product, lines.week]
    for number, runs in enumerate(shelf.zone_runs, 1):
        at = np.flatnonzero(zone == number)
        key = lines.product[at] * COLUMNS + lines.week[at]
        first = runs.row * COLUMNS + runs.first_week
        last = runs.row * COLUMNS + runs.last_week
        found = np.maximum(np.searchsorted(first, key, side="right") - 1, 0)
        is_in = (first[found] <= key) & (key <= last[found]) if first.size else np.zeros(at.size, np.bool_)
        price[at[is_in]] = runs.unit_e4[found[is_in]]
    return price


def _coupon_amounts(lines: Lines, total: Int64s, uses: Uses) -> Int64s:
    """What coupons take off each line: an amount over several lines is split in proportion, the odd cents by the largest remainder."""
    taken = np.zeros(total.size, np.int64)
    order = np.argsort(lines.basket, kind="stable")
    baskets = lines.basket[order]
    for basket, offers in uses.offers_of_basket.items():
        first, last = np.searchsorted(baskets, basket), np.searchsorted(baskets, basket, side="right")
        for offer in sorted(offers, key=lambda offer: f"coupon-{offer.code}"):
            at = order[first:last]
            at = at[np.isin(lines.product[at], offer.products) & (total[at] - taken[at] > 0)]
            weight = total[at] - taken[at]
            whole = int(weight.sum())
            if whole == 0:
                continue
            amount = min(offer.worth_minor, whole)
            share, rest = amount * weight // whole, amount * weight % whole
            odd = np.argsort(-rest, kind="stable")[: amount - int(share.sum())]
            share[odd] += 1
            taken[at] += share
    return taken


def causes_of(shop: Shop, estimate: Estimate) -> Int64s:
    """For each line the cause that would explain a difference; it holds only where there is one."""
    lines, products = shop.tables.lines, shop.tables.products
    special = estimate.unit_e4 < estimate.list_e4
    shelf_minor = amounts_minor(estimate.unit_e4, lines.quantity_milli)
    regular_minor = amounts_minor(estimate.list_e4, lines.quantity_milli)
    was_special = lines.loyalty_minor > 0
    tenth = np.abs(lines.loyalty_minor * 10 - lines.regular_minor) <= 10
    tenth_of_special = np.abs(lines.loyalty_minor * 10 - shelf_minor) <= 15
    is_own = own_brand(products)[lines.product]
    is_associate = shop.associates.are_in(lines.household, lines.week)
    conditions = (
        estimate.list_e4 == 0,
        shop.shelf.is_weighed[lines.product],
        products.is_fuel[lines.product],
        lines.sales_minor == 0,
        (lines.coupon_minor > 0) & (estimate.coupon_minor == 0),
        (lines.coupon_minor > 0) | (estimate.coupon_minor > 0),
        is_own & special & tenth_of_special,
        is_own & (is_associate | (was_special & tenth)),
        np.abs(shelf_minor - lines.shelf_minor) * 1000 <= np.maximum(lines.quantity_milli, 1000),
        (regular_minor == lines.regular_minor) & special & ~was_special,
        (regular_minor == lines.regular_minor) & ~special & was_special,
        (regular_minor == lines.regular_minor) & special & was_special,
        np.ones(special.size, np.bool_),
    )
    return np.asarray(np.select(conditions, list(Cause)), np.int64)


def are_equal(estimate: Estimate, lines: Lines) -> Bools:
    """Whether a line comes out at what left the household's purse."""
    return np.asarray((estimate.list_e4 > 0) & (estimate.total_minor == lines.paid_minor))
