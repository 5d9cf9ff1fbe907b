"""Schedules become the right instants in every zone, also on the days when clocks change."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.pricing.schedule import ScheduleError, compile_schedule, parse_duration

DAY_US = 86_400_000_000
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Pacific/Apia", "Asia/Kathmandu", "Africa/Casablanca")


def us(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def windows(
    schedule: dict[str, Any], low: str, high: str, *, published: str = "2026-06-15", days: tuple[str, ...] = ()
) -> list[str]:
    """The intervals that begin between two UTC times, as `from/to`."""
    found = compile_schedule(schedule, published_at_us=us(published), days=days)
    shown = [[datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M") for second in one] for one in found]
    return ["/".join(one) for one in shown if low <= one[0] < high]


def sundays(start: str, end: str, zone: str) -> dict[str, Any]:
    return {"timezone": zone, "weekly": {"days": ["sun"], "start": start, "end": end}}


@pytest.mark.parametrize(
    ("schedule", "day", "expected"),
    [
        # New York goes from UTC-5 to UTC-4 on 2026-03-08 at 02:00, and back on 2026-11-01 at 02:00.
        (sundays("01:30", "03:00", "America/New_York"), "2026-03-08", ["2026-03-08T06:30/2026-03-08T07:00"]),
        (sundays("01:30", "03:00", "America/New_York"), "2026-11-01", ["2026-11-01T05:30/2026-11-01T08:00"]),
        (sundays("01:00", "01:30", "America/New_York"), "2026-11-01", ["2026-11-01T05:00/2026-11-01T05:30"]),
        # 02:00 to 03:00 does not exist on that day, and nothing is left of the window.
        (sundays("02:00", "03:00", "America/New_York"), "2026-03-08", []),
        (sundays("02:30", "04:00", "America/New_York"), "2026-03-08", ["2026-03-08T07:30/2026-03-08T08:00"]),
        # Berlin: from UTC+1 to UTC+2 on 2027-03-28 at 02:00; back on 2026-10-25 at 03:00.
        (sundays("02:30", "03:30", "Europe/Berlin"), "2026-10-25", ["2026-10-25T00:30/2026-10-25T02:30"]),
        (sundays("02:15", "03:30", "Europe/Berlin"), "2027-03-28", ["2027-03-28T01:15/2027-03-28T01:30"]),
        # Lord Howe moves by half an hour: 2026-04-05 02:00 UTC+11 is 01:30 UTC+10:30; 2026-10-04 02:00 is 02:30.
        (sundays("01:45", "02:15", "Australia/Lord_Howe"), "2026-04-04", ["2026-04-04T14:45/2026-04-04T15:45"]),
        (sundays("01:45", "02:15", "Australia/Lord_Howe"), "2026-10-03", ["2026-10-03T15:15/2026-10-03T15:45"]),
        (sundays("02:00", "02:30", "Australia/Lord_Howe"), "2026-10-03", []),
        # Over midnight, and a whole day.
        (sundays("22:00", "02:00", "Asia/Kolkata"), "2026-07-05", ["2026-07-05T16:30/2026-07-05T20:30"]),
        (sundays("00:00", "00:00", "UTC"), "2026-07-05", ["2026-07-05T00:00/2026-07-06T00:00"]),
    ],
)
def test_weekly_hours_on_the_days_when_clocks_change(schedule: dict[str, Any], day: str, expected: list[str]) -> None:
    assert windows(schedule, f"{day}T00:00", f"{day}T23:59") == expected


def test_day_that_a_country_skipped_has_no_window() -> None:
    # Samoa went from UTC-10 to UTC+14 at the end of 2011-12-29: the 30th did not exist.
    festival = {"timezone": "Pacific/Apia", "festival": {"name": "easter", "days_before": 0, "days_after": 0}}

    assert windows(festival, "2011", "2013", published="2011-12-01", days=("2011-12-30",)) == []
    assert windows(festival, "2011", "2013", published="2011-12-01", days=("2011-12-31",)) == [
        "2011-12-30T10:00/2011-12-31T10:00"
    ]


def test_recurrence_lasts_on_the_wall_clock() -> None:
    nightly = {"timezone": "Europe/Berlin", "rrule": {"rule": "FREQ=DAILY", "start": "2026-01-01T22:00:00", "duration": "PT6H"}}

    # In the night to 2026-10-25 the six hours from 22:00 to 04:00 take seven.
    assert windows(nightly, "2026-10-24T12:00", "2026-10-26T00:00") == [
        "2026-10-24T20:00/2026-10-25T03:00",
        "2026-10-25T21:00/2026-10-26T03:00",
    ]


def test_occurrences_that_overlap_are_one_window() -> None:
    rrule = {"rule": "FREQ=DAILY;COUNT=3", "start": "2026-07-01T00:00:00", "duration": "P1DT1H"}

    assert windows({"timezone": "UTC", "rrule": rrule}, "2026", "2027") == ["2026-07-01T00:00/2026-07-04T01:00"]


def test_until_in_utc_is_compared_as_an_instant() -> None:
    rrule = {"rule": "FREQ=DAILY;UNTIL=20260702T130000Z", "start": "2026-07-01T09:00:00", "duration": "PT1H"}

    assert windows({"timezone": "America/New_York", "rrule": rrule}, "2026", "2027") == [
        "2026-07-01T13:00/2026-07-01T14:00",
        "2026-07-02T13:00/2026-07-02T14:00",
    ]


def test_days_around_a_named_day() -> None:
    thanksgiving = {"timezone": "America/New_York", "holidays": {"country": "US", "days_before": 1, "days_after": 3}}

    assert windows(thanksgiving, "2026", "2027", days=("2026-11-26",)) == ["2026-11-25T05:00/2026-11-30T05:00"]


def test_pattern_is_cut_by_from_and_to() -> None:
    bounded = sundays("00:00", "00:00", "UTC") | {"from": "2026-07-05T12:00:00", "to": "2026-07-12T06:00:00"}

    assert windows(bounded, "2020", "2030") == ["2026-07-05T12:00/2026-07-06T00:00", "2026-07-12T00:00/2026-07-12T06:00"]


@pytest.mark.parametrize("text", ["", "P", "PT", "P0D", "PT0M", "P1M", "P1Y", "PT30S", "P367D", "P1DT", "-P1D", "P1.5D"])
def test_duration_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a duration lies between"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("schedule", "path"),
    [
        ({"timezone": "Nowhere"}, "timezone"),
        ({"timezone": "UTC", "from": "2026-01-02T00:00:00", "to": "2026-01-01T00:00:00"}, "to"),
        ({"timezone": "UTC", "from": "2026-02-30T00:00:00"}, "from"),
        ({"timezone": "UTC", "rrule": {"rule": "FREQ=HOURLY", "start": "2026-01-01T00:00:00", "duration": "PT1H"}}, "rrule.rule"),
        (
            {"timezone": "UTC", "rrule": {"rule": "FREQ=DAILY", "start": "2026-01-01T00:00:00", "duration": "P1Y"}},
            "rrule.duration",
        ),
        ({"timezone": "UTC", "rrule": {"rule": "FREQ=DAILY", "start": "1969-01-01T00:00:00", "duration": "P1D"}}, "rrule.start"),
    ],
)
def test_schedule_that_cannot_be_laid_out_says_where(schedule: dict[str, Any], path: str) -> None:
    with pytest.raises(ScheduleError) as refused:
        compile_schedule(schedule, published_at_us=us("2026-06-15"))

    assert refused.value.path == path


PATTERNS = st.one_of(
    st.fixed_dictionaries(
        {
            "weekly": st.fixed_dictionaries(
                {
                    "days": st.lists(st.sampled_from(("mon", "wed", "sat", "sun")), min_size=1, unique=True),
                    "start": st.sampled_from(("00:00", "01:30", "02:00", "02:30", "23:15")),
                    "end": st.sampled_from(("00:00", "01:45", "02:30", "03:00", "23:30")),
                }
            )
        }
    ),
    st.fixed_dictionaries(
        {
            "rrule": st.fixed_dictionaries(
                {
                    "rule": st.sampled_from(
                        ("FREQ=DAILY", "FREQ=WEEKLY;INTERVAL=3", "FREQ=MONTHLY;BYDAY=-1SU", "FREQ=HOURLY;INTERVAL=7")
                    ),
                    "start": st.sampled_from(("2024-01-01T02:30:00", "2026-08-01T00:00:00")),
                    "duration": st.sampled_from(("PT30M", "PT5H", "P2D")),
                }
            )
        }
    ),
)


@settings(max_examples=60, deadline=None)
@given(PATTERNS, st.sampled_from(ZONES), st.integers(min_value=0, max_value=700))
def test_laying_out_later_changes_nothing_that_was_laid_out(pattern: dict[str, Any], zone: str, later_days: int) -> None:
    schedule = {"timezone": zone, **pattern}
    first_us = us("2026-02-15")
    early = compile_schedule(schedule, published_at_us=first_us)
    late = compile_schedule(schedule, published_at_us=first_us + later_days * DAY_US)
    # Three days within what both lay out: an occurrence at the edge may be merged with one beyond it.
    low, high = first_us // 10**6 + (later_days - 397) * 86_400, first_us // 10**6 + 797 * 86_400

    def within(intervals: list[tuple[int, int]]) -> list[tuple[int, int]]:
        return [(max(start, low), min(end, high)) for start, end in intervals if start < high and end > low]

    assert within(early) == within(late)
    assert all(start < end for start, end in late)
    assert all(one[1] < other[0] for one, other in pairwise(late))
    # Clocks may change in the last hours of a month, so that the last window is one of the month before.
    assert not late or late[-1][1] >= first_us // 10**6 + (later_days + 730) * 86_400
