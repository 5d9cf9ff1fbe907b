"""The price that follows from own-price elasticity, for one SKU and one form of demand.

Sources of the optima: iso-elastic, Lerner (1934), p = cε/(1+ε); linear, p = (c + p0(1 − d/ε))/2; logit,
p = c + (1 + W(e^(v − bc − 1)))/b with Lambert's W (Aravindakshan and Ratchford 2011). `stock_value` is the shadow value of a unit in stock
and adds to the cost (Gallego and van Ryzin 1994).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Final, Literal, NamedTuple, cast

import numpy as np

from app.pricing.facts import Facts
from app.pricing.money import (
    E4,
    UNIT_E4_MAX,
    Bools,
    Int64s,
    mul_add_div,
    parse_decimal,
    parse_percent_ppm,
    parse_unit_price_e4,
    round_mul_div,
    round_up_where,
)
from app.pricing.params import DecimalText, ParamProblem, UnitPrice
from app.pricing.strategy import ABSENT, NEVER, Figure, Floats, Form, Inputs, Proposed, Status, bounded, known

KIND: Final = "elasticity"
_ISO_ELASTIC: Final = 0
_LINEAR: Final = 1
_LOGIT: Final = 2
_FORMS: Final = {"iso_elastic": _ISO_ELASTIC, "linear": _LINEAR, "logit": _LOGIT}


@dataclass(frozen=True, slots=True)
class Params:
    """Elasticity ε at the reference price, and what is maximised.

    `reference_share` (percent) is the share of customers who buy at the reference price; logit demand needs it.
    """

    form: Literal["iso_elastic", "linear", "logit"]
    elasticity: Annotated[str, DecimalText(4, "-100", "-0.0001")]
    reference_price: Annotated[str, DecimalText(4, "0.0001", "10000000000")]
    objective: Literal["profit", "revenue"] = "profit"
    stock_value: UnitPrice | None = None
    reference_share: Annotated[str, DecimalText(4, "0.0001", "99.9999")] | None = None


def check(params: Params) -> list[ParamProblem]:
    """Logit needs the share at the reference price, the others have no use for it."""
    if params.form == "logit" and params.reference_share is None:
        return [("reference_share", "logit demand needs the share at the reference price")]
    if params.form != "logit" and params.reference_share is not None:
        return [("reference_share", "only logit demand has a reference share")]
    return []


class Packed(NamedTuple):
    """Parameters by row; `steepness_e4` is −ε in 1/10 000, above 0."""

    form: Int64s
    steepness_e4: Int64s
    reference_e4: Int64s
    is_profit: Bools
    stock_value_e4: Int64s
    share: Floats


def pack(params: Sequence[Params]) -> Packed:
    """Lay out the parameters."""
    return Packed(
        np.array([_FORMS[one.form] for one in params], np.int64),
        np.array([-parse_decimal(one.elasticity, 4) for one in params], np.int64),
        np.array([parse_unit_price_e4(one.reference_price) for one in params], np.int64),
        np.array([one.objective == "profit" for one in params], np.bool_),
        np.array([parse_unit_price_e4(one.stock_value or "0") for one in params], np.int64),
        np.array([parse_percent_ppm(one.reference_share or "50") / 1_000_000 for one in params], np.float64),
    )


def prepare(packed: Packed) -> None:
    """Logit demand needs SciPy, which takes its time to import and which nothing else asks for."""
    if (packed.form == _LOGIT).any():
        _wright_omega()


@cache
def _wright_omega() -> Callable[[Floats], Floats]:
    from scipy.special import wrightomega  # noqa: PLC0415

    return cast(Callable[[Floats], Floats], wrightomega)


def propose(packed: Packed, row: Int64s, inputs: Inputs) -> Proposed:
    """The optimal price of each line (n,), before endings and guardrails. Exact but for logit, which is rounded from float64."""
    has_cost = known(inputs.cost_e4) | ~packed.is_profit[row]
    cost = _cost_e4(packed, row, inputs)
    form = packed.form[row]
    unit, status = np.zeros(row.size, np.int64), np.full(row.size, Status.OK, np.int64)
    for number, formula in ((_ISO_ELASTIC, _iso_elastic), (_LINEAR, _linear), (_LOGIT, _logit)):
        at = np.flatnonzero(form == number)
        if at.size:
            proposed = formula(packed, row[at], cost[at], inputs.only(at))
            unit[at], status[at] = proposed.unit_e4, proposed.status
    index = Figure("demand_index", Form.INDEX, np.where(inputs.demand_e4 == E4, ABSENT, inputs.demand_e4))
    return Proposed(unit, np.where(has_cost, status, Status.NO_COST), (index,))


def _cost_e4(packed: Packed, row: Int64s, inputs: Inputs) -> Int64s:
    """What selling a unit costs: its cost where profit counts, and the worth of the unit in stock."""
    cost = np.where(packed.is_profit[row] & known(inputs.cost_e4), inputs.cost_e4, 0)
    return cost + packed.stock_value_e4[row]


def _iso_elastic(packed: Packed, row: Int64s, cost_e4: Int64s, inputs: Inputs) -> Proposed:
    steepness = packed.steepness_e4[row]
    is_elastic = steepness > E4
    divisor = np.where(is_elastic, steepness - E4, 1)
    is_bounded = is_elastic & (cost_e4.astype(np.float64) * steepness / divisor <= UNIT_E4_MAX)
    price = round_mul_div(np.where(is_bounded, cost_e4, 0), steepness, divisor, inputs.rounding)
    unit, status, _ = bounded(price, is_bounded & (price <= UNIT_E4_MAX), inputs)
    # Without a cost the optimum of elastic demand runs to zero: the floor is the answer, if there is one.
    is_free = is_elastic & (cost_e4 == 0)
    has_floor = inputs.bounds.floor_rule >= 0
    return Proposed(np.where(is_free, inputs.bounds.floor_e4, unit), np.where(is_free & ~has_floor, Status.NO_FLOOR, status))


def _linear(packed: Packed, row: Int64s, cost_e4: Int64s, inputs: Inputs) -> Proposed:
    steepness, reference = packed.steepness_e4[row], packed.reference_e4[row]
    reach = steepness + inputs.demand_e4
    rough = (cost_e4.astype(np.float64) * steepness + reference.astype(np.float64) * reach) / (2.0 * steepness)
    is_bounded = rough <= UNIT_E4_MAX
    divisor = 2 * steepness
    quotient, rest = mul_add_div(np.where(is_bounded, cost_e4, 0), steepness, np.where(is_bounded, reference, 0), reach, divisor)
    price = round_up_where(quotient, rest, divisor, inputs.rounding)
    return bounded(price, is_bounded & (price <= UNIT_E4_MAX), inputs)


def _logit(packed: Packed, row: Int64s, cost_e4: Int64s, inputs: Inputs) -> Proposed:
    slope, utility = _logit_demand(packed, row, inputs.demand_e4)
    price = cost_e4 + (1.0 + _wright_omega()(utility - slope * cost_e4 - 1.0)) / slope
    is_bounded = price <= UNIT_E4_MAX
    # The one place where a float of this formula becomes money.
    unit = np.floor(np.where(is_bounded, price, 0.0) + 0.5).astype(np.int64)
    return bounded(unit, is_bounded, inputs)


def _logit_demand(packed: Packed, row: Int64s, demand_e4: Int64s) -> tuple[Floats, Floats]:
    """Slope b (per e4) and utility v of the share e^(v − bp) / (1 + e^(v − bp)), from ε and the share at the reference price."""
    share, reference = packed.share[row], packed.reference_e4[row]
    slope = packed.steepness_e4[row] / E4 / (reference * (1.0 - share))
    with np.errstate(divide="ignore"):
        utility = np.log(share / (1.0 - share)) + slope * reference + np.log(demand_e4 / E4)
    return slope, utility


def gain(packed: Packed, row: Int64s, inputs: Inputs, unit_e4: Int64s) -> Floats:
    """What a unit brings over its cost times demand at a price, up to a factor that is the same for every price of a line."""
    price = unit_e4.astype(np.float64)
    form, steepness = packed.form[row], packed.steepness_e4[row] / E4
    relative = price / packed.reference_e4[row]
    slope, utility = _logit_demand(packed, row, inputs.demand_e4)
    with np.errstate(over="ignore"):
        quantity = np.select(
            [form == _ISO_ELASTIC, form == _LINEAR],
            [relative**-steepness, inputs.demand_e4 / E4 - steepness * (relative - 1.0)],
            1.0 / (1.0 + np.exp(slope * price - utility)),
        )
    return np.asarray((price - _cost_e4(packed, row, inputs)) * quantity, np.float64)


def instants_s(packed: Packed, row: Int64s, key: Int64s, facts: Facts) -> Int64s:
    """It changes with the season alone, of which the book knows."""
    return NEVER
