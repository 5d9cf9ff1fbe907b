"""Pricing a batch by what is known already: lines are remembered, and only what is new goes through the engine.

Most lines are touched only by rules that look at the context and at the line itself, so the same line in the same context has the same
price, steps and reasons. The engine makes every entry; the memo only keeps it, for one book, until the next instant at which a schedule changes
anything. Lines that feel one another are remembered together (known.py), order promotions take their turns on what was put together
(assembled.py), and a basket that cannot be put together goes through the engine as a whole. The replies of both ways are equal to the byte.

A basket that comes again and again, as a cart does while its owner looks around, is remembered whole from its second time on.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, cast
from weakref import WeakKeyDictionary

from app.pricing.basket import Basket
from app.pricing.book import PriceBook
from app.pricing.counters import BUDGET, CAMPAIGN_BUDGET, OF_SALE_PRICES
from app.pricing.price_lists import GROUPS
from app.pricing.touched import skus_touched
from app.quotes.assembled import Assembled, Cluster, add_order_level, assembled, clusters, sums_of
from app.quotes.encode import EncodedQuote
from app.quotes.figures import Numbering
from app.quotes.known import Key, KnownLine, learn
from app.quotes.limited import encoded_by_engine, is_beyond, with_few_counters, with_limited

CONTEXTS_MAX: Final = 2_048
LINES_MAX: Final = 100_000
LISTED_A_LINE: Final = 2
_WHOLE_OCTETS_A_LINE: Final = 336  # of replies to whole baskets, for each line that may be remembered

_FEW: Final = 3
# More lines than this hardly come together again, and would fill the memo with whole baskets.
_CLUSTER_MAX: Final = 6
_WHOLES_SEEN_MAX: Final = 50_000
_ALWAYS_S: Final = -(1 << 62)
# What is left of these is felt by the basket as a whole, and its lines cannot be known without it.
_BY_BASKET: Final = frozenset((BUDGET, CAMPAIGN_BUDGET)) | OF_SALE_PRICES

type Context = tuple[object, ...]
type WholeKey = tuple[object, ...]


class Lines:
    """What is known in one context, by the lines that were priced together. None: the engine has to see the whole basket."""

    __slots__ = ("alone", "older", "seen", "together")

    def __init__(self, older: "Lines | None" = None) -> None:
        self.alone: dict[Key, KnownLine | None] = {}
        self.together: dict[tuple[Key, ...], list[KnownLine] | None] = {}
        self.older = older  # what was known before the memo had to make room
        self.seen: set[Key] = set()  # lines that were asked for once, and went through the engine with their basket

    def unknown(self, basket: Basket) -> list[Key]:
        """The lines of a basket that have to be learned; those that are known from before are taken up again."""
        missing: list[Key] = []
        older = {} if self.older is None else self.older.alone
        for key in zip(basket.skus, basket.quantities_milli, strict=True):
            if key in self.alone:
                continue
            if key in older:
                self.alone[key] = older[key]
            else:
                missing.append(key)
        return missing

    def forget(self, skus: AbstractSet[str]) -> None:
        """Forget every line of some SKUs."""
        for key in [key for key in self.alone if key[0] in skus]:
            del self.alone[key]
        for own in [own for own in self.together if any(sku in skus for sku, _ in own)]:
            del self.together[own]
        if self.older is not None:
            self.older.forget(skus)


class Memo:
    """The known lines of one book, by context."""

    def __init__(
        self, book: PriceBook, *, lines_max: int = LINES_MAX, whole_octets_max: int = LINES_MAX * _WHOLE_OCTETS_A_LINE
    ) -> None:
        self._lines_max = lines_max
        self._listed_max = lines_max * LISTED_A_LINE
        self._whole_octets_max = whole_octets_max
        self._boundaries = book.boundaries_s
        self._period = (0, 0)  # between two boundaries, the one that was asked for last
        asked = book.asked_facts
        self._asks_id = "customer.id" in asked
        self._asks_orders = "customer.orders" in asked or "customer.first_order" in asked
        self._asks_spend = "customer.spend" in asked
        self._asks_days = "customer.days_since_last_order" in asked
        self._texts = book.vocabulary.texts
        self._groups = book.price_lists.by_value[GROUPS]
        self._lines: dict[Context, Lines] = {}
        self._listings: dict[Context, dict[str, str]] = {}
        self._seen: set[Context] = set()
        self.numbers = Numbering()  # of promotions, by their ids
        self.n_lines = 0  # kept since room was made
        self._n_seen = 0
        self._n_listed = 0
        self._wholes: dict[WholeKey, EncodedQuote] = {}
        self._wholes_seen: set[int] = set()  # hashes of the keys of baskets that came once
        self._whole_octets = 0

    @property
    def sizes(self) -> dict[str, int]:
        """How much is remembered, by what it is."""
        return {"contexts": len(self._lines), "lines": self.n_lines, "baskets": len(self._wholes), "listed": self._n_listed}

    def take_over(self, earlier: "Memo", *, but: Callable[[str], bool]) -> None:
        """Take what an earlier book's memo knows, but of some SKUs, and leave it empty."""
        skus: set[str] = set()
        skus.update(*earlier._listings.values())
        for lines in earlier._lines.values():
            skus.update([sku for sku, _ in lines.alone])
            if lines.older is not None:
                skus.update([sku for sku, _ in lines.older.alone])
        gone = set(filter(but, skus))
        for lines in earlier._lines.values():
            lines.forget(gone)
        for items in earlier._listings.values():
            for sku in gone & items.keys():
                del items[sku]
        self._lines, self._listings, self._seen = earlier._lines, earlier._listings, earlier._seen | self._seen
        self.numbers, earlier.numbers = earlier.numbers, Numbering()
        self.n_lines, self._n_seen, self._n_listed = earlier.n_lines, earlier._n_seen, earlier._n_listed
        earlier._lines, earlier._listings = {}, {}
        earlier.n_lines = earlier._n_seen = earlier._n_listed = 0
        # Whole baskets are not worth looking through: their lines are soon joined again.
        earlier._wholes, earlier._whole_octets = {}, 0

    def context(self, basket: Basket) -> Context | None:
        """What the price of a line may depend on besides itself, or None where the basket is not for the memo."""
        if basket.codes or basket.points or basket.attributes or basket.customer_attributes:
            return None
        if basket.left and any(one.limit in _BY_BASKET and one.left > 0 for one in basket.left):
            return None
        return (
            basket.currency,
            basket.channel,
            basket.store,
            basket.market,
            self._named(basket.segments) if basket.segments else basket.segments,
            basket.level,
            # Customers that no condition names are one to every condition.
            self._texts.get(basket.customer_id, -1) if self._asks_id and basket.customer_id is not None else None,
            basket.orders if self._asks_orders else None,
            basket.spend_minor if self._asks_spend else None,
            basket.days_since_last_order if self._asks_days else None,
            self._period_of(basket.at_us // 1_000_000),
            basket.left,
        )

    def _named(self, segments: Iterable[str]) -> tuple[str, ...]:
        """Segments in any order; those that no condition and no price list names are one to all of these."""
        return tuple(sorted({name if name in self._texts or name in self._groups else "" for name in segments}))

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
        if self._n_listed + len(items) > self._listed_max or len(self._listings) >= CONTEXTS_MAX:
            self._listings, self._n_listed = {}, 0
        self._n_listed += len(items)
        self._listings.setdefault(context, {}).update(items)

    def whole(self, key: WholeKey) -> EncodedQuote | None:
        """The reply to a basket that came before, where it is known."""
        return self._wholes.get(key)

    def keep_whole(self, key: WholeKey, reply: EncodedQuote) -> None:
        """Remember a reply at the second sight of its basket; when there are too many, all of them are forgotten before."""
        seen = hash(key)
        if seen not in self._wholes_seen:
            if len(self._wholes_seen) >= _WHOLES_SEEN_MAX:
                self._wholes_seen.clear()
            self._wholes_seen.add(seen)
            return
        if self._whole_octets + len(reply.body) > self._whole_octets_max:
            self._wholes, self._whole_octets = {}, 0
        if len(reply.body) <= self._whole_octets_max:
            self._wholes[key] = reply
            self._whole_octets += len(reply.body)

    def make_room(self, n_lines: int) -> None:
        """Count lines that are kept from now on, new or taken up again.

        When they are too many, those that nobody asks for while as many again come are forgotten.
        """
        if self.n_lines + n_lines > self._lines_max // 2:
            for lines in self._lines.values():
                lines.older = None
            # New tables, because a batch that is under way still looks into the old ones.
            self._lines = {context: Lines(older) for context, older in self._lines.items() if older.alone}
            self.n_lines = 0
        self.n_lines += n_lines


class Memos:
    """The memos of the books in use, each of so many lines; they bound listings and whole baskets in proportion."""

    def __init__(self, *, lines_max: int = LINES_MAX) -> None:
        self._lines_max = lines_max
        self._of: WeakKeyDictionary[PriceBook, Memo] = WeakKeyDictionary()

    def of(self, book: PriceBook) -> Memo:
        """The memo of a book; it goes when the book goes."""
        memo = self._of.get(book)
        if memo is None:
            octets_max = self._lines_max * _WHOLE_OCTETS_A_LINE
            memo = self._of[book] = Memo(book, lines_max=self._lines_max, whole_octets_max=octets_max)
        return memo

    def sizes(self, book: PriceBook | None) -> dict[str, int]:
        """How much is remembered for a book, by what it is; may be asked from any thread."""
        memo = None if book is None else self._of.get(book)
        return {"contexts": 0, "lines": 0, "baskets": 0, "listed": 0} if memo is None else memo.sizes

    def hand_over(self, before: PriceBook, after: PriceBook) -> None:
        """Let a book that comes into force go on with what is known of the SKUs that it prices as the one before it."""
        touched = skus_touched(before, after)
        if touched is not None:
            rows, row_of_sku = set(touched.tolist()), after.assortment.row_of_sku
            self.of(after).take_over(self.of(before), but=lambda sku: row_of_sku.get(sku) in rows)

    def price(self, book: PriceBook, baskets: Sequence[Basket], partial: Sequence[bool]) -> list[EncodedQuote]:
        """Price a batch and encode each basket's reply: from what is known, and the rest in one vectorised call."""
        return price_told(self.of(book), book, baskets, partial)


def price_told(memo: Memo, book: PriceBook, baskets: Sequence[Basket], partial: Sequence[bool]) -> list[EncodedQuote]:
    """Do it with a memo of this book, which is asked without the counters that change nothing."""
    if not any(basket.left for basket in baskets):
        return price_with(memo, book, baskets, partial)
    few = [with_few_counters(book, basket) for basket in baskets]
    replies = price_with(memo, book, [basket for basket, _ in few], partial)
    again = [number for number, (basket, budget) in enumerate(few) if is_beyond(budget, basket, replies[number])]
    if again:
        encoded = encoded_by_engine(book, [baskets[number] for number in again], [partial[number] for number in again])
        for number, reply in zip(again, encoded, strict=True):
            replies[number] = reply
    return [with_limited(reply, basket.left) for reply, basket in zip(replies, baskets, strict=True)]


def price_with(memo: Memo, book: PriceBook, baskets: Sequence[Basket], partial: Sequence[bool]) -> list[EncodedQuote]:
    """Price baskets of whose counters the memo can know."""
    contexts = [memo.context(basket) for basket in baskets]
    keys = [None if context is None else _whole_key(context, basket) for context, basket in zip(contexts, baskets, strict=True)]
    replies = [None if key is None else memo.whole(key) for key in keys]
    new = [number for number, reply in enumerate(replies) if reply is None]
    if new:
        homes = [None if (context := contexts[number]) is None else memo.lines_of(context) for number in new]
        found = _from_lines(book, memo, [baskets[number] for number in new], homes)
        add_order_level(book, [one for one in found if one is not None])
        for number, one in zip(new, found, strict=True):
            replies[number] = None if one is None or one.needs_engine else one.reply()
        _ask_engine(book, baskets, partial, replies)
        for number in new:
            key, reply = keys[number], replies[number]
            assert reply is not None
            # What a request that accepts a part got depends on more than its lines.
            if key is not None and not reply.errors and not partial[number]:
                memo.keep_whole(key, reply)
    return [reply for reply in replies if reply is not None]


def _ask_engine(book: PriceBook, baskets: Sequence[Basket], partial: Sequence[bool], replies: list[EncodedQuote | None]) -> None:
    """Fill in the replies that are still missing."""
    rest = [number for number, reply in enumerate(replies) if reply is None]
    if rest:
        asked = [baskets[number] for number in rest]
        encoded = encoded_by_engine(book, asked, [partial[number] for number in rest])
        for number, reply in zip(rest, encoded, strict=True):
            replies[number] = reply


def _whole_key(context: Context, basket: Basket) -> WholeKey:
    """All that a reply depends on."""
    return (context, basket.shipping_minor, *basket.skus, *basket.quantities_milli, *basket.line_ids)


def _from_lines(book: PriceBook, memo: Memo, baskets: Sequence[Basket], homes: Sequence[Lines | None]) -> list[Assembled | None]:
    """The baskets put together from known lines, after what is new to the memo was learned; None for those that go to the engine."""
    known = [None if home is None else _known(basket, home) for basket, home in zip(baskets, homes, strict=True)]
    open_numbers = [number for number, lines in enumerate(known) if lines is None and homes[number] is not None]
    if open_numbers:
        _learn_alone(book, memo, [(baskets[number], homes[number]) for number in open_numbers])
        for number in open_numbers:
            home = homes[number]
            known[number] = None if home is None else _known(baskets[number], home)
    found: list[Assembled | None] = [None] * len(baskets)
    wholes = {number: lines for number, lines in enumerate(known) if lines is not None and None not in lines}
    if not wholes:
        return found
    sums = sums_of(cast("list[list[KnownLine]]", list(wholes.values())))
    coupled: list[Coupled] = []
    for place, (number, lines) in enumerate(wholes.items()):
        basket, home, whole = baskets[number], homes[number], cast("list[KnownLine]", lines)
        if place in sums.shared and (felt := clusters(whole, sums.shared[place])):
            if max(map(len, felt)) <= _CLUSTER_MAX:
                assert home is not None
                coupled.append(Coupled(number, basket, home, whole, felt))
        else:
            found[number] = assembled(basket, whole, sums, place)
    if coupled:
        _learn_together(book, memo, coupled)
        _assemble_together(coupled, found)
    return found


@dataclass(frozen=True, slots=True, eq=False)
class Coupled:
    """A basket with lines that feel one another."""

    number: int
    basket: Basket
    home: Lines
    lines: list[KnownLine]
    felt: Sequence[Cluster]

    def own_keys(self) -> list[tuple[Key, ...]]:
        """Those of the lines of each cluster."""
        skus, quantities_milli = self.basket.skus, self.basket.quantities_milli
        return [tuple([(skus[place], quantities_milli[place]) for place in places]) for places in self.felt]


def _known(basket: Basket, home: Lines) -> list[KnownLine | None] | None:
    """The lines of a basket, None where one is not known yet."""
    alone = home.alone
    try:
        return [alone[key] for key in zip(basket.skus, basket.quantities_milli, strict=True)]
    except KeyError:
        return None


def _learn_alone(book: PriceBook, memo: Memo, asked: Sequence[tuple[Basket, Lines | None]]) -> None:
    """Price every unknown line that is worth it as a basket of its own, all in one vectorised call."""
    wanted: dict[tuple[int, Key], tuple[Lines, Basket]] = {}
    taken_up = 0
    for basket, home in asked:
        assert home is not None
        before = len(home.alone)
        unknown = home.unknown(basket)
        taken_up += len(home.alone) - before
        for key in memo.worth_learning(home, basket, unknown) if unknown else ():
            if (id(home), key) not in wanted:
                wanted[id(home), key] = home, _part(basket, (key,))
    if wanted:
        learned = learn(book, [part for _, part in wanted.values()], memo.numbers)
        for ((_, key), (home, _)), lines in zip(wanted.items(), learned, strict=True):
            home.alone[key] = None if lines is None else lines[0]
    memo.make_room(taken_up + len(wanted))


def _learn_together(book: PriceBook, memo: Memo, coupled: Sequence[Coupled]) -> None:
    """Price lines that feel one another together, where they are not known yet, all in one vectorised call."""
    wanted: dict[tuple[int, tuple[Key, ...]], tuple[Lines, Basket]] = {}
    taken_up = 0
    for one in coupled:
        for keys in one.own_keys():
            older = one.home.older
            if keys in one.home.together:
                continue
            if older is not None and keys in older.together:
                one.home.together[keys] = older.together[keys]
                taken_up += len(keys)
            else:
                wanted[id(one.home), keys] = one.home, _part(one.basket, keys)
    if wanted:
        learned = learn(book, [part for _, part in wanted.values()], memo.numbers)
        for ((_, keys), (home, _)), lines in zip(wanted.items(), learned, strict=True):
            home.together[keys] = lines
    memo.make_room(taken_up + sum(len(keys) for _, keys in wanted))


def _assemble_together(coupled: Sequence[Coupled], found: list[Assembled | None]) -> None:
    """Put baskets together from their lines and those that were priced together, where these go together."""
    wholes = {one: lines for one in coupled if (lines := _with_those_together(one)) is not None}
    if wholes:
        sums = sums_of(list(wholes.values()))
        for place, (one, lines) in enumerate(wholes.items()):
            found[one.number] = assembled(one.basket, lines, sums, place)


def _with_those_together(one: Coupled) -> list[KnownLine] | None:
    lines = list(one.lines)
    for places, keys in zip(one.felt, one.own_keys(), strict=True):
        together = one.home.together[keys]
        if together is None:
            return None
        for place, line in zip(places, together, strict=True):
            lines[place] = line
    return lines


def _part(basket: Basket, keys: Sequence[Key]) -> Basket:
    """A basket of some of the lines in the same context."""
    skus, quantities_milli = zip(*keys, strict=True)
    return basket._replace(skus=skus, line_ids=skus, quantities_milli=quantities_milli, shipping_minor=None)
