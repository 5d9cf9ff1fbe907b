"""The shop's price zones: stores that ask the same regular prices, found from how often they agree."""

from typing import Final

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from app.completejourney.tables import WEEKS, Bools, Int64s
from app.completejourney.votes import elect_unit_prices, look_up

# A store with fewer lines than this is too thin to stand for a zone; it joins one.
_LINES_TO_LEAD: Final = 1_500
# Stores of a zone agree on nine of ten prices or more; pairs from different zones on seven of ten.
_MOST_DISAGREEMENT: Final = 0.10
# What two stores that never sold the same thing in one week are taken to agree on, and how much of it counts.
_PRIOR_AGREEMENT: Final = 0.8
_PRIOR_WEIGHT: Final = 5.0
# A product-week sold in so many stores is compared with the next ones in order only; the rest adds nothing new.
_NEIGHBOURS: Final = 60


def find_zones(store: Int64s, product: Int64s, week: Int64s, unit_e4: Int64s, *, n_stores: int, is_used: Bools) -> Int64s:
    """The zone of each store, 1, 2, ... (n_stores,); 0 for a store that no zone can be told for.

    `store` are rows; `unit_e4` the regular unit price of each line. Large stores are clustered by average linkage on the share
    of product-weeks that they price alike; a small store joins the zone whose prices it agrees with most.
    """
    cell = product * (WEEKS + 1) + week
    lines = np.bincount(store[is_used], minlength=n_stores)
    leaders = np.flatnonzero(lines >= _LINES_TO_LEAD)
    zone = np.zeros(n_stores, np.int64)
    if leaders.size < 2:
        zone[leaders] = 1
        return zone
    distance = _disagreement(cell[is_used], store[is_used], unit_e4[is_used], n_stores)[np.ix_(leaders, leaders)]
    np.fill_diagonal(distance, 0.0)
    found = fcluster(linkage(squareform(distance, checks=False), "average"), _MOST_DISAGREEMENT, "distance")
    # The largest zone is number 1, so that the numbers mean something to a reader.
    _, found, sizes = np.unique(found, return_inverse=True, return_counts=True)
    zone[leaders] = (np.argsort(np.argsort(-sizes, kind="stable")) + 1)[found]
    return _join_small_stores(zone, cell, store, unit_e4, is_used)


def _disagreement(
    cell: Int64s, store: Int64s, unit_e4: Int64s, n_stores: int
) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """1 - the smoothed share of product-weeks that two stores price alike (n_stores, n_stores)."""
    key = cell * n_stores + store
    order = np.lexsort((unit_e4, key))
    key, unit = key[order], unit_e4[order]
    first = np.flatnonzero(np.concatenate([[True], key[1:] != key[:-1]]))
    key, unit = key[first], unit[first]
    own_cell, own_store = key // n_stores, key % n_stores
    alike = np.zeros((n_stores, n_stores))
    both = np.zeros((n_stores, n_stores))
    for gap in range(1, _NEIGHBOURS):
        is_same = own_cell[gap:] == own_cell[:-gap]
        if not is_same.any():
            break
        pair = own_store[:-gap][is_same] * n_stores + own_store[gap:][is_same]
        is_alike = (unit[gap:] == unit[:-gap])[is_same]
        both += np.bincount(pair, minlength=n_stores**2).reshape(n_stores, n_stores)
        alike += np.bincount(pair, weights=is_alike, minlength=n_stores**2).reshape(n_stores, n_stores)
    alike, both = alike + alike.T, both + both.T
    return 1 - (alike + _PRIOR_AGREEMENT * _PRIOR_WEIGHT) / (both + _PRIOR_WEIGHT)


def _join_small_stores(zone: Int64s, cell: Int64s, store: Int64s, unit_e4: Int64s, is_used: Bools) -> Int64s:
    n_stores, n_zones = zone.size, int(zone.max()) + 1
    is_led = is_used & (zone[store] > 0)
    is_small = is_used & (zone[store] == 0)
    amount = unit_e4 // 10_000
    votes = elect_unit_prices((cell * n_zones + zone[store])[is_led], amount[is_led], np.full(int(is_led.sum()), 1000))
    score = np.zeros((n_stores, n_zones))
    seen = np.zeros(n_stores)
    for candidate in range(1, n_zones):
        price, lines = look_up(votes, cell[is_small] * n_zones + candidate)
        hits = np.bincount(store[is_small], weights=(lines > 0) & (price // 10_000 == amount[is_small]), minlength=n_stores)
        looks = np.bincount(store[is_small], weights=lines > 0, minlength=n_stores)
        score[:, candidate] = (hits + 2) / (looks + 4)
        seen += looks
    return np.where((zone == 0) & (seen > 0), score.argmax(axis=1), zone)
