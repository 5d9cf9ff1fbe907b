"""How the limits of a book's rules stand, and which of that a basket is told.

A basket is told of the counters of rules that may touch it: by its SKUs, its currency and its codes, of rules that are in force about now. What
it is told is part of its reply, so that nothing rests on this choice but what is worth telling.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakKeyDictionary

import numpy as np

from app.pricing.basket import Basket, Left
from app.pricing.book import PriceBook
from app.pricing.code_table import CodeTable
from app.pricing.counters import CAMPAIGN_BUDGET, COUPON_USES, UNITS, Count, codes_of, rows_of
from app.pricing.money import MILLI
from app.pricing.schedule import is_active
from app.pricing.touched import scope_of_rule

# A rule that begins before the counters are asked for again is told of as well.
_AHEAD_S: Final = 5
_CHECK_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Scoped:
    """Where a promotion or a sale price may touch a basket."""

    rows: frozenset[int]  # SKU rows
    is_everywhere_but: bool  # it touches all others
    currency: str | None
    code_row: int  # of a promotion that a code has to unlock, −1 for all others


@dataclass(slots=True)
class Standing:
    """The counters of one book, in the order in which they are told. It does not refer to the book, so that it can go."""

    row_of_sku: Mapping[str, int]
    codes: CodeTable
    names: tuple[tuple[str, str], ...]  # rules and limits
    rules: frozenset[tuple[str, str]]  # those in force, by resource and id
    scoped: dict[tuple[str, str], "Scoped"]  # rules that were looked at
    counts: Sequence[Count] = ()  # along `names`
    until_s: float = 0.0  # when to look again which rules are in force
    by_row: dict[int, list[int]] = field(default_factory=dict)  # counters by SKU row
    everywhere: list[tuple[int, frozenset[int]]] = field(default_factory=list)  # counters, and the SKU rows they are not about
    by_code: dict[int, list[int]] = field(default_factory=dict)  # counters by the row of the promotion that needs a code
    coupons: list[tuple[int, Callable[[str], bool]]] = field(default_factory=list)
    currency: dict[int, str | None] = field(default_factory=dict)  # of counters that hold in one, of those with a scope

    @property
    def is_empty(self) -> bool:
        """Whether no basket can be told of anything."""
        return not (self.by_row or self.everywhere or self.by_code or self.coupons)

    def tell(self, basket: Basket) -> Basket:
        """The basket with the counters that it is told of."""
        left = self.of(basket)
        return basket._replace(left=left) if left else basket

    def of(self, basket: Basket) -> tuple[Left, ...]:
        """The counters that a basket is told of."""
        rows = [self.row_of_sku.get(sku, -1) for sku in basket.skus]
        found: set[int] = set()
        if self.by_row:
            for row in rows:
                found.update(self.by_row.get(row, ()))
        for number, others in self.everywhere:
            if any(row not in others for row in rows):
                found.add(number)
        for code in basket.codes:
            if self.by_code:
                found.update(self.by_code.get(self.codes.row_of(code), ()))
            found.update(number for number, has in self.coupons if has(code))
        if not found:
            return ()
        told = []
        for number in sorted(found):
            left, is_close = self.counts[number]
            if self.currency.get(number) not in (None, basket.currency):
                continue
            if is_close or left.left < sum(basket.quantities_milli):
                told.append(left)
        return tuple(told)

    def add(self, book: PriceBook, number: int, resource: str, rule: str) -> None:
        """Let a counter be told where a rule may touch a basket."""
        scoped = self.scoped.get((resource, rule))
        if scoped is None:
            scoped = self.scoped[resource, rule] = _scoped(book, resource, rule)
        self.currency[number] = scoped.currency
        if scoped.code_row >= 0:
            self.by_code.setdefault(scoped.code_row, []).append(number)
        elif scoped.is_everywhere_but:
            self.everywhere.append((number, scoped.rows))
        else:
            for row in scoped.rows:
                self.by_row.setdefault(row, []).append(number)


class Standings:
    """What was told of the limits last, laid out for the books that ask."""

    def __init__(self, *, clock_s: Callable[[], float] = time.time) -> None:
        self._clock_s = clock_s
        self._counts: tuple[Count, ...] = ()
        self._names: tuple[tuple[str, str], ...] = ()
        self._standing: WeakKeyDictionary[PriceBook, Standing] = WeakKeyDictionary()

    def set(self, counts: Iterable[Count]) -> None:
        """Take what is known now."""
        now = tuple(sorted(counts))
        if now != self._counts:
            names = tuple((left.rule, left.limit) for left, _ in now)
            self._counts, self._names = now, self._names if names == self._names else names

    def of(self, book: PriceBook) -> Standing | None:
        """How the limits of a book stand; None where there is nothing to tell."""
        if not self._counts:
            return None
        standing = self._standing.get(book)
        now_s = self._clock_s()
        if standing is None or standing.counts is not self._counts or now_s >= standing.until_s:
            rules = _rules_in_force(book, self._names, int(now_s))
            if standing is None or standing.names is not self._names or standing.rules != rules:
                standing = self._standing[book] = _laid_out(book, self._names, rules, standing)
            standing.counts, standing.until_s = self._counts, now_s + _CHECK_S
        return None if standing.is_empty else standing


def _laid_out(
    book: PriceBook, names: tuple[tuple[str, str], ...], rules: frozenset[tuple[str, str]], earlier: Standing | None
) -> Standing:
    """The rules that are in force by what they may touch."""
    scoped = {} if earlier is None else earlier.scoped
    standing = Standing(book.assortment.row_of_sku, book.promotions.codes, names, rules, scoped)
    for number, (rule, limit) in enumerate(names):
        if limit == COUPON_USES and ("coupons", rule) in rules:
            standing.coupons.append((number, codes_of(book, rule)))
        for resource, own in _touching(book, rule, limit):
            if (resource, own) in rules:
                standing.add(book, number, resource, own)
        if limit == CAMPAIGN_BUDGET and number in standing.currency:
            standing.currency[number] = book.sources.documents["campaigns"][rule].body["currency"]
    return standing


def _touching(book: PriceBook, rule: str, limit: str) -> Iterable[tuple[str, str]]:
    """The rules that a limit is about, but for coupons: resource and id."""
    if limit == CAMPAIGN_BUDGET:
        return [("promotions", promotion) for promotion in rows_of(book).of_campaign.get(rule, ())]
    return [] if limit == COUPON_USES else [("sale-prices" if limit == UNITS else "promotions", rule)]


def _rules_in_force(book: PriceBook, names: Iterable[tuple[str, str]], now_s: int) -> frozenset[tuple[str, str]]:
    """The rules of the book that limits are about and that are in force now or about to be."""
    rows, coupons = rows_of(book), book.sources.documents.get("coupons", {})
    found = {("coupons", rule) for rule, limit in names if limit == COUPON_USES and rule in coupons}
    rules = {one for rule, limit in names for one in _touching(book, rule, limit)}
    for resource, row_of, schedule in (
        ("promotions", rows.promotion, book.promotions.schedule),
        ("sale-prices", rows.sale, book.sales.schedule),
    ):
        own = [rule for its, rule in rules if its == resource and rule in row_of]
        at = np.array([row_of[rule] for rule in own], np.int64)
        is_on = is_active(schedule, at, np.array([now_s])) | is_active(schedule, at, np.array([now_s + _AHEAD_S]))
        found.update((resource, rule) for rule, on in zip(own, is_on.tolist(), strict=True) if on)
    return frozenset(found)


def of_one_unit(left: Iterable[Left]) -> tuple[Left, ...]:
    """The counters that a single unit by itself feels: of a sale price that has less than one unit left nothing is left."""
    felt = []
    for one in left:
        if one.limit == UNITS:
            felt += [one._replace(left=0)] if one.left < MILLI else []
        elif one.left <= 0 or "budget" in one.limit:
            felt.append(one)
    return tuple(felt)


def _scoped(book: PriceBook, resource: str, rule: str) -> Scoped:
    body: Any = book.sources.documents[resource][rule].body
    scope = scope_of_rule(resource, body, book)
    rows = frozenset((scope.excluded if scope.is_open else scope.rows).tolist())
    needs_code = resource == "promotions" and bool(body.get("requires_code"))
    return Scoped(rows, scope.is_open, body.get("currency"), rows_of(book).promotion[rule] if needs_code else -1)
