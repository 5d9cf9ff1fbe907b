"""The bounds of a SKU: what its guardrails, its cost and its list price make of the lowest and the highest unit price."""

from dataclasses import dataclass, replace
from fractions import Fraction

from tests.reference.figures import UNIT_MAX_E4, amount_of, ceiling_of, floor_of, parse_rate_ppm, parse_unit_e4
from tests.reference.scopes import specificity
from tests.reference.shop import Shop

TIGHTER_IS_LOWER = ("ceiling", "max_discount")
RATES = ("min_margin", "max_discount")


@dataclass(frozen=True)
class Bound:
    """One bound of a unit price, its name, and the guardrail it comes from."""

    name: str
    rule: str
    unit_e4: int


@dataclass(frozen=True)
class Bounds:
    """The bounds that hold for a SKU in a currency; None where there is none.

    `floor` is the lowest of what is shown, `paid` the lowest of what is paid.
    """

    floor: Bound | None
    paid: Bound | None
    ceiling: Bound | None

    def clamp_unit(self, unit_e4: int) -> int:
        """Move a unit price into the bounds; the lower one wins where they cross."""
        if self.ceiling is not None:
            unit_e4 = min(unit_e4, self.ceiling.unit_e4)
        if self.floor is not None:
            unit_e4 = max(unit_e4, self.floor.unit_e4)
        return unit_e4

    def permits(self, unit_e4: int) -> bool:
        """Say whether a unit price lies within both bounds."""
        return (self.floor is None or unit_e4 >= self.floor.unit_e4) and (self.ceiling is None or unit_e4 <= self.ceiling.unit_e4)

    def clamp_amount(self, amount: int, quantity_milli: int) -> int:
        """Move an amount of a line into the bounds; the lower one wins where they cross."""
        if self.ceiling is not None:
            amount = min(amount, floor_of(amount_of(self.ceiling.unit_e4, quantity_milli)))
        return max(amount, lowest(self.floor, quantity_milli)) if self.floor else amount

    def bound_of(self, side: str) -> Bound:
        """Return the bound that holds below (`floor`) or above (`ceiling`)."""
        found = self.floor if side == "floor" else self.ceiling
        assert found is not None
        return found


def lowest(bound: Bound | None, quantity_milli: int) -> int:
    """Return the least amount the line may have: the unit price times the quantity rounded up, 0 without a bound."""
    return ceiling_of(amount_of(bound.unit_e4, quantity_milli)) if bound else 0


def bounds_of(shop: Shop, currency: str, sku: str, list_unit_e4: int) -> Bounds:
    """Return the bounds of a SKU at a list price."""
    paid = _field(shop, currency, sku, "floor")
    for bound in (_margin(shop, currency, sku), _discount(shop, currency, sku, list_unit_e4)):
        paid = _higher(paid, bound)
    shown = _higher(paid, _field(shop, currency, sku, "map"))
    ceiling = _field(shop, currency, sku, "ceiling")
    if shop.is_by_unit:
        paid, shown = (
            bound and replace(bound, unit_e4=ceiling_of(Fraction(bound.unit_e4, 10_000)) * 10_000) for bound in (paid, shown)
        )
        ceiling = ceiling and replace(ceiling, unit_e4=ceiling.unit_e4 // 10_000 * 10_000)
    return Bounds(shown, paid, ceiling)


def known_cost_e4(shop: Shop, currency: str, sku: str) -> int | None:
    """Return the unit cost known in the currency."""
    for body in shop.each("signals-costs").values():
        if body["sku"] == sku and body["currency"] == currency:
            return parse_unit_e4(body["unit_cost"])
    return None


def _higher(one: Bound | None, other: Bound | None) -> Bound | None:
    if other is None or other.unit_e4 == 0:
        return one
    return other if one is None or other.unit_e4 > one.unit_e4 else one


def _margin(shop: Shop, currency: str, sku: str) -> Bound | None:
    found, cost_e4 = _field(shop, currency, sku, "min_margin"), known_cost_e4(shop, currency, sku)
    if found is None or cost_e4 is None:
        return None
    price = Fraction(cost_e4) / (1 - Fraction(found.unit_e4, 1_000_000))
    return Bound("min_margin", found.rule, min(ceiling_of(price), UNIT_MAX_E4))


def _discount(shop: Shop, currency: str, sku: str, list_unit_e4: int) -> Bound | None:
    found = _field(shop, currency, sku, "max_discount")
    if found is None:
        return None
    return Bound("max_discount", found.rule, ceiling_of(list_unit_e4 * (1 - Fraction(found.unit_e4, 1_000_000))))


def _field(shop: Shop, currency: str, sku: str, field: str) -> Bound | None:
    """Return what the guardrail that wins for a field says: a unit price, or a rate in parts per million."""
    found: list[tuple[tuple[int, int, int, str], Bound]] = []
    for rule, body in shop.each("guardrails").items():
        how = specificity(body.get("scope"), sku, shop.each("products"))
        if how is None or body["currency"] != currency or body.get(field) is None:
            continue
        value = parse_rate_ppm(body[field]) if field in RATES else parse_unit_e4(body[field])
        tighter = value if field in TIGHTER_IS_LOWER else -value
        found.append(((-how[0], -how[1], tighter, rule), Bound(field, rule, value)))
    return min(found, key=lambda each: each[0])[1] if found else None
