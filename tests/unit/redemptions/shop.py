"""A shop with limits, its books and its quotes, for tests of what quotes draw on."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from app.pricebook.document_table import table_of
from app.pricing.basket import Left
from app.pricing.book import BookRows, Document, PriceBook
from app.pricing.compile import compile_price_book
from app.quotes.parse import basket_of, format_instant, instant_ms_of, read_quote
from app.redemptions.draws import Draws, Quote, draws_of, read_quoted
from app.redemptions.limits import Limits
from tests.memos import price_and_encode

type Documents = dict[str, dict[str, Document]]

AT = datetime(2026, 11, 29, 3, 30, tzinfo=UTC)  # a Sunday; in New York it is still Saturday
EVERYTHING: dict[str, Any] = {"include": {}, "exclude": {}}


def promotion(kind: str = "percent_off", *, limits: Mapping[str, int] | None = None, **more: Any) -> dict[str, Any]:
    given = {"name": kind, "kind": kind, "scope": EVERYTHING, "currency": "USD", "limits": limits}
    params = {"percent_off": {"percent": "10"}, "shipping": {"percent": "100"}}.get(kind)
    return given | ({} if params is None else {"params": params}) | more


def shop(policy: Mapping[str, Any] | None = None, **resources: Mapping[str, Mapping[str, Any]]) -> Documents:
    """Mugs at 10.00, pans at 40.00 and candles at 5.00 with what else is given; resources are named with underscores."""
    units = {"MUG": "1000", "PAN": "4000", "CANDLE": "500"}
    prices = {
        f"{sku}|default|{currency}|": {
            "sku": sku,
            "unit_price": unit,
            "currency": currency,
            "price_list": "default",
            "tiers": None,
        }
        for sku, unit in units.items()
        for currency in ("USD", "EUR")
    }
    bodies: dict[str, Mapping[str, Mapping[str, Any]]] = {"prices": prices}
    bodies |= {name.replace("_", "-"): own for name, own in resources.items()}
    if policy is not None:
        bodies["policy"] = {"default": policy}
    return {resource: {name: Document(body, 1) for name, body in own.items()} for resource, own in bodies.items()}


def book_of(documents: Documents, version: int = 7) -> PriceBook:
    tables = {resource: table_of(own) for resource, own in documents.items()}
    return compile_price_book(BookRows(version, 1_750_000_000_000_000, tables))


def limits_of(documents: Documents, version: int = 7, *, before: Limits | None = None) -> Limits:
    book = book_of(documents, version)
    return Limits(version, book.sources.documents, book.promotions.codes, before=before)


def quote(
    documents: Documents, *lines: tuple[str, int | str], currency: str = "USD", left: tuple[Left, ...] = (), **more: Any
) -> Quote:
    """The quote of a basket as it is stored; `left` is what it is told of limits."""
    request = {"currency": currency, "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines], **more}
    understood = read_quote(msgspec.json.encode(request))
    basket = basket_of(understood, instant_ms_of(AT))._replace(left=left)
    (encoded,) = price_and_encode(book_of(documents), [basket], [False])
    assert not encoded.errors, encoded.errors
    head = f'{{"id":"x","version":7,"issued_at":"{format_instant(instant_ms_of(AT))}","expires_at":"2026-11-29T03:45:00.000Z",'
    return read_quoted(head.encode() + encoded.body + b',"token":"x"}')


def drawn(documents: Documents, *lines: tuple[str, int | str], customer: str | None = None, **more: Any) -> Draws:
    """What the quote of a basket draws on."""
    return draws_of(quote(documents, *lines, **more), customer=customer, limits=limits_of(documents))
