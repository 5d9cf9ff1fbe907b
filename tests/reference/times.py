"""Instants in microseconds UTC, and schedules in local time."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr

from tests.reference.shop import Body

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_US = 86_400 * 1_000_000
DURATION = r"P(?:([0-9]+)D)?(?:T(?:([0-9]+)H)?(?:([0-9]+)M)?)?"
Window = tuple[datetime, datetime]
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def instant_us(text: str) -> int:
    """Return an RFC 3339 instant as microseconds since 1970."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def local_instant_us(text: str, zone: str) -> int:
    """Return a local date and time as microseconds since 1970."""
    return _local_us(datetime.fromisoformat(text), zone)


def _local_us(local: datetime, zone: str) -> int:
    return (local.replace(tzinfo=ZoneInfo(zone), fold=0) - EPOCH) // timedelta(microseconds=1)


def is_active(schedule: Body | None, at_us: int, published_at_us: int, days: Iterable[str] = ()) -> bool:
    """Say whether the schedule is active at the instant; without a schedule it always is. Intervals are half-open.

    `days` are those that the schedule names.
    """
    if schedule is None:
        return True
    zone = schedule.get("timezone") or "UTC"
    start, end = schedule.get("from"), schedule.get("to")
    if start is not None and at_us < _local_us(datetime.fromisoformat(start), zone):
        return False
    if end is not None and at_us >= _local_us(datetime.fromisoformat(end), zone):
        return False
    today = (EPOCH + timedelta(microseconds=published_at_us)).date()
    laid_out = (today - timedelta(days=400), today + timedelta(days=800))
    if schedule.get("weekly"):
        windows = _weekly(schedule["weekly"], zone, at_us, laid_out)
    elif schedule.get("rrule"):
        windows = _recurring(schedule["rrule"], zone, laid_out)
    elif schedule.get("holidays") or schedule.get("festival"):
        windows = _around(schedule.get("holidays") or schedule["festival"], days)
    else:
        return True
    return any(_local_us(opens, zone) <= at_us < _local_us(closes, zone) for opens, closes in windows)


def _weekly(weekly: Body, zone: str, at_us: int, laid_out: tuple[date, date]) -> Iterator[Window]:
    here = (EPOCH + timedelta(microseconds=at_us)).astimezone(ZoneInfo(zone)).date()
    opens, closes = time.fromisoformat(weekly["start"]), time.fromisoformat(weekly["end"])
    # A window is at most a day long, so that only those of the days around the instant can hold it.
    for day in (here + timedelta(days=days) for days in range(-2, 3)):
        if DAYS[day.weekday()] in weekly["days"] and laid_out[0] <= day <= laid_out[1]:
            last_day = day + timedelta(days=1) if closes <= opens else day
            yield datetime.combine(day, opens), datetime.combine(last_day, closes)


def _recurring(rrule: Body, zone: str, laid_out: tuple[date, date]) -> Iterator[Window]:
    days, hours, minutes = (int(part or 0) for part in re.fullmatch(DURATION, rrule["duration"]).groups())  # type: ignore[union-attr]
    duration = timedelta(days=days, hours=hours, minutes=minutes)
    text, until_utc = rrule["rule"], None
    if found := re.search(r";UNTIL=([0-9]{8}T[0-9]{6}Z)", text):
        text, until_utc = text.replace(found[0], ""), datetime.strptime(found[1] + "+0000", "%Y%m%dT%H%M%SZ%z")
    first = datetime.combine(laid_out[0], time()) - duration
    # Another's arithmetic, so that ours is held against something else.
    for opens in rrulestr(text, dtstart=datetime.fromisoformat(rrule["start"])):
        if opens.date() > laid_out[1] or (until_utc and opens.replace(tzinfo=ZoneInfo(zone)) > until_utc):
            return
        if opens >= first:
            yield opens, opens + duration


def _around(pattern: Body, days: Iterable[str]) -> Iterator[Window]:
    for day in map(datetime.fromisoformat, days):
        yield day - timedelta(days=pattern["days_before"]), day + timedelta(days=pattern["days_after"] + 1)
