"""Baskets put together from known lines: no arithmetic but sums, no text but what the lines bring."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from app.pricing.basket import Basket
from app.pricing.beyond import reaches_beyond
from app.pricing.book import PriceBook
from app.pricing.money import AMOUNT_MINOR_MAX, E7, round_div
from app.pricing.quote import LineLevel, price_order_level
from app.pricing.watched import NO_COST, lines_by_bound, with_promotions
from app.quotes.beyond_text import BeyondText, beyond_texts, plain
from app.quotes.encode import EncodedQuote, line_tail, reply_body
from app.quotes.figures import HAS_OFFERS, TAX_INCLUDED, Sums, add_up
from app.quotes.known import KnownLine
from app.quotes.phrases import ID_STARTS, IDS
from app.quotes.promotion_texts import PromotionTexts

type Cluster = tuple[int, ...]  # places of lines that feel one another, ascending


@dataclass(slots=True, eq=False)
class Assembled:
    """A basket put together from its lines."""

    basket: Basket
    lines: Sequence[KnownLine]
    tax_included: bool
    subtotal_minor: int
    total_minor: int
    tails: list[bytes]
    reasons: list[bytes]  # each entry behind a comma
    by_kind: tuple[tuple[str, int], ...]
    on_order: bytes = b""
    benefits: list[bytes] = field(default_factory=list)  # each entry behind a comma
    personal: Sequence[str] = ()
    beyond: BeyondText | None = None
    is_bounded: bool = False
    held: int = 0
    costed_minor: int = 0
    cost_minor: int = 0
    needs_engine: bool = False  # which promotions take part cannot be told from its lines

    def reply(self) -> EncodedQuote:
        """Its reply."""
        parts = [b""] * (2 * len(self.tails))
        parts[::2] = [ID_STARTS[line_id] for line_id in self.basket.line_ids]
        parts[1::2] = self.tails
        parts[0] = parts[0][1:]  # without the comma
        beyond = self.beyond or plain(self.basket)
        body = reply_body(
            self.basket,
            tax_included=self.tax_included,
            lines=parts,
            on_order=self.on_order,
            beyond=beyond,
            subtotal_minor=self.subtotal_minor,
            merchandise_minor=self.total_minor,
            not_applied=_without_first_comma(self.reasons),
            benefits=_without_first_comma(self.benefits),
            personal=self.personal,
            is_bounded=self.is_bounded,
        )
        discount = self.subtotal_minor - self.total_minor
        total = self.total_minor + beyond.more_minor
        return EncodedQuote(
            (),
            body,
            self.subtotal_minor,
            discount,
            total,
            self.by_kind,
            self.is_bounded,
            self.tax_included,
            lines_by_bound(self.held),
            self.costed_minor,
            self.cost_minor,
        )


def _without_first_comma(entries: list[bytes]) -> list[bytes]:
    """Pieces of entries, each entry behind a comma, as they stand in a list."""
    for place, piece in enumerate(entries):
        if piece:
            entries[place] = piece[1:]
            break
    return entries


def clusters(lines: Sequence[KnownLine], shared: Iterable[int]) -> list[Cluster]:
    """Lines that feel one another: those in the scope of one promotion that sums, or that tell different reasons of one promotion.

    `shared` are the candidates of more than one line, by their numbers.
    """
    leader = list(range(len(lines)))

    def lead(place: int) -> int:
        while leader[place] != place:
            place = leader[place]
        return place

    is_apart = True
    for rule in shared:
        places = [place for place, line in enumerate(lines) if rule in line.rest.told]
        if len({lines[place].rest.told[rule] for place in places} - {b""}) > 1 or any(
            rule in lines[place].rest.summing for place in places
        ):
            is_apart = False
            leads = sorted({lead(place) for place in places})
            for other in leads[1:]:
                leader[other] = leads[0]
    if is_apart:
        return []
    members: dict[int, list[int]] = {}
    for place in range(len(lines)):
        members.setdefault(lead(place), []).append(place)
    return [tuple(places) for places in members.values() if len(places) > 1]


def sums_of(wholes: Sequence[Sequence[KnownLine]]) -> Sums:
    """What the lines of each basket come to, in one vectorised call."""
    return add_up([line.figures for lines in wholes for line in lines], [len(lines) for lines in wholes])


def assembled(basket: Basket, lines: Sequence[KnownLine], sums: Sums, number: int) -> Assembled | None:
    """Put a basket together from lines that do not feel one another; `number` is the basket's in the sums.

    None where lines still tell different reasons, or where there is an amount or a tax that the basket may not have.
    """
    flags, subtotal = sums.flags_of_any[number], sums.subtotal_minor[number]
    tax_included = flags & TAX_INCLUDED
    if subtotal > AMOUNT_MINOR_MAX or tax_included != sums.flags_of_all[number] & TAX_INCLUDED:
        return None
    reasons = [line.reasons for line in lines]
    if number in sums.shared and not _tell_once(reasons, lines, sums.shared[number]):
        return None
    one = Assembled(
        basket,
        lines,
        bool(tax_included),
        subtotal,
        sums.total_minor[number],
        [line.tail for line in lines],
        reasons,
        tuple([own for line in lines if line.by_kind for own in line.by_kind]),
        held=sums.held[number],
        costed_minor=sums.costed_minor[number],
        cost_minor=sums.cost_minor[number],
    )
    if flags & HAS_OFFERS:
        _add_offers(one, is_shared=number in sums.shared)
    return one


def _tell_once(reasons: list[bytes], lines: Sequence[KnownLine], shared: Iterable[int]) -> bool:
    """Tell of a shared promotion on its first line only, and nothing where it has applied somewhere. False where lines do not agree on the reason."""
    for rule in shared:
        places = [place for place, line in enumerate(lines) if rule in line.rest.told]
        texts = {lines[place].rest.told[rule] for place in places}
        has_applied = b"" in texts
        if not has_applied and len(texts) > 1:
            return False
        for place in places if has_applied else places[1:]:
            # An entry is an object, so it cannot stand inside another one, whose quotes are escaped.
            reasons[place] = reasons[place].replace(lines[place].rest.told[rule], b"", 1)
    return True


def _add_offers(one: Assembled, *, is_shared: bool) -> None:
    """Cheaper tiers of lines, then steps of promotions; `is_shared` says that lines have candidates in common, whose steps are told once."""
    tiers: list[bytes] = []
    steps: list[bytes] = []
    personal: tuple[str, ...] = ()
    several: dict[int, bytes] = {}
    for name, line in zip(one.basket.line_ids, one.lines, strict=True):
        own = line.offers
        if own is None:
            continue
        if own.tier is not None:
            before, behind = own.tier
            tiers += (before, IDS[name], behind)
        if own.all_steps:
            steps.append(own.all_steps)
            if is_shared:
                several |= own.steps
        if own.personal and own.personal != personal:
            personal = tuple(sorted({*personal, *own.personal}))
    one.benefits = [*tiers, *(several.values() if is_shared else steps)]
    one.personal = personal


def has_order_level(book: PriceBook) -> bool:
    """Whether a basket is more than its lines."""
    return book.promotions.n_line_level < len(book.promotions.id) or reaches_beyond(book)


def add_order_level(book: PriceBook, found: Sequence[Assembled]) -> None:
    """Go on from the lines of baskets put together from known ones, all in one vectorised call: order promotions and what lies beyond."""
    if not found or not has_order_level(book):
        return
    basket = np.repeat(np.arange(len(found)), [len(one.lines) for one in found])
    packed = b"".join([line.rest.for_order.level for one in found for line in one.lines])
    columns = np.ascontiguousarray(np.frombuffer(packed, np.int64).reshape(basket.size, -1).T)
    held, cost_minor, *numbers = columns[:-3]
    flags = [column.astype(np.bool_) for column in columns[-3:]]
    level = LineLevel._make([basket, *numbers, *flags])
    priced = price_order_level(book, [one.basket for one in found], level)
    texts = PromotionTexts(book, priced.applications, priced.outcome, basket, n_baskets=len(found), codes={})
    net = round_div(priced.total_minor * E7, level.quantity_milli, book.policy.rounding).tolist()
    totals: list[int] = priced.total_minor.tolist()
    subtotals: list[int] = level.subtotal_minor.tolist()
    beyond = None
    if priced.beyond is not None:
        beyond = beyond_texts(book, [one.basket for one in found], priced.beyond, on_shipping=texts.on_shipping, codes={})
    bounded = priced.outcome.is_bounded
    held = with_promotions(held, book, priced.outcome, priced.total_minor, level.lowest_minor, level.lowest_rule)
    costed_minor = np.where(cost_minor == NO_COST, 0, priced.total_minor)
    first_line = np.searchsorted(basket, np.arange(len(found)))
    held_sums, costed_sums = np.add.reduceat(np.stack((held, costed_minor)), first_line, axis=1).tolist()
    first = 0
    for number, one in enumerate(found):
        one.held, one.costed_minor = held_sums[number], costed_sums[number]
        one.needs_engine = bool(priced.is_undecided[number])
        one.is_bounded = bounded is not None and bool(bounded[number])
        one.beyond = None if beyond is None else beyond[number]
        reasons = texts.not_applied.get(number)
        if reasons is not None:
            one.reasons.append(b"," + ",".join(reasons).encode())
        if number in texts.benefits:
            one.benefits.append(b"," + ",".join(texts.benefits[number]).encode())
        one.by_kind += texts.by_kind[number]
        if number in texts.personal:
            one.personal = sorted({*one.personal, *texts.personal[number]})
        if number in texts.on_orders:
            one.on_order = ",".join(texts.on_orders[number]).encode()
            for offset, line in enumerate(one.lines):
                if taken := texts.on_lines[first + offset]:
                    _, start, steps, adjustments = line.rest.for_order
                    adjustments = ",".join([adjustments, *taken] if adjustments else taken)
                    subtotal = subtotals[first + offset]
                    tail = line_tail(start, net[first + offset], subtotal, totals[first + offset], steps, adjustments)
                    one.tails[offset] = tail.encode()
            one.total_minor = sum(totals[first : first + len(one.lines)])
        first += len(one.lines)
