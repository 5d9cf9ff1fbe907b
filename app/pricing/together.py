"""Promotions whose lines take their turn as one: amounts across lines, caps, running measures, and all order promotions."""

from collections.abc import Mapping
from typing import Final, NamedTuple

import numpy as np

from app.pricing.allocation import allocate_within
from app.pricing.asking import Offers, ask
from app.pricing.by_line import wanted_of
from app.pricing.counters import Bars
from app.pricing.groups import Groups
from app.pricing.kind import Kind
from app.pricing.money import AMOUNT_MINOR_MAX, PPM, Bools, Int64s, round_mul_div
from app.pricing.policy import Policy
from app.pricing.promotions import Promotions
from app.pricing.reasons import Reason
from app.pricing.rewards import BY_RUNNING, Level, Reward, bases_of
from app.pricing.stacking import NO_RULE, Lines, Orders
from app.pricing.taken import Taken
from app.pricing.verdicts import Scoped, Verdict, judge
from app.pricing.vocabulary import Facts

TAKES_AMOUNTS: Final = -1


class Work(NamedTuple):
    """What all turns of a batch work with."""

    promotions: Promotions
    kinds: Mapping[str, Kind]
    facts: Facts
    lines: Lines
    orders: Orders
    policy: Policy
    by_sequence: Bools | None = None  # (n_baskets,) in which no contest is held; None: there is none such
    worth_minor: Int64s | None = None  # (n_apps,) what is given beside amounts, or TAKES_AMOUNTS; None: nothing
    bars: Bars | None = None  # what limits keep from baskets; None: nothing
    notes_short: bool = False  # whether it is noted what falls short of the amounts before promotions


class Live(NamedTuple):
    """The applications of one level whose conditions may hold, by basket and sequence."""

    level: Level
    app: Int64s  # (n_live,) among all applications
    rule: Int64s
    basket: Int64s
    groups: Groups
    line: Int64s  # (n_pairs,)
    is_on_sale: Bools | None  # (n_pairs,) the line is, and the promotion does not apply then
    is_taken: Bools | None  # (n_pairs,) an exclusive promotion of the level before has taken the line


class Turned(NamedTuple):
    """What became of applications (n,) at their turn: of those that failed their condition, that no line was open to, and of the others."""

    short: Int64s  # of the live applications
    failed: Int64s
    verdict: Verdict | None  # of those that failed
    closed: Int64s
    closed_reason: Int64s
    settled: Int64s
    is_applied: Bools
    offers: Offers  # by place among the settled
    pair: Int64s  # of the live pairs
    taken_minor: Int64s
    given_back_minor: Int64s
    amount_minor: Int64s  # of the settled, at order level
    dropped_minor: Int64s
    dropped_rule: Int64s

    def closing(self, app: Int64s, reason: Int64s) -> "Turned":
        """The same with more applications that no line was open to."""
        return self._replace(closed=np.append(self.closed, app), closed_reason=np.append(self.closed_reason, reason))


_NONE = np.zeros(0, np.int64)
_NOBODY = Turned(_NONE, _NONE, None, _NONE, _NONE, _NONE, _NONE > 0, (), _NONE, _NONE, _NONE, _NONE, _NONE, _NONE)


def take_turn(work: Work, live: Live, taken: Taken, chosen: Int64s) -> Turned:
    """Let applications that cannot feel one another take their turn."""
    turned, chosen = _judged_late(work, live, chosen)
    if live.level == "order" and chosen.size:
        kept = why_kept(live, taken, chosen)
        is_kept = kept > 0
        if is_kept.any():
            turned, chosen = turned.closing(chosen[is_kept], kept[is_kept]), chosen[~is_kept]
    if chosen.size == 0:
        return turned
    pair, groups = live.groups.chosen(chosen)
    why = _closed(live, taken, chosen, pair, groups)
    if why is None:
        return _settle(work, live, taken, turned, chosen, pair, groups, None)
    is_eligible = why == 0
    is_open = groups.any(is_eligible)
    if not is_open.all():
        closed = (~is_open).nonzero()[0]
        # Of several lines the first one's reason stands.
        turned = turned.closing(chosen[closed], why[groups.starts[closed]])
        kept, groups = groups.only(is_open)
        chosen, pair, is_eligible = chosen[is_open], pair[kept], is_eligible[kept]
    return turned if chosen.size == 0 else _settle(work, live, taken, turned, chosen, pair, groups, is_eligible)


def _judged_late(work: Work, live: Live, chosen: Int64s) -> tuple[Turned, Int64s]:
    """Judge the conditions on running amounts, and give the applications that are open after it."""
    conditions = work.promotions.conditions
    is_late = conditions.is_judged_late[live.rule[chosen]]
    if not is_late.any():
        return _NOBODY, chosen
    late = chosen[is_late]
    basket = live.basket[late]
    scoped = Scoped(basket, late, live.groups, live.line, work.lines, work.orders)
    verdict = judge(conditions, work.facts, live.rule[late], work.orders.context[basket], scoped)
    fails = ~verdict.holds
    is_late[is_late] = fails
    turned = _NOBODY._replace(failed=late[fails], verdict=verdict.only(fails))
    if turned.failed.size and work.notes_short:
        turned = turned._replace(short=turned.failed[_would_hold(work, live, turned.failed)])
    return turned, chosen[~is_late]


def _would_hold(work: Work, live: Live, failed: Int64s) -> Bools:
    """Whether conditions (n,) would hold if the amounts before promotions were the running ones."""
    basket = live.basket[failed]
    scoped = Scoped(basket, failed, live.groups, live.line, work.lines.untouched(), work.orders)
    return judge(work.promotions.conditions, work.facts, live.rule[failed], work.orders.context[basket], scoped).holds


def _is_short(work: Work, reward: Reward, rule: Int64s, basket: Int64s, groups: Groups, line: Int64s) -> Bools | None:
    """Whether the running amounts reach another percentage or amount (n_apps,) than those before promotions; None where none does."""
    own = work.promotions.measures_running[rule].nonzero()[0]
    if own.size == 0:
        return None
    pair, own_groups = groups.chosen(own)
    lines, line = work.lines, line[pair]
    if (lines.running_minor[line] == lines.subtotal_minor[line]).all():
        return None
    at = rule[own], basket[own], own_groups, line
    before, _ = ask(work.promotions, work.kinds, *at, lines.untouched(), work.orders, work.policy)
    is_short = np.zeros(rule.size, np.bool_)
    for now, then in ((reward.off_ppm, before.off_ppm), (reward.across_minor, before.across_minor)):
        is_short[own] |= (0 if now is None else now[own]) != (0 if then is None else then)
    return is_short


def why_kept(live: Live, taken: Taken, chosen: Int64s) -> Int64s:
    """Why others keep order promotions (n,) from the whole order, with the reason of its first line; 0 where they do not."""
    basket = live.basket[chosen]
    why = np.zeros(chosen.size, np.int64)
    if taken.group_place is not None:
        why[~taken.is_free[taken.cell(chosen, basket)]] = Reason.GROUP_TAKEN
    if taken.is_exclusive is not None:
        why[taken.is_blocked(chosen, basket)] = Reason.EXCLUSIVE_TAKEN
    if live.is_taken is not None or live.is_on_sale is not None:
        kept = (why > 0).nonzero()[0]
        first = live.groups.starts[chosen[kept]]
        for reason, causes in ((Reason.EXCLUSIVE_TAKEN, live.is_taken), (Reason.ON_SALE, live.is_on_sale)):
            if causes is not None:
                why[kept[causes[first]]] = reason
    return why


def _closed(live: Live, taken: Taken, chosen: Int64s, pair: Int64s, groups: Groups) -> Int64s | None:
    """Why the applications may not discount pairs (n_pairs,), 0 where they may; None where they may discount all."""
    if live.level == "order" and live.is_taken is None and live.is_on_sale is None:
        return None
    why = np.zeros(pair.size, np.int64)
    if live.level == "line":
        app, line = chosen[groups.group], live.line[pair]
        if taken.group_place is not None:
            why[~taken.is_free[taken.cell(app, line)]] = Reason.GROUP_TAKEN
        if taken.is_exclusive is not None:
            why[taken.is_blocked(app, line)] = Reason.EXCLUSIVE_TAKEN
    for reason, causes in ((Reason.EXCLUSIVE_TAKEN, live.is_taken), (Reason.ON_SALE, live.is_on_sale)):
        if causes is not None:
            why[causes[pair]] = reason
    return why if why.any() else None


def _settle(
    work: Work,
    live: Live,
    taken: Taken,
    turned: Turned,
    chosen: Int64s,
    pair: Int64s,
    groups: Groups,
    is_eligible: Bools | None,
) -> Turned:
    """Limit rewards to what is left, to caps and to guardrails."""
    lines, policy, line, rule, basket = work.lines, work.policy, live.line[pair], live.rule[chosen], live.basket[chosen]
    reward, offers = ask(work.promotions, work.kinds, rule, basket, groups, line, lines, work.orders, policy, is_eligible)
    is_short = _is_short(work, reward, rule, basket, groups, line) if work.notes_short else None
    running = lines.running_minor[line]
    if is_eligible is not None:
        running = np.where(is_eligible, running, 0)
    if live.level == "order" or lines.shown_lowest_minor is None:
        lowest = lines.lowest_minor[line]
    else:
        lowest = lines.lowest_for(line, work.promotions.requires_code[rule][groups.group])
    room = np.maximum(running - lowest, 0)
    if live.level == "line":
        wanted = wanted_of(reward, groups, line, lines, policy).of(running, 0, pair.size, policy)
        across = reward.across_minor
    else:
        wanted = np.zeros(pair.size, np.int64)
        across = _across(work, reward, groups, line, is_eligible)
    amount, weight, most = _allocated(reward, across, groups, wanted, running, room, is_eligible)
    is_allocated = amount > 0
    dropped, dropped_rule = np.zeros(chosen.size, np.int64), np.full(chosen.size, NO_RULE, np.int64)
    if is_allocated.any():
        is_apart = is_allocated[groups.group]
        if not is_allocated.all():
            weight = np.where(is_apart, weight, 0)
        split = allocate_within(amount, weight, most, groups, remainder=policy.remainder, rounding=policy.rounding)
        given_back = np.where(is_apart, 0, np.maximum(wanted - room, 0))
        took = np.where(is_apart, split.taken_minor, wanted)
        dropped = split.dropped_minor
        if dropped.any():
            at = (split.is_fixed & (lines.lowest_rule[line] >= 0)).nonzero()[0][::-1]
            dropped_rule[groups.group[at]] = lines.lowest_rule[line[at]]
    else:
        took, given_back = wanted, np.maximum(wanted - room, 0)
    lines.running_minor[line] -= took - given_back
    if live.level == "order":
        is_applied = is_allocated if reward.is_given is None else is_allocated | reward.is_given
        taken.mark(chosen[is_applied], basket[is_applied])
    else:
        is_applied = groups.any(took > 0)
        if reward.served_milli is not None:
            lines.served_milli[line] += np.where(is_applied[groups.group], reward.served_milli, 0)
        touched = took.nonzero()[0]
        taken.mark(chosen[groups.group[touched]], line[touched])
    return turned._replace(
        short=turned.short if is_short is None else np.append(turned.short, chosen[is_short]),
        settled=chosen,
        is_applied=is_applied,
        offers=offers,
        pair=pair,
        taken_minor=took,
        given_back_minor=given_back,
        amount_minor=amount,
        dropped_minor=dropped,
        dropped_rule=dropped_rule,
    )


def _across(work: Work, reward: Reward, groups: Groups, line: Int64s, is_eligible: Bools | None) -> Int64s | None:
    """What order promotions want across their lines: their amount, and their percentage once over the eligible lines."""
    if reward.off_ppm is None:
        return reward.across_minor
    of = bases_of(reward.base, groups, line, work.lines, is_eligible)
    percent = round_mul_div(groups.sum(of), reward.off_ppm, PPM, work.policy.rounding)
    return percent if reward.across_minor is None else percent + reward.across_minor


def _allocated(
    reward: Reward,
    across: Int64s | None,
    groups: Groups,
    wanted: Int64s,
    running: Int64s,
    room: Int64s,
    is_eligible: Bools | None,
) -> tuple[Int64s, Int64s, Int64s]:
    """The amount of each application that is split over its lines (n_apps,), 0 where none is, the weights and the most that each line takes."""
    amount = np.zeros(groups.starts.size, np.int64) if across is None else np.minimum(across, groups.sum(running))
    weight = running
    if reward.weight is not None:
        weight = np.where(reward.weight == BY_RUNNING, running, reward.weight)
        if is_eligible is not None:
            weight *= is_eligible
    if reward.cap_minor is None:
        return amount, weight, room
    amount = np.minimum(amount, reward.cap_minor)
    is_capped = groups.sum(wanted) > reward.cap_minor
    if not is_capped.any():
        return amount, weight, room
    # A cap shrinks rewards and never moves them: no line takes more than its own.
    is_bound = is_capped[groups.group]
    amount = np.where(is_capped, reward.cap_minor, amount)
    return amount, np.where(is_bound, wanted, weight), np.where(is_bound, np.minimum(room, wanted), room)


assert AMOUNT_MINOR_MAX * 2 < 2**63  # the sum of an amount and a percentage
