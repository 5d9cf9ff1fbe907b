"""How far a price may move from what was in force before it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.pricebook.price_changes import Limit, PricePeriod, too_far

NOW = datetime(2026, 11, 20, tzinfo=UTC)
ALWAYS = datetime.max.replace(tzinfo=UTC)
TEN_PERCENT_A_WEEK = Limit("g", 100_000, 7)


def period(
    unit: str, begins_days: float, ends_days: float | None = None, *, is_new: bool = False, tiers: Any = None
) -> PricePeriod:
    ends_at = ALWAYS if ends_days is None else NOW + timedelta(days=ends_days)
    return PricePeriod(unit, {"unit_price": unit, "tiers": tiers}, NOW + timedelta(days=begins_days), ends_at, is_new)


def new(unit: str, begins_days: float = 0, ends_days: float | None = None, *, tiers: Any = None) -> PricePeriod:
    return period(unit, begins_days, ends_days, is_new=True, tiers=tiers)


def refused(*periods: PricePeriod) -> list[str]:
    return [problem.id for problem in too_far(periods, TEN_PERCENT_A_WEEK)]


@pytest.mark.parametrize("unit", ["900", "1000", "1100"])
def test_price_may_move_as_far_as_the_percentage(unit: str) -> None:
    assert refused(period("1000", -99, 0), new(unit)) == []


@pytest.mark.parametrize("unit", ["899.9999", "1100.0001"])
def test_price_may_not_move_further_either_way(unit: str) -> None:
    assert refused(period("1000", -99, 0), new(unit)) == [unit]


def test_small_steps_add_up_within_the_days() -> None:
    steps = [period("1000", -99, -2), period("1080", -2, 0)]

    assert refused(*steps, new("1100")) == []
    assert refused(*steps, new("1101")) == ["1101"]


def test_price_that_ended_before_the_days_is_forgotten() -> None:
    assert refused(period("1000", -99, -7), period("1100", -7, 0), new("1200")) == []
    assert refused(period("1000", -99, -6.999), period("1100", -6.999, 0), new("1200")) == ["1200"]


def test_the_first_price_may_be_anything() -> None:
    assert refused(new("1")) == []


def test_prices_that_begin_at_once_do_not_follow_one_another() -> None:
    assert refused(new("1000"), new("2000", ends_days=3)) == []


def test_new_price_to_come_is_held_to_what_it_follows() -> None:
    assert refused(period("1000", -99), new("1200", begins_days=30)) == ["1200"]
    assert refused(period("1000", -99, 20), new("1200", begins_days=30)) == []


def test_new_price_is_held_to_what_follows_it() -> None:
    to_come = period("1000", 5)

    assert refused(to_come, new("800")) == ["800"]
    assert refused(to_come, new("950")) == []
    assert refused(period("1000", 30), new("800", ends_days=10)) == []


def test_new_prices_are_held_to_one_another() -> None:
    assert refused(new("1000", ends_days=5), new("1200", begins_days=5)) == ["1000", "1200"]


def test_what_was_in_force_all_along_is_not_judged_again() -> None:
    assert refused(period("1000", -99, -1), period("2000", -1)) == []


def test_anything_is_too_far_from_nothing() -> None:
    assert refused(period("0", -1, 0), new("0.0001")) == ["0.0001"]


def tiers(*steps: tuple[int | None, str]) -> dict[str, Any]:
    return {"mode": "volume", "steps": [{"up_to": up_to, "unit_price": unit} for up_to, unit in steps]}


def test_tiers_are_compared_at_each_quantity() -> None:
    before = period("1000", -9, 0, tiers=tiers((10, "1000"), (None, "800")))

    assert refused(before, new("1", tiers=tiers((5, "1050"), (10, "900"), (None, "880")))) == []
    # From 6 to 10 units it was 1000.
    assert refused(before, new("2", tiers=tiers((5, "1050"), (10, "880"), (None, "880")))) == ["2"]
    # Beyond 10 it was 800.
    assert refused(before, new("3", tiers=tiers((None, "1000")))) == ["3"]
