"""Lines that were priced before: what depends on the context, the SKU and the quantity alone is remembered as text.

Most lines are touched only by rules that look at the context and at the line itself, so the same line in the same context has the same
price, steps and reasons. The engine makes every entry; the memo only keeps it, for one book, until the next instant at which a schedule changes
anything. A basket is answered from the memo when all of its lines are there and no rule that sums over its scope meets two of them, and
order promotions then take their turns on it; every other basket goes through the engine as a whole. The replies of both ways are equal to the byte.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from app.pricing.basket import Basket
from app.pricing.book import PriceBook
from app.pricing.money import AMOUNT_MINOR_MAX, E7, Bools, round_div
from app.pricing.quote import LineLevel, price_baskets, price_line_level, price_order_level
from app.pricing.reasons import Reason
from app.quotes.encode import EncodedQuote, Writer, encode_quotes, line_tail, reply_body
from app.quotes.phrases import TEXTS
from app.quotes.promotion_texts import PromotionTexts

CONTEXTS_MAX: Final = 2_048
LINES_MAX: Final = 200_000

type Context = tuple[object, ...]


class KnownLine(NamedTuple):
    """A line as it stands in a reply, from behind its id, and what it adds to the rest of the reply."""

    tail: str
    subtotal_minor: int
    total_minor: int  # before order promotions
    tax_included: bool
    level: tuple[int, ...]  # the columns of LineLevel but the basket
    start: str  # of the tail, up to the unit price
    steps: str
    adjustments: str
    not_applied: dict[int, str]  # by promotion: the condition fails, on every line of the context
    blocked: dict[int, str]  # by promotion: the reason on this line
    applied: tuple[int, ...]
    summing: tuple[int, ...]  # promotions that would feel a second line of their scope
    tier: tuple[str, str] | None  # the next cheaper tier, before and behind the line's id
    benefits: dict[int, str]  # by promotion
    personal: tuple[str, ...]
    by_kind: tuple[tuple[str, int], ...]


type Key = tuple[str, int]  # SKU and quantity
type Lines = dict[Key, KnownLine | None]  # None: the line feels the order, or has no price


class Memo:
    """The known lines of one book, by context."""

    def __init__(self, book: PriceBook) -> None:
        self._boundaries = book.boundaries_s
        self._asked = book.asked_facts
        self._texts = book.vocabulary.texts
        self._lines: dict[Context, Lines] = {}
        self._listings: dict[Context, dict[str, str]] = {}
        self._seen: set[Context] = set()
        self._n_lines = 0

    def context(self, basket: Basket) -> Context | None:
        """What the price of a line may depend on besides itself, or None where the basket is not for the memo."""
        if basket.codes or basket.points or basket.attributes or basket.customer_attributes:
            return None
        asked = self._asked
        return (
            basket.currency,
            basket.channel,
            basket.store,
            basket.market,
            basket.segments,
            basket.level,
            # Customers that no condition names are one to every condition.
            self._texts.get(basket.customer_id, -1) if "customer.id" in asked and basket.customer_id is not None else None,
            basket.orders if "customer.orders" in asked or "customer.first_order" in asked else None,
            basket.spend_minor if "customer.spend" in asked else None,
            basket.days_since_last_order if "customer.days_since_last_order" in asked else None,
            bisect_right(self._boundaries, basket.at_us // 1_000_000),
        )

    def lines_of(self, context: Context) -> Lines | None:
        """The known lines of a context; None at its first sight, because most contexts that come once never come again."""
        lines = self._lines.get(context)
        if lines is None:
            if context not in self._seen:
                if len(self._seen) >= CONTEXTS_MAX:
                    self._seen.clear()
                self._seen.add(context)
                return None
            if len(self._lines) >= CONTEXTS_MAX:
                self._forget()
            lines = self._lines[context] = {}
        return lines

    def listing_of(self, context: Context) -> dict[str, str]:
        """The known entries of listings in a context, by SKU."""
        items = self._listings.get(context)
        if items is None:
            if len(self._listings) >= CONTEXTS_MAX:
                self._forget()
            items = self._listings[context] = {}
        return items

    def make_room(self, n_lines: int) -> None:
        """Count lines that are about to be kept; a memo that is full starts anew, so that what is asked for now finds room."""
        if self._n_lines + n_lines > LINES_MAX:
            self._forget()
        self._n_lines += n_lines

    def _forget(self) -> None:
        self._lines.clear()
        self._listings.clear()
        self._n_lines = 0


_memo_of: WeakKeyDictionary[PriceBook, Memo] = WeakKeyDictionary()


def memo_of(book: PriceBook) -> Memo:
    """The memo of a book; it goes when the book goes."""
    memo = _memo_of.get(book)
    if memo is None:
        memo = _memo_of[book] = Memo(book)
    return memo


def price_and_encode(book: PriceBook, baskets: Sequence[Basket], partial: Sequence[bool]) -> list[EncodedQuote]:
    """Price a batch and encode each basket's reply: from the memo where all lines are known, the rest in one vectorised call."""
    memo = memo_of(book)
    homes = [None if (context := memo.context(basket)) is None else memo.lines_of(context) for basket in baskets]
    found = [None if lines is None else _gathered(basket, lines) for basket, lines in zip(baskets, homes, strict=True)]
    open_numbers = [number for number, one in enumerate(found) if one is None and homes[number] is not None]
    if open_numbers and _learn(memo, book, [(baskets[number], homes[number]) for number in open_numbers]):
        for number in open_numbers:
            lines = homes[number]
            found[number] = None if lines is None else _gathered(baskets[number], lines)
    _add_order_level(book, [one for one in found if one is not None])
    replies = [None if one is None else one.reply() for one in found]
    rest = [number for number, reply in enumerate(replies) if reply is None]
    if rest:
        asked = [baskets[number] for number in rest]
        encoded = encode_quotes(book, asked, price_baskets(book, asked), partial=[partial[number] for number in rest])
        for number, reply in zip(rest, encoded, strict=True):
            replies[number] = reply
    return [reply for reply in replies if reply is not None]


def _learn(memo: Memo, book: PriceBook, wanted: Sequence[tuple[Basket, Lines | None]]) -> bool:
    """Price every line that is not known yet as a basket of its own, all in one vectorised call. Tells whether there was any."""
    alone: list[Basket] = []
    places: list[tuple[Lines, Key]] = []
    seen: set[tuple[int, Key]] = set()
    for basket, lines in wanted:
        if lines is None:
            continue
        for key in zip(basket.skus, basket.quantities_milli, strict=True):
            if key not in lines and (id(lines), key) not in seen:
                seen.add((id(lines), key))
                alone.append(basket._replace(skus=(key[0],), line_ids=("",), quantities_milli=(key[1],), shipping_minor=None))
                places.append((lines, key))
    if not alone:
        return False
    writer = Writer(book, alone, price_line_level(book, alone))
    is_inert = _inert(writer)
    first_app = np.searchsorted(writer.priced.applications.basket, np.arange(len(alone) + 1)).tolist()
    memo.make_room(len(places))
    for number, (lines, key) in enumerate(places):
        lines[key] = _known_line(writer, number, range(first_app[number], first_app[number + 1]), is_inert)
    return True


def _inert(writer: Writer) -> Bools:
    """Applications whose condition fails whatever the lines are."""
    outcome, rule = writer.priced.outcome, writer.priced.applications.rule
    is_condition = (outcome.slot >= 0) | (outcome.reason == Reason.CONDITION_NOT_MET)
    return np.asarray(~outcome.is_applied & is_condition & writer.book.promotions.is_contextual[rule], np.bool_)


@dataclass(slots=True)
class _Gathered:
    """A basket whose lines are all known, put together from them."""

    basket: Basket
    known: list[KnownLine]
    tails: list[str]
    subtotal_minor: int
    total_minor: int
    tax_included: bool
    not_applied: list[str]
    tiers: list[str]
    benefits: list[str]
    personal: set[str]
    by_kind: dict[str, int]
    on_order: Sequence[str] = ()

    def reply(self) -> EncodedQuote:
        """Its reply."""
        ids = self.basket.line_ids
        body = reply_body(
            self.basket,
            tax_included=self.tax_included,
            lines=[f'{{"id":{TEXTS[line_id]}{tail}' for line_id, tail in zip(ids, self.tails, strict=True)],
            on_order=self.on_order,
            subtotal_minor=self.subtotal_minor,
            merchandise_minor=self.total_minor,
            not_applied=self.not_applied,
            benefits=self.tiers + self.benefits,
            personal=sorted(self.personal),
        )
        discount = self.subtotal_minor - self.total_minor
        total = self.total_minor + (self.basket.shipping_minor or 0)
        return EncodedQuote((), body, self.subtotal_minor, discount, total, tuple(sorted(self.by_kind.items())))


def _gathered(basket: Basket, lines: Lines) -> _Gathered | None:
    """A basket put together from its lines, or None where one is not known or two of them feel each other."""
    known: list[KnownLine] = []
    subtotal = total = 0
    is_taxed: bool | None = None
    not_applied: dict[int, str] = {}
    blocked: dict[int, str] = {}
    benefits: dict[int, str] = {}
    applied: set[int] = set()
    summing: set[int] = set()
    personal: set[str] = set()
    by_kind: dict[str, int] = {}
    tiers: list[str] = []
    for line_id, key in zip(basket.line_ids, zip(basket.skus, basket.quantities_milli, strict=True), strict=True):
        line = lines.get(key)
        if line is None or is_taxed is (not line.tax_included):
            return None
        known.append(line)
        is_taxed = line.tax_included
        subtotal += line.subtotal_minor
        total += line.total_minor
        not_applied.update(line.not_applied)
        applied.update(line.applied)
        if line.summing:
            if not summing.isdisjoint(line.summing):
                return None
            summing.update(line.summing)
        if line.blocked and any(blocked.setdefault(rule, why) != why for rule, why in line.blocked.items()):
            return None
        if line.tier is not None:
            tiers.append(f"{line.tier[0]}{TEXTS[line_id]}{line.tier[1]}")
        if line.benefits:
            benefits.update(line.benefits)
        if line.personal:
            personal.update(line.personal)
        for kind, amount in line.by_kind:
            by_kind[kind] = by_kind.get(kind, 0) + amount
    if subtotal > AMOUNT_MINOR_MAX or is_taxed is None:
        return None
    if blocked:
        not_applied |= {rule: why for rule, why in blocked.items() if rule not in applied}
    return _Gathered(
        basket,
        known,
        [line.tail for line in known],
        subtotal,
        total,
        is_taxed,
        [not_applied[rule] for rule in sorted(not_applied)],
        tiers,
        [benefits[rule] for rule in sorted(benefits)] if benefits else [],
        personal,
        by_kind,
    )


def _add_order_level(book: PriceBook, found: Sequence[_Gathered]) -> None:
    """Let the order promotions take their turns on baskets put together from known lines, all in one vectorised call."""
    if not found or book.promotions.n_line_level == len(book.promotions.id):
        return
    basket = np.repeat(np.arange(len(found)), [len(one.known) for one in found])
    columns = np.array([line.level for one in found for line in one.known], np.int64).T
    numbers, flags = list(columns[:-2]), [column.astype(np.bool_) for column in columns[-2:]]
    level = LineLevel._make([basket, *numbers, *flags])
    priced = price_order_level(book, [one.basket for one in found], level)
    texts = PromotionTexts(book, priced.applications, priced.outcome, basket, n_baskets=len(found), codes={})
    net = round_div(priced.total_minor * E7, level.quantity_milli, book.policy.rounding).tolist()
    totals: list[int] = priced.total_minor.tolist()
    first = 0
    for number, one in enumerate(found):
        reasons = texts.not_applied.get(number)
        if reasons is not None:
            one.not_applied += reasons[1]
        one.benefits += [text for _, text in texts.benefits.get(number, ())]
        one.on_order = texts.on_orders.get(number, ())
        if one.on_order:
            one.personal |= texts.personal.get(number, set())
            for kind, amount in texts.by_kind[number]:
                one.by_kind[kind] = one.by_kind.get(kind, 0) + amount
            for offset, line in enumerate(one.known):
                if taken := texts.on_lines[first + offset]:
                    adjustments = ",".join([line.adjustments, *taken] if line.adjustments else taken)
                    one.tails[offset] = line_tail(
                        line.start, net[first + offset], line.subtotal_minor, totals[first + offset], line.steps, adjustments
                    )
            one.total_minor = sum(totals[first : first + len(one.known)])
        first += len(one.known)


def _known_line(writer: Writer, number: int, apps: range, is_inert: Bools) -> KnownLine | None:
    """What a reply needs of the one line of a basket, or None where it feels the order or has no price."""
    priced, promotions = writer.priced, writer.book.promotions
    place = writer.first_kept[number]
    if writer.first_kept[number + 1] == place:
        return None
    reasons = dict(zip(*writer.promotions.not_applied.get(number, ((), ())), strict=True))
    not_applied: dict[int, str] = {}
    blocked: dict[int, str] = {}
    applied: list[int] = []
    summing: list[int] = []
    for app in apps:
        rule = int(priced.applications.rule[app])
        if is_inert[app]:
            not_applied[rule] = reasons[rule]
            continue
        if promotions.needs_order[rule]:
            return None
        if not promotions.is_local[rule]:
            summing.append(rule)
        if rule in reasons:
            blocked[rule] = reasons[rule]
        else:
            applied.append(rule)
    tiers = writer.tier_benefits.get(number)
    lines = priced.lines
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
    return KnownLine(
        writer.tails[place],
        int(lines.subtotal_minor[place]),
        int(priced.total_minor[place]),
        bool(lines.tax_included[place]),
        tuple(int(column[place]) for column in columns),
        writer.starts[place],
        writer.steps[place],
        ",".join(writer.promotions.on_lines[place]),
        not_applied,
        blocked,
        tuple(applied),
        tuple(summing),
        None if tiers is None else tiers[0][1:],
        dict(writer.promotions.benefits.get(number, ())),
        tuple(writer.personal.get(number, ())),
        writer.promotions.by_kind[number],
    )
