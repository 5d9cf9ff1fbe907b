"""Step 8: shipping promotions take their turns, each of what the earlier ones left. Source: SEMANTICS.md, Shipping."""

import numpy as np

from app.pricing.asking import ask
from app.pricing.groups import groups_of
from app.pricing.money import PPM, Bools, Int64s, round_mul_div
from app.pricing.reasons import Reason
from app.pricing.stacking import Adjustment, Applications, Outcome
from app.pricing.taken import Taken, nothing_taken
from app.pricing.together import Work
from app.pricing.verdicts import Scoped, judge


def take_shipping(work: Work, apps: Applications, outcome: Outcome, stated_minor: Int64s) -> Int64s:
    """Run the open applications of shipping promotions; give what is left of each basket's shipping (n_baskets,), 0 where none is stated.

    The lines are what all other promotions left, so that every condition can be judged at once.
    """
    left = np.maximum(stated_minor, 0)
    is_open = (apps.rule >= work.promotions.first_of_shipping) & (outcome.reason == Reason.APPLIED)
    live = _judged_late(work, apps, is_open.nonzero()[0], outcome)
    is_stated = stated_minor[apps.basket[live]] >= 0
    outcome.reason[live[~is_stated]] = Reason.NO_SHIPPING
    live = live[is_stated]
    if live.size == 0:
        return left
    pair, groups = apps.lines.chosen(live)
    line, rule, basket = apps.line[pair], apps.rule[live], apps.basket[live]
    reward, _ = ask(work.promotions, work.kinds, rule, basket, groups, line, work.lines, work.orders, work.policy)
    is_shut = ~groups.any(~(work.promotions.not_on_sale[rule][groups.group] & work.lines.is_on_sale[line]))
    nothing = np.zeros(live.size, np.int64)
    off_ppm = nothing if reward.off_ppm is None else reward.off_ppm
    amount_minor = nothing if reward.across_minor is None else reward.across_minor
    taken = nothing_taken(work.promotions, rule, np.zeros(left.size, np.bool_))
    waiting = np.arange(live.size)
    while waiting.size:
        first = groups_of(basket[waiting]).starts
        now, waiting = waiting[first], np.delete(waiting, first)
        why = _why_kept(taken, now, basket[now], is_shut[now])
        running = np.where(why > 0, 0, left[basket[now]])
        wanted = round_mul_div(running, off_ppm[now], PPM, work.policy.rounding) + amount_minor[now]
        took = np.minimum(wanted, running)
        left[basket[now]] -= took
        is_applied = took > 0
        own = now[is_applied]
        taken.mark(own, basket[own])
        outcome.is_applied[live[now]] = is_applied
        why[(why == 0) & ~is_applied] = Reason.NOTHING_TO_DISCOUNT
        outcome.reason[live[now]] = why
        no = np.zeros(own.size, np.bool_)
        outcome.on_shipping.append(Adjustment(basket[own], rule[own], -took[is_applied], no, no))
    return left


def _judged_late(work: Work, apps: Applications, live: Int64s, outcome: Outcome) -> Int64s:
    """Judge the conditions on running amounts, and give the applications that are open after it."""
    conditions = work.promotions.conditions
    is_late = conditions.is_judged_late[apps.rule[live]]
    if not is_late.any():
        return live
    late = live[is_late]
    basket = apps.basket[late]
    scoped = Scoped(basket, late, apps.lines, apps.line, work.lines, work.orders)
    verdict = judge(conditions, work.facts, apps.rule[late], work.orders.context[basket], scoped)
    outcome.reason[late], outcome.slot[late] = verdict.reason, verdict.slot
    outcome.needed[late], outcome.unit[late] = verdict.needed, verdict.unit
    is_late[is_late] = ~verdict.holds
    return live[~is_late]


def _why_kept(taken: Taken, now: Int64s, basket: Int64s, is_shut: Bools) -> Int64s:
    """Why shipping promotions (n,) may not apply, 0 where they may."""
    why = np.where(is_shut, Reason.ON_SALE, 0)
    if taken.group_place is not None:
        why[(why == 0) & ~taken.is_free[taken.cell(now, basket)]] = Reason.GROUP_TAKEN
    blocked = taken.is_blocked(now, basket)
    why[blocked & (why != Reason.ON_SALE)] = Reason.EXCLUSIVE_TAKEN
    return why
