"""The unit price that a line begins with: its list price, what a strategy makes of it, and what its ladder makes of that."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from app.pricing.book import PriceBook
from app.pricing.facts import observations_of
from app.pricing.guardrails import Bounds, limits_of
from app.pricing.ladders import Steps, keep_order, ladder_of, rungs_of
from app.pricing.money import E4, Bools, Int64s, round_div, to_grain
from app.pricing.price_lists import winning_entry
from app.pricing.scope import value_at
from app.pricing.seasons import INDEX_E4_MAX, season_index_e4
from app.pricing.strategies import STRATEGIES
from app.pricing.strategy import Inputs, Told, apply_strategies, is_priced, strategy_of


class Places(NamedTuple):
    """Lines (n,) in the book and in their contexts; `visible` (n_contexts, n_lists) and `at_s` (n_contexts,) tell of those."""

    key: Int64s
    sku_row: Int64s
    context: Int64s
    visible: Bools
    at_s: Int64s


class BasePrices(NamedTuple):
    """What came of lines (n,)."""

    strategy: Int64s  # row, −1 without
    strategy_unit_e4: Int64s
    strategy_status: Int64s
    strategy_bound: Int64s  # 1 raised to the floor, −1 cut to the ceiling
    strategy_place: Int64s  # place in what is told, −1 without a strategy
    ladder: Int64s  # row where a ladder moved the price or could not keep a gap, else −1
    is_gap_short: Bools
    unit_e4: Int64s  # after the ladder
    told: tuple[Told, ...]  # the figures of strategies, by place

    def only(self, line: Int64s | Bools) -> "BasePrices":
        """The base prices of some lines; what is told stays whole."""
        return BasePrices(
            self.strategy[line],
            self.strategy_unit_e4[line],
            self.strategy_status[line],
            self.strategy_bound[line],
            self.strategy_place[line],
            self.ladder[line],
            self.is_gap_short[line],
            self.unit_e4[line],
            self.told,
        )


def base_prices(book: PriceBook, places: Places, list_unit_e4: Int64s, bounds: Bounds) -> BasePrices:
    """Price lines (n,) by strategies and ladders. Source: SEMANTICS.md, Strategy and Ladder."""
    prices = _strategies(book, places, list_unit_e4, bounds)
    rung = rungs_of(book.ladders, places.key)
    line = np.flatnonzero(rung >= 0)
    return prices if line.size == 0 else _laddered(book, places, prices, line, rung[line])


def _strategies(book: PriceBook, places: Places, list_unit_e4: Int64s, bounds: Bounds) -> BasePrices:
    n = places.key.size
    strategy = strategy_of(book.strategies, places.key)
    unit, status, bound, place = list_unit_e4.copy(), np.zeros(n, np.int64), np.zeros(n, np.int64), np.full(n, -1)
    told: tuple[Told, ...] = ()
    at = np.flatnonzero(strategy >= 0)
    if at.size:
        inputs = _inputs(book, places, at, list_unit_e4, bounds)
        unit[at], status[at], bound[at], told = apply_strategies(book.strategies, STRATEGIES, book.endings, strategy[at], inputs)
        place[at] = np.arange(at.size)
        priced = at[is_priced(status[at])]
        unit[priced] = to_grain(unit[priced], book.policy.grain_e4, book.policy.rounding)
    return BasePrices(strategy, unit, status, bound, place, np.full(n, -1), np.zeros(n, np.bool_), unit, told)


def _inputs(book: PriceBook, places: Places, at: Int64s, list_unit_e4: Int64s, bounds: Bounds) -> Inputs:
    key, sku_row, at_s = places.key[at], places.sku_row[at], places.at_s[places.context[at]]
    index = season_index_e4(book.facts.seasons, sku_row, at_s)
    demand = np.clip(round_div(book.demand_e4[sku_row] * index, E4, book.policy.rounding), 1, INDEX_E4_MAX)
    return Inputs(
        key,
        sku_row,
        at_s,
        list_unit_e4[at],
        cost_of(book)(key),
        demand,
        bounds.only(at),
        book.facts,
        book.policy.rounding,
    )


def cost_of(book: PriceBook) -> Callable[[Int64s], Int64s]:
    """Gives the known unit costs at keys (n,), −1 where none is known."""
    return lambda key: value_at(book.cost_key, book.cost_e4, key)


def _laddered(book: PriceBook, places: Places, prices: BasePrices, line: Int64s, rung: Int64s) -> BasePrices:
    """The same with the prices of lines `line` (n,), which stand on rungs (n,), moved by their ladders."""
    ladders, n_ladders = book.ladders, book.ladders.reference.size
    # Each ladder is priced once in each context, all of its rungs, whatever the lines ask for.
    pair, place = np.unique(places.context[line] * n_ladders + ladder_of(ladders, rung), return_inverse=True)
    low = ladders.first[pair % n_ladders]
    count = ladders.first[pair % n_ladders + 1] - low
    its_place = np.repeat(np.arange(pair.size), count)
    its_rung = np.repeat(low - (np.cumsum(count) - count), count) + np.arange(its_place.size)
    key, context = ladders.key[its_rung], (pair // n_ladders)[its_place]
    entry = winning_entry(book.entries, key, places.visible, context, places.at_s)
    has_price = np.flatnonzero(entry >= 0)
    its_place, its_rung, key, context = its_place[has_price], its_rung[has_price], key[has_price], context[has_price]
    list_unit, grain = book.entries.unit_e4[entry[has_price]], book.policy.grain_e4
    bounds = limits_of(book.guardrails, key, list_unit, cost_of(book)).in_grains(grain).shown
    own = _strategies(book, Places(key, key % book.n_skus, context, places.visible, places.at_s), list_unit, bounds)
    has_endings = (own.strategy >= 0) & is_priced(own.strategy_status)
    endings_row = np.full(key.size, -1)
    endings_row[has_endings] = book.strategies.endings_row[own.strategy[has_endings]]
    unit_e4 = to_grain(own.unit_e4, grain, book.policy.rounding)
    steps = Steps(its_place, its_rung, unit_e4, list_unit, _market_e4(book, key), endings_row, bounds)
    kept = keep_order(ladders, book.endings, steps, grain)

    n_rungs = ladders.key.size
    at = np.searchsorted(its_place * n_rungs + its_rung, place * n_rungs + rung)
    unit, ladder, is_short = prices.unit_e4.copy(), prices.ladder.copy(), prices.is_gap_short.copy()
    is_told = (kept.unit_e4[at] != unit_e4[at]) | kept.is_short[at]
    unit[line] = np.where(is_told, kept.unit_e4[at], unit[line])
    is_short[line] = kept.is_short[at]
    ladder[line] = np.where(is_told, ladder_of(ladders, rung), -1)
    return prices._replace(unit_e4=unit, ladder=ladder, is_gap_short=is_short)


def _market_e4(book: PriceBook, key: Int64s) -> Int64s:
    """The average of the in-stock observations at each key, −1 without."""
    rivals = book.facts.rivals
    line, observation = observations_of(rivals, key)
    is_in_stock = rivals.in_stock[observation]
    line, observation = line[is_in_stock], observation[is_in_stock]
    count = np.bincount(line, minlength=key.size)
    total = np.zeros(key.size, np.int64)
    np.add.at(total, line, rivals.unit_e4[observation])
    return np.where(count > 0, round_div(total, np.maximum(count, 1), book.policy.rounding), -1)
