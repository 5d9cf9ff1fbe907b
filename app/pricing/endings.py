"""Charm endings: the permitted endings of a price, per currency and price band."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from app.pricing.guardrails import Bounds
from app.pricing.money import E4, INT64_MAX, Bools, Int64s, ceil_div

type Gain = Callable[[Int64s, Int64s], NDArray[np.float64]]

NEAREST: Final = 0
DOWN: Final = 1
UP: Final = 2
PROFIT: Final = 3
GAIN_TOLERANCE: Final = 1e-9
DIRECTIONS: Final = {"nearest": NEAREST, "down": DOWN, "up": UP, "profit": PROFIT}


class Endings(NamedTuple):
    """The ending rules of a book by row.

    Bands `band_first[row]` ... `band_first[row + 1]`, each up to `band_up_to_e4` inclusive; endings `ending_first[band]` ... of the `ending_*`
    arrays: a price in whole minor units has the ending when price mod `ending_modulus` is `ending_rest`.
    """

    direction: Int64s
    band_first: Int64s
    band_up_to_e4: Int64s
    ending_first: Int64s
    ending_rest: Int64s
    ending_modulus: Int64s


def compile_endings(bodies: Sequence[Mapping[str, Any]]) -> Endings:
    """Compile ending rules 0, 1, ... Raises ValueError when the bands do not rise. Above a closed last band no price has an ending."""
    band_first, up_to, ending_first, rest, modulus = [0], [], [0], [], []
    for body in bodies:
        bounds = [band.get("up_to") for band in body["bands"]]
        known = [bound for bound in bounds if bound is not None]
        if None in bounds[:-1] or known != sorted(set(known)):
            raise ValueError("the bands must rise, and only the last may be open: up_to null")
        closing: list[dict[str, Any]] = [] if bounds[-1] is None else [{"endings": []}]
        for band in (*body["bands"], *closing):
            up_to.append(INT64_MAX if band.get("up_to") is None else band["up_to"] * E4)
            rest += [int(ending) for ending in band["endings"]]
            modulus += [10 ** len(ending) for ending in band["endings"]]
            ending_first.append(len(rest))
        band_first.append(len(up_to))
    return Endings(
        np.array([DIRECTIONS[body.get("direction") or "nearest"] for body in bodies], np.int64),
        *(np.array(values, np.int64) for values in (band_first, up_to, ending_first, rest, modulus)),
    )


def choose_ending(endings: Endings, row: Int64s, unit_e4: Int64s, otherwise_e4: Int64s, bounds: Bounds, gain: Gain) -> Int64s:
    """The price with a permitted ending next to each price (n,); `otherwise_e4` where there is no rule (row −1) or no candidate.

    Profit is unimodal in the price, so only the nearest candidate on either side can win. Source: SEMANTICS.md, Endings.
    """
    line = np.flatnonzero(row >= 0)
    if line.size == 0:
        return otherwise_e4
    at = row[line]
    price, floor, ceiling = unit_e4[line], bounds.floor_e4[line], bounds.ceiling_e4[line]
    band = _band(endings, at, price)
    lower, has_lower = _nearest(endings, band, np.minimum(price, ceiling) // E4, floor, ceiling, is_below=True)
    upper, has_upper = _nearest(endings, band, ceil_div(np.maximum(price, floor), E4), floor, ceiling, is_below=False)

    direction = endings.direction[at]
    prefers_lower = price - lower <= upper - price
    prefers_lower |= direction == DOWN
    prefers_lower &= direction != UP
    by_gain = np.flatnonzero((direction == PROFIT) & has_lower & has_upper)
    if by_gain.size:
        lines = line[by_gain]
        low, high = gain(lines, lower[by_gain]), gain(lines, upper[by_gain])
        # Gains that close cannot be told apart in float64; then the nearer price stands.
        is_clear = np.abs(low - high) > GAIN_TOLERANCE * np.maximum(np.abs(low), np.abs(high))
        prefers_lower[by_gain] = np.where(is_clear, low > high, prefers_lower[by_gain])
    takes_lower = has_lower & (prefers_lower | ~has_upper)
    chosen = otherwise_e4.copy()
    chosen[line] = np.where(takes_lower, lower, np.where(has_upper, upper, otherwise_e4[line]))
    return chosen


def ending_beyond(endings: Endings, row: Int64s, unit_e4: Int64s, bounds: Bounds, *, is_below: bool) -> tuple[Int64s, Bools]:
    """The nearest permitted ending at or beyond each price (n,), and whether there is one; there is none without a rule (row −1)."""
    found_e4, is_found = np.zeros(row.size, np.int64), np.zeros(row.size, np.bool_)
    line = np.flatnonzero(row >= 0)
    if line.size:
        price, floor, ceiling = unit_e4[line], bounds.floor_e4[line], bounds.ceiling_e4[line]
        start = np.minimum(price, ceiling) // E4 if is_below else ceil_div(np.maximum(price, floor), E4)
        band = _band(endings, row[line], price)
        found_e4[line], is_found[line] = _nearest(endings, band, start, floor, ceiling, is_below=is_below)
    return found_e4, is_found


def _band(endings: Endings, row: Int64s, unit_e4: Int64s) -> Int64s:
    """The first band at or above each price; the last is open."""
    band = endings.band_first[row].copy()
    while True:
        is_above = unit_e4 > endings.band_up_to_e4[band]
        if not is_above.any():
            return band
        band += is_above


def _nearest(
    endings: Endings, band: Int64s, start_minor: Int64s, floor_e4: Int64s, ceiling_e4: Int64s, *, is_below: bool
) -> tuple[Int64s, Bools]:
    """The nearest price in e4 at or beyond a start (n,) with any ending of its band that the bounds permit, and whether there is one."""
    best = np.full(band.size, -1 if is_below else INT64_MAX, np.int64)
    low, count = endings.ending_first[band], np.diff(endings.ending_first)[band]
    for number in range(int(count.max())):
        is_there = number < count
        ending = np.where(is_there, low + number, 0)
        rest, modulus = endings.ending_rest[ending], endings.ending_modulus[ending]
        price = start_minor - (start_minor - rest) % modulus if is_below else start_minor + (rest - start_minor) % modulus
        is_permitted = is_there & (price > 0) & (price * E4 >= floor_e4) & (price * E4 <= ceiling_e4)
        better = np.maximum(best, price) if is_below else np.minimum(best, price)
        best = np.where(is_permitted, better, best)
    is_found = (best >= 0) & (best < INT64_MAX)
    return np.where(is_found, best, 0) * E4, is_found
