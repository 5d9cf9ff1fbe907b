"""The days that a schedule names: holidays of a country, or a festival."""

from collections.abc import Mapping
from datetime import date
from typing import Any

from app.calendars.festivals import festival_days
from app.calendars.holidays_of import HolidaysError, check_names, holiday_days


class NamedDaysError(ValueError):
    """Days that nobody knows: where in the schedule, and what is wrong."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


def named_days(schedule: Mapping[str, Any], first: date, last: date) -> list[date]:
    """The days from `first` to `last`, both inclusive, each once, in order; none where the schedule names none.

    A holiday that is not known has no days. Raises NamedDaysError for a festival, a country or a part of one that is not.
    """
    if schedule.get("festival"):
        try:
            return festival_days(schedule["festival"]["name"], first, last)
        except KeyError:
            raise NamedDaysError("festival.name", "unknown festival") from None
    asked = schedule.get("holidays")
    if not asked:
        return []
    try:
        return holiday_days(asked["country"], asked.get("subdivision"), asked.get("names") or (), first, last)
    except HolidaysError as error:
        raise NamedDaysError(f"holidays.{error.path}", str(error)) from error


def check_named_days(schedule: Mapping[str, Any], first: date, last: date) -> None:
    """Raises NamedDaysError for anything that a schedule names and nobody knows, holidays too."""
    named_days(schedule, first, last)
    asked = schedule.get("holidays")
    if asked:
        try:
            check_names(asked["country"], asked.get("subdivision"), asked.get("names") or (), first, last)
        except HolidaysError as error:
            raise NamedDaysError(f"holidays.{error.path}", str(error)) from error
