"""An amount off each unit, off each line, or once across the lines of the scope."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from app.pricing.money import AMOUNT_MINOR_MAX, MILLI, Int64s, round_mul_div
from app.pricing.params import ParamProblem, PositiveAmountMinor
from app.pricing.rewards import Level, Reward, Turn, caps_of

KIND: Final = "amount_off"
LEVELS: Final[tuple[Level, ...]] = ("line", "order")
_UNIT: Final = 0
_LINE: Final = 1
_ACROSS: Final = 2
_PER: Final = {"unit": _UNIT, "line": _LINE, "across": _ACROSS}


@dataclass(frozen=True, slots=True)
class Params:
    """`amount` in minor units, `per` what it is taken of; `cap` bounds the discount over the basket."""

    amount: PositiveAmountMinor
    per: Literal["unit", "line", "across"] = "across"
    cap: PositiveAmountMinor | None = None


def check(params: Params, level: Level) -> list[ParamProblem]:
    """An order has one amount, taken across its lines."""
    if level == "order" and params.per != "across":
        return [("per", "an order promotion takes its amount across the lines")]
    return []


def holds_amounts(params: Params) -> bool:
    """The amount is money."""
    return True


def is_local(params: Params) -> bool:
    """A cap or an amount across ties lines together."""
    return params.cap is None and params.per != "across"


def is_by_line(params: Params) -> bool:
    """A cap or an amount across ties lines together."""
    return params.cap is None and params.per != "across"


def measures_running(params: Params) -> bool:
    """It has no steps."""
    return False


def personal_inputs(params: Params) -> tuple[str, ...]:
    """None."""
    return ()


class Packed(NamedTuple):
    """Parameters by row."""

    amount_minor: Int64s
    per: Int64s
    cap_minor: Int64s


def pack(params: Sequence[Params]) -> Packed:
    """Lay out the parameters."""
    return Packed(
        np.array([one.amount for one in params], np.int64),
        np.array([_PER[one.per] for one in params], np.int64),
        np.array([AMOUNT_MINOR_MAX if one.cap is None else one.cap for one in params], np.int64),
    )


def reward(packed: Packed, turn: Turn) -> Reward:
    """round(amount × quantity) or the amount on each line, or the amount across the lines."""
    amount, per = packed.amount_minor[turn.row], packed.per[turn.row]
    is_across = per == _ACROSS
    across = np.where(is_across, amount, 0) if is_across.any() else None
    line = None
    if not is_across.all():
        amount, per = np.where(is_across, 0, amount)[turn.lines.group], per[turn.lines.group]
        is_unit = per == _UNIT
        by_unit = round_mul_div(np.where(is_unit, amount, 0), turn.quantity_milli, MILLI, turn.policy.rounding)
        line = np.where(is_unit, by_unit, amount)
    return Reward(line_minor=line, across_minor=across, cap_minor=caps_of(packed.cap_minor, turn.row))


def next_benefit(packed: Packed, step: int, needed: int, times: int) -> Mapping[str, Any]:
    """An amount has no next step."""
    raise AssertionError("amount_off offers no steps")
