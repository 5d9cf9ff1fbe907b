"""The calculation policy: how cents are rounded, split and chosen."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Discriminator, Field, StringConstraints, Tag

from app.pricing.money import E4, PPM, parse_decimal
from app.pricing.points import EARN_MAX, WORTH_MINOR_MAX
from app.resources.fields import Body, Currency, Percent, PositiveAmount
from app.resources.resource import Resource

WORTH_PATTERN: Final = r"^(0|[1-9][0-9]{0,5})(\.[0-9]{1,4})?$"
EARN_PATTERN: Final = r"^(0|[1-9][0-9]{0,3})(\.[0-9]{1,6})?$"
Increment = Annotated[int, Field(ge=1, le=100_000)]
# The names are put in brackets, so that none is mistaken for a member of the body.
Increments = Annotated[
    Annotated[Increment, Tag("(of all)")]
    | Annotated[dict[Currency, Increment], Field(min_length=1, max_length=50), Tag("(by currency)")],
    Discriminator(lambda setting: "(by currency)" if isinstance(setting, dict) else "(of all)"),
]


def _worth(text: str) -> str:
    if not 0 < parse_decimal(text, 4) <= WORTH_MINOR_MAX * E4:
        raise ValueError(f"a point is worth more than 0 and at most {WORTH_MINOR_MAX} minor units")
    return text


def _earn(text: str) -> str:
    if parse_decimal(text, 6) > EARN_MAX * PPM:
        raise ValueError(f"at most {EARN_MAX} points for a minor unit")
    return text


class PointsProgram(Body):
    """What a point pays, how much of the lines' totals points may pay, and how many are earned."""

    worth: Annotated[
        str, StringConstraints(pattern=WORTH_PATTERN), AfterValidator(_worth), Field(description="Of a point, in minor units.")
    ]
    max_percent: Annotated[Percent | None, Field(description="Of the sum of the lines' totals.")] = None
    max_amount: Annotated[PositiveAmount | None, Field(description="Minor units.")] = None
    earn: Annotated[
        str, StringConstraints(pattern=EARN_PATTERN), AfterValidator(_earn), Field(description="Points for a minor unit paid.")
    ] = "0"
    balances: Annotated[
        bool,
        Field(
            description="A hold takes redeemed points from the balance of the `customer.id`, and its confirm grants what was earned."
        ),
    ] = False


class Policy(Body):
    """One for the whole price book."""

    rounding: Literal["half_up", "half_even", "half_down"] = "half_up"
    rounding_level: Literal["line", "unit"] = "line"
    percent_base: Literal["running", "initial"] = "running"
    remainder: Literal["largest", "first", "last", "nearest", "carry"] = "largest"
    selection: Literal["best", "priority"] = "best"
    exclusive_wins: bool = False
    coupon_failure: Literal["partial", "all"] = "partial"
    cash_rounding: Annotated[
        Increments | None,
        Field(description="The payable total is rounded to so many minor units: in every currency, or by currency."),
    ] = None
    points: Annotated[dict[Currency, PointsProgram], Field(max_length=50, description="The points programs by currency.")] = {}


POLICY = Resource("policy", "Policy", (Policy,), "catalog")
