"""Medians with their spread, and the figures of the table."""

import statistics
from collections.abc import Sequence
from typing import Literal, NamedTuple


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


def as_markdown(results: Sequence[Figure | Unmeasured]) -> str:
    """The table."""
    lines = ["| # | what | median (low … high) | must reach | | beside it |", "|---|---|---|---|---|---|"]
    for result in results:
        if isinstance(result, Unmeasured):
            lines.append(f"| {result.row} | not measured: {result.why} | | | | |")
            continue
        value = f"**{_number(result.value.median)}**{result.unit} ({_number(result.value.low)} … {_number(result.value.high)})"
        reach = ""
        if result.reach is not None:
            sign = "≥" if result.reach.sense == "at_least" else "≤"
            reach = f"{sign} {_number(result.reach.bound)}{result.unit}"
        verdict = {True: "yes", False: "**no**", None: ""}[is_reached(result)]
        lines.append(f"| {result.row} | {result.what} | {value} | {reach} | {verdict} | {result.beside} |")
    return "\n".join(lines) + "\n"


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
