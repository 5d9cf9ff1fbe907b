"""Contests: of promotions that exclude each other on a line, or on the shipping of a basket, those take part that leave it cheapest.

What each promotion wants of such a place is known before the turns, so a set of them is run on the place by itself, and all sets of all contested
places side by side. Source: SEMANTICS.md, Contests and Shipping.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import product
from typing import Final, NamedTuple

import numpy as np

from app.pricing.by_line import Wanted
from app.pricing.groups import Groups, groups_of
from app.pricing.money import Bools, Int64s
from app.pricing.stacking import Contested
from app.pricing.taken import Taken
from app.pricing.together import Work

CONTESTANTS_MAX: Final = 12

# What keeps a promotion from others: the number of its group, or one of these.
_NOTHING: Final = -1
_EXCLUSIVE: Final = -2
_NOBODY: Final = -3  # pads the promotions of a place

# What pairs (n,) want at places (n,) that have come down to so much (n,), and the least that they may leave there.
type Turn = Callable[[Int64s, Int64s, Int64s], tuple[Int64s, Int64s]]


class Decided(NamedTuple):
    """What contests came to, as pairs."""

    lost: Int64s  # not in the winning set of their place
    turned: Int64s  # at places where the sequence alone says otherwise
    excess: Int64s  # contestants beyond those that are searched


def contest(
    work: Work, taken: Taken, app: Int64s, rule: Int64s, line: Int64s, wanted: Wanted, is_on_sale: Bools | None
) -> tuple[Bools | None, Contested | None]:
    """Which pairs (n_pairs,) of promotions that work line by line have lost their line; None where no line is contested.

    Args: app, line (n_pairs,) by application; rule (n_apps,); is_on_sale (n_pairs,) the promotion does not apply to the line.
    """
    bars = bars_of(taken, app)
    pair = _maybe_contested(work, taken, bars, line)
    if pair is None:
        return None, None
    if is_on_sale is not None:
        pair = pair[~is_on_sale[pair]]
    lines = work.lines
    pair = pair[np.argsort(line[pair], kind="stable")]
    pair = pair[wanted.at(pair).of(lines.subtotal_minor[line[pair]], 0, pair.size, work.policy) > 0]
    needs_code = None if lines.shown_lowest_minor is None else work.promotions.requires_code[rule]

    def turn(pair: Int64s, line: Int64s, before: Int64s) -> tuple[Int64s, Int64s]:
        least = lines.lowest_minor[line] if needs_code is None else lines.lowest_for(line, needs_code[app[pair]])
        return wanted.at(pair).of(before, 0, pair.size, work.policy), least

    decided = decide(work.promotions.id, pair, rule[app[pair]], line[pair], bars[pair], lines.subtotal_minor, turn)
    if decided is None:
        return None, None
    n_lines = lines.basket.size
    is_lost, has_losers, turned, bounded = (np.zeros(size, np.bool_) for size in (line.size, n_lines, n_lines, n_lines))
    is_lost[decided.lost] = True
    has_losers[line[decided.lost]] = True
    turned[line[decided.turned]] = True
    bounded[line[decided.excess]] = True
    return is_lost, Contested(has_losers, turned, bounded)


def decide(
    ids: Sequence[str], pair: Int64s, rule: Int64s, place: Int64s, bars: Int64s, start_minor: Int64s, turn: Turn
) -> Decided | None:
    """Hold the contests among pairs (n,) that would take something, laid out by place and sequence; None where no place is contested.

    Args: rule, place, bars (n,); start_minor (n_places,) before any of them.
    """
    at_place = groups_of(place)
    is_contestant = _contestants(at_place, bars)
    if not is_contestant.any():
        return None
    # Places without a contestant are done; of the others all take part who are not in excess.
    is_excess = is_contestant & (at_place.count_before(is_contestant) >= CONTESTANTS_MAX)
    keeps = at_place.any(is_contestant)[at_place.group] & ~is_excess
    kept = pair[keeps]
    won, is_turned = _won(ids, kept, rule[keeps], place[keeps], bars[keeps], start_minor, turn)
    return Decided(kept[~won], kept[is_turned], pair[is_excess])


def bars_of(taken: Taken, app: Int64s) -> Int64s:
    """What keeps each application's promotion (n,) from others."""
    bars = np.full(app.size, _NOTHING) if taken.group_place is None else taken.group_place[app]
    return bars if taken.is_exclusive is None else np.where(taken.is_exclusive[app], _EXCLUSIVE, bars)


def _maybe_contested(work: Work, taken: Taken, bars: Int64s, line: Int64s) -> Int64s | None:
    """The pairs of lines with an exclusive promotion or two of one group, None where there is none."""
    is_maybe = np.zeros(work.lines.basket.size, np.bool_)
    if taken.group_place is not None:
        grouped = (bars >= 0).nonzero()[0]
        cell = line[grouped] * taken.n_groups + bars[grouped]
        cell.sort()
        is_maybe[cell[1:][cell[1:] == cell[:-1]] // taken.n_groups] = True
    if taken.is_exclusive is not None:
        is_maybe[line[bars == _EXCLUSIVE]] = True
    if work.by_sequence is not None:
        is_maybe &= ~work.by_sequence[work.lines.basket]
    return is_maybe[line].nonzero()[0] if is_maybe.any() else None


def _contestants(on_line: Groups, bars: Int64s) -> Bools:
    """Which pairs (n_pairs,), laid out by line, exclude another pair of their line."""
    if on_line.are_single:
        return np.zeros(bars.size, np.bool_)
    has_exclusive = on_line.any(bars == _EXCLUSIVE) & (on_line.sizes() > 1)
    is_contestant: Bools = has_exclusive[on_line.group]
    grouped = (bars >= 0).nonzero()[0]
    cell = on_line.group[grouped] * (int(bars.max()) + 1) + bars[grouped]
    order = np.argsort(cell)
    same = cell[order[1:]] == cell[order[:-1]]
    is_contestant[grouped[order[1:][same]]] = True
    is_contestant[grouped[order[:-1][same]]] = True
    return is_contestant


def _won(
    ids: Sequence[str], pair: Int64s, rule: Int64s, place: Int64s, bars: Int64s, start_minor: Int64s, turn: Turn
) -> tuple[Bools, Bools]:
    """Which pairs (n_pairs,), laid out by place, are in the winning sets of their places, and at which places the sequence alone says otherwise."""
    at_place = groups_of(place)
    n_places, size = at_place.starts.size, int(at_place.sizes().max())
    slot = np.arange(place.size) - at_place.starts[at_place.group]
    pair_at = np.zeros((n_places, size), np.int64)
    pair_at[at_place.group, slot] = np.arange(place.size)
    bars_at = np.full((n_places, size), _NOBODY)
    bars_at[at_place.group, slot] = bars
    table, first, count, pattern = _tables(bars_at)
    n_sets = count[pattern]
    row_place = np.repeat(np.arange(n_places), n_sets)
    first_row = np.cumsum(n_sets) - n_sets
    in_set = table[np.arange(row_place.size) + (first[pattern] - first_row)[row_place]]
    own_place = place[at_place.starts][row_place]
    running = start_minor[own_place]
    has_taken = np.zeros(in_set.shape, np.bool_)
    for number in range(size):
        row = in_set[:, number].nonzero()[0]
        before = running[row]
        amount, least = turn(pair[pair_at[row_place[row], number]], own_place[row], before)
        running[row] = np.minimum(np.maximum(before - amount, least), before)
        has_taken[row, number] = amount > 0
    winner = _winners(running, has_taken, row_place, first_row, in_set, rule[pair_at], ids)
    is_turned = (winner != first_row) | (has_taken[first_row] != in_set[first_row]).any(axis=1)
    return in_set[winner][at_place.group, slot], is_turned[at_place.group]


def _winners(
    running: Int64s, has_taken: Bools, row_line: Int64s, first_row: Int64s, in_set: Bools, rule_at: Int64s, ids: Sequence[str]
) -> Int64s:
    """The winning row of each line; rows are laid out by line."""
    n_taken = has_taken.sum(axis=1)
    order = np.lexsort((n_taken, running, row_line))
    winner = order[first_row]
    is_tied = (running == running[winner][row_line]) & (n_taken == n_taken[winner][row_line])
    n_tied = np.bincount(row_line[is_tied])

    def names(row: int) -> tuple[list[str], list[str]]:
        """The sorted ids of those that take something, and of the whole set."""
        rules = rule_at[row_line[row]]
        return sorted(ids[one] for one in rules[has_taken[row]]), sorted(ids[one] for one in rules[in_set[row]])

    for line in (n_tied > 1).nonzero()[0].tolist():
        high = first_row[line + 1] if line + 1 < first_row.size else row_line.size
        tied = first_row[line] + is_tied[first_row[line] : high].nonzero()[0]
        winner[line] = min(tied.tolist(), key=names)
    return winner


def _tables(bars_at: Int64s) -> tuple[Bools, Int64s, Int64s, Int64s]:
    """The sets of all patterns one after the other, where those of each begin, how many they are, and the pattern of each line."""
    # A group is known by the first place that has it, because only who shares one matters.
    first_alike = (bars_at[:, :, None] == bars_at[:, None, :]).argmax(axis=2)
    patterns, pattern = np.unique(np.where(bars_at >= 0, first_alike, bars_at), axis=0, return_inverse=True)
    tables = [_maximal_sets(tuple(bars)) for bars in patterns.tolist()]
    count = np.array([len(table) for table in tables])
    return np.concatenate(tables), np.cumsum(count) - count, count, pattern


@lru_cache(maxsize=4096)
def _maximal_sets(bars: tuple[int, ...]) -> Bools:
    """Every set (n_sets, n_places) of which no two exclude each other and to which none could be added.

    The first one is the set of those that come first in the sequence.
    """
    others = [place for place, bar in enumerate(bars) if bar >= 0 or bar == _NOTHING]
    exclusive = [(place,) for place, bar in enumerate(bars) if bar == _EXCLUSIVE]
    choices: dict[int, list[int]] = {}
    for place in others:
        # One without a group is a group of its own.
        choices.setdefault(bars[place] if bars[place] >= 0 else -1 - place, []).append(place)
    sets: list[tuple[int, ...]] = [*product(*choices.values())] if others else []
    sets = [*exclusive, *sets] if exclusive and bars[0] == _EXCLUSIVE else [*sets, *exclusive]
    table = np.zeros((len(sets), len(bars)), np.bool_)
    for number, places in enumerate(sets):
        table[number, list(places)] = True
    table.flags.writeable = False
    return table
