"""Seasons: by how much demand is above or below the usual, week by week, day by day or in any period."""

from collections.abc import Mapping
from typing import Annotated, Any, Final

from pydantic import Field

from app.errors import FieldError
from app.pricing.seasons import read_periods
from app.resources.fields import Body, DemandIndex, LocalTime, Name, TimeZone
from app.resources.resource import Resource
from app.resources.shapes import Scope

PERIODS_MAX: Final = 2_000


class Period(Body):
    """From (inclusive) to (exclusive) in local time: demand is `index` times the usual."""

    from_: Annotated[LocalTime, Field(alias="from")]
    to: LocalTime
    index: DemandIndex


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
