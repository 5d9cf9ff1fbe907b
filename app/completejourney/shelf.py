"""The shop's shelf prices week by week, reconstructed from what was paid: regular prices, zone prices and weekly specials.

What is sold by weight gets its usual amount, because the weight is not in the data.

No price is taken from a single basket where more is known: a product's week is one price for all stores, a zone's own price
is one for all its stores, and a special is one for the whole chain. Finer cells (a special per zone, a price per store) would explain
more of the lines they were made from and fewer of those they were not, so they are left out; `estimate.py` measures both.
"""

from typing import Final, NamedTuple

import numpy as np

from app.completejourney.tables import WEEKS, Bools, Int64s, Lines, Products
from app.completejourney.votes import Votes, elect_unit_prices
from app.completejourney.zones import find_zones

COLUMNS: Final = WEEKS + 1  # week 1 stands in column 1
# A zone's price is taken to hold this many weeks before and after it was seen.
_ZONE_REACH: Final = 4
# A product whose lines of one week agree on a price less often than this is sold by weight, and the weight is not in the data.
_LEAST_AGREEMENT: Final = 0.2
_KIND_WEIGHT: Final = 3.0


class Runs(NamedTuple):
    """Prices that hold from the first to the last week, both inclusive."""

    row: Int64s
    first_week: Int64s
    last_week: Int64s
    unit_e4: Int64s


class Shelf(NamedTuple):
    """What hung on the shelves. Matrices are (n_products, COLUMNS) of 1/10 000 cent a unit, 0 for none."""

    regular_e4: Int64s
    special_e4: Int64s  # the price on special, for all stores
    stores: Int64s  # the data's numbers, ascending
    zone: Int64s  # of each store; 0 for none
    zone_runs: tuple[Runs, ...]  # of zone 1, 2, ...: where the zone's regular price is not the chain's
    is_weighed: Bools  # (n_products,)


def reconstruct_shelf(lines: Lines, products: Products, *, is_used: Bools, is_evidence: Bools) -> Shelf:
    """The shelf prices that explain the lines used; lines that are no `is_evidence` do not speak for specials.

    Lines of quantity 0 are never used.
    """
    is_used = is_used & (lines.quantity_milli > 0)
    n_products = products.id.size
    stores, store = np.unique(lines.store, return_inverse=True)
    unit_e4 = lines.regular_minor * 10_000_000 // np.maximum(lines.quantity_milli, 1)
    is_weighed = find_weighed(lines.product, lines.week, unit_e4, _kinds(products), is_used=is_used) & ~products.is_fuel
    is_fixed = is_used & ~is_weighed[lines.product]

    seen = _matrix(_votes(lines.product * COLUMNS + lines.week, lines, is_fixed), n_products)
    regular = fill_nearest(seen, reach=WEEKS)
    at = np.flatnonzero(is_used & is_weighed[lines.product])
    rows, middle = middle_of(lines.product[at], lines.regular_minor[at] * 10_000_000 // lines.quantity_milli[at])
    regular[rows, 1:] = middle[:, None] // 10_000 * 10_000

    zone = find_zones(store, lines.product, lines.week, unit_e4, n_stores=stores.size, is_used=is_fixed)
    zone_runs = tuple(_zone_runs(lines, is_fixed & (zone[store] == number), regular) for number in range(1, int(zone.max()) + 1))
    special = _specials(lines, products, regular, is_used=is_fixed & is_evidence)
    return Shelf(regular, special, stores, zone, zone_runs, is_weighed)


def find_weighed(product: Int64s, week: Int64s, unit_e4: Int64s, kind: Int64s, *, is_used: Bools) -> Bools:
    """Whether a product's amounts scatter as weights do (n_products,); `kind` lends to products with few sales.

    The measure is the share of pairs of lines of one product-week with the same unit price.
    """
    n_products = kind.size
    cell = (product * COLUMNS + week)[is_used]
    cells, cell_lines = np.unique(cell, return_counts=True)
    order = np.lexsort((unit_e4[is_used], cell))
    sorted_cell, sorted_unit = cell[order], unit_e4[is_used][order]
    first = np.flatnonzero(
        np.concatenate([[True], (sorted_cell[1:] != sorted_cell[:-1]) | (sorted_unit[1:] != sorted_unit[:-1])])
        if cell.size
        else cell
    )
    alike = np.diff(np.append(first, cell.size))
    pairs = np.bincount(cells // COLUMNS, weights=cell_lines * (cell_lines - 1) / 2, minlength=n_products)
    equal = np.bincount(sorted_cell[first] // COLUMNS, weights=alike * (alike - 1) / 2, minlength=n_products)
    kind_pairs, kind_equal = np.bincount(kind, weights=pairs), np.bincount(kind, weights=equal)
    of_kind = ((kind_equal + 1.6) / (kind_pairs + 2))[kind]
    return np.asarray((equal + _KIND_WEIGHT * of_kind) / (pairs + _KIND_WEIGHT) < _LEAST_AGREEMENT)


def middle_of(group: Int64s, value: Int64s) -> tuple[Int64s, Int64s]:
    """The groups, ascending, and the (lower) median of each.

    >>> [part.tolist() for part in middle_of(np.array([7, 7, 7, 3, 3]), np.array([9, 1, 5, 8, 6]))]
    [[3, 7], [6, 5]]
    """
    groups, lines = np.unique(group, return_counts=True)
    return groups, value[np.lexsort((value, group))][np.cumsum(lines) - lines + (lines - 1) // 2]


def fill_nearest(seen: Int64s, *, reach: int) -> Int64s:
    """Weeks without a price get that of the nearest week with one, up to `reach` weeks away; of two as near, the earlier.

    >>> fill_nearest(np.array([[0, 0, 5, 0, 0, 0, 7, 0]]), reach=2).tolist()
    [[5, 5, 5, 5, 5, 7, 7, 7]]
    """
    columns = np.arange(seen.shape[1])
    far = 10 * seen.shape[1]
    before = np.maximum.accumulate(np.where(seen > 0, columns, -far), axis=1)
    after = np.minimum.accumulate(np.where(seen > 0, columns, far)[:, ::-1], axis=1)[:, ::-1]
    nearest = np.where(columns - before <= after - columns, before, after)
    is_near = np.abs(nearest - columns) <= reach
    rows = np.arange(seen.shape[0])[:, None]
    return np.where(is_near, seen[rows, np.where(is_near, nearest, 0)], 0)


def runs_of(matrix: Int64s) -> Runs:
    """The stretches of equal prices in each row, without the weeks that have none.

    >>> [part.tolist() for part in runs_of(np.array([[0, 5, 5, 0, 5, 7]]))]
    [[0, 0, 0], [1, 4, 5], [2, 4, 5], [5, 5, 7]]
    """
    width = matrix.shape[1]
    flat = matrix.ravel()
    is_first = np.concatenate([[True], flat[1:] != flat[:-1]]) | (np.arange(flat.size) % width == 0)
    first = np.flatnonzero(is_first)
    last = np.append(first[1:], flat.size) - 1
    is_price = flat[first] > 0
    first, last = first[is_price], last[is_price]
    return Runs(first // width, first % width, last % width, flat[first])


def _kinds(products: Products) -> Int64s:
    texts = [f"{a}|{b}|{c}" for a, b, c in zip(products.department, products.category, products.kind, strict=True)]
    return np.asarray(np.unique(np.array(texts), return_inverse=True)[1], np.int64)


def _votes(key: Int64s, lines: Lines, is_used: Bools) -> Votes:
    return elect_unit_prices(key[is_used], lines.regular_minor[is_used], lines.quantity_milli[is_used])


def _matrix(votes: Votes, n_products: int) -> Int64s:
    matrix = np.zeros(n_products * COLUMNS, np.int64)
    matrix[votes.key] = votes.unit_e4
    return matrix.reshape(n_products, COLUMNS)


def _zone_runs(lines: Lines, is_used: Bools, regular_e4: Int64s) -> Runs:
    """Where one zone's price is not the chain's. The zone's own sight of a price reaches some weeks around it."""
    rows, row = np.unique(lines.product[is_used], return_inverse=True)
    votes = elect_unit_prices(row * COLUMNS + lines.week[is_used], lines.regular_minor[is_used], lines.quantity_milli[is_used])
    own = fill_nearest(_matrix(votes, rows.size), reach=_ZONE_REACH)
    own[:, 0] = 0
    own[own == regular_e4[rows]] = 0
    runs = runs_of(own)
    return runs._replace(row=rows[runs.row])


def _specials(lines: Lines, products: Products, regular_e4: Int64s, *, is_used: Bools) -> Int64s:
    """The price on special of each product-week.

    A product-week is on special when at least half of its lines are. Where it was not sold, what its family did in that week
    decides (flavours of one maker, kind, size and price go on special together), then the week before or after.
    """
    n_products = products.id.size
    is_on = lines.loyalty_minor > 0
    own, own_lines = _special_votes(lines.product, n_products, lines, is_on, is_used)
    family = _families(products, regular_e4)
    kin, kin_lines = _special_votes(family[lines.product], int(family.max()) + 1, lines, is_on, is_used)
    special = np.where(own_lines > 0, own, np.where(kin_lines[family] > 0, kin[family], 0))
    is_known = (own_lines > 0) | (kin_lines[family] > 0)

    is_on_before = np.zeros_like(own)
    is_on_before[:, 1:] = own[:, :-1]
    is_on_after = np.zeros_like(own)
    is_on_after[:, :-1] = own[:, 1:]
    special = np.where(is_known, special, np.where(is_on_before > 0, is_on_before, is_on_after))
    special[:, 0] = 0
    return np.where((regular_e4 > 0) & (special < regular_e4), special, 0)


def _special_votes(group: Int64s, n_groups: int, lines: Lines, is_on: Bools, is_used: Bools) -> tuple[Int64s, Int64s]:
    """The special price of each group and week (0: not on special), and how many lines were seen, both (n_groups, COLUMNS)."""
    key = group * COLUMNS + lines.week
    size = n_groups * COLUMNS
    seen = np.bincount(key[is_used], minlength=size)
    on = np.bincount(key[is_used & is_on], minlength=size)
    chosen = is_used & is_on & (2 * on >= seen)[key]
    votes = elect_unit_prices(key[chosen], lines.shelf_minor[chosen], lines.quantity_milli[chosen])
    return _matrix(votes, n_groups), seen.reshape(n_groups, COLUMNS)


def _families(products: Products, regular_e4: Int64s) -> Int64s:
    """A number for each product; products of one maker, kind, size and usual price share it. Unlisted ones stand alone."""
    usual = np.sort(regular_e4[:, 1:], axis=1)[:, WEEKS // 2]
    texts = [
        f"{maker}|{category}|{kind}|{size}|{price}" if kind else str(position)
        for position, (maker, category, kind, size, price) in enumerate(
            zip(products.manufacturer, products.category, products.kind, products.size, usual, strict=True)
        )
    ]
    return np.asarray(np.unique(np.array(texts), return_inverse=True)[1], np.int64)
