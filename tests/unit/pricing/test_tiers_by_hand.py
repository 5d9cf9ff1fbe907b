"""Steps of promotions and quantity tiers at their edges, by hand."""

from typing import Any

import numpy as np

from app.pricing.groups import Groups, alone
from app.pricing.money import AMOUNT_E7_MAX, E7, MARKUP_PPM_MAX, UNIT_E4_MAX
from app.pricing.tiers import Parts, exact_amounts, scale_tier, shown_unit_e4
from tests.reference.both import both
from tests.reference.builders import only, prices, promotion, taken
from tests.reference.shop import Body


def tiered(by: str, *steps: Body, **more: Any) -> Body:
    return promotion("tiered", {"by": by, "steps": list(steps)}, **more)


def test_figure_that_is_not_sent_reaches_no_step_not_even_that_from_0() -> None:
    promotions = {
        "orders": tiered("customer.orders", {"from": 0, "amount": 10}, {"from": 5, "amount": 20}, scope=only(skus=["A"])),
        "spend": tiered("customer.spend", {"from": 0, "amount": 30}, {"from": 50, "amount": 40}, scope=only(skus=["B"])),
        "rate": tiered("customer.orders", {"from": 0, "percent": "10"}, scope=only(skus=["C"])),
        "quantity": tiered("quantity", {"from": 2, "percent": "50"}, scope=only(skus=["D"])),
    }
    lines: list[tuple[str, int | str]] = [("A", 1), ("B", 1), ("C", 1), ("D", 2)]
    resources = {"prices": prices(A="100", B="100", C="100", D="100"), "promotions": promotions}

    assert taken(both(lines, resources)) == [[], [], [], [-100]]
    assert taken(both(lines, resources, customer={"spend": 50})) == [[], [-40], [], [-100]]
    assert taken(both(lines, resources, customer={"orders": 4})) == [[-10], [], [-10], [-100]]
    assert taken(both(lines, resources, customer={"orders": 5, "spend": 0})) == [[-20], [-30], [-10], [-100]]


def test_tiers_keep_their_ratio_to_the_list_price_up_to_a_hundredfold() -> None:
    tier = np.array([75, 1, 100, 101, 10, 7])
    of_list = np.array([100, 3, 1, 1, 0, 7])

    scaled = scale_tier(tier, of_list, np.array([80, 3_000_000, 5, 5, 5, 0]), "half_up")

    # 0.75 · 80; 0.333333 · 3 000 000; 100 · 5; above the bound and without a list price as they are; 1 · 0
    assert scaled.tolist() == [60, 999_999, 500, 101, 10, 0]
    assert MARKUP_PPM_MAX == 100 * 1_000_000


def test_ratio_far_above_the_bound_does_not_overflow() -> None:
    assert scale_tier(np.array([UNIT_E4_MAX]), np.array([1]), np.array([2]), "half_up").tolist() == [UNIT_E4_MAX]


def test_amounts_at_the_bound_are_exact_and_one_above_it_is_refused() -> None:
    # 9e11 minor units: 9e9 a unit times 50, twice, in two lines; the second with a fee of a minor unit. A small line follows them.
    lines = Groups(np.array([0, 0, 1, 1, 2]), np.array([0, 2, 4]))
    unit_e4, quantity = np.array([9 * 10**13] * 4 + [10_000]), np.array([50_000] * 4 + [1_000])
    fee_e7 = np.array([0, 0, 0, E7, 0])

    amount, is_within = exact_amounts(Parts(lines, quantity, unit_e4, fee_e7))
    without, all_within = exact_amounts(Parts(lines, quantity, unit_e4, None))

    assert is_within is not None
    assert all_within is not None
    assert (amount.tolist(), is_within.tolist()) == ([AMOUNT_E7_MAX, 0, E7], [True, False, True])
    assert (without.tolist(), all_within.tolist()) == ([AMOUNT_E7_MAX, AMOUNT_E7_MAX, E7], [True, True, True])


def test_amounts_beyond_64_bits_are_refused_and_leave_the_others_as_they_are() -> None:
    lines = Groups(np.array([0, 1, 1, 2]), np.array([0, 1, 3]))
    unit_e4 = np.array([UNIT_E4_MAX, UNIT_E4_MAX, 10_000, 20_000])
    quantity = np.array([10**9, 10**9, 1_000, 3_000])

    amount, is_within = exact_amounts(Parts(lines, quantity, unit_e4, np.array([0, 0, 5 * E7, 7 * E7])))

    assert is_within is not None
    assert (amount.tolist(), is_within.tolist()) == ([0, 0, 13 * E7], [False, False, True])


def test_fees_alone_may_reach_the_bound_and_not_pass_it() -> None:
    lines = Groups(np.array([0, 1, 1]), np.array([0, 1]))
    fee_e7 = np.full(3, AMOUNT_E7_MAX)

    amount, is_within = exact_amounts(Parts(lines, np.full(3, 1_000), np.zeros(3, np.int64), fee_e7))

    assert is_within is not None
    assert (amount.tolist(), is_within.tolist()) == ([AMOUNT_E7_MAX, 0], [True, False])


def test_amounts_far_from_the_bound_need_no_look() -> None:
    amount, is_within = exact_amounts(
        Parts(Groups(np.array([0, 0]), np.array([0])), np.array([1_000] * 2), np.array([3, 4]), None)
    )
    nothing, _ = exact_amounts(Parts(alone(0), np.zeros(0, np.int64), np.zeros(0, np.int64), None))

    assert (amount.tolist(), is_within) == ([7_000], None)
    assert nothing.tolist() == []


def test_graduated_line_shows_its_mean_price_and_another_that_of_its_part() -> None:
    parts = Parts(Groups(np.array([0, 0, 1]), np.array([0, 2])), np.array([1_000, 2_000, 4_000]), np.array([10, 7, 5]), None)

    shown = shown_unit_e4(parts, np.array([24_000, 20_000]), np.array([3_000, 4_000]), np.array([True, False]), "half_up")
    odd = shown_unit_e4(parts, np.array([25_500, 20_000]), np.array([3_000, 4_000]), np.array([True, False]), "half_down")

    # (10 + 2 · 7) / 3 = 8; 8.5 goes down
    assert shown.tolist() == [8, 5]
    assert odd.tolist() == [8, 5]
