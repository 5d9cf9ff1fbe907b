"""Counters: what is left of limits, as a basket brings them, and what they keep it from. Source: SEMANTICS.md, Counters."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from app.pricing.basket import Barred, Basket, Left
from app.pricing.book import PriceBook
from app.pricing.code_table import generated_by
from app.pricing.money import Int64s
from app.pricing.reasons import Unit
from app.pricing.rules import gift
from app.pricing.sale_units import Units

USES: Final = ("uses", "uses_per_day", "uses_per_week", "uses_per_month")
BUDGET: Final = "budget"
GIFTS: Final = "gifts"
CAMPAIGN_BUDGET: Final = "campaign_budget"
COUPON_USES: Final = "coupon_uses"
UNITS: Final = "units"
# Those of the customer or the code that a basket comes with.
USES_PER_CUSTOMER: Final = (
    "uses_per_customer",
    "uses_per_customer_per_day",
    "uses_per_customer_per_week",
    "uses_per_customer_per_month",
)
COUPON_USES_PER_CUSTOMER: Final = "coupon_uses_per_customer"
COUPON_USES_PER_CODE: Final = "coupon_uses_per_code"
UNITS_PER_CUSTOMER: Final = "units_per_customer"
PERSONAL: Final = (*USES_PER_CUSTOMER, COUPON_USES_PER_CUSTOMER, COUPON_USES_PER_CODE, UNITS_PER_CUSTOMER)
OF_COUPONS: Final = frozenset((COUPON_USES, COUPON_USES_PER_CUSTOMER, COUPON_USES_PER_CODE))
OF_SALE_PRICES: Final = frozenset((UNITS, UNITS_PER_CUSTOMER))
LIMITS: Final = (*USES, BUDGET, GIFTS, CAMPAIGN_BUDGET, COUPON_USES, UNITS, *PERSONAL)
NUMBER_OF: Final = {limit: number for number, limit in enumerate(LIMITS)}
_OF_PROMOTIONS: Final = frozenset((*USES, *USES_PER_CUSTOMER, BUDGET, GIFTS))


class Count(NamedTuple):
    """What is known of a limit: that of a sale price's units is told to a basket also where it is not close, if it asks for more."""

    left: Left
    is_close: bool


class Bars(NamedTuple):
    """Promotions that do not apply in baskets because of a limit, by key: basket · number of promotions + row, sorted."""

    key: Int64s
    limit: Int64s  # its number
    left: Int64s
    unit: Int64s


class Counted(NamedTuple):
    """The counters of a batch; each None where none has any."""

    bars: Bars | None
    units: Units | None
    used_up: Mapping[int, Sequence[Left]]  # by basket: of coupons, or of a code of theirs


class Rows(NamedTuple):
    """Where the rules that counters name stand in a book."""

    promotion: Mapping[str, int]
    sale: Mapping[str, int]
    of_campaign: Mapping[str, Sequence[str]]  # the promotions of each campaign


_rows_of: WeakKeyDictionary[PriceBook, Rows] = WeakKeyDictionary()


def rows_of(book: PriceBook) -> Rows:
    """The rows of a book, made when they are first asked for."""
    rows = _rows_of.get(book)
    if rows is None:
        campaigns = book.sources.documents.get("campaigns", {})
        rows = _rows_of[book] = Rows(
            {name: row for row, name in enumerate(book.promotions.id)},
            {name: row for row, name in enumerate(book.sale_names.id)},
            {name: tuple(document.body.get("promotions") or ()) for name, document in campaigns.items()},
        )
    return rows


def counted_of(book: PriceBook, baskets: Sequence[Basket]) -> Counted | None:
    """The counters of a batch as columns; None where no basket has any, as most have none."""
    if not any(basket.left or basket.barred for basket in baskets):
        return None
    rows, n_rules, n_sales = rows_of(book), len(book.promotions.id), len(book.sale_names.id)
    bars: dict[int, Left] = {}
    units: dict[int, int] = {}
    used_up: dict[int, list[Left]] = {}
    for number, basket in enumerate(baskets):
        for promotion, one in barred(book, basket):
            row = rows.promotion.get(promotion)
            if row is not None:
                bars.setdefault(number * n_rules + row, one)
        for one in basket.left:
            if one.limit in OF_SALE_PRICES and one.rule in rows.sale:
                key = number * n_sales + rows.sale[one.rule]
                units[key] = min(one.left, units.get(key, one.left))
            elif one.limit in OF_COUPONS and one.left <= 0:
                used_up.setdefault(number, []).append(one)
    return Counted(_bars(bars), _units(units), used_up)


def barred(book: PriceBook, basket: Basket) -> Iterator[Barred]:
    """The promotions that have nothing left for a basket or not enough, each with the counters that say so, in their order."""
    yield from basket.barred
    of_campaign = rows_of(book).of_campaign
    for one in basket.left:
        if one.limit in _OF_PROMOTIONS:
            if one.left <= 0 or (one.limit == GIFTS and one.left < gifts_milli(book, one.rule)):
                yield Barred(one.rule, one)
        elif one.limit == CAMPAIGN_BUDGET and one.left <= 0:
            for promotion in of_campaign.get(one.rule, ()):
                yield Barred(promotion, one)


def gifts_milli(book: PriceBook, promotion: str) -> int:
    """How much a gift promotion gives, in thousandths of a unit; 0 of any other."""
    promotions, row = book.promotions, rows_of(book).promotion.get(promotion)
    if row is None or promotions.kinds[promotions.kind[row]] != gift.KIND:
        return 0
    packed: gift.Packed = promotions.packed[promotions.kind[row]]
    at = promotions.kind_row[row]
    n_skus = packed.skus.first[at + 1] - packed.skus.first[at]
    return int((packed.choose[at] or n_skus) * packed.quantity_milli[at])


def codes_of(book: PriceBook, coupon: str) -> Callable[[str], bool]:
    """What tells the codes of a coupon, as the book looks them up: listed ones first."""
    document = book.sources.documents.get("coupons", {}).get(coupon)
    if document is None:
        return lambda _: False
    if generated_by(document.body) is None:
        return frozenset(document.body.get("codes") or ()).__contains__
    table = book.promotions.codes
    return lambda text: text not in table.row_of_listed and table.generator_of(text) == coupon


def _bars(found: Mapping[int, Left]) -> Bars | None:
    if not found:
        return None
    keys = sorted(found)
    lefts = [found[key] for key in keys]
    return Bars(
        np.array(keys, np.int64),
        np.array([NUMBER_OF[one.limit] for one in lefts], np.int64),
        np.array([max(one.left, 0) for one in lefts], np.int64),
        np.array([Unit.MILLI if one.limit == GIFTS else Unit.MINOR for one in lefts], np.int64),
    )


def _units(found: Mapping[int, int]) -> Units | None:
    if not found:
        return None
    keys = sorted(found)
    return Units(np.array(keys, np.int64), np.array([max(found[key], 0) for key in keys], np.int64))
