"""Markdown worked by hand: the last thousandth of a unit, prices at the bound of all prices, and a factor beyond what a float holds."""

import warnings

import numpy as np

from app.pricing.facts import Facts
from app.pricing.money import UNIT_E4_MAX
from app.pricing.strategies import markdown
from app.pricing.strategy import Status
from tests.unit.pricing.test_strategy_formulas_by_hand import FACTS, inputs

DAY_S = 86_400
TEN_DAYS = "1970-01-11T00:00:00Z"


def proposed(elasticity: str, *, stock_milli: int, listed: int) -> tuple[list[int], list[int]]:
    """What one SKU costs that sells one unit a day and has ten days left, and the status of that."""
    facts = Facts(np.array([stock_milli]), np.array([1_000]), FACTS.rivals, FACTS.seasons)
    asked = inputs(1, listed=[listed])._replace(facts=facts, demand_e4=np.array([10_000]))
    packed = markdown.pack([markdown.Params(by=TEN_DAYS, elasticity=elasticity, only_down=False)])
    found = markdown.propose(packed, np.zeros(1, np.int64), asked)
    return found.unit_e4.tolist(), found.status.tolist()


def test_the_last_thousandth_of_a_unit_is_still_to_be_sold() -> None:
    # (0.001 / 10)^(-1/4) = 10; where nothing is left the list price stays.
    assert proposed("-4", stock_milli=1, listed=10_000) == ([100_000], [Status.OK])
    assert proposed("-4", stock_milli=0, listed=10_000) == ([10_000], [Status.OK])


def test_a_price_may_be_the_highest_there_is_and_not_above_it() -> None:
    assert proposed("-4", stock_milli=0, listed=UNIT_E4_MAX) == ([UNIT_E4_MAX], [Status.OK])
    # Without a ceiling there is no answer to a price beyond all bounds.
    assert proposed("-4", stock_milli=1, listed=UNIT_E4_MAX)[1] == [Status.NO_CEILING]


def test_a_factor_beyond_what_a_float_holds_is_a_hundred() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # (0.001 / 10)^(-100)
        assert proposed("-0.01", stock_milli=1, listed=10_000) == ([1_000_000], [Status.OK])
