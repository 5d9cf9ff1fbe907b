"""What the storefront answers, as OpenAPI tells it. The bytes are made elsewhere; tests hold them to these structs."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Raw, Struct

type DecimalText = Annotated[str, Meta(pattern=r"^-?(0|[1-9][0-9]*)(\.[0-9]{1,4})?$", examples=["1299"])]
type AmountMinor = Annotated[int, Meta(ge=-900_000_000_000, le=900_000_000_000, description="Minor units of the currency.")]
type InstantText = Annotated[str, Meta(description="RFC 3339, UTC.", examples=["2026-11-27T09:30:00.125Z"])]


class FundedShare(Struct):
    """What a party bears of what a promotion gave, less what a guardrail gave back."""

    party: str
    amount: AmountMinor


class Adjustment(Struct, omit_defaults=True):
    """One rule's effect: negative for a discount, positive where a guardrail gives back; of a cash rounding either."""

    kind: str
    rule: str
    revision: int
    name: str
    amount: AmountMinor
    code: str | None = None
    level: Literal["order"] | None = None
    bound: str | None = None
    funding: list[FundedShare] = []


class PriceStep(Struct, omit_defaults=True):
    """One step on the way from the list price to the subtotal."""

    step: Literal["strategy", "ladder", "tier", "guardrail", "sale"]
    rule: str
    before: DecimalText
    after: DecimalText
    kind: str | None = None
    inputs: dict[str, str | int] | None = None
    status: str | None = None
    bound: Literal["floor", "ceiling"] | None = None
    guardrail: str | None = None
    price_list: str | None = None
    units: Annotated[
        DecimalText | None, Meta(description="For how much of the line a sale price holds, where not for all of it.")
    ] = None


class LineError(Struct):
    """Why there is no price: `no_price`, `mixed_tax` or `amount_out_of_bounds`."""

    code: str


class QuotedLine(Struct, omit_defaults=True):
    """A priced line, or in a reply to a partial request one with an `error`.

    `unit_price` is the unit after tiers and sale price, `net_unit_price` is total / quantity; both are for display.
    """

    id: str
    sku: str
    quantity: DecimalText
    list_unit_price: DecimalText | None = None
    unit_price: DecimalText | None = None
    net_unit_price: DecimalText | None = None
    subtotal: AmountMinor | None = None
    discount: AmountMinor | None = None
    total: AmountMinor | None = None
    reference_price: dict[str, Any] | None = None
    price_steps: list[PriceStep] = []
    adjustments: list[Adjustment] = []
    error: LineError | None = None


class QuotedShipping(Struct):
    subtotal: AmountMinor
    discount: AmountMinor
    total: AmountMinor
    adjustments: list[Adjustment]


class QuotedGift(Struct, omit_defaults=True):
    """`quantity` of each of the SKUs, or of `choose` of them. `worth` is what they cost by the price list; nothing adds it up."""

    rule: str
    revision: int
    name: str
    skus: list[str]
    choose: int | None
    quantity: DecimalText
    worth: AmountMinor
    code: str | None = None


class Multiplier(Struct, omit_defaults=True):
    """A promotion that multiplied points."""

    rule: str
    revision: int
    name: str
    multiplier: DecimalText
    code: str | None = None


class QuotedPoints(Struct, omit_defaults=True):
    """Points taken, the amount that they paid of the lines' totals, and points earned on the rest."""

    redeemed: int
    amount: AmountMinor
    earned: int
    multipliers: list[Multiplier] = []


class Limited(Struct, omit_defaults=True):
    """What was left of a limit when the basket was priced: orders, minor units, or a quantity as a decimal string."""

    rule: str
    limit: Annotated[
        Literal[
            "uses",
            "uses_per_day",
            "uses_per_week",
            "uses_per_month",
            "budget",
            "gifts",
            "campaign_budget",
            "coupon_uses",
            "units",
            "uses_per_customer",
            "uses_per_customer_per_day",
            "uses_per_customer_per_week",
            "uses_per_customer_per_month",
            "coupon_uses_per_customer",
            "coupon_uses_per_code",
            "units_per_customer",
        ],
        Meta(description="Of a promotion, a campaign (`campaign_budget`), a coupon (`coupon_...`) or a sale price (`units...`)."),
    ]
    left: int | str
    code: Annotated[str | None, Meta(description="Of `coupon_uses_per_code`: the code.")] = None


class Quote(Struct, omit_defaults=True):
    """A priced basket. Of a preview `id` and `token` are null; of a quote they are there, and it binds until `expires_at`."""

    id: Annotated[str, Meta(extra_json_schema={"format": "uuid"})] | None
    version: int
    issued_at: InstantText
    expires_at: InstantText
    currency: str
    tax_included: bool | None
    lines: list[QuotedLine]
    adjustments: list[Adjustment]
    shipping: QuotedShipping | None
    subtotal: AmountMinor
    discount: AmountMinor
    total: AmountMinor
    gifts: list[QuotedGift]
    points: QuotedPoints
    not_applied: list[dict[str, Any]]
    next_benefit: list[dict[str, Any]]
    selection: Annotated[
        str, Meta(description="`exact`; `bounded` where the search for the best set of promotions was cut short.")
    ]
    personalised: bool
    personal_inputs: list[str]
    disclosures: list[dict[str, Any]]
    token: Annotated[str, Meta(description="A compact JWS, HS256.")] | None
    durability: (
        Annotated[
            str,
            Meta(
                description="Only there as `local`: the database is away, and the decision is on this process's disk until it is back."
            ),
        ]
        | None
    ) = None
    limited: Annotated[list[Limited], Meta(description="Limits of its rules that are close; there where there are any.")] = []
    explanation: Annotated[dict[str, Any], Meta(description="Every step; of a preview with `explain=full` only.")] | None = None


class ProblemError(Struct):
    path: str
    code: str
    message: str


class Problem(Struct, omit_defaults=True):
    """RFC 9457."""

    type: str
    title: str
    status: int
    errors: list[ProblemError]
    detail: str = ""


class BatchResult(Struct, omit_defaults=True):
    """Either a quote or a problem."""

    quote: Quote | None = None
    problem: Problem | None = None


class BatchReply(Struct):
    """One result for each quote, in the order of the request."""

    results: list[BatchResult]


class PricesItem(Struct, omit_defaults=True):
    """The unit prices of one SKU; null with a `problem` where it has none."""

    sku: str
    list_unit_price: DecimalText | None
    unit_price: DecimalText | None
    net_unit_price: DecimalText | None
    problem: LineError | None = None


class PricesReply(Struct):
    """In the order of the request."""

    currency: str
    version: int
    items: list[PricesItem]


class DecisionSummary(Struct, kw_only=True):
    """What a decision can be found by, and what it came to."""

    id: str
    issued_at: InstantText
    version: int
    currency: str
    channel: str | None
    customer: str | None
    codes: list[str]
    subtotal: AmountMinor
    discount: AmountMinor
    total: AmountMinor
    lines: int
    source: str


class DecisionPage(Struct):
    items: list[DecisionSummary]
    next: str | None


class DecisionDetail(DecisionSummary, kw_only=True):
    """A decision with the request as it was understood and the reply as it was sent."""

    request: Raw
    reply: Raw


class ReplayDifference(Struct):
    """The first place where what is computed now differs from what was stored."""

    path: str
    stored: Any
    recomputed: Any


class ReplayReply(Struct, omit_defaults=True):
    equal: bool
    difference: ReplayDifference | None = None
