"""The facts and seasons that strategies price by, beside costs and demand indices."""

from typing import NamedTuple

import numpy as np

from app.pricing.money import Bools, Int64s
from app.pricing.seasons import Seasons


class Rivals(NamedTuple):
    """What competitors ask: one observation of each for a (currency, SKU), by key and then by the competitor's number.

    A key is currency row · n_skus + SKU row; a number is a place in `names`, which are sorted.
    """

    names: tuple[str, ...]
    key: Int64s  # (n_observations,) sorted
    name: Int64s
    unit_e4: Int64s
    in_stock: Bools
    at_s: Int64s


class Facts(NamedTuple):
    """Facts by SKU row (n_skus,), and what has rows of its own."""

    stock_milli: Int64s  # −1 where unknown
    daily_milli: Int64s  # units a day that sell at the list price; −1 where unknown
    rivals: Rivals
    seasons: Seasons


def observations_of(rivals: Rivals, key: Int64s) -> tuple[Int64s, Int64s]:
    """All (position, observation) pairs of keys (n,), by position and then by the competitor's number."""
    low, high = np.searchsorted(rivals.key, key), np.searchsorted(rivals.key, key, side="right")
    count = high - low
    position = np.repeat(np.arange(key.size), count)
    return position, np.repeat(low - (np.cumsum(count) - count), count) + np.arange(position.size)
