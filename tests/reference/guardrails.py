"""The floor and the ceiling of a SKU."""

from dataclasses import dataclass

from tests.reference.figures import amount_of, ceiling_of, floor_of, parse_unit_e4
from tests.reference.scopes import specificity
from tests.reference.shop import Shop


@dataclass(frozen=True)
class Bound:
    """One bound of a unit price and the guardrail it comes from."""

    rule: str
    unit_e4: int


@dataclass(frozen=True)
class Bounds:
    """The bounds that hold for a SKU in a currency; None where there is none."""

    floor: Bound | None
    ceiling: Bound | None

    def clamp_unit(self, unit_e4: int) -> int:
        """Move a unit price into the bounds."""
        if self.ceiling is not None:
            unit_e4 = min(unit_e4, self.ceiling.unit_e4)
        if self.floor is not None:
            unit_e4 = max(unit_e4, self.floor.unit_e4)
        return unit_e4

    def lowest(self, quantity_milli: int) -> int:
        """Return the least amount the line may have: the floor times the quantity rounded up, 0 without a floor."""
        return ceiling_of(amount_of(self.floor.unit_e4, quantity_milli)) if self.floor else 0

    def clamp_amount(self, amount: int, quantity_milli: int) -> int:
        """Move an amount of a line into the bounds; the lower one wins where they cross."""
        if self.ceiling is not None:
            amount = min(amount, floor_of(amount_of(self.ceiling.unit_e4, quantity_milli)))
        return max(amount, self.lowest(quantity_milli)) if self.floor else amount

    def rule_of(self, bound: str) -> str:
        """Return the id of the guardrail behind a bound that holds."""
        found = self.floor if bound == "floor" else self.ceiling
        assert found is not None
        return found.rule


def bounds_of(shop: Shop, currency: str, sku: str) -> Bounds:
    """Return the bounds of a SKU: per field the most specific guardrail, then the tighter, then the lower id."""
    return Bounds(_bound(shop, currency, sku, "floor"), _bound(shop, currency, sku, "ceiling"))


def _bound(shop: Shop, currency: str, sku: str, field: str) -> Bound | None:
    found: list[tuple[tuple[int, int, int, str], Bound]] = []
    for rule, body in shop.each("guardrails").items():
        how = specificity(body.get("scope"), sku, shop.each("products"))
        if how is None or body["currency"] != currency or body.get(field) is None:
            continue
        unit_e4 = parse_unit_e4(body[field])
        tighter = -unit_e4 if field == "floor" else unit_e4
        found.append(((-how[0], -how[1], tighter, rule), Bound(rule, unit_e4)))
    return min(found, key=lambda each: each[0])[1] if found else None
