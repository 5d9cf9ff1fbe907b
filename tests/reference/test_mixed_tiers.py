"""Worked examples: tiers that lines reach together, by the reference and the engine."""

from random import Random
from typing import Any

import pytest

from tests.reference.both import both
from tests.reference.builders import Resources, line, only, percent_off, prices, taken, tiers, totals
from tests.reference.shop import Body


def mugs(mode: str, mix: str | None, *skus: str) -> dict[str, Body]:
    """SKUs at 10.00 up to 2, at 9.00 up to 4 and at 7.99 beyond."""
    steps = ((2, "1000"), (4, "900"), (None, "799"))
    return prices(*({"sku": sku, "unit_price": "1000", "tiers": tiers(mode, *steps, mix=mix)} for sku in skus))


def test_lines_of_one_sku_reach_a_tier_together() -> None:
    reply = both([("A", 2), ("A", 3)], {"prices": mugs("volume", "sku", "A")})

    assert totals(reply) == [1598, 2397]
    assert [line(reply, at)["unit_price"] for at in (1, 2)] == ["799", "799"]
    assert totals(both([("A", 2), ("A", 3)], {"prices": mugs("volume", None, "A")})) == [2000, 2700]


def test_lines_of_other_skus_do_not_count_for_sku() -> None:
    assert totals(both([("A", 2), ("B", 3)], {"prices": mugs("volume", "sku", "A", "B")})) == [2000, 2700]


def test_skus_of_one_name_reach_a_tier_together_each_at_its_own_price() -> None:
    entries = mugs("volume", "mugs", "A") | prices(
        {"sku": "B", "unit_price": "500", "tiers": tiers("volume", (4, "500"), (None, "400"), mix="mugs")}
    )

    assert totals(both([("A", 2), ("B", 3)], {"prices": entries})) == [1598, 1200]


def test_graduated_lines_share_the_parts_by_quantity() -> None:
    reply = both([("A", 2), ("A", 3)], {"prices": mugs("graduated", "sku", "A")})

    # 2 x 1000 + 2 x 900 + 799 = 4599; 2 : 3 is 1839.6 : 2759.4, and 4599 / 5 = 919.8 each
    assert totals(reply) == [1840, 2759]
    assert [line(reply, at)["unit_price"] for at in (1, 2)] == ["919.8", "919.8"]


def test_graduated_skus_of_one_name_pay_their_share_of_the_whole_quantity() -> None:
    reply = both([("A", 1), ("B", 4)], {"prices": mugs("graduated", "mugs", "A", "B")})

    # A fifth and four fifths of 4599: 919.8 and 3679.2
    assert totals(reply) == [920, 3679]


@pytest.mark.parametrize("mode", ["volume", "graduated"])
def test_flat_fee_is_paid_once_by_all_lines(mode: str) -> None:
    fee = tiers(mode, (None, "100", 51), mix="x")
    entries = prices(*({"sku": sku, "unit_price": "100", "tiers": fee} for sku in "AB"))

    # 100 + 25.5 for each of two SKUs; 2 x 100 + 51 for two lines of one
    assert totals(both([("A", 1), ("B", 1)], {"prices": entries})) == [126, 126]
    assert totals(both([("A", 1), ("A", 1)], {"prices": entries})) == [126, 125]


@pytest.mark.parametrize(("remainder", "shares"), [("largest", [34, 33, 33]), ("last", [33, 33, 34])])
def test_odd_cents_go_by_the_remainder(remainder: str, shares: list[int]) -> None:
    entries = prices({"sku": "A", "unit_price": "33.3333", "tiers": tiers("volume", (None, "33.3333"), mix="sku")})

    # 3 x 33.3333 = 99.9999
    assert totals(both([("A", 1)] * 3, {"prices": entries, "policy": {"remainder": remainder}})) == shares


def test_floor_bounds_the_lines_of_a_sku_as_one() -> None:
    entries = prices({"sku": "A", "unit_price": "0.4", "tiers": tiers("volume", (None, "0.4"), mix="sku")})
    resources: Resources = {
        "prices": entries,
        "guardrails": {"g": {"scope": only(), "currency": "USD", "floor": "0.5"}},
        "promotions": {"p": percent_off("100")},
    }
    reply = both([("A", 1), ("A", 1)], resources)

    # Two halves of a cent are one cent, which the first line has.
    assert [each["subtotal"] for each in reply["lines"]] == [1, 0]
    assert taken(reply) == [[-1, 1], []]


def test_next_tier_counts_what_the_others_bring() -> None:
    reply = both([("A", 1), ("B", 2)], {"prices": mugs("volume", "mugs", "A", "B")})

    assert [(each["line"], each["quantity_needed"], each["unit_price"]) for each in reply["next_benefit"]] == [
        ("1", "2", "799"),
        ("2", "2", "799"),
    ]


def test_line_that_ends_in_an_error_still_counts() -> None:
    lists: dict[str, Body] = {"gross": {"tax_included": True}}
    entries = mugs("volume", "mugs", "A") | prices(
        {"sku": "B", "price_list": "gross", "unit_price": "1", "tiers": tiers("volume", (None, "1"), mix="mugs")}
    )
    reply = both([("A", 2), ("B", 3)], {"prices": entries, "price-lists": lists}, partial=True)

    assert reply["lines"][1]["error"] == {"code": "mixed_tax"}
    assert line(reply)["total"] == 1598


@pytest.mark.parametrize("mix", ["sku", "mugs"])
def test_splitting_a_line_changes_nothing(mix: str) -> None:
    for seed in range(40):
        rng = Random(seed)
        steps: list[Any] = [(2, "10.05", rng.choice((0, 7))), ("4.5", "9.3333", rng.choice((0, 99))), (None, "7.77")]
        made = tiers(rng.choice(("volume", "graduated")), *steps, mix=mix)
        entries = prices(*({"sku": sku, "unit_price": "10.05", "tiers": made} for sku in "AB"))
        sales: dict[str, Body] = {"s": {"scope": only(skus=["A"]), "percent": "12.5"}} if rng.random() < 0.5 else {}
        guardrails: dict[str, Body] = {"g": {"scope": only(), "currency": "USD", "floor": "8.5555"}} if rng.random() < 0.5 else {}
        policy = {"remainder": rng.choice(("largest", "first", "last", "nearest", "carry"))}
        resources: Resources = {"prices": entries, "sale-prices": sales, "guardrails": guardrails, "policy": policy}
        milli = rng.randrange(2, 9_000)
        cut = rng.randrange(1, milli)
        whole, one, other = (f"{part / 1000:.3f}" for part in (milli, cut, milli - cut))

        together = both([("A", whole), ("B", 1)], resources)
        apart = both([("A", one), ("B", 1), ("A", other)], resources)
        assert apart["total"] == together["total"]
        assert apart["lines"][1] == together["lines"][1] | {"id": "2"}
