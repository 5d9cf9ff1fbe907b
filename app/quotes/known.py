"""Lines that were priced before, as they stand in a reply, and how they are learned.

What a line costs depends on its context, its SKU and its quantity, unless a promotion sums over its scope and another line of the basket is
in it: then it depends on those lines too. So a line is learned alone, and lines that feel one another are learned together.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from app.pricing.basket import Basket
from app.pricing.book import PriceBook
from app.pricing.money import Bools
from app.pricing.quote import disputed_lines, price_line_level
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

    benefits: dict[str, str]  # next steps, by promotion
    personal: tuple[str, ...]


class KnownLine(NamedTuple):
    """A line from behind its id, and what it adds to the rest of a reply. A tuple, so that the lines of a basket are turned into columns at once."""

    tail: bytes
    subtotal_minor: int
    total_minor: int  # before order promotions
    tax_included: bool
    told: dict[str, bytes]  # by id of each candidate, in sequence: why it did not apply; empty where it did
    reasons: bytes  # the same as it stands in a reply
    summing: frozenset[str]  # candidates that feel other lines of their scope
    by_kind: tuple[tuple[str, int], ...]
    tier: tuple[str, str] | None  # the next cheaper tier, before and behind the line's id
    offers: Offers | None
    for_order: ForOrder


def learn(book: PriceBook, baskets: Sequence[Basket]) -> list[list[KnownLine] | None]:
    """The lines of each basket, priced together; None for a basket that feels more than that or has a line without a price."""
    writer = Writer(book, baskets, price_line_level(book, baskets))
    lines = _known_lines(writer)
    feels_more = set(_feeling_more(writer))
    bounds = writer.first_kept
    return [
        lines[bounds[number] : bounds[number + 1]]
        if bounds[number + 1] - bounds[number] == len(basket.skus) and number not in feels_more
        else None
        for number, basket in enumerate(baskets)
    ]


def _feeling_more(writer: Writer) -> list[int]:
    """Baskets with a candidate whose condition looks at the whole order, and those in which rivals compete for all of their lines."""
    apps, outcome = writer.priced.applications, writer.priced.outcome
    found: list[int] = apps.basket[writer.book.promotions.needs_order[apps.rule]].tolist()
    for flags in (outcome.is_searched, outcome.is_bounded):
        found += [] if flags is None else flags.nonzero()[0].tolist()
    return found


def _known_lines(writer: Writer) -> list[KnownLine]:
    """All kept lines."""
    priced = writer.priced
    n_lines = len(writer.tails)
    told: list[dict[str, bytes]] = [{} for _ in range(n_lines)]
    summing: list[list[str]] = [[] for _ in range(n_lines)]
    ids = writer.book.promotions.id
    apps = priced.applications
    texts = _texts_by_app(writer)
    columns = (apps.line, apps.lines.group, apps.rule[apps.lines.group], _is_summing(writer)[apps.lines.group])
    for line, app, rule, sums in zip(*(column.tolist() for column in columns), strict=True):
        told[line][ids[rule]] = texts[app]
        if sums:
            summing[line].append(ids[rule])
    offers = _offers(writer)
    # Of a basket without kept lines nothing is used, and the next one begins at the same line.
    by_kind = dict(zip(writer.first_kept, writer.promotions.by_kind, strict=False))
    on_lines, taxes = writer.promotions.on_lines, priced.lines.tax_included.tolist()
    return [
        KnownLine(
            writer.tails[line].encode(),
            level[3],
            level[4],
            taxes[line],
            told[line],
            b",".join(filter(None, told[line].values())),
            frozenset(summing[line]),
            by_kind.get(line, ()),
            writer.tier_benefits.get(line),
            offers.get(line),
            ForOrder(level, writer.starts[line], writer.steps[line], ",".join(on_lines[line])),
        )
        for line, level in enumerate(_order_columns(writer))
    ]


def _texts_by_app(writer: Writer) -> list[bytes]:
    """What is told of each application: why it did not apply, nothing where it did."""
    texts = [b""] * writer.priced.applications.rule.size
    for app, text in writer.promotions.reasons.items():
        texts[app] = ENTRIES[text]
    return texts


def _offers(writer: Writer) -> dict[int, Offers]:
    """What few lines have, by line."""
    apps, next_steps = writer.priced.applications, writer.promotions.next_steps
    benefits: dict[int, dict[str, str]] = {}
    ids = writer.book.promotions.id
    if next_steps:
        at = np.flatnonzero((writer.priced.outcome.next_step >= 0)[apps.lines.group])
        app = apps.lines.group[at]
        for line, number, rule in zip(apps.line[at].tolist(), app.tolist(), apps.rule[app].tolist(), strict=True):
            benefits.setdefault(line, {})[ids[rule]] = next_steps[number]
    # What belongs to all lines of a basket stands on the first.
    personal = {writer.first_kept[number]: tuple(names) for number, names in writer.personal.items()}
    return {line: Offers(benefits.get(line, {}), personal.get(line, ())) for line in benefits.keys() | personal.keys()}


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
        disputed_lines(writer.book, priced),
    )
    return list(zip(*(column.tolist() for column in columns), strict=True))
