"""What is sent has the shape that was asked for, over the SKUs that are there."""

import json
from collections import Counter

import numpy as np
import pytest

from loadtests.bench.stats import InvalidRun, retried
from loadtests.shape import Choice, completejourney_shape, synthetic_shape, table_of
from loadtests.traffic import Catalogue, requests_for
from tests.completejourney_support import Sold, Used, make_tables

_CATALOGUE = Catalogue("USD", [f"S{number}" for number in range(5_000)], ["A", "B", "C"])


def test_the_written_shape_has_the_figures_that_it_says() -> None:
    shape = synthetic_shape()

    assert shape.lines.quantile(0.5) == 5
    assert 8.5 < shape.lines.mean < 9.5
    assert 0.30 < shape.rank.shares[:500].sum() < 0.36
    assert shape.units.shares[0] == pytest.approx(0.795)
    assert 1 - shape.codes.shares[0] == pytest.approx(0.006)
    # Exponent 0.62 between the ranks 1 and 100, both before the first break at 750.
    assert shape.rank.shares[99] / shape.rank.shares[0] == pytest.approx(100**-0.62)


def test_the_shape_of_data_is_counted() -> None:
    # Three baskets of two households: 2, 1 and 1 lines; product 7 is in all of them; the first basket showed a coupon.
    sold = [
        Sold(7, 1.0, quantity=2, basket=1, household=1, coupon=0.5, day=(5, 10)),
        Sold(8, 1.0, basket=1, household=1, day=(5, 10)),
        Sold(7, 1.0, basket=2, household=1),
        Sold(7, 1.0, basket=3, household=2),
    ]
    shape = completejourney_shape(make_tables(sold, scopes=[(900, 7)], used=[Used(900, 1, (5, 10))]))

    assert _shares(shape.lines) == pytest.approx({1: 2 / 3, 2: 1 / 3})
    assert _shares(shape.units) == pytest.approx({1: 3 / 4, 2: 1 / 4})
    assert _shares(shape.rank) == pytest.approx({0: 3 / 4, 1: 1 / 4})
    assert _shares(shape.customer) == pytest.approx({0: 2 / 3, 1: 1 / 3})
    assert _shares(shape.codes) == pytest.approx({0: 2 / 3, 1: 1 / 3})
    assert "| SKUs | 50 000 | 2 |" in table_of([synthetic_shape(), shape])


def test_requests_have_the_shape_and_are_the_same_for_a_seed() -> None:
    shape = synthetic_shape()._replace(codes=Choice(np.array([0, 2]), np.array([0.5, 0.5])))
    found = requests_for(_CATALOGUE, shape, 2_000, mix={"quote": 1.0, "prices": 1.0}, seed=3)

    assert found == requests_for(_CATALOGUE, shape, 2_000, mix={"quote": 1.0, "prices": 1.0}, seed=3)
    assert found != requests_for(_CATALOGUE, shape, 2_000, mix={"quote": 1.0, "prices": 1.0}, seed=4)
    quotes = [json.loads(one.body) for one in found if one.kind == "quote"]
    pages = [json.loads(one.body)["skus"] for one in found if one.kind == "prices"]
    assert 900 < len(quotes) < 1_100
    assert all(len(set(skus)) == len(skus) == 48 for skus in pages)
    sizes = [len(quote["lines"]) for quote in quotes]
    assert 8.0 < sum(sizes) / len(sizes) < 10.0
    often = Counter(line["sku"] for quote in quotes for line in quote["lines"]).most_common(50)
    # The first 1 % of the SKUs has a third of the lines, somewhat less as a basket has each once.
    assert 0.22 < sum(count for _, count in often) / sum(sizes) < 0.36
    with_codes = [quote["codes"] for quote in quotes if "codes" in quote]
    assert 0.4 < len(with_codes) / len(quotes) < 0.6
    assert all(len(set(codes)) == 2 for codes in with_codes)


def _shares(choice: Choice) -> dict[int, float]:
    return dict(zip(choice.values.tolist(), choice.shares.tolist(), strict=True))


def test_an_invalid_run_is_done_again_twice() -> None:
    left = [0, 0, 7]

    def work() -> int:
        value = left.pop(0)
        if not value:
            raise InvalidRun("a stall")
        return value

    assert retried("work", work) == 7
    left += [0, 0, 0]
    with pytest.raises(InvalidRun, match="a stall"):
        retried("work", work)
