"""Pricing a batch by what is known already: lines are remembered, and only what is new goes through the engine.

Most lines are touched only by rules that look at the context and at the line itself, so the same line in the same context has the same
price, steps and reasons. The engine makes every entry; the memo only keeps it, for one book, until the next instant at which a schedule changes
anything. Lines that feel one another are remembered together (known.py), order promotions take their turns on what was put together
(assembled.py), and a basket that cannot be put together goes through the engine as a whole. The replies of both ways are equal to the byte.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

from app.pricing.basket import Basket
from app.pricing.book import PriceBook
from app.pricing.quote import price_baskets
from app.quotes.assembled import Assembled, Cluster, add_order_level, assembled, clusters, shared_candidates
from app.quotes.encode import EncodedQuote, encode_quotes
from app.quotes.known import Key, KnownLine, learn

CONTEXTS_MAX: Final = 2_048
LINES_MAX: Final = 100_000

_ALWAYS_S: Final = -(1 << 62)

type Context = tuple[object, ...]


class Lines:
    """What is known in one context, by the lines that were priced together. None: the engine has to see the whole basket."""

    __slots__ = ("alone", "together")

    def __init__(self) -> None:
        self.alone: dict[Key, KnownLine | None] = {}
        self.together: dict[tuple[Key, ...], list[KnownLine] | None] = {}


class Memo:
    """The known lines of one book, by context."""

    def __init__(self, book: PriceBook) -> None:
        self._boundaries = book.boundaries_s
        self._period = (0, 0)  # between two boundaries, the one that was asked for last
        asked = book.asked_facts
        self._asks_id = "customer.id" in asked
        self._asks_orders = "customer.orders" in asked or "customer.first_order" in asked
        self._asks_spend = "customer.spend" in asked
        self._asks_days = "customer.days_since_last_order" in asked
        self._texts = book.vocabulary.texts
        self._lines: dict[Context, Lines] = {}
        self._listings: dict[Context, dict[str, str]] = {}
        self._seen: set[Context] = set()
        self._places: dict[str, list[tuple[dict[Any, Any], Any]]] = {}  # by SKU: the tables it is in, and under which key
        self._n_lines = 0

    def take_over(self, earlier: "Memo", *, but: Iterable[str]) -> None:
        """Take what an earlier book's memo knows, but of some SKUs, and leave it empty.

        Right where the books differ in nothing but promotions and coupons, and those promotions that differ list no other SKU.
        """
        for sku in but:
            for table, key in earlier._places.pop(sku, ()):
                if key in table:
                    del table[key]
                    earlier._n_lines -= 1
        self._lines, self._listings, self._seen, self._places = earlier._lines, earlier._listings, earlier._seen, earlier._places
        self._n_lines = earlier._n_lines
        earlier._forget()

    def context(self, basket: Basket) -> Context | None:
        """What the price of a line may depend on besides itself, or None where the basket is not for the memo."""
        if basket.codes or basket.points or basket.attributes or basket.customer_attributes:
            return None
        return (
            basket.currency,
            basket.channel,
            basket.store,
            basket.market,
            basket.segments,
            basket.level,
            # Customers that no condition names are one to every condition.
            self._texts.get(basket.customer_id, -1) if self._asks_id and basket.customer_id is not None else None,
            basket.orders if self._asks_orders else None,
            basket.spend_minor if self._asks_spend else None,
            basket.days_since_last_order if self._asks_days else None,
            self._period_of(basket.at_us // 1_000_000),
        )

    def _period_of(self, at_s: int) -> int:
        """The start of the period between two boundaries that an instant is in."""
        start_s, end_s = self._period
        if start_s <= at_s < end_s:
            return start_s
        number = bisect_right(self._boundaries, at_s)
        start_s = self._boundaries[number - 1] if number else _ALWAYS_S
        if number < len(self._boundaries):
            self._period = start_s, self._boundaries[number]
        return start_s

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
            lines = self._lines[context] = Lines()
        return lines

    def listed(self, context: Context, skus: Iterable[str]) -> dict[str, str]:
        """The known ones among the entries of a listing, by SKU."""
        table = self._listings.get(context, {})
        return {sku: table[sku] for sku in skus if sku in table}

    def keep_listed(self, context: Context, items: Mapping[str, str]) -> None:
        """Remember entries of listings."""
        self.make_room(len(items))
        if len(self._listings) >= CONTEXTS_MAX:
            self._forget()
        table = self._listings.setdefault(context, {})
        for sku, item in items.items():
            self.keep(table, sku, item, (sku,))

    def make_room(self, n_lines: int) -> None:
        """A memo that would become too full starts anew, so that what is asked for now finds room."""
        if self._n_lines + n_lines > LINES_MAX:
            self._forget()

    def keep[K](self, table: dict[K, Any], key: K, value: object, skus: Iterable[str]) -> None:
        """Remember what was learned of some SKUs in one of the tables."""
        table[key] = value
        self._n_lines += 1
        for sku in skus:
            self._places.setdefault(sku, []).append((table, key))

    def _forget(self) -> None:
        # New tables, because a batch that is under way still looks into the old ones.
        self._lines, self._listings, self._places = {}, {}, {}
        self._n_lines = 0


_memo_of: WeakKeyDictionary[PriceBook, Memo] = WeakKeyDictionary()


def memo_of(book: PriceBook) -> Memo:
    """The memo of a book; it goes when the book goes."""
    memo = _memo_of.get(book)
    if memo is None:
        memo = _memo_of[book] = Memo(book)
    return memo


def price_and_encode(book: PriceBook, baskets: Sequence[Basket], partial: Sequence[bool]) -> list[EncodedQuote]:
    """Price a batch and encode each basket's reply: from what is known, and the rest in one vectorised call."""
    found = _from_memo(book, memo_of(book), baskets)
    add_order_level(book, [one for one in found if one is not None])
    replies = [None if one is None else one.reply() for one in found]
    rest = [number for number, reply in enumerate(replies) if reply is None]
    if rest:
        asked = [baskets[number] for number in rest]
        encoded = encode_quotes(book, asked, price_baskets(book, asked), partial=[partial[number] for number in rest])
        for number, reply in zip(rest, encoded, strict=True):
            replies[number] = reply
    return [reply for reply in replies if reply is not None]


def _from_memo(book: PriceBook, memo: Memo, baskets: Sequence[Basket]) -> list[Assembled | None]:
    """The baskets put together from known lines, after what is new to the memo was learned; None for those that go to the engine."""
    homes = [None if (context := memo.context(basket)) is None else memo.lines_of(context) for basket in baskets]
    keys = [list(zip(basket.skus, basket.quantities_milli, strict=True)) for basket in baskets]
    _learn_alone(book, memo, baskets, homes, keys)
    found: list[Assembled | None] = [None] * len(baskets)
    coupled: list[tuple[int, list[KnownLine], list[Cluster]]] = []
    for number, (basket, home) in enumerate(zip(baskets, homes, strict=True)):
        if home is None:
            continue
        lines = [line for key in keys[number] if (line := home.alone[key]) is not None]
        if len(lines) < len(basket.skus):
            continue
        shared = shared_candidates(lines)
        if shared and (felt := clusters(lines, shared)):
            coupled.append((number, lines, felt))
        else:
            found[number] = assembled(basket, lines, shared)
    if coupled:
        _learn_together(book, memo, baskets, homes, keys, coupled)
    for number, lines, felt in coupled:
        home = homes[number]
        assert home is not None
        for places in felt:
            together = home.together[tuple(keys[number][place] for place in places)]
            if together is None:
                break
            for place, line in zip(places, together, strict=True):
                lines[place] = line
        else:
            found[number] = assembled(baskets[number], lines, shared_candidates(lines))
    return found


def _learn_alone(
    book: PriceBook, memo: Memo, baskets: Sequence[Basket], homes: Sequence[Lines | None], keys: Sequence[Sequence[Key]]
) -> None:
    """Price every line that is not known yet as a basket of its own, all in one vectorised call."""
    wanted: dict[tuple[int, Key], tuple[Lines, Basket]] = {}
    for basket, home, own in zip(baskets, homes, keys, strict=True):
        if home is not None and not home.alone.keys() >= set(own):
            for key in own:
                if key not in home.alone:
                    wanted[id(home), key] = home, _part(basket, (key,))
    if wanted:
        memo.make_room(len(wanted))
        learned = learn(book, [part for _, part in wanted.values()])
        for ((_, key), (home, _)), lines in zip(wanted.items(), learned, strict=True):
            memo.keep(home.alone, key, None if lines is None else lines[0], key[:1])


def _learn_together(
    book: PriceBook,
    memo: Memo,
    baskets: Sequence[Basket],
    homes: Sequence[Lines | None],
    keys: Sequence[Sequence[Key]],
    coupled: Sequence[tuple[int, Sequence[KnownLine], Sequence[Cluster]]],
) -> None:
    """Price lines that feel one another together, where they are not known yet, all in one vectorised call."""
    wanted: dict[tuple[int, tuple[Key, ...]], tuple[Lines, Basket]] = {}
    for number, _, felt in coupled:
        home = homes[number]
        assert home is not None
        for places in felt:
            own = tuple(keys[number][place] for place in places)
            if own not in home.together:
                wanted[id(home), own] = home, _part(baskets[number], own)
    if wanted:
        memo.make_room(len(wanted))
        learned = learn(book, [part for _, part in wanted.values()])
        for ((_, own), (home, _)), lines in zip(wanted.items(), learned, strict=True):
            memo.keep(home.together, own, lines, [sku for sku, _ in own])


def _part(basket: Basket, keys: Sequence[Key]) -> Basket:
    """A basket of some of the lines in the same context."""
    skus, quantities_milli = zip(*keys, strict=True)
    return basket._replace(skus=skus, line_ids=skus, quantities_milli=quantities_milli, shipping_minor=None)
