"""Recurrences come out as RFC 5545 says, as another implementation finds them, and within bounded work."""

from datetime import datetime, timedelta
from itertools import takewhile
from time import perf_counter

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from app.pricing.recurrence import OCCURRENCES_MAX, occurrences, parse_rule

LOW, HIGH = datetime.fromisoformat("2026-03-01"), datetime.fromisoformat("2027-09-01")
DAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def found(text: str, start: str, low: str = "2026-01-01", high: str = "2027-01-01") -> list[str]:
    moments = occurrences(
        parse_rule(text), datetime.fromisoformat(start), datetime.fromisoformat(low), datetime.fromisoformat(high)
    )
    return [moment.isoformat(timespec="minutes") for moment in moments]


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("FREQ=MONTHLY;BYMONTHDAY=-1;COUNT=3", "2026-01-01T18:00", ["2026-01-31T18:00", "2026-02-28T18:00", "2026-03-31T18:00"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31;COUNT=3", "2026-01-01T18:00", ["2026-01-31T18:00", "2026-03-31T18:00", "2026-05-31T18:00"]),
        # The last working day of a month.
        (
            "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1;UNTIL=20260401T000000",
            "2026-01-01T09:00",
            ["2026-01-30T09:00", "2026-02-27T09:00", "2026-03-31T09:00"],
        ),
        # Plain and numbered days are one list: the first Sunday, and every Saturday.
        (
            "FREQ=MONTHLY;BYDAY=1SU,SA;BYMONTH=5;COUNT=6",
            "2026-01-01T09:00",
            [f"2026-05-{day:02}T09:00" for day in (2, 3, 9, 16, 23, 30)],
        ),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "2024-01-01T00:00", []),
        ("FREQ=YEARLY;BYDAY=20MO", "2025-01-01T00:00", ["2026-05-18T00:00"]),
        # Every other week counts from the week of the start, which begins on WKST.
        (
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=MO;COUNT=4",
            "2026-08-04T10:00",
            ["2026-08-04T10:00", "2026-08-09T10:00", "2026-08-18T10:00", "2026-08-23T10:00"],
        ),
        (
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU;COUNT=4",
            "2026-08-04T10:00",
            ["2026-08-04T10:00", "2026-08-16T10:00", "2026-08-18T10:00", "2026-08-30T10:00"],
        ),
        (
            "FREQ=HOURLY;INTERVAL=9;COUNT=4",
            "2026-08-04T20:30",
            ["2026-08-04T20:30", "2026-08-05T05:30", "2026-08-05T14:30", "2026-08-05T23:30"],
        ),
        ("FREQ=MINUTELY;INTERVAL=1439;COUNT=2", "2026-08-04T00:01", ["2026-08-04T00:01", "2026-08-05T00:00"]),
        # The start is an occurrence only where the rule matches it; UNTIL is inclusive.
        ("FREQ=DAILY;BYHOUR=9,17;UNTIL=20260805T090000", "2026-08-04T10:00", ["2026-08-04T17:00", "2026-08-05T09:00"]),
    ],
)
def test_recurrence_by_hand(text: str, start: str, expected: list[str]) -> None:
    assert found(text, start) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "BYDAY=MO",
        "FREQ=SECONDLY",
        "FREQ=DAILY;FREQ=DAILY",
        "FREQ=DAILY;INTERVAL=0",
        "FREQ=DAILY;COUNT=2;UNTIL=20270101T000000",
        "FREQ=DAILY;UNTIL=20270101",
        "FREQ=DAILY;UNTIL=20270231T000000",
        "FREQ=DAILY;BYSECOND=1",
        "FREQ=YEARLY;BYWEEKNO=20",
        "FREQ=DAILY;BYMONTH=13",
        "FREQ=DAILY;BYMONTH=-1",
        "FREQ=MONTHLY;BYMONTHDAY=0",
        "FREQ=WEEKLY;BYDAY=2MO",
        "FREQ=WEEKLY;BYMONTHDAY=2",
        "FREQ=MONTHLY;BYDAY=MON",
        "FREQ=MONTHLY;BYDAY=54MO",
        "FREQ=MONTHLY;BYSETPOS=1",
        "FREQ=WEEKLY;BYDAY=MO;BYSETPOS=1",
        "FREQ=DAILY;COUNT=10001",
        "FREQ=DAILY;WKST=XX",
        "FREQ=DAILY;BYHOUR=²",
    ],
)
def test_rule_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_rule(text)


def test_more_occurrences_than_anybody_means_are_refused() -> None:
    with pytest.raises(ValueError, match=f"more than {OCCURRENCES_MAX}"):
        found("FREQ=MINUTELY", "2026-01-01T00:00")


def test_rule_that_matches_nothing_costs_no_more_than_its_days() -> None:
    started = perf_counter()
    assert found("FREQ=MINUTELY;BYMONTH=2;BYMONTHDAY=30", "1971-01-01T00:00") == []
    assert found("FREQ=DAILY;INTERVAL=7;BYDAY=MO;COUNT=3", "1971-01-01T00:00") == []
    assert perf_counter() - started < 2.0


@st.composite
def rules(draw: st.DrawFn) -> str:
    """Rules of which both implementations know the meaning."""

    def some(name: str, values: tuple[object, ...]) -> list[str]:
        chosen = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3, unique=True))
        return [f"{name}={','.join(map(str, chosen))}"] if draw(st.booleans()) else []

    frequency = draw(st.sampled_from(("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY")))
    every = draw(st.sampled_from((1, 2, 3, 5, 24) if frequency not in ("HOURLY", "MINUTELY") else (500, 1439, 1441, 5000)))
    by = []
    # By days the other one looks for one that never comes until the year 9999.
    if frequency in ("YEARLY", "MONTHLY", "WEEKLY"):
        by += some("BYMONTH", tuple(range(1, 13)))
    if frequency in ("YEARLY", "MONTHLY"):
        by += some("BYMONTHDAY", (1, 2, 13, 28, 29, 30, 31, -1, -2, -31))
    if frequency == "YEARLY":
        by += some("BYYEARDAY", (1, 59, 60, 61, 200, 365, 366, -1, -366))
    # The other one takes the intersection of plain and numbered days, and fails for numbers beyond the month.
    numbered = [f"{number}{day}" for number in (1, 2, 4, -1, -4) for day in DAYS]
    by += some("BYDAY", tuple(numbered) if frequency in ("MONTHLY", "YEARLY") and draw(st.booleans()) else DAYS)
    by += some("BYHOUR", tuple(range(24))) + some("BYMINUTE", (0, 1, 29, 30, 59))
    if by and frequency in ("MONTHLY", "YEARLY"):
        by += some("BYSETPOS", (1, 2, 5, -1, -2))
    ends = draw(st.sampled_from((";COUNT=3", ";COUNT=100", ";UNTIL=20270301T093000", ";UNTIL=20280101T000000")))
    return f"FREQ={frequency};INTERVAL={every}{ends};WKST={draw(st.sampled_from(DAYS))}" + "".join(f";{one}" for one in by)


@settings(max_examples=300, deadline=None)
@given(rules(), st.integers(min_value=0, max_value=1_000_000))
def test_recurrence_is_what_another_implementation_finds(text: str, minutes: int) -> None:
    start = datetime.fromisoformat("2025-01-01") + timedelta(minutes=minutes)
    try:
        expected = [one for one in takewhile(lambda one: one < HIGH, rrulestr(text, dtstart=start)) if one >= LOW]
    except ValueError:
        expected = []  # what the other one calls an empty set

    assert occurrences(parse_rule(text), start, LOW, HIGH) == expected
