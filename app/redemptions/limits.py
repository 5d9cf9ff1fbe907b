"""What limits the rules of a book have, and the meters that count them.

Read from the documents when first asked for, rule by rule: a new version costs nothing but what changed in campaigns and in coupons that list
their codes. Source: docs/promotions.md, Limits.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, Final, Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from app.pricebook.document_table import table_of
from app.pricing.book import Document
from app.pricing.code_table import CodeTable, generated_by
from app.pricing.documents import changed_ids, columns_of
from app.pricing.money import MILLI
from app.redemptions.meter_names import LimitName, Window, encode_part, first_date_of

type Unit = Literal["order", "minor", "milli"]

_RESOURCES: Final = ("promotions", "campaigns", "coupons", "sale-prices", "policy")
_USES: Final[tuple[tuple[LimitName, Window | None], ...]] = (
    ("uses", None),
    ("uses_per_day", "day"),
    ("uses_per_week", "week"),
    ("uses_per_month", "month"),
)
_USES_PER_CUSTOMER: Final[tuple[tuple[LimitName, Window | None], ...]] = (
    ("uses_per_customer", None),
    ("uses_per_customer_per_day", "day"),
    ("uses_per_customer_per_week", "week"),
    ("uses_per_customer_per_month", "month"),
)


class Limit(NamedTuple):
    """A limit of a rule, read from the book's version `version`.

    `start` is the meter's id; where there is a meter for each customer, code or window it goes on behind it. A limit with a `currency` bounds
    what is given in that currency only.
    """

    rule: str
    name: LimitName
    unit: Unit
    cap: int
    version: int
    start: str
    by: Literal["customer", "code"] | None = None
    window: Window | None = None
    zone: tzinfo = UTC
    currency: str | None = None

    def meter(self, at: datetime, who: str = "") -> str:
        """The id of the meter at an instant; `who` is the customer or the code where it is by one."""
        meter = self.start if self.by is None else f"{self.start}/{encode_part(who)}"
        if self.window is None:
            return meter
        return f"{meter}/{self.window}/{first_date_of(self.window, at.astimezone(self.zone).date()).isoformat()}"


class _Schedule(msgspec.Struct, gc=False):
    timezone: str


class _Promotion(msgspec.Struct, gc=False):
    currency: str | None = None
    schedule: _Schedule | None = None
    limits: dict[str, int | None] | None = None


class _Coupon(msgspec.Struct, gc=False):
    generate: dict[str, Any] | None = None
    limits: dict[str, int | None] | None = None


class _SalePrice(msgspec.Struct, gc=False):
    stock_cap: int | None = None
    per_customer_cap: int | None = None


class _Program(msgspec.Struct, gc=False):
    balances: bool = False


class _Policy(msgspec.Struct, gc=False):
    points: dict[str, _Program] = {}


class _Budget(NamedTuple):
    campaign: str
    amount_minor: int
    currency: str | None


class Earlier(NamedTuple):
    """Documents of rules that the book does not have any more, as of the version of a decision; None where there was none."""

    version: int
    documents: Mapping[str, Mapping[str, Mapping[str, Any] | None]]


class Limits:
    """The limits of one version.

    Making it reads the campaigns and the coupons that have changed since `before`, or all of them without: call it off the event loop. Everything
    else is read when it is first asked for.
    """

    def __init__(
        self,
        version: int,
        documents: Mapping[str, Mapping[str, Document]],
        codes: CodeTable,
        *,
        before: "Limits | None" = None,
        earlier: Earlier | None = None,
    ) -> None:
        self.version = version
        self._tables = {resource: table_of(documents.get(resource, {})) for resource in _RESOURCES}
        self._codes = codes
        self._earlier = earlier
        self._cached: dict[tuple[str, str], tuple[Limit, ...] | None] = {}
        self._campaigns = self._budgets_by_promotion(before)
        self._listed = self._coupon_by_code(before)

    def with_earlier(self, earlier: Earlier) -> "Limits":
        """The same with documents of an earlier version for rules that this one does not have; what is in neither has no limits."""
        return Limits(self.version, self._tables, self._codes, before=self, earlier=earlier)

    def of_promotion(self, promotion: str) -> tuple[Limit, ...] | None:
        """A promotion's own limits and the budgets of its campaigns; None where there is no such promotion."""
        return self._of("promotions", promotion)

    def of_sale_price(self, sale_price: str) -> tuple[Limit, ...] | None:
        """The limits of a sale price; None where there is no such one."""
        return self._of("sale-prices", sale_price)

    def of_code(self, code: str) -> tuple[Limit, ...] | None:
        """The limits of the coupon that a code belongs to; None where it is no code."""
        coupon = self._listed.get(code)
        if coupon is None and code in self._codes.row_of_listed:
            return ()
        coupon = coupon or self._codes.generator_of(code)
        if coupon is not None:
            return self._of("coupons", coupon)
        if self._earlier is None:
            return None
        for name, body in self._earlier.documents.get("coupons", {}).items():
            if body is not None and _has_code(body, code):
                return self._of("coupons", name)
        return ()

    def has_balances(self, currency: str) -> bool:
        """Whether the points of the currency's program are those of balances."""
        stored = self._tables["policy"].stored("default")
        program = None if stored is None else _POLICY.decode(stored.body).points.get(currency)
        return program is not None and program.balances

    def _of(self, resource: str, rule: str) -> tuple[Limit, ...] | None:
        key = (resource, rule)
        if key not in self._cached:
            self._cached[key] = self._read(resource, rule)
        return self._cached[key]

    def _read(self, resource: str, rule: str) -> tuple[Limit, ...] | None:
        stored, version = self._tables[resource].stored(rule), self.version
        if stored is not None:
            body = stored.body
        elif self._earlier is None:
            return None
        else:
            version, found = self._earlier.version, self._earlier.documents.get(resource, {}).get(rule)
            body = msgspec.json.encode(found or {})
        own = tuple(_READ[resource](rule, body, version))
        if resource != "promotions":
            return own
        return (*own, *(_of_campaign(budget, self.version) for budget in self._campaigns.get(rule, ())))

    def _budgets_by_promotion(self, before: "Limits | None") -> Mapping[str, tuple[_Budget, ...]]:
        campaigns = self._tables["campaigns"]
        if before is not None and changed_ids(before._tables["campaigns"], campaigns) == set():
            return before._campaigns
        found: dict[str, tuple[_Budget, ...]] = {}
        for part in columns_of(campaigns, ("promotions", "budget", "currency")):
            for name, promotions, budget, currency in zip(part.ids(), *part.columns, strict=True):
                if budget is not None:
                    for promotion in dict.fromkeys(promotions or ()):
                        found[promotion] = (*found.get(promotion, ()), _Budget(name, budget, currency))
        return found

    def _coupon_by_code(self, before: "Limits | None") -> Mapping[str, str]:
        """The coupon of each listed code, of coupons with limits."""
        coupons = self._tables["coupons"]
        changed = None if before is None else changed_ids(before._tables["coupons"], coupons)
        if before is None or changed is None:
            return dict(_listed_codes(coupons))
        if not changed:
            return before._listed
        # All the old ones go first: a code may move from one coupon to another.
        earlier = before._tables["coupons"]
        found = dict(before._listed)
        for name in changed:
            for code, _ in _codes_of(name, earlier[name].body) if name in earlier else ():
                found.pop(code, None)
        for name in changed:
            found.update(_codes_of(name, coupons[name].body) if name in coupons else ())
        return found


def _listed_codes(coupons: Mapping[str, Document]) -> Iterable[tuple[str, str]]:
    for part in columns_of(coupons, ("codes", "limits")):
        for name, codes, limits in zip(part.ids(), *part.columns, strict=True):
            yield from _codes_of(name, {"codes": codes, "limits": limits})


def _codes_of(name: str, body: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
    return ((code, name) for code in (body.get("codes") or () if body.get("limits") else ()))


def _has_code(body: Mapping[str, Any], code: str) -> bool:
    generated = generated_by(body)
    return code in body["codes"] if generated is None else code.startswith(generated.beginning) and generated.has(code)


def limits_of(resource: str, rule: str, body: Mapping[str, Any], version: int) -> Iterable[Limit]:
    """The limits that a document of its own sets, read from a version; of a campaign its budget."""
    if resource == "campaigns":
        budget = body.get("budget")
        return () if budget is None else (_of_campaign(_Budget(rule, budget, body.get("currency")), version),)
    return _READ[resource](rule, msgspec.json.encode(body), version)


def _of_promotion(rule: str, body: _Promotion, version: int) -> Iterable[Limit]:
    limits = body.limits
    if limits is None:
        return
    start = f"promotions/{rule}"
    zone = UTC if body.schedule is None else ZoneInfo(body.schedule.timezone)
    for name, window in _USES:
        if (cap := limits.get(name)) is not None:
            yield Limit(rule, name, "order", cap, version, f"{start}/uses", None, window, zone)
    for name, window in _USES_PER_CUSTOMER:
        if (cap := limits.get(name)) is not None:
            yield Limit(rule, name, "order", cap, version, f"{start}/customers", "customer", window, zone)
    if (cap := limits.get("budget")) is not None:
        yield Limit(rule, "budget", "minor", cap, version, f"{start}/budget", currency=body.currency)
    if (cap := limits.get("gifts")) is not None:
        yield Limit(rule, "gifts", "milli", cap * MILLI, version, f"{start}/gifts")


def _of_campaign(budget: _Budget, version: int) -> Limit:
    start = f"campaigns/{budget.campaign}/budget"
    return Limit(budget.campaign, "campaign_budget", "minor", budget.amount_minor, version, start, currency=budget.currency)


def _of_coupon(rule: str, body: _Coupon, version: int) -> Iterable[Limit]:
    limits, start = body.limits or {}, f"coupons/{rule}"
    if (cap := limits.get("uses")) is not None:
        yield Limit(rule, "coupon_uses", "order", cap, version, f"{start}/uses")
    if (cap := limits.get("uses_per_customer")) is not None:
        yield Limit(rule, "coupon_uses_per_customer", "order", cap, version, f"{start}/customers", "customer")
    # A generated code is one customer's own: it counts once where nothing else is said.
    cap = limits.get("uses_per_code") or (None if body.generate is None else 1)
    if cap is not None:
        yield Limit(rule, "coupon_uses_per_code", "order", cap, version, f"{start}/codes", "code")


def _of_sale_price(rule: str, body: _SalePrice, version: int) -> Iterable[Limit]:
    start = f"sale-prices/{rule}"
    if body.stock_cap is not None:
        yield Limit(rule, "units", "milli", body.stock_cap * MILLI, version, f"{start}/units")
    if body.per_customer_cap is not None:
        yield Limit(rule, "units_per_customer", "milli", body.per_customer_cap * MILLI, version, f"{start}/customers", "customer")


_PROMOTION: Final = msgspec.json.Decoder(_Promotion)
_COUPON: Final = msgspec.json.Decoder(_Coupon)
_SALE_PRICE: Final = msgspec.json.Decoder(_SalePrice)
_POLICY: Final = msgspec.json.Decoder(_Policy)
_READ: Final[Mapping[str, Callable[[str, bytes, int], Iterable[Limit]]]] = {
    "promotions": lambda rule, body, version: _of_promotion(rule, _PROMOTION.decode(body), version),
    "coupons": lambda rule, body, version: _of_coupon(rule, _COUPON.decode(body), version),
    "sale-prices": lambda rule, body, version: _of_sale_price(rule, _SALE_PRICE.decode(body), version),
}
