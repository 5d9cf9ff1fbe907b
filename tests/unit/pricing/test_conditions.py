"""Conditions are typed: what a comparison cannot ask is refused with its place; codes and segments of one name are two things."""

from typing import Any

import numpy as np
import pytest

from app.pricing.basket import Basket
from app.pricing.conditions import ConditionError, pack_conditions, read_tree
from app.pricing.verdicts import judge_by_context
from app.pricing.vocabulary import BUILT_IN, Attribute, Type, Vocabulary, read_facts
from tests.reference.both import both
from tests.reference.builders import percent_off, prices

DECLARED = {
    "age": Attribute(Type.INTEGER, True),
    "score": Attribute(Type.DECIMAL, False),
    "plan": Attribute(Type.TEXT, False),
    "member": Attribute(Type.BOOLEAN, False),
}
# A value of each type, and the operators that its attributes take.
OF_TYPE: dict[Type, tuple[Any, set[str]]] = {
    Type.TEXT: ("web", {"==", "!=", "in", "not_in"}),
    Type.BOOLEAN: (True, {"==", "!=", "in", "not_in"}),
    Type.INTEGER: (3, {"==", "!=", "<", "<=", ">", ">=", "in", "not_in"}),
    Type.MINOR: (3, {"==", "!=", "<", "<=", ">", ">=", "in", "not_in"}),
    Type.MILLI: ("0.5", {"==", "!=", "<", "<=", ">", ">=", "in", "not_in"}),
    Type.DECIMAL: ("0.5", {"==", "!=", "<", "<=", ">", ">=", "in", "not_in"}),
    Type.TEXT_SET: ("vip", {"contains", "contains_any", "contains_none"}),
    Type.CODE_SET: ("SAVE", {"contains", "contains_any", "contains_none"}),
}
OPS = ("==", "!=", "<", "<=", ">", ">=", "in", "not_in", "contains", "contains_any", "contains_none")


@pytest.mark.parametrize("name", [*BUILT_IN, *(f"attributes.{name}" for name in DECLARED)])
@pytest.mark.parametrize("op", OPS)
def test_each_attribute_takes_the_operators_of_its_type(name: str, op: str) -> None:
    vocabulary = Vocabulary(DECLARED)
    value, permitted = OF_TYPE[vocabulary.attributes[name].type]
    takes_list = op in ("in", "not_in", "contains_any", "contains_none")
    tree = {"all": [{"attribute": name, "op": op, "value": [value] if takes_list else value}]}
    try:
        read_tree(tree, vocabulary)
        refused = None
    except ConditionError as error:
        refused = error.path

    assert refused == (None if op in permitted else "conditions.all[0].op")


@pytest.mark.parametrize(
    ("comparison", "path"),
    [
        ({"attribute": "attributes.unheard", "op": "==", "value": 1}, "attribute"),
        ({"attribute": "order.weight", "op": "==", "value": 1}, "attribute"),
        ({"attribute": "customer.orders", "op": ">", "value": "3"}, "value"),
        ({"attribute": "customer.orders", "op": ">", "value": True}, "value"),
        ({"attribute": "customer.orders", "op": "in", "value": 3}, "value"),
        ({"attribute": "customer.orders", "op": ">", "value": [3]}, "value"),
        ({"attribute": "attributes.member", "op": "==", "value": "yes"}, "value"),
        ({"attribute": "attributes.score", "op": ">", "value": "0.00001"}, "value"),
        ({"attribute": "codes", "op": "contains", "value": 3}, "value"),
        ({"attribute": "channel", "op": "==", "value": "web", "basis": "running"}, "basis"),
    ],
)
def test_comparison_that_means_nothing_is_refused_with_its_place(comparison: dict[str, Any], path: str) -> None:
    with pytest.raises(ConditionError) as refused:
        read_tree({"not": {"any": [comparison]}}, Vocabulary(DECLARED))

    assert refused.value.path == f"conditions.not.any[0].{path}"


def nested(names: list[str]) -> dict[str, Any]:
    tree: dict[str, Any] = {"attribute": "channel", "op": "==", "value": "web"}
    for name in reversed(names):
        tree = {name: tree if name == "not" else [tree]}
    return tree


@pytest.mark.parametrize("name", ["all", "any", "not"])
def test_comparison_stands_at_most_sixteen_deep(name: str) -> None:
    nodes = read_tree(nested([name] * 16), Vocabulary(DECLARED))
    with pytest.raises(ConditionError, match="nested too deeply") as refused:
        read_tree(nested([name] * 17), Vocabulary(DECLARED))

    assert [node.depth for node in nodes] == list(range(17))
    assert refused.value.path == "conditions" + (".not" if name == "not" else f".{name}[0]") * 17


@pytest.mark.parametrize("inner", [["not"], ["not", "all"], ["not", "any"], ["not", "not"], ["all", "not"]])
def test_what_stands_below_a_not_is_no_reason(inner: list[str]) -> None:
    web = nested([*inner, "not"] if inner == ["not", "not"] else inner)
    promotions = {"p": percent_off("10", conditions=web)}

    reply = both([("A", 1)], {"prices": prices(A="100"), "promotions": promotions}, channel="web")

    assert reply["not_applied"] == [{"rule": "p", "reason": "condition_not_met", "attribute": None}]


def holds(tree: dict[str, Any], **request: Any) -> bool:
    vocabulary = Vocabulary(DECLARED)
    table = pack_conditions([read_tree(tree, vocabulary)])
    facts, problems = read_facts(vocabulary, [Basket("USD", [], [], [], 0, **request)])
    assert not problems
    reason, _, _ = judge_by_context(table, facts, np.zeros(1, np.int64), np.zeros(1, np.int64))
    return int(reason[0]) == 0


@pytest.mark.parametrize(
    ("comparison", "request_", "expected"),
    [
        # Codes are compared as they are looked up: without blanks, in full width or half, in any case.
        ({"attribute": "codes", "op": "contains", "value": " ｓave10 "}, {"codes": ("SAVE10",)}, True),
        ({"attribute": "codes", "op": "contains", "value": "SAVE1"}, {"codes": ("SAVE10",)}, False),
        ({"attribute": "codes", "op": "contains_any", "value": ["A", "B"]}, {"codes": ("B", "C")}, True),
        ({"attribute": "codes", "op": "contains_none", "value": ["A", "B"]}, {"codes": ("B", "C")}, False),
        # No code is a set of none, and not an attribute that is missing.
        ({"attribute": "codes", "op": "contains_none", "value": ["A"]}, {}, True),
        # A segment of the name of a code is no code, nor the other way round.
        ({"attribute": "codes", "op": "contains", "value": "VIP"}, {"segments": ("VIP",)}, False),
        ({"attribute": "customer.segments", "op": "contains", "value": "VIP"}, {"codes": ("VIP",)}, False),
        ({"attribute": "customer.segments", "op": "contains_none", "value": ["VIP"]}, {"codes": ("VIP",), "segments": ()}, True),
        ({"attribute": "currency", "op": "in", "value": ["EUR", "USD"]}, {}, True),
        ({"attribute": "currency", "op": "!=", "value": "USD"}, {}, False),
    ],
)
def test_codes_and_currency(comparison: dict[str, Any], request_: dict[str, Any], expected: bool) -> None:
    assert holds(comparison, **request_) is expected
