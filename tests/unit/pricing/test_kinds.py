"""What each kind refuses of its parameters, and what it says of itself."""

from types import ModuleType
from typing import Any

import pytest

from app.pricing.decode import decode_params
from app.pricing.kind import Kind, kind_of
from app.pricing.rewards import Level
from app.pricing.rules import KINDS

ALL: dict[str, Any] = {"include": {}}
ONE_REWARD = "give either a percent or an amount"
NO_SHARE = "there is nothing to allocate: a percentage is taken of each line"


def step(start: int | str, **reward: Any) -> dict[str, Any]:
    return {"from": start, **(reward or {"percent": "5"})}


def spend(threshold: int, **reward: Any) -> dict[str, Any]:
    return {"threshold": threshold, **(reward or {"percent": "5"})}


@pytest.mark.parametrize(
    ("kind", "level", "params", "problems"),
    [
        ("percent_off", "order", {"percent": "5", "units": {"max": 2}}, [("units", "only a reward on lines is of units")]),
        ("percent_off", "line", {"percent": "5", "units": {}}, [("units", "give max or step")]),
        ("percent_off", "line", {"percent": "5", "units": {"step": 2}}, []),
        ("percent_off", "line", {"percent": "5", "units": {"max": 2, "step": 2}}, []),
        ("percent_off", "line", {"percent": "5", "units": {"max": 2, "step": 3}}, [("units.step", "is above max")]),
        (
            "percent_off",
            "line",
            {"percent": "5", "units": {"max": 2, "pick": "dearest"}},
            [("units.pick", "needs per: order, because the units of a line are alike")],
        ),
        ("percent_off", "line", {"percent": "5", "units": {"max": 2, "pick": "dearest", "per": "order"}}, []),
        (
            "percent_off",
            "order",
            {"percent": "5", "per": "line"},
            [("per", "an order promotion takes its percentage across the lines")],
        ),
        ("percent_off", "order", {"percent": "5", "allocate": "even"}, []),
        ("percent_off", "line", {"percent": "5", "per": "line"}, []),
        ("percent_off", "line", {"percent": "5", "per": "across", "allocate": "even"}, []),
        ("percent_off", "line", {"percent": "5", "allocate": "even"}, [("allocate", "needs per: across")]),
        (
            "percent_off",
            "line",
            {"percent": "5", "per": "across", "units": {"max": 2}},
            [("units", "a percentage across the lines is of all their units")],
        ),
        ("fixed_price", "line", {"unit_price": "5", "units": {}}, [("units", "give max or step")]),
        ("amount_off", "order", {"amount": 5, "per": "across"}, []),
        ("amount_off", "line", {"amount": 5, "per": "unit", "units": {"max": 2}}, []),
        (
            "amount_off",
            "order",
            {"amount": 5, "per": "line"},
            [("per", "an order promotion takes its amount across the lines")],
        ),
        ("amount_off", "line", {"amount": 5, "per": "line", "units": {"max": 2}}, [("units", "needs per: unit")]),
        ("amount_off", "line", {"amount": 5, "per": "unit", "units": {}}, [("units", "give max or step")]),
        ("amount_off", "line", {"amount": 5, "per": "unit", "allocate": "even"}, [("allocate", "needs per: across")]),
        ("amount_off", "line", {"amount": 5, "allocate": "even"}, []),
        ("spend_save", "order", {"threshold": 10, "amount": 1, "repeat": True, "max_times": 2}, []),
        ("spend_save", "order", {"amount": 1}, [("threshold", "give either a threshold or steps")]),
        (
            "spend_save",
            "order",
            {"threshold": 10, "steps": [spend(10)]},
            [("threshold", "give either a threshold or steps")],
        ),
        ("spend_save", "order", {"steps": []}, [("steps", "between 1 and 100 steps")]),
        ("spend_save", "order", {"steps": [spend(at) for at in range(1, 101)]}, []),
        ("spend_save", "order", {"steps": [spend(at) for at in range(1, 102)]}, [("steps", "between 1 and 100 steps")]),
        *(
            (
                "spend_save",
                "order",
                {"steps": [spend(1)], **more},
                [("steps", "each step has its own percent or amount, and steps do not repeat")],
            )
            for more in ({"percent": "5"}, {"amount": 5}, {"repeat": True})
        ),
        ("spend_save", "order", {"threshold": 10}, [("amount", ONE_REWARD)]),
        ("spend_save", "order", {"threshold": 10, "amount": 1, "percent": "1"}, [("amount", ONE_REWARD)]),
        (
            "spend_save",
            "order",
            {"threshold": 10, "percent": "1", "repeat": True},
            [("repeat", "a percentage does not repeat")],
        ),
        ("spend_save", "order", {"threshold": 10, "amount": 1, "max_times": 2}, [("max_times", "needs repeat")]),
        ("spend_save", "order", {"steps": [spend(5), spend(6, amount=1, percent="1")]}, [("steps[1]", ONE_REWARD)]),
        ("spend_save", "order", {"steps": [{"threshold": 5}]}, [("steps[0]", ONE_REWARD)]),
        (
            "spend_save",
            "order",
            {"steps": [spend(5), spend(5), spend(4), spend(5)]},
            [(f"steps[{at}].threshold", "the steps must rise") for at in (1, 2, 3)],
        ),
        ("spend_save", "line", {"threshold": 10, "percent": "1", "allocate": "even"}, [("allocate", NO_SHARE)]),
        ("spend_save", "line", {"steps": [spend(1)], "allocate": "even"}, [("allocate", NO_SHARE)]),
        ("spend_save", "line", {"steps": [spend(1), spend(2, amount=1)], "allocate": "even"}, []),
        ("spend_save", "line", {"threshold": 10, "amount": 1, "allocate": "even"}, []),
        ("spend_save", "order", {"threshold": 10, "percent": "1", "allocate": "even"}, []),
        ("tiered", "line", {"by": "quantity", "steps": []}, [("steps", "between 1 and 100 steps")]),
        ("tiered", "line", {"by": "quantity", "steps": [step(at) for at in range(100)]}, []),
        ("tiered", "line", {"by": "spend", "steps": [step(at) for at in range(101)]}, [("steps", "between 1 and 100 steps")]),
        ("tiered", "line", {"by": "quantity", "steps": [{"from": 1}]}, [("steps[0]", ONE_REWARD)]),
        (
            "tiered",
            "line",
            {"by": "quantity", "steps": [step(1), step("1.5"), step("1.5"), step(1), step("1.501")]},
            [(f"steps[{at}].from", "the steps must rise") for at in (2, 3)],
        ),
        (
            "tiered",
            "order",
            {"by": "customer.spend", "steps": [step(0), step("2"), step(2)]},
            [("steps[1].from", "must be an integer")],
        ),
        ("tiered", "line", {"by": "spend", "steps": [step(1)], "allocate": "quantity"}, [("allocate", NO_SHARE)]),
        ("tiered", "line", {"by": "spend", "steps": [step(1), step(2, amount=1)], "allocate": "quantity"}, []),
        ("tiered", "order", {"by": "spend", "steps": [step(1)], "allocate": "quantity"}, []),
        ("buy_x_get_y", "line", {"buy": 2, "get": 1, "unit_price": "0"}, []),
        ("buy_x_get_y", "line", {"buy": 2, "get": 1}, [("percent", "give either a percent or a unit_price")]),
        (
            "buy_x_get_y",
            "line",
            {"buy": 2, "get": 1, "percent": "5", "unit_price": "5"},
            [("percent", "give either a percent or a unit_price")],
        ),
        (
            "buy_x_get_y",
            "line",
            {"buy": 2, "get": 1, "percent": "5", "incomplete": "partial"},
            [("incomplete", "one unit cannot be given in part: needs get above 1")],
        ),
        ("buy_x_get_y", "line", {"buy": 2, "get": 2, "percent": "5", "incomplete": "partial"}, []),
        ("bundle", "line", {"components": [], "price": 0}, [("components", "between 1 and 10 components")]),
        ("bundle", "line", {"components": [{"scope": ALL}] * 10, "price": 0}, []),
        ("bundle", "line", {"components": [{"scope": ALL}] * 11, "amount": 1}, [("components", "between 1 and 10 components")]),
        ("bundle", "line", {"components": [{"scope": ALL}]}, [("price", "give one of price, percent and amount")]),
        (
            "bundle",
            "line",
            {"components": [{"scope": ALL}], "percent": "5", "amount": 5},
            [("price", "give one of price, percent and amount")],
        ),
        ("gift", "order", {"skus": []}, [("skus", "between 1 and 100 SKUs")]),
        ("gift", "order", {"skus": [str(at) for at in range(100)], "choose": 100}, []),
        ("gift", "order", {"skus": [str(at) for at in range(101)]}, [("skus", "between 1 and 100 SKUs")]),
        ("gift", "order", {"skus": ["A", "B", "A"]}, [("skus[2]", "the same SKU stands here twice")]),
        ("gift", "order", {"skus": ["A"], "choose": 2}, [("choose", "there are not so many SKUs")]),
        ("shipping", "shipping", {}, [("amount", ONE_REWARD)]),
        ("shipping", "shipping", {"percent": "5", "amount": 5}, [("amount", ONE_REWARD)]),
        ("shipping", "shipping", {"percent": "5"}, []),
    ],
)
def test_parameters_that_make_no_sense_are_told_with_their_place(
    kind: str, level: Level, params: dict[str, Any], problems: list[tuple[str, str]]
) -> None:
    of = KINDS[kind]

    assert of.check(decode_params(of.Params, params), level) == problems


PER_ORDER = {"units": {"max": 1, "per": "order"}}
PER_LINE = {"units": {"max": 1}}


@pytest.mark.parametrize(
    ("kind", "params", "facts"),
    [
        ("percent_off", {"percent": "5"}, "is_local is_by_line"),
        ("percent_off", {"percent": "5", **PER_LINE}, "is_local is_by_line"),
        ("percent_off", {"percent": "5", "cap": 1}, "holds_amounts"),
        ("percent_off", {"percent": "5", "per": "line"}, "is_local is_by_line"),
        ("percent_off", {"percent": "5", "per": "across"}, ""),
        ("percent_off", {"percent": "5", **PER_ORDER}, ""),
        ("amount_off", {"amount": 5}, "holds_amounts"),
        ("amount_off", {"amount": 5, "per": "line"}, "holds_amounts is_local is_by_line"),
        ("amount_off", {"amount": 5, "per": "line", "cap": 1}, "holds_amounts"),
        ("amount_off", {"amount": 5, "per": "unit", **PER_LINE}, "holds_amounts is_local is_by_line"),
        ("amount_off", {"amount": 5, "per": "unit", **PER_ORDER}, "holds_amounts"),
        ("fixed_price", {"unit_price": "5"}, "holds_amounts is_local is_by_line"),
        ("fixed_price", {"unit_price": "5", **PER_ORDER}, "holds_amounts"),
        ("spend_save", {"threshold": 5, "percent": "5"}, "holds_amounts measures_running"),
        ("tiered", {"by": "quantity", "steps": [step(1)]}, "is_by_line"),
        ("tiered", {"by": "quantity", "steps": [step(1), step(2, amount=1)]}, "holds_amounts"),
        ("tiered", {"by": "spend", "steps": [step(1)]}, "holds_amounts measures_running"),
        ("tiered", {"by": "customer.spend", "steps": [step(1)]}, "holds_amounts is_by_line"),
        ("tiered", {"by": "customer.orders", "steps": [step(1)]}, "is_by_line"),
        ("buy_x_get_y", {"buy": 1, "get": 1, "percent": "5"}, "uses_units"),
        ("buy_x_get_y", {"buy": 1, "get": 1, "unit_price": "5"}, "holds_amounts uses_units"),
        ("bundle", {"components": [{"scope": ALL}], "percent": "5"}, "uses_units"),
        ("bundle", {"components": [{"scope": ALL}], "amount": 5}, "holds_amounts uses_units"),
        ("gift", {"skus": ["A"]}, ""),
        ("shipping", {"percent": "5"}, ""),
        ("shipping", {"amount": 5}, "holds_amounts"),
        ("points", {"multiplier": "2"}, ""),
    ],
)
def test_kinds_say_what_their_parameters_tie_together(kind: str, params: dict[str, Any], facts: str) -> None:
    of = KINDS[kind]

    assert _facts(of, decode_params(of.Params, params)) == facts


def test_only_tiers_by_the_customer_look_at_a_person() -> None:
    of = KINDS["tiered"]

    def looks_at(by: str) -> tuple[str, ...]:
        return of.personal_inputs(decode_params(of.Params, {"by": by, "steps": [step(1)]}))

    assert looks_at("customer.orders") == ("customer.orders",)
    assert looks_at("customer.spend") == ("customer.spend",)
    assert looks_at("quantity") == looks_at("spend") == ()


def _facts(of: Kind, params: Any) -> str:
    names = ("holds_amounts", "is_local", "is_by_line", "measures_running", "uses_units")
    return " ".join(name for name in names if getattr(of, name)(params))


@pytest.mark.parametrize("name", sorted(KINDS))
def test_kind_is_what_its_module_says(name: str) -> None:
    module = KINDS[name].module

    assert kind_of(module) == KINDS[name]
    assert (KINDS[name].KIND, KINDS[name].module) == (name, module)


def test_kind_that_says_too_little_is_none_and_one_without_steps_offers_none() -> None:
    says_least = ModuleType("least")
    for name in ("KIND", "Params", "LEVELS", "holds_amounts", "pack", "reward"):
        with pytest.raises(TypeError):
            kind_of(says_least)
        setattr(says_least, name, getattr(KINDS["percent_off"], name))

    least = kind_of(says_least)
    assert least.module is says_least
    assert (least.is_local(None), least.personal_inputs(None), least.check(None, "line")) == (False, (), [])
    with pytest.raises(AssertionError, match="no steps"):
        least.next_benefit(None, 0, 0, 0)
