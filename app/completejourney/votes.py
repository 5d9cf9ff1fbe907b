"""The unit price that explains most lines: each line votes for all the prices that round to its amount."""

from typing import NamedTuple

import numpy as np

from app.completejourney.tables import Int64s

# What a shelf tag says, the nicest first, as (numerator, denominator) in 1/10 000 cent: whole cents, halves, thirds ("3 for 5.00"),
# quarters, sixths, tenths and hundredths.
_TAGS = ((10_000, 1), (5_000, 1), (10_000, 3), (2_500, 1), (10_000, 6), (1_000, 1), (100, 1))


class Votes(NamedTuple):
    """For each key (ascending) the winning unit price, how many lines it explains, and how many there are."""

    key: Int64s
    unit_e4: Int64s
    explained: Int64s
    lines: Int64s


def elect_unit_prices(key: Int64s, amount_minor: Int64s, quantity_milli: Int64s) -> Votes:
    """For each key the unit price that gives the most of its lines' amounts, rounded half up; among equals the nicest, then the higher.

    A line of amount a and quantity q allows the unit prices u with a = round(u·q), which is one stretch of integers. The price
    that lies in the most stretches wins, found by a sweep over the sorted ends of all stretches of all keys at once.
    Amounts are >= 0 and quantities > 0.

    >>> three_for_five = elect_unit_prices(np.zeros(3, np.int64), np.array([167, 500, 1000]), np.array([1000, 3000, 6000]))
    >>> three_for_five.unit_e4.tolist(), three_for_five.explained.tolist()
    ([1666667], [3])
    """
    if key.size == 0:
        return Votes(key, key, key, key)
    keys, cell, lines = np.unique(key, return_inverse=True, return_counts=True)
    low = np.maximum(-(-(2 * amount_minor - 1) * 5_000_000 // quantity_milli), 0)
    high = -(-(2 * amount_minor + 1) * 5_000_000 // quantity_milli)  # exclusive

    # An end at a place comes before a beginning there, so that the running count is that of the stretch to the right.
    place = np.concatenate([low, high])
    step = np.concatenate([np.ones(low.size, np.int64), -np.ones(high.size, np.int64)])
    owner = np.concatenate([cell, cell])
    order = np.lexsort((step, place, owner))
    place, owner = place[order], owner[order]
    count = np.cumsum(step[order])
    is_stretch = np.concatenate([(owner[1:] == owner[:-1]) & (place[1:] > place[:-1]), [False]])
    at = np.flatnonzero(is_stretch)
    unit, rank = _nicest(place[at], place[at + 1] - 1)

    order = np.lexsort((unit, -rank, count[at], owner[at]))
    sorted_owner = owner[at][order]
    last = np.flatnonzero(np.concatenate([sorted_owner[1:] != sorted_owner[:-1], [True]]))
    return Votes(keys, unit[order][last], count[at][order][last], lines)


def _nicest(low: Int64s, high: Int64s) -> tuple[Int64s, Int64s]:
    """The nicest price in each [low, high], and how nice it is (0 best); the middle one where none is nice."""
    unit = (low + high) // 2
    rank = np.full(low.size, len(_TAGS), np.int64)
    for place, (numerator, denominator) in enumerate(_TAGS):
        times = np.rint((low + high) / 2 * denominator / numerator)
        tag = np.rint(times * numerator / denominator).astype(np.int64)
        is_better = (tag >= low) & (tag <= high) & (rank == len(_TAGS))
        unit = np.where(is_better, tag, unit)
        rank = np.where(is_better, place, rank)
    return unit, rank


def amounts_minor(unit_e4: Int64s, quantity_milli: Int64s) -> Int64s:
    """The amounts of lines at unit prices, rounded half up, as the service does."""
    return (unit_e4 * quantity_milli + 5_000_000) // 10_000_000


def look_up(votes: Votes, key: Int64s) -> tuple[Int64s, Int64s]:
    """The elected price of each key and the number of lines behind it; 0 and 0 where there is none."""
    if votes.key.size == 0:
        return np.zeros(key.size, np.int64), np.zeros(key.size, np.int64)
    at = np.minimum(np.searchsorted(votes.key, key), votes.key.size - 1)
    is_there = votes.key[at] == key
    return np.where(is_there, votes.unit_e4[at], 0), np.where(is_there, votes.lines[at], 0)
