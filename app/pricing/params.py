"""Bounds that stand in a type: read by validation, OpenAPI and Hypothesis alike.

A kind's parameters are a frozen dataclass whose fields are annotated with these markers; the web layer makes its models from them.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from app.pricing.money import AMOUNT_MINOR_MAX


@dataclass(frozen=True, slots=True)
class DecimalText:
    """A plain decimal string with up to `places` decimals, from `low` to `high`, both inclusive."""

    places: int
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """An integer from `low` to `high`, both inclusive."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class ScopeShape:
    """The products that a rule may touch, as `include` and `exclude`."""


@dataclass(frozen=True, slots=True)
class Identifier:
    """What something is called where it is named by others: a SKU, a competitor."""


@dataclass(frozen=True, slots=True)
class LabelText:
    """A short text for people."""


@dataclass(frozen=True, slots=True)
class InstantText:
    """An RFC 3339 instant with its offset."""


PercentOff = Annotated[str, DecimalText(4, "0", "100")]
MarkupPercent = Annotated[str, DecimalText(4, "0", "10000")]
UnitPrice = Annotated[str, DecimalText(4, "0", "10000000000")]
SignedUnitPrice = Annotated[str, DecimalText(4, "-10000000000", "10000000000")]
IdText = Annotated[str, Identifier()]
Label = Annotated[str, LabelText()]
Instant = Annotated[str, InstantText()]
QuantityText = Annotated[str, DecimalText(3, "0", "1000000")]
AmountMinor = Annotated[int, Bounds(0, AMOUNT_MINOR_MAX)]
PositiveAmountMinor = Annotated[int, Bounds(1, AMOUNT_MINOR_MAX)]
Sku = Annotated[str, Identifier()]
Times = Annotated[int, Bounds(1, 1_000_000)]
SetUnits = Annotated[int, Bounds(1, 1_000)]
ScopeBody = Annotated[dict[str, Any], ScopeShape()]

# A message about one field of the parameters: (path inside the parameters, what is wrong).
ParamProblem = tuple[str, str]
