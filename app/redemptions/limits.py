"""The limits of a book's rules that all customers share: which meter counts each, and up to where.

A limit by day, week or month has a meter for each, named by its first day in the time zone of the promotion's schedule.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from app.pricing.book import Document
from app.pricing.counters import BUDGET, CAMPAIGN_BUDGET, COUPON_USES, GIFTS, UNITS
from app.pricing.documents import columns_of
from app.pricing.money import MILLI, parse_decimal

type Window = Literal["day", "week", "month"]
type Body = Mapping[str, Any]

_WINDOWS: Final[Mapping[str, Window | None]] = {
    "uses": None,
    "uses_per_day": "day",
    "uses_per_week": "week",
    "uses_per_month": "month",
}


class SharedLimit(NamedTuple):
    """A limit of a rule, as counters name it. The cap is in orders, minor units or thousandths of a unit."""

    rule: str
    limit: str
    cap: int
    meter: str  # of a window up to its first day
    window: Window | None = None
    timezone: str = "UTC"

    def meter_at(self, now: datetime) -> str:
        """The meter that counts at an instant."""
        if self.window is None:
            return self.meter
        return f"{self.meter}/{first_day(self.window, now.astimezone(ZoneInfo(self.timezone)))}"


def first_day(window: Window, local: datetime) -> str:
    """The first day of the window that a local time is in; weeks begin on Monday."""
    day = local.date()
    if window == "week":
        day -= timedelta(days=day.weekday())
    elif window == "month":
        day = day.replace(day=1)
    return day.isoformat()


def meter_id(resource: str, name: str, *parts: str) -> str:
    """The id of a meter: readable, with what could be taken for a separator escaped."""
    return "/".join((resource, *(part.replace("%", "%25").replace("/", "%2F") for part in (name, *parts))))


def shared_limits(documents: Mapping[str, Mapping[str, Document]]) -> list[SharedLimit]:
    """All of a book's documents."""
    found: list[SharedLimit] = []
    for name, (limits, schedule) in _columns(documents, "promotions", "limits", "schedule"):
        found += limits_of_promotion(name, limits or {}, schedule)
    for name, (budget,) in _columns(documents, "campaigns", "budget"):
        if budget is not None:
            found.append(SharedLimit(name, CAMPAIGN_BUDGET, budget, meter_id("campaigns", name, "budget")))
    for name, (limits,) in _columns(documents, "coupons", "limits"):
        if (limits or {}).get("uses") is not None:
            found.append(SharedLimit(name, COUPON_USES, limits["uses"], meter_id("coupons", name, "uses")))
    for name, (cap,) in _columns(documents, "sale-prices", "stock_cap"):
        if cap is not None:
            found.append(SharedLimit(name, UNITS, thousandths(cap), meter_id("sale-prices", name, "units")))
    return found


def limits_of_promotion(name: str, limits: Body, schedule: Body | None) -> Iterator[SharedLimit]:
    """Those of one promotion."""
    timezone = (schedule or {}).get("timezone") or "UTC"
    for limit, window in _WINDOWS.items():
        if limits.get(limit) is not None:
            parts = ("uses",) if window is None else ("uses", window)
            yield SharedLimit(name, limit, limits[limit], meter_id("promotions", name, *parts), window, timezone)
    if limits.get("budget") is not None:
        yield SharedLimit(name, BUDGET, limits["budget"], meter_id("promotions", name, "budget"))
    if limits.get("gifts") is not None:
        yield SharedLimit(name, GIFTS, thousandths(limits["gifts"]), meter_id("promotions", name, "gifts"))


def thousandths(quantity: int | str) -> int:
    """A quantity of a document in the unit of its meter."""
    return quantity * MILLI if isinstance(quantity, int) else parse_decimal(quantity, 3)


def _columns(
    documents: Mapping[str, Mapping[str, Document]], resource: str, *fields: str
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    for part in columns_of(documents.get(resource, {}), fields):
        yield from zip(part.ids(), zip(*part.columns, strict=True), strict=True)
