"""Facts that prices depend on: costs, stock, competitors' prices, demand. Each has its instant."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from pydantic import AfterValidator, ConfigDict, StringConstraints

from app.errors import FieldError
from app.pricebook.documents import Change, Documents
from app.pricing.money import QUANTITY_MILLI_MAX, parse_decimal
from app.resources.fields import QUANTITY_PATTERN, Body, Currency, DemandIndex, Id, Instant, Sku, UnitPrice

# Clocks differ a little; a fact from further ahead would block every later one.
AHEAD_MAX: Final = timedelta(minutes=5)


def _units(text: str) -> str:
    if parse_decimal(text, 3) > QUANTITY_MILLI_MAX:
        raise ValueError("at most 1000000")
    return text


def _some_units(text: str) -> str:
    if not 0 < parse_decimal(text, 3) <= QUANTITY_MILLI_MAX:
        raise ValueError("above 0 and at most 1000000")
    return text


class Cost(Body):
    """What a unit costs."""

    sku: Sku
    currency: Currency
    unit_cost: UnitPrice
    at: Instant


class Stock(Body):
    """How many units there are."""

    sku: Sku
    units: Annotated[str, StringConstraints(pattern=QUANTITY_PATTERN), AfterValidator(_units)]
    at: Instant


class CompetitorPrice(Body):
    """What somebody else asks for it."""

    sku: Sku
    competitor: Id
    currency: Currency
    unit_price: UnitPrice
    in_stock: bool
    at: Instant


class Demand(Body):
    """How demand stands against the usual, which is 1; and, if known, how many units sell a day at the list price when it is 1."""

    sku: Sku
    index: DemandIndex
    daily_units: Annotated[str, StringConstraints(pattern=QUANTITY_PATTERN), AfterValidator(_some_units)] | None = None
    at: Instant


@dataclass(frozen=True, slots=True)
class Signal:
    """One sort of facts: its resource among the documents, and what a fact is keyed by."""

    path: str
    singular: str
    model: type[Body]
    key: Callable[[Mapping[str, Any]], str]

    @property
    def resource(self) -> str:
        return f"signals-{self.path}"

    @property
    def reply_model(self) -> type[Body]:
        """A fact as it is shown: replies may gain members."""
        namespace = {
            "__module__": self.model.__module__,
            "__doc__": self.model.__doc__,
            "model_config": ConfigDict(extra="ignore"),
        }
        metaclass: Any = type(self.model)
        made: type[Body] = metaclass(f"{self.singular}Fact", (self.model,), namespace)
        return made


SIGNALS: Final = (
    Signal("costs", "Cost", Cost, lambda fact: f"{fact['sku']}|{fact['currency']}"),
    Signal("stock", "Stock", Stock, lambda fact: fact["sku"]),
    Signal(
        "competitors", "CompetitorPrice", CompetitorPrice, lambda fact: f"{fact['sku']}|{fact['competitor']}|{fact['currency']}"
    ),
    Signal("demand", "Demand", Demand, lambda fact: fact["sku"]),
)


def too_far_ahead(facts: list[Mapping[str, Any]], now: datetime) -> list[FieldError]:
    """The facts whose instant lies in the future."""
    limit = (now + AHEAD_MAX).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [
        FieldError(f"[{number}].at", "in_future", "lies in the future") for number, fact in enumerate(facts) if fact["at"] > limit
    ]


def newest(signal: Signal, facts: list[Mapping[str, Any]], documents: Documents) -> list[Change]:
    """The change that each fact makes which is not older than what is known of its key. Of facts with one instant the last one given counts."""
    known = documents.get(signal.resource, {})
    # Instants are written in one way, so that their texts compare as they do.
    changes: dict[str, Change] = {}
    for fact in facts:
        key = signal.key(fact)
        standing = changes[key].body if key in changes else known[key].body if key in known else None
        if standing is None or standing["at"] <= fact["at"]:
            changes[key] = Change(signal.resource, key, fact)
    return list(changes.values())
