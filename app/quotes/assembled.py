"""Baskets put together from known lines: no arithmetic but sums, no text but what the lines bring."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from app.pricing.basket import Basket
from app.pricing.beyond import reaches_beyond
from app.pricing.book import PriceBook
from app.pricing.money import AMOUNT_MINOR_MAX, E7, round_div
from app.pricing.quote import LineLevel, price_order_level
from app.quotes.beyond_text import BeyondText, beyond_texts, plain
from app.quotes.encode import EncodedQuote, line_tail, reply_body
from app.quotes.known import KnownLine, Offers
from app.quotes.phrases import ID_STARTS, TEXTS
from app.quotes.promotion_texts import PromotionTexts

type Cluster = tuple[int, ...]  # places of lines that feel one another, ascending


@dataclass(slots=True, eq=False)
class Assembled:
    """A basket put together from its lines."""

    basket: Basket
    lines: Sequence[KnownLine]
    tails: Sequence[bytes]
    subtotal_minor: int
    total_minor: int
    not_applied: bytes
    by_kind: tuple[tuple[str, int], ...]
    on_order: bytes = b""
    benefits: Sequence[str] = ()
    personal: Sequence[str] = ()
    encoded: EncodedQuote | None = None
    beyond: BeyondText | None = None

    def reply(self) -> EncodedQuote:
        """Its reply."""
        parts = [b""] * (2 * len(self.tails))
        parts[::2] = [ID_STARTS[line_id] for line_id in self.basket.line_ids]
        parts[1::2] = self.tails
        parts[0] = parts[0][1:]  # without the comma
        beyond = self.beyond or plain(self.basket)
        body = reply_body(
            self.basket,
            tax_included=self.lines[0].tax_included,
            lines=b"".join(parts),
            on_order=self.on_order,
            beyond=beyond,
            subtotal_minor=self.subtotal_minor,
            merchandise_minor=self.total_minor,
            not_applied=self.not_applied,
            benefits=",".join(self.benefits).encode() if self.benefits else b"",
            personal=self.personal,
        )
        discount = self.subtotal_minor - self.total_minor
        total = self.total_minor + beyond.more_minor
        return EncodedQuote((), body, self.subtotal_minor, discount, total, self.by_kind)


def shared_candidates(lines: Sequence[KnownLine]) -> set[str]:
    """The promotions that are candidates on more than one line."""
    told = [line.told for line in lines]
    shared: set[str] = set()
    if len(set().union(*told)) != sum(map(len, told)):
        seen: set[str] = set()
        for own in told:
            if not seen.isdisjoint(own):
                shared |= seen & own.keys()
            seen.update(own)
    return shared


def clusters(lines: Sequence[KnownLine], shared: Iterable[str]) -> list[Cluster]:
    """Lines that feel one another: those in the scope of one promotion that sums, or that tell different reasons of one promotion."""
    leader = list(range(len(lines)))

    def lead(place: int) -> int:
        while leader[place] != place:
            place = leader[place]
        return place

    is_apart = True
    for rule in shared:
        places = [place for place, line in enumerate(lines) if rule in line.told]
        if len({lines[place].told[rule] for place in places} - {b""}) > 1 or any(
            rule in lines[place].summing for place in places
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


def assembled(basket: Basket, lines: Sequence[KnownLine], shared: set[str]) -> Assembled | None:
    """Put a basket together from lines that do not feel one another; `shared` are the candidates of more than one of them.

    None where lines still tell different reasons, or where there is an amount or a tax that the basket may not have.
    """
    tails, subtotals, totals, taxes, _, reasons, _, by_kind, tiers, offers, _ = zip(*lines, strict=True)
    subtotal = sum(subtotals)
    if subtotal > AMOUNT_MINOR_MAX or len(set(taxes)) > 1:
        return None
    told = _told_once(lines, shared) if shared else reasons
    if told is None:
        return None
    not_applied = b",".join(filter(None, told))
    one = Assembled(basket, lines, tails, subtotal, sum(totals), not_applied, tuple(chain.from_iterable(by_kind)))
    if any(tiers):
        one.benefits = [f"{tier[0]}{TEXTS[name]}{tier[1]}" for name, tier in zip(basket.line_ids, tiers, strict=True) if tier]
    if any(offers):
        _add_offers(one, offers)
    return one


def _told_once(lines: Sequence[KnownLine], shared: Iterable[str]) -> list[bytes] | None:
    """What the lines tell, but of a shared promotion on its first line only, and nothing where it has applied somewhere.

    None where lines do not agree on the reason.
    """
    told = [line.reasons for line in lines]
    for rule in shared:
        places = [place for place, line in enumerate(lines) if rule in line.told]
        texts = {lines[place].told[rule] for place in places}
        has_applied = b"" in texts
        if not has_applied and len(texts) > 1:
            return None
        for place in places if has_applied else places[1:]:
            told[place] = _without(told[place], lines[place].told[rule])
    return told


def _without(entries: bytes, entry: bytes) -> bytes:
    """Entries joined by commas less one of them. It is an object, so it cannot stand inside another one, whose quotes are escaped."""
    if not entry or entries == entry:
        return b"" if entry else entries
    return entries[len(entry) + 1 :] if entries.startswith(entry) else entries.replace(b"," + entry, b"", 1)


def _add_offers(one: Assembled, offers: Iterable[Offers | None]) -> None:
    benefits: dict[str, str] = {}
    personal: set[str] = set()
    for own in offers:
        if own is not None:
            benefits |= own.benefits
            personal.update(own.personal)
    one.benefits = [*one.benefits, *benefits.values()]
    one.personal = sorted(personal)


def has_order_level(book: PriceBook) -> bool:
    """Whether a basket is more than its lines."""
    return book.promotions.n_line_level < len(book.promotions.id) or reaches_beyond(book)


def add_order_level(book: PriceBook, found: Sequence[Assembled]) -> None:
    """Go on from the lines of baskets put together from known ones, all in one vectorised call: order promotions and what lies beyond."""
    if not found or not has_order_level(book):
        return
    basket = np.repeat(np.arange(len(found)), [len(one.lines) for one in found])
    columns = np.array([line.for_order.level for one in found for line in one.lines], np.int64).T
    numbers, flags = list(columns[:-2]), [column.astype(np.bool_) for column in columns[-2:]]
    level = LineLevel._make([basket, *numbers, *flags])
    priced = price_order_level(book, [one.basket for one in found], level)
    texts = PromotionTexts(book, priced.applications, priced.outcome, basket, n_baskets=len(found), codes={})
    net = round_div(priced.total_minor * E7, level.quantity_milli, book.policy.rounding).tolist()
    totals: list[int] = priced.total_minor.tolist()
    beyond = None
    if priced.beyond is not None:
        beyond = beyond_texts(book, [one.basket for one in found], priced.beyond, on_shipping=texts.on_shipping, codes={})
    first = 0
    for number, one in enumerate(found):
        one.beyond = None if beyond is None else beyond[number]
        reasons = texts.not_applied.get(number)
        if reasons is not None:
            own = ",".join(reasons).encode()
            one.not_applied = b"%b,%b" % (one.not_applied, own) if one.not_applied else own
        if number in texts.benefits:
            one.benefits = [*one.benefits, *texts.benefits[number]]
        one.by_kind += texts.by_kind[number]
        if number in texts.personal:
            one.personal = sorted({*one.personal, *texts.personal[number]})
        if number in texts.on_orders:
            one.on_order = ",".join(texts.on_orders[number]).encode()
            tails = [*one.tails]
            for offset, line in enumerate(one.lines):
                if taken := texts.on_lines[first + offset]:
                    _, start, steps, adjustments = line.for_order
                    adjustments = ",".join([adjustments, *taken] if adjustments else taken)
                    tails[offset] = line_tail(
                        start, net[first + offset], line.subtotal_minor, totals[first + offset], steps, adjustments
                    ).encode()
            one.tails = tails
            one.total_minor = sum(totals[first : first + len(one.lines)])
        first += len(one.lines)
