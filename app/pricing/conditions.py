"""When a promotion holds: condition trees compiled to arrays, and judged for many applications at once.

A tree is laid out in document order (a node before its children). Leaves compare one attribute with a value; texts are interned, decimals
scaled by 10^4, quantities by 10^3, so that every comparison is one of integers.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np

from app.pricing.basket import Basket
from app.pricing.money import Bools, Int64s, parse_decimal, parse_quantity_milli
from app.pricing.reasons import Reason, Unit
from app.pricing.scope import is_member

ALL: Final = 0
ANY: Final = 1
NOT: Final = 2
LEAF: Final = 3
_VALUE_STRIDE: Final = 2**42
_VALUE_SHIFT: Final = 2**41
_UNKNOWN_TEXT: Final = -1


class Type(IntEnum):
    """The type of an attribute."""

    TEXT = 0
    INTEGER = 1
    DECIMAL = 2
    BOOLEAN = 3
    TEXT_SET = 4
    MINOR = 5
    MILLI = 6


class Attribute(NamedTuple):
    """An attribute that conditions may name: its type, and whether it is personal data."""

    type: Type
    is_personal: bool


_NUMBERS: Final = (Type.INTEGER, Type.DECIMAL, Type.MINOR, Type.MILLI)

# What belongs to the basket comes first; what depends on the application (scope) or on the moment (running) is filled in at its turn.
BUILT_IN: Final[dict[str, Attribute]] = {
    "channel": Attribute(Type.TEXT, False),
    "store": Attribute(Type.TEXT, False),
    "market": Attribute(Type.TEXT, False),
    "customer.id": Attribute(Type.TEXT, True),
    "customer.level": Attribute(Type.TEXT, True),
    "customer.orders": Attribute(Type.INTEGER, True),
    "customer.spend": Attribute(Type.MINOR, True),
    "customer.first_order": Attribute(Type.BOOLEAN, True),
    "customer.days_since_last_order": Attribute(Type.INTEGER, True),
    "customer.segments": Attribute(Type.TEXT_SET, True),
    "order.subtotal": Attribute(Type.MINOR, False),
    "order.quantity": Attribute(Type.MILLI, False),
    "order.distinct": Attribute(Type.INTEGER, False),
    "scope.subtotal": Attribute(Type.MINOR, False),
    "scope.quantity": Attribute(Type.MILLI, False),
}
_AMOUNTS: Final = ("order.subtotal", "scope.subtotal")
_QUANTITIES: Final = ("order.quantity", "scope.quantity")
_SLOTS: Final = {name: slot for slot, name in enumerate(BUILT_IN)}
ORDER_SUBTOTAL: Final = _SLOTS["order.subtotal"]
ORDER_QUANTITY: Final = _SLOTS["order.quantity"]
ORDER_DISTINCT: Final = _SLOTS["order.distinct"]
SCOPE_SUBTOTAL: Final = _SLOTS["scope.subtotal"]
SCOPE_QUANTITY: Final = _SLOTS["scope.quantity"]
SEGMENTS: Final = _SLOTS["customer.segments"]

_COMPARE: Final = {
    "==": 0,
    "!=": 1,
    "<": 2,
    "<=": 3,
    ">": 4,
    ">=": 5,
    "in": 6,
    "not_in": 7,
    "contains": 8,
    "contains_any": 9,
    "contains_none": 10,
}
_OPS_OF_NUMBERS: Final = ("==", "!=", "<", "<=", ">", ">=", "in", "not_in")
_OPS_OF_TEXTS: Final = ("==", "!=", "in", "not_in")
_OPS_OF_SETS: Final = ("contains", "contains_any", "contains_none")


class ConditionTable(NamedTuple):
    """The trees of rules 0, 1, ...; `first` (n_rules + 1,) delimits the nodes of each."""

    first: Int64s
    op: Int64s  # ALL, ANY, NOT, LEAF
    parent: Int64s  # index of the parent within the rule, −1 at the root
    depth: Int64s
    slot: Int64s  # attribute of a leaf
    compare: Int64s
    value: Int64s
    value_set: Int64s  # for lists: which set, −1 otherwise
    is_running: Bools
    can_explain: Bools  # a leaf that does not stand below a `not`
    set_key: Int64s  # sorted: set · 2^42 + value + 2^41
    is_judged_late: Bools  # (n_rules,) has a leaf on a running amount
    needs_order: Bools  # (n_rules,) has a leaf on the running amount of the order


class Vocabulary:
    """Texts by number and attributes by slot, as a book is compiled and as its baskets are read."""

    def __init__(self, declared: Mapping[str, Attribute]) -> None:
        self.texts: dict[str, int] = {}
        self.attributes: dict[str, Attribute] = {**BUILT_IN, **{f"attributes.{name}": one for name, one in declared.items()}}
        self.slots: dict[str, int] = {name: slot for slot, name in enumerate(self.attributes)}
        self.declared = dict(declared)
        self.types: tuple[Type, ...] = tuple(one.type for one in self.attributes.values())

    def grown(self) -> "Vocabulary":
        """A copy that may learn more texts while this one stays as it is; numbers given stay."""
        copy = Vocabulary(self.declared)
        copy.texts = dict(self.texts)
        return copy

    def intern(self, text: str) -> int:
        """The number of a text, a new one when it is new."""
        return self.texts.setdefault(text, len(self.texts))

    def read(self, value: Any, kind: Type) -> int:
        """A value of a request as an integer; a text that no condition names is unknown. Raises ValueError when it is not of the type."""
        if kind == Type.TEXT and isinstance(value, str):
            return self.texts.get(value, _UNKNOWN_TEXT)
        return self.encode(value, kind)

    def encode(self, value: Any, kind: Type) -> int:
        """A value of a condition as an integer. Raises ValueError when it is not of the type."""
        match kind:
            case Type.TEXT | Type.TEXT_SET if isinstance(value, str):
                return self.intern(value)
            case Type.BOOLEAN if isinstance(value, bool):
                return int(value)
            case Type.INTEGER | Type.MINOR if isinstance(value, int) and not isinstance(value, bool):
                return _bounded(value)
            case Type.DECIMAL if isinstance(value, int | str) and not isinstance(value, bool):
                return _bounded(parse_decimal(str(value), 4))
            case Type.MILLI if isinstance(value, int | str) and not isinstance(value, bool):
                return 0 if value in (0, "0") else parse_quantity_milli(value)
        raise ValueError(f"must be a {kind.name.lower()}")


def _bounded(number: int) -> int:
    if not -(10**12) <= number <= 10**12:
        raise ValueError("the number is out of bounds")
    return number


class ConditionError(ValueError):
    """A tree that cannot be compiled: where, and what is wrong."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


class Node(NamedTuple):
    """One node of a tree, in document order."""

    op: int
    parent: int
    depth: int
    slot: int
    compare: int
    value: int
    values: tuple[int, ...] | None
    is_running: bool
    can_explain: bool


type Tree = list[Node]


def read_tree(tree: Mapping[str, Any] | None, vocabulary: Vocabulary) -> Tree:
    """Read one tree. Raises ConditionError."""
    nodes: Tree = []
    if tree is not None:
        _read(tree, vocabulary, nodes, parent=-1, depth=0, can_explain=True, path="conditions")
    return nodes


def _read(
    tree: Mapping[str, Any], vocabulary: Vocabulary, nodes: Tree, *, parent: int, depth: int, can_explain: bool, path: str
) -> None:
    if depth > 16:
        raise ConditionError(path, "the conditions are nested too deeply")
    here = len(nodes)
    for name, op in (("all", ALL), ("any", ANY)):
        if name in tree:
            nodes.append(Node(op, parent, depth, 0, 0, 0, None, False, False))
            for number, child in enumerate(tree[name]):
                _read(
                    child,
                    vocabulary,
                    nodes,
                    parent=here,
                    depth=depth + 1,
                    can_explain=can_explain,
                    path=f"{path}.{name}[{number}]",
                )
            return
    if "not" in tree:
        nodes.append(Node(NOT, parent, depth, 0, 0, 0, None, False, False))
        _read(tree["not"], vocabulary, nodes, parent=here, depth=depth + 1, can_explain=False, path=f"{path}.not")
        return
    nodes.append(_leaf(tree, vocabulary, parent=parent, depth=depth, can_explain=can_explain, path=path))


def _leaf(tree: Mapping[str, Any], vocabulary: Vocabulary, *, parent: int, depth: int, can_explain: bool, path: str) -> Node:
    name, op, value = tree["attribute"], tree["op"], tree["value"]
    attribute = vocabulary.attributes.get(name)
    if attribute is None:
        raise ConditionError(f"{path}.attribute", "unknown attribute")
    permitted = (
        _OPS_OF_SETS if attribute.type == Type.TEXT_SET else _OPS_OF_NUMBERS if attribute.type in _NUMBERS else _OPS_OF_TEXTS
    )
    if op not in permitted:
        raise ConditionError(f"{path}.op", f"one of {', '.join(permitted)}")
    if tree.get("basis") is not None and name not in _AMOUNTS:
        raise ConditionError(f"{path}.basis", "only order.subtotal and scope.subtotal have a basis")
    takes_list = op in ("in", "not_in", "contains_any", "contains_none")
    if takes_list != isinstance(value, list):
        raise ConditionError(f"{path}.value", "must be a list" if takes_list else "must be a single value")
    try:
        values = tuple(vocabulary.encode(one, attribute.type) for one in value) if takes_list else None
        single = 0 if takes_list else vocabulary.encode(value, attribute.type)
    except ValueError as error:
        raise ConditionError(f"{path}.value", str(error)) from error
    is_running = tree.get("basis") == "running"
    return Node(LEAF, parent, depth, vocabulary.slots[name], _COMPARE[op], single, values, is_running, can_explain)


def pack_conditions(trees: Sequence[Tree]) -> ConditionTable:
    """Lay out the trees of rules 0, 1, ..."""
    first = np.zeros(len(trees) + 1, np.int64)
    np.cumsum([len(tree) for tree in trees], out=first[1:])
    nodes = [node for tree in trees for node in tree]
    keys: list[int] = []
    set_of_node: list[int] = []
    n_sets = 0
    for node in nodes:
        set_of_node.append(n_sets if node.values is not None else -1)
        if node.values is not None:
            keys += [n_sets * _VALUE_STRIDE + value + _VALUE_SHIFT for value in node.values]
            n_sets += 1
    fields = np.array([(n.op, n.parent, n.depth, n.slot, n.compare, n.value) for n in nodes], np.int64).reshape(-1, 6)
    return ConditionTable(
        first,
        fields[:, 0].copy(),
        fields[:, 1].copy(),
        fields[:, 2].copy(),
        fields[:, 3].copy(),
        fields[:, 4].copy(),
        fields[:, 5].copy(),
        np.array(set_of_node, np.int64),
        np.array([node.is_running for node in nodes], np.bool_),
        np.array([node.can_explain for node in nodes], np.bool_),
        np.unique(np.array(keys, np.int64)),
        np.array([any(node.is_running for node in tree) for tree in trees], np.bool_),
        np.array([any(node.is_running and node.slot == ORDER_SUBTOTAL for node in tree) for tree in trees], np.bool_),
    )


class Facts(NamedTuple):
    """What conditions may ask about the baskets of a batch."""

    value: Int64s  # (n_slots, n_baskets)
    is_known: Bools  # (n_slots, n_baskets)
    segment_key: Int64s  # sorted: basket · 2^42 + text + 2^41
    segment_basket_first: Int64s  # (n_baskets + 1,)


class AttributeProblem(NamedTuple):
    """A request's attribute that the book does not declare, or that has another type."""

    basket: int
    path: str
    code: str


def read_facts(vocabulary: Vocabulary, baskets: Sequence[Basket]) -> tuple[Facts, list[AttributeProblem]]:
    """Read the baskets' own facts; those on amounts and quantities are filled in when the lines are priced."""
    n_slots = len(vocabulary.attributes)
    value = np.zeros((n_slots, len(baskets)), np.int64)
    is_known = np.zeros((n_slots, len(baskets)), np.bool_)
    problems: list[AttributeProblem] = []
    segment_keys: list[int] = []
    segment_first = [0]
    for column, basket in enumerate(baskets):
        for slot, found in _own_facts(vocabulary, basket):
            value[slot, column] = found
            is_known[slot, column] = True
        for path, attributes in (("customer.attributes", basket.customer_attributes), ("attributes", basket.attributes)):
            for name, given in attributes.items():
                at = vocabulary.slots.get(f"attributes.{name}")
                if at is None:
                    problems.append(AttributeProblem(column, f"{path}.{name}", "undeclared_attribute"))
                    continue
                try:
                    value[at, column] = vocabulary.read(given, vocabulary.types[at])
                    is_known[at, column] = True
                except ValueError:
                    problems.append(AttributeProblem(column, f"{path}.{name}", "wrong_type"))
        if basket.segments is not None:
            is_known[SEGMENTS, column] = True
            texts = sorted({vocabulary.texts.get(name, _UNKNOWN_TEXT) for name in basket.segments})
            segment_keys += [column * _VALUE_STRIDE + text + _VALUE_SHIFT for text in texts]
        segment_first.append(len(segment_keys))
    return Facts(value, is_known, np.array(segment_keys, np.int64), np.array(segment_first, np.int64)), problems


def _own_facts(vocabulary: Vocabulary, basket: Basket) -> list[tuple[int, int]]:
    facts: list[tuple[int, int]] = []
    own = (basket.channel, basket.store, basket.market, basket.customer_id, basket.level)
    for slot, text in zip(_OWN_TEXTS, own, strict=True):
        if text is not None:
            facts.append((slot, vocabulary.texts.get(text, _UNKNOWN_TEXT)))
    if basket.orders is not None:
        facts += [(_ORDERS, basket.orders), (_FIRST_ORDER, int(basket.orders == 0))]
    if basket.spend_minor is not None:
        facts.append((_SPEND, basket.spend_minor))
    if basket.days_since_last_order is not None:
        facts.append((_DAYS, basket.days_since_last_order))
    return facts


_OWN_TEXTS: Final = tuple(_SLOTS[name] for name in ("channel", "store", "market", "customer.id", "customer.level"))
_ORDERS: Final = _SLOTS["customer.orders"]
_SPEND: Final = _SLOTS["customer.spend"]
_FIRST_ORDER: Final = _SLOTS["customer.first_order"]
_DAYS: Final = _SLOTS["customer.days_since_last_order"]


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
    is_list = (compare == _COMPARE["in"]) | (compare == _COMPARE["not_in"])
    if is_list.any():
        is_in = is_member(table.set_key, value_set * _VALUE_STRIDE + actual + _VALUE_SHIFT)
        found = np.where(is_list, is_in == (compare == _COMPARE["in"]), found)
    is_set = compare >= _COMPARE["contains"]
    if is_set.any():
        contains = is_member(facts.segment_key, basket * _VALUE_STRIDE + value + _VALUE_SHIFT)
        overlaps = _overlaps(table, facts, basket, value_set)
        found = np.where(compare == _COMPARE["contains"], contains, found)
        found = np.where(compare == _COMPARE["contains_any"], overlaps, found)
        found = np.where(compare == _COMPARE["contains_none"], ~overlaps, found)
    return np.asarray(found, np.bool_)


def _overlaps(table: ConditionTable, facts: Facts, basket: Int64s, value_set: Int64s) -> Bools:
    """Whether one of a basket's segments is in the set (n,)."""
    low = facts.segment_basket_first[basket]
    count = facts.segment_basket_first[basket + 1] - low
    at = np.repeat(np.arange(basket.size), count)
    segment = np.repeat(low - (np.cumsum(count) - count), count) + np.arange(at.size)
    text = facts.segment_key[segment] - basket[at] * _VALUE_STRIDE
    overlaps = np.zeros(basket.size, np.bool_)
    overlaps[at[is_member(table.set_key, value_set[at] * _VALUE_STRIDE + text)]] = True
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
    is_lower_bound = ~is_missing & ((compare == _COMPARE[">="]) | (compare == _COMPARE[">"]))
    is_spend = is_lower_bound & ((its_slot == ORDER_SUBTOTAL) | (its_slot == SCOPE_SUBTOTAL))
    is_quantity = is_lower_bound & ((its_slot == ORDER_QUANTITY) | (its_slot == SCOPE_QUANTITY))
    is_distinct = is_lower_bound & (its_slot == ORDER_DISTINCT)
    reason[found] = np.select(
        [is_missing, is_spend, is_quantity | is_distinct],
        [Reason.ATTRIBUTE_MISSING, Reason.MIN_SPEND_NOT_MET, Reason.MIN_QUANTITY_NOT_MET],
        Reason.CONDITION_NOT_MET,
    )
    slot[found] = its_slot
    needed[found] = table.value[its_node] - actual[leaf] + (compare == _COMPARE[">"])
    unit[found] = np.select([is_spend, is_quantity, is_distinct], [Unit.MINOR, Unit.MILLI, Unit.COUNT], Unit.NONE)
    return Verdict(app_holds, reason, slot, needed, unit)
