"""Worked examples: conditions and their reasons, attributes, codes, and what is personal."""

from typing import Any

import pytest

from tests.reference.both import both
from tests.reference.builders import Resources, amount_off, line, only, percent_off, prices, quote, taken
from tests.reference.shop import Body

AB = prices(A="1000", B="2000")
ATTRIBUTES: dict[str, Body] = {
    "age": {"type": "integer", "personal": True},
    "score": {"type": "decimal"},
    "plan": {"type": "string"},
}
CUSTOMER: Body = {"id": "c", "segments": ["vip", "new"], "level": "gold", "orders": 0, "spend": 500, "days_since_last_order": 30}


def leaf(attribute: str, op: str, value: Any, **more: str) -> Body:
    return {"attribute": attribute, "op": op, "value": value, **more}


def ask(condition: Body, **sent: Any) -> Body:
    promotions = {"p": percent_off("10", conditions=condition, scope=only(skus=["A"]))}
    return both([("A", 2), ("B", "0.5")], {"prices": AB, "promotions": promotions, "attributes": ATTRIBUTES}, **sent)


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (leaf("order.subtotal", ">=", 3000), True),
        (leaf("order.subtotal", ">", 3000), False),
        (leaf("scope.subtotal", "==", 2000), True),
        (leaf("order.quantity", "<=", "2.5"), True),
        (leaf("scope.quantity", "<", 2), False),
        (leaf("order.distinct", "==", 2), True),
        (leaf("customer.segments", "contains", "vip"), True),
        (leaf("customer.segments", "contains_any", ["staff", "new"]), True),
        (leaf("customer.segments", "contains_none", ["staff"]), True),
        (leaf("customer.first_order", "==", True), True),
        (leaf("customer.orders", "in", [1, 2]), False),
        (leaf("customer.days_since_last_order", ">", 29), True),
        (leaf("customer.level", "not_in", ["silver"]), True),
        (leaf("channel", "!=", "app"), True),
        (leaf("store", "!=", "s1"), False),  # missing: false whatever the op
        ({"not": leaf("store", "==", "s1")}, True),
        (leaf("attributes.score", "<", "0.51"), True),
        (leaf("attributes.age", ">=", 18), True),
        (leaf("attributes.plan", "in", ["pro"]), True),
        ({"all": []}, True),
        ({"any": []}, False),
    ],
)
def test_comparison_holds_as_typed(condition: Body, holds: bool) -> None:
    customer = {**CUSTOMER, "attributes": {"age": 18}}
    found = ask(condition, customer=customer, channel="web", attributes={"score": "0.5", "plan": "pro"})

    assert (taken(found)[0] == [-200]) is holds


@pytest.mark.parametrize(
    ("condition", "why"),
    [
        (leaf("order.subtotal", ">=", 3700), {"reason": "min_spend_not_met", "needed": 700}),
        (leaf("scope.subtotal", ">", 2000), {"reason": "min_spend_not_met", "needed": 1}),
        (leaf("order.quantity", ">=", 3), {"reason": "min_quantity_not_met", "needed": "0.5"}),
        (leaf("scope.quantity", ">", 2), {"reason": "min_quantity_not_met", "needed": "0.001"}),
        (leaf("order.distinct", ">", 2), {"reason": "min_quantity_not_met", "needed": "1"}),
        (leaf("order.subtotal", "<", 3), {"reason": "condition_not_met", "attribute": "order.subtotal"}),
        (leaf("customer.orders", ">", 3), {"reason": "attribute_missing", "attribute": "customer.orders"}),
        ({"any": []}, {"reason": "condition_not_met", "attribute": None}),
        ({"not": leaf("order.distinct", "==", 2)}, {"reason": "condition_not_met", "attribute": None}),
        (
            {"all": [{"not": leaf("store", "==", "x")}, {"any": [leaf("channel", "==", "app"), {"any": []}]}]},
            {"reason": "condition_not_met", "attribute": "channel"},
        ),
    ],
)
def test_failed_condition_gives_the_reason_of_its_first_false_comparison(condition: Body, why: Body) -> None:
    assert ask(condition, channel="web")["not_applied"] == [{"rule": "p", **why}]


def test_running_amount_is_judged_at_the_turn_and_before_is_not() -> None:
    promotions = {
        "a": amount_off(500, priority=9),
        "b": percent_off("10", conditions=leaf("order.subtotal", ">=", 1000, basis="running")),
        "c": percent_off("10", conditions=leaf("order.subtotal", ">=", 1000)),
    }
    found = both([("A", 1)], {"prices": AB, "promotions": promotions})

    assert taken(found) == [[-500, -50]]
    assert found["not_applied"] == [{"rule": "b", "reason": "min_spend_not_met", "needed": 500}]


def test_condition_comes_before_the_state_of_lines() -> None:
    promotions = {
        "a": percent_off("10", exclusive=True, priority=9),
        "b": percent_off("10", conditions=leaf("order.distinct", ">", 1)),
    }
    found = both([("A", 1)], {"prices": AB, "promotions": promotions})

    assert found["not_applied"] == [{"rule": "b", "reason": "min_quantity_not_met", "needed": "1"}]


def test_attributes_are_declared_and_typed() -> None:
    sent: Body = {"attributes": {"age": "18", "plan": True, "shoe": 1}, "customer": {"attributes": {"score": 0.5, "hat": 1}}}
    found = ask({"all": []}, **sent)

    assert found == {
        "errors": [
            ["attributes.age", "wrong_type"],
            ["attributes.plan", "wrong_type"],
            ["attributes.shoe", "undeclared_attribute"],
            ["customer.attributes.hat", "undeclared_attribute"],
            ["customer.attributes.score", "wrong_type"],
        ]
    }


CODED = {
    "a": percent_off("10", requires_code=True),
    "b": percent_off("10", requires_code=True, scope=only(skus=["Z"])),
    "c": percent_off("10", requires_code=True, currency="EUR"),
    "d": percent_off("1", conditions=leaf("order.distinct", ">", 5)),
}
COUPONS: dict[str, Body] = {
    rule: {"promotion": rule, "codes": [f"{rule.upper()}1", f"{rule.upper()}2"]} for rule in (*CODED, "gone")
}


def give(*codes: str, **policy: str) -> Body:
    resources: Resources = {"prices": AB, "promotions": CODED, "coupons": COUPONS, "policy": dict(policy)}
    return quote([("A", 1)], resources, codes=list(codes))


def test_code_unlocks_its_promotion_and_is_named() -> None:
    assert taken(give()) == [[]]
    assert line(give(" a1\t"))["adjustments"] == [
        {"kind": "percent_off", "rule": "a", "revision": 1, "name": "P", "amount": -100, "code": "A1"},
    ]


def test_codes_are_normalised() -> None:
    assert taken(give("Ａ１")) == [[-100]]  # full-width letters


def test_each_code_that_does_nothing_has_its_reason() -> None:
    found = give("GONE1", "NONE", "A2", "B1", "A1", "C1", "D1")

    assert found["not_applied"] == [
        {"rule": "d", "code": "D1", "reason": "min_quantity_not_met", "needed": "5"},
        {"rule": "b", "code": "B1", "reason": "no_matching_lines"},
        {"rule": "a", "code": "A1", "reason": "code_redundant"},
        {"code": "GONE1", "reason": "code_invalid"},
        {"code": "NONE", "reason": "code_invalid"},
        {"code": "C1", "reason": "code_invalid"},
    ]


def test_same_code_twice_is_one_code_and_paths_are_as_sent() -> None:
    assert [each["reason"] for each in give("A1", " a1", "NONE", "none")["not_applied"]] == [
        "min_quantity_not_met",
        "code_invalid",
    ]
    assert give("A1", " a1", "NONE", coupon_failure="all") == {"errors": [["codes[2]", "code_invalid"]]}


def test_failing_code_refuses_the_request_under_all() -> None:
    assert give("A1", "NONE", "D2", coupon_failure="all") == {
        "errors": [["codes[2]", "min_quantity_not_met"], ["codes[1]", "code_invalid"]],
    }
    assert taken(give("A1", coupon_failure="all")) == [[-100]]


def test_entry_without_code_refuses_nothing_under_all() -> None:
    assert [each["rule"] for each in give("A1", coupon_failure="all")["not_applied"]] == ["d"]


def test_personal_inputs_are_those_of_applied_promotions_and_of_lists_by_group() -> None:
    by_level = {"not": leaf("customer.level", "==", "x")}
    condition = {"any": [leaf("attributes.age", ">", 3), by_level, leaf("attributes.plan", "==", "x")]}
    held = ask(condition)
    failed = ask({"all": [condition, leaf("order.distinct", ">", 9)]})
    lists: dict[str, Body] = {"l": {"match": {"groups": ["gold"]}}}
    entries = prices({"sku": "A", "price_list": "l", "unit_price": "5"})
    by_group = both([("A", 1)], {"prices": entries, "price-lists": lists}, customer={"level": "gold"})

    assert (held["personalised"], held["personal_inputs"]) == (True, ["attributes.age", "customer.level"])
    assert (failed["personalised"], failed["personal_inputs"]) == (False, [])
    assert by_group["personal_inputs"] == ["customer.segments"]
