"""Competitor: a price that follows what others ask, at an index of it or an amount below.

Source: the rules of price matching suites: match, undercut or hold an index against one competitor or a statistic of several, of observations
that are not too old. The formulas stand in SEMANTICS.md, Strategy formulas.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, Literal, NamedTuple

import numpy as np

from app.pricing.facts import Facts, Rivals, observations_of
from app.pricing.groups import groups_of
from app.pricing.money import (
    PPM,
    UNIT_E4_MAX,
    Bools,
    Int64s,
    mul_div,
    parse_decimal,
    parse_percent_ppm,
    parse_unit_price_e4,
    round_mul_div,
    round_up_where,
)
from app.pricing.params import Bounds, DecimalText, IdText, ParamProblem, UnitPrice
from app.pricing.strategy import ABSENT, Figure, Floats, Form, Inputs, Proposed, Status, bounded, nearness

KIND: Final = "competitor"
_NAMED: Final = 0
_LOWEST: Final = 1
_SECOND_LOWEST: Final = 2
_AVERAGE: Final = 3
_MEDIAN: Final = 4
_WEIGHTED: Final = 5
_AGAINST: Final = {
    "lowest": _LOWEST,
    "second_lowest": _SECOND_LOWEST,
    "average": _AVERAGE,
    "median": _MEDIAN,
    "weighted": _WEIGHTED,
}
_HOUR_S: Final = 3_600
_MINUTE_S: Final = 60
_NEVER_S: Final = 1 << 62
_ANY_AGE: Final = -1


@dataclass(frozen=True, slots=True)
class Weight:
    """How much a competitor counts."""

    competitor: IdText
    weight: Annotated[str, DecimalText(3, "0.001", "1000")]


@dataclass(frozen=True, slots=True)
class Params:
    """Which price is followed (`against`: lowest, second_lowest, average, median, weighted, or a competitor's name) and how.

    `percent` is the index held against it (98 is 2 % below), `amount` is taken off after that. Without an observation that is fresh enough
    the list price stands, or the last price is held.
    """

    against: IdText
    weights: tuple[Weight, ...] | None = None
    percent: Annotated[str, DecimalText(4, "0.0001", "1000")] = "100"
    amount: UnitPrice = "0"
    in_stock_only: bool = False
    max_age_hours: Annotated[int, Bounds(1, 8_760)] | None = None
    otherwise: Literal["list", "hold"] = "list"


def check(params: Params) -> list[ParamProblem]:
    """Weights are there where they are asked for, once for each competitor."""
    problems: list[ParamProblem] = []
    if (params.against == "weighted") != bool(params.weights):
        problems.append(("weights", "there are weights where, and only where, the price goes against the weighted average"))
    names = [one.competitor for one in params.weights or ()]
    problems += [
        (f"weights[{number}].competitor", "has a weight already") for number, name in enumerate(names) if name in names[:number]
    ]
    return problems


class Packed(NamedTuple):
    """Parameters by row; the competitors that are named, by row, with their weights."""

    against: Int64s
    percent_ppm: Int64s
    amount_e4: Int64s
    in_stock_only: Bools
    age_s: Int64s  # _ANY_AGE without a limit
    holds: Bools
    named_first: Int64s  # (n_rows + 1,)
    named: tuple[str, ...]
    weight_milli: Int64s


def pack(params: Sequence[Params]) -> Packed:
    """Lay out the parameters."""
    named = [_named(one) for one in params]
    first = np.zeros(len(params) + 1, np.int64)
    np.cumsum([len(own) for own in named], out=first[1:])
    return Packed(
        np.array([_AGAINST.get(one.against, _NAMED) for one in params], np.int64),
        np.array([parse_percent_ppm(one.percent) for one in params], np.int64),
        np.array([parse_unit_price_e4(one.amount) for one in params], np.int64),
        np.array([one.in_stock_only for one in params], np.bool_),
        np.array([_ANY_AGE if one.max_age_hours is None else one.max_age_hours * _HOUR_S for one in params], np.int64),
        np.array([one.otherwise == "hold" for one in params], np.bool_),
        first,
        tuple(name for own in named for name, _ in own),
        np.array([weight for own in named for _, weight in own], np.int64),
    )


def _named(params: Params) -> list[tuple[str, int]]:
    if params.weights:
        return [(one.competitor, parse_decimal(one.weight, 3)) for one in params.weights]
    return [] if params.against in _AGAINST else [(params.against, 1)]


def prepare(packed: Packed) -> None:
    """There is nothing to prepare."""


class _Followed(NamedTuple):
    """The observations that prices follow, by line and then by price and name."""

    line: Int64s
    observation: Int64s
    weight: Int64s
    is_held: Bools  # (n_lines,)


def propose(packed: Packed, row: Int64s, inputs: Inputs) -> Proposed:
    """max(0, round(reference × percent) − amount)."""
    rivals = inputs.facts.rivals
    followed = _followed(packed, row, inputs)
    groups = groups_of(followed.line)
    priced = followed.line[groups.starts]
    n_of_line = np.bincount(followed.line, minlength=row.size)
    against = packed.against[row]

    reference = np.zeros(row.size, np.int64)
    source = np.full(row.size, ABSENT)
    unit, name = rivals.unit_e4[followed.observation], rivals.name[followed.observation]
    starts, count = groups.starts, n_of_line[priced]
    chosen = starts + (against[priced] == _SECOND_LOWEST)
    reference[priced] = unit[chosen]
    is_one = against[priced] <= _SECOND_LOWEST
    source[priced[is_one]] = name[chosen[is_one]]
    # The two in the middle, which of an odd number are the same.
    middle = unit[starts + (count - 1) // 2] + unit[starts + count // 2]
    is_median = against[priced] == _MEDIAN
    reference[priced[is_median]] = round_mul_div(middle[is_median], 1, 2, inputs.rounding)
    is_mean = (against == _AVERAGE) | (against == _WEIGHTED)
    if is_mean.any() and priced.size:
        means = _means(unit, followed.weight, starts, groups.group, inputs)
        reference[priced] = np.where(is_mean[priced], means, reference[priced])

    price = np.maximum(round_mul_div(reference, packed.percent_ppm[row], PPM, inputs.rounding) - packed.amount_e4[row], 0)
    unit_e4, status, _ = bounded(np.minimum(price, UNIT_E4_MAX), price <= UNIT_E4_MAX, inputs)
    status = np.where(followed.is_held & (status == Status.OK), Status.HELD, status)
    has_reference = n_of_line > 0
    figures = (
        Figure("competitor", Form.TEXT, source, rivals.names),
        Figure("reference_price", Form.UNIT_PRICE, np.where(has_reference, reference, ABSENT)),
        Figure("observations", Form.COUNT, np.where(has_reference, n_of_line, ABSENT)),
    )
    return Proposed(unit_e4, np.where(has_reference, status, Status.NO_OBSERVATION), figures)


def _followed(packed: Packed, row: Int64s, inputs: Inputs) -> _Followed:
    """Of each line the fresh candidates, or those that were fresh last where the price is held; nothing where there are too few."""
    rivals = inputs.facts.rivals
    line, observation = observations_of(rivals, inputs.key)
    weight = _weights(packed, rivals, row, line, observation)
    is_candidate = (weight > 0) & (rivals.in_stock[observation] | ~packed.in_stock_only[row[line]])
    line, observation, weight = line[is_candidate], observation[is_candidate], weight[is_candidate]
    needed = np.where(packed.against[row] == _SECOND_LOWEST, 2, 1)
    until_s = _fresh_until_s(rivals.at_s[observation], packed.age_s[row[line]])
    is_followed = inputs.at_s[line] < until_s
    is_held = np.bincount(line[is_followed], minlength=row.size) < needed
    is_held &= packed.holds[row] & (np.bincount(line, minlength=row.size) >= needed)
    if is_held.any():
        # As many as are needed were fresh together until the first of the last of them expired.
        order = np.lexsort((-until_s, line))
        last_s = np.full(row.size, _NEVER_S)
        groups = groups_of(line[order])
        own = line[order][groups.starts]
        at = groups.starts + np.minimum(needed[own] - 1, np.bincount(line, minlength=row.size)[own] - 1)
        last_s[own] = until_s[order][at]
        is_followed = np.where(is_held[line], until_s >= last_s[line], is_followed)
    has_enough = np.bincount(line[is_followed], minlength=row.size) >= needed
    is_followed &= has_enough[line]
    line, observation, weight = line[is_followed], observation[is_followed], weight[is_followed]
    order = np.lexsort((rivals.name[observation], rivals.unit_e4[observation], line))
    return _Followed(line[order], observation[order], weight[order], is_held)


def _weights(packed: Packed, rivals: Rivals, row: Int64s, line: Int64s, observation: Int64s) -> Int64s:
    """The weight of each observation (n_pairs,) for the strategy of its line; 0 where it does not count."""
    names_some = np.diff(packed.named_first) > 0
    weight = np.where(names_some[row[line]], 0, 1)
    for own in np.unique(row[names_some[row]]).tolist():
        low, high = packed.named_first[own : own + 2].tolist()
        weight_of = np.zeros(len(rivals.names), np.int64)
        for name, its_weight in zip(packed.named[low:high], packed.weight_milli[low:high].tolist(), strict=True):
            number = bisect_left(rivals.names, name)
            if number < len(rivals.names) and rivals.names[number] == name:
                weight_of[number] = its_weight
        pairs = np.flatnonzero(row[line] == own)
        weight[pairs] = weight_of[rivals.name[observation[pairs]]]
    return weight


def _fresh_until_s(at_s: Int64s, age_s: Int64s) -> Int64s:
    """When observations (n,) expire: by whole minutes, so that they do so in company and never later than said."""
    return np.where(age_s == _ANY_AGE, _NEVER_S, (at_s + age_s) // _MINUTE_S * _MINUTE_S)


def _means(unit_e4: Int64s, weight: Int64s, starts: Int64s, group: Int64s, inputs: Inputs) -> Int64s:
    """round(Σ weight·price / Σ weight) of each group: quotients and remainders are summed apart, so that nothing overflows."""
    whole = np.add.reduceat(weight, starts)
    quotient, rest = mul_div(unit_e4, weight, whole[group])
    rests = np.add.reduceat(rest, starts)
    return round_up_where(np.add.reduceat(quotient, starts) + rests // whole, rests % whole, whole, inputs.rounding)


def gain(packed: Packed, row: Int64s, inputs: Inputs, unit_e4: Int64s) -> Floats:
    """It knows no demand."""
    return nearness(unit_e4, propose(packed, row, inputs).unit_e4)


def instants_s(packed: Packed, row: Int64s, key: Int64s, facts: Facts) -> Int64s:
    """An observation expires."""
    position, observation = observations_of(facts.rivals, key)
    until_s = _fresh_until_s(facts.rivals.at_s[observation], packed.age_s[row[position]])
    return np.unique(until_s[until_s < _NEVER_S])
