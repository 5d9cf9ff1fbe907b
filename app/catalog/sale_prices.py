"""Time-limited sale prices."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from app.errors import FieldError
from app.resources.checks import check_schedule
from app.resources.fields import Body, Count, Currency, Name, Percent, UnitPrice
from app.resources.resource import Resource
from app.resources.shapes import Schedule, Scope


class SalePrice(Body):
    """A fixed unit price, a percentage or an amount off the unit, for a time. Exactly one of the three."""

    name: Name
    scope: Scope
    currency: Annotated[
        Currency | None, Field(description="With `unit_price` and `amount` needed where prices are in several currencies.")
    ] = None
    unit_price: UnitPrice | None = None
    percent: Percent | None = None
    amount: UnitPrice | None = None
    schedule: Schedule | None = None
    stock_cap: Annotated[
        Count | None, Field(description="Units at this price in all; what a basket has beyond keeps its price.")
    ] = None
    per_customer_cap: Annotated[
        Count | None, Field(description="Units of a customer; a hold of more is refused, and so is one without `customer.id`.")
    ] = None


def _check(body: Mapping[str, Any]) -> list[FieldError]:
    problems = check_schedule(body["schedule"])
    given = [name for name in ("unit_price", "percent", "amount") if body[name] is not None]
    if len(given) != 1:
        problems.append(
            FieldError(given[1] if given else "unit_price", "one_of", "give exactly one of unit_price, percent and amount")
        )
    return problems


SALE_PRICES = Resource("sale-prices", "SalePrice", (SalePrice,), "catalog", check=_check)
