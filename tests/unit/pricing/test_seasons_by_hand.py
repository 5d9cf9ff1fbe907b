"""Seasons worked by hand: their periods, and the index in force at an instant."""

import numpy as np
import pytest

from app.pricing.schedule import ROW_STRIDE, ScheduleError
from app.pricing.seasons import pack_seasons, read_periods, season_index_e4, season_instants
from tests.reference.shop import Body

HOUR_S = 3_600


def hour(number: int) -> str:
    return f"1970-01-01T{number:02}:00:00"


def season(*periods: tuple[int, int, str], timezone: str = "UTC") -> Body:
    """A season of periods (from, to, index), in hours of the first day of 1970."""
    return {
        "timezone": timezone,
        "periods": [{"from": hour(low), "to": hour(high), "index": index} for low, high, index in periods],
    }


def test_periods_are_read_in_their_time_zone() -> None:
    assert read_periods(season((1, 2, "9"), (2, 4, "1.25"))) == [
        (HOUR_S, 2 * HOUR_S, 90_000),
        (2 * HOUR_S, 4 * HOUR_S, 12_500),
    ]
    # New York is five hours behind.
    assert read_periods(season((1, 2, "3"), timezone="America/New_York")) == [(6 * HOUR_S, 7 * HOUR_S, 30_000)]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (season((2, 2, "1")), "period 0: 'from' must lie before 'to'"),
        (season((1, 2, "1"), (4, 3, "1")), "period 1: 'from' must lie before 'to'"),
        (season((1, 3, "0.5"), (2, 4, "1")), "period 1 begins before the one before it ends"),
        (season((3, 4, "1"), (1, 2, "1")), "period 1 begins before the one before it ends"),
        (season(timezone="Moon/Base"), "unknown time zone"),
    ],
)
def test_periods_that_do_not_follow_one_another_are_refused(body: Body, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        read_periods(body)


@pytest.mark.parametrize("name", ["from", "to"])
def test_time_that_is_none_is_refused_by_its_name(name: str) -> None:
    body = season((1, 2, "1"))
    body["periods"][0][name] = "1970-01-01T01:00:00+01:00"

    with pytest.raises(ScheduleError) as refused:
        read_periods(body)

    assert refused.value.path == name


def test_index_is_that_of_the_period_in_force() -> None:
    # SKUs 0 and 3 without a season, 1 with the first, 2 with the second, 4 with the third, which has no period.
    seasons = pack_seasons([[(10, 20, 500), (20, 30, 600)], [(15, 25, 700)], []], np.array([-1, 0, 1, -1, 2]))
    asked = {(0, 15): 10_000, (1, 9): 10_000, (1, 10): 500, (1, 19): 500, (1, 20): 600, (1, 29): 600, (1, 30): 10_000}
    asked |= {(2, 14): 10_000, (2, 15): 700, (2, 24): 700, (2, 25): 10_000, (3, 15): 10_000, (4, 15): 10_000, (4, 0): 10_000}
    sku_row, at_s = np.array(list(asked)).T

    assert season_index_e4(seasons, sku_row, at_s).tolist() == list(asked.values())
    assert seasons.start_key.tolist() == [10, 20, ROW_STRIDE + 15]
    assert seasons.end_key.tolist() == [20, 30, ROW_STRIDE + 25]
    assert sorted(season_instants(seasons).tolist()) == [10, 15, 20, 20, 25, 30]


def test_without_periods_demand_is_the_usual() -> None:
    nothing = pack_seasons([[]], np.array([0, -1]))

    assert season_index_e4(nothing, np.array([0, 1]), np.array([5, 5])).tolist() == [10_000, 10_000]
    assert season_instants(nothing).tolist() == []
    # Before the first period of the first season, with another one in the arrays.
    first = pack_seasons([[(10, 20, 500)]], np.array([0]))
    assert season_index_e4(first, np.array([0]), np.array([3])).tolist() == [10_000]
    alone = pack_seasons([[(10, 20, 500)]], np.array([-1]))
    assert season_index_e4(alone, np.array([0]), np.array([15])).tolist() == [10_000]
