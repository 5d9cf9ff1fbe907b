"""Holidays and festivals fall on the days on which they are kept."""

from datetime import date
from itertools import pairwise

import pytest

from app.calendars.festivals import FESTIVALS
from app.calendars.named_days import NamedDaysError, check_named_days, named_days


def days(schedule: dict[str, object], first: str = "2026-01-01", last: str = "2028-12-31") -> list[str]:
    return [str(day) for day in named_days(schedule, date.fromisoformat(first), date.fromisoformat(last))]


# From almanacs. Of the festivals that depend on where the moon is seen, the days that calendars print ahead.
KNOWN = {
    "chinese_new_year": ["2026-02-17", "2027-02-06", "2028-01-26"],
    "chinese_new_years_eve": ["2026-02-16", "2027-02-05", "2028-01-25"],
    "lantern": ["2026-03-03", "2027-02-20", "2028-02-09"],
    "dragon_boat": ["2026-06-19", "2027-06-09", "2028-05-28"],
    "qixi": ["2026-08-19", "2027-08-08", "2028-08-26"],
    "mid_autumn": ["2026-09-25", "2027-09-15", "2028-10-03"],
    "double_ninth": ["2026-10-18", "2027-10-08", "2028-10-26"],
    "seollal": ["2026-02-17", "2027-02-07", "2028-01-27"],
    "eid_al_fitr": ["2026-03-20", "2027-03-09", "2028-02-26"],
    "eid_al_adha": ["2026-05-27", "2027-05-16", "2028-05-05"],
    "diwali": ["2026-11-08", "2027-10-29", "2028-10-17"],
    "holi": ["2026-03-04", "2027-03-22", "2028-03-11"],
    "passover": ["2026-04-02", "2027-04-22", "2028-04-11"],
    "easter": ["2026-04-05", "2027-03-28", "2028-04-16"],
    "orthodox_easter": ["2026-04-12", "2027-05-02", "2028-04-16"],
}


@pytest.mark.parametrize("name", KNOWN)
def test_festival_falls_where_almanacs_say(name: str) -> None:
    assert days({"festival": {"name": name}}) == KNOWN[name]


@pytest.mark.parametrize("name", FESTIVALS)
def test_every_festival_comes_once_a_year_or_nearly(name: str) -> None:
    found = [date.fromisoformat(day) for day in days({"festival": {"name": name}}, "2024-01-01", "2033-12-31")]

    assert 9 <= len(found) <= 11
    assert all(350 <= (later - earlier).days <= 390 for earlier, later in pairwise(found))


def test_laba_of_one_lunar_year_may_fall_twice_in_a_year_of_ours() -> None:
    # The eighth day of the twelfth month: 2025-01-07, and of the next lunar year 2026-01-26. 2028 has it in January only.
    assert days({"festival": {"name": "laba"}}, "2025-01-01", "2028-12-31") == [
        "2025-01-07",
        "2026-01-26",
        "2027-01-15",
        "2028-01-04",
    ]


@pytest.mark.parametrize(
    ("holidays", "expected"),
    [
        ({"country": "US", "names": ["Thanksgiving Day"]}, ["2026-11-26", "2027-11-25", "2028-11-23"]),
        ({"country": "US", "names": ["thanksgiving day"]}, ["2026-11-26", "2027-11-25", "2028-11-23"]),
        # In English and in the language of the country.
        ({"country": "DE", "names": ["German Unity Day"]}, ["2026-10-03", "2027-10-03", "2028-10-03"]),
        ({"country": "DE", "names": ["Tag der Deutschen Einheit"]}, ["2026-10-03", "2027-10-03", "2028-10-03"]),
        # A day of some states only.
        ({"country": "DE", "subdivision": "BY", "names": ["All Saints' Day"]}, ["2026-11-01", "2027-11-01", "2028-11-01"]),
        ({"country": "AE", "names": ["Eid al-Fitr"]}, ["2026-03-20", "2027-03-09", "2028-02-26"]),
    ],
)
def test_holiday_of_a_country(holidays: dict[str, object], expected: list[str]) -> None:
    assert days({"holidays": holidays}) == expected


def test_without_names_every_holiday_counts() -> None:
    found = days({"holidays": {"country": "GB", "subdivision": "ENG"}}, "2026-12-01", "2026-12-31")

    assert found == ["2026-12-25", "2026-12-26", "2026-12-28"]  # Boxing Day is a Saturday, so that Monday is kept as well


def test_day_that_is_not_kept_in_these_years_is_known_all_the_same() -> None:
    # Independence Day is kept on another day only where it falls on a weekend: in 2026 on Friday the 3rd.
    holidays = {"country": "US", "names": ["Independence Day (observed)", "Labor Day"]}
    check_named_days({"holidays": holidays}, date(2028, 1, 1), date(2028, 12, 31))

    assert days({"holidays": holidays}, "2028-01-01", "2028-12-31") == ["2028-09-04"]
    assert days({"holidays": holidays}, "2026-01-01", "2026-12-31") == ["2026-07-03", "2026-09-07"]


@pytest.mark.parametrize(
    ("schedule", "path"),
    [
        ({"holidays": {"country": "ZZ"}}, "holidays.country"),
        ({"holidays": {"country": "DE", "subdivision": "XX"}}, "holidays.subdivision"),
        ({"holidays": {"country": "US", "names": ["Thanksgiving Day", "Nobody's Day"]}}, "holidays.names[1]"),
        ({"festival": {"name": "nothing"}}, "festival.name"),
    ],
)
def test_days_nobody_knows_are_refused_with_their_place(schedule: dict[str, object], path: str) -> None:
    with pytest.raises(NamedDaysError) as refused:
        check_named_days(schedule, date(2026, 1, 1), date(2028, 12, 31))

    assert refused.value.path == path
