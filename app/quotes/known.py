"""Lines that were priced before, as they stand in a reply, and how they are learned.

What a line costs depends on its context, its SKU and its quantity, unless a promotion sums over its scope and another line of the basket is
in it: then it depends on those lines too. So a line is learned alone, and lines that feel one another are learned together.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from app.pricing.basket import Basket
from app.pricing.book import PriceBook
from app.pricing.money import Bools
from app.pricing.quote import price_line_level
from app.pricing.reasons import Reason
from app.quotes.encode import Writer
from app.quotes.phrases import ENTRIES

type Key = tuple[str, int]  # SKU and quantity


class ForOrder(NamedTuple):
    """What order promotions need of a line, and what its text is made of when they have changed it."""

    level: tuple[int, ...]  # the columns of LineLevel but the basket
    start: str  # up to the unit price
    steps: str
    adjustments: str


class Offers(NamedTuple):
    """What few lines have."""

    tier: tuple[str, str] | None  # the next cheaper tier, before and behind the line's id
    benefits: dict[int, str]  # next steps, by promotion
    personal: tuple[str, ...]


@dataclass(slots=True, eq=False)
class KnownLine:
    """A line from behind its id, and what it adds to the rest of a reply."""

    tail: bytes
    subtotal_minor: int
    total_minor: int  # before order promotions
    tax_included: bool
    told: dict[int, bytes]  # by candidate in sequence: why it did not apply; empty where it did
    reasons: bytes  # the same as it stands in a reply
    summing: frozenset[int]  # candidates that feel other lines of their scope
    by_kind: tuple[tuple[str, int], ...]
    offers: Offers | None
    for_order: ForOrder


def learn(book: PriceBook, baskets: Sequence[Basket]) -> list[list[KnownLine] | None]:
    """The lines of each basket, priced together; None for a basket that feels more than that or has a line without a price."""
    writer = Writer(book, baskets, price_line_level(book, baskets))
    first_app = np.searchsorted(writer.priced.applications.basket, np.arange(len(baskets) + 1)).tolist()
    columns, is_summing = _order_columns(writer), _is_summing(writer)
    return [
        _known_lines(writer, number, range(first_app[number], first_app[number + 1]), columns, is_summing)
        if writer.first_kept[number + 1] - writer.first_kept[number] == len(basket.skus)
        else None
        for number, basket in enumerate(baskets)
    ]


def _is_summing(writer: Writer) -> Bools:
    """Applications that feel all lines of their scope, unless their condition fails whatever the lines are."""
    outcome, rule, promotions = writer.priced.outcome, writer.priced.applications.rule, writer.book.promotions
    is_condition = (outcome.slot >= 0) | (outcome.reason == Reason.CONDITION_NOT_MET)
    is_inert = ~outcome.is_applied & is_condition & promotions.is_contextual[rule]
    return np.asarray(~(promotions.is_local[rule] | is_inert), np.bool_)


def _order_columns(writer: Writer) -> list[tuple[int, ...]]:
    """The columns of LineLevel, line by line."""
    priced, lines = writer.priced, writer.priced.lines
    columns = (
        lines.sku_row,
        lines.quantity_milli,
        lines.list_minor,
        lines.subtotal_minor,
        priced.total_minor,
        lines.lowest_minor,
        lines.bounds.floor_rule,
        lines.sale >= 0,
        priced.is_exclusively_taken,
    )
    return list(zip(*(column.tolist() for column in columns), strict=True))


def _known_lines(
    writer: Writer, number: int, apps: range, columns: Sequence[tuple[int, ...]], is_summing: Bools
) -> list[KnownLine] | None:
    applications, promotions, texts = writer.priced.applications, writer.book.promotions, writer.promotions
    rules: list[int] = applications.rule[apps.start : apps.stop].tolist()
    if any(promotions.needs_order[rule] for rule in rules):
        return None
    low, high = writer.first_kept[number], writer.first_kept[number + 1]
    reasons = dict(zip(*texts.not_applied.get(number, ((), ())), strict=True))
    benefits = dict(texts.benefits.get(number, ()))
    told: list[dict[int, bytes]] = [{} for _ in range(low, high)]
    offered: list[dict[int, str]] = [{} for _ in range(low, high)]
    summing = frozenset(rule for rule, sums in zip(rules, is_summing[apps.start : apps.stop].tolist(), strict=True) if sums)
    starts = applications.lines.starts
    for app, rule in zip(apps, rules, strict=True):
        stop = starts[app + 1] if app + 1 < starts.size else applications.line.size
        text = ENTRIES[reasons.get(rule, "")]
        for line in applications.line[starts[app] : stop].tolist():
            told[line - low][rule] = text
            if rule in benefits:
                offered[line - low][rule] = benefits[rule]
    tiers = {offset: (start, end) for offset, start, end in writer.tier_benefits.get(number, ())}
    personal = tuple(writer.personal.get(number, ()))
    return [
        KnownLine(
            writer.tails[place].encode(),
            columns[place][3],
            columns[place][4],
            bool(writer.priced.lines.tax_included[place]),
            told[offset],
            b",".join(filter(None, told[offset].values())),
            summing & told[offset].keys(),
            # What belongs to all of them stands on the first.
            texts.by_kind[number] if offset == 0 else (),
            Offers(tiers.get(offset), offered[offset], personal) if personal or offered[offset] or offset in tiers else None,
            ForOrder(columns[place], writer.starts[place], writer.steps[place], ",".join(texts.on_lines[place])),
        )
        for offset, place in enumerate(range(low, high))
    ]
