"""Value: the price of the next best alternative and a share of what the product is worth beyond it.

Source: Nagle and Müller, The Strategy and Tactics of Pricing, economic value estimation: reference value plus differentiation value, of
which the seller takes a part. What the product lacks is not shared: the buyer has the alternative.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from app.pricing.facts import Facts
from app.pricing.money import PPM, UNIT_E4_MAX, Int64s, parse_decimal, parse_percent_ppm, parse_unit_price_e4, round_mul_div
from app.pricing.params import Label, ParamProblem, PercentOff, SignedUnitPrice, UnitPrice
from app.pricing.strategy import NEVER, Figure, Floats, Form, Inputs, Proposed, bounded, nearness

KIND: Final = "value"
DIFFERENCES_MAX: Final = 100
assert DIFFERENCES_MAX * UNIT_E4_MAX < 2**62


@dataclass(frozen=True, slots=True)
class Difference:
    """What one difference is worth to the buyer of a unit; below 0 where the alternative has more."""

    name: Label
    amount: SignedUnitPrice


@dataclass(frozen=True, slots=True)
class Params:
    """`reference_price` is that of the next best alternative, `share` (percent, default 100) the part of the worth that the price takes."""

    reference_price: UnitPrice
    differences: tuple[Difference, ...] = ()
    share: PercentOff = "100"


def check(params: Params) -> list[ParamProblem]:
    """Nobody tells more differences apart."""
    return [("differences", f"at most {DIFFERENCES_MAX}")] if len(params.differences) > DIFFERENCES_MAX else []


class Packed(NamedTuple):
    """price = reference + worth, of which the buyer keeps a part where it is above 0."""

    reference_e4: Int64s
    worth_e4: Int64s
    share_ppm: Int64s


def pack(params: Sequence[Params]) -> Packed:
    """Lay out the parameters."""
    return Packed(
        np.array([parse_unit_price_e4(one.reference_price) for one in params], np.int64),
        np.array([sum(parse_decimal(each.amount, 4) for each in one.differences) for one in params], np.int64),
        np.array([parse_percent_ppm(one.share) for one in params], np.int64),
    )


def prepare(packed: Packed) -> None:
    """There is nothing to prepare."""


def propose(packed: Packed, row: Int64s, inputs: Inputs) -> Proposed:
    """max(0, reference + worth); worth = round(share × sum) above 0, the whole sum below."""
    total = packed.worth_e4[row]
    worth = np.where(total > 0, round_mul_div(np.maximum(total, 0), packed.share_ppm[row], PPM, inputs.rounding), total)
    reference = packed.reference_e4[row]
    price = np.maximum(reference + worth, 0)
    figures = (Figure("reference_price", Form.UNIT_PRICE, reference), Figure("worth", Form.UNIT_PRICE, worth))
    return bounded(np.minimum(price, UNIT_E4_MAX), price <= UNIT_E4_MAX, inputs)._replace(figures=figures)


def gain(packed: Packed, row: Int64s, inputs: Inputs, unit_e4: Int64s) -> Floats:
    """It knows no demand."""
    return nearness(unit_e4, propose(packed, row, inputs).unit_e4)


def instants_s(packed: Packed, row: Int64s, key: Int64s, facts: Facts) -> Int64s:
    """What it is made of stands in its parameters."""
    return NEVER
