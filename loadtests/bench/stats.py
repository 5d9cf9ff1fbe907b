"""Medians with their spread, and the figures of the table."""

import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Final, Literal, NamedTuple

_ATTEMPTS: Final = 3


class Spread(NamedTuple):
    """The median of what was measured, and the lowest and highest of it."""

    median: float
    low: float
    high: float


class Reach(NamedTuple):
    """What a figure must reach: `at_least` or `at_most` the bound."""

    sense: Literal["at_least", "at_most"]
    bound: float


class Figure(NamedTuple):
    """One line of the table. `reach` is None for a figure that is only shown; `beside` says what else was measured in the same rounds."""

    row: str
    what: str
    value: Spread
    unit: str
    reach: Reach | None
    beside: str


class Unmeasured(NamedTuple):
    """A row without figures, and why."""

    row: str
    why: str


class InvalidRun(Exception):
    """What was measured means nothing: requests failed, or the generator was late. The message says which."""


def retried[T](name: str, work: Callable[[], T]) -> T:
    """What the work gives. An invalid run is told and done again, as a stall of the machine may refuse some; the third one raises InvalidRun."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return work()
        except InvalidRun as invalid:
            print(f"{name}: done again, because {invalid}", file=sys.stderr, flush=True)
    return work()


def spread(values: Sequence[float]) -> Spread:
    """Median, lowest and highest.

    >>> spread([3.0, 1.0, 2.0, 10.0])
    Spread(median=2.5, low=1.0, high=10.0)
    """
    return Spread(statistics.median(values), min(values), max(values))


def ratios(own: Sequence[float], reference: Sequence[float]) -> Spread:
    """The spread of own / reference, round by round: what slowed a whole round down is in both.

    >>> ratios([1.0, 4.0, 9.0], [2.0, 4.0, 6.0])
    Spread(median=1.0, low=0.5, high=1.5)
    """
    return spread([mine / other for mine, other in zip(own, reference, strict=True)])


def quantile(values: Sequence[float], share: float) -> float:
    """The least value that at least `share` of the values do not exceed.

    >>> quantile([5.0, 1.0, 4.0, 2.0, 3.0], 0.5), quantile(list(range(1, 101)), 0.99)
    (3.0, 99)
    """
    ordered = sorted(values)
    rank = -(-len(ordered) * round(share * 1_000_000) // 1_000_000)
    return ordered[max(rank, 1) - 1]


def is_reached(figure: Figure) -> bool | None:
    """Whether the median reaches what it must; None where nothing is asked."""
    if figure.reach is None:
        return None
    if figure.reach.sense == "at_least":
        return figure.value.median >= figure.reach.bound
    return figure.value.median <= figure.reach.bound


# What each number of performance.md is about, in a few words.
TITLES: Final = {
    "P1": "durable quotes a second, against bare uvicorn with the same bytes",
    "P2": "the same without the decision log",
    "P3": "CPU with the decision log, against without",
    "P4": "against pydantic, Python loops and an ORM commit a request",
    "P5": "latency that the durable log adds at 1 000 quotes a second: median; p99 in flushes",
    "P6": "batches of 1 000 lines: million lines a second and core; CPU of Postgres a line",
    "P7": "the kernel against a numba loop with the same answers",
    "P8": "100 000 promotions against 1 000 at equal density",
    "P9": "12 competing order promotions, against none",
    "P10": "one changed rule of 100 000: work to publish it; p99 of quotes meanwhile, against before",
    "P11": "a million SKUs: compile; memory",
    "P12": "CPU of a listing of 1 000 prices",
    "P13": "metrics and logs, of the CPU of a request",
    "P14": "start to ready with 100 000 SKUs: from the database; from the disk",
}


def as_markdown(results: Sequence[Figure | Unmeasured], run: str) -> str:
    """The table; the last column names the run that a row is of."""
    lines = ["| # | what | median (low … high) | must reach | reached | beside it | run |", "|---|---|---|---|---|---|---|"]
    for result in results:
        if isinstance(result, Unmeasured):
            lines.append(f"| {result.row} | not measured: {result.why} | | | | | {run} |")
            continue
        value = f"**{_number(result.value.median)}**{result.unit} ({_number(result.value.low)} … {_number(result.value.high)})"
        verdict = {True: "yes", False: "**no**", None: ""}[is_reached(result)]
        lines.append(f"| {result.row} | {result.what} | {value} | {_bound(result)} | {verdict} | {result.beside} | {run} |")
    return "\n".join(lines) + "\n"


def as_short_markdown(results: Sequence[Figure | Unmeasured]) -> str:
    """A line for each number: the medians of the figures that must reach something, what, and whether."""
    lines = ["| # | what | measured | must reach | reached |", "|---|---|---|---|---|"]
    for row in dict.fromkeys(result.row for result in results):
        bounded = [one for one in results if isinstance(one, Figure) and one.row == row and one.reach is not None]
        cells = [
            [f"{_number(one.value.median)}{one.unit}" for one in bounded],
            [_bound(one) for one in bounded],
            ["yes" if is_reached(one) else "**no**" for one in bounded],
        ]
        lines.append(f"| {row} | {TITLES[row]} | " + " | ".join("; ".join(cell) or "not measured" for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _bound(figure: Figure) -> str:
    if figure.reach is None:
        return ""
    return f"{'≥' if figure.reach.sense == 'at_least' else '≤'} {_number(figure.reach.bound)}{figure.unit}"


def thousands(value: float) -> str:
    """A whole number in groups of three digits.

    >>> thousands(1234567.8)
    '1 234 568'
    """
    return f"{value:,.0f}".replace(",", " ")


def _number(value: float) -> str:
    """Three digits that say something.

    >>> [_number(value) for value in (0.04567, 1.0, 12.34, 1234.5, 0.0)]
    ['0.046', '1.00', '12.3', '1 234', '0']
    """
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 100:
        return thousands(value)
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 0.1 else f"{value:.3f}"
