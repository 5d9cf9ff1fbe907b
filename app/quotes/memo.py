"""Pricing a batch by what is known already: lines are remembered, and only what is new goes through the engine.

Most lines are touched only by rules that look at the context and at the line itself, so the same line in the same context has the same
price, steps and reasons. The engine makes every entry; the memo only keeps it, for one book, until the next instant at which a schedule changes
anything. Lines that feel one another are remembered together (known.py), order promotions take their turns on what was put together
(assembled.py), and a basket that cannot be put together goes through the engine as a whole. The replies of both ways are equal to the byte.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple, cast
from weakref import WeakKeyDictionary

from app.pricing.basket import Basket
from app.pricing.book import PriceBook
from app.pricing.quote import price_baskets
from app.pricing.touched import skus_touched
from app.quotes.assembled import Assembled, Cluster, add_order_level, assembled, clusters, has_order_level, shared_candidates
from app.quotes.encode import EncodedQuote, encode_quotes
from app.quotes.known import Key, KnownLine, learn

CONTEXTS_MAX: Final = 2_048
LINES_MAX: Final = 100_000
LISTED_MAX: Final = 200_000

_FEW: Final = 3
# More lines than this hardly come together again, and would fill the memo with whole baskets.
_CLUSTER_MAX: Final = 6
_ALWAYS_S: Final = -(1 << 62)

type Context = tuple[object, ...]


class Lines:
    """What is known in one context, by the lines that were priced together. None: the engine has to see the whole basket."""

    __slots__ = ("alone", "older", "seen", "together")

    def __init__(self, older: "Lines | None" = None) -> None:
        self.alone: dict[str, dict[int, KnownLine | None]] = {}  # by SKU and quantity
        self.together: dict[tuple[Key, ...], list[KnownLine] | None] = {}
        self.older = older  # what was known before the memo had to make room
        self.seen: set[Key] = set()  # lines that were asked for once, and went through the engine with their basket

    def unknown(self, basket: Basket) -> list[Key]:
        """The lines of a basket that have to be learned; those that are known from before are taken up again."""
        missing: list[Key] = []
        older = {} if self.older is None else self.older.alone
        for key in zip(basket.skus, basket.quantities_milli, strict=True):
            sku, quantity = key
            if quantity in self.alone.get(sku, ()):
                continue
            if quantity in older.get(sku, ()):
                self.alone.setdefault(sku, {})[quantity] = older[sku][quantity]
            else:
                missing.append(key)
        return missing

    def forget(self, skus: AbstractSet[str]) -> None:
        """Forget every line of some SKUs."""
        for sku in skus & self.alone.keys():
            del self.alone[sku]
        for own in [own for own in self.together if any(sku in skus for sku, _ in own)]:
            del self.together[own]
        if self.older is not None:
            self.older.forget(skus)


class Memo:
    """The known lines of one book, by context."""

    def __init__(self, book: PriceBook, *, lines_max: int = LINES_MAX) -> None:
        self._lines_max = lines_max
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
        self.n_lines = 0  # kept since room was made
        self._n_seen = 0
        self._n_listed = 0

    def take_over(self, earlier: "Memo", *, but: Callable[[str], bool]) -> None:
        """Take what an earlier book's memo knows, but of some SKUs, and leave it empty."""
        skus: set[str] = set()
        skus.update(*(lines.alone for lines in earlier._lines.values()), *earlier._listings.values())
        skus.update(*(lines.older.alone for lines in earlier._lines.values() if lines.older is not None))
        gone = set(filter(but, skus))
        for lines in earlier._lines.values():
            lines.forget(gone)
        for items in earlier._listings.values():
            for sku in gone & items.keys():
                del items[sku]
        self._lines, self._listings, self._seen = earlier._lines, earlier._listings, earlier._seen | self._seen
        self.n_lines, self._n_seen, self._n_listed = earlier.n_lines, earlier._n_seen, earlier._n_listed
        earlier._lines, earlier._listings = {}, {}
        earlier.n_lines = earlier._n_seen = earlier._n_listed = 0

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
                self._lines = {}
            lines = self._lines[context] = Lines()
        return lines

    def worth_learning(self, lines: Lines, basket: Basket, unknown: Sequence[Key]) -> Sequence[Key]:
        """Those of a basket's unknown lines that were asked for before, or all of them where they are few.

        A line is learned at about twice the cost that it has in its basket, and most lines that come once never come again.
        """
        if _FEW * len(unknown) <= len(basket.skus):
            return unknown
        again = [key for key in unknown if key in lines.seen]
        if self._n_seen > self._lines_max:
            self._n_seen = 0
            for other in self._lines.values():
                other.seen.clear()
        self._n_seen += len(unknown) - len(again)
        lines.seen.update(unknown)
        return again

    def listed(self, context: Context, skus: Iterable[str]) -> dict[str, str]:
        """The known ones among the entries of a listing, by SKU."""
        table = self._listings.get(context, {})
        return {sku: table[sku] for sku in skus if sku in table}

    def keep_listed(self, context: Context, items: Mapping[str, str]) -> None:
        """Remember entries of listings; when they are too many, all of them are forgotten before."""
        if self._n_listed + len(items) > LISTED_MAX or len(self._listings) >= CONTEXTS_MAX:
            self._listings, self._n_listed = {}, 0
        self._n_listed += len(items)
        self._listings.setdefault(context, {}).update(items)

    def make_room(self, n_lines: int) -> None:
        """Count lines that are about to be kept. When they are too many, those that nobody asks for while as many again come are forgotten."""
        if self.n_lines + n_lines > self._lines_max // 2:
            for lines in self._lines.values():
                lines.older = None
            # New tables, because a batch that is under way still looks into the old ones.
            self._lines = {context: Lines(older) for context, older in self._lines.items() if older.alone}
            self.n_lines = 0
        self.n_lines += n_lines


_memo_of: WeakKeyDictionary[PriceBook, Memo] = WeakKeyDictionary()


def memo_of(book: PriceBook) -> Memo:
    """The memo of a book; it goes when the book goes."""
    memo = _memo_of.get(book)
    if memo is None:
        memo = _memo_of[book] = Memo(book)
    return memo


def hand_over(before: PriceBook, after: PriceBook) -> None:
    """Let a book that comes into force go on with what is known of the SKUs that it prices as the one before it."""
    touched = skus_touched(before, after)
    if touched is not None:
        rows, row_of_sku = set(touched.tolist()), after.assortment.row_of_sku
        memo_of(after).take_over(memo_of(before), but=lambda sku: row_of_sku.get(sku) in rows)


def price_and_encode(book: PriceBook, baskets: Sequence[Basket], partial: Sequence[bool]) -> list[EncodedQuote]:
    """Price a batch and encode each basket's reply: from what is known, and the rest in one vectorised call."""
    return price_with(memo_of(book), book, baskets, partial)


def price_with(memo: Memo, book: PriceBook, baskets: Sequence[Basket], partial: Sequence[bool]) -> list[EncodedQuote]:
    """Do it with a memo of this book."""
    found = _from_memo(book, memo, baskets)
    add_order_level(book, [one for one in found if one is not None])
    replies = [None if one is None else one.encoded or one.reply() for one in found]
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
    known = [None if home is None else _known(basket, home) for basket, home in zip(baskets, homes, strict=True)]
    open_numbers = [number for number, lines in enumerate(known) if lines is None and homes[number] is not None]
    if open_numbers:
        _learn_alone(book, memo, [(baskets[number], homes[number]) for number in open_numbers])
        for number in open_numbers:
            home = homes[number]
            known[number] = None if home is None else _known(baskets[number], home)
    found: list[Assembled | None] = [None] * len(baskets)
    coupled: list[Coupled] = []
    goes_on = has_order_level(book)
    for number, (basket, home, lines) in enumerate(zip(baskets, homes, known, strict=True)):
        if lines is None or home is None or None in lines:
            continue
        whole = cast("list[KnownLine]", lines)
        shared = shared_candidates(whole)
        if shared and (felt := clusters(whole, shared)):
            if max(map(len, felt)) > _CLUSTER_MAX:
                continue
            keys = [tuple((basket.skus[place], basket.quantities_milli[place]) for place in places) for places in felt]
            coupled.append(Coupled(number, basket, home, whole, felt, keys))
        elif (one := assembled(basket, whole, shared)) is not None:
            found[number] = one
            if not goes_on:
                # At once, because what was touched just now is still near the processor.
                one.encoded = one.reply()
    if coupled:
        _learn_together(book, memo, coupled)
        for pair in coupled:
            found[pair.number] = _assembled_together(pair)
    return found


class Coupled(NamedTuple):
    """A basket with lines that feel one another."""

    number: int
    basket: Basket
    home: Lines
    lines: list[KnownLine]
    felt: Sequence[Cluster]
    keys: Sequence[tuple[Key, ...]]  # of each cluster


def _known(basket: Basket, home: Lines) -> list[KnownLine | None] | None:
    """The lines of a basket, None where one is not known yet."""
    alone = home.alone
    try:
        return [alone[sku][quantity] for sku, quantity in zip(basket.skus, basket.quantities_milli, strict=True)]
    except KeyError:
        return None


def _learn_alone(book: PriceBook, memo: Memo, asked: Sequence[tuple[Basket, Lines | None]]) -> None:
    """Price every unknown line that is worth it as a basket of its own, all in one vectorised call."""
    wanted: dict[tuple[int, Key], tuple[Lines, Basket]] = {}
    for basket, home in asked:
        assert home is not None
        unknown = home.unknown(basket)
        for key in memo.worth_learning(home, basket, unknown) if unknown else ():
            if (id(home), key) not in wanted:
                wanted[id(home), key] = home, _part(basket, (key,))
    if wanted:
        learned = learn(book, [part for _, part in wanted.values()])
        for ((_, (sku, quantity)), (home, _)), lines in zip(wanted.items(), learned, strict=True):
            home.alone.setdefault(sku, {})[quantity] = None if lines is None else lines[0]
        memo.make_room(len(wanted))


def _learn_together(book: PriceBook, memo: Memo, coupled: Sequence[Coupled]) -> None:
    """Price lines that feel one another together, where they are not known yet, all in one vectorised call."""
    wanted: dict[tuple[int, tuple[Key, ...]], tuple[Lines, Basket]] = {}
    for one in coupled:
        for keys in one.keys:
            older = one.home.older
            if older is not None and keys in older.together:
                one.home.together.setdefault(keys, older.together[keys])
            elif keys not in one.home.together:
                wanted[id(one.home), keys] = one.home, _part(one.basket, keys)
    if wanted:
        learned = learn(book, [part for _, part in wanted.values()])
        for ((_, keys), (home, _)), lines in zip(wanted.items(), learned, strict=True):
            home.together[keys] = lines
        memo.make_room(sum(len(keys) for _, keys in wanted))


def _assembled_together(one: Coupled) -> Assembled | None:
    """A basket put together from its lines and those that were priced together; None where even these do not go together."""
    lines = list(one.lines)
    for places, keys in zip(one.felt, one.keys, strict=True):
        together = one.home.together[keys]
        if together is None:
            return None
        for place, line in zip(places, together, strict=True):
            lines[place] = line
    return assembled(one.basket, lines, shared_candidates(lines))


def _part(basket: Basket, keys: Sequence[Key]) -> Basket:
    """A basket of some of the lines in the same context."""
    skus, quantities_milli = zip(*keys, strict=True)
    return basket._replace(skus=skus, line_ids=skus, quantities_milli=quantities_milli, shipping_minor=None)
