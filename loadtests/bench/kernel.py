"""P7: the engine, and the memo of known lines, against a numba loop over the same candidates that comes to the same totals.

    python -m loadtests.bench.kernel ROUNDS N_SKUS N_PROMOTIONS

The book is that of an ordinary shop, less what the loop does not know: its promotions have no groups, and those with steps are percentages.
The loop is given every advantage: it reads arrays in place of requests, it is compiled before, and its totals are all it makes. The
engine reads requests and makes the reasons; the memo reads requests and makes the text of the replies.
"""

import json
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from random import Random
from typing import Any, Final, NamedTuple

import numba
import numpy as np

from app.pricing.basket import Basket
from app.pricing.book import PriceBook
from app.pricing.conditions import LEAF
from app.pricing.money import AMOUNT_E7_MAX, E7, MILLI, PPM, Bools, Int64s
from app.pricing.price_lists import NO_TIERS, VOLUME
from app.pricing.quote import price_line_level
from app.pricing.rewards import BASE_POLICY
from app.pricing.sale_prices import PERCENT
from app.pricing.schedule import ROW_STRIDE
from app.pricing.vocabulary import SEGMENTS, SLOTS
from app.quotes.memo import price_with
from loadtests.bench.core import book_of, lines_only, understood
from loadtests.books import Documents, basket, shop

SIZES: Final = (100, 1_000, 10_000)
_MEASURED_S: Final = 0.1
_NONE: Final = 0
_CHANNEL: Final = 1
_SEGMENT: Final = 2
_PERCENT: Final = 0
_PER_UNIT: Final = 1
_PER_LINE: Final = 2
_FIXED: Final = 3


class Tables(NamedTuple):
    """What the loop reads of a book: everything by SKU row, by entry, by sale or by promotion row."""

    entry: Int64s  # (n_skus,)
    unit_e4: Int64s
    mode: Int64s
    tier_first: Int64s
    tier_up_to_milli: Int64s
    tier_unit_e4: Int64s
    sale_first: Int64s  # (n_skus + 1,)
    sale: Int64s
    sale_ppm: Int64s
    floor_e4: Int64s  # (n_skus,)
    rule_first: Int64s  # (n_skus + 1,)
    rule: Int64s
    begins_s: Int64s
    ends_s: Int64s
    condition: Int64s
    condition_text: Int64s
    kind: Int64s
    param: Int64s


class Asked(NamedTuple):
    """Lines, and what conditions ask of their baskets. `segment_first` (n_baskets + 1,) delimits the segments of each."""

    basket: Int64s
    sku_row: Int64s
    quantity_milli: Int64s
    at_s: Int64s
    channel: Int64s
    segment_first: Int64s
    segment: Int64s


def main(rounds: int, n_skus: int, n_promotions: int) -> None:
    """Compare totals, then measure all in turn; µs of CPU a line by arm and number of lines, as JSON."""
    book = book_of(documents_of(n_skus, n_promotions))
    tables = tables_of(book)
    us: dict[str, list[float]] = {}
    for n_lines in SIZES:
        baskets = baskets_of(n_lines, n_skus)
        asked, partly = asked_of(book, baskets), [False] * len(baskets)
        expected = price_line_level(book, baskets).total_minor
        assert np.array_equal(price_loop(tables, asked), expected), "the loop comes to other totals than the engine"
        # The memo learns a context, and what it keeps of it, in the course of several calls.
        for _ in range(20):
            quotes = price_with(lines_only(book), book, baskets, partly)
        assert sum(one.total_minor for one in quotes) == expected.sum(), "the memo comes to other totals than the engine"
        works: dict[str, Callable[[], object]] = {
            "loop": partial(price_loop, tables, asked),
            "engine": partial(price_line_level, book, baskets),
            "memo": partial(price_with, lines_only(book), book, baskets, partly),
            "reading": partial(asked_of, book, baskets),
        }
        for _ in range(rounds):
            for name, work in works.items():
                us.setdefault(f"{name} {n_lines}", []).append(_cpu_us(work) / n_lines)
    print(json.dumps({"us": us}))


def _lines(tables: Tables, asked: Asked) -> Int64s:
    """The total of each line (n_lines,): list price, tiers, the best sale, the floor, and one promotion after the other."""
    total = np.empty(asked.sku_row.size, np.int64)
    for line in range(asked.sku_row.size):
        sku, quantity, basket_row = asked.sku_row[line], asked.quantity_milli[line], asked.basket[line]
        floor_e4 = tables.floor_e4[sku]
        entry = tables.entry[sku]
        mode, first_sale = tables.mode[entry], tables.sale_first[sku]
        best = AMOUNT_E7_MAX
        # No sale at first, then one after the other.
        for place in range(first_sale - 1, tables.sale_first[sku + 1]):
            off_ppm = 0 if place < first_sale else tables.sale_ppm[tables.sale[place]]
            exact, below = 0, 0
            if mode == NO_TIERS:
                exact = _lowered(tables.unit_e4[entry], off_ppm, floor_e4) * quantity
            for step in range(tables.tier_first[entry], tables.tier_first[entry + 1]):
                up_to = tables.tier_up_to_milli[step]
                if mode == VOLUME and quantity > up_to:
                    continue
                part = quantity if mode == VOLUME else min(quantity, up_to) - below
                exact += _lowered(tables.tier_unit_e4[step], off_ppm, floor_e4) * part
                below = up_to
                if quantity <= up_to:
                    break
            best = min(best, exact)
        lowest = -(-(floor_e4 * quantity) // E7)
        running = max(_round(best, E7), lowest)
        at_s = asked.at_s[basket_row]
        for place in range(tables.rule_first[sku], tables.rule_first[sku + 1]):
            rule = tables.rule[place]
            if not tables.begins_s[rule] <= at_s < tables.ends_s[rule]:
                continue
            condition, text = tables.condition[rule], tables.condition_text[rule]
            if condition == _CHANNEL and asked.channel[basket_row] != text:
                continue
            if condition == _SEGMENT:
                is_met = False
                for segment in range(asked.segment_first[basket_row], asked.segment_first[basket_row + 1]):
                    is_met |= asked.segment[segment] == text
                if not is_met:
                    continue
            kind, param = tables.kind[rule], tables.param[rule]
            if kind == _PERCENT:
                reward = _round(running * param, PPM)
            elif kind == _PER_UNIT:
                reward = _round(param * quantity, MILLI)
            elif kind == _PER_LINE:
                reward = param
            else:
                reward = max(running - _round(param * quantity, E7), 0)
            running -= min(min(reward, running), max(running - lowest, 0))
        total[line] = running
    return total


def _lowered_unit_e4(unit_e4: int, off_ppm: int, floor_e4: int) -> int:
    """A unit price within the floor, less so many ppm, and within the floor again."""
    bounded = max(unit_e4, floor_e4)
    off_e4: int = _round(bounded * off_ppm, PPM)
    return max(bounded - off_e4, floor_e4)


def _round_half_up(numerator: int, divisor: int) -> int:
    quotient = numerator // divisor
    rest = numerator - quotient * divisor
    return quotient + (rest >= divisor - rest)


# What numba makes of a function has no type. The loop is one function because handing the tables on to another costs more than a line does.
_round: Any = numba.njit(_round_half_up, error_model="numpy")
_lowered: Any = numba.njit(_lowered_unit_e4)
price_loop: Any = numba.njit(_lines, error_model="numpy")


def tables_of(book: PriceBook) -> Tables:
    """The book as the loop reads it. Asserts that the book has nothing that the loop does not know."""
    promotions, entries, n_skus = book.promotions, book.entries, book.n_skus
    assert (book.policy.rounding, book.policy.rounding_level) == ("half_up", "line")
    assert book.policy.percent_base == "running"
    assert len(book.currency_rows) == 1
    assert len(promotions.groups) == 0
    assert (np.diff(entries.first) == 1).all()
    assert not entries.tier_fee_minor.any()
    assert book.strategies.key.size == 0
    assert (book.sales.mode == PERCENT).all()
    assert book.sales.schedule.is_always.all()
    assert (book.guardrails.key == np.arange(n_skus)).all()
    assert [name for name, field in book.guardrails._asdict().items() if name != "key" and field.bound.size] == ["floor_e4"]
    assert promotions.is_local[~promotions.requires_code].all()
    assert not (promotions.is_exclusive | promotions.not_on_sale | promotions.schedule.is_always).any()
    n_rules = len(promotions.id)
    assert (promotions.schedule.start_key // ROW_STRIDE == np.arange(n_rules)).all()
    condition, text = _conditions_of(book)
    kind, param = _rewards_of(book)
    return Tables(
        entries.first[:-1],
        entries.unit_e4,
        entries.mode,
        entries.tier_first,
        entries.tier_up_to_milli,
        entries.tier_unit_e4,
        book.sales.scopes.first,
        book.sales.scopes.rule,
        book.sales.value,
        book.guardrails.floor_e4.value,
        promotions.scopes.first,
        promotions.scopes.rule,
        promotions.schedule.start_key % ROW_STRIDE,
        promotions.schedule.end_key % ROW_STRIDE,
        condition,
        text,
        kind,
        param,
    )


def _conditions_of(book: PriceBook) -> tuple[Int64s, Int64s]:
    """What each promotion asks for: nothing, a channel or a segment, and which."""
    table = book.promotions.conditions
    n_nodes = np.diff(table.first)
    assert (n_nodes <= 1).all()
    assert (table.op == LEAF).all()
    condition, text = np.zeros(n_nodes.size, np.int64), np.zeros(n_nodes.size, np.int64)
    at = np.flatnonzero(n_nodes)
    for slot, code in ((SLOTS["channel"], _CHANNEL), (SEGMENTS, _SEGMENT)):
        condition[at[table.slot == slot]] = code
    assert (condition[at] != _NONE).all()
    text[at] = table.value
    return condition, text


def _rewards_of(book: PriceBook) -> tuple[Int64s, Int64s]:
    """The kind of each promotion and its one parameter."""
    promotions = book.promotions
    kind, param = np.full(len(promotions.id), -1, np.int64), np.zeros(len(promotions.id), np.int64)
    for number, name in enumerate(promotions.kinds):
        packed: Any = promotions.packed[number]
        own: Bools = promotions.kind == number
        row = promotions.kind_row[own]
        if name == "percent_off":
            assert (packed.base == BASE_POLICY).all()
            kind[own], param[own] = _PERCENT, packed.off_ppm[row]
        elif name == "amount_off":
            kind[own], param[own] = np.where(packed.per[row] == 0, _PER_UNIT, _PER_LINE), packed.amount_minor[row]
        elif name == "fixed_price":
            kind[own], param[own] = _FIXED, packed.unit_e4[row]
    assert (kind >= 0).all()
    return kind, param


def asked_of(book: PriceBook, baskets: Sequence[Basket]) -> Asked:
    """The lines of baskets as the loop reads them."""
    rows, texts = book.assortment.row_of_sku, book.vocabulary.texts
    count = [len(one.skus) for one in baskets]
    segments = [one.segments or () for one in baskets]
    return Asked(
        np.repeat(np.arange(len(baskets)), count),
        np.array([rows[sku] for one in baskets for sku in one.skus], np.int64),
        np.array([quantity for one in baskets for quantity in one.quantities_milli], np.int64),
        np.array([one.at_us // 1_000_000 for one in baskets], np.int64),
        np.array([-1 if one.channel is None else texts.get(one.channel, -1) for one in baskets], np.int64),
        np.cumsum([0, *map(len, segments)]),
        np.array([texts.get(segment, -1) for own in segments for segment in own], np.int64),
    )


def documents_of(n_skus: int, n_promotions: int) -> Documents:
    """An ordinary shop, less what the loop does not know."""
    documents = shop(n_skus=n_skus, n_promotions=n_promotions)
    promotions = {name: {**body, "group": None} for name, body in documents["promotions"].items()}
    for body in promotions.values():
        if body["kind"] == "tiered":
            body |= {"kind": "percent_off", "params": {"percent": "3"}}
    return {**documents, "promotions": promotions}


def baskets_of(n_lines: int, n_skus: int) -> list[Basket]:
    """Baskets with exactly so many lines together; the last one is cut."""
    rng = Random(13)
    found: list[Basket] = []
    while n_lines:
        body = basket(rng, n_skus)
        body["lines"] = body["lines"][:n_lines]
        n_lines -= len(body["lines"])
        found.append(understood(body))
    return found


def _cpu_us(work: Callable[[], object]) -> float:
    """CPU of one call, as the average of as many as take a tenth of a second."""
    began_s, calls = time.process_time(), 0
    while True:
        work()
        calls += 1
        took_s = time.process_time() - began_s
        if took_s >= _MEASURED_S:
            return took_s * 1e6 / calls


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
