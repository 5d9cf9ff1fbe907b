"""Festivals by name: the table of names is closed, and each gives the days on which it falls.

Chinese festivals are days of lunar months; the others are the tables of the `holidays` package, which end where nobody has calculated
further. Where a festival lasts for several days, its day is the first.
"""

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from functools import partial
from typing import Any, Final, Literal

from dateutil.easter import EASTER_ORTHODOX, EASTER_WESTERN, easter
from holidays.calendars.chinese import KOREAN_CALENDAR, VIETNAMESE_CALENDAR, _ChineseLunisolar
from holidays.calendars.hebrew import _HebrewLunisolar
from holidays.calendars.hindu import _HinduLunisolar
from holidays.calendars.islamic import _IslamicLunar
from holidays.calendars.persian import _Persian
from lunardate import LunarDate

type Days = Callable[[int], Iterable[date]]

_LUNAR_YEARS: Final = range(1900, 2100)


def festival_days(name: str, first: date, last: date) -> list[date]:
    """The days of a festival from `first` to `last`, both inclusive. Raises KeyError."""
    days_of = FESTIVALS[name]
    return sorted({day for year in range(first.year, last.year + 1) for day in days_of(year) if first <= day <= last})


def _lunar(month: int, day: int, *, shift: int = 0, year: int) -> Iterable[date]:
    """A day of a lunar month. The lunar year before may reach into this one."""
    for lunar_year in (year - 1, year):
        if lunar_year in _LUNAR_YEARS:
            found = LunarDate(lunar_year, month, day).to_solar_date() + timedelta(days=shift)
            if found.year == year:
                yield found


def _lunar_day(month: int, day: int, *, shift: int = 0) -> Days:
    return lambda year: _lunar(month, day, shift=shift, year=year)


def _tabled(table: Any, method: str, **arguments: Any) -> Days:
    return partial(_of_table, getattr(table(), method), arguments)


def _of_table(find: Callable[..., Any], arguments: dict[str, Any], year: int) -> Iterable[date]:
    """The days that a table has of a year. Its rows are a day, a day with whether it is certain, or several of either."""
    found = find(year, **arguments)
    several = [found] if found is None or isinstance(found, date | tuple) else found
    for one in several:
        day = one[0] if isinstance(one, tuple) else one
        if day is not None and day.year == year:
            yield date(day.year, day.month, day.day)


def _easter(method: Literal[1, 2, 3]) -> Days:
    return lambda year: (easter(year, method),)


FESTIVALS: Final[dict[str, Days]] = {
    "laba": _lunar_day(12, 8),
    "chinese_new_years_eve": _lunar_day(1, 1, shift=-1),
    "chinese_new_year": _lunar_day(1, 1),
    "lantern": _lunar_day(1, 15),
    "dragon_boat": _lunar_day(5, 5),
    "qixi": _lunar_day(7, 7),
    "ghost": _lunar_day(7, 15),
    "mid_autumn": _lunar_day(8, 15),
    "double_ninth": _lunar_day(9, 9),
    "seollal": _tabled(_ChineseLunisolar, "lunar_new_year_date", calendar=KOREAN_CALENDAR),
    "chuseok": _tabled(_ChineseLunisolar, "mid_autumn_date", calendar=KOREAN_CALENDAR),
    "tet": _tabled(_ChineseLunisolar, "lunar_new_year_date", calendar=VIETNAMESE_CALENDAR),
    "ramadan": _tabled(_IslamicLunar, "ramadan_beginning_dates"),
    "eid_al_fitr": _tabled(_IslamicLunar, "eid_al_fitr_dates"),
    "eid_al_adha": _tabled(_IslamicLunar, "eid_al_adha_dates"),
    "hijri_new_year": _tabled(_IslamicLunar, "hijri_new_year_dates"),
    "mawlid": _tabled(_IslamicLunar, "mawlid_dates"),
    "diwali": _tabled(_HinduLunisolar, "diwali_india_date"),
    "dussehra": _tabled(_HinduLunisolar, "dussehra_date"),
    "holi": _tabled(_HinduLunisolar, "holi_date"),
    "raksha_bandhan": _tabled(_HinduLunisolar, "raksha_bandhan_date"),
    "nowruz": _tabled(_Persian, "new_year_date"),
    "hanukkah": _tabled(_HebrewLunisolar, "hanukkah_date"),
    "passover": _tabled(_HebrewLunisolar, "passover_date"),
    "purim": _tabled(_HebrewLunisolar, "purim_date"),
    "rosh_hashanah": _tabled(_HebrewLunisolar, "rosh_hashanah_date"),
    "easter": _easter(EASTER_WESTERN),
    "orthodox_easter": _easter(EASTER_ORTHODOX),
}
