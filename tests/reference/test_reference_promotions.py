"""Worked examples: rewards, limits, floors, allocation, and how promotions meet."""

import pytest

from tests.reference.both import both
from tests.reference.builders import (
    Resources,
    amount_off,
    floor,
    line,
    only,
    percent_off,
    prices,
    promotion,
    taken,
    tiers,
    totals,
)
from tests.reference.shop import Body

AB = prices(A="1000", B="2000")
BY_SEQUENCE: Resources = {"policy": {"selection": "priority"}}


def run(lines: list[tuple[str, int | str]], resources: Resources | None = None, **promotions: Body) -> Body:
    return both(lines, {"prices": AB, "promotions": promotions, **(resources or {})})


@pytest.mark.parametrize(("rounding", "off"), [("half_up", -8), ("half_even", -8), ("half_down", -7)])
def test_percent_rounds_the_discount_and_never_what_is_left(rounding: str, off: int) -> None:
    # 50 % of 15 is 7.5
    resources: Resources = {"prices": prices(A="15"), "policy": {"rounding": rounding}}
    found = run([("A", 1)], resources, p=percent_off("50"))

    assert taken(found) == [[off]]


@pytest.mark.parametrize(("base", "second"), [("running", -90), ("initial", -100)])
def test_second_percentage_is_taken_of_its_base(base: str, second: int) -> None:
    found = run([("A", 1)], {"policy": {"percent_base": base}}, p=percent_off("10"), q=percent_off("10"))

    assert taken(found) == [[-100, second]]


def test_percentage_across_is_rounded_once_and_takes_its_turn_among_line_promotions() -> None:
    resources: Resources = {"prices": prices(A="1005", B="1005")}
    dollar = amount_off(100, "line", lane=1)

    # 10 % of 2010 is 201, shared as 100.5 and 100.5; on each line by itself it is 101.
    assert taken(run([("A", 1), ("B", 1)], resources, p=percent_off("10", per="across"), q=dollar)) == [
        [-101, -100],
        [-100, -100],
    ]
    assert taken(run([("A", 1), ("B", 1)], resources, p=percent_off("10"), q=dollar)) == [[-101, -100], [-101, -100]]


def test_percentage_of_list_looks_past_the_sale() -> None:
    sales: dict[str, Body] = {"s": {"scope": only(), "percent": "40"}}
    found = run([("A", 1), ("B", 1)], {"sale-prices": sales}, p=percent_off("50", of="list"), q=percent_off("50", of="list"))

    # The second is limited to what is left of 600 - 500.
    assert taken(found) == [[-500, -100], [-1000, -200]]


@pytest.mark.parametrize(("per", "off"), [("unit", [[-75], [-600]]), ("line", [[-30], [-30]]), ("across", [[-6], [-24]])])
def test_amount_is_per_unit_per_line_or_across(per: str, off: list[list[int]]) -> None:
    # 30 x 2.5 = 75 and 30 x 20 = 600; across 2500 : 10000 is 1 : 4
    found = both([("A", "2.5"), ("B", 20)], {"prices": prices(A="1000", B="500"), "promotions": {"p": amount_off(30, per)}})

    assert taken(found) == off


def test_fixed_price_takes_down_to_it_and_never_up() -> None:
    found = run([("A", 2), ("B", 1)], p=promotion("fixed_price", {"unit_price": "1500"}))

    assert taken(found) == [[], [-500]]


@pytest.mark.parametrize(
    ("quantity", "by", "off"), [(2, "quantity", []), (3, "quantity", [-300]), (5, "quantity", [-70]), (4, "spend", [-40])]
)
def test_tiered_gives_the_last_step_reached(quantity: int, by: str, off: list[int]) -> None:
    by_quantity = [{"from": 3, "percent": "10"}, {"from": "4.5", "amount": 70}]
    by_spend = [{"from": 4000, "percent": "1"}, {"from": 4001, "percent": "50"}]
    steps = by_quantity if by == "quantity" else by_spend
    found = run([("A", quantity)], p=promotion("tiered", {"by": by, "steps": steps}))

    assert taken(found) == [off]


def test_tiered_by_a_customer_figure_that_is_not_sent_is_missing() -> None:
    by_orders = promotion("tiered", {"by": "customer.orders", "steps": [{"from": 3, "percent": "10"}]})
    resources = {"prices": AB, "promotions": {"p": by_orders}}
    missing = {"rule": "p", "reason": "attribute_missing", "attribute": "customer.orders"}

    assert both([("A", 1)], resources)["not_applied"] == [missing]
    few = both([("A", 1)], resources, customer={"orders": 1})
    assert few["not_applied"] == [{"rule": "p", "reason": "tier_not_reached", "needed": 2}]
    assert few["next_benefit"] == [{"rule": "p", "orders_needed": 2, "percent": "10"}]
    enough = both([("A", 1)], resources, customer={"orders": 3})
    assert (taken(enough), enough["personal_inputs"], enough["personalised"]) == ([[-100]], ["customer.orders"], True)


@pytest.mark.parametrize(
    ("quantity", "more", "off", "offers"),
    [
        (2, {"amount": 100}, 0, [{"rule": "p", "spend_needed": 500, "amount": 100}]),
        (6, {"amount": 100}, 100, []),
        (6, {"percent": "5"}, 300, []),
        (6, {"amount": 100, "repeat": True}, 200, [{"rule": "p", "spend_needed": 1500, "amount": 300}]),
        (9, {"amount": 100, "repeat": True, "max_times": 2}, 200, []),
    ],
)
def test_spend_save_gives_once_or_for_each_multiple(quantity: int, more: Body, off: int, offers: list[Body]) -> None:
    found = run([("A", quantity)], p=promotion("spend_save", {"threshold": 2500, **more}))

    assert (found["discount"], found["next_benefit"]) == (off, offers)


def test_spend_save_steps_give_the_last_reached_and_offer_the_next() -> None:
    steps = [{"threshold": 1000, "amount": 50}, {"threshold": 3000, "percent": "10.50"}]
    found = run([("A", 2)], p=promotion("spend_save", {"steps": steps}))
    below = both([("A", 1)], {"prices": prices(A="999"), "promotions": {"p": promotion("spend_save", {"steps": steps})}})

    assert (found["discount"], found["next_benefit"]) == (50, [{"rule": "p", "spend_needed": 1000, "percent": "10.5"}])
    assert below["not_applied"] == [{"rule": "p", "reason": "min_spend_not_met", "needed": 1}]


def test_order_promotion_shows_on_the_order_and_each_line() -> None:
    found = run([("A", 1), ("B", 1)], p=percent_off("10", level="order", name="Ten"))
    shown = {"kind": "percent_off", "rule": "p", "revision": 1, "name": "Ten"}

    assert found["adjustments"] == [{**shown, "amount": -300}]
    assert line(found)["adjustments"] == [{**shown, "amount": -100, "level": "order"}]
    assert (totals(found), found["discount"], found["total"]) == ([900, 1800], 300, 2700)


def test_cap_that_binds_is_shared_in_proportion_to_the_rewards() -> None:
    found = run([("A", 1), ("B", 1)], p=percent_off("50", cap=100))
    loose = run([("A", 1), ("B", 1)], p=percent_off("50", cap=1500))

    assert taken(found) == [[-33], [-67]]
    assert taken(loose) == [[-500], [-1000]]


def test_cap_bounds_an_order_amount() -> None:
    assert run([("A", 1), ("B", 1)], p=amount_off(600, level="order", cap=90))["discount"] == 90


def test_floor_gives_back_on_the_line_and_says_so() -> None:
    found = run([("A", 1), ("B", 1)], {"guardrails": {"g": floor("850")}}, p=percent_off("25"))
    back = {"kind": "guardrail", "rule": "g", "revision": 1, "name": "floor", "amount": 100, "bound": "floor"}

    assert taken(found) == [[-250, 100], [-500]]
    assert line(found)["adjustments"][1] == back


def test_floor_of_a_fractional_quantity_is_rounded_up() -> None:
    # 0.5 x 850.1 = 425.05: 426 must stay of 500
    found = run([("A", "0.5")], {"guardrails": {"g": floor("850.1")}}, p=percent_off("50"))

    assert taken(found) == [[-250, 176]]


def test_order_amount_moves_to_lines_that_have_room() -> None:
    # A tenth of 3000 is 100 : 200; A has room for 50, and B takes the rest.
    rules = {"g": floor("950", scope=only(skus=["A"]))}
    found = run([("A", 1), ("B", 1)], {"guardrails": rules}, p=percent_off("10", level="order"))

    assert (taken(found), [each["amount"] for each in found["adjustments"]]) == ([[-50], [-250]], [-300])


def test_what_nobody_can_take_is_given_back_on_the_order() -> None:
    rules = {"a": floor("950", scope=only(skus=["A"])), "b": floor("1900", scope=only(skus=["B"]))}
    found = run([("A", 1), ("B", 1)], {"guardrails": rules}, p=percent_off("10", level="order"))

    assert taken(found) == [[-50], [-100]]
    assert [(each["rule"], each["amount"]) for each in found["adjustments"]] == [("p", -300), ("a", 150)]


def test_give_back_names_a_floor_though_an_earlier_line_is_taken_whole() -> None:
    # 3000 over 1000 : 2000; B has room for 100; A takes its 1000; 1900 are dropped, and only B has a floor.
    rules = {"b": floor("1900", scope=only(skus=["B"]))}
    found = run([("A", 1), ("B", 1)], {"guardrails": rules}, p=amount_off(3000, level="order"))

    assert taken(found) == [[-1000], [-100]]
    assert [(each["rule"], each["amount"]) for each in found["adjustments"]] == [("p", -3000), ("b", 1900)]


def test_dropped_part_of_a_line_amount_shows_only_in_what_lines_took() -> None:
    rules = {"a": floor("950", scope=only(skus=["A"])), "b": floor("1900", scope=only(skus=["B"]))}
    found = run([("A", 1), ("B", 1)], {"guardrails": rules}, p=amount_off(600))

    assert (taken(found), found["adjustments"]) == ([[-50], [-100]], [])


def test_lanes_then_priority_then_id_make_the_sequence() -> None:
    promotions = {
        "a": percent_off("10"),
        "b": percent_off("10", priority=5),
        "c": percent_off("10", lane=-1),
        "d": amount_off(9, level="order", lane=-9),
    }
    found = run([("A", 1)], **promotions)

    assert [each["rule"] for each in line(found)["adjustments"]] == ["c", "b", "a", "d"]


@pytest.mark.parametrize(("wins", "applied", "reason"), [(False, ["a"], "exclusive_taken"), (True, ["x"], "exclusive_taken")])
def test_exclusive_shares_its_line_with_no_other(wins: bool, applied: list[str], reason: str) -> None:
    promotions = {"a": percent_off("10", priority=1), "x": percent_off("20", exclusive=True)}
    found = run([("A", 1)], {"policy": {"selection": "priority", "exclusive_wins": wins}}, **promotions)

    assert [each["rule"] for each in line(found)["adjustments"]] == applied
    assert [each["reason"] for each in found["not_applied"]] == [reason]


def test_exclusive_line_promotion_takes_its_lines_from_order_promotions() -> None:
    alone = percent_off("20", exclusive=True, scope=only(skus=["A"]))
    found = run([("A", 1), ("B", 1)], x=alone, o=percent_off("10", level="order"))

    assert taken(found) == [[-200], [-200]]


def test_exclusive_order_promotion_comes_alone_to_the_order() -> None:
    y, z = amount_off(5, level="order"), amount_off(3)
    first = run([("A", 1)], BY_SEQUENCE, x=amount_off(9, level="order", exclusive=True, priority=1), y=y, z=z)
    last = run([("A", 1)], BY_SEQUENCE, x=amount_off(9, level="order", exclusive=True), y={**y, "priority": 1})

    assert taken(first) == [[-3, -9]]
    assert taken(last) == [[-5]]
    assert first["not_applied"] == [{"rule": "y", "reason": "exclusive_taken"}]
    assert last["not_applied"] == [{"rule": "x", "reason": "exclusive_taken"}]


def test_group_applies_once_to_a_line_and_once_to_the_order() -> None:
    promotions = {
        "a": percent_off("10", group="g", scope=only(skus=["A"])),
        "b": percent_off("10", group="g"),
        "c": percent_off("10", group="g", level="order"),
        "d": percent_off("10", group="g", level="order"),
    }
    found = run([("A", 1), ("B", 1)], BY_SEQUENCE, **promotions)

    assert taken(found) == [[-100, -90], [-200, -180]]
    assert found["not_applied"] == [{"rule": "d", "reason": "group_taken"}]


def test_not_on_sale_leaves_lines_with_a_sale_price() -> None:
    sales: dict[str, Body] = {"s": {"scope": only(skus=["A"]), "percent": "10"}}
    found = run([("A", 1), ("B", 1)], {"sale-prices": sales}, p=percent_off("10", not_on_sale=True))
    alone = run([("A", 1)], {"sale-prices": sales}, p=percent_off("10", not_on_sale=True))

    assert taken(found) == [[], [-200]]
    assert alone["not_applied"] == [{"rule": "p", "reason": "on_sale"}]


def test_reward_of_nothing_has_not_applied() -> None:
    promotions = {
        "p": percent_off("100", priority=1),
        "q": percent_off("10", exclusive=True, lane=1),
        "r": percent_off("10", lane=2),
    }
    found = run([("A", 1)], BY_SEQUENCE, **promotions)

    assert [each["reason"] for each in found["not_applied"]] == ["exclusive_taken", "nothing_to_discount"]


def test_promotion_of_another_currency_or_another_hour_is_no_candidate() -> None:
    later = {"from": "2026-11-27T12:00:01", "timezone": "UTC"}
    promotions = {
        "p": percent_off("10", currency="EUR"),
        "q": percent_off("10", schedule=later),
        "r": percent_off("1", currency=None),
    }
    found = run([("A", 1)], **promotions)

    assert (taken(found), found["not_applied"]) == ([[-10]], [])


def test_tier_benefits_come_before_those_of_promotions() -> None:
    entries = prices({"sku": "A", "unit_price": "10", "tiers": tiers("volume", (9, "10"), (None, "8"))})
    ladder = promotion("tiered", {"by": "quantity", "steps": [{"from": "2.5", "amount": 3}]})
    found = both([("A", 1)], {"prices": entries, "promotions": {"p": ladder}})

    assert found["next_benefit"] == [
        {"rule": "A", "line": "1", "quantity_needed": "9", "unit_price": "8"},
        {"rule": "p", "quantity_needed": "1.5", "amount": 3},
    ]
    assert found["not_applied"] == [{"rule": "p", "reason": "tier_not_reached", "needed": "1.5"}]
