"""The limits of a book's rules that all customers share: which meter counts each, and up to where.

A limit by day, week or month has a meter for each, named by its first day in the time zone of the promotion's schedule.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

from app.pricing.book import Document
from app.pricing.counters import BUDGET, CAMPAIGN_BUDGET, COUPON_USES, GIFTS, UNITS
from app.pricing.documents import changed_ids
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


class BookLimits:
    """The shared limits of one book after the other; only what changed between two is looked at again."""

    def __init__(self) -> None:
        self._documents: dict[str, Mapping[str, Document]] = {}
        self._limits: dict[str, dict[str, tuple[SharedLimit, ...]]] = {}

    def of(self, documents: Mapping[str, Mapping[str, Document]]) -> list[SharedLimit]:
        """All of a book's documents."""
        for resource, limits_of in _LIMITS_OF.items():
            after = documents.get(resource, _NO_DOCUMENTS)
            before = self._documents.get(resource)
            changed = None if before is None else changed_ids(before, after)
            if changed is None:
                self._limits[resource] = {}
                changed = set(after)
            known = self._limits[resource]
            for name in changed:
                document = after.get(name)
                limits = () if document is None else tuple(limits_of(name, document.body))
                if limits:
                    known[name] = limits
                else:
                    known.pop(name, None)
            self._documents[resource] = after
        return [limit for known in self._limits.values() for limits in known.values() for limit in limits]


def limits_of_promotion(name: str, body: Body) -> Iterator[SharedLimit]:
    """Those of one promotion."""
    limits: Body = body.get("limits") or {}
    timezone = (body.get("schedule") or {}).get("timezone") or "UTC"
    for limit, window in _WINDOWS.items():
        if limits.get(limit) is not None:
            parts = ("uses",) if window is None else ("uses", window)
            yield SharedLimit(name, limit, limits[limit], meter_id("promotions", name, *parts), window, timezone)
    if limits.get("budget") is not None:
        yield SharedLimit(name, BUDGET, limits["budget"], meter_id("promotions", name, "budget"))
    if limits.get("gifts") is not None:
        yield SharedLimit(name, GIFTS, thousandths(limits["gifts"]), meter_id("promotions", name, "gifts"))


def limits_of_campaign(name: str, body: Body) -> Iterator[SharedLimit]:
    """That of one campaign."""
    if body.get("budget") is not None:
        yield SharedLimit(name, CAMPAIGN_BUDGET, body["budget"], meter_id("campaigns", name, "budget"))


def limits_of_coupon(name: str, body: Body) -> Iterator[SharedLimit]:
    """That of one coupon; its codes have limits of their own."""
    uses = (body.get("limits") or {}).get("uses")
    if uses is not None:
        yield SharedLimit(name, COUPON_USES, uses, meter_id("coupons", name, "uses"))


def limits_of_sale_price(name: str, body: Body) -> Iterator[SharedLimit]:
    """That of one sale price."""
    if body.get("stock_cap") is not None:
        yield SharedLimit(name, UNITS, thousandths(body["stock_cap"]), meter_id("sale-prices", name, "units"))


_NO_DOCUMENTS: Final[Mapping[str, Document]] = {}
_LIMITS_OF: Final[Mapping[str, Callable[[str, Body], Iterator[SharedLimit]]]] = {
    "promotions": limits_of_promotion,
    "campaigns": limits_of_campaign,
    "coupons": limits_of_coupon,
    "sale-prices": limits_of_sale_price,
}


def thousandths(quantity: int | str) -> int:
    """A quantity of a document in the unit of its meter."""
    return quantity * MILLI if isinstance(quantity, int) else parse_decimal(quantity, 3)
