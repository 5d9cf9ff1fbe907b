"""Cost-plus: the unit cost with a markup, or at a target margin."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, NamedTuple

import numpy as np

from app.pricing.facts import Facts
from app.pricing.money import PPM, UNIT_E4_MAX, Int64s, parse_percent_ppm, parse_unit_price_e4, round_mul_div
from app.pricing.params import DecimalText, MarkupPercent, ParamProblem, UnitPrice
from app.pricing.strategy import NEVER, Floats, Inputs, Proposed, Status, bounded, known, nearness

KIND: Final = "cost_plus"


@dataclass(frozen=True, slots=True)
class Params:
    """Exactly one of `markup` ((price − cost) / cost) and `margin` ((price − cost) / price); `amount` is added to a unit."""

    markup: MarkupPercent | None = None
    margin: Annotated[str, DecimalText(4, "0", "99.9999")] | None = None
    amount: UnitPrice | None = None


def check(params: Params) -> list[ParamProblem]:
    """Markup and margin exclude each other, and one must be there."""
    if (params.markup is None) == (params.margin is None):
        return [("markup", "give either a markup or a margin")]
    return []


class Packed(NamedTuple):
    """price = cost · numerator / denominator + amount."""

    numerator_ppm: Int64s
    denominator_ppm: Int64s
    amount_e4: Int64s


def pack(params: Sequence[Params]) -> Packed:
    """Lay out markups as (1 + markup) / 1 and margins as 1 / (1 − margin)."""
    return Packed(
        np.array([PPM if one.markup is None else PPM + parse_percent_ppm(one.markup) for one in params], np.int64),
        np.array([PPM if one.margin is None else PPM - parse_percent_ppm(one.margin) for one in params], np.int64),
        np.array([parse_unit_price_e4(one.amount or "0") for one in params], np.int64),
    )


def prepare(packed: Packed) -> None:
    """There is nothing to prepare."""


def propose(packed: Packed, row: Int64s, inputs: Inputs) -> Proposed:
    """round(cost × (1 + markup)) + amount, or round(cost / (1 − margin)) + amount, in e4."""
    has_cost = known(inputs.cost_e4)
    cost = np.where(has_cost, inputs.cost_e4, 0)
    numerator, denominator = packed.numerator_ppm[row], packed.denominator_ppm[row]
    is_bounded = cost.astype(np.float64) * numerator / denominator <= UNIT_E4_MAX
    price = round_mul_div(np.where(is_bounded, cost, 0), numerator, denominator, inputs.rounding) + packed.amount_e4[row]
    unit, status, _ = bounded(price, is_bounded & (price <= UNIT_E4_MAX), inputs)
    return Proposed(unit, np.where(has_cost, status, Status.NO_COST))


def gain(packed: Packed, row: Int64s, inputs: Inputs, unit_e4: Int64s) -> Floats:
    """Cost-plus knows no demand."""
    return nearness(unit_e4, propose(packed, row, inputs).unit_e4)


def instants_s(packed: Packed, row: Int64s, key: Int64s, facts: Facts) -> Int64s:
    """A price of costs does not change by time alone."""
    return NEVER
