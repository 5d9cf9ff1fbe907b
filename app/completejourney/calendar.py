"""The shop's calendar: weeks run from Monday to Sunday of local time, week 2 begins on 2 January 2017."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from app.completejourney.tables import Int64s

TIMEZONE: Final = "America/New_York"
_ZONE: Final = ZoneInfo(TIMEZONE)
_WEEK_2: Final = date(2017, 1, 2)
_EPOCH: Final = date(1970, 1, 1)


def week_start(week: int) -> date:
    """The Monday on which a week begins.

    >>> week_start(53).isoformat()
    '2017-12-25'
    """
    return _WEEK_2 + timedelta(weeks=week - 2)


def midnight_local(day: date) -> str:
    """The beginning of a day as the service takes local times."""
    return f"{day.isoformat()}T00:00:00"


def midnight_utc(day: date) -> str:
    """The beginning of a local day as the service takes instants.

    >>> midnight_utc(date(2017, 7, 3))
    '2017-07-03T04:00:00Z'
    """
    return datetime.combine(day, time(), _ZONE).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def day_of(number: int) -> date:
    """The date of a number of days since 1970."""
    return _EPOCH + timedelta(days=number)


def local_days(at_s: Int64s) -> Int64s:
    """The local day, as days since 1970, of UTC instants in seconds."""
    hours = at_s // 3600
    # The offset of a zone changes on the hour, so one look at each hour of the year is enough.
    seen, row = np.unique(hours, return_inverse=True)
    offset_s = [_offset_s(int(hour) * 3600) for hour in seen]
    return np.asarray((at_s + np.array(offset_s, np.int64)[row]) // 86_400, np.int64)


def week_of(at_s: Int64s) -> Int64s:
    """The week in which UTC instants lie."""
    return np.asarray((local_days(at_s) - (_WEEK_2 - _EPOCH).days) // 7 + 2, np.int64)


def _offset_s(at_s: int) -> int:
    offset = datetime.fromtimestamp(at_s, _ZONE).utcoffset()
    assert offset is not None
    return int(offset.total_seconds())
