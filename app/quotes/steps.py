"""The price steps of lines as JSON text. Source: app/pricing/SEMANTICS.md, Price steps."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from app.pricing.book import PriceBook
from app.pricing.guardrails import told_of
from app.pricing.line_price import LinePrices
from app.pricing.price_lists import NO_TIERS
from app.pricing.strategy import Status
from app.quotes.phrases import TEXTS, UNIT_PRICES

_STATUS_NAMES: Final = tuple(status.name.lower() for status in Status)


def price_steps(book: PriceBook, lines: LinePrices, skus: Sequence[str]) -> dict[int, str]:
    """The steps of the kept lines that have any, by line: entries without their brackets. `skus` (n_kept,) names the lines' SKUs."""
    has_tiers = book.entries.mode[lines.entry] != NO_TIERS
    is_shown = (lines.strategy >= 0) | has_tiers | (lines.sale >= 0) | (lines.tier_bound != 0) | (lines.final_bound != 0)
    places = np.flatnonzero(is_shown)
    if places.size == 0:
        return {}
    columns = (
        lines.list_unit_e4,
        lines.strategy,
        lines.strategy_unit_e4,
        lines.strategy_status,
        lines.strategy_bound,
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
    found: dict[int, str] = {}
    for place, row in zip(places.tolist(), zip(*(column[places].tolist() for column in columns), strict=True), strict=True):
        (unit, strategy, strategy_unit, status, strategy_bound, is_tiered, list_row, tier_unit) = row[:8]
        (tier_bound, bounded_unit, sale, sale_unit, final_bound, final_unit, floor, ceiling) = row[8:]
        before = price[unit]
        entries: list[str] = []
        if strategy >= 0:
            after = price[strategy_unit]
            more = "" if status == Status.OK else f',"status":"{_STATUS_NAMES[status]}"'
            if strategy_bound:
                guardrail, bound = told_of(floor if strategy_bound > 0 else ceiling)
                more += f',"bound":"{bound}","guardrail":{TEXTS[guard[guardrail]]}'
            entries.append(
                f'{{"step":"strategy","rule":{TEXTS[book.strategy_names.id[strategy]]},"before":{before},"after":{after}{more}}}'
            )
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
            entries.append(f'{{"step":"sale","rule":{TEXTS[book.sale_names.id[sale]]},"before":{before},"after":{after}}}')
            before = after
        if final_bound:
            entries.append(_guardrail(guard, floor if final_bound > 0 else ceiling, before, price[final_unit]))
        found[place] = ",".join(entries)
    return found


def _guardrail(ids: Sequence[str], bound: int, before: str, after: str) -> str:
    row, name = told_of(bound)
    return f'{{"step":"guardrail","rule":{TEXTS[ids[row]]},"bound":"{name}","before":{before},"after":{after}}}'
