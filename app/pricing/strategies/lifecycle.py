"""Lifecycle: the price of the stage that a product is in, from introduction to exit.

Source: the product life cycle in pricing, Dean (1950), Pricing policies for new products: skim or penetrate at first, then hold, mark down,
clear. Each stage says its price, as a part of the list price or by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Final, NamedTuple

import numpy as np

from app.pricing.facts import Facts
from app.pricing.money import PPM, UNIT_E4_MAX, Int64s, parse_percent_ppm, parse_unit_price_e4, round_mul_div
from app.pricing.params import DecimalText, IdText, Instant, ParamProblem, UnitPrice
from app.pricing.schedule import ROW_STRIDE
from app.pricing.strategy import ABSENT, Figure, Floats, Form, Inputs, Proposed, Status, bounded, nearness

KIND: Final = "lifecycle"
_LIST: Final = -1
assert UNIT_E4_MAX * 10 < 2**62


@dataclass(frozen=True, slots=True)
class Stage:
    """From an instant on: exactly one of `percent` (of the list price) and `unit_price`."""

    stage: IdText
    from_: Instant
    percent: Annotated[str, DecimalText(4, "0", "1000")] | None = None
    unit_price: UnitPrice | None = None


@dataclass(frozen=True, slots=True)
class Params:
    """The stages, one after the other."""

    stages: tuple[Stage, ...]


def check(params: Params) -> list[ParamProblem]:
    """Stages follow one another, and each has one price."""
    problems: list[ParamProblem] = [] if params.stages else [("stages", "at least one stage")]
    reached_s = -1
    for number, stage in enumerate(params.stages):
        if (stage.percent is None) == (stage.unit_price is None):
            problems.append((f"stages[{number}].percent", "give either a percentage of the list price or a unit price"))
        if _second(stage.from_) <= reached_s:
            problems.append((f"stages[{number}].from", "stages begin one after the other"))
        reached_s = _second(stage.from_)
    return problems


def _second(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


class Packed(NamedTuple):
    """The stages of all strategies: keys row · 2^33 + second, sorted; price = list · ppm, or where that is −1 the unit price."""

    start_key: Int64s
    percent_ppm: Int64s
    unit_e4: Int64s
    name: Int64s
    names: tuple[str, ...]


def pack(params: Sequence[Params]) -> Packed:
    """Lay out the stages."""
    stages = [(row, stage) for row, one in enumerate(params) for stage in one.stages]
    names = tuple(sorted({stage.stage for _, stage in stages}))
    return Packed(
        np.array([row * ROW_STRIDE + _second(stage.from_) for row, stage in stages], np.int64),
        np.array([_LIST if stage.percent is None else parse_percent_ppm(stage.percent) for _, stage in stages], np.int64),
        np.array([parse_unit_price_e4(stage.unit_price or "0") for _, stage in stages], np.int64),
        np.array([names.index(stage.stage) for _, stage in stages], np.int64),
        names,
    )


def prepare(packed: Packed) -> None:
    """There is nothing to prepare."""


def propose(packed: Packed, row: Int64s, inputs: Inputs) -> Proposed:
    """round(list × percent), or the unit price, of the last stage that has begun."""
    key = row * ROW_STRIDE + inputs.at_s
    stage = np.searchsorted(packed.start_key, key, side="right") - 1
    has_stage = (stage >= 0) & (packed.start_key[stage] // ROW_STRIDE == row)
    percent = packed.percent_ppm[stage]
    of_list = round_mul_div(inputs.list_unit_e4, np.maximum(percent, 0), PPM, inputs.rounding)
    price = np.where(percent >= 0, of_list, packed.unit_e4[stage])
    unit, status, _ = bounded(np.minimum(price, UNIT_E4_MAX), price <= UNIT_E4_MAX, inputs)
    shown = Figure("stage", Form.TEXT, np.where(has_stage, packed.name[stage], ABSENT), packed.names)
    return Proposed(unit, np.where(has_stage, status, Status.NO_STAGE), (shown,))


def gain(packed: Packed, row: Int64s, inputs: Inputs, unit_e4: Int64s) -> Floats:
    """It knows no demand."""
    return nearness(unit_e4, propose(packed, row, inputs).unit_e4)


def instants_s(packed: Packed, row: Int64s, key: Int64s, facts: Facts) -> Int64s:
    """A stage begins."""
    return packed.start_key[np.isin(packed.start_key // ROW_STRIDE, row)] % ROW_STRIDE
