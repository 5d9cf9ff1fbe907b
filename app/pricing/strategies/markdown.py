"""Markdown: the price at which the stock comes down to a target by an instant.

Source: Gallego and van Ryzin (1994), the deterministic problem with iso-elastic demand: the price at which expected sales are exactly what is
left to sell, p = list · (needed / expected)^(1/ε), where `expected` would sell at the list price. It is worked out anew each day (UTC).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, NamedTuple

import numpy as np

from app.pricing.facts import Facts
from app.pricing.money import E4, INT64_MAX, PPM, QUANTITY_MILLI_MAX, UNIT_E4_MAX, Bools, Int64s, parse_decimal, round_mul_div
from app.pricing.params import Bounds, DecimalText, Instant, ParamProblem, QuantityText
from app.pricing.seasons import INDEX_E4_MAX
from app.pricing.strategy import ABSENT, Figure, Floats, Form, Inputs, Proposed, Status, bounded, nearness

KIND: Final = "markdown"
DAYS_MAX: Final = 400
FACTOR_PPM_MAX: Final = 100 * PPM
_DAY_S: Final = 86_400
_UNKNOWN: Final = -1
# What is expected is multiplied out, in 1/10 000 of 1/1000 unit.
assert QUANTITY_MILLI_MAX * INDEX_E4_MAX * DAYS_MAX < INT64_MAX
assert UNIT_E4_MAX * (FACTOR_PPM_MAX // PPM) < INT64_MAX


@dataclass(frozen=True, slots=True)
class Params:
    """Sell down to `target_units` by the instant `by`; ε is the own-price elasticity.

    `daily_units` sell a day at the list price and the usual demand, where the demand signal does not say it. With `only_down` the price does
    not rise above the list price.
    """

    by: Instant
    elasticity: Annotated[str, DecimalText(4, "-100", "-0.01")]
    target_units: Annotated[int, Bounds(0, 1_000_000)] | QuantityText = 0
    only_down: bool = True
    daily_units: Annotated[int, Bounds(1, 1_000_000)] | Annotated[str, DecimalText(3, "0.001", "1000000")] | None = None


def check(params: Params) -> list[ParamProblem]:
    """Any parameters fit each other."""
    return []


class Packed(NamedTuple):
    """Parameters by row."""

    by_s: Int64s
    steepness_e4: Int64s  # −ε, above 0
    target_milli: Int64s
    only_down: Bools
    daily_milli: Int64s  # −1 where not said


def pack(params: Sequence[Params]) -> Packed:
    """Lay out the parameters."""
    return Packed(
        np.array([int(datetime.fromisoformat(one.by).timestamp()) for one in params], np.int64),
        np.array([-parse_decimal(one.elasticity, 4) for one in params], np.int64),
        np.array([_milli(one.target_units) for one in params], np.int64),
        np.array([one.only_down for one in params], np.bool_),
        np.array([_UNKNOWN if one.daily_units is None else _milli(one.daily_units) for one in params], np.int64),
    )


def _milli(units: int | str) -> int:
    return parse_decimal(str(units), 3)


def prepare(packed: Packed) -> None:
    """There is nothing to prepare."""


def propose(packed: Packed, row: Int64s, inputs: Inputs) -> Proposed:
    """round(list × f), f = (needed / expected)^(1/ε) to a part per million."""
    stock = inputs.facts.stock_milli[inputs.sku_row]
    own, general = inputs.facts.daily_milli[inputs.sku_row], packed.daily_milli[row]
    daily = np.where(own >= 0, own, general)
    is_past = inputs.at_s >= packed.by_s[row]
    status = np.select(
        [is_past, stock < 0, daily < 0], [np.int64(Status.PAST), np.int64(Status.NO_STOCK), np.int64(Status.NO_DEMAND)], Status.OK
    ).astype(np.int64)
    is_good = status == Status.OK
    days = np.where(is_past, 1, np.minimum(_last_day(packed.by_s[row]) - inputs.at_s // _DAY_S, DAYS_MAX))
    expected = np.where(is_good, daily, 1) * inputs.demand_e4 * days
    needed = np.where(is_good, stock, 0) - packed.target_milli[row]
    factor = _factor_ppm(needed, expected, packed.steepness_e4[row])
    factor = np.where(packed.only_down[row], np.minimum(factor, PPM), factor)
    price = round_mul_div(inputs.list_unit_e4, factor, PPM, inputs.rounding)
    unit, reached, _ = bounded(np.minimum(price, UNIT_E4_MAX), price <= UNIT_E4_MAX, inputs)
    figures = (
        Figure("stock", Form.QUANTITY, np.where(stock < 0, ABSENT, stock)),
        Figure("days", Form.COUNT, np.where(is_past, ABSENT, days)),
        Figure("percent", Form.PERCENT, np.where(is_good, factor, ABSENT)),
    )
    return Proposed(unit, np.where(is_good, reached, status), figures)


def _factor_ppm(needed_milli: Int64s, expected_e7: Int64s, steepness_e4: Int64s) -> Int64s:
    """(needed / expected)^(1/ε) rounded half up to a part per million, at most 100; 1 where nothing is left to sell.

    A float becomes money here and nowhere else in this strategy. Parts per million are far coarser than what exp and log of two machines
    differ by, so that only a factor at the very edge of a half could come out otherwise on another one.
    """
    is_selling = needed_milli > 0
    ratio = np.where(is_selling, needed_milli * np.float64(E4) / expected_e7, 1.0)
    with np.errstate(over="ignore"):
        factor = np.exp(-np.log(ratio) * E4 / steepness_e4) * PPM
    return np.asarray(np.floor(np.minimum(factor, np.float64(FACTOR_PPM_MAX)) + 0.5), np.int64)


def _last_day(by_s: Int64s) -> Int64s:
    """The number of the day that is not begun before `by`."""
    return -(-by_s // _DAY_S)


def gain(packed: Packed, row: Int64s, inputs: Inputs, unit_e4: Int64s) -> Floats:
    """What counts is the stock, not the profit of a unit: the nearer, the better."""
    return nearness(unit_e4, propose(packed, row, inputs).unit_e4)


def instants_s(packed: Packed, row: Int64s, key: Int64s, facts: Facts) -> Int64s:
    """Each day of the last 400, and the end."""
    by_s = np.unique(packed.by_s[row])
    days = np.unique(_last_day(by_s)[:, None] - np.arange(1, DAYS_MAX)[None, :])
    return np.concatenate([days[days > 0] * _DAY_S, by_s])
