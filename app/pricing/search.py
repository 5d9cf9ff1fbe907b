"""Which of competing promotions take part: all of them are run first, and where some are rivals, every combination of these.

A combination is a basket of its own, run by the same turns as any other, so whatever kinds take part are searched without knowing of it.
Source: SEMANTICS.md, Which of competing promotions take part.
"""

from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from app.pricing.groups import alone
from app.pricing.money import Bools, Int64s
from app.pricing.reasons import Reason, Unit
from app.pricing.rivals import Field, fields_of
from app.pricing.stacking import NO_RULE, Adjustment, Applications, Lines, Outcome, nothing_yet
from app.pricing.together import TAKES_AMOUNTS, Work
from app.pricing.turns import judge_before, take_line_level, take_order_level

# Pairs of lines and promotions that are run side by side, but for a single basket that has more.
_PAIRS_MAX: Final = 200_000
_TOLD: Final = ("is_applied", "reason", "slot", "needed", "unit", "next_step", "next_needed", "next_times")


class State(NamedTuple):
    """What promotions have left of lines (n_lines,)."""

    running_minor: Int64s
    is_exclusively_taken: Bools
    served_milli: Int64s


def stack(work: Work, apps: Applications, *, leaves: Bools | None = None, sequence_minor: Int64s | None = None) -> Outcome:
    """Run the applications that take part and change the lines' running amounts. Where the work goes by sequence nothing is chosen.

    `leaves` are baskets (n_baskets,) that go another way if a condition of theirs may hold: they take no turns. `sequence_minor` (n_lines,) is
    given with order promotions alone: what the line promotions have left of lines where the sequence alone decides.
    """
    outcome = nothing_yet(apps.rule.size)
    if apps.rule.size == 0:
        return outcome
    live = judge_before(work, apps, outcome)
    if work.promotions.first_of_shipping < len(work.promotions.id):
        # These have turns of their own, when all others are done.
        live = live[apps.rule[live] < work.promotions.first_of_shipping]
        outcome.is_live[apps.rule >= work.promotions.first_of_shipping] = False
    if leaves is not None:
        is_left = leaves[apps.basket[live]]
        outcome.reason[live[is_left]] = Reason.NOT_BEST
        live = live[~is_left]
    is_order_level = apps.rule[live] >= work.promotions.n_line_level
    is_best = work.policy.selection == "best" and work.by_sequence is None
    states = [_state(work.lines, sequence_minor)] if is_best else []
    work = work._replace(notes_short=is_best)
    has_order_level = bool(is_order_level.any())
    take_line_level(work, apps, live[~is_order_level] if has_order_level else live, outcome)
    states += [_state(work.lines)] if is_best else []
    if has_order_level:
        take_order_level(work, apps, live[is_order_level], outcome)
    if is_best:
        _select(work, apps, live, outcome, states, is_order_alone=sequence_minor is not None)
    return outcome


def _state(lines: Lines, running_minor: Int64s | None = None) -> State:
    running_minor = lines.running_minor.copy() if running_minor is None else running_minor
    return State(running_minor, lines.is_exclusively_taken.copy(), lines.served_milli.copy())


def _select(
    work: Work, apps: Applications, live: Int64s, outcome: Outcome, states: Sequence[State], *, is_order_alone: bool
) -> None:
    """Try the combinations of rivals, and let the best of them stand.

    `states` are where the sequence alone begins, which is before the line level if that is here and after it if not, and after the line level.
    """
    is_turned = None
    if is_order_alone:
        is_turned = work.orders.sums(states[0].running_minor != states[-1].running_minor) > 0
    fields = fields_of(work, apps, live, outcome, is_turned)
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
    own: list[list[Field]] = [[], [], []]
    for field in fields:
        own[0 if field.runs_lines else 1 if field.is_whole else 2].append(field)
    for number, kin in enumerate(own):
        for part in _in_parts(apps, kin, as_one_line=number == 1):
            way = Way(runs_lines=number == 0, as_one_line=number == 1, is_order_alone=is_order_alone)
            _decide(work, apps, outcome, states, part, way)


def _in_parts(apps: Applications, fields: Sequence[Field], *, as_one_line: bool) -> Iterator[Sequence[Field]]:
    """The fields, as many at once as may be run side by side."""
    sizes = apps.lines.sizes()
    part: list[Field] = []
    n_pairs = 0
    for field in fields:
        own = (field.app.size if as_one_line else int(sizes[field.app].sum())) * len(field.takes_part)
        if part and n_pairs + own > _PAIRS_MAX:
            yield part
            part, n_pairs = [], 0
        part.append(field)
        n_pairs += own
    if part:
        yield part


class Tries(NamedTuple):
    """Ways to run a basket: which of its live applications take part (n_tries, n_live)."""

    field: Field
    takes_part: Bools
    is_by_sequence: bool = False


class Way(NamedTuple):
    """How the combinations of some baskets are run."""

    runs_lines: bool  # from the line level on
    as_one_line: bool  # of all amounts of a basket
    is_order_alone: bool  # line promotions are not here


class Tried(NamedTuple):
    """Ways that were run: each is a basket of its own."""

    work: Work
    outcome: Outcome
    line: Int64s  # (n_lines,) among the lines of the batch
    basket: Int64s  # (n_baskets,) among those of the batch
    app: Int64s  # (n_apps,) among those of the batch
    at: Sequence[Int64s]  # by field: the application of (try, live application), −1 where it takes no part
    first: Sequence[int]  # by field: its first try
    cost_minor: Int64s  # (n_baskets,) what they cost the customer: the lines, less what gifts are worth
    n_given: Int64s  # (n_baskets,) of the applied promotions those that take no amount


def _decide(
    work: Work,
    apps: Applications,
    outcome: Outcome,
    states: Sequence[State],
    fields: Sequence[Field],
    way: Way,
) -> None:
    """Find the best combination of each basket, and let it stand for what all of them together have left."""
    tries = [Tries(field, _rows(work, apps, field, runs_lines=way.runs_lines)) for field in fields]
    tried, sequence_cost_minor = _tried_and_sequence(work, apps, states, tries, way)
    of_sequence = iter(sequence_cost_minor)
    chosen: tuple[list[Tries], list[Tries]] = [], []  # from the order level on, from the line level on
    # What is left out: the application of the batch, and the one that tells why it did not apply.
    untold: list[tuple[np.int64, np.int64]] = []
    for field, own, at, first in zip(fields, tries, tried.at, tried.first, strict=False):
        own_tries = slice(first, first + len(at))
        ranking = _Ranking(work, apps, field, at, tried.cost_minor[own_tries], tried.n_given[own_tries], tried.outcome)
        winner = ranking.of(np.arange(len(at)))
        if field.runs_sequence and next(of_sequence) < ranking.total[winner]:
            if way.is_order_alone:
                _note_overtaken(outcome, field.basket, work.orders.context.size)
                continue
            chosen[1].append(Tries(field, np.ones((1, field.app.size), np.bool_), is_by_sequence=True))
            continue
        for place in (~field.takes_part[winner]).nonzero()[0].tolist():
            rival = field.rival[place]
            untold.append((field.app[rival], at[ranking.of(field.takes_part[:, place].nonzero()[0]), rival]))
        # An order promotion that does not apply leaves no trace, so what all together have left may be what the winner leaves.
        if way.runs_lines or not ranking.is_of(winner, outcome.is_applied[field.app]):
            chosen[way.runs_lines].append(Tries(field, own.takes_part[winner : winner + 1]))
    for own_state, ways, from_lines in ((states[-1], chosen[0], False), (states[0], chosen[1], True)):
        if ways:
            _adopt(work, outcome, _tried(work, apps, own_state, ways), from_lines=from_lines)
    if untold:
        _tell(outcome, tried.outcome, np.array(untold, np.int64))


def _tried_and_sequence(
    work: Work, apps: Applications, states: Sequence[State], tries: Sequence[Tries], way: Way
) -> tuple[Tried, list[int]]:
    """Run the combinations, and give what the sequence alone costs in the baskets that ask, in their order."""
    in_sequence = [
        Tries(field, np.ones((1, field.app.size), np.bool_), is_by_sequence=True) for field, *_ in tries if field.runs_sequence
    ]
    state = states[0 if way.runs_lines else -1]
    if not way.is_order_alone or not in_sequence:
        tried = _tried(work, apps, state, tries, as_one_line=way.as_one_line)
        return tried, _tried(work, apps, states[0], in_sequence).cost_minor.tolist() if in_sequence else []
    # Of order promotions alone the sequence is one more way to run the basket, from other amounts on.
    tried = _tried(work, apps, state, [*tries, *in_sequence], sequence_minor=states[0].running_minor, as_one_line=way.as_one_line)
    return tried, tried.cost_minor[tried.first[len(tries) :]].tolist()


def _note_overtaken(outcome: Outcome, basket: int, n_baskets: int) -> None:
    if outcome.is_overtaken is None:
        outcome.is_overtaken = np.zeros(n_baskets, np.bool_)
    outcome.is_overtaken[basket] = True


def _rows(work: Work, apps: Applications, field: Field, *, runs_lines: bool) -> Bools:
    """Which live applications take part in each combination (n_combinations, n_live), of the order's alone where only these are run."""
    takes_part = np.ones((len(field.takes_part), field.app.size), np.bool_)
    takes_part[:, field.rival] = field.takes_part
    if not runs_lines:
        takes_part &= apps.rule[field.app] >= work.promotions.n_line_level
    return takes_part


def _tried(
    work: Work,
    apps: Applications,
    state: State,
    tries: Sequence[Tries],
    *,
    sequence_minor: Int64s | None = None,
    as_one_line: bool = False,
) -> Tried:
    """Run baskets in several ways, from a state on; each as one line of all its amounts where only their sums matter.

    `sequence_minor` (n_lines,) are the amounts from which on the sequence alone is run, where these are others.
    """
    at: list[Int64s] = []
    first: list[int] = []
    parts: list[tuple[Int64s, Int64s]] = []
    n_apps = n_tries = 0
    for field, takes_part, _ in tries:
        number, place = takes_part.nonzero()
        where = np.full(takes_part.shape, -1)
        where[number, place] = n_apps + np.arange(number.size)
        parts.append((number + n_tries, field.app[place]))
        at.append(where)
        first.append(n_tries)
        n_apps += number.size
        n_tries += len(takes_part)
    count = [len(takes_part) for _, takes_part, _ in tries]
    source = np.repeat(np.array([field.basket for field, _, _ in tries]), count)
    by_sequence = np.repeat(np.array([is_by_sequence for _, _, is_by_sequence in tries]), count)
    basket, app = (np.concatenate(column) for column in zip(*parts, strict=True))
    copied, first_line, line = _one_line_each(work, state, source) if as_one_line else _copied(work, state, source)
    orders = work.orders
    own_orders = orders.copied(source, first_line)
    by_sequence_of_any = by_sequence if by_sequence.any() else None
    if sequence_minor is not None:
        own_minor = orders.sums(sequence_minor)[source] if as_one_line else sequence_minor[line]
        copied.running_minor = np.where(by_sequence[copied.basket], own_minor, copied.running_minor)
    copies = work._replace(lines=copied, orders=own_orders, by_sequence=by_sequence_of_any, notes_short=False)
    if as_one_line:
        own_line, groups = basket, alone(app.size)
    else:
        pair, groups = apps.lines.chosen(app)
        shift = orders.first_line[source] - first_line[:-1]
        own_line = apps.line[pair] - shift[basket[groups.group]]
    applications = Applications(basket, apps.rule[app], groups, own_line)
    outcome = nothing_yet(app.size)
    live = np.arange(app.size)
    is_order_level = applications.rule >= work.promotions.n_line_level
    take_line_level(copies, applications, live[~is_order_level], outcome)
    take_order_level(copies, applications, live[is_order_level], outcome)
    cost = own_orders.sums(copied.running_minor)
    n_given = np.zeros(source.size, np.int64)
    if work.worth_minor is not None:
        worth = work.worth_minor[app]
        gives = (outcome.is_applied & (worth != TAKES_AMOUNTS)).nonzero()[0]
        np.subtract.at(cost, basket[gives], worth[gives])
        np.add.at(n_given, basket[gives], 1)
    return Tried(copies, outcome, line, source, app, at, first, cost, n_given)


def _copied(work: Work, state: State, source: Int64s) -> tuple[Lines, Int64s, Int64s]:
    """The lines of baskets of the batch (n_baskets,), where those of each begin (n_baskets + 1,), and which lines of the batch they are."""
    lines = work.lines
    low = work.orders.first_line[source]
    count = work.orders.first_line[source + 1] - low
    first_line = np.zeros(source.size + 1, np.int64)
    np.cumsum(count, out=first_line[1:])
    basket = np.repeat(np.arange(source.size), count)
    line = np.arange(basket.size) + (low - first_line[:-1])[basket]
    copied = Lines(
        basket,
        lines.sku_row[line],
        lines.quantity_milli[line],
        lines.list_minor[line],
        lines.subtotal_minor[line],
        lines.lowest_minor[line],
        lines.lowest_rule[line],
        lines.is_on_sale[line],
        state.running_minor[line],
        state.is_exclusively_taken[line],
        state.served_milli[line],
        None if lines.shown_lowest_minor is None else lines.shown_lowest_minor[line],
        None if lines.shown_lowest_rule is None else lines.shown_lowest_rule[line],
    )
    return copied, first_line, line


def _one_line_each(work: Work, state: State, source: Int64s) -> tuple[Lines, Int64s, Int64s]:
    """The same with all lines of a basket as one: promotions of whole orders take as much of it as of the lines together."""
    sums, lines = work.orders.sums, work.lines
    no = np.zeros(source.size, np.bool_)
    copied = Lines(
        np.arange(source.size),
        np.zeros(source.size, np.int64),
        sums(lines.quantity_milli)[source],
        sums(lines.list_minor)[source],
        sums(lines.subtotal_minor)[source],
        sums(lines.lowest_minor)[source],
        np.full(source.size, NO_RULE),
        no,
        sums(state.running_minor)[source],
        no.copy(),
        np.zeros(source.size, np.int64),
    )
    return copied, np.arange(source.size + 1), np.zeros(0, np.int64)


def _adopt(work: Work, outcome: Outcome, tried: Tried, *, from_lines: bool) -> None:
    """Let what was tried, one way for each of its baskets, stand for what all of its promotions together have left."""
    for name in _TOLD:
        getattr(outcome, name)[tried.app] = getattr(tried.outcome, name)
    is_redone = np.zeros(work.orders.context.size, np.bool_)
    is_redone[tried.basket] = True
    # What the line promotions took stands where only order promotions were run anew.
    on_lines = [
        *(
            _without(block, is_redone[work.lines.basket[block.where]] & (block.is_order_level | from_lines))
            for block in outcome.on_lines
        ),
        *(block._replace(where=tried.line[block.where]) for block in tried.outcome.on_lines),
    ]
    on_orders = [
        *(_without(block, is_redone[block.where]) for block in outcome.on_orders),
        *(block._replace(where=tried.basket[block.where]) for block in tried.outcome.on_orders),
    ]
    outcome.on_lines = [block for block in on_lines if block.where.size]
    outcome.on_orders = [block for block in on_orders if block.where.size]
    work.lines.running_minor[tried.line] = tried.work.lines.running_minor
    work.lines.is_exclusively_taken[tried.line] = tried.work.lines.is_exclusively_taken
    work.lines.served_milli[tried.line] = tried.work.lines.served_milli


def _without(block: Adjustment, is_gone: Bools) -> Adjustment:
    """The adjustments but those that are gone."""
    return Adjustment._make(column[~is_gone] for column in block) if is_gone.any() else block


def _tell(outcome: Outcome, tried: Outcome, untold: Int64s) -> None:
    """Tell why rivals (n, 2) that are left out did not apply: what they say of themselves where they take part, or that others are better."""
    app, told_by = untold.T
    for name in _TOLD:
        getattr(outcome, name)[app] = getattr(tried, name)[told_by]
    app = app[outcome.is_applied[app]]
    if app.size:
        outcome.is_applied[app] = False
        outcome.reason[app], outcome.slot[app] = Reason.NOT_BEST, -1
        outcome.needed[app], outcome.unit[app] = 0, Unit.NONE
        outcome.next_step[app], outcome.next_needed[app], outcome.next_times[app] = -1, 0, 1


class _Ranking:
    """The combinations of a basket, to be compared."""

    def __init__(
        self, work: Work, apps: Applications, field: Field, at: Int64s, total: Int64s, n_given: Int64s, outcome: Outcome
    ) -> None:
        self._ids = [work.promotions.id[rule] for rule in apps.rule[field.app].tolist()]
        self._field = field
        self._is_order_level = apps.rule[field.app] >= work.promotions.n_line_level
        self._is_applied = np.append(outcome.is_applied, False)[at]
        self._n_left_out = (~field.takes_part).sum(axis=1)
        self.total = total
        # The rank by the total, then by how many give something else than amounts, then by how many apply; equals have one.
        keys = np.array([total, -n_given, self._is_applied.sum(axis=1)])
        order = np.lexsort(keys[::-1])
        is_worse = (keys[:, order[1:]] != keys[:, order[:-1]]).any(axis=0)
        self._rank = np.zeros(order.size, np.int64)
        self._rank[order[1:]] = np.cumsum(is_worse)

    def is_of(self, combination: int, is_applied: Bools) -> bool:
        """Whether the order promotions that apply in a combination are those among some that do (n_live,)."""
        is_order_level = self._is_order_level
        return bool((self._is_applied[combination] == is_applied)[is_order_level].all())

    def of(self, chosen: Int64s) -> int:
        """The best of some combinations."""
        rank = self._rank[chosen]
        chosen = chosen[rank == rank.min()]
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
