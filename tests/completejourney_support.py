"""Tiny made-up tables in the shape of the Complete Journey's, for tests that never touch the real ones."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime

import pyarrow as pa

from app.completejourney.tables import Tables, tables_of


@dataclass(frozen=True, slots=True)
class Sold:
    """A line as a test says it. Amounts are dollars, as in the data; the day is one of 2017."""

    product: int
    sales: float
    quantity: int = 1
    retail: float = 0.0
    coupon: float = 0.0
    match: float = 0.0
    day: tuple[int, int] = (1, 4)
    household: int = 1
    store: int = 1
    basket: int = 1


@dataclass(frozen=True, slots=True)
class Stock:
    """A product as a test says it."""

    id: int
    kind: str = "SOAP"
    brand: str = "National"
    size: str = "1 LB"
    manufacturer: int = 1
    department: str = "GROCERY"
    category: str = "CLEANING"


@dataclass(frozen=True, slots=True)
class Used:
    """A coupon of campaign 8 that a household used on a day."""

    coupon: int
    household: int
    day: tuple[int, int]


def make_tables(
    sold: Sequence[Sold],
    stock: Iterable[Stock] | None = None,
    *,
    scopes: Sequence[tuple[int, int]] = (),
    used: Sequence[Used] = (),
) -> Tables:
    """The tables; `scopes` are (coupon, product) of campaign 8, which was sent to households 1 to 5 for May and June."""
    shelf = list(stock) if stock is not None else [Stock(number) for number in sorted({line.product for line in sold})]
    return tables_of(
        pa.table(
            {
                "household_id": [line.household for line in sold],
                "store_id": [line.store for line in sold],
                "basket_id": [line.basket for line in sold],
                "product_id": [line.product for line in sold],
                "quantity": [line.quantity for line in sold],
                "sales_value": [line.sales for line in sold],
                "retail_disc": [line.retail for line in sold],
                "coupon_disc": [line.coupon for line in sold],
                "coupon_match_disc": [line.match for line in sold],
                "week": [week_number(*line.day) for line in sold],
                "transaction_timestamp": [at(*line.day, hour=18) for line in sold],
            }
        ),
        pa.table(
            {
                "product_id": [product.id for product in shelf],
                "manufacturer_id": [product.manufacturer for product in shelf],
                "department": [product.department for product in shelf],
                "brand": [product.brand for product in shelf],
                "product_category": [product.category for product in shelf],
                "product_type": [product.kind for product in shelf],
                "package_size": [product.size for product in shelf],
            }
        ),
        pa.table(
            {
                "campaign_id": [8],
                "campaign_type": ["Type A"],
                "start_date": [at(5, 1)],
                "end_date": [at(6, 30)],
            }
        ),
        pa.table({"campaign_id": [8] * 5, "household_id": [1, 2, 3, 4, 5]}),
        pa.table(
            {
                "coupon_upc": pa.array([coupon for coupon, _ in scopes], pa.int64()),
                "product_id": pa.array([product for _, product in scopes], pa.int64()),
                "campaign_id": pa.array([8 for _ in scopes], pa.int64()),
            }
        ),
        pa.table(
            {
                "household_id": pa.array([use.household for use in used], pa.int64()),
                "coupon_upc": pa.array([use.coupon for use in used], pa.int64()),
                "campaign_id": pa.array([8 for _ in used], pa.int64()),
                "redemption_date": pa.array([at(*use.day) for use in used], pa.timestamp("ns")),
            }
        ),
    )


def at(month: int, day: int, *, hour: int = 0) -> datetime:
    """An instant of 2017, without its zone as the data has it."""
    return datetime(2017, month, day, hour, tzinfo=UTC).replace(tzinfo=None)


def week_number(month: int, day: int) -> int:
    """The data's week of a day of 2017: Monday to Sunday, 2 January in week 2."""
    return (date(2017, month, day) - date(2017, 1, 2)).days // 7 + 2


def utc(text: str) -> int:
    """Seconds of an instant written without its zone."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())
