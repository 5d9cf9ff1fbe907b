"""Which meters count the limits of a book that all customers share."""

from datetime import UTC, datetime
from typing import Any

import pytest

from app.pricing.basket import Left
from app.pricing.book import Document
from app.pricing.counters import Count
from app.redemptions.book_limits import BookLimits
from app.redemptions.counters import Taken, count_of
from app.redemptions.limits import Limit, limits_of
from app.redemptions.meter_names import LimitName

type Bodies = dict[str, dict[str, Any]]


def documents(**resources: dict[str, Any]) -> dict[str, dict[str, Document]]:
    return {name.replace("_", "-"): {id_: Document(body, 1) for id_, body in own.items()} for name, own in resources.items()}


def told(limits: list[Limit]) -> list[tuple[str, str, int, str]]:
    now = datetime(2026, 11, 1, 23, 30, tzinfo=UTC)
    return sorted((one.rule, one.name, one.cap, one.meter(now)) for one in limits)


def test_each_limit_has_its_meter_and_quantities_count_in_thousandths() -> None:
    found = BookLimits().of(
        documents(
            promotions={"p": {"limits": {"uses": 5, "uses_per_customer": 1, "budget": 700, "gifts": 2}}, "plain": {}},
            campaigns={"k": {"budget": 900}, "free": {"budget": None}},
            coupons={"c": {"limits": {"uses": 4, "uses_per_code": 1}}, "open": {"limits": None}, "g": {"generate": {"count": 9}}},
            sale_prices={"s": {"stock_cap": 3, "per_customer_cap": 1}, "t": {"stock_cap": None}, "u": {"per_customer_cap": 2}},
        ),
        1,
    )

    assert told(found) == [
        ("c", "coupon_uses", 4, "coupons/c/uses"),
        ("c", "coupon_uses_per_code", 1, "coupons/c/codes/"),
        ("g", "coupon_uses_per_code", 1, "coupons/g/codes/"),
        ("k", "campaign_budget", 900, "campaigns/k/budget"),
        ("p", "budget", 700, "promotions/p/budget"),
        ("p", "gifts", 2_000, "promotions/p/gifts"),
        ("p", "uses", 5, "promotions/p/uses"),
        ("p", "uses_per_customer", 1, "promotions/p/customers/"),
        ("s", "units", 3_000, "sale-prices/s/units"),
        ("s", "units_per_customer", 1_000, "sale-prices/s/customers/"),
        ("u", "units_per_customer", 2_000, "sale-prices/u/customers/"),
    ]


@pytest.mark.parametrize(
    ("timezone", "days"),
    [
        (None, ("2026-11-01", "2026-10-26", "2026-11-01")),
        ("Europe/Berlin", ("2026-11-02", "2026-11-02", "2026-11-01")),
        ("America/Los_Angeles", ("2026-11-01", "2026-10-26", "2026-11-01")),
        ("Pacific/Kiritimati", ("2026-11-02", "2026-11-02", "2026-11-01")),
    ],
)
def test_windows_begin_by_the_clock_of_the_schedule(timezone: str | None, days: tuple[str, str, str]) -> None:
    limits = {"uses_per_day": 1, "uses_per_week": 2, "uses_per_month": 3}
    schedule = None if timezone is None else {"timezone": timezone}

    found = told(list(limits_of("promotions", "p", {"limits": limits, "schedule": schedule}, 1)))

    windows = zip(("day", "week", "month"), days, strict=True)
    assert {meter for _, _, _, meter in found} == {f"promotions/p/uses/{window}/{day}" for window, day in windows}


def test_only_what_changed_is_looked_at_again() -> None:
    limits = BookLimits()
    first = documents(promotions={"a": {"limits": {"uses": 1}}, "b": {"limits": {"uses": 2}}, "c": {"limits": {"uses": 3}}})
    limits.of(first, 1)
    second = {
        "promotions": {**first["promotions"], "a": Document({"limits": {"uses": 9}}, 2), "c": Document({"limits": None}, 2)}
    }

    assert [(rule, cap) for rule, _, cap, _ in told(limits.of(second, 2))] == [("a", 9), ("b", 2)]
    assert told(limits.of({}, 3)) == []


@pytest.mark.parametrize(
    ("limit", "cap", "taken", "left", "is_close"),
    [
        ("uses", 1_000, 899, 101, False),
        ("uses", 1_000, 900, 100, True),
        ("uses", 100, 79, 21, False),
        ("uses", 100, 80, 20, True),
        ("uses", 15, 0, 15, True),
        ("units", 100_000, 79_999, 20_001, False),
        ("units", 100_000, 80_000, 20_000, True),
        ("budget", 100, 89, 11, False),
        ("budget", 100, 90, 10, True),
        ("uses", 10, 12, 0, True),
    ],
)
def test_close_is_a_tenth_or_few(limit: LimitName, cap: int, taken: int, left: int, is_close: bool) -> None:
    found = count_of(Limit("r", limit, "order", cap, 3, "m"), Taken(cap, 3, taken), 3)

    assert found == Count(Left("r", limit, left), is_close)
