"""Ladders: the prices of good, better, best keep their order and their gaps, each in its band. Source: SEMANTICS.md, Ladders."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from app.pricing.endings import Endings, ending_beyond
from app.pricing.guardrails import Bounds, clamp_unit
from app.pricing.money import E4, PPM, UNIT_E4_MAX, Bools, Int64s, ceil_div, mul_div, parse_percent_ppm, parse_unit_price_e4
from app.pricing.scope import value_at

RUNGS_MAX: Final = 20
LIST: Final = 0
MARKET: Final = 1
REFERENCES: Final = {"list": LIST, "market": MARKET}
_OPEN: Final = -1
# A gap is at most eleven times the price below it.
assert UNIT_E4_MAX * 101 < 2**62


class Ladders(NamedTuple):
    """The ladders of a book by row, and their rungs from the lowest; rung r of ladder l stands at `first[l]` + r.

    A key is currency row · n_skus + SKU row. `rung_key` is sorted, `rung_of_key` the rung that stands there.
    """

    first: Int64s  # (n_ladders + 1,)
    reference: Int64s  # (n_ladders,)
    key: Int64s  # (n_rungs,)
    gap_e4: Int64s
    gap_ppm: Int64s
    low_ppm: Int64s  # −1 where the band is open
    high_ppm: Int64s
    rung_key: Int64s
    rung_of_key: Int64s


class Rung(NamedTuple):
    """One rung, read."""

    key: int
    gap_e4: int
    gap_ppm: int
    low_ppm: int
    high_ppm: int


def read_rung(body: Mapping[str, Any], key: int) -> Rung:
    """Read a rung of a ladder."""
    low, high = (_OPEN if body.get(name) is None else parse_percent_ppm(body[name]) for name in ("low_percent", "high_percent"))
    return Rung(
        key, parse_unit_price_e4(body.get("gap_amount") or "0"), parse_percent_ppm(body.get("gap_percent") or "0"), low, high
    )


def pack_ladders(references: list[str], rungs: list[list[Rung]]) -> Ladders:
    """Pack ladders 0, 1, ... whose keys are all different."""
    first = np.zeros(len(rungs) + 1, np.int64)
    np.cumsum([len(own) for own in rungs], out=first[1:])
    table = np.array([rung for own in rungs for rung in own], np.int64).reshape(-1, len(Rung._fields))
    key, gap_e4, gap_ppm, low_ppm, high_ppm = (table[:, column].copy() for column in range(len(Rung._fields)))
    order = np.argsort(key, kind="stable")
    reference = np.array([REFERENCES[name] for name in references], np.int64)
    return Ladders(first, reference, key, gap_e4, gap_ppm, low_ppm, high_ppm, key[order], order)


def rungs_of(ladders: Ladders, key: Int64s) -> Int64s:
    """The rung of each line by its key (n_lines,), −1 without."""
    return value_at(ladders.rung_key, ladders.rung_of_key, key)


class Steps(NamedTuple):
    """Rungs (n,) that have a price, ladder by ladder (of one context each) and upwards, with what each brings along."""

    place: Int64s  # of its ladder; ascending
    rung: Int64s
    unit_e4: Int64s
    list_unit_e4: Int64s
    market_e4: Int64s  # −1 without
    endings_row: Int64s  # −1 without
    bounds: Bounds


class Kept(NamedTuple):
    """What became of rungs (n,)."""

    unit_e4: Int64s
    is_short: Bools  # the gap to the rung below could not be kept


def keep_order(ladders: Ladders, endings: Endings, steps: Steps, grain_e4: int) -> Kept:
    """Move the prices of ladders so that they keep order, gaps and bands; all of them are multiples of a grain."""
    unit = steps.unit_e4.copy()
    limits = _limits(ladders, steps, grain_e4)
    is_whole = (steps.list_unit_e4 % E4 == 0) | (grain_e4 == E4)
    is_first = np.ones(unit.size, np.bool_)
    is_first[1:] = steps.place[1:] != steps.place[:-1]
    starts = np.flatnonzero(is_first)
    number = np.arange(unit.size) - np.repeat(starts, np.diff(np.append(starts, unit.size)))
    n_rungs = int(number.max(initial=-1)) + 1
    for rung in range(n_rungs):
        at = np.flatnonzero(number == rung)
        below = unit[at - 1] + _gap_e4(ladders, steps.rung[at], unit[at - 1]) if rung else np.zeros(at.size, np.int64)
        unit[at] = _raised(endings, steps, limits, is_whole[at], at, below)
    for rung in range(n_rungs - 1, 0, -1):
        at = np.flatnonzero(number == rung)
        unit[at - 1] = _lowered(
            endings, steps, limits, is_whole[at - 1], at - 1, unit, _most_e4(ladders, steps.rung[at], unit[at])
        )
    above = np.flatnonzero(~is_first)
    is_short = np.zeros(unit.size, np.bool_)
    is_short[above] = unit[above] < unit[above - 1] + _gap_e4(ladders, steps.rung[above], unit[above - 1])
    return Kept(unit, is_short)


def _limits(ladders: Ladders, steps: Steps, grain_e4: int) -> Bounds:
    """The bounds of each rung, tightened by its band."""
    is_market = ladders.reference[ladder_of(ladders, steps.rung)] == MARKET
    reference = np.where(is_market, steps.market_e4, steps.list_unit_e4)
    low, high = ladders.low_ppm[steps.rung], ladders.high_ppm[steps.rung]
    has_low, has_high = (reference >= 0) & (low >= 0), (reference >= 0) & (high >= 0)
    known = np.maximum(reference, 0)
    quotient, rest = mul_div(known, np.maximum(low, 0), PPM)
    low_e4 = np.minimum(ceil_div(quotient + (rest > 0), grain_e4) * grain_e4, UNIT_E4_MAX)
    lowest = np.where(has_low, clamp_unit(low_e4, steps.bounds), steps.bounds.floor_e4)
    quotient, _ = mul_div(known, np.maximum(high, 0), PPM)
    high_e4 = quotient // grain_e4 * grain_e4
    highest = np.where(has_high, clamp_unit(high_e4, steps.bounds), steps.bounds.ceiling_e4)
    return steps.bounds._replace(floor_e4=lowest, ceiling_e4=np.maximum(np.minimum(highest, UNIT_E4_MAX), lowest))


def _gap_e4(ladders: Ladders, rung: Int64s, below_e4: Int64s) -> Int64s:
    quotient, rest = mul_div(below_e4, ladders.gap_ppm[rung], PPM)
    return ladders.gap_e4[rung] + quotient + (rest > 0)


def _most_e4(ladders: Ladders, rung: Int64s, above_e4: Int64s) -> Int64s:
    """The greatest price below a rung (n,) that keeps its gap."""
    quotient, _ = mul_div(np.maximum(above_e4 - ladders.gap_e4[rung], 0), PPM, PPM + ladders.gap_ppm[rung])
    return quotient


def _raised(endings: Endings, steps: Steps, limits: Bounds, is_whole: Bools, at: Int64s, below_e4: Int64s) -> Int64s:
    """The prices of rungs `at` on the way up."""
    price, own = steps.unit_e4[at], limits.only(at)
    need = np.maximum(np.maximum(price, own.floor_e4), below_e4)
    ending, has_ending = ending_beyond(endings, steps.endings_row[at], np.minimum(need, UNIT_E4_MAX), own, is_below=False)
    plain = np.where(is_whole, ceil_div(need, E4) * E4, need)
    raised = np.where(need > price, np.where(has_ending & (ending >= need), ending, plain), price)
    return np.minimum(raised, own.ceiling_e4)


def _lowered(
    endings: Endings, steps: Steps, limits: Bounds, is_whole: Bools, at: Int64s, unit_e4: Int64s, most_e4: Int64s
) -> Int64s:
    """The prices of rungs `at` on the way down."""
    price, own = unit_e4[at], limits.only(at)
    ending, has_ending = ending_beyond(endings, steps.endings_row[at], most_e4, own, is_below=True)
    plain = np.where(is_whole, most_e4 // E4 * E4, most_e4)
    lowered = np.maximum(np.where(has_ending & (ending <= most_e4), ending, plain), own.floor_e4)
    return np.where(price > most_e4, lowered, price)


def ladder_of(ladders: Ladders, rung: Int64s) -> Int64s:
    """The ladder of each rung (n,)."""
    return np.searchsorted(ladders.first, rung, side="right") - 1
