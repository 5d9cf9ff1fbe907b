"""Guardrails: the bounds of a unit price that hold whatever the rules say."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from app.errors import FieldError
from app.pricing.guardrails import CHANGE_DAYS_MAX, FIELDS
from app.pricing.money import PPM, parse_percent_ppm, parse_unit_price_e4
from app.resources.fields import Body, Currency, Percent, UnitPrice
from app.resources.resource import Resource
from app.resources.shapes import Scope


class MaxChange(Body):
    """How far a published price may move from those that were in force in so many days before."""

    percent: Percent
    days: Annotated[int, Field(ge=1, le=CHANGE_DAYS_MAX)]


class Guardrail(Body):
    """Bounds of the unit price of some products; one at least."""

    scope: Scope
    currency: Currency
    floor: UnitPrice | None = None
    ceiling: UnitPrice | None = None
    min_margin: Annotated[Percent | None, Field(description="Percent of the price, below 100; binds where a cost is known.")] = (
        None
    )
    map: Annotated[
        UnitPrice | None, Field(description="Minimum advertised price: order promotions and promotions with a code may pass it.")
    ] = None
    max_discount: Annotated[Percent | None, Field(description="Percent of the list price.")] = None
    max_change: MaxChange | None = None


def _check(body: Mapping[str, Any]) -> list[FieldError]:
    if all(body[field] is None for field in FIELDS):
        return [FieldError("floor", "missing", f"give at least one of {', '.join(FIELDS)}")]
    problems: list[FieldError] = []
    if body["min_margin"] is not None and parse_percent_ppm(body["min_margin"]) >= PPM:
        problems.append(FieldError("min_margin", "out_of_bounds", "a margin of the price lies below 100 percent"))
    for field in ("floor", "map"):
        lower, ceiling = body[field], body["ceiling"]
        if lower is not None and ceiling is not None and parse_unit_price_e4(lower) > parse_unit_price_e4(ceiling):
            problems.append(FieldError("ceiling", f"below_{field}", f"lies below the {field}"))
    return problems


GUARDRAILS = Resource("guardrails", "Guardrail", (Guardrail,), "catalog", check=_check)
