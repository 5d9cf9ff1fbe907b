"""Latencies counted in buckets whose width grows with the value, so that minutes and microseconds fit into a few thousand of them.

Values are whole microseconds. Below 256 each has a bucket of its own; above, each power of two is divided into 128 buckets, so what is read back is
never below what was counted and at most 1/128 above it. (Known as an HDR histogram: G. Tene, HdrHistogram, 2012.)
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import Final, NamedTuple

_BITS: Final = 7
_PARTS: Final = 1 << _BITS
# Of the values counted, as people who run services ask for them.
SHARES: Final = ("0.5", "0.75", "0.9", "0.95", "0.99", "0.999", "0.9999")


class Bucket(NamedTuple):
    """Values up to `upper_us`, inclusive, and how many values there are up to there."""

    upper_us: int
    n: int
    cumulative: int


class Histogram:
    """Counts of latencies."""

    def __init__(self, latencies_s: Iterable[float] = ()) -> None:
        self._counts = Counter(_index_of(max(0, round(latency_s * 1e6))) for latency_s in latencies_s)

    @property
    def total(self) -> int:
        """How many values were counted."""
        return self._counts.total()

    def buckets(self) -> Iterator[Bucket]:
        """Those that hold something, from the lowest."""
        cumulative = 0
        for index in sorted(self._counts):
            cumulative += self._counts[index]
            yield Bucket(upper_of(index), self._counts[index], cumulative)

    def quantile_us(self, share: str) -> int:
        """The upper end of the bucket with the least value that at least this share of the values does not exceed. Raises LookupError when empty."""
        rank = Fraction(share) * self.total
        for bucket in self.buckets():
            if bucket.cumulative >= rank:
                return bucket.upper_us
        raise LookupError("nothing was counted")


def _index_of(value_us: int) -> int:
    shift = max(0, value_us.bit_length() - _BITS - 1)
    return shift * _PARTS + (value_us >> shift)


def upper_of(index: int) -> int:
    """The largest value of a bucket.

    >>> upper_of(255), upper_of(256), upper_of(383), upper_of(384)
    (255, 257, 511, 515)
    """
    shift = max(0, index // _PARTS - 1)
    return ((index - shift * _PARTS + 1) << shift) - 1
