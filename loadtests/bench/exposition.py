"""Reading Prometheus's text: what happened between two scrapes."""

import re
from collections.abc import Mapping
from typing import Final

_BUCKET: Final = re.compile(r'^(?P<name>\w+)_bucket\{le="(?P<bound>[^"]+)"\} (?P<count>\S+)$', re.MULTILINE)


def value_of(text: str, sample: str) -> float:
    """The value of a sample by its whole name with labels. Raises LookupError."""
    for line in text.splitlines():
        if line.startswith(f"{sample} "):
            return float(line.rpartition(" ")[2])
    raise LookupError(sample)


def buckets_between(before: str, after: str, name: str) -> dict[float, float]:
    """Cumulative counts by upper bound of a histogram without labels, of what came between the scrapes."""
    earlier, later = _buckets(before, name), _buckets(after, name)
    return {bound: count - earlier.get(bound, 0.0) for bound, count in later.items()}


def median_of_buckets(buckets: Mapping[float, float]) -> float:
    """The median, taken to lie evenly within its bucket. Raises LookupError when nothing was counted.

    >>> median_of_buckets({1.0: 2.0, 2.0: 6.0, float("inf"): 6.0})
    1.25
    """
    total = max(buckets.values(), default=0.0)
    if total == 0:
        raise LookupError("nothing was observed")
    low_bound, low_count = 0.0, 0.0
    for bound, count in sorted(buckets.items()):
        if count >= total / 2:
            if bound == float("inf"):
                return low_bound
            return low_bound + (bound - low_bound) * (total / 2 - low_count) / (count - low_count)
        low_bound, low_count = bound, count
    raise LookupError("the counts are not cumulative")


def _buckets(text: str, name: str) -> dict[float, float]:
    return {float(found["bound"]): float(found["count"]) for found in _BUCKET.finditer(text) if found["name"] == name}
