"""Who bears what, by hand: what is given back bears nothing, and lines add up to their order."""

import numpy as np

from app.pricing.funding import pack_funding, shares_of_each, shares_on_lines
from app.pricing.stacking import Adjustment

HALF, TWO, NOBODY = 0, 1, 2
FUNDING = pack_funding(
    [
        [{"party": "north", "percent": "50"}],
        [{"party": "north", "percent": "30"}, {"party": "south", "percent": "20"}],
        [],
    ]
)


def block(where: list[int], rule: list[int], amount: list[int], *, is_give_back: bool = False) -> Adjustment:
    flags = np.full(len(where), is_give_back)
    return Adjustment(np.array(where), np.array(rule), np.array(amount), flags, np.zeros(len(where), np.bool_))


def test_what_is_given_back_lessens_the_last_adjustment_in_its_place() -> None:
    blocks = [
        block([0, 1, 2], [HALF, HALF, NOBODY], [-100, -100, -9]),
        block([1], [TWO], [-50]),
        block([0, 1], [7, 7], [10, 20], is_give_back=True),
    ]

    # 90 / 2; 100 / 2; 30 % and 20 % of 30
    assert shares_of_each(FUNDING, blocks, 3) == [{0: [45], 1: [50]}, {0: [9, 6]}, {}]


def test_cents_of_parties_go_to_the_largest_remainders_and_then_to_the_first() -> None:
    blocks = [block([0, 1], [HALF, TWO], [-5, -3])]

    # 2.5 of 5: the party stands before the seller. 0.9 and 0.6 of 3, and 1.5 for the seller.
    assert shares_of_each(FUNDING, blocks, 2) == [{0: [3], 1: [1, 1]}]


def test_parties_of_lines_add_up_to_those_of_their_order() -> None:
    on_orders = [block([0, 1], [HALF, TWO], [-100, -100])]
    on_lines = block([0, 1, 2, 1], [HALF, HALF, TWO, NOBODY], [-60, -40, -100, -5])

    shares = shares_on_lines(FUNDING, on_orders, [{0: [50], 1: [30, 20]}], on_lines, np.array([0, 0, 1]))

    assert shares == {0: [30], 1: [20], 2: [30, 20]}


def test_several_orders_and_promotions_are_shared_out_apart() -> None:
    on_orders = [block([0, 1], [HALF, HALF], [-10, -20]), block([0], [TWO], [-10])]
    on_lines = block([0, 1, 2, 0, 1], [HALF, HALF, HALF, TWO, TWO], [-5, -5, -20, -10, 0])

    shares = shares_on_lines(FUNDING, on_orders, [{0: [5], 1: [10]}, {0: [3, 2]}], on_lines, np.array([0, 0, 1]))

    assert shares == {0: [3], 1: [2], 2: [10], 3: [3, 2], 4: [0, 0]}


def test_nothing_funded_has_no_shares() -> None:
    on_lines = block([0], [NOBODY], [-5])

    assert shares_on_lines(FUNDING, [], [], on_lines, np.array([0])) == {}
    assert shares_of_each(FUNDING, [on_lines], 1) == [{}]
