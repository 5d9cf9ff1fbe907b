"""The reference of P13: our service with metrics that observe nothing and logs that say nothing.

    python -m loadtests.bench.unwatched serve

Histograms do not look for their bucket, counters by label do not look theirs up, nothing is rendered. What is left of watching is reading the
clock and adding to an attribute, some hundredths of a microsecond each.
"""

import os
import sys
from typing import Any

from app.cli import main
from app.metrics import Buckets, Cell, Counter, Histogram


def stop_watching() -> None:
    """Replace what metrics do by nothing."""

    def observe(self: Buckets, value: float) -> None:
        del self, value

    def at_counter(self: Counter, *values: str) -> Cell:
        del self, values
        return cell

    def at_histogram(self: Histogram, *values: str) -> Buckets:
        del self, values
        return buckets

    cell, buckets = Cell(), Buckets((1.0,))
    replacements: list[tuple[Any, str, Any]] = [
        (Buckets, "observe", observe),
        (Counter, "at", at_counter),
        (Histogram, "at", at_histogram),
    ]
    for owner, name, function in replacements:
        setattr(owner, name, function)


if __name__ == "__main__":
    os.environ["PRICING_LOG_LEVEL"] = "error"
    stop_watching()
    sys.exit(main(sys.argv[1:]))
