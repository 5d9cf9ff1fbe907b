"""Step 8: shipping promotions take their turns, each of what the earlier ones left. Source: SEMANTICS.md, Shipping."""

import numpy as np

from app.pricing.asking import ask
from app.pricing.contests import bars_of, decide
from app.pricing.groups import groups_of
from app.pricing.money import PPM, Bools, Int64s, round_mul_div
from app.pricing.policy import Policy
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
    is_lost = None
    if work.policy.selection == "best" and taken.keeps_apart and basket.size > 1 and (basket[1:] == basket[:-1]).any():
        is_lost = _contest(work, taken, rule, basket, left, is_shut, off_ppm, amount_minor, outcome)
    waiting = np.arange(live.size)
    while waiting.size:
        first = groups_of(basket[waiting]).starts
        now, waiting = waiting[first], np.delete(waiting, first)
        why = _why_kept(taken, now, basket[now], is_shut[now], None if is_lost is None else is_lost[now])
        running = np.where(why > 0, 0, left[basket[now]])
        took = _takes(running, off_ppm[now], amount_minor[now], work.policy)
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


def _takes(running: Int64s, off_ppm: Int64s, amount_minor: Int64s, policy: Policy) -> Int64s:
    """What shipping promotions (n,) take of what is left for each (n,)."""
    took: Int64s = np.minimum(round_mul_div(running, off_ppm, PPM, policy.rounding) + amount_minor, running)
    return took


def _contest(
    work: Work,
    taken: Taken,
    rule: Int64s,
    basket: Int64s,
    stated_minor: Int64s,
    is_shut: Bools,
    off_ppm: Int64s,
    amount_minor: Int64s,
    outcome: Outcome,
) -> Bools | None:
    """Which shipping promotions (n,) have lost the shipping of their basket; None where none is contested."""

    def turn(pair: Int64s, _: Int64s, before: Int64s) -> tuple[Int64s, Int64s]:
        return _takes(before, off_ppm[pair], amount_minor[pair], work.policy), np.zeros(pair.size, np.int64)

    takes = _takes(stated_minor[basket], off_ppm, amount_minor, work.policy)
    pair = (~is_shut & (takes > 0)).nonzero()[0]
    decided = decide(work.promotions.id, pair, rule[pair], basket[pair], bars_of(taken, pair), stated_minor, turn)
    if decided is None:
        return None
    if decided.excess.size:
        is_bounded = np.zeros(stated_minor.size, np.bool_) if outcome.is_bounded is None else outcome.is_bounded
        is_bounded[basket[decided.excess]] = True
        outcome.is_bounded = is_bounded
    is_lost = np.zeros(rule.size, np.bool_)
    is_lost[decided.lost] = True
    return is_lost


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


def _why_kept(taken: Taken, now: Int64s, basket: Int64s, is_shut: Bools, is_lost: Bools | None) -> Int64s:
    """Why shipping promotions (n,) may not apply, 0 where they may."""
    why = np.where(is_shut, Reason.ON_SALE, 0)
    if is_lost is not None:
        why[is_lost] = Reason.NOT_BEST
    if taken.group_place is not None:
        why[(why == 0) & ~taken.is_free[taken.cell(now, basket)]] = Reason.GROUP_TAKEN
    blocked = taken.is_blocked(now, basket)
    why[blocked & (why != Reason.ON_SALE) & (why != Reason.NOT_BEST)] = Reason.EXCLUSIVE_TAKEN
    return why
