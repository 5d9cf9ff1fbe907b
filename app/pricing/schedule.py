"""When a rule holds: schedules compiled to sorted UTC intervals, and the question whether a rule is active at an instant.

Instants are whole seconds since 1970 UTC; intervals are half-open [from, to).
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from app.pricing.money import Bools, Int64s
from app.pricing.recurrence import occurrences, parse_rule
from app.pricing.splice import Edit, joined, joined_keys

EARLIEST_S: Final = 0
LATEST_S: Final = 2**33 - 1
ROW_STRIDE: Final = 2**33
_NEVER_S: Final = 2**62
_SHARED_MAX: Final = 8
_FEW: Final = 1_000
_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_BACK: Final = timedelta(days=400)
_AHEAD: Final = timedelta(days=800)
_DURATION: Final = re.compile(r"P(?=.)(?:([0-9]{1,2})W)?(?:([0-9]{1,3})D)?(?:T(?=.)(?:([0-9]{1,4})H)?(?:([0-9]{1,5})M)?)?")
_DURATION_MAX: Final = timedelta(days=366)

type Intervals = list[tuple[int, int]]


class ScheduleTable(NamedTuple):
    """The intervals of all rules of a table, in one sorted array.

    A key is row · 2^33 + second, so that one search answers for many (row, instant) pairs of different rows.
    """

    is_always: Bools  # (n_rows,)
    start_key: Int64s  # (n_intervals,)
    end_key: Int64s  # (n_intervals,)
    hull_s: Int64s  # (n_rules, 2) before the first the rule is not active, nor from the second on
    has_gaps: Bools | None  # (n_rules,) between them the intervals tell; None where no rule has more than one


class ScheduleError(ValueError):
    """A schedule that cannot be laid out: where in it, and what is wrong."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path


def compile_schedule(schedule: Mapping[str, Any], *, published_at_us: int, days: Sequence[str] = ()) -> Intervals:
    """Turn a schedule into its UTC intervals; none where its pattern never holds. `days` are those that it names, as ISO dates.

    Patterns are laid out around the day of publishing. Local times that do not exist or occur twice are resolved as `zoneinfo`
    with fold=0. Raises ScheduleError. Source: SEMANTICS.md, Schedules.
    """
    try:
        zone = ZoneInfo(schedule["timezone"])
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ScheduleError("timezone", "unknown time zone") from error
    start = instant_of_local("from", schedule["from"], zone) if schedule.get("from") else EARLIEST_S
    end = instant_of_local("to", schedule["to"], zone) if schedule.get("to") else LATEST_S
    if start >= end:
        raise ScheduleError("to", "'from' must lie before 'to'")
    laid_out = laid_out_days(published_at_us)
    if schedule.get("weekly"):
        windows = _weekly(schedule["weekly"], zone, *laid_out)
    elif schedule.get("rrule"):
        windows = _recurring(schedule["rrule"], zone, *laid_out)
    elif names_days(schedule):
        windows = _around_days(schedule.get("holidays") or schedule["festival"], zone, days)
    else:
        return [(start, end)]
    return _merged([(max(low, start), min(high, end)) for low, high in windows if low < end and high > start and low < high])


def laid_out_days(published_at_us: int) -> tuple[date, date]:
    """The first and the last local day on which the windows of a pattern begin, for a version published then."""
    published_at = datetime.fromtimestamp(published_at_us // 1_000_000, UTC)
    return (published_at - _BACK).date(), (published_at + _AHEAD).date()


def is_laid_out_anew(schedule: Mapping[str, Any] | None) -> bool:
    """Whether a schedule has a pattern that the day of publishing lays out."""
    return bool(schedule and (schedule.get("weekly") or schedule.get("rrule")))


def names_days(schedule: Mapping[str, Any] | None) -> bool:
    """Whether a schedule names days that are told to it: holidays or a festival."""
    return bool(schedule and (schedule.get("holidays") or schedule.get("festival")))


def parse_duration(text: str) -> timedelta:
    """A duration of RFC 5545 in days, hours and minutes, or in weeks. Raises ValueError.

    >>> parse_duration("P1DT2H30M")
    datetime.timedelta(days=1, seconds=9000)
    """
    match = _DURATION.fullmatch(text)
    found = timedelta(0)
    if match is not None:
        weeks, days, hours, minutes = (int(part or 0) for part in match.groups())
        found = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes)
    if not timedelta(0) < found <= _DURATION_MAX:
        raise ValueError("a duration lies between PT1M and P366D, in days, hours and minutes, as P1DT6H")
    return found


def instant_of_local(name: str, text: str, zone: ZoneInfo) -> int:
    """Seconds of a local date and time. Raises ScheduleError when it carries an offset or falls outside 1970 to 2242."""
    try:
        local = datetime.fromisoformat(text)
    except ValueError as error:
        raise ScheduleError(name, "not a date and time that exists") from error
    if local.tzinfo is not None:
        raise ScheduleError(name, "a local time has no offset")
    second = _second(local, zone)
    if not EARLIEST_S <= second <= LATEST_S:
        raise ScheduleError(name, "the time lies outside the years 1970 to 2242")
    return second


def _second(local: datetime, zone: ZoneInfo) -> int:
    return int(local.replace(tzinfo=zone, fold=0).timestamp())


def _weekly(weekly: Mapping[str, Any], zone: ZoneInfo, first: date, last: date) -> Intervals:
    days = {_DAYS.index(day) for day in weekly["days"]}
    start, end = time.fromisoformat(weekly["start"]), time.fromisoformat(weekly["end"])
    crosses_midnight = end <= start
    windows: Intervals = []
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        if day.weekday() in days:
            low = _second(datetime.combine(day, start), zone)
            windows.append((low, _second(datetime.combine(day + timedelta(days=crosses_midnight), end), zone)))
    return windows


def _recurring(rrule: Mapping[str, Any], zone: ZoneInfo, first: date, last: date) -> Intervals:
    try:
        rule = parse_rule(rrule["rule"])
    except ValueError as error:
        raise ScheduleError("rrule.rule", str(error)) from error
    try:
        duration = parse_duration(rrule["duration"])
    except ValueError as error:
        raise ScheduleError("rrule.duration", str(error)) from error
    instant_of_local("rrule.start", rrule["start"], zone)
    # One that begins before the first day may last into it.
    low = datetime.combine(first, time()) - duration
    high = datetime.combine(last, time()) + timedelta(days=1)
    try:
        found = occurrences(rule, datetime.fromisoformat(rrule["start"]), low, high)
    except ValueError as error:
        raise ScheduleError("rrule.rule", str(error)) from error
    windows = [(_second(local, zone), _second(local + duration, zone)) for local in found]
    if rule.until is not None and rule.until.tzinfo is not None:
        until = int(rule.until.timestamp())
        windows = [window for window in windows if window[0] <= until]
    return windows


def _around_days(pattern: Mapping[str, Any], zone: ZoneInfo, days: Sequence[str]) -> Intervals:
    before, after = timedelta(days=pattern.get("days_before") or 0), timedelta(days=(pattern.get("days_after") or 0) + 1)
    midnights = [datetime.fromisoformat(day) for day in days]
    return [(_second(midnight - before, zone), _second(midnight + after, zone)) for midnight in midnights]


def _merged(windows: Intervals) -> Intervals:
    merged: Intervals = []
    for low, high in sorted(windows):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high))
        else:
            merged.append((low, high))
    return merged


def pack_schedules(schedules: Sequence[Intervals | None]) -> ScheduleTable:
    """Pack the intervals of rows 0, 1, ...; None is always active."""
    start: list[int] = []
    end: list[int] = []
    for row, intervals in enumerate(schedules):
        for low, high in intervals or ():
            start.append(row * ROW_STRIDE + low)
            end.append(row * ROW_STRIDE + high)
    is_always = np.array([intervals is None for intervals in schedules], np.bool_)
    starts, ends = np.array(start, np.int64), np.array(end, np.int64)
    own = starts // ROW_STRIDE
    has_gaps = np.bincount(own, minlength=is_always.size) > 1
    return ScheduleTable(is_always, starts, ends, _hulls(is_always, own, starts, ends), has_gaps if has_gaps.any() else None)


def _hulls(is_always: Bools, row: Int64s, start_key: Int64s, end_key: Int64s) -> Int64s:
    """From when to when each rule is active at most (n_rules, 2): side by side, because they are looked up together."""
    hull_s = np.full((is_always.size, 2), EARLIEST_S)
    hull_s[is_always, 1] = _NEVER_S
    # Intervals rise within a row, so that written backwards its first start stays, and written forwards its last end.
    hull_s[row[::-1], 0] = start_key[::-1] % ROW_STRIDE
    hull_s[row, 1] = end_key - row * ROW_STRIDE
    return hull_s


def distinct(instants_s: Int64s) -> Int64s:
    """The instants, each once, sorted. Most of a million rows share a few: those are struck out before the others are sorted."""
    shared: list[int] = []
    while instants_s.size > _FEW and len(shared) < _SHARED_MAX:
        shared.append(int(instants_s[0]))
        instants_s = instants_s[instants_s != instants_s[0]]
    return np.unique(np.append(instants_s, shared).astype(np.int64))


def splice_schedules(edit: Edit, old: ScheduleTable, new: ScheduleTable) -> ScheduleTable:
    """The table of the rows that an edit makes of two."""
    return ScheduleTable(
        joined(edit, old.is_always, new.is_always),
        joined_keys(edit, old.start_key, new.start_key, ROW_STRIDE),
        joined_keys(edit, old.end_key, new.end_key, ROW_STRIDE),
        joined(edit, old.hull_s, new.hull_s),
        _splice_gaps(edit, old, new),
    )


def _splice_gaps(edit: Edit, old: ScheduleTable, new: ScheduleTable) -> Bools | None:
    if old.has_gaps is None and new.has_gaps is None:
        return None
    before, after = (
        np.zeros(table.is_always.size, np.bool_) if table.has_gaps is None else table.has_gaps for table in (old, new)
    )
    has_gaps = joined(edit, before, after)
    return has_gaps if has_gaps.any() else None


def never_holds(table: ScheduleTable, row: int) -> bool:
    """Whether a row has no interval at all."""
    return not table.is_always[row] and int(table.hull_s[row, 1]) == EARLIEST_S


def is_active(table: ScheduleTable, row: Int64s, at_s: Int64s) -> Bools:
    """Tell which rows (n,) are active at their instants, (n,) or one for all, in seconds."""
    hull_s = table.hull_s.take(row, axis=0)
    active: Bools = hull_s[:, 0] <= at_s
    active &= at_s < hull_s[:, 1]
    if table.has_gaps is not None:
        gapped = (active & table.has_gaps[row]).nonzero()[0]
        key = row[gapped] * ROW_STRIDE + np.broadcast_to(at_s, row.shape)[gapped]
        found = np.searchsorted(table.start_key, key, side="right") - 1
        active[gapped] = key < table.end_key[found]
    return active
