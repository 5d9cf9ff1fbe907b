"""Steps 1 to 4 for the lines of a batch: list price, strategy and ladder, tiers, sale price, with the guardrails in between."""

from collections.abc import Sequence
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from app.pricing.asked import Asked
from app.pricing.base_price import BasePrices, Places, base_prices, cost_of
from app.pricing.basket import Basket
from app.pricing.book import PriceBook
from app.pricing.groups import groups_of
from app.pricing.guardrails import Bounds, Limits, clamp_unit, highest_minor, limits_of, lowest_minor
from app.pricing.mixed import shared_lines, whole_quantities
from app.pricing.money import AMOUNT_E7_MAX, AMOUNT_MINOR_MAX, E7, MILLI, Bools, Int64s, Rounding, round_div, to_grain
from app.pricing.price_lists import GRADUATED, NO_TIERS, visible_lists, winning_entry
from app.pricing.sale_prices import apply_sale_prices
from app.pricing.sale_units import Rationed, Split, groups_of_lines
from app.pricing.tiers import Parts, exact_amounts, scale_tier, shown_unit_e4, split_into_parts


class LineStatus(IntEnum):
    """Whether a line could be priced; the wire name is the lower-case name."""

    OK = 0
    NO_PRICE = 1
    MIXED_TAX = 2
    AMOUNT_OUT_OF_BOUNDS = 3
    ORDER_OUT_OF_BOUNDS = 4  # the line is in order, the sum of the lines is not


class LinePrices(NamedTuple):
    """The lines that could be priced, (n_kept,) each, in the order of the request; `status` is (n_lines,) over all lines."""

    status: Int64s
    kept: Int64s  # line of the request
    basket: Int64s
    sku_row: Int64s
    quantity_milli: Int64s
    whole_milli: Int64s  # what finds the tier: with the other lines of its mix
    entry: Int64s
    tax_included: Bools
    list_unit_e4: Int64s
    list_minor: Int64s
    base: BasePrices  # strategy and ladder
    tier_unit_e4: Int64s  # as shown
    bounded_unit_e4: Int64s  # as shown, after the bounds
    tier_bound: Int64s
    sale: Int64s  # row, −1 without
    sale_unit_e4: Int64s  # as shown
    final_bound: Int64s
    final_unit_e4: Int64s  # subtotal / quantity, of all lines of the SKU in a mix
    unit_e4: Int64s  # as shown
    subtotal_minor: Int64s
    lowest_minor: Int64s  # of what is paid, and what is told of it
    lowest_rule: Int64s
    shown_lowest_minor: Int64s | None  # of what is shown; None: the same
    bounds: Bounds  # of what is shown
    sale_units_milli: Int64s | None  # what the sale price holds for, −1 for all of the line; None: it does for all lines
    key: Int64s  # of currency and SKU, as the book has them


class _Own(NamedTuple):
    """The lines that may have a price (n,): their places in the book, and the contexts of their baskets."""

    basket: Int64s
    context: Int64s
    sku_row: Int64s
    key: Int64s
    quantity_milli: Int64s
    whole_milli: Int64s | None = None  # what the lines of a mix count to; None: each line is by itself

    def only(self, kept: Int64s) -> "_Own":
        whole = None if self.whole_milli is None else self.whole_milli[kept]
        own = (self.basket, self.context, self.sku_row, self.key, self.quantity_milli)
        return _Own(*(column[kept] for column in own))._replace(whole_milli=whole)


def price_lines(book: PriceBook, asked: Asked) -> LinePrices:
    """Price each line by steps 1 to 4. Source: semantics.md 3 and SEMANTICS.md, Steps 1 to 4."""
    status = np.full(asked.basket.size, LineStatus.NO_PRICE, np.int64)
    context = asked.context[asked.basket]
    currency_row = asked.currency_row[context]
    own = _Own(asked.basket, context, asked.sku_row, currency_row * book.n_skus + asked.sku_row, asked.quantity_milli)
    kept = ((asked.sku_row >= 0) & (currency_row >= 0)).nonzero()[0]
    if kept.size < status.size:
        own = own.only(kept)
    visible = _visible(book, asked.contexts)
    entry = winning_entry(book.entries, own.key, visible, own.context, asked.at_s)
    has_entry = entry >= 0
    if not has_entry.all():
        at = has_entry.nonzero()[0]
        kept, entry, own = kept[at], entry[at], own.only(at)
    tax = book.price_lists.tax_included[book.entries.list_row[entry]]
    status[kept] = LineStatus.OK
    whole = whole_quantities(book.entries, entry, own.basket, own.key, own.quantity_milli)
    own = own._replace(whole_milli=whole)
    limit = AMOUNT_E7_MAX // (own.quantity_milli if whole is None else whole)
    list_unit = book.entries.unit_e4[entry]
    limits = limits_of(book.guardrails, own.key, list_unit, cost_of(book)).in_grains(book.policy.grain_e4)
    is_within = (list_unit <= limit) & (limits.shown.floor_e4 <= limit)
    while True:
        if not is_within.all():
            status[kept[~is_within]] = LineStatus.AMOUNT_OUT_OF_BOUNDS
            good = is_within.nonzero()[0]
            kept, entry, own, tax, limits = kept[good], entry[good], own.only(good), tax[good], limits.only(good)
        priced, is_within = _price(book, asked, visible, status, kept, entry, own, tax, limits)
        if not is_within.all():
            continue
        # Asked last, because the first line is the first that has a price.
        is_mixed = _differs_from_first(tax, own.basket)
        if not is_mixed.any():
            return priced
        status[kept[is_mixed]] = LineStatus.MIXED_TAX
        good = (~is_mixed).nonzero()[0]
        kept, entry, own, tax, limits = kept[good], entry[good], own.only(good), tax[good], limits.only(good)
        is_within = is_within[good]


def _visible(book: PriceBook, contexts: Sequence[Basket]) -> Bools:
    """The lists each context may see, (n_contexts, n_lists); those that differ in nothing that a list names share the answer."""
    seen: dict[tuple[object, ...], Bools] = {}
    rows = []
    for basket in contexts:
        named = (basket.channel, basket.store, basket.market, basket.segments, basket.level)
        row = seen.get(named)
        if row is None:
            row = seen[named] = visible_lists(book.price_lists, basket)
        rows.append(row)
    return np.array(rows, np.bool_).reshape(len(contexts), len(book.price_lists.id))


def _differs_from_first(flag: Bools, basket: Int64s) -> Bools:
    """Where a line's flag is not that of the first line of its basket; `basket` is sorted."""
    if not flag.any():
        return flag
    groups = groups_of(basket)
    return np.asarray(flag != flag[groups.starts[groups.group]], np.bool_)


def _price(
    book: PriceBook,
    asked: Asked,
    visible: Bools,
    status: Int64s,
    kept: Int64s,
    entry: Int64s,
    own: _Own,
    tax: Bools,
    limits: Limits,
) -> tuple[LinePrices, Bools]:
    """Steps 2 to 4 for lines whose entries are known. Also tells which lines stay within the bounds of amounts."""
    rounding, grain, bounds = book.policy.rounding, book.policy.grain_e4, limits.shown
    quantity = own.quantity_milli
    whole = quantity if own.whole_milli is None else own.whole_milli
    list_unit = book.entries.unit_e4[entry]
    base = base_prices(book, Places(own.key, own.sku_row, own.context, visible, asked.at_s), list_unit, bounds)
    is_graduated = book.entries.mode[entry] == GRADUATED

    parts = split_into_parts(book.entries, entry, whole, base.unit_e4, rounding)
    if grain > 1:
        parts = parts.at(to_grain(parts.unit_e4, grain, rounding))
    tiers = _step(parts, whole, is_graduated, rounding)
    bounded = _clamped(tiers, bounds, whole, is_graduated, rounding)
    at_s, currency_row = asked.at_s[own.context], asked.currency_row[own.context]
    parts, sale, split = apply_sale_prices(
        book.sales, bounded.parts, bounded.amount_e7, own.sku_row, currency_row, at_s, book.policy, _rationed(asked, own)
    )
    sold = bounded if parts is bounded.parts else _step(parts, whole, is_graduated, rounding)
    final = _clamped(sold, bounds, whole, is_graduated, rounding)
    steps = _Sold(bounded, sold, final, split)
    settled = _settled(book, own, bounds, steps)
    unit = np.where(is_graduated, settled.unit_e4, final.parts.unit_e4[final.parts.lines.starts])
    sale_unit, units = sold.unit_e4, None
    if split is not None:
        sale_unit, units = sale_unit.copy(), np.full(sale.size, -1)
        sale_unit[split.line] = steps.averages(whole, rounding)
        unit[split.line] = settled.unit_e4[split.line]
        units[split.line] = split.own_milli
    subtotal, average = settled.subtotal_minor, settled.unit_e4
    is_within = subtotal <= AMOUNT_MINOR_MAX
    for step in (tiers, bounded, final):
        if step.is_within is not None:
            is_within &= step.is_within
    shown = settled.lowest_minor
    paid = shown if limits.paid is bounds else np.minimum(lowest_minor(limits.paid, quantity), subtotal)
    priced = LinePrices(
        status,
        kept,
        own.basket,
        own.sku_row,
        quantity,
        whole,
        entry,
        tax,
        list_unit,
        round_div(to_grain(list_unit, grain, rounding) * quantity, E7, rounding),
        base,
        tiers.unit_e4,
        bounded.unit_e4,
        np.sign(bounded.amount_e7 - tiers.amount_e7),
        sale,
        sale_unit,
        settled.bound,
        average,
        unit,
        subtotal,
        paid,
        limits.paid.floor_rule,
        None if limits.paid is bounds else shown,
        bounds,
        units,
        own.key,
    )
    return priced, is_within


class _Settled(NamedTuple):
    """The subtotals of lines (n_lines,), how low they may go, the average unit price they come to, and which way the bounds have moved them."""

    subtotal_minor: Int64s
    lowest_minor: Int64s  # of what is shown, at most the subtotal
    unit_e4: Int64s
    bound: Int64s


class _Sold(NamedTuple):
    """Lines before the sale, after it, and within the bounds again; `split` has those of which a part stays before it."""

    before: "_Step"
    sold: "_Step"
    final: "_Step"
    split: Split | None

    def averages(self, whole_milli: Int64s, rounding: Rounding) -> Int64s:
        """The unit prices of the split lines after the sale, as shown."""
        assert self.split is not None
        return self.split.amounts(self.sold.amount_e7, self.before.amount_e7, whole_milli, per="unit", rounding=rounding)

    def amounts(self, step: "_Step", whole_milli: Int64s, rounding: Rounding) -> Int64s:
        """The amounts of the split lines (n_split,), rounded, when what is on sale comes to a step."""
        assert self.split is not None
        return self.split.amounts(step.amount_e7, self.before.amount_e7, whole_milli, per="line", rounding=rounding)


def _rationed(asked: Asked, own: _Own) -> Rationed | None:
    """The lines as the sale prices ration them; None where no basket counts the units of any."""
    if asked.counted is None or asked.counted.units is None:
        return None
    is_shared = np.zeros(own.key.size, np.bool_) if own.whole_milli is None else own.whole_milli != own.quantity_milli
    group = groups_of_lines(own.basket * (int(own.key.max(initial=0)) + 1) + own.key, is_shared)
    return Rationed(asked.counted.units, own.basket, group, own.quantity_milli)


def _settled(book: PriceBook, own: _Own, bounds: Bounds, steps: _Sold) -> _Settled:
    """Round the lines and hold them within their bounds; the lines of a SKU in a mix are one, and share what it comes to."""
    rounding, quantity, sold, final = book.policy.rounding, own.quantity_milli, steps.sold, steps.final
    rounded = round_div(final.amount_e7, E7, rounding)
    before = rounded if final is sold else round_div(sold.amount_e7, E7, rounding)
    shared = None
    if own.whole_milli is not None:
        shared = shared_lines(own.basket, own.key, quantity, own.whole_milli)
        if final is not sold:
            before[shared.line] = shared.amounts(sold.amount_e7, rounding)
        rounded[shared.line] = shared.amounts(final.amount_e7, rounding)
        quantity = quantity.copy()
        quantity[shared.line] = shared.own_milli
    if steps.split is not None:
        line, whole = steps.split.line, own.quantity_milli if own.whole_milli is None else own.whole_milli
        before, rounded = before.copy(), rounded.copy()
        before[line], rounded[line] = steps.amounts(sold, whole, rounding), steps.amounts(final, whole, rounding)
    lowest = lowest_minor(bounds, quantity)
    subtotal = np.minimum(np.maximum(rounded, lowest), highest_minor(bounds, quantity))
    average = round_div(np.minimum(subtotal, AMOUNT_MINOR_MAX) * E7, quantity, rounding)
    bound = np.sign(subtotal - before)
    if shared is not None:
        subtotal[shared.line] = shared.split(
            np.minimum(subtotal[shared.line], AMOUNT_MINOR_MAX), own.quantity_milli, book.policy.remainder, rounding
        )
        lowest = np.minimum(lowest_minor(bounds, own.quantity_milli), subtotal)
    return _Settled(subtotal, lowest, average, bound)


class _Step(NamedTuple):
    """Lines after a step: their parts, and each line's exact amount and the unit price that is shown (n_lines,)."""

    parts: Parts
    amount_e7: Int64s
    is_within: Bools | None  # the bounds of amounts; None: all are
    unit_e4: Int64s


def _step(parts: Parts, quantity_milli: Int64s, is_graduated: Bools, rounding: Rounding) -> _Step:
    amount_e7, is_within = exact_amounts(parts)
    return _Step(parts, amount_e7, is_within, shown_unit_e4(parts, amount_e7, quantity_milli, is_graduated, rounding))


def _clamped(step: _Step, bounds: Bounds, quantity_milli: Int64s, is_graduated: Bools, rounding: Rounding) -> _Step:
    """The lines with the unit prices of their parts inside their bounds; the same step where all of them are."""
    parts = step.parts
    unit_e4 = clamp_unit(parts.unit_e4, bounds if parts.lines.are_single else bounds.only(parts.lines.group))
    if np.array_equal(unit_e4, parts.unit_e4):
        return step
    return _step(parts.at(unit_e4), quantity_milli, is_graduated, rounding)


class NextTiers(NamedTuple):
    """The next cheaper tiers of lines (n,): which kept line, how much more of it, and the tier's unit price."""

    line: Int64s
    needed_milli: Int64s
    unit_e4: Int64s


def next_tiers(book: PriceBook, prices: LinePrices) -> NextTiers:
    """For each line whose entry has tiers, the first later step with a lower unit price. Source: SEMANTICS.md, Next benefit."""
    entries = book.entries
    tiered = (entries.mode[prices.entry] != NO_TIERS).nonzero()[0]
    if tiered.size == 0:
        return NextTiers(tiered, tiered, tiered)
    entry, quantity = prices.entry[tiered], prices.whole_milli[tiered]
    low = entries.tier_first[entry]
    count = entries.tier_first[entry + 1] - low
    first = np.cumsum(count) - count
    line = np.repeat(np.arange(tiered.size), count)
    step = np.repeat(low - first, count) + np.arange(line.size)
    list_unit, unit = entries.unit_e4[entry], prices.base.unit_e4[tiered]
    shown = entries.tier_unit_e4[step]
    scaled = (unit != list_unit)[line].nonzero()[0]
    if scaled.size:
        its = line[scaled]
        shown[scaled] = scale_tier(shown[scaled], list_unit[its], unit[its], book.policy.rounding)
    shown = to_grain(shown, book.policy.grain_e4, book.policy.rounding)
    # The step the quantity is in is the first whose bound is at or above it.
    is_at_or_later = entries.tier_up_to_milli[step] >= quantity[line]
    current = first + count - np.add.reduceat(is_at_or_later, first, dtype=np.int64)
    better = (is_at_or_later & (shown < shown[current[line]])).nonzero()[0]
    if better.size == 0:
        return NextTiers(better, better, better)
    chosen = better[groups_of(line[better]).starts]
    found = line[chosen]
    below, quantity = entries.tier_up_to_milli[step[chosen] - 1], quantity[found]
    # A whole quantity goes on to the next whole number, a weighed one to the next thousandth.
    starts = np.where(quantity % MILLI == 0, (below // MILLI + 1) * MILLI, below + 1)
    return NextTiers(tiered[found], starts - quantity, shown[chosen])
