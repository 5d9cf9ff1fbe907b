"""Sets of units, limits of units and ways to allocate: worked by hand, and the engine says what the reference says."""

from typing import Any

import pytest

from tests.reference.agreement import compiled, difference, engine_replies, reference_reply
from tests.reference.builders import Resources, amount_off, floor, only, percent_off, prices, promotion, taken, totals
from tests.reference.shop import Body

AT_US = 1_790_000_000_000_000
ABC = prices(A="1000", B="600", C="300")


def run(lines: list[tuple[str, int | str]], resources: Resources | None = None, **promotions: Body) -> Body:
    documents: dict[str, Any] = {"prices": ABC, "promotions": promotions, **(resources or {})}
    asked = [{"id": str(i), "sku": sku, "quantity": quantity} for i, (sku, quantity) in enumerate(lines, start=1)]
    body = {"currency": "USD", "lines": asked}
    reply = engine_replies(compiled(documents, {}, AT_US), [body], [AT_US])[0]
    assert difference(reply, reference_reply(documents, {}, body, AT_US, AT_US)) is None
    return reply


def buy_get(buy: int, get: int, percent: str | None = "100", **more: Any) -> Body:
    params = {name: more.pop(name) for name in ("unit_price", "pick", "get_scope", "max_times", "incomplete") if name in more}
    return promotion("buy_x_get_y", {"buy": buy, "get": get, "percent": percent} | params, **more)


def bundle(*components: tuple[list[str], int], **more: Any) -> Body:
    params = {name: more.pop(name) for name in ("price", "percent", "amount", "max_times", "allocate") if name in more}
    parts = [{"scope": only(skus=skus), "quantity": quantity} for skus, quantity in components]
    return promotion("bundle", {"components": parts} | params, **more)


def test_three_for_two_gives_the_cheapest_of_the_basket() -> None:
    # Seven units hold two sets of three: the two cheapest of all seven are free.
    found = run([("A", 4), ("B", 1), ("C", 2)], p=buy_get(2, 1))

    assert totals(found) == [4000, 600, 0]
    assert found["next_benefit"] == [{"rule": "p", "quantity_needed": "2", "units": 1, "percent": "100"}]


def test_dearest_are_given_where_the_promotion_says_so() -> None:
    assert totals(run([("A", 1), ("B", 2)], p=buy_get(2, 1, pick="dearest"))) == [0, 1200]


def test_of_equal_units_those_of_the_earlier_line_are_given() -> None:
    found = run([("A", 1), ("A", 1)], p=buy_get(1, 1, percent="50"))

    assert taken(found) == [[-500], []]


def test_second_at_half_price_rounds_the_discount_of_the_line() -> None:
    # Three units given of the seven at 333: 3 x 333 x 0.5 = 499.5
    found = run([("A", 7)], {"prices": prices(A="333")}, p=buy_get(1, 1, percent="50"))

    assert taken(found) == [[-500]]


def test_third_for_one_comes_down_to_its_price() -> None:
    # Of 3 x 600 one comes down to 100; at 700 nothing would.
    assert taken(run([("B", 3)], p=buy_get(2, 1, None, unit_price="100"))) == [[-500]]
    above = run([("B", 3)], p=buy_get(2, 1, None, unit_price="700"))
    assert above["not_applied"] == [{"rule": "p", "reason": "nothing_to_discount"}]


def test_incomplete_set_says_how_many_units_are_missing() -> None:
    found = run([("A", 1)], p=buy_get(3, 2))

    assert found["not_applied"] == [{"rule": "p", "reason": "min_quantity_not_met", "needed": "4"}]


def test_fraction_of_a_unit_belongs_to_no_set() -> None:
    # 2.9 are two units; one of them is free: 1000 x 2.9 / 2.9
    assert taken(run([("A", "2.9")], p=buy_get(1, 1))) == [[-1000]]
    assert run([("A", "1.9")], p=buy_get(1, 1))["not_applied"][0]["needed"] == "1"


def test_what_is_left_gives_a_smaller_set_where_that_is_allowed() -> None:
    # Buy 2 get 2: of seven units one set takes four; of the three left two are bought and one is given.
    assert taken(run([("A", 7)], p=buy_get(2, 2, incomplete="partial"))) == [[-3000]]
    assert taken(run([("A", 7)], p=buy_get(2, 2))) == [[-2000]]
    found = run([("A", 2)], p=buy_get(2, 2, incomplete="partial"))
    assert found["not_applied"] == [{"rule": "p", "reason": "min_quantity_not_met", "needed": "1"}]
    assert found["next_benefit"][0]["quantity_needed"] == "2"


def test_max_times_bounds_the_sets_and_ends_the_offer() -> None:
    found = run([("A", 6)], p=buy_get(1, 1, max_times=2))

    assert taken(found) == [[-2000]]
    assert found["next_benefit"] == []


def test_given_units_come_from_their_own_scope() -> None:
    other = buy_get(2, 1, scope=only(skus=["A"]), get_scope=only(skus=["C"]))

    assert totals(run([("A", 4), ("C", 3)], p=other)) == [4000, 300]
    assert run([("A", 4)], p=other)["not_applied"] == [{"rule": "p", "reason": "min_quantity_not_met", "needed": "1"}]
    assert run([("C", 4)], p=other)["not_applied"] == [{"rule": "p", "reason": "min_quantity_not_met", "needed": "2"}]


def test_units_of_both_scopes_are_kept_for_buying_where_there_are_no_others() -> None:
    # C is the cheapest, but the only one that can be bought; so B is given.
    found = run([("B", 1), ("C", 1)], p=buy_get(1, 1, scope=only(skus=["C"]), get_scope=only(skus=["B", "C"])))

    assert totals(found) == [0, 300]


def test_unit_that_served_a_set_serves_no_other() -> None:
    # Four units make two sets of the first; nothing is left for the second. With five, one is left, and one is missing.
    first, second = buy_get(1, 1, priority=10), buy_get(1, 1, percent="50")
    four, five = (run([("A", count)], p=first, q=second) for count in (4, 5))

    assert four["not_applied"] == [{"rule": "q", "reason": "min_quantity_not_met", "needed": "2"}]
    assert five["not_applied"] == [{"rule": "q", "reason": "min_quantity_not_met", "needed": "1"}]
    assert totals(run([("A", 4)], p=first, q=percent_off("50"))) == [1000]


def test_units_serve_only_when_something_was_taken() -> None:
    # The first would bring the second unit down to 1000, where it is already: it does not apply, and the second one may.
    found = run([("A", 2)], p=buy_get(1, 1, None, unit_price="1000", priority=10), q=buy_get(1, 1))

    assert totals(found) == [1000]


def test_lines_that_another_promotion_closed_give_no_units() -> None:
    found = run([("A", 1), ("B", 1)], p=percent_off("10", priority=10, exclusive=True, scope=only(skus=["A"])), q=buy_get(1, 1))

    assert found["not_applied"] == [{"rule": "q", "reason": "min_quantity_not_met", "needed": "1"}]


def test_floor_holds_for_what_is_given() -> None:
    # Two of four are free, 2000; the floor of 800 leaves room for 800.
    found = run([("A", 4)], {"guardrails": {"g": floor("800")}}, p=buy_get(1, 1))

    assert taken(found) == [[-2000, 1200]]


def test_bundle_price_is_shared_by_the_amounts_of_its_units() -> None:
    # 1000 + 600 for 1200: 400 off, 5 : 3 = 250 and 150. The second A is in no bundle.
    found = run([("A", 2), ("B", 1)], p=bundle((["A"], 1), (["B"], 1), price=1200))

    assert taken(found) == [[-250], [-150]]
    assert found["next_benefit"] == [{"rule": "p", "quantity_needed": "1", "price": 1200}]


@pytest.mark.parametrize(("allocate", "off"), [("amount", [-250, -150]), ("quantity", [-133, -267]), ("even", [-200, -200])])
def test_bundle_is_allocated_by_amount_units_or_line(allocate: str, off: list[int]) -> None:
    # Two units of B: 1000 + 2 x 300 = 1600 for 1200
    found = run([("A", 1), ("C", 2)], p=bundle((["A"], 1), (["C"], 2), price=1200, allocate=allocate))

    assert [sum(each) for each in taken(found)] == off


def test_bundle_takes_a_percentage_or_an_amount_each_time() -> None:
    two = [("A", 2), ("B", 2)]

    # 2 x 1600 x 12.5 % = 400; 2 x 300 = 600
    assert run([*two], p=bundle((["A"], 1), (["B"], 1), percent="12.5"))["discount"] == 400
    assert run([*two], p=bundle((["A"], 1), (["B"], 1), amount=300))["discount"] == 600
    assert run([*two], p=bundle((["A"], 1), (["B"], 1), amount=300, max_times=1))["discount"] == 300
    # Nothing costs less than nothing.
    assert run([*two], p=bundle((["A"], 1), (["B"], 1), amount=5000))["discount"] == 3200


def test_bundle_is_made_only_as_often_as_it_saves() -> None:
    # Any two for 1000: A + A saves 1000, B + B 200, C + C would cost 400 more.
    found = run([("A", 2), ("B", 2), ("C", 2)], p=bundle((["A", "B", "C"], 2), price=1000))

    assert found["discount"] == 1200
    assert totals(found)[2] == 600
    assert found["next_benefit"] == []
    never = run([("C", 2)], p=bundle((["C"], 2), price=600))
    assert never["not_applied"] == [{"rule": "p", "reason": "nothing_to_discount"}]


def test_unit_that_fits_two_components_goes_where_it_saves_the_most() -> None:
    # One of A or B with one of B or C: the best pair is A and B, whichever place B takes.
    found = run([("A", 1), ("B", 1), ("C", 1)], p=bundle((["A", "B"], 1), (["B", "C"], 1), price=1000))
    # A second bundle needs both places again: of B and C left over after A and B there is only C.
    assert found["discount"] == 600
    assert totals(found)[2] == 300
    assert found["next_benefit"] == [{"rule": "p", "quantity_needed": "1", "price": 1000}]


def test_bundle_that_lacks_units_says_how_many() -> None:
    found = run([("A", 1), ("B", 1)], p=bundle((["A"], 2), (["B"], 1), (["C"], 2), price=1))

    assert found["not_applied"] == [{"rule": "p", "reason": "min_quantity_not_met", "needed": "3"}]


def test_bundle_touches_what_is_in_its_scope_and_in_a_component() -> None:
    of_a = bundle((["A", "B"], 1), price=100, scope=only(skus=["A", "C"]))

    assert totals(run([("A", 1), ("B", 1), ("C", 1)], p=of_a)) == [100, 600, 300]


def test_floor_moves_the_saving_of_a_bundle_to_the_other_lines() -> None:
    # 400 off, 250 and 150; A may give 100 only, so B gives 300.
    found = run(
        [("A", 1), ("B", 1)],
        {"guardrails": {"g": floor("900", scope=only(skus=["A"]))}},
        p=bundle((["A"], 1), (["B"], 1), price=1200),
    )

    assert taken(found) == [[-100], [-300]]


@pytest.mark.parametrize(
    ("units", "off"),
    [
        ({"max": 2}, [[-200], [-60]]),
        ({"step": 2}, [[-200], []]),
        ({"max": 2, "per": "order"}, [[-100], [-60]]),
        ({"max": 3, "per": "order", "pick": "dearest"}, [[-300], []]),
        ({"step": 3, "per": "order"}, [[-200], [-60]]),
    ],
)
def test_percentage_of_some_units(units: Body, off: list[list[int]]) -> None:
    # Three A at 1000 and one B at 600, 10 % each; of four units, a step of three has three.
    params = {"percent": "10", "units": units}

    assert taken(run([("A", 3), ("B", 1)], p=promotion("percent_off", params))) == off


def test_amount_and_fixed_price_of_some_units() -> None:
    amount = promotion("amount_off", {"amount": 70, "per": "unit", "units": {"max": 2}})
    price = promotion("fixed_price", {"unit_price": "900", "units": {"max": 2}})

    assert taken(run([("A", "3.5")], p=amount)) == [[-140]]
    assert taken(run([("A", "3.5")], p=price)) == [[-200]]
    assert taken(run([("A", 1)], p=promotion("fixed_price", {"unit_price": "900", "units": {"step": 2}}))) == [[]]


def test_percentage_of_some_units_is_of_its_base() -> None:
    # After 10 % off, half of the line at list price and 30 %: 4000 / 2 x 0.3
    of_list = promotion("percent_off", {"percent": "30", "of": "list", "units": {"max": 2}})
    of_running = promotion("percent_off", {"percent": "30", "of": "running", "units": {"max": 2}})

    assert taken(run([("A", 4)], p=percent_off("10", priority=1), q=of_list)) == [[-400, -600]]
    assert taken(run([("A", 4)], p=percent_off("10", priority=1), q=of_running)) == [[-400, -540]]


def test_cap_holds_for_the_units_of_all_lines() -> None:
    # 100 and 60 are capped at 120: 75 and 45
    params = {"percent": "10", "cap": 120, "units": {"max": 1}}

    assert taken(run([("A", 3), ("B", 3)], p=promotion("percent_off", params))) == [[-75], [-45]]


@pytest.mark.parametrize(("allocate", "off"), [("amount", [-77, -23]), ("quantity", [-50, -50]), ("even", [-50, -50])])
@pytest.mark.parametrize("level", ["line", "order"])
def test_amount_across_is_allocated_by_amount_quantity_or_line(allocate: str, off: list[int], level: str) -> None:
    # 1000 : 300
    spread = amount_off(100, level=level)
    spread["params"]["allocate"] = allocate

    assert [sum(each) for each in taken(run([("A", 1), ("C", 1)], p=spread))] == off


def test_equal_parts_that_a_line_cannot_bear_go_to_the_others() -> None:
    # 400 each; C has 300, so A bears 500.
    spread = promotion("spend_save", {"threshold": 1000, "amount": 800, "allocate": "even"})

    assert [sum(each) for each in taken(run([("A", 1), ("C", 1)], p=spread))] == [-500, -300]
    steps = {"by": "quantity", "steps": [{"from": 2, "amount": 800}], "allocate": "even"}
    assert [sum(each) for each in taken(run([("A", 1), ("C", 1)], p=promotion("tiered", steps)))] == [-500, -300]


def test_unit_prices_are_told_apart_exactly() -> None:
    # 2 / 3 of a cent against 0.667: A is cheaper by a third of a thousandth.
    found = run([("B", 1000), ("A", 3)], {"prices": prices(A="0.6667", B="0.667")}, p=buy_get(1000, 3))

    assert taken(found) == [[], [-2]]
