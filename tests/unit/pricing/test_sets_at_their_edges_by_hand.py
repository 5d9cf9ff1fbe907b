"""Which units serve sets, and what bundles save at the bounds: worked by hand, through the engine and the reference."""

from typing import Any

import pytest

from app.pricing.money import AMOUNT_MINOR_MAX
from tests.reference.agreement import compiled, engine_replies
from tests.reference.both import both
from tests.reference.builders import PUBLISHED_AT_US, only, prices, promotion, taken, totals
from tests.reference.shop import Body

ABC = prices(A="1000", B="600", C="300", FREE="0")


def buy_get(buy: int, get: int, **params: Any) -> Body:
    return promotion("buy_x_get_y", {"buy": buy, "get": get, "percent": "100"} | params)


def bundle(skus: list[str], **params: Any) -> Body:
    return promotion("bundle", {"components": [{"scope": only(skus=skus), "quantity": 1}]} | params)


@pytest.mark.parametrize(("pick", "off"), [("cheapest", [[], [-60], [-300]]), ("dearest", [[-1000], [-60], []])])
def test_bought_units_are_taken_from_the_other_end_than_given_ones(pick: str, off: list[list[int]]) -> None:
    # C is given and A bought, or A given and C bought: of B alone 10 % are left for the bundle of any one unit.
    promotions = {
        "p": buy_get(1, 1, pick=pick) | {"priority": 10},
        "q": bundle(["A", "B", "C"], percent="10"),
    }

    assert taken(both([("A", 1), ("B", 1), ("C", 1)], {"prices": ABC, "promotions": promotions})) == off


def test_where_nothing_is_left_to_give_no_more_units_are_bought() -> None:
    # Two A buy both C. Of the three A left two are bought again, and the third is free: nothing kept them for a smaller set without a C.
    first = buy_get(2, 2, incomplete="partial", get_scope=only(skus=["C"])) | {"scope": only(skus=["A"]), "priority": 10}
    second = buy_get(2, 1) | {"scope": only(skus=["A"])}

    reply = both([("A", 5), ("C", 2)], {"prices": ABC, "promotions": {"p": first, "q": second}})

    assert totals(reply) == [4000, 0]


def test_bundle_that_costs_nothing_is_not_made_of_what_costs_nothing() -> None:
    # A for nothing saves 1000. The free unit would add nothing, so that there is no second bundle, nor a third on offer.
    reply = both([("A", 1), ("FREE", 1)], {"prices": ABC, "promotions": {"p": bundle(["A", "FREE"], price=0)}})

    assert taken(reply) == [[-1000], []]
    assert reply["next_benefit"] == []


def test_bundle_whose_cents_come_to_its_price_saves_nothing() -> None:
    # A third of 1000 is more than 333, and rounds to it.
    reply = both([("A", 3)], {"prices": prices(A="333.3333"), "promotions": {"p": bundle(["A"], price=333, max_times=1)}})

    assert reply["not_applied"] == [{"rule": "p", "reason": "nothing_to_discount"}]


def test_amount_of_a_bundle_is_whole_up_to_what_it_costs() -> None:
    assert taken(both([("A", 1)], {"prices": ABC, "promotions": {"p": bundle(["A"], amount=800)}})) == [[-800]]


def test_bundles_of_several_promotions_stand_side_by_side() -> None:
    def of(*components: tuple[str, int], **params: Any) -> Body:
        parts = [{"scope": only(skus=[sku]), "quantity": quantity} for sku, quantity in components]
        return promotion("bundle", {"components": parts} | params)

    promotions = {"p": of(("A", 2), ("B", 1), price=2_400), "q": of(("C", 1), ("D", 3), ("E", 1), amount=100)}
    lines: list[tuple[str, int | str]] = [("A", 2), ("B", 1), ("C", 1), ("D", 3), ("E", 1)]

    resources = {"prices": prices(**dict.fromkeys("ABCDE", "1000")), "promotions": promotions}

    assert taken(both(lines, resources)) == [[-400], [-200], [-20], [-60], [-20]]
    assert taken(both(lines[2:], resources)) == [[-20], [-60], [-20]]


def test_greatest_amount_off_millions_of_bundles_takes_all_and_no_more() -> None:
    # 9e11 off each of eleven million bundles, which is beyond 64 bits: everything is free.
    documents = {"prices": ABC, "promotions": {"p": bundle(["C"], amount=AMOUNT_MINOR_MAX)}}
    lines = [{"id": str(number), "sku": "C", "quantity": 1_000_000} for number in range(11)]

    reply = engine_replies(compiled(documents, {}, PUBLISHED_AT_US), [{"currency": "USD", "lines": lines}], [PUBLISHED_AT_US])[0]

    assert totals(reply) == [0] * 11
