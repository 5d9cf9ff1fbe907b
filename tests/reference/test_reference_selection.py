"""Worked examples of which competing promotions take part; the engine is asked the same and must say the same."""

import json

import pytest

from tests.reference.agreement import compiled, difference, engine_replies
from tests.reference.builders import (
    AT,
    PUBLISHED_AT_US,
    Resources,
    amount_off,
    floor,
    only,
    percent_off,
    prices,
    promotion,
    quote,
    taken,
)
from tests.reference.shop import Body
from tests.reference.times import instant_us

AB = prices(A="1000", B="2000")


def run(lines: list[tuple[str, int | str]], resources: Resources | None = None, **promotions: Body) -> Body:
    """The reference's reply, which is the engine's too."""
    documents: dict[str, dict[str, Body]] = {"prices": AB, "promotions": promotions}
    documents |= {name: dict(bodies) for name, bodies in (resources or {}).items()}
    found = quote(lines, documents)
    whole = json.loads(json.dumps({name: bodies for name, bodies in documents.items() if name != "policy"}))
    for body in whole["promotions"].values():
        body.setdefault("requires_code", False)
    policy = {"default": documents["policy"]} if "policy" in documents else {}
    body = {
        "currency": "USD",
        "lines": [{"id": str(number), "sku": sku, "quantity": n} for number, (sku, n) in enumerate(lines, start=1)],
    }
    [reply] = engine_replies(compiled({**whole, "policy": policy}, {}, PUBLISHED_AT_US), [body], [instant_us(AT)])
    assert difference(reply, found) is None
    return found


def reasons(found: Body) -> dict[str, str]:
    return {entry["rule"]: entry["reason"] for entry in found["not_applied"]}


def running(value: int, of: str = "order", op: str = ">=") -> Body:
    return {"attribute": f"{of}.subtotal", "op": op, "value": value, "basis": "running"}


# Contests on lines


def test_of_a_group_the_line_takes_what_leaves_it_cheapest() -> None:
    # Of 1000: 10 % is 100, 120 is more; of 2000: 10 % is 200.
    found = run([("A", 1), ("B", 1)], a=percent_off("10", group="g", priority=9), b=amount_off(120, "line", group="g"))

    assert taken(found) == [[-120], [-200]]
    assert found["not_applied"] == []


def test_who_loses_every_line_was_not_best() -> None:
    found = run([("A", 1)], a=percent_off("10", group="g", priority=9), b=percent_off("20", group="g"))

    assert taken(found) == [[-200]]
    assert reasons(found) == {"a": "not_best"}


def test_two_groups_together_beat_an_exclusive_promotion_alone() -> None:
    # 200 and 10 % of 800 are 280; the exclusive one takes 250.
    found = run([("A", 1)], a=percent_off("20", group="g"), b=percent_off("10", group="h"), x=percent_off("25", exclusive=True))

    assert taken(found) == [[-200, -80]]
    assert reasons(found) == {"x": "not_best"}


def test_exclusive_promotion_wins_where_it_takes_more_than_the_others_together() -> None:
    found = run([("A", 1)], a=percent_off("20", priority=9), b=percent_off("5"), x=percent_off("25", exclusive=True))

    assert taken(found) == [[-250]]
    assert reasons(found) == {"a": "not_best", "b": "not_best"}


def test_of_equals_fewer_take_part_and_then_the_first_ids() -> None:
    # 10 % of 1000, then 100 of what is left, is as much as 200 at once.
    fewer = run([("A", 1)], a=percent_off("10"), b=amount_off(100, "line"), x=amount_off(200, "line", exclusive=True))
    first = run([("A", 1)], z=percent_off("10", group="g", priority=9), b=amount_off(100, "line", group="g"))

    assert reasons(fewer) == {"a": "not_best", "b": "not_best"}
    assert reasons(first) == {"z": "not_best"}


def test_floor_makes_a_dearer_reward_no_better() -> None:
    # Both end at the floor of 950, so the first id wins: 100 off and 50 back.
    resources: Resources = {"guardrails": {"f": floor("950")}}
    found = run([("A", 1)], resources, a=percent_off("10", group="g"), b=percent_off("50", group="g", priority=9))

    assert taken(found) == [[-100, 50]]
    assert reasons(found) == {"b": "not_best"}


def test_who_would_take_nothing_says_why_and_is_no_contestant() -> None:
    ladder = promotion("tiered", {"by": "quantity", "steps": [{"from": 3, "percent": "50"}]}, group="g", priority=9)
    found = run([("A", 1)], a=percent_off("10", group="g"), t=ladder)

    assert taken(found) == [[-100]]
    assert found["not_applied"] == [{"rule": "t", "reason": "tier_not_reached", "needed": "2"}]
    assert found["next_benefit"] == [{"rule": "t", "quantity_needed": "2", "percent": "50"}]


def test_a_line_has_twelve_contestants_at_most() -> None:
    promotions = {f"p{number:02}": percent_off(str(number), group="g", priority=-number) for number in range(1, 15)}
    found = run([("A", 1)], **promotions)

    assert taken(found) == [[-120]]
    assert found["selection"] == "bounded"
    assert reasons(found)["p11"] == "not_best"
    assert reasons(found)["p14"] == "group_taken"


# Rivals


def test_order_promotions_of_a_group_compete_for_the_order() -> None:
    found = run(
        [("A", 1), ("B", 1)],
        a=amount_off(100, level="order", group="g", priority=9),
        b=percent_off("10", level="order", group="g"),
    )

    assert taken(found) == [[-100], [-200]]
    assert reasons(found) == {"a": "not_best"}
    assert found["selection"] == "exact"


def test_a_rival_that_misses_its_step_says_so_and_what_is_missing() -> None:
    save = promotion("spend_save", {"threshold": 5000, "amount": 900}, group="g", priority=9)
    found = run([("A", 1), ("B", 1)], a=amount_off(100, level="order", group="g"), s=save)

    assert found["not_applied"] == [{"rule": "s", "reason": "min_spend_not_met", "needed": 2000}]
    assert found["next_benefit"] == [{"rule": "s", "spend_needed": 2000, "amount": 900}]


def test_exclusive_promotion_gives_way_where_the_order_gains_more() -> None:
    # Alone on its line it takes 100 of A, but keeps a quarter of 1000 and of 2000 from it: 600 against 750.
    exclusive, quarter = percent_off("10", exclusive=True, scope=only(skus=["A"])), percent_off("25", level="order")
    apart = run([("A", 1), ("B", 1)], x=exclusive, o=quarter)
    small = run([("A", 1), ("B", 1)], x=percent_off("90", exclusive=True, scope=only(skus=["A"])), o=quarter)

    assert taken(apart) == [[-250], [-500]]
    assert reasons(apart) == {"x": "not_best"}
    assert taken(small) == [[-900], [-500]]
    assert small["not_applied"] == []


def test_capped_promotion_competes_for_all_its_lines_at_once() -> None:
    # 30 % of 3000 is capped at 350: more than 10 % of A alone, less than 10 % of both and 200.
    capped = percent_off("30", cap=350, group="g", priority=9)
    one = run([("A", 1), ("B", 1)], c=capped, p=percent_off("10", group="g", scope=only(skus=["A"])))
    both = run([("A", 1), ("B", 1)], c=capped, p=percent_off("20", group="g"))

    assert sum(map(sum, taken(one))) == -350
    # Nothing is gained by leaving the other one out; it comes too late on its own.
    assert reasons(one) == {"p": "group_taken"}
    assert taken(both) == [[-200], [-400]]
    assert reasons(both) == {"c": "not_best"}


def test_promotion_is_left_out_where_the_spend_then_reaches_more() -> None:
    # 5 % of 3000 is 150, and the spend falls to 2850; without it 3000 is reached, which gives 500.
    save = promotion("spend_save", {"threshold": 3000, "amount": 500})
    found = run([("A", 1), ("B", 1)], p=percent_off("5"), s=save)
    richer = run([("A", 1), ("B", 1)], p=percent_off("20"), s=save)

    assert found["total"] == 2500
    assert reasons(found) == {"p": "not_best"}
    assert richer["total"] == 2400
    assert reasons(richer) == {"s": "min_spend_not_met"}


def test_promotion_is_left_out_where_a_condition_then_holds() -> None:
    bonus = amount_off(400, level="order", conditions=running(3000))
    found = run([("A", 1), ("B", 1)], p=percent_off("5"), o=bonus)

    assert taken(found) == [[-133], [-267]]
    assert reasons(found) == {"p": "not_best"}


def test_only_what_took_of_the_measured_lines_is_a_rival() -> None:
    save = promotion("spend_save", {"threshold": 1000, "amount": 30}, scope=only(skus=["A"]))
    found = run(
        [("A", 1), ("B", 1)],
        a=amount_off(10, "line", scope=only(skus=["A"])),
        b=percent_off("10", scope=only(skus=["B"])),
        s=save,
    )

    assert taken(found) == [[-30], [-200]]
    assert reasons(found) == {"a": "not_best"}


def test_the_sequence_wins_where_a_contest_costs_more_elsewhere() -> None:
    # By itself the line takes 20 %: 800 against 810. But 700 are taken first: of 300 then 190 are more than 60.
    across = amount_off(700, "across", lane=-1)
    found = run([("A", 1)], a=amount_off(190, "line", group="g", priority=9), b=percent_off("20", group="g"), j=across)

    assert taken(found) == [[-700, -190]]
    assert reasons(found) == {"b": "group_taken"}


def test_the_first_twelve_rivals_are_searched() -> None:
    promotions = {f"p{number:02}": amount_off(number, level="order", group="g", priority=-number) for number in range(1, 15)}
    found = run([("A", 1)], **promotions)

    # Where any of the first twelve takes part, the others come too late.
    assert taken(found) == [[-12]]
    assert found["selection"] == "bounded"
    assert reasons(found)["p01"] == "not_best"
    assert reasons(found)["p14"] == "group_taken"


@pytest.mark.parametrize(("n_lines", "selection"), [(8, "exact"), (9, "bounded")])
def test_the_bound_on_work_is_combinations_times_lines(n_lines: int, selection: str) -> None:
    # The last one falls short, and it and nine before it may each be missing: 1024 combinations.
    promotions = {f"p{number}": amount_off(number + 1, level="order", priority=9) for number in range(9)}
    save = promotion("spend_save", {"threshold": 1000 * n_lines, "amount": 1})
    found = run([("A", 1)] * n_lines, **promotions, s=save)

    assert found["selection"] == selection
    assert found["discount"] == 45


def test_under_priority_the_sequence_decides() -> None:
    resources: Resources = {"policy": {"selection": "priority"}}
    found = run([("A", 1)], resources, a=percent_off("10", group="g", priority=9), b=percent_off("20", group="g"))

    assert taken(found) == [[-100]]
    assert reasons(found) == {"b": "group_taken"}


def test_exclusive_wins_has_no_part_in_the_best() -> None:
    resources: Resources = {"policy": {"exclusive_wins": True}}
    found = run([("A", 1)], resources, a=percent_off("20"), x=percent_off("10", exclusive=True))

    assert taken(found) == [[-200]]
