"""Contests on lines, worked by hand: who is a contestant, which set wins, and where the sequence alone comes to less."""

import pytest

from tests.reference.both import both
from tests.reference.builders import Resources, amount_off, only, percent_off, prices, taken
from tests.reference.shop import Body

HUNDRED = prices(A="100", B="100", C="100")
G, H, K = {"group": "g"}, {"group": "h"}, {"group": "k"}
X = {"exclusive": True}


def off(amount: int, *skus: str, **more: object) -> Body:
    """So much off each line, or each of the SKUs."""
    return amount_off(amount, "line", **({"scope": only(skus=list(skus))} if skus else {}), **more)


def priced(skus: str, resources: Resources, codes: tuple[str, ...] = ()) -> Body:
    return both([(sku, 1) for sku in skus], {"prices": HUNDRED, **resources}, codes=[*codes])


def run(skus: str, **promotions: Body) -> Body:
    return priced(skus, {"promotions": promotions})


def reasons(reply: Body) -> dict[str, str]:
    return {entry["rule"]: entry["reason"] for entry in reply["not_applied"]}


def test_promotion_that_leaves_out_lines_on_sale_contests_the_others() -> None:
    sales = {"s": {"scope": only(skus=["A"]), "unit_price": "90"}}
    promotions = {"a": off(5, **G), "b": off(10, not_on_sale=True, **G)}

    reply = priced("AB", {"sale-prices": sales, "promotions": promotions})

    assert taken(reply) == [[-5], [-10]]


def test_who_would_take_the_smallest_amount_is_a_contestant() -> None:
    reply = run("A", a=off(1, **G), b=off(2, **G))

    assert taken(reply) == [[-2]]
    assert reasons(reply) == {"a": "not_best"}


def test_two_that_take_the_smallest_amount_are_more_than_one_that_takes_both() -> None:
    assert reasons(run("A", a=off(1), b=off(1), c=off(2, **X))) == {"a": "not_best", "b": "not_best"}


def test_of_equals_who_has_nothing_left_to_take_does_not_count() -> None:
    # All of the line is taken by `a` as by `c`; `b` would come after `a` and takes nothing.
    reply = run("A", a=percent_off("100"), b=percent_off("10"), c=percent_off("100", **X))

    assert taken(reply) == [[-100]]
    assert reasons(reply) == {"b": "nothing_to_discount", "c": "not_best"}


def test_advertised_price_binds_in_a_contest_only_who_needs_no_code() -> None:
    guardrails = {"m": {"scope": only(), "currency": "USD", "map": "90"}}
    coupons = {"c": {"name": "C", "promotion": "z", "codes": ["C"]}}
    promotions = {"a": off(20, **G), "z": off(15, requires_code=True, **G)}

    reply = priced("A", {"guardrails": guardrails, "coupons": coupons, "promotions": promotions}, codes=("C",))

    # 85 with the code; 20 off would have to stop at 90.
    assert taken(reply) == [[-15]]
    assert reasons(reply) == {"a": "not_best"}


def test_the_sequence_wins_where_an_order_promotion_asks_for_what_it_alone_leaves() -> None:
    # The contest leaves 90, where nothing is given, as nothing was at 100. At 95 it is 50.
    between = [
        {"attribute": "order.subtotal", "op": op, "value": value, "basis": "running"} for op, value in ((">=", 93), ("<=", 97))
    ]

    reply = run("A", a=off(5, **G), b=off(10, **G), o=amount_off(50, level="order", conditions={"all": between}))

    assert taken(reply) == [[-5, -50]]
    assert reasons(reply) == {"b": "group_taken"}


def test_only_the_line_where_two_of_a_group_meet_is_contested() -> None:
    # Of the second group two are on A; what stands between them in the sequence has none.
    reply = run("AB", a=off(1, "A", **H), b=off(3), c=off(2, "A", **H), d=off(7, "B", **G))

    assert taken(reply) == [[-3, -2], [-3, -7]]
    assert reasons(reply) == {"a": "not_best"}


def test_exclusive_promotions_contest_a_line_that_nobody_else_wants() -> None:
    reply = run("AB", a=off(1, "A", **X), b=off(2, "A", **X), c=off(4, "B"))

    assert taken(reply) == [[-2], [-4]]
    assert reasons(reply) == {"a": "not_best"}


def twelve(**more: object) -> dict[str, Body]:
    return {f"p{number:02}": off(number, **G, **more) for number in range(1, 13)}


@pytest.mark.parametrize("other", [{}, H], ids=["without a group", "alone of its group"])
def test_who_excludes_nobody_is_none_of_the_twelve(other: dict[str, str]) -> None:
    # They meet on all lines, but of the other promotions each line has one.
    others = {f"q{sku}": off(20, sku, **other) for sku in "ABC"}

    reply = run("ABC", **twelve(), **others)

    assert taken(reply) == [[-12, -20]] * 3
    assert reply["selection"] == "exact"


@pytest.mark.parametrize("group", ["f", "h"])
def test_a_group_counts_on_each_line_by_itself(group: str) -> None:
    # Whatever numbers lines and groups have: on A is one of the other group, and so on B and on C.
    reply = run("ABC", **twelve(), q=off(20, group=group), **{f"r{sku}": off(1, sku, **K) for sku in "ABC"})

    assert taken(reply) == [[-12, -20, -1]] * 3
    assert reply["selection"] == "exact"


def test_who_excludes_nobody_takes_part_beside_twelve_exclusive_of_each_other() -> None:
    reply = run("A", **twelve(), q=off(20), r=off(3, **H))

    assert taken(reply) == [[-12, -20, -3]]
    assert reply["selection"] == "exact"


@pytest.mark.parametrize("skus", ["AB", "ABC"])
def test_a_tie_on_one_line_is_settled_among_the_sets_of_this_line(skus: str) -> None:
    # On A `z` and `b` take as much, and `b` is named first; on the others `a` takes more, and its name comes before.
    better, worse = off(6, "B", "C", priority=9, **G), off(5, "B", "C", **G)
    earlier = run(skus, z=off(5, "A", priority=9, **G), b=off(5, "A", **G), a=better, c=worse)
    # The other way round: on A `a` takes more than `zz`, and the tie is on the others.
    first, second = off(5, "B", "C", priority=9, **G), off(5, "B", "C", **G)
    later = run(skus, a=off(6, "A", priority=9, **G), zz=off(5, "A", **G), z=first, b=second)

    assert reasons(earlier) == {"z": "not_best", "c": "not_best"}
    assert reasons(later) == {"zz": "not_best", "z": "not_best"}


def test_of_three_groups_each_keeps_out_its_own_only() -> None:
    reply = run("A", a=off(1, priority=4, **K), b=off(2, priority=3, **H), c=off(4, priority=2, **G), d=off(8, **G))

    assert taken(reply) == [[-1, -2, -8]]
    assert reasons(reply) == {"c": "not_best"}
