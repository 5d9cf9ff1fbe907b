"""Contests on lines: of promotions that exclude each other on a line, those take part that leave it cheapest.

What each promotion wants of a line is known before the turns, so a set of them is run on the line by itself, and all sets of all contested
lines side by side. Source: SEMANTICS.md, Contests.
"""

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from typing import Final

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
_NOBODY: Final = -3  # pads the promotions of a line


def contest(
    work: Work, taken: Taken, app: Int64s, rule: Int64s, line: Int64s, wanted: Wanted, is_on_sale: Bools | None
) -> tuple[Bools | None, Contested | None]:
    """Which pairs (n_pairs,) of promotions that work line by line have lost their line; None where no line is contested.

    Args: app, line (n_pairs,) by application; rule (n_apps,); is_on_sale (n_pairs,) the promotion does not apply to the line.
    """
    bars = _bars(taken, app)
    pair = _maybe_contested(work, taken, bars, line)
    if pair is None:
        return None, None
    if is_on_sale is not None:
        pair = pair[~is_on_sale[pair]]
    lines = work.lines
    pair = pair[np.argsort(line[pair], kind="stable")]
    pair = pair[wanted.at(pair).of(lines.subtotal_minor[line[pair]], 0, pair.size, work.policy) > 0]
    on_line = groups_of(line[pair])
    is_contestant = _contestants(on_line, bars[pair])
    if not is_contestant.any():
        return None, None
    # Lines without a contestant are done; of the others all take part who are not in excess.
    rank = on_line.count_before(is_contestant)
    is_excess = is_contestant & (rank >= CONTESTANTS_MAX)
    keeps = on_line.any(is_contestant)[on_line.group] & ~is_excess
    excess_line = line[pair[is_excess]]
    pair = pair[keeps]
    won, is_turned = _won(work, rule[app[pair]], line[pair], wanted.at(pair), bars[pair])
    n_lines = lines.basket.size
    is_lost, has_losers, turned, bounded = (np.zeros(size, np.bool_) for size in (line.size, n_lines, n_lines, n_lines))
    lost = pair[~won]
    is_lost[lost] = True
    has_losers[line[lost]] = True
    turned[line[pair[is_turned]]] = True
    bounded[excess_line] = True
    return is_lost, Contested(has_losers, turned, bounded)


def _bars(taken: Taken, app: Int64s) -> Int64s:
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
    key = on_line.group * (int(bars.max(initial=0)) + 1) + bars
    order = np.argsort(np.where(bars >= 0, key, -1), kind="stable")
    same = (key[order[1:]] == key[order[:-1]]) & (bars[order[1:]] >= 0) & (bars[order[:-1]] >= 0)
    is_contestant[order[1:][same]] = True
    is_contestant[order[:-1][same]] = True
    return is_contestant


def _won(work: Work, rule: Int64s, line: Int64s, wanted: Wanted, bars: Int64s) -> tuple[Bools, Bools]:
    """Which pairs (n_pairs,), laid out by line, are in the winning sets of their lines, and on which lines the sequence alone says otherwise."""
    on_line = groups_of(line)
    n_lines, size = on_line.starts.size, int(on_line.sizes().max())
    slot = np.arange(line.size) - on_line.starts[on_line.group]
    pair_at = np.zeros((n_lines, size), np.int64)
    pair_at[on_line.group, slot] = np.arange(line.size)
    bars_at = np.full((n_lines, size), _NOBODY)
    bars_at[on_line.group, slot] = bars
    table, first, count, pattern = _tables(bars_at)
    n_sets = count[pattern]
    row_line = np.repeat(np.arange(n_lines), n_sets)
    first_row = np.cumsum(n_sets) - n_sets
    in_set = table[np.arange(row_line.size) + (first[pattern] - first_row)[row_line]]
    own_line = line[on_line.starts][row_line]
    running, lowest = work.lines.subtotal_minor[own_line], work.lines.lowest_minor[own_line]
    needs_code = None if work.lines.shown_lowest_minor is None else work.promotions.requires_code[rule]
    has_taken = np.zeros(in_set.shape, np.bool_)
    for place in range(size):
        row = in_set[:, place].nonzero()[0]
        before = running[row]
        pair = pair_at[row_line[row], place]
        amount = wanted.at(pair).of(before, 0, row.size, work.policy)
        least = lowest[row] if needs_code is None else work.lines.lowest_for(own_line[row], needs_code[pair])
        running[row] = np.minimum(np.maximum(before - amount, least), before)
        has_taken[row, place] = amount > 0
    winner = _winners(running, has_taken, row_line, first_row, in_set, rule[pair_at], work.promotions.id)
    is_turned = (winner != first_row) | (has_taken[first_row] != in_set[first_row]).any(axis=1)
    return in_set[winner][on_line.group, slot], is_turned[on_line.group]


def _winners(
    running: Int64s, has_taken: Bools, row_line: Int64s, first_row: Int64s, in_set: Bools, rule_at: Int64s, ids: Sequence[str]
) -> Int64s:
    """The winning row of each line; rows are laid out by line."""
    n_taken = has_taken.sum(axis=1)
    order = np.lexsort((n_taken, running, row_line))
    winner = order[first_row]
    is_tied = (running == running[winner][row_line]) & (n_taken == n_taken[winner][row_line])
    n_tied = np.bincount(row_line[is_tied], minlength=winner.size)

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
    return np.concatenate(tables), np.cumsum(count) - count, count, pattern.reshape(-1)


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
