"""Whether the conditions of many applications hold, and if not, why."""

from typing import Final, NamedTuple

import numpy as np

from app.pricing.conditions import ALL, ANY, COMPARE, LEAF, NOT, ConditionTable
from app.pricing.money import Bools, Int64s
from app.pricing.reasons import Reason, Unit
from app.pricing.scope import is_member
from app.pricing.vocabulary import (
    ORDER_DISTINCT,
    ORDER_QUANTITY,
    ORDER_SUBTOTAL,
    SCOPE_QUANTITY,
    SCOPE_SUBTOTAL,
    VALUE_SHIFT,
    VALUE_STRIDE,
    Facts,
)


class Scoped(NamedTuple):
    """What conditions may ask about each application (n_apps,)."""

    basket: Int64s
    subtotal_minor: Int64s  # of the scope, before promotions
    running_minor: Int64s  # of the scope, now
    quantity_milli: Int64s  # of the scope
    order_running_minor: Int64s  # of the whole order, now


class Verdict(NamedTuple):
    """Whether each condition holds (n_apps,); if not, its reason, the slot it is about (−1: none) and the figure that is missing."""

    holds: Bools
    reason: Int64s
    slot: Int64s
    needed: Int64s
    unit: Int64s


def judge(table: ConditionTable, facts: Facts, rule: Int64s, scoped: Scoped) -> Verdict:
    """Judge the condition of each application's rule (n_apps,). Source: SEMANTICS.md, Conditions."""
    low = table.first[rule]
    count = table.first[rule + 1] - low
    app = np.repeat(np.arange(rule.size), count)
    local = np.arange(app.size) - np.repeat(np.cumsum(count) - count, count)
    node = np.repeat(low, count) + local
    offset = np.repeat(np.cumsum(count) - count, count)

    actual, is_known = _actual(table, facts, scoped, app, node)
    holds = _compare(table, facts, scoped.basket[app], node, actual) & is_known
    op, depth = table.op[node], table.depth[node]
    parent = offset + table.parent[node]
    holds = np.where(op == LEAF, holds, op == ALL)
    for level in range(int(depth.max(initial=0)), 0, -1):
        child = np.flatnonzero(depth == level)
        above = parent[child]
        is_all, is_any, is_not = (op[above] == kind for kind in (ALL, ANY, NOT))
        holds[above[is_all & ~holds[child]]] = False
        holds[above[is_any & holds[child]]] = True
        holds[above[is_not]] = ~holds[child[is_not]]

    # What stands inside a part that holds is not to blame, whatever it says itself.
    is_excused = np.zeros(app.size, np.bool_)
    for level in range(1, int(depth.max(initial=0)) + 1):
        child = np.flatnonzero(depth == level)
        is_excused[child] = is_excused[parent[child]] | holds[parent[child]]

    has_nodes = count > 0
    app_holds = np.ones(rule.size, np.bool_)
    app_holds[has_nodes] = holds[(np.cumsum(count) - count)[has_nodes]]
    return _verdict(table, app_holds, app, node, holds | is_excused, actual, is_known)


def _actual(table: ConditionTable, facts: Facts, scoped: Scoped, app: Int64s, node: Int64s) -> tuple[Int64s, Bools]:
    slot, is_running = table.slot[node], table.is_running[node]
    basket = scoped.basket[app]
    actual, is_known = facts.value[slot, basket], facts.is_known[slot, basket]
    is_spend = slot == SCOPE_SUBTOTAL
    for is_own, values in (
        (is_spend & ~is_running, scoped.subtotal_minor),
        (is_spend & is_running, scoped.running_minor),
        (slot == SCOPE_QUANTITY, scoped.quantity_milli),
        ((slot == ORDER_SUBTOTAL) & is_running, scoped.order_running_minor),
    ):
        at = np.flatnonzero(is_own)
        if at.size:
            actual[at] = values[app[at]]
            is_known[at] = True
    return actual, is_known


# Whether an operator accepts an actual value that is below, equal to or above its own.
_ACCEPTS: Final = np.array(
    [
        [False, True, False],  # ==
        [True, False, True],  # !=
        [True, False, False],  # <
        [True, True, False],  # <=
        [False, False, True],  # >
        [False, True, True],  # >=
        *([[False, False, False]] * 5),  # the operators on sets are judged by themselves
    ],
    np.bool_,
)


def _compare(table: ConditionTable, facts: Facts, basket: Int64s, node: Int64s, actual: Int64s) -> Bools:
    compare, value, value_set = table.compare[node], table.value[node], table.value_set[node]
    found = _ACCEPTS[compare, np.sign(actual - value) + 1]
    is_list = (compare == COMPARE["in"]) | (compare == COMPARE["not_in"])
    if is_list.any():
        is_in = is_member(table.set_key, value_set * VALUE_STRIDE + actual + VALUE_SHIFT)
        found = np.where(is_list, is_in == (compare == COMPARE["in"]), found)
    is_set = compare >= COMPARE["contains"]
    if is_set.any():
        contains = is_member(facts.segment_key, basket * VALUE_STRIDE + value + VALUE_SHIFT)
        overlaps = _overlaps(table, facts, basket, value_set)
        found = np.where(compare == COMPARE["contains"], contains, found)
        found = np.where(compare == COMPARE["contains_any"], overlaps, found)
        found = np.where(compare == COMPARE["contains_none"], ~overlaps, found)
    return np.asarray(found, np.bool_)


def _overlaps(table: ConditionTable, facts: Facts, basket: Int64s, value_set: Int64s) -> Bools:
    """Whether one of a basket's segments is in the set (n,)."""
    low = facts.segment_basket_first[basket]
    count = facts.segment_basket_first[basket + 1] - low
    at = np.repeat(np.arange(basket.size), count)
    segment = np.repeat(low - (np.cumsum(count) - count), count) + np.arange(at.size)
    text = facts.segment_key[segment] - basket[at] * VALUE_STRIDE
    overlaps = np.zeros(basket.size, np.bool_)
    overlaps[at[is_member(table.set_key, value_set[at] * VALUE_STRIDE + text)]] = True
    return overlaps


def _verdict(
    table: ConditionTable, app_holds: Bools, app: Int64s, node: Int64s, holds: Bools, actual: Int64s, is_known: Bools
) -> Verdict:
    """The reason of each condition that fails: its first comparison to blame, in document order (`holds` includes what is excused)."""
    n_apps = app_holds.size
    blamed = np.full(n_apps, -1, np.int64)
    is_blamed = (table.op[node] == LEAF) & ~holds & table.can_explain[node] & ~app_holds[app]
    at = np.flatnonzero(is_blamed)[::-1]
    blamed[app[at]] = at
    reason = np.where(app_holds, Reason.APPLIED, Reason.CONDITION_NOT_MET)
    slot, needed, unit = np.full(n_apps, -1, np.int64), np.zeros(n_apps, np.int64), np.zeros(n_apps, np.int64)
    found = np.flatnonzero(blamed >= 0)
    leaf = blamed[found]
    its_node = node[leaf]
    its_slot, compare = table.slot[its_node], table.compare[its_node]
    is_missing = ~is_known[leaf]
    is_lower_bound = ~is_missing & ((compare == COMPARE[">="]) | (compare == COMPARE[">"]))
    is_spend = is_lower_bound & ((its_slot == ORDER_SUBTOTAL) | (its_slot == SCOPE_SUBTOTAL))
    is_quantity = is_lower_bound & ((its_slot == ORDER_QUANTITY) | (its_slot == SCOPE_QUANTITY))
    is_distinct = is_lower_bound & (its_slot == ORDER_DISTINCT)
    reason[found] = np.select(
        [is_missing, is_spend, is_quantity | is_distinct],
        [Reason.ATTRIBUTE_MISSING, Reason.MIN_SPEND_NOT_MET, Reason.MIN_QUANTITY_NOT_MET],
        Reason.CONDITION_NOT_MET,
    )
    slot[found] = its_slot
    needed[found] = table.value[its_node] - actual[leaf] + (compare == COMPARE[">"])
    unit[found] = np.select([is_spend, is_quantity, is_distinct], [Unit.MINOR, Unit.MILLI, Unit.COUNT], Unit.NONE)
    return Verdict(app_holds, reason, slot, needed, unit)
