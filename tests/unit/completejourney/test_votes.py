import numpy as np
import pytest

pytest.importorskip("pyarrow")

from app.completejourney.votes import amounts_minor, elect_unit_prices, look_up


def elect(*lines: tuple[int, int, int]) -> dict[int, tuple[int, int, int]]:
    """Of (key, cents, quantity in thousandths): key -> (unit, explained, lines)."""
    votes = elect_unit_prices(*(np.array(column, np.int64) for column in zip(*lines, strict=True)))
    return {int(key): (int(unit), int(hits), int(n)) for key, unit, hits, n in zip(*votes, strict=True)}


def test_the_price_of_most_lines_wins() -> None:
    assert elect((1, 199, 1000), (1, 199, 1000), (1, 149, 1000)) == {1: (1_990_000, 2, 3)}


def test_three_for_five_dollars_is_found_from_lines_of_one_three_and_six() -> None:
    # 166.6667 x 1 = 167, x 3 = 500, x 6 = 1000; no whole or half cent gives all three.
    assert elect((1, 167, 1000), (1, 500, 3000), (1, 1000, 6000)) == {1: (1_666_667, 3, 3)}


def test_whole_cents_are_preferred_where_they_explain_as_much() -> None:
    assert elect((1, 100, 2000)) == {1: (500_000, 1, 1)}


def test_fuel_is_priced_by_the_tenth_of_a_cent() -> None:
    # 8.725 gallons for 20.06 and 10.087 for 23.19: only 229.9 fits both.
    assert elect((1, 2006, 8725), (1, 2319, 10087)) == {1: (2_299_000, 2, 2)}


def test_of_two_prices_with_as_many_votes_the_higher_is_taken() -> None:
    assert elect((1, 100, 1000), (1, 120, 1000)) == {1: (1_200_000, 1, 2)}


def test_keys_do_not_mix() -> None:
    assert elect((2, 10, 1000), (1, 20, 1000), (2, 10, 1000)) == {1: (200_000, 1, 1), 2: (100_000, 2, 2)}


def test_the_elected_price_gives_each_explained_amount() -> None:
    rng = np.random.default_rng(7)
    key = rng.integers(0, 30, 500)
    quantity = rng.integers(1, 9, 500) * 1000
    amount = amounts_minor(rng.integers(50, 60, 500) * 10_000, quantity)

    votes = elect_unit_prices(key, amount, quantity)

    unit, lines = look_up(votes, key)
    explained = np.bincount(key, weights=amounts_minor(unit, quantity) == amount, minlength=30)
    assert explained.astype(int).tolist() == votes.explained.tolist()
    assert lines.min() > 0


def test_nothing_is_elected_from_nothing() -> None:
    none = np.zeros(0, np.int64)

    votes = elect_unit_prices(none, none, none)

    assert [part.tolist() for part in look_up(votes, np.array([4]))] == [[0], [0]]
