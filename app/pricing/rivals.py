"""Rivals: promotions of a basket of which leaving one out may help another, and the combinations in which they take part.

Source: SEMANTICS.md, Rivals and Search.
"""

from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from app.pricing.money import Bools, Int64s
from app.pricing.promotions import NO_GROUP, Promotions
from app.pricing.stacking import Applications, Lines, Outcome
from app.pricing.together import Work

RIVALS_MAX: Final = 12
WORK_MAX: Final = 8_192  # combinations × lines of the basket


class Field(NamedTuple):
    """The live applications of a basket and the rivals among them, by sequence."""

    basket: int
    app: Int64s  # (n_live,) among all applications
    rival: Int64s  # (n_searched,) among the live ones
    takes_part: Bools  # (n_combinations, n_searched)
    is_bounded: bool  # there are more rivals
    runs_lines: bool  # the combinations differ on the line level
    runs_sequence: bool  # the sequence alone may come to less
    is_whole: bool  # its order promotions are open to all of its lines, so that only the sums of these matter to them


def fields_of(work: Work, apps: Applications, live: Int64s, outcome: Outcome, is_turned: Bools | None = None) -> list[Field]:
    """The baskets in which combinations have to be tried, after all have taken part.

    `is_turned` are baskets (n_baskets,) whose lines cost something else where the sequence alone decides; None: their contests say it.
    """
    by_sequence = _may_win_by_sequence(work, apps, live, outcome)
    if is_turned is not None:
        by_sequence[apps.basket[live]] = True
        by_sequence &= is_turned
    is_maybe = _may_have_rivals(work, apps, live)
    is_maybe[apps.basket[outcome.is_short]] = True
    found: list[Field] = []
    is_maybe |= by_sequence
    baskets = is_maybe.nonzero()[0]
    bounds = np.searchsorted(apps.basket[live], (baskets, baskets + 1)).T.tolist()
    known: dict[tuple[bytes, int], _Rivals] = {}
    for number, (low, high) in zip(baskets.tolist(), bounds, strict=True):
        field = _field(work, apps, live[low:high], outcome, number, known, by_sequence=bool(by_sequence[number]))
        if field.runs_sequence or field.is_bounded or len(field.takes_part) > 1:
            found.append(field)
    return found


def _may_have_rivals(work: Work, apps: Applications, live: Int64s) -> Bools:
    """Baskets whose live applications may exclude each other otherwise than in contests on lines (n_baskets,)."""
    promotions, rule, basket = work.promotions, apps.rule[live], apps.basket[live]
    n_baskets = work.orders.context.size
    is_maybe: Bools = np.bincount(basket[promotions.uses_units[rule]], minlength=n_baskets) > 1
    is_exclusive = promotions.is_exclusive[rule]
    is_barred = is_exclusive | (promotions.group[rule] != NO_GROUP)
    if not is_barred.any():
        return is_maybe
    is_order_level = rule >= promotions.n_line_level
    is_joint = ~(is_order_level | promotions.is_by_line[rule])

    def has(flags: Bools) -> Bools:
        """In which baskets an application has a flag."""
        found = np.zeros(n_baskets, np.bool_)
        found[basket[flags]] = True
        return found

    if is_order_level.any():
        is_maybe |= has(is_order_level & is_barred) & (np.bincount(basket[is_order_level], minlength=n_baskets) > 1)
        is_maybe |= has(is_order_level) & has(is_exclusive & ~is_order_level)
    if is_joint.any():
        is_maybe |= has(is_joint) & has(is_barred & ~is_order_level)
    return is_maybe


def _may_win_by_sequence(work: Work, apps: Applications, live: Int64s, outcome: Outcome) -> Bools:
    """Baskets (n_baskets,) where what contests have decided on a line may cost more elsewhere than it gives there.

    A contest leaves its line as cheap as can be, so only what works on several lines or on the order can make up for another choice.
    """
    found = np.zeros(work.orders.context.size, np.bool_)
    if outcome.contested is None:
        return found
    promotions, rule = work.promotions, apps.rule[live]
    is_order_level = rule >= promotions.n_line_level
    has_losers = outcome.contested.has_losers
    if is_order_level.any():
        has_order = np.zeros_like(found)
        has_order[apps.basket[live[is_order_level]]] = True
        basket = work.lines.basket[outcome.contested.is_turned]
        found[basket[has_order[basket]]] = True
    is_joint = ~(is_order_level | promotions.is_by_line[rule])
    if is_joint.any():
        joint = live[is_joint]
        pair, groups = apps.lines.chosen(joint)
        found[apps.basket[joint[groups.any(has_losers[apps.line[pair]])]]] = True
        feels_all = joint[promotions.conditions.needs_order[apps.rule[joint]]]
        if feels_all.size:
            has_contest = np.zeros_like(found)
            has_contest[work.lines.basket[has_losers]] = True
            basket = apps.basket[feels_all]
            found[basket[has_contest[basket]]] = True
    return found


class _Rivals(NamedTuple):
    """Who are rivals among live applications, and how they take part."""

    searched: Int64s
    takes_part: Bools
    is_bounded: bool
    runs_lines: bool
    has_wholes: bool  # line promotions exclude each other wholly


def _field(
    work: Work,
    apps: Applications,
    app: Int64s,
    outcome: Outcome,
    basket: int,
    known: dict[tuple[bytes, int], _Rivals],
    *,
    by_sequence: bool,
) -> Field:
    """What is to be tried in a basket; `known` are those where everything is open to all and nothing falls short."""
    rule = apps.rule[app]
    low, high = work.orders.first_line[basket : basket + 2].tolist()
    is_open = _open(work.promotions, apps, app, work.lines, low, high)
    is_plain = bool(is_open.all()) and not outcome.is_short[app].any()
    key = rule.tobytes(), high - low
    rivals = known.get(key) if is_plain else None
    if rivals is None:
        rivals = _rivals(work.promotions, rule, is_open, _feeling_short(work, apps, app, outcome, low, high))
        if is_plain:
            known[key] = rivals
    is_order_level = rule >= work.promotions.n_line_level
    has_losers = outcome.contested is not None and bool(outcome.contested.has_losers[low:high].any())
    return Field(
        basket,
        app,
        rivals.searched,
        rivals.takes_part,
        rivals.is_bounded,
        rivals.runs_lines,
        by_sequence or (rivals.runs_lines and (has_losers or rivals.has_wholes)),
        bool(is_open[is_order_level].all() and not work.lines.is_exclusively_taken[low:high].any()),
    )


def _rivals(promotions: Promotions, rule: Int64s, is_open: Bools, feels_short: Bools) -> _Rivals:
    """Find them, given which lines are open to whom (n_live, n_lines)."""
    is_order_level = rule >= promotions.n_line_level
    is_single = promotions.is_by_line[rule]
    is_joint = ~(is_order_level | is_single)
    group, is_exclusive = promotions.group[rule], promotions.is_exclusive[rule]
    # Only who is exclusive or has a group can exclude another: the rows of the tables.
    barred = (is_exclusive | (group != NO_GROUP)).nonzero()[0]
    level, bars = is_order_level[barred][:, None], group[barred][:, None]
    excludes = ((bars == group) & (bars != NO_GROUP)) | is_exclusive[barred][:, None] | is_exclusive
    excludes &= level == is_order_level
    excludes[np.arange(barred.size), barred] = False
    shares = is_open[barred].astype(np.int64) @ is_open.T.astype(np.int64) > 0
    by_lines = excludes & shares & ~level & ~(is_single[barred][:, None] & is_single)
    by_lines |= shares & (is_exclusive[barred][:, None] & ~level & is_order_level)
    has_open = is_open.any(axis=1)
    is_free = feels_short | by_lines.any(axis=0)
    is_free[barred[by_lines.any(axis=1)]] = True
    by_order = excludes & level & has_open & has_open[barred][:, None]
    sets = promotions.uses_units[rule].nonzero()[0]
    shares = is_open[sets].astype(np.int64) @ is_open[sets].T.astype(np.int64) > 0
    is_free[sets] |= shares.sum(axis=1) > 1
    is_rival = is_free | by_order.any(axis=0)
    is_rival[barred] |= by_order.any(axis=1)
    rival = (is_rival & has_open).nonzero()[0]
    searched = rival[:RIVALS_MAX]
    excludes_wholly = np.zeros((searched.size, rule.size), np.bool_)
    is_barred = np.isin(searched, barred)
    excludes_wholly[is_barred] = excludes[np.searchsorted(barred, searched[is_barred])]
    excludes_wholly = excludes_wholly[:, searched]
    excludes_wholly |= excludes_wholly.T
    is_alike = (is_open[searched][:, None] == is_open[searched]).all(axis=2) & is_joint[searched]
    excludes_wholly &= is_order_level[searched] | (is_alike & is_alike.T)
    takes_part = combinations_of(_masks(excludes_wholly), tuple(is_free[searched].tolist()), is_open.shape[1])
    has_wholes = bool((excludes_wholly & ~is_order_level[searched]).any())
    searched = searched[: takes_part.shape[1]]
    is_line_level = ~is_order_level[searched]
    return _Rivals(searched, takes_part, searched.size < rival.size, bool(is_line_level.any()), has_wholes)


def _open(promotions: Promotions, apps: Applications, app: Int64s, lines: Lines, low: int, high: int) -> Bools:
    """Which lines from `low` to `high` are open to applications (n_apps, n_lines)."""
    is_open = np.zeros((app.size, high - low), np.bool_)
    pair, groups = apps.lines.chosen(app)
    line = apps.line[pair]
    is_open[groups.group, line - low] = True
    if lines.is_on_sale[low:high].any():
        is_open &= ~(promotions.not_on_sale[apps.rule[app]][:, None] & lines.is_on_sale[low:high])
    return is_open


def _feeling_short(work: Work, apps: Applications, app: Int64s, outcome: Outcome, low: int, high: int) -> Bools:
    """Which applications (n_apps,) of a basket fall short, or have taken something of what one measures that does."""
    is_short = outcome.is_short[app]
    found: Bools = is_short.copy()
    if not is_short.any():
        return found
    rule = apps.rule[app]
    has_taken = np.zeros((app.size, high - low), np.bool_)
    for block in outcome.on_lines:
        own = (block.where >= low) & (block.where < high) & ~block.is_give_back
        has_taken[np.searchsorted(rule, block.rule[own]), block.where[own] - low] = True
    for place in is_short.nonzero()[0].tolist():
        measured = np.ones(high - low, np.bool_)
        if not work.promotions.conditions.needs_order[rule[place]]:
            measured[:] = False
            pair, _ = apps.lines.chosen(app[place : place + 1])
            measured[apps.line[pair] - low] = True
        found[:place] |= has_taken[:place, measured].any(axis=1)
    return found


def _masks(excludes: Bools) -> tuple[int, ...]:
    """Whom each rival excludes wholly, a bit each."""
    return tuple((excludes @ (1 << np.arange(len(excludes)))).tolist())


@lru_cache(maxsize=1024)
def combinations_of(excludes: tuple[int, ...], is_free: tuple[bool, ...], n_lines: int) -> Bools:
    """Which rivals take part (n_combinations, n_searched), of as many of the first rivals as the bound on work admits.

    Args: excludes: whom each rival excludes wholly, a bit each; is_free: whether it may be missing whoever takes part.
    """
    for size in range(len(excludes), -1, -1):
        sets = np.zeros(1, np.int64)
        for place in range(size):
            fits = sets[(sets & excludes[place]) == 0]
            sets = np.concatenate([sets, fits | (1 << place)])
        for place in range(size):
            if not is_free[place]:
                sets = sets[(sets & (excludes[place] | 1 << place)) != 0]
        if sets.size * n_lines <= WORK_MAX or size == 0:
            break
    found: Bools = (sets[:, None] >> np.arange(size)) & 1 > 0
    found.flags.writeable = False
    return found
