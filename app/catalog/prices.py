"""Price lists and their prices with tiers."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field

from app.errors import Conflict, FieldError
from app.pricebook.documents import SINGLE_ID
from app.pricing.money import parse_quantity_milli
from app.resources.fields import Amount, Body, Currency, Id, Instant, Name, Order, Quantity, UnitPrice
from app.resources.resource import Resource

DEFAULT_LIST: Final = SINGLE_ID
_Names = Annotated[list[Name], Field(max_length=1000)]


class Match(Body):
    """Which requests see a price list: an empty field is everything."""

    groups: Annotated[_Names, Field(description="Segments or level of the customer.")] = []
    stores: _Names = []
    channels: _Names = []
    markets: _Names = []


class PriceList(Body):
    """A set of prices for some requests."""

    name: Name | None = None
    priority: Order = 0
    tax_included: bool = False
    match: Match = Match()


class Step(Body):
    """A tier up to a quantity, inclusive; the last one is open (null)."""

    up_to: Quantity | None
    unit_price: UnitPrice
    flat_fee: Amount = 0


class Tiers(Body):
    """`volume`: the whole quantity at the tier it falls in. `graduated`: each part of it at its own.

    `mix` counts lines of a basket together: `sku` those of one SKU, any other name those of all SKUs whose tiers name it.
    """

    mode: Literal["volume", "graduated"]
    mix: Name | None = None
    steps: Annotated[list[Step], Field(min_length=1, max_length=1000)]


class Price(Body):
    """A price of a SKU on a list in a currency, in force in [valid_from, valid_to)."""

    currency: Currency
    price_list: Id = DEFAULT_LIST
    unit_price: UnitPrice
    tiers: Tiers | None = None
    valid_from: Instant | None = None
    valid_to: Instant | None = None


def price_id(sku: str, body: Mapping[str, Any]) -> str:
    """The id of a price: what it is keyed by."""
    return "|".join((sku, body["price_list"], body["currency"], body["valid_from"] or ""))


def _check_price(body: Mapping[str, Any]) -> list[FieldError]:
    problems: list[FieldError] = []
    if body["valid_from"] and body["valid_to"] and body["valid_from"] >= body["valid_to"]:
        problems.append(FieldError("valid_to", "not_after", "must lie after valid_from"))
    if body["tiers"] is not None:
        problems += _check_steps(body["tiers"]["steps"])
    return problems


def _check_steps(steps: list[Mapping[str, Any]]) -> list[FieldError]:
    problems: list[FieldError] = []
    reached = 0
    for number, step in enumerate(steps):
        path = f"tiers.steps[{number}].up_to"
        is_last = number == len(steps) - 1
        if (step["up_to"] is None) != is_last:
            problems.append(
                FieldError(path, "not_open" if is_last else "open", "only the last tier is open (null), and it must be")
            )
        elif not is_last:
            bound = parse_quantity_milli(step["up_to"])
            if bound <= reached:
                problems.append(FieldError(path, "not_rising", "the bounds of tiers must rise"))
            reached = bound
    return problems


def _refuse_list(document_id: str, body: Mapping[str, Any] | None) -> None:
    """The default list is what every request can fall back to."""
    if document_id != DEFAULT_LIST:
        return
    if body is None:
        raise Conflict("The default price list always exists.", errors=[("id", "default_list", "cannot be deleted")])
    if any(body["match"].values()):
        raise Conflict("The default price list matches every request.", errors=[("match", "default_list", "must be empty")])


PRICE_LISTS = Resource("price-lists", "PriceList", (PriceList,), "catalog", refuse=_refuse_list)
PRICES = Resource("prices", "Price", (Price,), "catalog", row_key="sku", document_id=price_id, check=_check_price)
