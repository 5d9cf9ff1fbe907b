"""Conditions of promotions: whether they hold, and the first reason where they do not."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from tests.reference.figures import show_quantity
from tests.reference.lines import Line
from tests.reference.shop import Body, Request, Shop, normal_code

ORDERED = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}
AMOUNTS = ("order.subtotal", "scope.subtotal")
QUANTITIES = ("order.quantity", "scope.quantity", "order.distinct")


def facts_of(shop: Shop, request: Request) -> Body:
    """Return what a condition can name and the request carries, by name; numbers are fractions, sets are frozensets."""
    basket, customer = request.basket, request.customer
    facts: Body = {name: basket.get(name) for name in ("currency", "channel", "store", "market")}
    facts |= {f"customer.{name}": customer.get(name) for name in ("id", "level")}
    facts["order.shipping"] = None if basket.get("shipping") is None else Fraction(basket["shipping"])
    for name in ("orders", "spend", "days_since_last_order"):
        facts[f"customer.{name}"] = None if customer.get(name) is None else Fraction(customer[name])
    if customer.get("orders") is not None:
        facts["customer.first_order"] = customer["orders"] == 0
    if customer.get("segments") is not None:
        facts["customer.segments"] = frozenset(customer["segments"])
    for name, value in {**(customer.get("attributes") or {}), **(basket.get("attributes") or {})}.items():
        if name in shop.each("attributes"):
            facts[f"attributes.{name}"] = _typed(value, shop.each("attributes")[name]["type"] in ("integer", "decimal"))
    facts["codes"] = frozenset(request.codes)
    return {name: value for name, value in facts.items() if value is not None}


def _typed(value: Any, is_number: bool) -> Any:
    return Fraction(str(value)) if is_number else value


@dataclass(frozen=True)
class Turn:
    """What a condition sees when the promotion's turn comes: the facts, the lines of the order and those of the scope."""

    facts: Body
    order: Sequence[Line]
    scope: Sequence[Line]

    def actual(self, leaf: Body) -> Any:
        """Return the value of the attribute that a comparison names, None where it is missing."""
        name: str = leaf["attribute"]
        where, _, what = name.partition(".")
        if where not in ("order", "scope") or name == "order.shipping":
            return self.facts.get(name)
        lines = self.order if where == "order" else self.scope
        if what == "subtotal":
            is_before = leaf.get("basis") != "running"
            return Fraction(sum(line.subtotal if is_before else line.running for line in lines))
        if what == "quantity":
            return Fraction(sum(line.quantity_milli for line in lines), 1000)
        if what == "distinct":
            return Fraction(len({line.sku for line in lines}))
        raise ValueError(f"unknown attribute {name!r}")

    def holds(self, condition: Body | None) -> bool:
        """Say whether a condition holds; none always does."""
        if condition is None:
            return True
        if "all" in condition:
            return all(self.holds(part) for part in condition["all"])
        if "any" in condition:
            return any(self.holds(part) for part in condition["any"])
        if "not" in condition:
            return not self.holds(condition["not"])
        return self._compares(condition)

    def _compares(self, leaf: Body) -> bool:
        name, actual, op = leaf["attribute"], self.actual(leaf), leaf["op"]
        if actual is None:
            return False
        is_number = isinstance(actual, Fraction)
        if isinstance(leaf["value"], list):
            values = [normal_code(each) if name == "codes" else _typed(each, is_number) for each in leaf["value"]]
            if op in ("in", "not_in"):
                return bool((actual in values) == (op == "in"))
            return bool(any(value in actual for value in values) == (op == "contains_any"))
        value = normal_code(leaf["value"]) if name == "codes" else _typed(leaf["value"], is_number)
        if op == "contains":
            return bool(value in actual)
        if op in ("==", "!="):
            return bool((actual == value) == (op == "=="))
        return bool(ORDERED[op](actual, value))

    def _blamed(self, condition: Body) -> list[Body]:
        """The comparisons that are false, not below a `not`, and not inside a part that holds, in document order."""
        if self.holds(condition) or "not" in condition:
            return []
        if "attribute" in condition:
            return [condition]
        return [leaf for part in (condition.get("all") or condition.get("any") or ()) for leaf in self._blamed(part)]

    def reason(self, condition: Body) -> Body:
        """Return why a condition fails: that of the first comparison to blame."""
        for leaf in self._blamed(condition):
            name, actual = leaf["attribute"], self.actual(leaf)
            if actual is None:
                return {"reason": "attribute_missing", "attribute": name}
            if leaf["op"] in (">=", ">") and name in AMOUNTS:
                step = 1 if leaf["op"] == ">" else 0
                return {"reason": "min_spend_not_met", "needed": int(leaf["value"] - actual) + step}
            if leaf["op"] in (">=", ">") and name in QUANTITIES:
                step = 0 if leaf["op"] == ">=" else 1000 if name == "order.distinct" else 1
                needed = (Fraction(str(leaf["value"])) - actual) * 1000 + step
                return {"reason": "min_quantity_not_met", "needed": show_quantity(int(needed))}
            return {"reason": "condition_not_met", "attribute": name}
        return {"reason": "condition_not_met", "attribute": None}


def named_attributes(condition: Body | None) -> set[str]:
    """Return the names of all attributes in a condition, those below a `not` too."""
    if condition is None:
        return set()
    if "attribute" in condition:
        return {condition["attribute"]}
    parts = [*condition.get("all", []), *condition.get("any", [])]
    parts += [condition["not"]] if "not" in condition else []
    return set().union(*(named_attributes(part) for part in parts)) if parts else set()
