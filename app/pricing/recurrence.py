"""Recurrences of RFC 5545: from the text of an RRULE and its first moment to local moments.

Everything is wall clock time; what an offset makes of it is asked later. The work is bounded by the days looked at, whatever the
rule says, also when it matches nothing.
"""

import re
from calendar import monthrange
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NamedTuple

OCCURRENCES_MAX: Final = 10_000
TEXT_MAX: Final = 500
_FREQUENCIES: Final = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY")
_DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_NTH_DAY: Final = re.compile(r"([+-]?[1-9][0-9]?)?(MO|TU|WE|TH|FR|SA|SU)")
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,6}")
_MINUTES_A_DAY: Final = 1440
# Lists of numbers: the lowest and the highest, and whether a negative one counts from the end.
_LISTS: Final = {
    "BYMONTH": (1, 12, False),
    "BYMONTHDAY": (1, 31, True),
    "BYYEARDAY": (1, 366, True),
    "BYHOUR": (0, 23, False),
    "BYMINUTE": (0, 59, False),
    "BYSETPOS": (1, 366, True),
}


class Rule(NamedTuple):
    """An RRULE, read."""

    frequency: str
    interval: int
    times: int | None
    until: datetime | None  # local where it has no offset, else UTC; inclusive
    week_start: int
    months: frozenset[int]
    month_days: frozenset[int]
    year_days: frozenset[int]
    days: frozenset[tuple[int, int]]  # (which one of the month or year, 0 for each; day of the week)
    hours: tuple[int, ...]
    minutes: tuple[int, ...]
    positions: tuple[int, ...]


def parse_rule(text: str) -> Rule:
    """Read the text of an RRULE, without its name. Raises ValueError.

    >>> parse_rule("FREQ=MONTHLY;BYDAY=-1FR").days
    frozenset({(-1, 4)})
    """
    parts: dict[str, str] = {}
    for part in text.split(";"):
        name, equals, value = part.partition("=")
        if not equals or not value:
            raise ValueError(f"{part[:40]!r} is not NAME=VALUE")
        if name in parts:
            raise ValueError(f"{name} stands here twice")
        parts[name] = value
    frequency = parts.pop("FREQ", None)
    if frequency is None:
        raise ValueError("FREQ is missing")
    if frequency not in _FREQUENCIES:
        raise ValueError(f"FREQ is one of {', '.join(_FREQUENCIES)}")
    interval = _number(parts, "INTERVAL", 100_000) or 1
    count, until = _number(parts, "COUNT", OCCURRENCES_MAX), _until(parts.pop("UNTIL", None))
    if count is not None and until is not None:
        raise ValueError("COUNT and UNTIL exclude each other")
    week_start = parts.pop("WKST", "MO")
    if week_start not in _DAYS:
        raise ValueError("WKST is a day of the week, as MO")
    lists = {name: _numbers(parts.pop(name, None), name) for name in _LISTS}
    days = _nth_days(parts.pop("BYDAY", None))
    if parts:
        raise ValueError(f"{min(parts)} is not supported")
    rule = Rule(
        frequency,
        interval,
        count,
        until,
        _DAYS.index(week_start),
        frozenset(lists["BYMONTH"]),
        frozenset(lists["BYMONTHDAY"]),
        frozenset(lists["BYYEARDAY"]),
        days,
        lists["BYHOUR"],
        lists["BYMINUTE"],
        lists["BYSETPOS"],
    )
    _check(rule)
    return rule


def _check(rule: Rule) -> None:
    if rule.frequency not in ("MONTHLY", "YEARLY") and (rule.positions or any(nth for nth, _ in rule.days)):
        raise ValueError("BYSETPOS and a BYDAY with a number need FREQ=MONTHLY or YEARLY")
    if rule.year_days and rule.frequency != "YEARLY":
        raise ValueError("BYYEARDAY needs FREQ=YEARLY")
    if rule.month_days and rule.frequency == "WEEKLY":
        raise ValueError("BYMONTHDAY does not go with FREQ=WEEKLY")
    if rule.positions and not (rule.days or rule.month_days or rule.year_days or rule.months or rule.hours or rule.minutes):
        raise ValueError("BYSETPOS needs another BY part")


def _number(parts: dict[str, str], name: str, most: int) -> int | None:
    text = parts.pop(name, None)
    if text is None:
        return None
    if not _INTEGER.fullmatch(text) or not 1 <= int(text) <= most:
        raise ValueError(f"{name} is a number from 1 to {most}")
    return int(text)


def _numbers(text: str | None, name: str) -> tuple[int, ...]:
    low, high, can_be_negative = _LISTS[name]
    found = set()
    for one in [] if text is None else text.split(","):
        number = int(one) if _INTEGER.fullmatch(one) else None
        if number is None or not low <= (abs(number) if can_be_negative else number) <= high:
            raise ValueError(
                f"{name} has numbers from {low} to {high}{', negative ones from the end' if can_be_negative else ''}"
            )
        found.add(number)
    return tuple(sorted(found))


def _nth_days(text: str | None) -> frozenset[tuple[int, int]]:
    found = set()
    for one in [] if text is None else text.split(","):
        match = _NTH_DAY.fullmatch(one)
        if match is None or abs(int(match[1] or 0)) > 53:
            raise ValueError("BYDAY has days of the week, as MO, 2TU or -1FR")
        found.add((int(match[1] or 0), _DAYS.index(match[2])))
    return frozenset(found)


def _until(text: str | None) -> datetime | None:
    if text is None:
        return None
    for form, zone in (("%Y%m%dT%H%M%S", None), ("%Y%m%dT%H%M%SZ", UTC)):
        try:
            return datetime.strptime(text, form).replace(tzinfo=zone)
        except ValueError:
            continue
    raise ValueError("UNTIL is a moment, as 20261231T235959 local or 20261231T225959Z")


def occurrences(rule: Rule, start: datetime, low: datetime, high: datetime) -> list[datetime]:
    """The local moments of a rule from `low` (inclusive) to `high` (exclusive), in order. `start` counts only where the rule matches it.

    An UNTIL in UTC is left to the caller, who knows the offset. Raises ValueError where there are more than OCCURRENCES_MAX.

    >>> rule = parse_rule("FREQ=MONTHLY;BYDAY=-1FR")
    >>> [str(one) for one in occurrences(rule, datetime(2026, 1, 1, 18), datetime(2026, 2, 1), datetime(2026, 4, 1))]
    ['2026-02-27 18:00:00', '2026-03-27 18:00:00']
    """
    rule = _completed(rule, start)
    last = rule.until if rule.until is not None and rule.until.tzinfo is None else high
    found: list[datetime] = []
    n = 0
    # With COUNT all of them count, so that they are told from the first; otherwise from the period that `low` is in.
    for moments in _by_period(rule, start, start if rule.times is not None else max(start, low), high):
        for moment in moments:
            if moment < start:
                continue
            n += 1
            if moment > last or moment >= high or (rule.times is not None and n > rule.times):
                return found
            if moment >= low:
                found.append(moment)
            if len(found) > OCCURRENCES_MAX:
                raise ValueError(f"the rule has more than {OCCURRENCES_MAX} occurrences in the time laid out")
    return found


def _completed(rule: Rule, start: datetime) -> Rule:
    """What a rule leaves out is taken from its first moment."""
    if not (rule.days or rule.month_days or rule.year_days):
        match rule.frequency:
            case "YEARLY":
                rule = rule._replace(months=rule.months or frozenset((start.month,)), month_days=frozenset((start.day,)))
            case "MONTHLY":
                rule = rule._replace(month_days=frozenset((start.day,)))
            case "WEEKLY":
                rule = rule._replace(days=frozenset(((0, start.weekday()),)))
    if rule.frequency not in ("HOURLY", "MINUTELY"):
        rule = rule._replace(hours=rule.hours or (start.hour,))
    if rule.frequency != "MINUTELY":
        rule = rule._replace(minutes=rule.minutes or (start.minute,))
    return rule


def _by_period(rule: Rule, start: datetime, low: datetime, high: datetime) -> Iterator[list[datetime]]:
    """The moments of each year, month, week or day that the rule counts by, as far as it takes every so many of them."""
    period = _PERIODS.get(rule.frequency, _day)
    # Within a day the interval is one of hours or minutes.
    every = rule.interval if rule.frequency not in ("HOURLY", "MINUTELY") else 1
    first = _number_of(rule, start.date())
    number = first + (_number_of(rule, low.date()) - first) // every * every
    while True:
        try:
            day, n_days = period(rule, number)
        except (ValueError, OverflowError):
            return  # beyond the year 9999
        if day > high.date():
            return
        moments = [
            datetime.combine(one, at)
            for one in (day + timedelta(days) for days in range(n_days))
            if _matches(rule, one)
            for at in _times(rule, start, one)
        ]
        yield _at_positions(moments, rule.positions) if rule.positions else moments
        number += every


def _number_of(rule: Rule, day: date) -> int:
    match rule.frequency:
        case "YEARLY":
            return day.year
        case "MONTHLY":
            return day.year * 12 + day.month - 1
        case "WEEKLY":
            return (day.toordinal() - 1 - rule.week_start) // 7
        case _:
            return day.toordinal()


def _year(_: Rule, number: int) -> tuple[date, int]:
    return date(number, 1, 1), _n_days_of_year(number)


def _month(_: Rule, number: int) -> tuple[date, int]:
    return date(number // 12, number % 12 + 1, 1), monthrange(number // 12, number % 12 + 1)[1]


def _week(rule: Rule, number: int) -> tuple[date, int]:
    return date.fromordinal(number * 7 + 1 + rule.week_start), 7


def _day(_: Rule, number: int) -> tuple[date, int]:
    return date.fromordinal(number), 1


_PERIODS: Final = {"YEARLY": _year, "MONTHLY": _month, "WEEKLY": _week}


def _n_days_of_year(year: int) -> int:
    return 365 + (monthrange(year, 2)[1] == 29)


def _matches(rule: Rule, day: date) -> bool:
    if rule.months and day.month not in rule.months:
        return False
    n_month = monthrange(day.year, day.month)[1]
    if rule.month_days and not {day.day, day.day - n_month - 1} & rule.month_days:
        return False
    of_year, n_year = day.timetuple().tm_yday, _n_days_of_year(day.year)
    if rule.year_days and not {of_year, of_year - n_year - 1} & rule.year_days:
        return False
    if not rule.days or (0, day.weekday()) in rule.days:
        return True
    # A number counts within the month; with YEARLY and no BYMONTH within the year.
    at, n = (of_year, n_year) if rule.frequency == "YEARLY" and not rule.months else (day.day, n_month)
    nth = {(at - 1) // 7 + 1, -((n - at) // 7 + 1)}
    return any((one, day.weekday()) in rule.days for one in nth)


def _times(rule: Rule, start: datetime, day: date) -> Iterator[time]:
    if rule.frequency == "HOURLY":
        passed = (day.toordinal() - start.toordinal()) * 24 - start.hour
        for hour in rule.hours or range(24):
            if (passed + hour) % rule.interval == 0:
                yield from (time(hour, minute, start.second) for minute in rule.minutes)
    elif rule.frequency == "MINUTELY":
        passed = (day.toordinal() - start.toordinal()) * _MINUTES_A_DAY - start.hour * 60 - start.minute
        for at in _minutes(rule, -passed % rule.interval):
            if (passed + at) % rule.interval == 0:
                yield time(at // 60, at % 60, start.second)
    else:
        yield from (time(hour, minute, start.second) for hour in rule.hours for minute in rule.minutes)


def _minutes(rule: Rule, first: int) -> Iterator[int]:
    """The minutes of a day that may be meant, in order; where the rule names none, from the first that its interval gives."""
    if not rule.hours and not rule.minutes:
        yield from range(first, _MINUTES_A_DAY, rule.interval)
        return
    for hour in rule.hours or range(24):
        yield from (hour * 60 + minute for minute in rule.minutes or range(60))


def _at_positions(moments: list[datetime], positions: tuple[int, ...]) -> list[datetime]:
    n = len(moments)
    places = {place - 1 if place > 0 else n + place for place in positions}
    return [moments[place] for place in sorted(places) if 0 <= place < n]
