"""Whether what a process takes grows: the slope of each measure after the warm-up, against what it may drift.

The slope is that of Theil and Sen (Theil 1950; Sen 1968), the median over all pairs of samples: a garbage collection or a burst of
connections does not bend it. It is asked together with the medians of the first and the last third, because a step that was made once and stays is
no leak, and neither is a wave.
"""

import statistics
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

# Of the samples so many belong to the warm-up: caches fill, pools open, the allocator finds its size.
_WARM_UP_SHARE: Final = 0.25
_SAMPLES_MIN: Final = 8
# Pairs are drawn evenly from longer runs, because their number goes with the square.
_SAMPLES_MAX: Final = 200


class Allowance(NamedTuple):
    """How far a measure may drift over the run: the larger of a share of itself and a number."""

    share: float
    at_least: float


ALLOWED: Final[Mapping[str, Allowance]] = {
    "memory_bytes": Allowance(0.04, 8 << 20),
    "descriptors": Allowance(0.0, 6),
    "connections": Allowance(0.0, 6),
    "threads": Allowance(0.0, 3),
    "series": Allowance(0.0, 8),
}


class Verdict(NamedTuple):
    """What one measure did after the warm-up: its median in the first and in the last third, and how far the slope carries it."""

    measure: str
    first: float
    last: float
    drift: float
    allowed: float

    @property
    def grows(self) -> bool:
        """Whether both the slope and the thirds say so."""
        return self.drift > self.allowed and self.last - self.first > self.allowed / 2


def judge(samples: Mapping[str, Sequence[float]], allowed: Mapping[str, Allowance] = ALLOWED) -> list[Verdict]:
    """A verdict on each measure, whose samples were taken at equal distances. Raises ValueError when there are too few."""
    return [_judge_one(measure, values, allowed[measure]) for measure, values in samples.items()]


def _judge_one(measure: str, values: Sequence[float], allowance: Allowance) -> Verdict:
    warm = list(values[round(len(values) * _WARM_UP_SHARE) :])
    if len(warm) < _SAMPLES_MIN:
        raise ValueError(f"{measure}: {len(warm)} samples after the warm-up are too few to judge")
    third = len(warm) // 3
    drift = slope_of(warm) * (len(warm) - 1)
    allowed = max(allowance.at_least, allowance.share * statistics.median(warm))
    return Verdict(measure, statistics.median(warm[:third]), statistics.median(warm[-third:]), drift, allowed)


def slope_of(values: Sequence[float]) -> float:
    """The change from one sample to the next, by Theil and Sen.

    >>> slope_of([1.0, 2.0, 90.0, 4.0, 5.0])
    1.0
    """
    step = -(-len(values) // _SAMPLES_MAX)
    picked = range(0, len(values), step)
    return statistics.median((values[j] - values[i]) / (j - i) for i in picked for j in picked if i < j)
