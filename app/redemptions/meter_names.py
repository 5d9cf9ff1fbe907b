"""The ids of meters, which people can read and look for, and what each is a meter of.

`promotions/<id>/uses/day/2026-11-27`, `coupons/<id>/codes/<CODE>`, `points/<customer>`: the parts stand between slashes, and one that holds a
slash or a percent sign has it percent-encoded.
"""

from datetime import date, timedelta
from typing import Final, Literal, NamedTuple

type Window = Literal["day", "week", "month"]
# What limits are called, in quotes too.
type LimitName = Literal[
    "uses",
    "uses_per_day",
    "uses_per_week",
    "uses_per_month",
    "uses_per_customer",
    "uses_per_customer_per_day",
    "uses_per_customer_per_week",
    "uses_per_customer_per_month",
    "budget",
    "gifts",
    "campaign_budget",
    "coupon_uses",
    "coupon_uses_per_customer",
    "coupon_uses_per_code",
    "units",
    "units_per_customer",
    "points",
]

# By the parts of an id between the rule and what differs; "*" stands for a customer or a code, "#" for a date.
_NAMES: Final[dict[tuple[str, ...], LimitName]] = {
    ("promotions", "uses"): "uses",
    ("promotions", "uses", "day", "#"): "uses_per_day",
    ("promotions", "uses", "week", "#"): "uses_per_week",
    ("promotions", "uses", "month", "#"): "uses_per_month",
    ("promotions", "customers", "*"): "uses_per_customer",
    ("promotions", "customers", "*", "day", "#"): "uses_per_customer_per_day",
    ("promotions", "customers", "*", "week", "#"): "uses_per_customer_per_week",
    ("promotions", "customers", "*", "month", "#"): "uses_per_customer_per_month",
    ("promotions", "budget"): "budget",
    ("promotions", "gifts"): "gifts",
    ("campaigns", "budget"): "campaign_budget",
    ("coupons", "uses"): "coupon_uses",
    ("coupons", "customers", "*"): "coupon_uses_per_customer",
    ("coupons", "codes", "*"): "coupon_uses_per_code",
    ("sale-prices", "units"): "units",
    ("sale-prices", "customers", "*"): "units_per_customer",
}


class MeterName(NamedTuple):
    """What a meter counts: a limit of a rule, of all or of a customer, a code, or a window from its first date on.

    Of a balance of points `resource` and `rule` are empty.
    """

    limit: LimitName
    resource: str
    rule: str
    customer: str | None = None
    code: str | None = None
    first_date: date | None = None


def encode_part(text: str) -> str:
    """A part of an id.

    >>> encode_part("a/50%")
    'a%2F50%25'
    """
    return text.replace("%", "%25").replace("/", "%2F") if "/" in text or "%" in text else text


def decode_part(part: str) -> str:
    """The text of a part."""
    return part.replace("%2F", "/").replace("%25", "%")


def points_meter(customer: str) -> str:
    """The id of a customer's balance of points."""
    return f"points/{encode_part(customer)}"


def first_date_of(window: Window, local: date) -> date:
    """The first date of the window that a date is in; weeks begin on Monday.

    >>> first_date_of("week", date(2026, 11, 29)), first_date_of("month", date(2026, 11, 29))
    (datetime.date(2026, 11, 23), datetime.date(2026, 11, 1))
    """
    match window:
        case "day":
            return local
        case "week":
            return local - timedelta(days=local.weekday())
        case "month":
            return local.replace(day=1)


def read_meter(meter: str) -> MeterName | None:
    """What the meter of an id counts, None of what is no meter's id."""
    resource, *parts = meter.split("/")
    if resource == "points":
        return MeterName("points", "", "", customer=decode_part(parts[0])) if len(parts) == 1 and parts[0] else None
    if len(parts) < 2 or not all(parts):
        return None
    rule, form, *rest = parts
    first_date: date | None = None
    shape = [resource, form]
    by: str | None = None
    if form in ("customers", "codes") and rest:
        by = decode_part(rest.pop(0))
        shape.append("*")
    if len(rest) == 2:
        try:
            first_date = date.fromisoformat(rest[1])
        except ValueError:
            return None
        rest[1] = "#"
    limit = _NAMES.get((*shape, *rest))
    if limit is None:
        return None
    is_code = form == "codes"
    return MeterName(limit, resource, rule, None if is_code else by, by if is_code else None, first_date)
