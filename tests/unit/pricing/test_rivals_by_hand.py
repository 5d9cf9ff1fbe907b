"""Rivals in a basket, worked by hand: who competes with whom beyond a line, and what is searched for it."""

from tests.reference.both import both
from tests.reference.builders import amount_off, only, percent_off, prices, promotion, taken
from tests.reference.shop import Body

HUNDRED = prices(A="100", B="100", C="100")
G = {"group": "g"}


def run(skus: str, **promotions: Body) -> Body:
    return both([(sku, 1) for sku in skus], {"prices": HUNDRED, "promotions": promotions})


def reasons(reply: Body) -> dict[str, str]:
    return {entry["rule"]: entry["reason"] for entry in reply["not_applied"]}


def running(low: int, high: int) -> Body:
    """A condition on what the order comes to at that moment."""
    bounds = ((">=", low), ("<=", high))
    return {"all": [{"attribute": "order.subtotal", "op": op, "value": value, "basis": "running"} for op, value in bounds]}


def test_two_capped_promotions_of_a_group_are_rivals() -> None:
    reply = run("AB", a=percent_off("50", cap=10, **G), b=percent_off("50", cap=20, **G))

    assert taken(reply) == [[-10], [-10]]
    assert reasons(reply) == {"a": "not_best"}


def test_sets_are_rivals_whatever_else_is_in_the_basket() -> None:
    def pair(amount: int) -> Body:
        components = [{"scope": only(skus=[sku]), "quantity": 1} for sku in "AB"]
        return promotion("bundle", {"components": components, "amount": amount})

    # There is an exclusive order promotion too, and nobody whom it excludes.
    reply = run("AB", a=pair(10), b=pair(30), o=amount_off(7, level="order", exclusive=True))

    assert reply["total"] == 200 - 30 - 7
    assert reasons(reply) == {"a": "not_best"}


def test_the_sequence_wins_where_a_promotion_of_other_lines_asks_for_what_it_leaves_of_the_order() -> None:
    # On A the contest leaves 90, so 190 of the order; the sequence 95, so 195, which gives 50 off B.
    there = amount_off(50, scope=only(skus=["B"]), conditions=running(193, 197))
    five, ten = (amount_off(amount, "line", scope=only(skus=["A"]), **G) for amount in (5, 10))

    reply = run("AB", a=five, b=ten, j=there)

    assert taken(reply) == [[-5], [-50]]
    assert reasons(reply) == {"b": "group_taken"}
