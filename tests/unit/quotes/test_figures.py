"""The figures of lines are added up basket by basket."""

from random import Random

from app.pricing.watched import NO_COST
from app.quotes.figures import HAS_OFFERS, TAX_INCLUDED, add_up, pack_figures


def test_figures_of_two_baskets_are_added_up() -> None:
    lines = [
        pack_figures(flags=TAX_INCLUDED, subtotal_minor=1_000, total_minor=900, held=1, cost_minor=700, rules=(3, 0)),
        pack_figures(
            flags=TAX_INCLUDED | HAS_OFFERS,
            subtotal_minor=2_000,
            total_minor=2_000,
            held=1 + (1 << 12),
            cost_minor=NO_COST,
            rules=(),
        ),
        pack_figures(flags=TAX_INCLUDED, subtotal_minor=500, total_minor=1, held=0, cost_minor=5, rules=(0, 7)),
        pack_figures(flags=0, subtotal_minor=0, total_minor=0, held=1 << 48, cost_minor=0, rules=(7,)),
    ]

    sums = add_up(lines, [3, 1])

    assert sums.subtotal_minor == [3_500, 0]
    assert sums.total_minor == [2_901, 0]
    assert sums.held == [2 + (1 << 12), 1 << 48]
    assert (sums.costed_minor, sums.cost_minor) == ([901, 0], [705, 0])
    assert sums.flags_of_any == [TAX_INCLUDED | HAS_OFFERS, 0]
    assert sums.flags_of_all == [TAX_INCLUDED, 0]
    # Rule 7 is on a line of each basket, and shared by no two lines of one.
    assert sums.shared == {0: [0]}


def test_shared_candidates_are_those_that_stand_on_two_lines_or_more() -> None:
    rng = Random(5)
    for _ in range(50):
        baskets = [[rng.sample(range(60), rng.randrange(6)) for _ in range(rng.randint(1, 9))] for _ in range(rng.randint(1, 8))]
        amounts = {"flags": 0, "subtotal_minor": 1, "total_minor": 1, "held": 0, "cost_minor": 1}
        figures = [pack_figures(**amounts, rules=rules) for basket in baskets for rules in basket]
        expected = {}
        for number, basket in enumerate(baskets):
            everything = [rule for rules in basket for rule in rules]
            if shared := sorted({rule for rule in everything if everything.count(rule) > 1}):
                expected[number] = shared

        assert add_up(figures, [len(basket) for basket in baskets]).shared == expected
