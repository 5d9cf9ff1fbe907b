"""The reconstructed shop as the service's documents: products, price lists, prices, specials, campaigns and their coupons."""

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final, NamedTuple

import numpy as np

from app.completejourney.associates import OWN_BRAND, PERCENT, Associates, find_associates, own_brand
from app.completejourney.calendar import TIMEZONE, day_of, midnight_local, midnight_utc, week_start
from app.completejourney.coupons import Offer, find_offers
from app.completejourney.shelf import COLUMNS, Runs, Shelf, reconstruct_shelf, runs_of
from app.completejourney.tables import WEEKS, Bools, Coupons, Products, Tables

type Document = dict[str, Any]

CURRENCY: Final = "USD"
ASSOCIATE: Final = "associate"
# In the order of ids it is the first of this shop's promotions.
ASSOCIATES_PROMOTION: Final = "associates-own-brand"
# A condition's list holds at most this many values.
_VALUES_MAX: Final = 1000


class Shop(NamedTuple):
    """What the tables tell of the shop."""

    tables: Tables
    shelf: Shelf
    associates: Associates
    offers: list[Offer]


def reconstruct_shop(tables: Tables, *, is_used: Bools) -> Shop:
    """The shop by the lines used. Own-brand lines of associates do not speak for specials, so specials are found twice."""
    everything = np.ones(is_used.size, np.bool_)
    shelf = reconstruct_shelf(tables.lines, tables.products, is_used=is_used, is_evidence=everything)
    associates = find_associates(tables.lines, tables.products, shelf, is_used=is_used)
    is_reduced = associates.are_in(tables.lines.household, tables.lines.week) & own_brand(tables.products)[tables.lines.product]
    shelf = reconstruct_shelf(tables.lines, tables.products, is_used=is_used, is_evidence=~is_reduced)
    offers = find_offers(tables.coupons, tables.lines, tables.products, is_used=is_used)
    return Shop(tables, shelf, associates, offers)


def documents_of(shop: Shop) -> Iterator[tuple[str, Iterator[Document]]]:
    """(resource, its import rows), in the order in which one refers to another."""
    products = shop.tables.products
    worthy = [offer for offer in shop.offers if offer.worth_minor > 0]
    yield "price-lists", _price_lists(shop.shelf)
    yield "products", _products(products)
    yield "prices", _prices(products, shop.shelf)
    yield "sale-prices", _specials(products, shop.shelf)
    yield "promotions", _promotions(products, shop.tables.coupons, worthy)
    yield "coupons", ({"id": offer.code, "promotion": _promotion_id(offer), "codes": [offer.code]} for offer in worthy)
    yield "campaigns", _campaigns(shop.tables.coupons, worthy)


def _price_lists(shelf: Shelf) -> Iterator[Document]:
    for number in range(1, len(shelf.zone_runs) + 1):
        stores = [str(store) for store in shelf.stores[shelf.zone == number]]
        yield {"id": _zone_list(number), "name": f"Price zone {number}", "match": {"stores": stores}}


def _zone_list(number: int) -> str:
    return f"zone-{number:02}"


def _products(products: Products) -> Iterator[Document]:
    columns = (
        products.id,
        products.department,
        products.category,
        products.kind,
        products.size,
        products.brand,
        products.manufacturer,
    )
    for number, department, category, kind, size, brand, manufacturer in zip(*columns, strict=True):
        path = [_path_part(text) for text in (department, category, kind) if text]
        attributes = {"manufacturer": str(manufacturer)} if manufacturer else {}
        yield {
            "id": str(number),
            "name": " ".join(" ".join((kind or category or f"Product {number}", size)).split()),
            "category": "/".join(path) or None,
            "brand": brand or None,
            "attributes": attributes | ({"size": " ".join(size.split())} if size.strip() else {}),
        }


def _path_part(text: str) -> str:
    """A department's or category's name as one part of a path.

    >>> _path_part("ICE - CRUSHED/CUBED")
    'ice-crushed-cubed'
    """
    return "-".join("".join(letter if letter.isalnum() else " " for letter in text.lower()).split())


def _prices(products: Products, shelf: Shelf) -> Iterator[Document]:
    regular = np.where(np.arange(COLUMNS) > 0, shelf.regular_e4, 0)
    # Somebody who asks for a day outside the year gets the price of the nearest week.
    yield from _price_rows(products, "default", runs_of(regular), is_open=True)
    for number, runs in enumerate(shelf.zone_runs, 1):
        yield from _price_rows(products, _zone_list(number), runs, is_open=False)


def _price_rows(products: Products, price_list: str, runs: Runs, *, is_open: bool) -> Iterator[Document]:
    starts = [None if is_open and week == 1 else midnight_utc(week_start(week)) for week in range(WEEKS + 1)]
    ends = [None if is_open and week == WEEKS else midnight_utc(week_start(week + 1)) for week in range(WEEKS + 1)]
    for row, first, last, unit_e4 in zip(*runs, strict=True):
        yield {
            "sku": str(products.id[row]),
            "currency": CURRENCY,
            "price_list": price_list,
            "unit_price": e4_text(int(unit_e4)),
            "valid_from": starts[first],
            "valid_to": ends[last],
        }


def _specials(products: Products, shelf: Shelf) -> Iterator[Document]:
    """Products that cost the same on special for the same weeks share a sale price."""
    runs = runs_of(shelf.special_e4)
    order = np.lexsort((products.id[runs.row], runs.unit_e4, runs.last_week, runs.first_week))
    keys = np.stack([runs.first_week, runs.last_week, runs.unit_e4])[:, order]
    if order.size == 0:
        return
    first = np.flatnonzero(np.concatenate([[True], (keys[:, 1:] != keys[:, :-1]).any(axis=0)]))
    for start, members in zip(first, np.split(runs.row[order], first[1:]), strict=True):
        begins, ends, unit = keys[:, start].tolist()
        yield {
            "id": f"special-{begins:02}-{ends:02}-{e4_text(unit)}",
            "name": f"Weekly special {e4_text(unit)}",
            "scope": {"include": {"skus": [str(products.id[row]) for row in members]}},
            "currency": CURRENCY,
            "unit_price": e4_text(unit),
            "schedule": _schedule(week_start(begins), week_start(ends + 1)),
        }


def _promotions(products: Products, coupons: Coupons, offers: list[Offer]) -> Iterator[Document]:
    yield {
        "id": ASSOCIATES_PROMOTION,
        "name": "A tenth off the own brand for associates",
        "kind": "percent_off",
        "params": {"percent": PERCENT},
        "scope": {
            "include": {"brands": [OWN_BRAND]},
            "exclude": {"skus": [str(number) for number in products.id[products.is_fuel]]},
        },
        "conditions": {"attribute": "customer.segments", "op": "contains", "value": ASSOCIATE},
        "not_on_sale": True,
    }
    for offer in offers:
        at = int(np.flatnonzero(coupons.campaign_id == offer.campaign)[0])
        households = [str(number) for number in np.unique(coupons.mailed_household[coupons.mailed_campaign == offer.campaign])]
        parts = [households[start : start + _VALUES_MAX] for start in range(0, len(households), _VALUES_MAX)]
        yield {
            "id": _promotion_id(offer),
            "name": f"Coupon {offer.coupon} of campaign {offer.campaign}",
            "kind": "amount_off",
            "params": {"amount": offer.worth_minor, "per": "across"},
            "currency": CURRENCY,
            "scope": {"include": {"skus": [str(products.id[row]) for row in offer.products]}},
            "conditions": {"any": [{"attribute": "customer.id", "op": "in", "value": part} for part in parts]},
            "schedule": _schedule(day_of(int(coupons.start_day[at])), day_of(int(coupons.end_day[at]) + 1)),
            "lane": 1,
            "requires_code": True,
        }


def _promotion_id(offer: Offer) -> str:
    return f"coupon-{offer.code}"


def _campaigns(coupons: Coupons, offers: list[Offer]) -> Iterator[Document]:
    for number, kind, start, end in zip(
        coupons.campaign_id, coupons.campaign_type, coupons.start_day, coupons.end_day, strict=True
    ):
        yield {
            "id": f"campaign-{number}",
            "name": f"Campaign {number}, {kind.lower()}",
            "promotions": [_promotion_id(offer) for offer in offers if offer.campaign == number],
            "from": midnight_local(day_of(int(start))),
            "to": midnight_local(day_of(int(end) + 1)),
            "timezone": TIMEZONE,
        }


def _schedule(begins: date, ends: date) -> Document:
    """From the beginning of one local day to that of another."""
    assert ends - begins >= timedelta(days=1)
    return {"from": midnight_local(begins), "to": midnight_local(ends), "timezone": TIMEZONE}


def e4_text(unit_e4: int) -> str:
    """A unit price as the service takes it.

    >>> e4_text(1666667), e4_text(990000)
    ('166.6667', '99')
    """
    whole, rest = divmod(unit_e4, 10_000)
    return f"{whole}.{rest:04}".rstrip("0").rstrip(".")
