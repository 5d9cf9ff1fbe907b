"""Checks over several fields that more than one resource needs."""

import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from app.calendars.named_days import NamedDaysError, check_named_days, named_days
from app.errors import FieldError
from app.pricing.schedule import ScheduleError, compile_schedule, laid_out_days

_PATTERNS: Final = ("weekly", "rrule", "holidays", "festival")


def check_schedule(schedule: Mapping[str, Any] | None, *, path: str = "schedule") -> list[FieldError]:
    """An interval holds something, and so does a pattern, now or in the time that is laid out ahead; what it names is known.

    The instants are compared, because local times can be the wrong way round at the end of daylight saving.
    """
    if schedule is None:
        return []
    if schedule["from"] and schedule["to"]:
        zone = ZoneInfo(schedule["timezone"])
        start, end = (datetime.fromisoformat(schedule[name]).replace(tzinfo=zone).timestamp() for name in ("from", "to"))
        if start >= end:
            return [FieldError(f"{path}.to", "not_after", "must lie after from")]
    patterns = [name for name in _PATTERNS if schedule.get(name)]
    if len(patterns) > 1:
        return [FieldError(f"{path}.{patterns[1]}", "one_of", f"give at most one of {', '.join(_PATTERNS)}")]
    if not patterns or (patterns == ["weekly"] and not schedule["from"] and not schedule["to"]):
        return []  # every week has each of its days
    return [_within(path, error) for error in _check_pattern(schedule, patterns[0])]


def _check_pattern(schedule: Mapping[str, Any], pattern: str) -> list[FieldError]:
    now_us = time.time_ns() // 1000
    first, last = laid_out_days(now_us)
    try:
        check_named_days(schedule, first, last)
        days = [day.isoformat() for day in named_days(schedule, first, last)]
    except NamedDaysError as error:
        return [FieldError(error.path, "unknown", str(error))]
    try:
        intervals = compile_schedule(schedule, published_at_us=now_us, days=days)
    except ScheduleError as error:
        return [FieldError(error.path, "invalid", str(error))]
    return [] if intervals else [FieldError(pattern, "never_holds", f"never holds from {first} to {last}")]


def _within(path: str, error: FieldError) -> FieldError:
    return FieldError(f"{path}.{error.path}", error.code, error.message)


def compares_amounts(condition: Mapping[str, Any] | None) -> bool:
    """Whether a condition holds an amount of money, which means something in one currency only."""
    if condition is None:
        return False
    if "attribute" in condition:
        return condition["attribute"] in ("order.subtotal", "order.shipping", "scope.subtotal", "customer.spend")
    parts = condition.get("all") or condition.get("any") or ([condition["not"]] if "not" in condition else [])
    return any(compares_amounts(part) for part in parts)
