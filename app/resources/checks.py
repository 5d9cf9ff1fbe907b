"""Checks over several fields that more than one resource needs."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from app.errors import FieldError


def check_schedule(schedule: Mapping[str, Any] | None, *, path: str = "schedule") -> list[FieldError]:
    """An interval holds something. The instants are compared, because local times can be the wrong way round at the end of daylight saving."""
    if schedule is None or not schedule["from"] or not schedule["to"]:
        return []
    zone = ZoneInfo(schedule["timezone"])
    start, end = (datetime.fromisoformat(schedule[name]).replace(tzinfo=zone).timestamp() for name in ("from", "to"))
    return [] if start < end else [FieldError(f"{path}.to", "not_after", "must lie after from")]


def compares_amounts(condition: Mapping[str, Any] | None) -> bool:
    """Whether a condition holds an amount of money, which means something in one currency only."""
    if condition is None:
        return False
    if "attribute" in condition:
        return condition["attribute"] in ("order.subtotal", "order.shipping", "scope.subtotal", "customer.spend")
    parts = condition.get("all") or condition.get("any") or ([condition["not"]] if "not" in condition else [])
    return any(compares_amounts(part) for part in parts)
