"""Guardrails: the bounds of a unit price that hold whatever the rules say."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from app.errors import FieldError
from app.pricing.money import parse_unit_price_e4
from app.resources.fields import Body, Currency, UnitPrice
from app.resources.not_available import not_available
from app.resources.resource import Resource
from app.resources.shapes import Scope


class Guardrail(Body):
    """A floor and a ceiling of the unit price of some products."""

    scope: Scope
    currency: Currency
    floor: UnitPrice | None = None
    ceiling: UnitPrice | None = None
    min_margin: Annotated[None, not_available()] = Field(None, exclude=True)
    map: Annotated[None, not_available()] = Field(None, exclude=True)
    max_discount: Annotated[None, not_available()] = Field(None, exclude=True)
    max_change: Annotated[None, not_available()] = Field(None, exclude=True)


def _check(body: Mapping[str, Any]) -> list[FieldError]:
    floor, ceiling = body["floor"], body["ceiling"]
    if floor is None and ceiling is None:
        return [FieldError("floor", "missing", "give a floor, a ceiling or both")]
    if floor is not None and ceiling is not None and parse_unit_price_e4(floor) > parse_unit_price_e4(ceiling):
        return [FieldError("ceiling", "below_floor", "lies below the floor")]
    return []


GUARDRAILS = Resource("guardrails", "Guardrail", (Guardrail,), "catalog", check=_check)
