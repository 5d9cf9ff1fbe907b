"""Lines that get a sale price for a part of them: what they come to at a tie, worked by hand."""

import numpy as np
import pytest

from app.pricing.money import Rounding
from app.pricing.sale_units import Split


@pytest.mark.parametrize(("rounding", "amounts"), [("half_up", [1, 2, 3]), ("half_even", [0, 2, 2])])
def test_the_average_of_both_prices_is_rounded_by_the_policy(rounding: Rounding, amounts: list[int]) -> None:
    n = np.full(3, 1)
    split = Split(np.arange(3), 2 * n, n, n)

    # One of two units costs nothing and the other 1, 3 and 5: 0.5, 1.5 and 2.5 on average
    found = split.amounts(0 * n, np.array([1, 3, 5]), n, per="unit", rounding=rounding)

    assert found.tolist() == amounts
