"""What a quote is asked for: one basket with its context, as the core sees it."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

type Attributes = Mapping[str, str | int | bool]

_NONE: Attributes = MappingProxyType({})


class Left(NamedTuple):
    """What is left of a limit of a rule: orders, minor units, or thousandths of a unit. Of a limit by code it is of that code."""

    rule: str
    limit: str
    left: int
    code: str = ""


class Barred(NamedTuple):
    """A promotion that does not apply in a basket because of what is left of a limit, its own or its campaign's."""

    promotion: str
    because_of: Left


class Basket(NamedTuple):
    """The lines of one request and everything that a condition may ask about them.

    `skus`, `line_ids` and `quantities_milli` run along the lines. `at_us` is the instant in microseconds since 1970 UTC.
    `codes` are normalised and distinct. None is absent: a condition on it is false.
    Attributes of the request stand before the customer's of the same name. `left` is told by whoever counts, and `barred` is found when
    the basket was priced: see SEMANTICS.md, Counters.
    """

    currency: str
    skus: Sequence[str]
    line_ids: Sequence[str]
    quantities_milli: Sequence[int]
    at_us: int
    channel: str | None = None
    store: str | None = None
    market: str | None = None
    customer_id: str | None = None
    segments: tuple[str, ...] | None = None
    level: str | None = None
    orders: int | None = None
    spend_minor: int | None = None
    days_since_last_order: int | None = None
    codes: tuple[str, ...] = ()
    attributes: Attributes = _NONE
    customer_attributes: Attributes = _NONE
    shipping_minor: int | None = None
    points: int = 0
    left: tuple[Left, ...] = ()
    barred: tuple[Barred, ...] = ()
