"""Seasons: by how much demand is above or below the usual, week by week, day by day or in any period."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, StringConstraints

from app.errors import FieldError
from app.pricing.money import parse_decimal
from app.pricing.seasons import INDEX_E4_MAX, read_periods
from app.resources.fields import Body, LocalTime, Name, TimeZone
from app.resources.resource import Resource
from app.resources.shapes import Scope

PERIODS_MAX: Final = 2_000


def _index(text: str) -> str:
    if not 0 < parse_decimal(text, 4) <= INDEX_E4_MAX:
        raise ValueError("above 0 and at most 1000")
    return text


IndexText = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,3})(\.[0-9]{1,4})?$"), AfterValidator(_index)]


class Period(Body):
    """From (inclusive) to (exclusive) in local time: demand is `index` times the usual."""

    from_: Annotated[LocalTime, Field(alias="from")]
    to: LocalTime
    index: IndexText


class Season(Body):
    """How the demand for some products changes with the time of the year. Of several seasons of a product the most specific holds."""

    name: Name | None = None
    scope: Scope = Scope()
    timezone: TimeZone
    periods: Annotated[list[Period], Field(min_length=1, max_length=PERIODS_MAX)]


def _check(body: Mapping[str, Any]) -> list[FieldError]:
    try:
        read_periods(body)
    except ValueError as error:
        return [FieldError("periods", "invalid", str(error))]
    return []


SEASONS: Final = Resource("seasons", "Season", (Season,), "catalog", check=_check)
