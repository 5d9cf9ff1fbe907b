"""Splitting amounts over lines, exactly."""

from typing import Final, Literal, NamedTuple

import numpy as np

from app.pricing.groups import Groups
from app.pricing.money import AMOUNT_MINOR_MAX, Bools, Int64s, Rounding, mul_div, round_mul_div, round_up_where

type Remainder = Literal["largest", "first", "last", "nearest", "carry"]

_REST_BITS: Final = AMOUNT_MINOR_MAX.bit_length()  # a remainder lies below the sum of the weights


def allocate(amount: Int64s, weight: Int64s, groups: Groups, *, remainder: Remainder, rounding: Rounding) -> Int64s:
    """Split amount (n_groups,) over the pairs in proportion to weight (n_pairs,); the parts of a group sum to its amount.

    A group whose weights are all 0 gets nothing. All values are non-negative minor units up to 9e11. `rounding` is used by
    the remainder policies `last` and `carry` only. Source: SEMANTICS.md, Allocation.

    >>> g = Groups(np.zeros(3, np.int64), np.zeros(1, np.int64))
    >>> [allocate(np.array([100]), np.array([1, 1, 1]), g, remainder=r, rounding="half_up").tolist() for r in ("largest", "last")]
    [[34, 33, 33], [33, 33, 34]]
    """
    if weight.size == 0:
        return np.zeros(0, np.int64)
    total = groups.sum(weight)
    amount = np.where(total > 0, amount, 0)
    divisor = np.maximum(total, 1)[groups.group]
    if remainder == "carry":
        return _carried(amount, weight, divisor, groups, rounding)
    floor, rest = mul_div(amount[groups.group], weight, divisor)
    match remainder:
        case "largest":
            return _largest(amount, floor, rest, groups)
        case "first":
            is_open = weight > 0
            missing = amount - groups.sum(floor)
            return np.asarray(floor + (is_open & (groups.count_before(is_open) < missing[groups.group])), np.int64)
        case "last":
            return _last(amount, weight, round_up_where(floor, rest, divisor, rounding), groups)
        case "nearest":
            return _nearest(amount, weight, round_up_where(floor, rest, divisor, "half_down"), groups)


def _largest(amount: Int64s, floor: Int64s, rest: Int64s, groups: Groups) -> Int64s:
    """Floors, and one cent each to the largest remainders, ties to the earlier pair."""
    missing = amount - groups.sum(floor)
    if not missing.any():
        return floor
    # Within a group the greater remainder sorts first; a stable sort leaves ties to the earlier pair and groups where they are.
    order = np.argsort((groups.group << _REST_BITS) - rest, kind="stable")
    rank = np.arange(rest.size) - groups.starts[groups.group]
    floor[order] += rank < missing[groups.group]
    return floor


def _last(amount: Int64s, weight: Int64s, part: Int64s, groups: Groups) -> Int64s:
    """Rounded parts while the amount lasts; the last pair with weight takes what is left."""
    reached = np.cumsum(part)
    reached -= (reached - part)[groups.starts][groups.group]
    limit = amount[groups.group]
    taken = np.minimum(reached, limit) - np.minimum(reached - part, limit)
    is_open = weight > 0
    count = groups.sum(is_open.astype(np.int64))
    is_last = is_open & (groups.count_before(is_open) == count[groups.group] - 1)
    taken[is_last] += (limit - np.minimum(reached, limit))[is_last]
    return np.asarray(taken, np.int64)


def _nearest(amount: Int64s, weight: Int64s, part: Int64s, groups: Groups) -> Int64s:
    """Parts rounded half down, corrected by one each from the first.

    Each part is off by at most a half, so at most as many corrections are needed as there are pairs that can bear one.
    """
    missing = (amount - groups.sum(part))[groups.group]
    is_open = weight > 0
    is_full = part > 0
    add = is_open & (groups.count_before(is_open) < missing)
    take = is_full & (groups.count_before(is_full) < -missing)
    return part + add - take


def _carried(amount: Int64s, weight: Int64s, divisor: Int64s, groups: Groups, rounding: Rounding) -> Int64s:
    """What rounding a part left over goes on to the next one: up to each pair the parts sum to the rounded part of the whole."""
    reached = np.cumsum(weight)
    reached -= (reached - weight)[groups.starts][groups.group]
    rounded = round_mul_div(amount[groups.group], reached, divisor, rounding)
    before = np.concatenate((np.zeros(1, np.int64), rounded[:-1]))
    before[groups.starts] = 0
    return rounded - before


class Taken(NamedTuple):
    """What the pairs took of an allocated amount, and what nobody could take."""

    taken_minor: Int64s  # (n_pairs,)
    dropped_minor: Int64s  # (n_groups,)
    is_fixed: Bools  # (n_pairs,) the pair stands at its room


def allocate_within(
    amount: Int64s, weight: Int64s, room: Int64s, groups: Groups, *, remainder: Remainder, rounding: Rounding
) -> Taken:
    """Split as `allocate` does, but no pair takes more than its room; what it refuses is split again over the others.

    Pairs whose share exceeds their room are fixed at it, and the rest is allocated anew, until no share exceeds.
    """
    share = allocate(amount, weight, groups, remainder=remainder, rounding=rounding)
    is_over = is_fixed = share > room
    while is_over.any():
        is_fixed = is_fixed | is_over
        open_amount = amount - groups.sum(np.where(is_fixed, room, 0))
        share = allocate(open_amount, np.where(is_fixed, 0, weight), groups, remainder=remainder, rounding=rounding)
        is_over = (share > room) & ~is_fixed
    taken = np.where(is_fixed, room, share)
    return Taken(taken, amount - groups.sum(taken), is_fixed)
