"""Lines that were priced before, as they stand in a reply, and how they are learned.

What a line costs depends on its context, its SKU and its quantity, unless a promotion sums over its scope and another line of the basket is
in it: then it depends on those lines too. So a line is learned alone, and lines that feel one another are learned together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from app.pricing.basket import Basket
from app.pricing.book import PriceBook
from app.pricing.money import Bools
from app.pricing.price_lists import MIX_BY_NAME, MIX_SKU, NO_MIX
from app.pricing.quote import by_sequence, disputed_lines, price_line_level
from app.pricing.reasons import Reason
from app.quotes.encode import Writer
from app.quotes.figures import HAS_OFFERS, TAX_INCLUDED, Numbering, pack_figures
from app.quotes.phrases import ENTRIES

type Key = tuple[str, int]  # SKU and quantity


class ForOrder(NamedTuple):
    """What order promotions need of a line, and what its text is made of when they have changed it."""

    level: bytes  # the bounds that hold it and its cost, then the columns of LineLevel but the basket, packed
    start: str  # up to the unit price
    steps: str
    adjustments: str


class Offers(NamedTuple):
    """What few lines have."""

    tier: tuple[bytes, bytes] | None  # the next cheaper tier: a comma and its entry, before and behind the line's id
    steps: dict[int, bytes]  # next steps by number of the promotion, each behind a comma
    all_steps: bytes
    personal: tuple[str, ...]  # sorted


class Rest(NamedTuple):
    """What is asked of a line only where it is not simply joined to the others. Promotions go by their numbers in the memo."""

    told: dict[int, bytes]  # of each candidate, in sequence: a comma and why it did not apply; empty where it did, and of a mix
    summing: frozenset[int]  # candidates that feel other lines of their scope, and the mix that the line counts in
    for_order: ForOrder


@dataclass(slots=True, eq=False)
class KnownLine:
    """A line from behind its id, and what it adds to the rest of a reply.

    What every basket needs of it is in few objects: most of the time goes into fetching them from far memory.
    """

    tail: bytes
    reasons: bytes  # why its candidates did not apply, each behind a comma
    figures: bytes  # its amounts before order promotions, its flags and its candidates; see figures.py
    by_kind: tuple[tuple[str, int], ...]
    offers: Offers | None
    rest: Rest


def learn(book: PriceBook, baskets: Sequence[Basket], numbers: Numbering) -> list[list[KnownLine] | None]:
    """The lines of each basket, priced together; None for a basket that feels more than that or has a line without a price.

    `numbers` are those of the promotions by their ids.
    """
    writer = Writer(book, baskets, price_line_level(book, baskets))
    lines = _known_lines(writer, baskets, numbers)
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


def _known_lines(writer: Writer, baskets: Sequence[Basket], numbers: Numbering) -> list[KnownLine]:
    """All kept lines."""
    priced = writer.priced
    n_lines = len(writer.tails)
    told: list[dict[int, bytes]] = [{} for _ in range(n_lines)]
    summing: list[list[int]] = [[] for _ in range(n_lines)]
    ids = writer.book.promotions.id
    apps = priced.applications
    texts = _texts_by_app(writer)
    columns = (apps.line, apps.lines.group, apps.rule[apps.lines.group], _is_summing(writer)[apps.lines.group])
    for line, app, rule, sums in zip(*(column.tolist() for column in columns), strict=True):
        number = numbers[ids[rule]]
        told[line][number] = texts[app]
        if sums:
            summing[line].append(number)
    for line, mix in _mixes(writer):
        told[line][numbers[mix]] = b""
        summing[line].append(numbers[mix])
    offers = _offers(writer, numbers)
    # Of a basket without kept lines nothing is used, and the next one begins at the same line.
    by_kind = dict(zip(writer.first_kept, writer.promotions.by_kind, strict=False))
    on_lines = writer.promotions.on_lines
    amounts = (priced.lines.tax_included, priced.lines.subtotal_minor, priced.total_minor, writer.held, writer.cost_minor)
    return [
        KnownLine(
            writer.tails[line].encode(),
            b"".join(told[line].values()),
            pack_figures(
                flags=TAX_INCLUDED * tax_included | HAS_OFFERS * (line in offers),
                subtotal_minor=subtotal_minor,
                total_minor=total_minor,
                held=held,
                cost_minor=cost_minor,
                rules=tuple(told[line]),
            ),
            by_kind.get(line, ()),
            offers.get(line),
            Rest(
                told[line],
                frozenset(summing[line]),
                ForOrder(level, writer.starts[line], writer.steps[line], ",".join(on_lines[line])),
            ),
        )
        for line, (level, tax_included, subtotal_minor, total_minor, held, cost_minor) in enumerate(
            zip(_order_columns(writer, baskets), *(column.tolist() for column in amounts), strict=True)
        )
    ]


def _mixes(writer: Writer) -> Iterator[tuple[int, str]]:
    """The lines whose tiers count together with others, with what they share: no id of a promotion has a space."""
    entries, lines = writer.book.entries, writer.priced.lines
    if entries.mix.size:
        mix = entries.mix[lines.entry]
        at = (mix != NO_MIX).nonzero()[0]
        for line, number in zip(at.tolist(), mix[at].tolist(), strict=True):
            yield line, f"sku {writer.skus[line]}" if number == MIX_SKU else f"mix {entries.mix_names[number - MIX_BY_NAME]}"


def _texts_by_app(writer: Writer) -> list[bytes]:
    """What is told of each application: why it did not apply, nothing where it did."""
    texts = [b""] * writer.priced.applications.rule.size
    for app, text in writer.promotions.reasons.items():
        texts[app] = ENTRIES[text]
    return texts


def _offers(writer: Writer, numbers: Numbering) -> dict[int, Offers]:
    """What few lines have, by line."""
    apps, next_steps = writer.priced.applications, writer.promotions.next_steps
    steps: dict[int, dict[int, bytes]] = {}
    ids = writer.book.promotions.id
    if next_steps:
        at = np.flatnonzero((writer.priced.outcome.next_step >= 0)[apps.lines.group])
        app = apps.lines.group[at]
        for line, number, rule in zip(apps.line[at].tolist(), app.tolist(), apps.rule[app].tolist(), strict=True):
            steps.setdefault(line, {})[numbers[ids[rule]]] = ENTRIES[next_steps[number]]
    # What belongs to all lines of a basket stands on the first.
    personal = {writer.first_kept[number]: tuple(names) for number, names in writer.personal.items()}
    tiers = {line: (f",{start}".encode(), end.encode()) for line, (start, end) in writer.tier_benefits.items()}
    found = {}
    for line in tiers.keys() | steps.keys() | personal.keys():
        own = steps.get(line, {})
        found[line] = Offers(tiers.get(line), own, b"".join(own.values()), personal.get(line, ()))
    return found


def _is_summing(writer: Writer) -> Bools:
    """Applications that feel all lines of their scope, unless their condition fails whatever the lines are."""
    outcome, rule, promotions = writer.priced.outcome, writer.priced.applications.rule, writer.book.promotions
    is_condition = (outcome.slot >= 0) | (outcome.reason == Reason.CONDITION_NOT_MET)
    is_inert = ~outcome.is_applied & is_condition & promotions.is_contextual[rule]
    is_inert |= outcome.reason == Reason.LIMIT_REACHED
    return np.asarray(~(promotions.is_local[rule] | is_inert), np.bool_)


def _order_columns(writer: Writer, baskets: Sequence[Basket]) -> list[bytes]:
    """The columns that order promotions need, line by line."""
    priced, lines = writer.priced, writer.priced.lines
    columns = (
        writer.held,
        writer.cost_minor,
        lines.sku_row,
        lines.quantity_milli,
        lines.list_minor,
        lines.subtotal_minor,
        priced.total_minor,
        by_sequence(writer.book, baskets, priced),
        lines.lowest_minor,
        lines.lowest_rule,
        lines.sale >= 0,
        priced.is_exclusively_taken,
        disputed_lines(writer.book, priced),
    )
    return [row.tobytes() for row in np.stack(columns, axis=1, dtype=np.int64)]
