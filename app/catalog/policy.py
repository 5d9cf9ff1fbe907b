"""The calculation policy: how cents are rounded, split and chosen."""

from typing import Annotated, Literal

from pydantic import Field

from app.resources.fields import Body
from app.resources.not_available import not_available
from app.resources.resource import Resource


class Policy(Body):
    """One for the whole price book."""

    rounding: Literal["half_up", "half_even", "half_down"] = "half_up"
    rounding_level: Annotated[Literal["line"], not_available("line")] = "line"
    percent_base: Literal["running", "initial"] = "running"
    remainder: Literal["largest", "first", "last", "nearest"] = "largest"
    selection: Literal["best", "priority"] = "best"
    exclusive_wins: bool = False
    coupon_failure: Literal["partial", "all"] = "partial"
    cash_rounding: Annotated[None, not_available()] = Field(None, description="Null; an increment is not available yet.")


POLICY = Resource("policy", "Policy", (Policy,), "catalog")
