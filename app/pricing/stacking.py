"""Steps 5 and 6: promotions take their turns, and what they take becomes adjustments.

The state of the lines is changed in place, turn by turn; everything else is read. Source: SEMANTICS.md, Promotions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from app.pricing.allocation import Groups, allocate_within, groups_of
from app.pricing.money import Bools, Int64s
from app.pricing.policy import Policy
from app.pricing.promotions import Promotions
from app.pricing.reasons import Reason
from app.pricing.rewards import Kind, Level, Reward, Turn
from app.pricing.sequence import line_turns, order_turns
from app.pricing.verdicts import Scoped, Verdict, judge
from app.pricing.vocabulary import Facts

NO_RULE: Final = -1


@dataclass(slots=True)
class Lines:
    """The lines of a batch, basket by basket, as the price steps left them and as promotions change them (n_lines,)."""

    basket: Int64s
    quantity_milli: Int64s
    list_minor: Int64s
    subtotal_minor: Int64s
    lowest_minor: Int64s
    floor_rule: Int64s
    is_on_sale: Bools
    running_minor: Int64s
    n_taken: Int64s  # line promotions that have applied
    is_exclusively_taken: Bools
    taken_group: Bools  # (n_lines, n_groups of the batch)


@dataclass(slots=True)
class Orders:
    """The orders of a batch (n_baskets,)."""

    first_line: Int64s  # (n_baskets + 1,)
    orders: Int64s  # of the customer, or ABSENT
    spend_minor: Int64s  # of the customer, or ABSENT
    n_taken: Int64s
    is_exclusively_taken: Bools
    taken_group: Bools  # (n_baskets, n_groups of the batch)


class Applications(NamedTuple):
    """Promotions in baskets, by basket and sequence, with the lines of their scopes."""

    basket: Int64s  # (n_apps,)
    rule: Int64s  # (n_apps,)
    lines: Groups  # group = the application of each pair
    line: Int64s  # (n_pairs,) ascending within an application


class Adjustment(NamedTuple):
    """Columns of adjustments in the order of application; `where` is a line, or a basket for those of the order.

    A give-back has the guardrail as `rule`; `is_order_level` marks what an order promotion took of a line.
    """

    where: Int64s
    rule: Int64s
    amount_minor: Int64s
    is_give_back: Bools
    is_order_level: Bools


@dataclass(slots=True)
class Outcome:
    """What became of each application (n_apps,), and all adjustments."""

    is_applied: Bools
    reason: Int64s
    slot: Int64s
    needed: Int64s
    unit: Int64s
    next_step: Int64s
    next_needed: Int64s
    next_times: Int64s
    on_lines: list[Adjustment] = field(default_factory=list)
    on_orders: list[Adjustment] = field(default_factory=list)


def applications_of(line: Int64s, rule: Int64s, line_basket: Int64s, n_rules: int) -> Applications:
    """Gather (line, rule) pairs into applications."""
    key = line_basket[line] * n_rules + rule
    order = np.lexsort((line, key))
    key, line = key[order], line[order]
    is_new = np.empty(key.size, np.bool_)
    is_new[:1] = True
    np.not_equal(key[1:], key[:-1], out=is_new[1:])
    app = np.cumsum(is_new) - 1
    own = key[is_new]
    return Applications(own // n_rules, own % n_rules, groups_of(app), line)


def stack(
    promotions: Promotions,
    kinds: Mapping[str, Kind],
    apps: Applications,
    facts: Facts,
    lines: Lines,
    orders: Orders,
    policy: Policy,
) -> Outcome:
    """Run all applications by their sequence and change the lines' running amounts."""
    outcome = _no_outcome(apps.rule.size)
    if apps.rule.size == 0:
        return outcome
    everything = np.arange(apps.rule.size)
    is_late = promotions.conditions.is_judged_late[apps.rule]
    early = everything[~is_late]
    verdict = judge(promotions.conditions, facts, apps.rule[early], _scoped(apps, early, lines, orders))
    _blame(outcome, early, verdict)
    open_apps = np.concatenate([early[verdict.holds], everything[is_late]])
    open_apps.sort()
    present = _groups_present(promotions, apps, open_apps, lines, orders)
    is_line_level = apps.rule[open_apps] < promotions.n_line_level
    batch = _Batch(promotions, kinds, apps, facts, lines, orders, policy, outcome, present)
    for level, own in (("line", open_apps[is_line_level]), ("order", open_apps[~is_line_level])):
        if own.size == 0:
            continue
        turn = _line_turns(batch, own) if level == "line" else order_turns(apps.basket[own])
        by_turn = np.argsort(turn, kind="stable")
        bounds = np.flatnonzero(np.diff(turn[by_turn])) + 1
        for together in np.split(own[by_turn], bounds):
            _take_turn(batch, together, "line" if level == "line" else "order")
    return outcome


class _Batch(NamedTuple):
    promotions: Promotions
    kinds: Mapping[str, Kind]
    apps: Applications
    facts: Facts
    lines: Lines
    orders: Orders
    policy: Policy
    outcome: Outcome
    groups_present: Int64s


def _no_outcome(n_apps: int) -> Outcome:
    def column(value: int) -> Int64s:
        return np.full(n_apps, value, np.int64)

    return Outcome(np.zeros(n_apps, np.bool_), column(0), column(-1), column(0), column(0), column(-1), column(0), column(1))


def _blame(outcome: Outcome, at: Int64s, verdict: Verdict) -> None:
    outcome.reason[at], outcome.slot[at] = verdict.reason, verdict.slot
    outcome.needed[at], outcome.unit[at] = verdict.needed, verdict.unit


def _groups_present(promotions: Promotions, apps: Applications, open_apps: Int64s, lines: Lines, orders: Orders) -> Int64s:
    """The groups that occur here, sorted; makes room to remember which of them has taken which line."""
    present = np.unique(promotions.group[apps.rule[open_apps]])
    present = present[present >= 0]
    lines.taken_group = np.zeros((lines.basket.size, present.size), np.bool_)
    orders.taken_group = np.zeros((orders.orders.size, present.size), np.bool_)
    return present


def _pairs_of(apps: Applications, chosen: Int64s) -> tuple[Int64s, Groups]:
    """The pairs of the chosen applications, and their grouping by place among the chosen."""
    starts = apps.lines.starts
    count = np.diff(np.append(starts, apps.line.size))[chosen]
    place = np.repeat(np.arange(chosen.size), count)
    pair = np.repeat(starts[chosen] - (np.cumsum(count) - count), count) + np.arange(place.size)
    return pair, Groups(place, np.cumsum(count) - count)


def _scoped(apps: Applications, chosen: Int64s, lines: Lines, orders: Orders) -> Scoped:
    """The amounts and quantities of the scopes of the chosen applications, and of their orders."""
    pair, groups = _pairs_of(apps, chosen)
    line = apps.line[pair]
    return Scoped(
        apps.basket[chosen],
        groups.sum(lines.subtotal_minor[line]),
        groups.sum(lines.running_minor[line]),
        groups.sum(lines.quantity_milli[line]),
        _order_sums(lines.running_minor, orders.first_line)[apps.basket[chosen]],
    )


def _order_sums(values: Int64s, first_line: Int64s) -> Int64s:
    reached = np.concatenate([[0], np.cumsum(values)])
    return np.asarray(reached[first_line[1:]] - reached[first_line[:-1]], np.int64)


def _line_turns(batch: _Batch, own: Int64s) -> Int64s:
    """Turns of line promotions. A condition on the running order feels every line, so it touches them all."""
    pair, groups = _pairs_of(batch.apps, own)
    app, line = groups.group, batch.apps.line[pair]
    needs_order = np.flatnonzero(batch.promotions.conditions.needs_order[batch.apps.rule[own]])
    if needs_order.size:
        first = batch.orders.first_line
        low = first[batch.apps.basket[own[needs_order]]]
        count = first[batch.apps.basket[own[needs_order]] + 1] - low
        more_app = np.repeat(needs_order, count)
        more_line = np.repeat(low - (np.cumsum(count) - count), count) + np.arange(more_app.size)
        both = np.unique(np.stack([np.append(app, more_app), np.append(line, more_line)], axis=1), axis=0)
        app, line = both[:, 0], both[:, 1]
    return line_turns(app, line, own.size)


def _take_turn(batch: _Batch, chosen: Int64s, level: Level) -> None:
    """Let applications that cannot feel one another take their turn."""
    promotions, apps, lines, orders, outcome = batch.promotions, batch.apps, batch.lines, batch.orders, batch.outcome
    is_late = promotions.conditions.is_judged_late[apps.rule[chosen]]
    if is_late.any():
        late = chosen[is_late]
        verdict = judge(promotions.conditions, batch.facts, apps.rule[late], _scoped(apps, late, lines, orders))
        _blame(outcome, late, verdict)
        is_open = ~is_late
        is_open[is_late] = verdict.holds
        chosen = chosen[is_open]
    if chosen.size == 0:
        return
    pair, groups = _pairs_of(apps, chosen)
    line = apps.line[pair]
    is_eligible = _eligible(batch, chosen, groups, line, level)
    has_eligible = np.logical_or.reduceat(is_eligible, groups.starts)
    if not has_eligible.any():
        return
    if not has_eligible.all():
        is_kept = has_eligible[groups.group]
        chosen, line, is_eligible = chosen[has_eligible], line[is_kept], is_eligible[is_kept]
        groups = groups_of((np.cumsum(has_eligible) - 1)[groups.group[is_kept]])
    reward = _reward(batch, chosen, groups, line, is_eligible, level)
    outcome.reason[chosen], outcome.needed[chosen], outcome.unit[chosen] = reward.reason, reward.needed, reward.unit
    outcome.next_step[chosen], outcome.next_needed[chosen] = reward.next_step, reward.next_needed
    outcome.next_times[chosen] = reward.next_times
    _settle(batch, chosen, groups, line, is_eligible, reward, level)


def _eligible(batch: _Batch, chosen: Int64s, groups: Groups, line: Int64s, level: Level) -> Bools:
    """Which pairs the applications may discount; where none is left the reason is that of the first line."""
    promotions, lines, orders, outcome = batch.promotions, batch.lines, batch.orders, batch.outcome
    rule = batch.apps.rule[chosen]
    app = groups.group
    is_exclusive = promotions.is_exclusive[rule]
    group = _group_place(batch, rule)
    is_on_sale = lines.is_on_sale[line] & promotions.not_on_sale[rule][app]
    if level == "line":
        is_blocked = lines.is_exclusively_taken[line] | (is_exclusive[app] & (lines.n_taken[line] > 0))
        is_grouped = _has_taken(lines.taken_group, line, group[app])
    else:
        basket = batch.apps.basket[chosen]
        by_order = orders.is_exclusively_taken[basket] | (is_exclusive & (orders.n_taken[basket] > 0))
        is_blocked = by_order[app] | lines.is_exclusively_taken[line]
        is_grouped = _has_taken(orders.taken_group, basket, group)[app]
    is_eligible = np.asarray(~(is_on_sale | is_blocked | is_grouped), np.bool_)
    closed = np.flatnonzero(~np.logical_or.reduceat(is_eligible, groups.starts))
    if closed.size:
        first = groups.starts[closed]
        reason = np.where(is_blocked[first], Reason.EXCLUSIVE_TAKEN, Reason.GROUP_TAKEN)
        outcome.reason[chosen[closed]] = np.where(is_on_sale[first], Reason.ON_SALE, reason)
    return is_eligible


def _group_place(batch: _Batch, rule: Int64s) -> Int64s:
    """The column of each rule's group among the groups of the batch, −1 without."""
    group = batch.promotions.group[rule]
    return np.where(group >= 0, np.searchsorted(batch.groups_present, group), -1)


def _has_taken(taken: Bools, where: Int64s, group: Int64s) -> Bools:
    if taken.shape[1] == 0:
        return np.zeros(where.size, np.bool_)
    return np.asarray((group >= 0) & taken[where, np.maximum(group, 0)], np.bool_)


def _reward(batch: _Batch, chosen: Int64s, groups: Groups, line: Int64s, is_eligible: Bools, level: Level) -> Reward:
    """Ask each kind for what its applications want, and lay the answers side by side."""
    promotions, lines, orders = batch.promotions, batch.lines, batch.orders
    rule, basket = batch.apps.rule[chosen], batch.apps.basket[chosen]
    kind = promotions.kind[rule]
    whole: Reward | None = None
    for number in np.unique(kind):
        is_own = kind == number
        is_own_pair = is_own[groups.group]
        own_line = line[is_own_pair]
        turn = Turn(
            groups if is_own.all() else groups_of((np.cumsum(is_own) - 1)[groups.group[is_own_pair]]),
            promotions.kind_row[rule[is_own]],
            is_eligible[is_own_pair],
            lines.running_minor[own_line],
            lines.subtotal_minor[own_line],
            lines.list_minor[own_line],
            lines.quantity_milli[own_line],
            orders.orders[basket[is_own]],
            orders.spend_minor[basket[is_own]],
            level,
            batch.policy,
        )
        reward = batch.kinds[promotions.kinds[number]].reward(promotions.packed[number], turn)
        if is_own.all():
            return reward
        if whole is None:
            whole = Reward(np.zeros(line.size, np.int64), *(np.zeros(chosen.size, np.int64) for _ in Reward._fields[1:]))
        for name, column in zip(Reward._fields, reward, strict=True):
            getattr(whole, name)[is_own_pair if name == "line_minor" else is_own] = column
    assert whole is not None, "a turn has at least one application"
    return whole


def _settle(
    batch: _Batch, chosen: Int64s, groups: Groups, line: Int64s, is_eligible: Bools, reward: Reward, level: Level
) -> None:
    """Limit rewards to what is left, to caps and to guardrails, and write them down."""
    lines, outcome = batch.lines, batch.outcome
    app = groups.group
    running = np.where(is_eligible, lines.running_minor[line], 0)
    room = np.maximum(running - lines.lowest_minor[line], 0)
    wanted = np.minimum(reward.line_minor, running)
    wanted_sum = groups.sum(wanted)
    is_capped = wanted_sum > reward.cap_minor
    across = np.minimum(np.minimum(reward.across_minor, reward.cap_minor), groups.sum(running))
    amount = np.where(is_capped, reward.cap_minor, across)
    is_allocated = amount > 0
    given_back = np.where(is_allocated[app], 0, np.maximum(wanted - room, 0))
    taken = np.where(is_allocated[app], 0, wanted)
    dropped = np.zeros(chosen.size, np.int64)
    dropped_rule = np.full(chosen.size, NO_RULE, np.int64)
    if is_allocated.any():
        weight = np.where(is_allocated[app], np.where(is_capped[app], wanted, running), 0)
        split = allocate_within(
            np.where(is_allocated, amount, 0),
            weight,
            # A cap shrinks rewards and never moves them: no line takes more than its own.
            np.where(is_capped[app], np.minimum(room, wanted), room),
            groups,
            remainder=batch.policy.remainder,
            rounding=batch.policy.rounding,
        )
        taken += split.taken_minor
        dropped = split.dropped_minor
        at = np.flatnonzero(split.is_fixed & (lines.floor_rule[line] >= 0))[::-1]
        dropped_rule[app[at]] = lines.floor_rule[line[at]]

    rule = batch.apps.rule[chosen]
    lines.running_minor[line] -= taken - given_back
    _write_lines(outcome, rule, groups, line, taken, given_back, lines.floor_rule[line], level)
    basket = batch.apps.basket[chosen]
    if level == "order":
        is_applied = is_allocated
        _write_orders(outcome, rule, basket, amount, dropped, dropped_rule)
        _mark_orders(batch, rule[is_applied], basket[is_applied])
    else:
        is_touched = taken > 0
        is_applied = np.logical_or.reduceat(is_touched, groups.starts)
        _mark_lines(batch, rule[app[is_touched]], line[is_touched])
    outcome.is_applied[chosen] = is_applied
    has_nothing = ~is_applied & (reward.reason == Reason.APPLIED)
    outcome.reason[chosen] = np.where(has_nothing, Reason.NOTHING_TO_DISCOUNT, reward.reason)


def _write_lines(
    outcome: Outcome,
    rule: Int64s,
    groups: Groups,
    line: Int64s,
    taken: Int64s,
    given_back: Int64s,
    floor_rule: Int64s,
    level: Level,
) -> None:
    at = np.flatnonzero(taken)
    back = np.flatnonzero(given_back)
    is_order = np.full(at.size, level == "order")
    outcome.on_lines.append(Adjustment(line[at], rule[groups.group[at]], -taken[at], np.zeros(at.size, np.bool_), is_order))
    if back.size:
        no = np.zeros(back.size, np.bool_)
        outcome.on_lines.append(Adjustment(line[back], floor_rule[back], given_back[back], ~no, no))


def _write_orders(outcome: Outcome, rule: Int64s, basket: Int64s, amount: Int64s, dropped: Int64s, dropped_rule: Int64s) -> None:
    at = np.flatnonzero(amount)
    back = np.flatnonzero(dropped)
    yes, no = np.ones(at.size, np.bool_), np.zeros(at.size, np.bool_)
    outcome.on_orders.append(Adjustment(basket[at], rule[at], -amount[at], no, yes))
    if back.size:
        yes = np.ones(back.size, np.bool_)
        outcome.on_orders.append(Adjustment(basket[back], dropped_rule[back], dropped[back], yes, yes))


def _mark_lines(batch: _Batch, rule: Int64s, line: Int64s) -> None:
    lines, promotions = batch.lines, batch.promotions
    lines.n_taken[line] += 1
    lines.is_exclusively_taken[line] |= promotions.is_exclusive[rule]
    group = _group_place(batch, rule)
    lines.taken_group[line[group >= 0], group[group >= 0]] = True


def _mark_orders(batch: _Batch, rule: Int64s, basket: Int64s) -> None:
    orders, promotions = batch.orders, batch.promotions
    orders.n_taken[basket] += 1
    orders.is_exclusively_taken[basket] |= promotions.is_exclusive[rule]
    group = _group_place(batch, rule)
    orders.taken_group[basket[group >= 0], group[group >= 0]] = True
