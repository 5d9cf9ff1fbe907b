"""The calculation policy of a price book. Source: semantics.md 2."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from app.pricing.allocation import Remainder
from app.pricing.cash import Increments, read_increments
from app.pricing.money import E4, Rounding
from app.pricing.points import Programs, read_programs


class Policy(NamedTuple):
    """How a book rounds, splits and selects; the defaults are those of the service."""

    rounding: Rounding = "half_up"
    rounding_level: Literal["line", "unit"] = "line"
    percent_base: Literal["running", "initial"] = "running"
    remainder: Remainder = "largest"
    exclusive_wins: bool = False
    coupon_failure: Literal["partial", "all"] = "partial"
    cash_rounding: Increments = ()
    points: Programs = ()

    @property
    def grain_e4(self) -> int:
        """What unit prices are multiples of: a whole minor unit where they are rounded."""
        return E4 if self.rounding_level == "unit" else 1


def policy_of(body: Mapping[str, Any] | None) -> Policy:
    """Read the policy document; None is the default policy."""
    if body is None:
        return Policy()
    plain = {name: body[name] for name in Policy._fields if name in body}
    return Policy(
        **plain | {"cash_rounding": read_increments(body.get("cash_rounding")), "points": read_programs(body.get("points"))}
    )
