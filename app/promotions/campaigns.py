"""Campaigns: promotions that share a goal, dates and a budget. The budget bounds what they give together; the rest is kept and shown."""

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from app.errors import FieldError
from app.resources.checks import check_schedule
from app.resources.fields import Body, Currency, Id, LocalTime, Name, PositiveAmount, TimeZone
from app.resources.resource import Resource


class Campaign(Body):
    """Promotions that belong together."""

    name: Name
    goal: Name | None = None
    promotions: Annotated[
        list[Id], Field(max_length=1000, description="Those that draw on the budget; one may be in several campaigns.")
    ] = []
    from_: Annotated[LocalTime | None, Field(alias="from")] = None
    to: LocalTime | None = None
    timezone: TimeZone | None = None
    budget: Annotated[
        PositiveAmount | None, Field(description="Minor units that the promotions give together, in requests in `currency`.")
    ] = None
    currency: Currency | None = None


def _check(body: Mapping[str, Any]) -> list[FieldError]:
    problems: list[FieldError] = []
    if (body["from"] or body["to"]) and body["timezone"] is None:
        problems.append(FieldError("timezone", "missing", "needed with from and to"))
    elif body["from"] and body["to"]:
        problems += [FieldError("to", error.code, error.message) for error in check_schedule(body)]
    if body["budget"] is not None and body["currency"] is None:
        problems.append(FieldError("currency", "missing", "needed with budget"))
    return problems


CAMPAIGNS = Resource("campaigns", "Campaign", (Campaign,), "promotions", check=_check)
