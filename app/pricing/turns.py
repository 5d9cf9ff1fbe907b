"""Steps 5 and 6: promotions take their turns, and what they take becomes adjustments.

Most applications end where their condition is judged; the others take their turns, those that work line by line each line by itself.
The running amounts of the lines are changed in place, turn by turn; everything else is read. Source: SEMANTICS.md, Promotions.
"""

from itertools import pairwise

import numpy as np

from app.pricing.asking import Offers, ask
from app.pricing.by_line import ByLine, wanted_of
from app.pricing.contests import contest
from app.pricing.counters import Bars
from app.pricing.groups import groups_of
from app.pricing.money import Bools, Int64s
from app.pricing.reasons import Reason, Unit
from app.pricing.rewards import Level
from app.pricing.scope import value_at
from app.pricing.sequence import by_turn, turns_by_line, turns_of_units
from app.pricing.stacking import NO_RULE, Adjustment, Applications, Outcome
from app.pricing.taken import Taken, nothing_taken
from app.pricing.together import Live, Turned, Work, take_turn, why_kept
from app.pricing.verdicts import Scoped, judge, judge_by_context


def judge_before(work: Work, apps: Applications, outcome: Outcome) -> Int64s:
    """Judge what is known before the turns, and give the applications that are open after it."""
    table = work.promotions.conditions
    context = work.orders.context[apps.basket]
    outcome.reason, outcome.slot, on_amounts = judge_by_context(table, work.facts, apps.rule, context)
    if on_amounts.size:
        own = on_amounts[~table.is_judged_late[apps.rule[on_amounts]]]
        if own.size:
            scoped = Scoped(apps.basket[own], own, apps.lines, apps.line, work.lines, work.orders)
            verdict = judge(table, work.facts, apps.rule[own], context[own], scoped)
            outcome.reason[own], outcome.slot[own] = verdict.reason, verdict.slot
            outcome.needed[own], outcome.unit[own] = verdict.needed, verdict.unit
    if work.bars is not None:
        _bar(work, work.bars, apps, outcome)
    outcome.is_live = outcome.reason == Reason.APPLIED
    return outcome.is_live.nonzero()[0]


def _bar(work: Work, bars: Bars, apps: Applications, outcome: Outcome) -> None:
    """Close the applications that have nothing left of a limit, or not enough."""
    place = value_at(bars.key, np.arange(bars.key.size), apps.basket * len(work.promotions.id) + apps.rule)
    at = (place >= 0).nonzero()[0]
    its = place[at]
    outcome.reason[at], outcome.slot[at] = Reason.LIMIT_REACHED, bars.limit[its]
    outcome.needed[at], outcome.unit[at] = bars.left[its], bars.unit[its]


def _live(work: Work, apps: Applications, chosen: Int64s, level: Level) -> Live:
    lines = work.lines
    pair, groups = (slice(None), apps.lines) if chosen.size == apps.rule.size else apps.lines.chosen(chosen)
    line, rule = apps.line[pair], apps.rule[chosen]
    is_on_sale = is_taken = None
    if lines.is_on_sale.any():
        is_on_sale = work.promotions.not_on_sale[rule][groups.group] & lines.is_on_sale[line]
        is_on_sale = is_on_sale if is_on_sale.any() else None
    if level == "order" and lines.is_exclusively_taken.any():
        is_taken = lines.is_exclusively_taken[line]
    return Live(level, chosen, rule, apps.basket[chosen], groups, line, is_on_sale, is_taken)


def take_line_level(work: Work, apps: Applications, chosen: Int64s, outcome: Outcome) -> None:
    """Let line promotions whose conditions may hold take their turns and change the lines' running amounts."""
    if chosen.size == 0:
        return
    live = _live(work, apps, chosen, "line")
    taken = nothing_taken(work.promotions, live.rule, work.lines.is_exclusively_taken)
    is_by_line = work.promotions.is_by_line[live.rule]
    turn = turns_by_line(live.line) if is_by_line.all() else _mixed_turns(work, live, is_by_line)
    n_turns = int(turn.max()) + 1
    own = is_by_line.nonzero()[0]
    lone, offers = _by_line(work, live, taken, own, turn, n_turns, outcome)
    if own.size == live.app.size:
        for number in range(n_turns):
            lone.take_turn(number, work.lines, taken, work.policy)
        _write_lines(work, outcome, lone.first, lone.line, live.rule[lone.app], lone.taken_minor, lone.given_back_minor)
    else:
        taken_minor, given_back_minor = _take_mixed(work, live, taken, lone, (~is_by_line).nonzero()[0], turn, n_turns, outcome)
        order, first = by_turn(turn, n_turns)
        rule = live.rule[live.groups.group[order]]
        _write_lines(work, outcome, first, live.line[order], rule, taken_minor[order], given_back_minor[order])
    _note_by_line(live, lone, own, offers, outcome)


def _take_mixed(
    work: Work, live: Live, taken: Taken, lone: ByLine, tied: Int64s, turn: Int64s, n_turns: int, outcome: Outcome
) -> tuple[Int64s, Int64s]:
    """Let pairs by themselves and applications that tie lines together take their turns. Gives what was taken and given back (n_pairs,)."""
    turn_of_tied = turn[live.groups.starts[tied]]
    taken_minor, given_back_minor = np.zeros(turn.size, np.int64), np.zeros(turn.size, np.int64)
    for number in range(n_turns):
        lone.take_turn(number, work.lines, taken, work.policy)
        together = tied[turn_of_tied == number]
        if together.size:
            turned = take_turn(work, live, taken, together)
            _note(live, turned, outcome)
            taken_minor[turned.pair], given_back_minor[turned.pair] = turned.taken_minor, turned.given_back_minor
    taken_minor[lone.pair], given_back_minor[lone.pair] = lone.taken_minor, lone.given_back_minor
    return taken_minor, given_back_minor


def _write_lines(
    work: Work, outcome: Outcome, first: list[int], line: Int64s, rule: Int64s, taken_minor: Int64s, given_back_minor: Int64s
) -> None:
    """Write down what line promotions took of lines, and what guardrails gave back (n_pairs,), turn by turn."""
    took, back, blocks = _in_order(first, taken_minor, given_back_minor)
    where, whose, amount = line[took], rule[took], -taken_minor[took]
    back_where = line[back]
    back_whose = work.lines.lowest_rule[back_where]
    if work.lines.shown_lowest_rule is not None:
        needs_code = work.promotions.requires_code[rule[back]]
        back_whose = np.where(needs_code, back_whose, work.lines.shown_lowest_rule[back_where])
    back_amount = given_back_minor[back]
    yes, no = np.ones(back.size, np.bool_), np.zeros(line.size, np.bool_)
    for is_back, low, high in blocks:
        at, flags = slice(low, high), no[: high - low]
        if is_back:
            outcome.on_lines.append(Adjustment(back_where[at], back_whose[at], back_amount[at], yes[at], flags))
        else:
            outcome.on_lines.append(Adjustment(where[at], whose[at], amount[at], flags, flags))


def take_order_level(work: Work, apps: Applications, chosen: Int64s, outcome: Outcome) -> None:
    """Do the same for order promotions, on what the line promotions left."""
    if chosen.size == 0:
        return
    live = _live(work, apps, chosen, "order")
    taken = nothing_taken(work.promotions, live.rule, np.zeros(work.orders.context.size, np.bool_))
    n_live = live.app.size
    taken_minor, turn = np.zeros(live.line.size, np.int64), np.zeros(n_live, np.int64)
    amount_minor, dropped_minor, dropped_rule = np.zeros(n_live, np.int64), np.zeros(n_live, np.int64), np.full(n_live, NO_RULE)
    is_late = work.promotions.conditions.is_judged_late[live.rule]
    waiting, number = np.arange(n_live), 0
    while waiting.size:
        first = groups_of(live.basket[waiting]).starts
        chosen, waiting = waiting[first], np.delete(waiting, first)
        turned = take_turn(work, live, taken, chosen)
        _note(live, turned, outcome)
        taken_minor[turned.pair] = turned.taken_minor
        amount_minor[turned.settled], dropped_minor[turned.settled] = turned.amount_minor, turned.dropped_minor
        dropped_rule[turned.settled], turn[chosen] = turned.dropped_rule, number
        number += 1
        # What keeps an order from a promotion keeps it for good, so that the promotion need not wait to hear it; but its condition is asked first.
        why = why_kept(live, taken, waiting)
        is_kept = (why > 0) & ~is_late[waiting]
        outcome.reason[live.app[waiting[is_kept]]] = why[is_kept]
        waiting = waiting[~is_kept]
    took = taken_minor.nonzero()[0]
    no, yes = np.zeros(took.size, np.bool_), np.ones(took.size, np.bool_)
    rule = live.rule[live.groups.group[took]]
    outcome.on_lines.append(Adjustment(live.line[took], rule, -taken_minor[took], no, yes))
    order, first_of_turn = by_turn(turn, number)
    amount_minor, dropped_minor = amount_minor[order], dropped_minor[order]
    took, back, blocks = _in_order(first_of_turn, amount_minor, dropped_minor)
    for is_back, low, high in blocks:
        at = (back if is_back else took)[low:high]
        app = order[at]
        whose, amount = (dropped_rule[app], dropped_minor[at]) if is_back else (live.rule[app], -amount_minor[at])
        yes = np.ones(at.size, np.bool_)
        outcome.on_orders.append(Adjustment(live.basket[app], whose, amount, yes if is_back else ~yes, yes))


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


def _by_line(
    work: Work, live: Live, taken: Taken, own: Int64s, turn: Int64s, n_turns: int, outcome: Outcome
) -> tuple[ByLine, Offers]:
    """The pairs of the applications that work line by line, laid out by their turns, and what their kinds say besides."""
    pair, groups = live.groups.chosen(own)
    line = live.line[pair]
    reward, offers = ask(
        work.promotions, work.kinds, live.rule[own], live.basket[own], groups, line, work.lines, work.orders, work.policy
    )
    wanted = wanted_of(reward, groups, line, work.lines, work.policy)
    is_lost = None
    if work.policy.selection == "best" and taken.keeps_apart:
        is_on_sale = None if live.is_on_sale is None else live.is_on_sale[pair]
        is_lost, outcome.contested = contest(work, taken, own[groups.group], live.rule, line, wanted, is_on_sale)
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
        None if is_lost is None else is_lost[order],
        np.zeros(pair.size, np.int64),
        np.zeros(pair.size, np.int64),
        None if taken.is_exclusive is None else np.zeros(pair.size, np.bool_),
        np.ones(pair.size, np.bool_),
        None if work.lines.shown_lowest_minor is None else work.promotions.requires_code[live.rule[app]],
    )
    return lone, offers


def _note(live: Live, turned: Turned, outcome: Outcome) -> None:
    """Write down what became of applications that took their turn together."""
    if turned.verdict is not None:
        at = live.app[turned.failed]
        outcome.reason[at], outcome.slot[at] = turned.verdict.reason, turned.verdict.slot
        outcome.needed[at], outcome.unit[at] = turned.verdict.needed, turned.verdict.unit
    outcome.is_short[live.app[turned.short]] = True
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
    _note_settled(live.app[own], is_applied[own], offers, outcome)
    is_shut = ~lone.is_free
    for cause in (lone.is_blocked, lone.is_lost, lone.is_on_sale):
        if cause is not None:
            is_shut |= cause
    shut = is_shut.nonzero()[0]
    if shut.size == 0:
        return
    is_closed = np.zeros(live.app.size, np.bool_)
    is_closed[lone.app[shut]] = True
    if not live.groups.are_single:
        is_closed[lone.app[~is_shut]] = False
    closed = is_closed.nonzero()[0]
    why = np.full(live.line.size, Reason.GROUP_TAKEN)
    causes = ((Reason.EXCLUSIVE_TAKEN, lone.is_blocked), (Reason.NOT_BEST, lone.is_lost), (Reason.ON_SALE, lone.is_on_sale))
    for reason, cause in causes:
        if cause is not None:
            why[lone.pair[cause]] = reason
    at = live.app[closed]
    # Of several lines the first one's reason stands, and what is closed offers nothing.
    outcome.reason[at] = why[live.groups.starts[closed]]
    outcome.needed[at], outcome.unit[at] = 0, Unit.NONE
    outcome.next_step[at], outcome.next_needed[at], outcome.next_times[at] = -1, 0, 1


def _in_order(
    first: list[int], taken_minor: Int64s, given_back_minor: Int64s
) -> tuple[Int64s, Int64s, list[tuple[bool, int, int]]]:
    """Where something was taken and where given back (n,), turn by turn, and how both follow: each turn's give-backs before the next turn.

    Blocks are of what was given back or not, from where to where.
    """
    took, back = taken_minor.nonzero()[0], given_back_minor.nonzero()[0]
    if back.size == 0:
        return took, back, [(False, 0, took.size)]
    took_first, back_first = np.searchsorted(took, first).tolist(), np.searchsorted(back, first).tolist()
    blocks: list[tuple[bool, int, int]] = []
    low = 0
    for high, (back_low, back_high) in zip(took_first[1:], pairwise(back_first), strict=True):
        if back_low < back_high:
            blocks += [(False, low, high), (True, back_low, back_high)]
            low = high
    return took, back, [*blocks, (False, low, took.size)]
