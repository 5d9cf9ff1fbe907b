"""Ladders: products that are sold as good, better, best, and the gaps that their prices keep."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, StringConstraints

from app.errors import FieldError
from app.pricing.ladders import RUNGS_MAX
from app.pricing.money import parse_decimal
from app.resources.fields import PERCENT_PATTERN, Body, Currency, Name, Sku, UnitPrice
from app.resources.resource import Resource

_PERCENT_MAX: Final = 1_000


def _relative(text: str) -> str:
    if parse_decimal(text, 4) > _PERCENT_MAX * 10**4:
        raise ValueError(f"a percentage lies between 0 and {_PERCENT_MAX}")
    return text


RelativePercent = Annotated[str, StringConstraints(pattern=PERCENT_PATTERN.replace("{0,2}", "{0,3}")), AfterValidator(_relative)]


class Rung(Body):
    """A product, its least gap to the rung below, and the band around the reference that its price stays in."""

    sku: Sku
    gap_amount: UnitPrice | None = None
    gap_percent: Annotated[RelativePercent | None, Field(description="Of the price of the rung below.")] = None
    low_percent: Annotated[RelativePercent | None, Field(description="The least price, in percent of the reference.")] = None
    high_percent: Annotated[RelativePercent | None, Field(description="The greatest price, in percent of the reference.")] = None


class Ladder(Body):
    """Products from the lowest rung to the highest. A product is on one ladder of a currency."""

    name: Name | None = None
    currency: Currency
    reference: Annotated[
        Literal["list", "market"],
        Field(description="What bands are measured by: the product's list price, or the average of its competitors' prices."),
    ] = "list"
    rungs: Annotated[list[Rung], Field(min_length=1, max_length=RUNGS_MAX)]


def _check(body: Mapping[str, Any]) -> list[FieldError]:
    problems: list[FieldError] = []
    seen: set[str] = set()
    for number, rung in enumerate(body["rungs"]):
        path = f"rungs[{number}]"
        if rung["sku"] in seen:
            problems.append(FieldError(f"{path}.sku", "duplicate", "stands on the ladder already"))
        seen.add(rung["sku"])
        if number == 0 and (rung["gap_amount"] is not None or rung["gap_percent"] is not None):
            problems.append(FieldError(f"{path}.gap_amount", "invalid", "there is no rung below the first"))
        if rung["gap_amount"] is not None and rung["gap_percent"] is not None:
            problems.append(FieldError(f"{path}.gap_percent", "invalid", "a gap is an amount or a percentage"))
        low, high = rung["low_percent"], rung["high_percent"]
        if low is not None and high is not None and parse_decimal(low, 4) > parse_decimal(high, 4):
            problems.append(FieldError(f"{path}.high_percent", "invalid", "lies below low_percent"))
    return problems


LADDERS: Final = Resource("ladders", "Ladder", (Ladder,), "catalog", check=_check)
