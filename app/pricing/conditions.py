"""When a promotion holds: condition trees compiled to arrays.

A tree is laid out in document order (a node before its children). Leaves compare one attribute with a value.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from app.pricing.frozen import frozen_array
from app.pricing.money import Bools, Int64s
from app.pricing.splice import Edit, items_edit, joined, joined_first, joined_keys, narrowed
from app.pricing.vocabulary import AMOUNTS, NUMBERS, OF_AMOUNTS, ORDER_SUBTOTAL, SETS, VALUE_SHIFT, VALUE_STRIDE, Vocabulary

ALL: Final = 0
ANY: Final = 1
NOT: Final = 2
LEAF: Final = 3
COMPARE: Final = {
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
    set_key: Int64s  # sorted: set · 2^42 + value + 2^41
    is_judged_late: Bools  # (n_rules,) has a leaf on a running amount
    needs_order: Bools  # (n_rules,) has a leaf on the running amount of the order
    tree: Int64s  # (n_rules,) equal trees that look at the context alone have equal numbers, from 1 on; 0 for the others
    rule_of_tree: Int64s  # (n_trees,) a rule that has tree 1, 2, ...


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
    # What follows is of leaves.
    slot: int = 0
    compare: int = 0
    value: int = 0
    values: tuple[int, ...] | None = None
    is_running: bool = False


type Tree = list[Node]


def read_tree(tree: Mapping[str, Any] | None, vocabulary: Vocabulary) -> Tree:
    """Read one tree. Raises ConditionError."""
    nodes: Tree = []
    if tree is not None:
        _read(tree, vocabulary, nodes, parent=-1, depth=0, path="conditions")
    return nodes


def _read(tree: Mapping[str, Any], vocabulary: Vocabulary, nodes: Tree, *, parent: int, depth: int, path: str) -> None:
    if depth > 16:
        raise ConditionError(path, "the conditions are nested too deeply")
    here = len(nodes)
    for name, op in (("all", ALL), ("any", ANY)):
        if name in tree:
            nodes.append(Node(op, parent, depth))
            for number, child in enumerate(tree[name]):
                at = f"{path}.{name}[{number}]"
                _read(child, vocabulary, nodes, parent=here, depth=depth + 1, path=at)
            return
    if "not" in tree:
        nodes.append(Node(NOT, parent, depth))
        _read(tree["not"], vocabulary, nodes, parent=here, depth=depth + 1, path=f"{path}.not")
        return
    nodes.append(_leaf(tree, vocabulary, parent=parent, depth=depth, path=path))


def _leaf(tree: Mapping[str, Any], vocabulary: Vocabulary, *, parent: int, depth: int, path: str) -> Node:
    name, op, value = tree["attribute"], tree["op"], tree["value"]
    attribute = vocabulary.attributes.get(name)
    if attribute is None:
        raise ConditionError(f"{path}.attribute", "unknown attribute")
    permitted = _OPS_OF_SETS if attribute.type in SETS else _OPS_OF_NUMBERS if attribute.type in NUMBERS else _OPS_OF_TEXTS
    if op not in permitted:
        raise ConditionError(f"{path}.op", f"one of {', '.join(permitted)}")
    if tree.get("basis") is not None and name not in AMOUNTS:
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
    return Node(LEAF, parent, depth, vocabulary.slots[name], COMPARE[op], single, values, is_running)


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
            keys += [n_sets * VALUE_STRIDE + value + VALUE_SHIFT for value in node.values]
            n_sets += 1
    tree, rule_of_tree = _distinct(trees)
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
        np.unique(np.array(keys, np.int64)),
        np.array([any(node.is_running for node in tree) for tree in trees], np.bool_),
        np.array([any(node.is_running and node.slot == ORDER_SUBTOTAL for node in tree) for tree in trees], np.bool_),
        tree,
        rule_of_tree,
    )


def _distinct(trees: Sequence[Tree]) -> tuple[Int64s, Int64s]:
    """Number the distinct trees that look at the context alone."""
    numbers: dict[tuple[Node, ...], int] = {}
    rule_of_tree: list[int] = []
    number_of_rule = np.zeros(len(trees), np.int64)
    for rule, tree in enumerate(trees):
        if any(node.slot in OF_AMOUNTS for node in tree):
            continue
        number = numbers.setdefault(tuple(tree), len(numbers) + 1)
        if number > len(rule_of_tree):
            rule_of_tree.append(rule)
        number_of_rule[rule] = number
    return number_of_rule, np.array(rule_of_tree, np.int64)


def splice_conditions(edit: Edit, old: ConditionTable, new: ConditionTable) -> ConditionTable:
    """The table of the rules that an edit makes of two."""
    nodes = items_edit(edit, old.first, new.first)
    # Sets are numbered in the order of the nodes that have them.
    sets = narrowed(nodes, np.flatnonzero(old.value_set >= 0), np.flatnonzero(new.value_set >= 0))
    value_set = joined(nodes, old.value_set, new.value_set)
    if sets.is_moving or any(run.is_new for run in sets.runs):
        has_set = value_set >= 0
        value_set = np.where(has_set, np.cumsum(has_set) - 1, -1)
    tree, rule_of_tree = _splice_trees(edit, old, new)
    columns = {
        name: joined(nodes, getattr(old, name), getattr(new, name))
        for name in ("op", "parent", "depth", "slot", "compare", "value", "is_running")
    }
    return ConditionTable(
        first=joined_first(edit, old.first, new.first),
        value_set=value_set,
        set_key=joined_keys(sets, old.set_key, new.set_key, VALUE_STRIDE),
        is_judged_late=joined(edit, old.is_judged_late, new.is_judged_late),
        needs_order=joined(edit, old.needs_order, new.needs_order),
        tree=tree,
        rule_of_tree=rule_of_tree,
        **columns,
    )


def _splice_trees(edit: Edit, old: ConditionTable, new: ConditionTable) -> tuple[Int64s, Int64s]:
    """The numbers of trees by rule, and a rule for each number, as numbering them all anew would give."""
    n_trees = old.rule_of_tree.size
    number_of_new = np.zeros(new.rule_of_tree.size + 1, np.int64)
    for number, rule in enumerate(new.rule_of_tree.tolist(), start=1):
        known = _tree_like(old, new, rule)
        n_trees += known is None
        number_of_new[number] = known or n_trees
    tree = joined(edit, old.tree, number_of_new[new.tree])
    # Written backwards, so that of the rules that have a tree the first one stays.
    first_rule = np.full(n_trees + 1, tree.size)
    first_rule[tree[::-1]] = np.arange(tree.size)[::-1]
    used = np.flatnonzero(first_rule[1:] < tree.size) + 1
    used = used[np.argsort(first_rule[used])]
    anew = np.zeros(n_trees + 1, np.int64)
    anew[used] = np.arange(used.size) + 1
    tree, rule_of_tree = frozen_array(anew[tree]), frozen_array(first_rule[used])
    is_same = np.array_equal(tree, old.tree) and np.array_equal(rule_of_tree, old.rule_of_tree)
    return (old.tree, old.rule_of_tree) if is_same else (tree, rule_of_tree)


def _tree_like(old: ConditionTable, new: ConditionTable, rule: int) -> int | None:
    """The number of the old tree that equals that of a new rule."""
    content = _content(new, rule)
    n_nodes = int(new.first[rule + 1] - new.first[rule])
    is_like = old.first[old.rule_of_tree + 1] - old.first[old.rule_of_tree] == n_nodes
    if n_nodes:
        root, old_root = int(new.first[rule]), old.first[old.rule_of_tree[is_like]]
        is_like[is_like] = (old.slot[old_root] == new.slot[root]) & (old.value[old_root] == new.value[root])
    likes = (np.flatnonzero(is_like) + 1).tolist()
    return next((number for number in likes if _content(old, int(old.rule_of_tree[number - 1])) == content), None)


def _content(table: ConditionTable, rule: int) -> tuple[bytes, ...]:
    """All that a rule's tree says."""
    low, high = table.first[rule : rule + 2].tolist()
    columns = (table.op, table.parent, table.depth, table.slot, table.compare, table.value, table.is_running)
    sets = table.value_set[low:high]
    bounds = np.searchsorted(table.set_key, np.stack([sets, sets + 1]) * VALUE_STRIDE).T.tolist()
    values = [table.set_key[start:stop] % VALUE_STRIDE for start, stop in bounds]
    return *(column[low:high].tobytes() for column in columns), (sets < 0).tobytes(), *(one.tobytes() for one in values)
