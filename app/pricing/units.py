"""Whole units of lines: how many there are, in which order of their prices they are taken, and who gets the first so many."""

import numpy as np

from app.pricing.groups import Groups, groups_of
from app.pricing.money import AMOUNT_MINOR_MAX, MILLI, QUANTITY_MILLI_MAX, Bools, Int64s

_DIGIT_BITS = 33

# Two different prices running / quantity differ by at least 1 / quantity², which two binary digits of 33 bits tell apart; each is exact in int64.
assert QUANTITY_MILLI_MAX**2 < 1 << (2 * _DIGIT_BITS)
assert QUANTITY_MILLI_MAX << _DIGIT_BITS < 2**63
assert AMOUNT_MINOR_MAX < 2**63


def by_unit_price(running_minor: Int64s, quantity_milli: Int64s, group: Int64s, is_dearest_first: Bools) -> tuple[Int64s, Groups]:
    """Lay out pairs (n_pairs,) by group and, in each, by unit price, ties in their order. The groups' numbers need no pair each.

    A unit price is the exact ratio of the running amount and the quantity.

    >>> order, _ = by_unit_price(np.array([10, 30, 20]), np.array([1000, 2000, 3000]), np.zeros(3, np.int64), np.array([True] * 3))
    >>> order.tolist()
    [1, 0, 2]
    """
    whole, rest = np.divmod(running_minor, quantity_milli)
    sign = np.where(is_dearest_first, -1, 1)
    keys = [sign * whole, group]
    if rest.any():
        for _ in range(2):
            digit, rest = np.divmod(rest << _DIGIT_BITS, quantity_milli)
            keys.insert(0, sign * digit)
    order = np.lexsort(keys)
    return order, groups_of(group[order])


def first_of(count: Int64s, limit: Int64s, groups: Groups) -> Int64s:
    """How many of each pair's units (n_pairs,) are among the first `limit` (n_pairs, the same all through a group) of its group.

    >>> first_of(np.array([2, 3, 1]), np.array([4, 4, 4]), Groups(np.zeros(3, np.int64), np.zeros(1, np.int64))).tolist()
    [2, 2, 0]
    """
    reached = np.cumsum(count)
    before = reached - count
    start = before[groups.starts][groups.group]
    return np.asarray(np.minimum(reached - start, limit) - np.minimum(before - start, limit), np.int64)


def first_units(
    units: Int64s,
    limit: Int64s,
    groups: Groups,
    *,
    running_minor: Int64s,
    quantity_milli: Int64s,
    is_dearest_first: Bools,
) -> Int64s:
    """How many of each pair's units (n_pairs,) are among the first `limit` (n_groups,) of its group by unit price."""
    dearest = is_dearest_first[groups.group]
    order, laid_out = by_unit_price(running_minor, quantity_milli, groups.group, dearest)
    taken = np.empty_like(units)
    taken[order] = first_of(units[order], limit[groups.group], laid_out)
    return taken


def whole_units(quantity_milli: Int64s) -> Int64s:
    """The whole units of lines (n,)."""
    return quantity_milli // MILLI
