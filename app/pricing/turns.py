"""Steps 5 and 6: promotions take their turns, and what they take becomes adjustments.

Most applications end where their condition is judged; the others take their turns, those that work line by line each line by itself.
The running amounts of the lines are changed in place, turn by turn; everything else is read. Source: SEMANTICS.md, Promotions.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from app.pricing.asking import Offers, ask
from app.pricing.by_line import ByLine, wanted_of
from app.pricing.money import Bools, Int64s
from app.pricing.reasons import Reason
from app.pricing.rewards import Level, Offer
from app.pricing.sequence import by_turn, places_in_baskets, turns_by_line, turns_of_units
from app.pricing.stacking import NO_RULE, Adjustment, Applications, Outcome
from app.pricing.taken import Taken, nothing_taken
from app.pricing.together import Live, Turned, Work, take_turn
from app.pricing.verdicts import Scoped, judge, judge_by_context


def stack(work: Work, apps: Applications) -> Outcome:
    """Run all applications by their sequence and change the lines' running amounts."""
    n_apps = apps.rule.size
    outcome = Outcome(
        np.zeros(n_apps, np.bool_),
        np.zeros(n_apps, np.int64),
        np.full(n_apps, -1),
        np.zeros(n_apps, np.int64),
        np.zeros(n_apps, np.int64),
        np.full(n_apps, -1),
        np.zeros(n_apps, np.int64),
        np.ones(n_apps, np.int64),
    )
    if n_apps == 0:
        return outcome
    live = _judge(work, apps, outcome)
    is_order_level = apps.rule[live] >= work.promotions.n_line_level
    if not is_order_level.any():
        _take_line_level(work, apps, live, outcome)
        return outcome
    _take_line_level(work, apps, live[~is_order_level], outcome)
    _take_order_level(work, apps, live[is_order_level], outcome)
    return outcome


def _judge(work: Work, apps: Applications, outcome: Outcome) -> Int64s:
    """Judge what is known before the turns, and give the applications that are open after it."""
    table = work.promotions.conditions
    context = work.orders.context[apps.basket]
    outcome.reason, outcome.slot, on_amounts = judge_by_context(table, work.facts, apps.rule, context)
    if on_amounts.size:
        own = on_amounts[~table.is_judged_late[apps.rule[on_amounts]]]
        if own.size:
            pair, groups = apps.lines.chosen(own)
            scoped = Scoped(apps.basket[own], groups, apps.line[pair], work.lines, work.orders)
            verdict = judge(table, work.facts, apps.rule[own], context[own], scoped)
            outcome.reason[own], outcome.slot[own] = verdict.reason, verdict.slot
            outcome.needed[own], outcome.unit[own] = verdict.needed, verdict.unit
    is_open: Bools = outcome.reason == Reason.APPLIED
    return is_open.nonzero()[0]


def _live(work: Work, apps: Applications, chosen: Int64s, level: Level) -> Live:
    pair, groups = apps.lines.chosen(chosen)
    line, rule = apps.line[pair], apps.rule[chosen]
    is_on_sale: Bools | None = None
    if work.lines.is_on_sale.any():
        is_on_sale = work.promotions.not_on_sale[rule][groups.group] & work.lines.is_on_sale[line]
        if not is_on_sale.any():
            is_on_sale = None
    return Live(level, chosen, rule, apps.basket[chosen], groups, line, is_on_sale)


def _take_line_level(work: Work, apps: Applications, chosen: Int64s, outcome: Outcome) -> None:
    if chosen.size == 0:
        return
    live = _live(work, apps, chosen, "line")
    taken = nothing_taken(work.promotions, live.rule, work.lines.is_exclusively_taken)
    is_by_line = work.promotions.is_by_line[live.rule]
    turn = turns_by_line(live.line) if is_by_line.all() else _mixed_turns(work, live, is_by_line)
    n_turns = int(turn.max()) + 1
    own = is_by_line.nonzero()[0]
    lone, offers = _by_line(work, live, taken, own, turn, n_turns)
    tied = (~is_by_line).nonzero()[0]
    turn_of_tied = turn[live.groups.starts[tied]]
    taken_minor, given_back_minor = np.zeros(turn.size, np.int64), np.zeros(turn.size, np.int64)
    for number in range(n_turns):
        lone.take_turn(number, work.lines, taken, work.policy)
        together = tied[turn_of_tied == number]
        if together.size:
            turned = take_turn(work, live, taken, together)
            _note(live, turned, outcome)
            taken_minor[turned.pair], given_back_minor[turned.pair] = turned.taken_minor, turned.given_back_minor
    _note_by_line(live, lone, own, offers, outcome)
    taken_minor[lone.pair], given_back_minor[lone.pair] = lone.taken_minor, lone.given_back_minor
    rule = live.rule[live.groups.group]
    for at, is_back in _in_order(turn, taken_minor, given_back_minor):
        line = live.line[at]
        flags = np.full(at.size, is_back)
        no = np.zeros(at.size, np.bool_)
        if is_back:
            outcome.on_lines.append(Adjustment(line, work.lines.floor_rule[line], given_back_minor[at], flags, no))
        else:
            outcome.on_lines.append(Adjustment(line, rule[at], -taken_minor[at], flags, no))


def _take_order_level(work: Work, apps: Applications, chosen: Int64s, outcome: Outcome) -> None:
    if chosen.size == 0:
        return
    live = _live(work, apps, chosen, "order")
    taken = nothing_taken(work.promotions, live.rule, np.zeros(work.orders.context.size, np.bool_))
    turn = places_in_baskets(live.basket)
    taken_minor = np.zeros(live.line.size, np.int64)
    amount_minor, dropped_minor = np.zeros(turn.size, np.int64), np.zeros(turn.size, np.int64)
    dropped_rule = np.full(turn.size, NO_RULE)
    for number in range(int(turn.max()) + 1):
        turned = take_turn(work, live, taken, (turn == number).nonzero()[0])
        _note(live, turned, outcome)
        taken_minor[turned.pair] = turned.taken_minor
        amount_minor[turned.settled], dropped_minor[turned.settled] = turned.amount_minor, turned.dropped_minor
        dropped_rule[turned.settled] = turned.dropped_rule
    took = taken_minor.nonzero()[0]
    no, yes = np.zeros(took.size, np.bool_), np.ones(took.size, np.bool_)
    rule = live.rule[live.groups.group[took]]
    outcome.on_lines.append(Adjustment(live.line[took], rule, -taken_minor[took], no, yes))
    for at, is_back in _in_order(turn, amount_minor, dropped_minor):
        whose, amount = (dropped_rule, dropped_minor) if is_back else (live.rule, -amount_minor)
        flags = np.full(at.size, is_back)
        outcome.on_orders.append(Adjustment(live.basket[at], whose[at], amount[at], flags, np.ones(at.size, np.bool_)))


def _mixed_turns(work: Work, live: Live, is_by_line: Bools) -> Int64s:
    """The turns of pairs (n_pairs,) where some promotions tie lines together; a condition on the running order feels every line of it."""
    app, line = live.groups.group, live.line
    is_new = np.ones(app.size, np.bool_)
    is_new[1:] = is_by_line[app[1:]] | (app[1:] != app[:-1])
    unit = np.cumsum(is_new) - 1
    needs_order = work.promotions.conditions.needs_order[live.rule].nonzero()[0]
    if needs_order.size == 0:
        return turns_of_units(unit, line)[unit]
    first, basket = work.orders.first_line, live.basket[needs_order]
    count = first[basket + 1] - first[basket]
    more_unit = np.repeat(unit[live.groups.starts[needs_order]], count)
    more_line = np.repeat(first[basket] - (np.cumsum(count) - count), count) + np.arange(more_unit.size)
    n_lines = work.lines.basket.size
    both = np.unique(np.concatenate([unit * n_lines + line, more_unit * n_lines + more_line]))
    return turns_of_units(both // n_lines, both % n_lines)[unit]


def _by_line(work: Work, live: Live, taken: Taken, own: Int64s, turn: Int64s, n_turns: int) -> tuple[ByLine, Offers]:
    """The pairs of the applications that work line by line, laid out by their turns, and what their kinds say besides."""
    pair, groups = live.groups.chosen(own)
    line = live.line[pair]
    reward, offers = ask(
        work.promotions, work.kinds, live.rule[own], live.basket[own], groups, line, work.lines, work.orders, work.policy
    )
    wanted = wanted_of(reward, groups, line, work.lines, work.policy)
    order, first = by_turn(turn[pair], n_turns)
    app, line, pair = own[groups.group[order]], line[order], pair[order]
    lone = ByLine(
        first,
        pair,
        app,
        line,
        wanted.at(order),
        None if taken.group_place is None else taken.cell(app, line),
        None if live.is_on_sale is None else live.is_on_sale[pair],
        np.zeros(pair.size, np.int64),
        np.zeros(pair.size, np.int64),
        None if taken.is_exclusive is None else np.zeros(pair.size, np.bool_),
        np.zeros(pair.size, np.bool_),
    )
    return lone, offers


def _note(live: Live, turned: Turned, outcome: Outcome) -> None:
    """Write down what became of applications that took their turn together."""
    if turned.verdict is not None:
        at = live.app[turned.failed]
        outcome.reason[at], outcome.slot[at] = turned.verdict.reason, turned.verdict.slot
        outcome.needed[at], outcome.unit[at] = turned.verdict.needed, turned.verdict.unit
    outcome.reason[live.app[turned.closed]] = turned.closed_reason
    _note_settled(live.app[turned.settled], turned.is_applied, turned.offers, outcome)


def _note_settled(app: Int64s, is_applied: Bools, offers: Offers, outcome: Outcome) -> None:
    """Write down what became of applications (n,) that had an eligible line."""
    outcome.is_applied[app] = is_applied
    outcome.reason[app] = np.where(is_applied, Reason.APPLIED, Reason.NOTHING_TO_DISCOUNT)
    for own, offer in offers:
        at = app[own]
        outcome.reason[at] = np.where(offer.reason == Reason.APPLIED, outcome.reason[at], offer.reason)
        outcome.needed[at], outcome.unit[at] = offer.needed, offer.unit
        outcome.next_step[at], outcome.next_needed[at], outcome.next_times[at] = offer[3:]


def _note_by_line(live: Live, lone: ByLine, own: Int64s, offers: Offers, outcome: Outcome) -> None:
    """Write down what became of applications whose lines took their turns by themselves."""
    is_applied = np.zeros(live.app.size, np.bool_)
    is_applied[lone.app[lone.taken_minor.nonzero()[0]]] = True
    is_closed = lone.is_grouped
    for cause in (lone.is_blocked, lone.is_on_sale):
        if cause is not None:
            is_closed = is_closed | cause
    closed_pair = is_closed.nonzero()[0]
    if closed_pair.size == 0:
        _note_settled(live.app[own], is_applied[own], offers, outcome)
        return
    is_open = np.zeros(live.app.size, np.bool_)
    is_open[lone.app[~is_closed]] = True
    why = np.full(live.line.size, Reason.GROUP_TAKEN)
    for reason, cause in ((Reason.EXCLUSIVE_TAKEN, lone.is_blocked), (Reason.ON_SALE, lone.is_on_sale)):
        if cause is not None:
            why[lone.pair[cause]] = reason
    is_open_own = is_open[own]
    closed = own[~is_open_own]
    # Of several lines the first one's reason stands.
    outcome.reason[live.app[closed]] = why[live.groups.starts[closed]]
    settled = own[is_open_own]
    place = np.cumsum(is_open_own) - 1
    kept = [(at, offer, is_open_own[at]) for at, offer in offers]
    open_offers = [(place[at[is_kept]], Offer(*(column[is_kept] for column in offer))) for at, offer, is_kept in kept]
    _note_settled(live.app[settled], is_applied[settled], open_offers, outcome)


def _in_order(turn: Int64s, taken: Int64s, given_back: Int64s) -> Iterator[tuple[Int64s, bool]]:
    """Blocks of what was taken and of what was given back (n,), each turn's give-backs behind what it took, and before the next turn's."""
    took, back = taken.nonzero()[0], given_back.nonzero()[0]
    if back.size == 0:
        # Sorted by the sequence of the promotions, which on each line is that of the turns.
        yield took, False
        return
    n_turns = int(turn.max()) + 1
    (took_order, took_first), (back_order, back_first) = by_turn(turn[took], n_turns), by_turn(turn[back], n_turns)
    low = 0
    for number, (back_low, back_high) in enumerate(pairwise(back_first)):
        if back_low < back_high:
            yield took[took_order[low : took_first[number + 1]]], False
            yield back[back_order[back_low:back_high]], True
            low = took_first[number + 1]
    yield took[took_order[low:]], False
