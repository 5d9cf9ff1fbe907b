"""The data's baskets as requests for quotes, each at its own time, with its household as the customer and the coupons it showed."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from app.completejourney.coupons import Uses
from app.completejourney.documents import ASSOCIATE, CURRENCY, Shop
from app.completejourney.tables import Int64s


class BasketRequest(NamedTuple):
    """A request and the rows of the data behind its lines, in the same order."""

    basket: int
    rows: Int64s
    request: dict[str, Any]


def basket_requests(shop: Shop, uses: Uses) -> Iterator[BasketRequest]:
    """The baskets in the order of their times. Lines of quantity 0 cannot be asked for and are left out, and so is a basket of nothing else.

    A line that has no price does not sink its basket (`partial`).
    """
    lines = shop.tables.lines
    rows = np.flatnonzero(lines.quantity_milli > 0)
    rows = rows[np.lexsort((rows, lines.basket[rows], lines.at_s[rows]))]
    basket = lines.basket[rows]
    first = np.flatnonzero(np.concatenate([[True], basket[1:] != basket[:-1]])) if rows.size else rows
    is_associate = shop.associates.are_in(lines.household, lines.week)
    skus = [str(number) for number in shop.tables.products.id]
    for part in np.split(rows, first[1:]):
        if part.size == 0:
            continue
        head = int(part[0])
        number = int(lines.basket[head])
        customer: dict[str, Any] = {"id": str(lines.household[head])}
        if is_associate[head]:
            customer["segments"] = [ASSOCIATE]
        asked = zip(lines.product[part].tolist(), lines.quantity_milli[part].tolist(), strict=True)
        yield BasketRequest(
            number,
            part,
            {
                "currency": CURRENCY,
                "store": str(lines.store[head]),
                "customer": customer,
                "lines": [
                    {"id": str(place), "sku": skus[product], "quantity": quantity_text(milli)}
                    for place, (product, milli) in enumerate(asked, 1)
                ],
                "codes": [offer.code for offer in uses.offers_of_basket.get(number, ())],
                "at": datetime.fromtimestamp(int(lines.at_s[head]), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "partial": True,
            },
        )


def quantity_text(milli: int) -> int | str:
    """A quantity as the service takes it.

    >>> quantity_text(2000), quantity_text(8725)
    (2, '8.725')
    """
    whole, rest = divmod(milli, 1000)
    return f"{whole}.{rest:03}".rstrip("0") if rest else whole
