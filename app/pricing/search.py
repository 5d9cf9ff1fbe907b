"""Which of competing promotions take part: all of them are run first, and where some are rivals, every combination of these.

A combination is a basket of its own, run by the same turns as any other, so whatever kinds take part are searched without knowing of it.
Source: SEMANTICS.md, Which of competing promotions take part.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from app.pricing.money import Bools, Int64s
from app.pricing.reasons import Reason, Unit
from app.pricing.rivals import Field, fields_of
from app.pricing.stacking import Adjustment, Applications, Lines, Orders, Outcome, nothing_yet
from app.pricing.together import Work
from app.pricing.turns import judge_before, take_line_level, take_order_level

# Pairs of lines and promotions that are run side by side, but for a single basket that has more.
_PAIRS_MAX: Final = 200_000
_TOLD: Final = ("is_applied", "reason", "slot", "needed", "unit", "next_step", "next_needed", "next_times")


class State(NamedTuple):
    """What promotions have left of lines (n_lines,)."""

    running_minor: Int64s
    is_exclusively_taken: Bools


def stack(work: Work, apps: Applications) -> Outcome:
    """Run the applications that take part and change the lines' running amounts."""
    outcome = nothing_yet(apps.rule.size)
    if apps.rule.size == 0:
        return outcome
    live = judge_before(work, apps, outcome)
    is_order_level = apps.rule[live] >= work.promotions.n_line_level
    is_best = work.policy.selection == "best"
    states = [_state(work.lines)] if is_best else []
    work = work._replace(notes_short=is_best)
    if not is_order_level.any():
        take_line_level(work, apps, live, outcome)
    else:
        take_line_level(work, apps, live[~is_order_level], outcome)
        states += [_state(work.lines)] if is_best else []
        take_order_level(work, apps, live[is_order_level], outcome)
    if is_best:
        _select(work, apps, live, outcome, states)
    return outcome


def _state(lines: Lines) -> State:
    return State(lines.running_minor.copy(), lines.is_exclusively_taken.copy())


def _select(work: Work, apps: Applications, live: Int64s, outcome: Outcome, states: Sequence[State]) -> None:
    """Try the combinations of rivals, and let the best of them stand. `states` are before the line level and after it."""
    fields = fields_of(work, apps, live, outcome)
    n_baskets = work.orders.context.size
    is_bounded = np.zeros(n_baskets, np.bool_)
    if outcome.contested is not None:
        is_bounded[work.lines.basket[outcome.contested.is_bounded]] = True
    is_bounded[[field.basket for field in fields if field.is_bounded]] = True
    outcome.is_bounded = is_bounded if is_bounded.any() else None
    if not fields:
        return
    outcome.is_searched = np.zeros(n_baskets, np.bool_)
    outcome.is_searched[[field.basket for field in fields]] = True
    for runs_lines in (True, False):
        own = [field for field in fields if field.runs_lines == runs_lines]
        for part in _in_parts(apps, own):
            trial = _tried(work, apps, part, states[0 if runs_lines else -1], runs_lines=runs_lines)
            _adopt(work, apps, outcome, trial, runs_lines=runs_lines)


def _in_parts(apps: Applications, fields: Sequence[Field]) -> Iterator[Sequence[Field]]:
    """The fields, as many at once as may be run side by side."""
    sizes = apps.lines.sizes()
    part: list[Field] = []
    n_pairs = 0
    for field in fields:
        own = int(sizes[field.app].sum()) * (len(field.takes_part) + field.runs_sequence)
        if part and n_pairs + own > _PAIRS_MAX:
            yield part
            part, n_pairs = [], 0
        part.append(field)
        n_pairs += own
    if part:
        yield part


class Tried(NamedTuple):
    """Combinations that were run: each is a basket of its own."""

    fields: Sequence[Field]
    work: Work
    applications: Applications
    outcome: Outcome
    line: Int64s  # (n_lines,) among the lines of the batch
    basket: Int64s  # (n_baskets,) among those of the batch
    app: Int64s  # (n_apps,) among those of the batch
    at: Sequence[Int64s]  # of each field: the application of (combination, live application), −1 where it takes no part
    first: Sequence[int]  # of each field: its first combination


def _tried(work: Work, apps: Applications, fields: Sequence[Field], state: State, *, runs_lines: bool) -> Tried:
    """Run every combination of some baskets, from the line level on or from the order level on."""
    baskets: list[int] = []
    by_sequence: list[Bools] = []
    at: list[Int64s] = []
    first: list[int] = []
    parts: list[tuple[Int64s, Int64s]] = []
    n_apps = 0
    for field in fields:
        n_combinations = len(field.takes_part)
        takes_part = np.ones((n_combinations + field.runs_sequence, field.app.size), np.bool_)
        takes_part[:n_combinations, field.rival] = field.takes_part
        if not runs_lines:
            takes_part &= apps.rule[field.app] >= work.promotions.n_line_level
        number, place = takes_part.nonzero()
        where = np.full(takes_part.shape, -1)
        where[number, place] = n_apps + np.arange(number.size)
        parts.append((number + len(baskets), field.app[place]))
        at.append(where)
        first.append(len(baskets))
        n_apps += number.size
        baskets += [field.basket] * len(takes_part)
        by_sequence.append(np.arange(len(takes_part)) >= n_combinations)
    basket, app = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _run(work, apps, state, fields, np.array(baskets), np.concatenate(by_sequence), basket, app, at, first)


def _run(
    work: Work,
    apps: Applications,
    state: State,
    fields: Sequence[Field],
    source: Int64s,
    by_sequence: Bools,
    basket: Int64s,
    app: Int64s,
    at: Sequence[Int64s],
    first: Sequence[int],
) -> Tried:
    """Run applications (n_apps,) of the batch in baskets (n_apps,), each a copy of a basket of the batch (n_baskets,)."""
    lines, orders = work.lines, work.orders
    low = orders.first_line[source]
    count = orders.first_line[source + 1] - low
    first_line = np.zeros(source.size + 1, np.int64)
    np.cumsum(count, out=first_line[1:])
    own_basket = np.repeat(np.arange(source.size), count)
    shift = low - first_line[:-1]
    line = np.arange(own_basket.size) + shift[own_basket]
    copied = Lines(
        own_basket,
        lines.sku_row[line],
        lines.quantity_milli[line],
        lines.list_minor[line],
        lines.subtotal_minor[line],
        lines.lowest_minor[line],
        lines.floor_rule[line],
        lines.is_on_sale[line],
        state.running_minor[line],
        state.is_exclusively_taken[line],
    )
    own_orders = Orders(first_line, orders.context[source], orders.orders[source], orders.spend_minor[source])
    by_sequence_of_any = by_sequence if by_sequence.any() else None
    copies = work._replace(lines=copied, orders=own_orders, by_sequence=by_sequence_of_any, notes_short=False)
    pair, groups = apps.lines.chosen(app)
    applications = Applications(basket, apps.rule[app], groups, apps.line[pair] - shift[basket[groups.group]])
    outcome = nothing_yet(app.size)
    live = np.arange(app.size)
    is_order_level = applications.rule >= work.promotions.n_line_level
    take_line_level(copies, applications, live[~is_order_level], outcome)
    take_order_level(copies, applications, live[is_order_level], outcome)
    return Tried(fields, copies, applications, outcome, line, source, app, at, first)


def _adopt(work: Work, apps: Applications, outcome: Outcome, tried: Tried, *, runs_lines: bool) -> None:
    """Let the best combination of each basket stand for what all of them together have left."""
    total = _cost_minor(tried.work)
    is_chosen = np.zeros(tried.basket.size, np.bool_)
    untold: list[
        tuple[int, int]
    ] = []  # what was left out: the application of the batch, and the one that tells why it did not apply
    for field, at, first in zip(tried.fields, tried.at, tried.first, strict=True):
        best = _Ranking(work, apps, field, at, total[first : first + len(at)], tried.outcome)
        winner = best.of(np.arange(len(field.takes_part)))
        if field.runs_sequence and best.total[-1] < best.total[winner]:
            winner = len(best.total) - 1
        else:
            for place in (~field.takes_part[winner]).nonzero()[0].tolist():
                other = best.of(field.takes_part[:, place].nonzero()[0])
                untold.append((int(field.app[field.rival[place]]), int(at[other, field.rival[place]])))
        is_chosen[first + winner] = True
    own = is_chosen[tried.applications.basket].nonzero()[0]
    for name in _TOLD:
        getattr(outcome, name)[tried.app[own]] = getattr(tried.outcome, name)[own]
    for app, told_by in untold:
        for name in _TOLD:
            getattr(outcome, name)[app] = getattr(tried.outcome, name)[told_by]
        if outcome.is_applied[app]:
            outcome.is_applied[app] = False
            outcome.reason[app], outcome.slot[app] = Reason.NOT_BEST, -1
            outcome.needed[app], outcome.unit[app] = 0, Unit.NONE
            outcome.next_step[app], outcome.next_needed[app], outcome.next_times[app] = -1, 0, 1
    _replace_adjustments(work, outcome, tried, is_chosen, runs_lines=runs_lines)
    of_line = is_chosen[tried.work.lines.basket]
    line, copied = tried.line[of_line], tried.work.lines
    work.lines.running_minor[line] = copied.running_minor[of_line]
    work.lines.is_exclusively_taken[line] = copied.is_exclusively_taken[of_line]


def _cost_minor(work: Work) -> Int64s:
    """What the baskets cost the customer (n_baskets,), as combinations are compared by it."""
    return work.orders.sums(work.lines.running_minor)


def _replace_adjustments(work: Work, outcome: Outcome, tried: Tried, is_chosen: Bools, *, runs_lines: bool) -> None:
    """Take back the adjustments of the baskets that were searched, and write down those of the combinations that are chosen."""
    is_redone = np.zeros(work.orders.context.size, np.bool_)
    is_redone[tried.basket] = True
    # What the line promotions took stands where only order promotions were tried.
    on_lines = [
        *(
            _only(block, ~(is_redone[work.lines.basket[block.where]] & (block.is_order_level | runs_lines)), None)
            for block in outcome.on_lines
        ),
        *(_only(block, is_chosen[tried.work.lines.basket[block.where]], tried.line) for block in tried.outcome.on_lines),
    ]
    on_orders = [
        *(_only(block, ~is_redone[block.where], None) for block in outcome.on_orders),
        *(_only(block, is_chosen[block.where], tried.basket) for block in tried.outcome.on_orders),
    ]
    outcome.on_lines = [block for block in on_lines if block.where.size]
    outcome.on_orders = [block for block in on_orders if block.where.size]


def _only(block: Adjustment, is_kept: Bools, place: Int64s | None) -> Adjustment:
    """The adjustments that are kept; where they are is looked up in `place`."""
    kept = block if is_kept.all() else Adjustment._make(column[is_kept] for column in block)
    return kept if place is None else kept._replace(where=place[kept.where])


class _Ranking:
    """The combinations of a basket, to be compared."""

    def __init__(self, work: Work, apps: Applications, field: Field, at: Int64s, total: Int64s, outcome: Outcome) -> None:
        self._ids = [work.promotions.id[rule] for rule in apps.rule[field.app].tolist()]
        self._field = field
        self._is_applied = outcome.is_applied[at] & (at >= 0)
        self._n_applied = self._is_applied.sum(axis=1)
        self._n_left_out = (~field.takes_part).sum(axis=1)
        self.total = total

    def of(self, chosen: Int64s) -> int:
        """The best of some combinations."""
        for column in (self.total, self._n_applied):
            values = column[chosen]
            chosen = chosen[values == values.min()]
        if chosen.size > 1:
            applied, which = np.unique(self._is_applied[chosen], axis=0, return_inverse=True)
            first = min(range(len(applied)), key=lambda one: self._names(applied[one]))
            chosen = chosen[which.reshape(-1) == first]
            n_left_out = self._n_left_out[chosen]
            chosen = chosen[n_left_out == n_left_out.min()]
        return min(chosen.tolist(), key=self._left_out) if chosen.size > 1 else int(chosen[0])

    def _names(self, is_applied: Bools) -> list[str]:
        return sorted(self._ids[place] for place in is_applied.nonzero()[0].tolist())

    def _left_out(self, combination: int) -> list[str]:
        rivals = self._field.rival[~self._field.takes_part[combination]]
        return sorted(self._ids[place] for place in rivals.tolist())
