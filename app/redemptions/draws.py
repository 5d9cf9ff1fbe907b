"""What a quote draws on: from the reply that was stored and the limits of the book in force. Pure.

Uses count once an order, budgets what promotions really gave, capped sales and gifts units. Source: docs/promotions.md, Limits.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, NamedTuple

import msgspec

from app.pricing.money import parse_decimal
from app.redemptions.limits import Limit, Limits
from app.redemptions.meter_names import points_meter
from app.redemptions.protocol import Draw, Grant, Part

_NO_PARTS: Final[dict[str, int]] = {}  # never changed


class Adjusted(msgspec.Struct, gc=False):
    """An adjustment of a line, the order or the shipping."""

    kind: str
    rule: str
    amount: int
    code: str | None = None


class Step(msgspec.Struct, gc=False):
    """A price step; `units` of a sale price that holds for a part of the line."""

    step: str
    rule: str
    units: str | None = None


class QuotedLine(msgspec.Struct, gc=False):
    """A line; one that could not be priced has no total."""

    id: str
    quantity: str
    total: int | None = None
    price_steps: list[Step] = []
    adjustments: list[Adjusted] = []


class Shipping(msgspec.Struct, gc=False):
    adjustments: list[Adjusted]


class Gift(msgspec.Struct, gc=False):
    rule: str
    skus: list[str]
    choose: int | None
    quantity: str
    worth: int
    code: str | None = None


class Multiplier(msgspec.Struct, gc=False):
    rule: str
    code: str | None = None


class Points(msgspec.Struct, gc=False):
    redeemed: int
    earned: int
    multipliers: list[Multiplier] = []


class Quote(msgspec.Struct, gc=False):
    """What of a stored reply holds are about."""

    version: int
    issued_at: datetime
    expires_at: datetime
    currency: str
    lines: list[QuotedLine]
    adjustments: list[Adjusted]
    shipping: Shipping | None
    gifts: list[Gift]
    points: Points


class Unknown(NamedTuple):
    """A rule that the book does not have any more: a resource and an id; of `coupons` the promotion that the code unlocked stands for the id."""

    resource: str
    id: str
    code: str | None = None


class Draws(NamedTuple):
    """What a hold of the quote takes, what its confirm grants, and why it cannot be taken.

    `needs_customer` are the limits by customer of a quote without one, as their meters' ids begin. With any `unknown`, of which the lane reads the
    documents as of the quote's version (of a code all coupons of the promotion), the draws are not complete.
    """

    draws: tuple[Draw, ...]
    grants: tuple[Grant, ...]
    needs_customer: tuple[str, ...]
    unknown: tuple[Unknown, ...]


_QUOTE: Final = msgspec.json.Decoder(Quote)


def read_quoted(reply: bytes) -> Quote:
    """Read a stored reply."""
    return _QUOTE.decode(reply)


def sold_milli(quote: Quote) -> dict[str, int]:
    """The quantity of each line that has a price, in thousandths."""
    return {line.id: parse_decimal(line.quantity, 3) for line in quote.lines if line.total is not None}


def draws_of(quote: Quote, *, customer: str | None, limits: Limits) -> Draws:
    """What a quote for a customer draws on under these limits. Meters are in order of id."""
    taking = _Taking(quote, customer, limits)
    taking.take_uses_and_budgets()
    taking.take_sales()
    taking.take_gifts()
    grants = taking.take_points()
    meters = sorted(taking.found)
    return Draws(
        tuple([taking.found[meter].draw(meter) for meter in meters]),
        grants,
        tuple(sorted(taking.needs_customer)),
        tuple(sorted(taking.unknown)),
    )


class _Amount:
    """What is drawn on one meter so far."""

    __slots__ = ("cap", "cap_version", "customer", "parts", "total")

    def __init__(self, total: int, cap: int | None, cap_version: int, customer: str | None, parts: dict[str, int]) -> None:
        self.total = total
        self.cap = cap
        self.cap_version = cap_version
        self.customer = customer
        self.parts = parts

    def draw(self, meter: str) -> Draw:
        return Draw(meter, self.total, self.cap, self.cap_version, self.customer, _parts(self.parts))


class _Given:
    """What a promotion gave: of each line, and beside the lines."""

    __slots__ = ("beside_minor", "code", "on_lines")

    def __init__(self) -> None:
        self.on_lines: dict[str, int] = {}
        self.beside_minor = 0
        self.code: str | None = None


class _Taking:
    """Gathers the draws of one quote."""

    def __init__(self, quote: Quote, customer: str | None, limits: Limits) -> None:
        self.quote = quote
        self.customer = customer
        self.limits = limits
        self.found: dict[str, _Amount] = {}
        self.needs_customer: set[str] = set()
        self.unknown: set[Unknown] = set()

    def take_uses_and_budgets(self) -> None:
        for promotion, given in _given_by(self.quote).items():
            if given.code is not None:
                self._take_code(promotion, given.code)
            limits = self.limits.of_promotion(promotion)
            if limits is None:
                self.unknown.add(Unknown("promotions", promotion))
                continue
            for limit in limits:
                if limit.unit == "order":
                    self._take_use(limit, self.customer)
                elif limit.unit == "minor" and limit.currency in (None, self.quote.currency):
                    minor = sum(given.on_lines.values()) + given.beside_minor
                    if minor:
                        self._take(limit, minor, given.on_lines)

    def take_sales(self) -> None:
        milli_of: dict[str, dict[str, int]] = {}
        for line in self.quote.lines:
            for step in line.price_steps:
                if step.step == "sale":
                    milli = parse_decimal(line.quantity if step.units is None else step.units, 3)
                    if milli:
                        milli_of.setdefault(step.rule, {})[line.id] = milli
        for sale_price, by_line in milli_of.items():
            limits = self.limits.of_sale_price(sale_price)
            if limits is None:
                self.unknown.add(Unknown("sale-prices", sale_price))
            for limit in limits or ():
                self._take(limit, sum(by_line.values()), by_line)

    def take_gifts(self) -> None:
        for gift in self.quote.gifts:
            milli = (len(gift.skus) if gift.choose is None else gift.choose) * parse_decimal(gift.quantity, 3)
            for limit in self.limits.of_promotion(gift.rule) or ():
                if limit.unit == "milli":
                    self._take(limit, milli, _NO_PARTS)

    def take_points(self) -> tuple[Grant, ...]:
        """Draw what is redeemed of a balance; give what is granted to it."""
        points, customer = self.quote.points, self.customer
        if not (points.redeemed or points.earned) or not self.limits.has_balances(self.quote.currency):
            return ()
        if customer is None:
            if points.redeemed:
                self.needs_customer.add("points")
            return ()
        meter = points_meter(customer)
        weights = {line.id: line.total for line in self.quote.lines if line.total}
        if points.redeemed:
            parts = _split(points.redeemed, weights)
            self.found[meter] = _Amount(points.redeemed, None, self.limits.version, customer, parts)
        return (Grant(meter, points.earned, customer, _parts(_split(points.earned, weights))),) if points.earned else ()

    def _take_code(self, promotion: str, code: str) -> None:
        limits = self.limits.of_code(code)
        if limits is None:
            self.unknown.add(Unknown("coupons", promotion, code))
        for limit in limits or ():
            self._take_use(limit, code if limit.by == "code" else self.customer)

    def _take_use(self, limit: Limit, who: str | None) -> None:
        meter = self._meter(limit, who)
        if meter is not None:
            customer = self.customer if limit.by == "customer" else None
            self.found[meter] = _Amount(1, limit.cap, limit.version, customer, _NO_PARTS)

    def _take(self, limit: Limit, amount: int, parts: dict[str, int]) -> None:
        meter = self._meter(limit, self.customer)
        if meter is None:
            return
        earlier = self.found.get(meter)
        if earlier is None:
            customer = self.customer if limit.by == "customer" else None
            self.found[meter] = _Amount(amount, limit.cap, limit.version, customer, parts)
            return
        earlier.total += amount
        earlier.parts = {line: earlier.parts.get(line, 0) + parts.get(line, 0) for line in earlier.parts | parts}

    def _meter(self, limit: Limit, who: str | None) -> str | None:
        if limit.by is not None and who is None:
            self.needs_customer.add(limit.start)
            return None
        return limit.meter(self.quote.issued_at, who or "")


def _given_by(quote: Quote) -> dict[str, _Given]:
    """What each promotion that applied really gave, by promotion."""
    found: dict[str, _Given] = {}
    for line in quote.lines:
        given = None
        for adjustment in line.adjustments:
            if adjustment.kind == "guardrail":  # it lessens the adjustment before it
                assert given is not None, quote
                given.on_lines[line.id] -= adjustment.amount
                continue
            given = _note(found, adjustment.rule, adjustment.code)
            given.on_lines[line.id] = given.on_lines.get(line.id, 0) - adjustment.amount
    for adjustment in quote.adjustments:
        # What an order promotion gave stands on the lines, less what a guardrail gave back.
        if adjustment.kind not in ("guardrail", "cash_rounding"):
            _note(found, adjustment.rule, adjustment.code)
    for adjustment in () if quote.shipping is None else quote.shipping.adjustments:
        _note(found, adjustment.rule, adjustment.code).beside_minor -= adjustment.amount
    for gift in quote.gifts:
        _note(found, gift.rule, gift.code).beside_minor += gift.worth
    for multiplier in quote.points.multipliers:
        _note(found, multiplier.rule, multiplier.code)
    return found


def _note(found: dict[str, _Given], rule: str, code: str | None) -> _Given:
    given = found.get(rule)
    if given is None:
        given = found[rule] = _Given()
        given.code = code
    return given


def _split(amount: int, weights: Mapping[str, int]) -> dict[str, int]:
    """An amount in proportion to weights: whole ones first, then one each by the largest remainder, ties to the earlier."""
    whole = sum(weights.values())
    parts = {line: amount * weight // whole for line, weight in weights.items()}
    by_remainder = sorted(weights, key=lambda line: -(amount * weights[line] % whole))
    for line in by_remainder[: amount - sum(parts.values())]:
        parts[line] += 1
    return parts


def _parts(by_line: Mapping[str, int]) -> tuple[Part, ...]:
    return tuple([Part(line, amount) for line, amount in by_line.items() if amount])
