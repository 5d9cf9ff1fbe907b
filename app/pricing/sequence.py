"""Which promotions may take their turn together.

Promotions run one after the other, but two that share no line cannot feel each other. What takes its turn as one is a unit: a line of a
promotion that works line by line, or all lines of one that ties them together. A unit's turn is one after the last turn of the earlier
units that share a line with it; all units of one turn are priced in one vectorised step.
"""

import numpy as np

from app.pricing.groups import groups_of
from app.pricing.money import Int64s


def by_turn(turn: Int64s, n_turns: int) -> tuple[Int64s, list[int]]:
    """Lay out pairs turn by turn, else in their order. Returns the pairs (n_pairs,) and where each turn begins (n_turns + 1)."""
    bits = turn.size.bit_length()
    key = (turn << bits) | np.arange(turn.size)
    key.sort()
    first: list[int] = np.searchsorted(key, np.arange(n_turns + 1) << bits).tolist()
    return key & ((1 << bits) - 1), first


def turns_by_line(line: Int64s) -> Int64s:
    """The turn of each pair (n_pairs,), counted from 0, where no pair is tied to another: its place on its line."""
    pair, sorted_line = _by_line(line)
    starts = groups_of(sorted_line).starts
    first = np.zeros(line.size, np.int64)
    first[starts] = starts
    turn = np.empty(line.size, np.int64)
    turn[pair] = np.arange(line.size) - np.maximum.accumulate(first)
    return turn


def turns_of_units(unit: Int64s, line: Int64s) -> Int64s:
    """The turn of each unit (n_units,).

    Args: unit, line (n_pairs,): which unit touches which line, sorted by unit; units are numbered in their sequence, and each has a pair.
    """
    pair, sorted_line = _by_line(line)
    same = (sorted_line[1:] == sorted_line[:-1]).nonzero()[0]
    # Back in the order of the units, so that one reduction finds the latest neighbour of each. The unit before all has the turn −1.
    starts = groups_of(unit).starts
    previous = np.full(unit.size, starts.size, np.int64)
    previous[pair[same + 1]] = unit[pair[same]]
    turn = np.zeros(starts.size + 1, np.int64)
    turn[-1] = -1
    while True:
        later = np.maximum.reduceat(turn[previous], starts) + 1
        if np.array_equal(later, turn[:-1]):
            return later
        turn[:-1] = later


def _by_line(line: Int64s) -> tuple[Int64s, Int64s]:
    """Pairs (n_pairs,) by their lines, in their order on each, and these lines."""
    bits = line.size.bit_length()
    key = (line << bits) | np.arange(line.size)
    if (key[1:] < key[:-1]).any():
        key.sort()
    return key & ((1 << bits) - 1), key >> bits


def places_in_baskets(basket: Int64s) -> Int64s:
    """The place of each application (n_apps,) in its basket; `basket` is sorted."""
    groups = groups_of(basket)
    return np.arange(basket.size) - groups.starts[groups.group]
