"""Step 2, strategies: which strategy prices a SKU, what it is given, and how its price becomes money.

A kind of strategy is one module in `strategies/`; this module holds what they share.
"""

from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from app.pricing.endings import Endings, choose_ending
from app.pricing.facts import Facts
from app.pricing.guardrails import Bounds, clamp_unit
from app.pricing.money import E4, UNIT_E4_MAX, Bools, Int64s, Rounding, round_div
from app.pricing.params import ParamProblem
from app.pricing.scope import Scope, value_at

type Floats = NDArray[np.float64]


class Status(IntEnum):
    """Whether a strategy could price a SKU; anything but OK and HELD leaves the list price standing."""

    OK = 0
    NO_COST = 1
    NO_CEILING = 2
    NO_FLOOR = 3
    NO_OBSERVATION = 4  # no competitor's price, or none that is fresh
    HELD = 5  # the price of the last observations that were fresh
    NO_STOCK = 6
    NO_DEMAND = 7  # nobody says how many units sell at the list price
    PAST = 8
    NO_STAGE = 9


class Form(IntEnum):
    """How a figure of an explanation is written."""

    UNIT_PRICE = 0
    QUANTITY = 1
    PERCENT = 2  # from parts per million
    INDEX = 3  # from 1/10 000
    COUNT = 4
    TEXT = 5


class Figure(NamedTuple):
    """One input of prices (n,) that a reply shows; ABSENT where there is none. A text is a place in `texts`."""

    name: str
    form: Form
    values: Int64s
    texts: tuple[str, ...] = ()


ABSENT: Final = -(1 << 62)


class Inputs(NamedTuple):
    """What a strategy may use for its lines (n,), all from the version of the book but the instant."""

    key: Int64s  # currency row · n_skus + SKU row
    sku_row: Int64s
    at_s: Int64s
    list_unit_e4: Int64s
    cost_e4: Int64s  # −1 where no cost is known in the currency
    demand_e4: Int64s  # demand index with the season in it, in 1/10 000; 10 000 is the usual demand
    bounds: Bounds
    facts: Facts
    rounding: Rounding

    def only(self, line: Int64s) -> "Inputs":
        """The inputs of some lines."""
        return Inputs(
            self.key[line],
            self.sku_row[line],
            self.at_s[line],
            self.list_unit_e4[line],
            self.cost_e4[line],
            self.demand_e4[line],
            self.bounds.only(line),
            self.facts,
            self.rounding,
        )


class Proposed(NamedTuple):
    """Prices before endings and guardrails (n,), in e4, their status, and what they were made of."""

    unit_e4: Int64s
    status: Int64s
    figures: tuple[Figure, ...] = ()


class StrategyKind(Protocol):
    """What a module in `strategies/` offers."""

    KIND: str
    Params: Any

    def check(self, params: Any) -> list[ParamProblem]:
        """Find what no single field's bounds can tell."""

    def pack(self, params: Sequence[Any]) -> Any:
        """Lay out the parameters of all strategies of the kind as arrays."""

    def prepare(self, packed: Any) -> None:
        """Do once, away from the quotes, what pricing by these parameters needs."""

    def propose(self, packed: Any, row: Int64s, inputs: Inputs) -> Proposed:
        """Price lines (n,) by the parameters at `row` (n,)."""

    def gain(self, packed: Any, row: Int64s, inputs: Inputs, unit_e4: Int64s) -> Floats:
        """The objective at a price, by which endings are chosen toward profit; higher is better, comparable on one line only."""

    def instants_s(self, packed: Any, row: Int64s, key: Int64s, facts: Facts) -> Int64s:
        """The instants at which prices of keys (n,) by the parameters at `row` (n,) may change by time alone."""


class StrategyTable(NamedTuple):
    """The strategies of a book by row, in the order of their ids, and the SKUs they price.

    `key` (currency row · n_skus + SKU row) is sorted; `rule` is the strategy that wins there.
    """

    key: Int64s
    rule: Int64s
    kind: Int64s  # (n_strategies,) index into `packed`
    kind_row: Int64s
    endings_row: Int64s  # −1 without
    packed: tuple[Any, ...]
    kinds: tuple[str, ...]


def assign(scopes: Sequence[tuple[int, Scope]], n_skus: int) -> tuple[Int64s, Int64s]:
    """Give every (currency, SKU) its strategy: the most specific scope, then the lower row. Returns (key, rule)."""
    none = np.zeros(0, np.int64)
    keys, rules, ranks = [none], [none], [none]
    for number, (currency_row, scope) in enumerate(scopes):
        rows = np.setdiff1d(np.arange(n_skus), scope.excluded) if scope.is_open else scope.rows
        keys.append(currency_row * n_skus + rows)
        rules.append(np.full(rows.size, number, np.int64))
        ranks.append(np.broadcast_to(np.asarray(scope.specificity, np.int64), rows.shape))
    key, rule, rank = np.concatenate(keys), np.concatenate(rules), np.concatenate(ranks)
    order = np.lexsort((rule, -rank, key))
    key, rule = key[order], rule[order]
    is_first = np.ones(key.size, np.bool_)
    is_first[1:] = key[1:] != key[:-1]
    return key[is_first], rule[is_first]


def strategy_of(table: StrategyTable, key: Int64s) -> Int64s:
    """The strategy's row for each line by its key (n_lines,), −1 without."""
    return value_at(table.key, table.rule, key)


class Told(NamedTuple):
    """A figure of some of the lines that have a strategy."""

    line: Int64s
    figure: Figure


class StrategyPrices(NamedTuple):
    """What step 2 made of the lines that have a strategy (n,)."""

    unit_e4: Int64s
    status: Int64s
    bound: Int64s  # 1 raised to the floor, −1 cut to the ceiling, 0 neither
    told: tuple[Told, ...]


def apply_strategies(
    table: StrategyTable, kinds: Mapping[str, StrategyKind], endings: Endings, rule: Int64s, inputs: Inputs
) -> StrategyPrices:
    """Price lines (n,) that all have a strategy `rule` (n,). Source: SEMANTICS.md, Strategy and Endings."""
    unit, status = inputs.list_unit_e4.copy(), np.zeros(rule.size, np.int64)
    bound = np.zeros(rule.size, np.int64)
    told: list[Told] = []
    for number, name in enumerate(table.kinds):
        at = np.flatnonzero(table.kind[rule] == number)
        if at.size == 0:
            continue
        own = inputs.only(at)
        row = table.kind_row[rule[at]]
        kind, packed = kinds[name], table.packed[number]
        proposed = kind.propose(packed, row, own)
        status[at] = proposed.status
        rounded = _rounded(proposed.unit_e4, own.list_unit_e4, inputs.rounding)

        def gain(line: Int64s, price_e4: Int64s, *, own: Inputs = own, row: Int64s = row, packed: Any = packed) -> Floats:
            return kinds[name].gain(packed, row[line], own.only(line), price_e4)  # noqa: B023

        chosen = choose_ending(endings, table.endings_row[rule[at]], proposed.unit_e4, rounded, own.bounds, gain)
        clamped = clamp_unit(chosen, own.bounds)
        has_price = is_priced(proposed.status)
        unit[at] = np.where(has_price, clamped, own.list_unit_e4)
        bound[at] = np.where(has_price, np.sign(clamped - chosen), 0)
        told += [Told(at, figure) for figure in proposed.figures]
    return StrategyPrices(unit, status, bound, tuple(told))


def is_priced(status: Int64s) -> Bools:
    """Where a strategy has made the price."""
    return np.asarray((status == Status.OK) | (status == Status.HELD), np.bool_)


def strategy_instants_s(table: StrategyTable, kinds: Mapping[str, StrategyKind], facts: Facts) -> Int64s:
    """The instants at which any strategy's price may change by time alone."""
    found = [np.zeros(0, np.int64)]
    for number, name in enumerate(table.kinds):
        at = np.flatnonzero(table.kind[table.rule] == number)
        if at.size:
            found.append(kinds[name].instants_s(table.packed[number], table.kind_row[table.rule[at]], table.key[at], facts))
    return np.concatenate(found)


NEVER: Final = np.zeros(0, np.int64)


def nearness(unit_e4: Int64s, proposed_e4: Int64s) -> Floats:
    """The gain of a strategy that knows no demand: the nearer to its price, the better."""
    return -np.abs(unit_e4 - proposed_e4).astype(np.float64)


def _rounded(unit_e4: Int64s, list_unit_e4: Int64s, rounding: Rounding) -> Int64s:
    """To a whole minor unit, unless the list price itself has a fraction of one."""
    whole = np.minimum(round_div(unit_e4, E4, rounding) * E4, UNIT_E4_MAX)
    return np.where(list_unit_e4 % E4 == 0, whole, unit_e4)


def known(cost_e4: Int64s) -> Bools:
    """Where a cost is known."""
    return cost_e4 >= 0


def bounded(unit_e4: Int64s, is_bounded: Bools, inputs: Inputs) -> Proposed:
    """Prices (n,), where those without a bound of their own stand for the ceiling; without a ceiling they have no answer."""
    has_ceiling = inputs.bounds.ceiling_rule >= 0
    price = np.where(is_bounded, unit_e4, np.where(has_ceiling, inputs.bounds.ceiling_e4, 0))
    return Proposed(price, np.where(is_bounded | has_ceiling, Status.OK, Status.NO_CEILING))
