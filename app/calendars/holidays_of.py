"""Public holidays of countries and their parts, from the `holidays` package."""

from collections.abc import Sequence
from datetime import date
from functools import lru_cache
from typing import Final

import holidays

_LANGUAGE: Final = "en_US"
_ESTIMATED: Final = " (estimated)"
_NAMES_SHOWN: Final = 20
_YEARS_AROUND: Final = 8


class HolidaysError(ValueError):
    """A country, a part of it or a holiday that is not known."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


def holiday_days(country: str, subdivision: str | None, names: Sequence[str], first: date, last: date) -> list[date]:
    """The days on which these holidays fall, all of them where none is named. Raises HolidaysError for an unknown country or part."""
    calendar = _calendar_of(country, subdivision, first, last)
    wanted = {name.casefold() for name in names}
    return sorted(
        day
        for day, own in calendar.items()
        if first <= day <= last and (not wanted or any(name.casefold() in wanted for name in own))
    )


def check_names(country: str, subdivision: str | None, names: Sequence[str], first: date, last: date) -> None:
    """Raises HolidaysError for a name that no holiday has there, some years before and after included: some days are kept now and then."""
    calendar = _calendar_of(country, subdivision, first, last)
    known = {name.casefold() for own in calendar.values() for name in own}
    for at, name in enumerate(names):
        if name.casefold() not in known:
            raise HolidaysError(f"names[{at}]", f"no holiday there is called so; known are {_shown(calendar)}")


def _calendar_of(country: str, subdivision: str | None, first: date, last: date) -> dict[date, tuple[str, ...]]:
    parts = holidays.list_supported_countries().get(country)
    if parts is None:
        raise HolidaysError("country", "no holidays are known of this country; it is a code of ISO 3166, as US")
    if subdivision is not None and subdivision not in parts:
        raise HolidaysError("subdivision", f"one of {', '.join(parts)}" if parts else "this country has no subdivisions here")
    return _calendar(country, subdivision, first.year - _YEARS_AROUND, last.year + _YEARS_AROUND)


@lru_cache(maxsize=64)
def _calendar(country: str, subdivision: str | None, first_year: int, last_year: int) -> dict[date, tuple[str, ...]]:
    """What each holiday is called: in English where that is known, and in the language of the country."""
    years = range(first_year, last_year + 1)
    found: dict[date, tuple[str, ...]] = {}
    for language in (_LANGUAGE, None):
        # The package falls back to the country's own language where it does not have the one asked for.
        for day, text in holidays.country_holidays(country, subdiv=subdivision, years=years, language=language).items():
            own = (name.removesuffix(_ESTIMATED) for name in text.split(holidays.HOLIDAY_NAME_DELIMITER))
            found[day] = (*found.get(day, ()), *own)
    return found


def _shown(calendar: dict[date, tuple[str, ...]]) -> str:
    names = sorted(dict.fromkeys(own[0] for own in calendar.values()))
    return ", ".join(names[:_NAMES_SHOWN]) + (" ..." if len(names) > _NAMES_SHOWN else "")
