"""Whether the conditions of many applications hold, and if not, why."""

from typing import Final, NamedTuple

import numpy as np

from app.pricing.conditions import ALL, ANY, COMPARE, LEAF, NOT, ConditionTable
from app.pricing.groups import Groups, groups_of
from app.pricing.money import Bools, Int64s
from app.pricing.reasons import Reason, Unit
from app.pricing.scope import is_member
from app.pricing.stacking import Lines, Orders
from app.pricing.vocabulary import (
    ORDER_DISTINCT,
    ORDER_QUANTITY,
    ORDER_SHIPPING,
    ORDER_SUBTOTAL,
    SCOPE_QUANTITY,
    SCOPE_SUBTOTAL,
    SLOTS,
    VALUE_SHIFT,
    VALUE_STRIDE,
    Facts,
)


class Scoped(NamedTuple):
    """What conditions may ask about each application (n_apps,) besides its context; summed up when it is asked."""

    basket: Int64s
    chosen: Int64s  # the applications among those of `scopes`
    scopes: Groups
    line: Int64s  # (n_pairs,) of the scopes
    lines: Lines
    orders: Orders

    def figure(self, slot: int, *, is_running: bool) -> Int64s:
        """A figure of each application's scope or order (n_apps,)."""
        if slot == ORDER_DISTINCT:
            return self._distinct()[self.basket]
        is_quantity = slot in (SCOPE_QUANTITY, ORDER_QUANTITY)
        values = self.lines.running_minor if is_running else self.lines.subtotal_minor
        values = self.lines.quantity_milli if is_quantity else values
        of_orders = slot in (ORDER_SUBTOTAL, ORDER_QUANTITY)
        if of_orders:
            return self.orders.sums(values)[self.basket]
        pair, scope = self.scopes.chosen(self.chosen)
        return scope.sum(values[self.line[pair]])

    def shipping(self) -> tuple[Int64s, Bools]:
        """The shipping amount of each application's order (n_apps,), and whether the request states one."""
        if self.orders.shipping_minor is None:
            return np.zeros(self.basket.size, np.int64), np.zeros(self.basket.size, np.bool_)
        stated = self.orders.shipping_minor[self.basket]
        return stated, stated >= 0

    def _distinct(self) -> Int64s:
        """The number of different SKUs of each order (n_baskets,)."""
        sku_bits = int(self.lines.sku_row.max(initial=0)).bit_length()
        key = np.unique((self.lines.basket << sku_bits) | self.lines.sku_row)
        return np.bincount(key >> sku_bits, minlength=self.orders.context.size)


_FIGURES: Final = (SCOPE_SUBTOTAL, SCOPE_QUANTITY, ORDER_SUBTOTAL, ORDER_QUANTITY, ORDER_DISTINCT)


class Verdict(NamedTuple):
    """Whether each condition holds (n_apps,); if not, its reason, the slot it is about (−1: none) and the figure that is missing."""

    holds: Bools
    reason: Int64s
    slot: Int64s
    needed: Int64s
    unit: Int64s

    def only(self, is_kept: Bools) -> "Verdict":
        """The verdicts that are kept."""
        return Verdict._make(column[is_kept] for column in self)


def judge_by_context(table: ConditionTable, facts: Facts, rule: Int64s, context: Int64s) -> tuple[Int64s, Int64s, Int64s]:
    """Judge the conditions that look at the context alone (n_apps,), each of a context once: many promotions share an audience.

    Returns the reason of what fails (APPLIED elsewhere), the slot it is about, and the applications whose condition looks at more.
    """
    tree = table.tree[rule]
    n_contexts, n_trees = facts.value.shape[1], table.rule_of_tree.size
    if n_trees == 0:
        return np.zeros(rule.size, np.int64), np.full(rule.size, -1), np.arange(rule.size)
    if n_contexts * n_trees <= rule.size:
        verdict = judge(table, facts, np.tile(table.rule_of_tree, n_contexts), np.repeat(np.arange(n_contexts), n_trees), None)
        shape = n_contexts, n_trees
        # Column 0 is of the conditions that look at more.
        reasons = np.full((n_contexts, n_trees + 1), Reason.APPLIED, np.int64)
        slots = np.full((n_contexts, n_trees + 1), -1, np.int64)
        reasons[:, 1:], slots[:, 1:] = verdict.reason.reshape(shape), verdict.slot.reshape(shape)
        at = tree if n_contexts == 1 else context * (n_trees + 1) + tree
        reason, slot = reasons.ravel()[at], slots.ravel()[at]
    else:
        reason, slot = np.full(rule.size, Reason.APPLIED, np.int64), np.full(rule.size, -1, np.int64)
        own = tree.nonzero()[0]
        verdict = judge(table, facts, rule[own], context[own], None)
        reason[own], slot[own] = verdict.reason, verdict.slot
    return reason, slot, (tree == 0).nonzero()[0]


def judge(table: ConditionTable, facts: Facts, rule: Int64s, context: Int64s, scoped: Scoped | None) -> Verdict:
    """Judge the condition of each application's rule (n_apps,) in its context (n_apps,). Source: SEMANTICS.md, Conditions.

    Without `scoped` they look at the context alone.
    """
    low = table.first[rule]
    count = table.first[rule + 1] - low
    first = np.cumsum(count) - count
    app = np.repeat(np.arange(rule.size), count)
    node = np.repeat(low - first, count) + np.arange(app.size)

    actual, is_known = _actual(table, facts, context, scoped, app, node)
    op, depth = table.op[node], table.depth[node]
    holds = np.where(op == LEAF, _compare(table, facts, context[app], node, actual) & is_known, op == ALL)
    is_excused = _raise(op, depth, first[app] + table.parent[node], holds) if depth.any() else None
    has_nodes = count > 0
    app_holds = np.ones(rule.size, np.bool_)
    app_holds[has_nodes] = holds[first[has_nodes]]
    # A comparison below a `not` is true, or stands in a part that holds: the `not`, or what it denies.
    is_blamed = (op == LEAF) & ~holds & ~app_holds[app]
    if is_excused is not None:
        is_blamed &= ~is_excused
    return _verdict(table, app_holds, app, node, is_blamed.nonzero()[0], actual, is_known)


def _raise(op: Int64s, depth: Int64s, parent: Int64s, holds: Bools) -> Bools:
    """Let the nodes above the leaves hold or fail, from the deepest up. Tells which nodes stand inside a part that holds: they are not to blame."""
    n_levels = int(depth.max())
    for level in range(n_levels, 0, -1):
        child = (depth == level).nonzero()[0]
        above = parent[child]
        is_all, is_any, is_not = (op[above] == kind for kind in (ALL, ANY, NOT))
        holds[above[is_all & ~holds[child]]] = False
        holds[above[is_any & holds[child]]] = True
        holds[above[is_not]] = ~holds[child[is_not]]
    is_excused = np.zeros(op.size, np.bool_)
    for level in range(1, n_levels + 1):
        child = (depth == level).nonzero()[0]
        is_excused[child] = is_excused[parent[child]] | holds[parent[child]]
    return is_excused


def _actual(
    table: ConditionTable, facts: Facts, context: Int64s, scoped: Scoped | None, app: Int64s, node: Int64s
) -> tuple[Int64s, Bools]:
    slot = table.slot[node]
    actual, is_known = facts.value[slot, context[app]], facts.is_known[slot, context[app]]
    if scoped is None:
        return actual, is_known
    is_present = np.bincount(slot, minlength=len(SLOTS))
    for own_slot in _FIGURES:
        if is_present[own_slot]:
            at = (slot == own_slot).nonzero()[0]
            is_running = table.is_running[node[at]]
            for own, runs in ((at[~is_running], False), (at[is_running], True)):
                if own.size:
                    actual[own] = scoped.figure(own_slot, is_running=runs)[app[own]]
            is_known[at] = True
    if is_present[ORDER_SHIPPING]:
        at = (slot == ORDER_SHIPPING).nonzero()[0]
        amount, is_stated = scoped.shipping()
        actual[at], is_known[at] = amount[app[at]], is_stated[app[at]]
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


def _compare(table: ConditionTable, facts: Facts, context: Int64s, node: Int64s, actual: Int64s) -> Bools:
    compare, value, value_set = table.compare[node], table.value[node], table.value_set[node]
    found = _ACCEPTS[compare, np.sign(actual - value) + 1]
    is_list = (compare == COMPARE["in"]) | (compare == COMPARE["not_in"])
    if is_list.any():
        is_in = is_member(table.set_key, value_set * VALUE_STRIDE + actual + VALUE_SHIFT)
        found = np.where(is_list, is_in == (compare == COMPARE["in"]), found)
    is_set = compare >= COMPARE["contains"]
    if is_set.any():
        contains = is_member(facts.segment_key, context * VALUE_STRIDE + value + VALUE_SHIFT)
        overlaps = _overlaps(table, facts, context, value_set)
        found = np.where(compare == COMPARE["contains"], contains, found)
        found = np.where(compare == COMPARE["contains_any"], overlaps, found)
        found = np.where(compare == COMPARE["contains_none"], ~overlaps, found)
    return np.asarray(found, np.bool_)


def _overlaps(table: ConditionTable, facts: Facts, context: Int64s, value_set: Int64s) -> Bools:
    """Whether one of a context's segments is in the set (n,)."""
    low = facts.segment_first[context]
    count = facts.segment_first[context + 1] - low
    at = np.repeat(np.arange(context.size), count)
    segment = np.repeat(low - (np.cumsum(count) - count), count) + np.arange(at.size)
    text = facts.segment_key[segment] - context[at] * VALUE_STRIDE
    overlaps = np.zeros(context.size, np.bool_)
    overlaps[at[is_member(table.set_key, value_set[at] * VALUE_STRIDE + text)]] = True
    return overlaps


# What a lower bound on a figure lacks, by the slot of the figure; the last is of all others.
_REASON_OF_SLOT: Final = np.full(len(SLOTS) + 1, Reason.CONDITION_NOT_MET)
_REASON_OF_SLOT[[ORDER_SUBTOTAL, SCOPE_SUBTOTAL]] = Reason.MIN_SPEND_NOT_MET
_REASON_OF_SLOT[[ORDER_QUANTITY, SCOPE_QUANTITY, ORDER_DISTINCT]] = Reason.MIN_QUANTITY_NOT_MET
_UNIT_OF_SLOT: Final = np.full(len(SLOTS) + 1, Unit.NONE)
_UNIT_OF_SLOT[[ORDER_SUBTOTAL, SCOPE_SUBTOTAL]] = Unit.MINOR
_UNIT_OF_SLOT[[ORDER_QUANTITY, SCOPE_QUANTITY]] = Unit.MILLI
_UNIT_OF_SLOT[ORDER_DISTINCT] = Unit.COUNT


def _verdict(
    table: ConditionTable, app_holds: Bools, app: Int64s, node: Int64s, blamed: Int64s, actual: Int64s, is_known: Bools
) -> Verdict:
    """The reason of each condition that fails: the first comparison to blame, in document order."""
    n_apps = app_holds.size
    reason = np.where(app_holds, Reason.APPLIED, Reason.CONDITION_NOT_MET)
    slot, needed, unit = np.full(n_apps, -1), np.zeros(n_apps, np.int64), np.zeros(n_apps, np.int64)
    if blamed.size:
        leaf = blamed[groups_of(app[blamed]).starts]
        found, its_node, is_there = app[leaf], node[leaf], is_known[leaf]
        its_slot, compare = table.slot[its_node], table.compare[its_node]
        is_bound = is_there & ((compare == COMPARE[">="]) | (compare == COMPARE[">"]))
        figure = np.where(is_bound, np.minimum(its_slot, len(SLOTS)), len(SLOTS))
        reason[found] = np.where(is_there, _REASON_OF_SLOT[figure], Reason.ATTRIBUTE_MISSING)
        slot[found], unit[found] = its_slot, _UNIT_OF_SLOT[figure]
        needed[found] = table.value[its_node] - actual[leaf] + (compare == COMPARE[">"])
    return Verdict(app_holds, reason, slot, needed, unit)
