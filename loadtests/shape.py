"""What a shop's traffic looks like: how many lines baskets have, how often each SKU is asked for, how many units, who buys, who shows coupons.

    python -m loadtests.shape

prints the two shapes there are, side by side. One is counted in the Complete Journey, the year of a grocer, where that data is installed. The
other is written down here, in the same terms, and needs nothing:

| | distribution |
|---|---|
| lines of a basket | lognormal, median 4.8, sigma 1.17, rounded, 1 to 100 |
| share of a SKU by its rank | power law of the rank, exponent 0.62 for the first 1.5 % of the SKUs, 0.86 to 15 %, 2.2 beyond, without jumps |
| units of a line | 1: 79.5 %, 2: 14.6 %, 3: 2.6 %, 4: 1.6 %, then seldom, up to 12 |
| customers | each has a lognormal share of the baskets, sigma 1 |
| codes shown | by 6 baskets in 1 000; of those 64 % one, 21 % two, 9 % three, 6 % four |

What people do at what hour is not part of it: a rate is asked for, and held.
"""

import sys
from typing import Final, NamedTuple

import numpy as np

from app.completejourney.coupons import find_offers, find_uses
from app.completejourney.tables import DataMissing, Int64s, Tables, read_tables
from loadtests.bench.stats import thousands

_RANKS: Final = 50_000
_CUSTOMERS: Final = 2_500
_BREAKS: Final = (0.015, 0.15)  # of the ranks
_EXPONENTS: Final = (0.62, 0.86, 2.2)
_UNITS: Final = {1: 0.795, 2: 0.146, 3: 0.026, 4: 0.016, 5: 0.005, 6: 0.005, 8: 0.003, 12: 0.004}
_CODES: Final = {0: 0.994, 1: 0.00384, 2: 0.00126, 3: 0.00054, 4: 0.00036}

type Floats = np.ndarray[tuple[int], np.dtype[np.float64]]


class Choice(NamedTuple):
    """Whole numbers, and the share of each."""

    values: Int64s
    shares: Floats

    def draw(self, rng: np.random.Generator, n: int) -> Int64s:
        """So many of them."""
        return np.asarray(rng.choice(self.values, n, p=self.shares), np.int64)

    def quantile(self, share: float) -> int:
        """The least value that at least this share does not exceed."""
        return int(self.values[np.searchsorted(np.cumsum(self.shares), share)])

    @property
    def mean(self) -> float:
        return float(self.values @ self.shares)


class Shape(NamedTuple):
    """Choices are independent of one another; ranks begin with 0, the most frequent."""

    name: str
    lines: Choice  # of a basket
    units: Choice  # of a line
    rank: Choice  # of a SKU
    customer: Choice
    codes: Choice  # shown with a basket


def synthetic_shape() -> Shape:
    """The shape that is written down above; the same at each call."""
    sizes = np.arange(1, 101)
    rng = np.random.default_rng(0)
    return Shape(
        "synthetic",
        _choice(sizes, np.exp(-((np.log(sizes) - np.log(4.8)) ** 2) / (2 * 1.17**2)) / sizes),
        _choice(np.array(list(_UNITS)), np.array(list(_UNITS.values()))),
        _choice(np.arange(_RANKS), _power_law(_RANKS)),
        _choice(np.arange(_CUSTOMERS), np.sort(rng.lognormal(0.0, 1.0, _CUSTOMERS))[::-1]),
        _choice(np.array(list(_CODES)), np.array(list(_CODES.values()))),
    )


def completejourney_shape(tables: Tables) -> Shape:
    """The shape of the data's year. Quantities are whole units: what is weighed counts as one."""
    lines = tables.lines
    is_used = lines.quantity_milli > 0
    _, first, sizes = np.unique(lines.basket[is_used], return_index=True, return_counts=True)
    uses = find_uses(tables.coupons, find_offers(tables.coupons, lines, tables.products, is_used=is_used), lines)
    shown = np.zeros(sizes.size, np.int64)
    with_coupon = np.array([len(offers) for offers in uses.offers_of_basket.values()], np.int64)
    shown[: with_coupon.size] = with_coupon
    milli = lines.quantity_milli[is_used]
    return Shape(
        "Complete Journey",
        _counted(sizes),
        _counted(np.where(milli % 1000 == 0, np.minimum(milli // 1000, 99), 1)),
        _ranked(lines.product[is_used]),
        _ranked(lines.household[is_used][first]),
        _counted(shown),
    )


def best_shape() -> Shape:
    """The data's where it is installed, else the one written down."""
    try:
        return completejourney_shape(read_tables())
    except DataMissing:
        return synthetic_shape()


def table_of(shapes: list[Shape]) -> str:
    """The shapes side by side, as Markdown."""

    def of_top(choice: Choice, share: float) -> str:
        return f"{choice.shares[: max(1, round(share * choice.shares.size))].sum():.1%}"

    rows = {
        "lines of a basket: mean": [f"{shape.lines.mean:.1f}" for shape in shapes],
        "median, 90 %, 99 %": [", ".join(str(shape.lines.quantile(share)) for share in (0.5, 0.9, 0.99)) for shape in shapes],
        "SKUs": [thousands(shape.rank.values.size) for shape in shapes],
        "lines of the first SKU": [f"{shape.rank.shares[0]:.2%}" for shape in shapes],
        "lines of the first 1 % of the SKUs": [of_top(shape.rank, 0.01) for shape in shapes],
        "lines of the first 10 %": [of_top(shape.rank, 0.1) for shape in shapes],
        "lines of one unit": [f"{shape.units.shares[0]:.1%}" for shape in shapes],
        "baskets of the first 10 % of the customers": [of_top(shape.customer, 0.1) for shape in shapes],
        "baskets with a code": [f"{1 - shape.codes.shares[0]:.2%}" for shape in shapes],
    }
    head = ["| | " + " | ".join(shape.name for shape in shapes) + " |", "|---" * (len(shapes) + 1) + "|"]
    return "\n".join(head + [f"| {name} | " + " | ".join(cells) + " |" for name, cells in rows.items()])


def _power_law(n: int) -> Floats:
    """Shares by rank whose exponent changes at `_BREAKS`, without jumps."""
    rank = np.arange(1, n + 1, dtype=np.float64)
    exponent = np.choose(np.searchsorted(np.array(_BREAKS) * n, rank), _EXPONENTS)
    steps = np.diff(np.log(rank), prepend=0.0) * exponent
    return np.exp(-np.cumsum(steps))


def _choice(values: Int64s, weights: Floats) -> Choice:
    return Choice(values, weights / weights.sum())


def _counted(observed: Int64s) -> Choice:
    values, counts = np.unique(observed, return_counts=True)
    return _choice(values, counts.astype(np.float64))


def _ranked(observed: Int64s) -> Choice:
    counts = np.sort(np.unique(observed, return_counts=True)[1])[::-1]
    return _choice(np.arange(counts.size), counts.astype(np.float64))


def main() -> int:
    """Print the table."""
    shapes = [synthetic_shape()]
    try:
        shapes.append(completejourney_shape(read_tables()))
    except DataMissing as missing:
        print(missing, file=sys.stderr)
    print(table_of(shapes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
