"""Promotions, one request model for each kind in the registry."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, create_model

from app.errors import FieldError
from app.pricing.decode import decode_params
from app.pricing.money import PPM, parse_percent_ppm
from app.pricing.rules import KINDS, gift
from app.resources.checks import check_schedule, compares_amounts
from app.resources.fields import Body, Count, Currency, Name, Order, Percent, PositiveAmount
from app.resources.params_model import params_model
from app.resources.resource import Resource
from app.resources.shapes import Conditions, Schedule, Scope


class Limits(Body):
    """How often and for how much in all. A hold takes from what is left and is refused where that is too little."""

    uses: Annotated[Count | None, Field(description="Orders in all.")] = None
    uses_per_day: Annotated[Count | None, Field(description="Orders a day, by dates in the schedule's time zone, else UTC.")] = (
        None
    )
    uses_per_week: Annotated[Count | None, Field(description="Orders a week, from Monday on.")] = None
    uses_per_month: Annotated[Count | None, Field(description="Orders a month.")] = None
    uses_per_customer: Annotated[Count | None, Field(description="Orders of a customer; such limits need a `customer.id`.")] = (
        None
    )
    uses_per_customer_per_day: Annotated[Count | None, Field(description="Orders of a customer a day.")] = None
    uses_per_customer_per_week: Annotated[Count | None, Field(description="Orders of a customer a week.")] = None
    uses_per_customer_per_month: Annotated[Count | None, Field(description="Orders of a customer a month.")] = None
    budget: Annotated[PositiveAmount | None, Field(description="Minor units that it gives in all; a gift counts its worth.")] = (
        None
    )
    gifts: Annotated[Count | None, Field(description="Units that are given in all. Of gift promotions only.")] = None


def _none_if_empty(limits: Limits | None) -> Limits | None:
    """Limits that limit nothing are the same as none, so that each has one way to be written."""
    return None if limits == Limits() else limits


class Funder(Body):
    """Who bears which share of the discount."""

    party: Name
    percent: Percent


class PromotionBase(Body):
    """What promotions of every kind have."""

    name: Name
    currency: Annotated[
        Currency | None, Field(description="Needed where the promotion holds amounts; it then applies to requests in it.")
    ] = None
    scope: Scope = Scope()
    conditions: Conditions = None
    schedule: Schedule | None = None
    lane: Order = 0
    priority: Order = 0
    group: Name | None = None
    exclusive: bool = False
    not_on_sale: bool = False
    requires_code: bool = False
    limits: Annotated[Limits | None, AfterValidator(_none_if_empty)] = None
    funding: Annotated[list[Funder], Field(max_length=100)] = []


def _member(kind: str) -> type[Body]:
    module = KINDS[kind]
    name = f"{kind.title().replace('_', '')}Promotion"
    kind_type: Any = Literal[kind]
    level_type: Any = Literal[module.LEVELS]
    return create_model(
        name,
        __base__=PromotionBase,
        __doc__=module.Params.__doc__,
        kind=(kind_type, ...),
        params=(params_model(module.Params, f"{name}Params"), ...),
        level=(level_type, module.LEVELS[0]),
    )


def _check(body: Mapping[str, Any]) -> list[FieldError]:
    kind = KINDS[body["kind"]]
    params = decode_params(kind.Params, body["params"])
    problems = [FieldError(f"params.{path}", "invalid", message) for path, message in kind.check(params, body["level"])]
    problems += check_schedule(body["schedule"])
    if body["limits"] is not None and body["limits"]["gifts"] is not None and body["kind"] != gift.KIND:
        problems.append(FieldError("limits.gifts", "not_of_kind", "only promotions of the kind gift give units"))
    if body["currency"] is None:
        has_budget = body["limits"] is not None and body["limits"]["budget"] is not None
        if kind.holds_amounts(params) or has_budget or compares_amounts(body["conditions"]):
            problems.append(FieldError("currency", "missing", "needed, because the promotion holds amounts"))
    if sum(parse_percent_ppm(funder["percent"]) for funder in body["funding"]) > PPM:
        problems.append(FieldError("funding", "above_100", "the shares add up to more than 100 percent"))
    parties = [funder["party"] for funder in body["funding"]]
    problems += [
        FieldError(f"funding[{number}].party", "duplicate", "the same party stands here twice")
        for number, party in enumerate(parties)
        if party in parties[:number]
    ]
    return problems


PROMOTIONS: Final = Resource("promotions", "Promotion", tuple(_member(kind) for kind in KINDS), "promotions", check=_check)
