"""Instants in microseconds UTC, and schedules in local time."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from tests.reference.shop import Body

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY_US = 86_400 * 1_000_000
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def instant_us(text: str) -> int:
    """Return an RFC 3339 instant as microseconds since 1970."""
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1)


def local_instant_us(text: str, zone: str) -> int:
    """Return a local date and time as microseconds since 1970."""
    return _local_us(datetime.fromisoformat(text), zone)


def _local_us(local: datetime, zone: str) -> int:
    return (local.replace(tzinfo=ZoneInfo(zone), fold=0) - EPOCH) // timedelta(microseconds=1)


def is_active(schedule: Body | None, at_us: int, published_at_us: int) -> bool:
    """Say whether the schedule is active at the instant; without a schedule it always is. Intervals are half-open."""
    if schedule is None:
        return True
    zone = schedule.get("timezone") or "UTC"
    start, end = schedule.get("from"), schedule.get("to")
    if start is not None and at_us < _local_us(datetime.fromisoformat(start), zone):
        return False
    if end is not None and at_us >= _local_us(datetime.fromisoformat(end), zone):
        return False
    weekly = schedule.get("weekly")
    return weekly is None or _in_a_window(weekly, zone, at_us, published_at_us)


def _in_a_window(weekly: Body, zone: str, at_us: int, published_at_us: int) -> bool:
    if not published_at_us - 400 * DAY_US <= at_us < published_at_us + 800 * DAY_US:
        return False
    here = (EPOCH + timedelta(microseconds=at_us)).astimezone(ZoneInfo(zone)).date()
    # A window is at most a day long, so that only those of the days around the instant can hold it.
    return any(_window_holds(weekly, here + timedelta(days=days), zone, at_us) for days in range(-2, 3))


def _window_holds(weekly: Body, day: date, zone: str, at_us: int) -> bool:
    if DAYS[day.weekday()] not in weekly["days"]:
        return False
    opens, closes = time.fromisoformat(weekly["start"]), time.fromisoformat(weekly["end"])
    last_day = day + timedelta(days=1) if closes <= opens else day
    return _local_us(datetime.combine(day, opens), zone) <= at_us < _local_us(datetime.combine(last_day, closes), zone)
