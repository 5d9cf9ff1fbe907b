"""What the storefront may send, as structs whose bounds stand in the types; read by validation and by OpenAPI."""

from datetime import datetime
from typing import Annotated, Final

from msgspec import Meta, Raw, Struct, field

LINES_MAX: Final = 500
CODES_MAX: Final = 50
BATCH_QUOTES_MAX: Final = 1_000
BATCH_LINES_MAX: Final = 10_000
PRICES_SKUS_MAX: Final = 10_000
SKU_PATTERN: Final = "[A-Za-z0-9][A-Za-z0-9._:~@+-]{0,127}"

_PLAIN: Final = {"pattern": r"^[^\x00-\x1f\x7f]*$"}
# Patterns that hold for many strings of one request are checked over all of them at once (see parse.py) and only shown here.
type Sku = Annotated[
    str, Meta(min_length=1, max_length=128, extra_json_schema={"pattern": f"^{SKU_PATTERN}$", "examples": ["SKU-1"]})
]
type Name = Annotated[str, Meta(min_length=1, max_length=128, extra_json_schema=_PLAIN)]
type Code = Annotated[str, Meta(min_length=1, max_length=128, extra_json_schema=_PLAIN)]
type Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
type AmountMinor = Annotated[int, Meta(ge=0, le=900_000_000_000)]
type Quantity = (
    Annotated[int, Meta(ge=1, le=1_000_000)]
    | Annotated[
        str,
        Meta(
            min_length=1,
            max_length=11,
            description="A decimal above 0 and up to 1000000, with up to 3 decimals.",
            extra_json_schema={"pattern": r"^(0|[1-9][0-9]*)(\.[0-9]{1,3})?$", "examples": ["0.350"]},
        ),
    ]
)
type AttributeValue = bool | Annotated[int, Meta(ge=-900_000_000_000, le=900_000_000_000)] | Annotated[str, Meta(max_length=256)]
type Attributes = Annotated[dict[Annotated[str, Meta(min_length=1, max_length=64)], AttributeValue], Meta(max_length=50)]
type Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339. Kept to the millisecond. Needs the scope `simulate`.")]
type Version = Annotated[int, Meta(ge=1, le=2**53)]


class _Strict(Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Structs hold no cycles, so the garbage collector need not look at them."""


class Customer(_Strict, kw_only=True):
    """What is known of the buyer. A field that is not sent is not known, and a condition on it does not hold."""

    id: Name | None = None
    segments: Annotated[list[Name], Meta(max_length=50)] | None = None
    level: Name | None = None
    orders: Annotated[Count, Meta(description="How many orders the customer has made before this one.")] | None = None
    spend: Annotated[AmountMinor, Meta(description="Minor units spent before.")] | None = None
    days_since_last_order: Count | None = None
    attributes: Attributes = field(default_factory=dict)


class Context(_Strict, kw_only=True):
    """What a price may depend on besides the lines."""

    currency: Annotated[
        str,
        Meta(min_length=3, max_length=3, description="ISO 4217.", examples=["USD"], extra_json_schema={"pattern": "^[A-Z]{3}$"}),
    ]
    channel: Name | None = None
    store: Name | None = None
    market: Name | None = None
    customer: Customer | None = None
    codes: Annotated[list[Code], Meta(max_length=CODES_MAX, description="Trimmed, NFKC-normalised and upper-cased.")] = field(
        default_factory=list
    )
    attributes: Attributes = field(default_factory=dict)
    at: Instant | None = None
    version: Annotated[Version, Meta(description="Price by this older version. Needs the scope `simulate`.")] | None = None
    min_version: Annotated[Version, Meta(description="Price by this version or a later one.")] | None = None


class Line(_Strict, kw_only=True):
    """A SKU with a quantity."""

    id: (
        Annotated[str, Meta(min_length=1, max_length=64, description="Distinct in a quote; by default the position, from 1.")]
        | None
    ) = None
    sku: Sku
    quantity: Quantity


class QuoteRequest(Context, kw_only=True):
    """A basket to be priced."""

    lines: Annotated[list[Line], Meta(min_length=1, max_length=LINES_MAX)]
    points: Annotated[Count, Meta(description="Points to redeem, as far as the policy's program allows.")] = 0
    shipping: Annotated[AmountMinor, Meta(description="Minor units of shipping before promotions.")] | None = None
    partial: Annotated[bool, Meta(description="Price what can be priced; lines that cannot carry an error.")] = False


class BatchRequest(_Strict, kw_only=True):
    """Quotes that are answered and stored together, each with its own result or problem."""

    quotes: Annotated[list[QuoteRequest], Meta(min_length=1, max_length=BATCH_QUOTES_MAX)]


class BatchEnvelope(_Strict, kw_only=True):
    """A batch whose quotes are still bytes: each is read on its own, so that a bad one does not sink the others."""

    quotes: Annotated[list[Raw], Meta(min_length=1, max_length=BATCH_QUOTES_MAX)]


class PricesRequest(Context, kw_only=True):
    """SKUs of a listing page; each is priced by itself, one unit of it."""

    skus: Annotated[list[Sku], Meta(min_length=1, max_length=PRICES_SKUS_MAX)]
