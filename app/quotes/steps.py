"""The price steps of lines as JSON text. Source: app/pricing/SEMANTICS.md, Price steps."""

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np

from app.pricing.book import PriceBook
from app.pricing.guardrails import told_of
from app.pricing.line_price import LinePrices
from app.pricing.money import format_decimal, format_e4, format_milli
from app.pricing.price_lists import NO_TIERS
from app.pricing.strategy import ABSENT, Form, Status, Told
from app.quotes.phrases import QUANTITIES, TEXTS, UNIT_PRICES

_STATUS_NAMES: Final = tuple(status.name.lower() for status in Status)


def price_steps(book: PriceBook, lines: LinePrices, skus: Sequence[str]) -> dict[int, str]:
    """The steps of the kept lines that have any, by line: entries without their brackets. `skus` (n_kept,) names the lines' SKUs."""
    base = lines.base
    has_tiers = book.entries.mode[lines.entry] != NO_TIERS
    is_shown = (
        (base.strategy >= 0)
        | (base.ladder >= 0)
        | has_tiers
        | (lines.sale >= 0)
        | (lines.tier_bound != 0)
        | (lines.final_bound != 0)
    )
    places = np.flatnonzero(is_shown)
    if places.size == 0:
        return {}
    columns = (
        lines.list_unit_e4,
        base.strategy,
        base.strategy_unit_e4,
        base.strategy_status,
        base.strategy_bound,
        base.strategy_place,
        base.ladder,
        base.is_gap_short,
        base.unit_e4,
        has_tiers,
        book.entries.list_row[lines.entry],
        lines.tier_unit_e4,
        lines.tier_bound,
        lines.bounded_unit_e4,
        lines.sale,
        lines.sale_unit_e4,
        lines.final_bound,
        lines.final_unit_e4,
        lines.bounds.floor_rule,
        lines.bounds.ceiling_rule,
    )
    price, guard = UNIT_PRICES, book.guardrail_names.id
    kinds, kind_of = book.strategies.kinds, book.strategies.kind
    inputs = _inputs(base.told)
    units = lines.sale_units_milli
    found: dict[int, str] = {}
    for place, row in zip(places.tolist(), zip(*(column[places].tolist() for column in columns), strict=True), strict=True):
        (unit, strategy, strategy_unit, status, strategy_bound, told, ladder, is_gap_short, base_unit) = row[:9]
        (is_tiered, list_row, tier_unit, tier_bound, bounded_unit, sale, sale_unit, final_bound, final_unit, floor, ceiling) = (
            row[9:]
        )
        before = price[unit]
        entries: list[str] = []
        if strategy >= 0:
            after = price[strategy_unit]
            more = "" if status == Status.OK else f',"status":"{_STATUS_NAMES[status]}"'
            if strategy_bound:
                guardrail, bound = told_of(floor if strategy_bound > 0 else ceiling)
                more += f',"bound":"{bound}","guardrail":{TEXTS[guard[guardrail]]}'
            rule, kind = TEXTS[book.strategy_names.id[strategy]], kinds[kind_of[strategy]]
            shown = f',"inputs":{{{inputs[told]}}}' if told in inputs else ""
            entries.append(f'{{"step":"strategy","rule":{rule},"kind":"{kind}"{shown},"before":{before},"after":{after}{more}}}')
            before = after
        if ladder >= 0:
            after, rule = price[base_unit], TEXTS[book.ladder_names.id[ladder]]
            more = ',"status":"gap_not_kept"' if is_gap_short else ""
            entries.append(f'{{"step":"ladder","rule":{rule},"before":{before},"after":{after}{more}}}')
            before = after
        if is_tiered:
            after, name = price[tier_unit], TEXTS[book.price_lists.id[list_row]]
            entries.append(f'{{"step":"tier","rule":{TEXTS[skus[place]]},"price_list":{name},"before":{before},"after":{after}}}')
            before = after
        if tier_bound:
            after = price[bounded_unit]
            entries.append(_guardrail(guard, floor if tier_bound > 0 else ceiling, before, after))
            before = after
        if sale >= 0:
            after = price[sale_unit]
            more = "" if units is None or units[place] < 0 else f',"units":{QUANTITIES[int(units[place])]}'
            entries.append(f'{{"step":"sale","rule":{TEXTS[book.sale_names.id[sale]]}{more},"before":{before},"after":{after}}}')
            before = after
        if final_bound:
            entries.append(_guardrail(guard, floor if final_bound > 0 else ceiling, before, price[final_unit]))
        found[place] = ",".join(entries)
    return found


def _inputs(told: Sequence[Told]) -> dict[int, str]:
    """What strategies have used, by the place of their line: members without their braces."""
    found: dict[int, str] = {}
    for line, figure in told:
        is_there = figure.values != ABSENT
        written = _WRITTEN[figure.form]
        for place, value in zip(line[is_there].tolist(), figure.values[is_there].tolist(), strict=True):
            text = TEXTS[figure.texts[value]] if figure.form == Form.TEXT else written(value)
            member = f'"{figure.name}":{text}'
            found[place] = f"{found[place]},{member}" if place in found else member
    return found


_WRITTEN: Final[dict[Form, Callable[[int], str]]] = {
    Form.UNIT_PRICE: lambda value: f'"{format_e4(value)}"',
    Form.QUANTITY: lambda value: f'"{format_milli(value)}"',
    Form.PERCENT: lambda value: f'"{format_decimal(value, 4)}"',
    Form.INDEX: lambda value: f'"{format_decimal(value, 4)}"',
    Form.COUNT: str,
    Form.TEXT: str,
}


def _guardrail(ids: Sequence[str], bound: int, before: str, after: str) -> str:
    row, name = told_of(bound)
    return f'{{"step":"guardrail","rule":{TEXTS[ids[row]]},"bound":"{name}","before":{before},"after":{after}}}'
