"""Step 2: the price of a strategy."""

from dataclasses import dataclass
from fractions import Fraction

from tests.reference.demand import Demand
from tests.reference.endings import ending_price_e4
from tests.reference.figures import UNIT_MAX_E4, parse_rate_ppm, parse_unit_e4
from tests.reference.guardrails import Bounds, known_cost_e4
from tests.reference.scopes import specificity
from tests.reference.shop import Body, Shop


@dataclass(frozen=True)
class Outcome:
    """What a strategy made of a list price: its unit price, or the list's with the status that says why not."""

    rule: str
    status: str
    unit_e4: int
    bound: str | None = None


def strategy_outcome(shop: Shop, currency: str, sku: str, list_unit_e4: int, bounds: Bounds) -> Outcome | None:
    """Price a SKU by its most specific strategy; None where it has none."""
    rule = _winner(shop, currency, sku)
    if rule is None:
        return None
    body = shop.each("strategies")[rule]
    demand = _demand(shop, currency, sku, body) if body["kind"] == "elasticity" else None
    priced = _cost_plus(shop, currency, sku, body["params"]) if demand is None else _elasticity(demand, bounds)
    if isinstance(priced, str):
        return Outcome(rule, priced, list_unit_e4)
    price_e4 = shop.round(priced)
    if price_e4 > UNIT_MAX_E4:
        if bounds.ceiling is None:
            return Outcome(rule, "no_ceiling", list_unit_e4)
        price_e4 = bounds.ceiling.unit_e4
    chosen_e4 = None
    if body.get("endings") is not None:
        gain = demand.gain if isinstance(demand, Demand) else None
        chosen_e4 = ending_price_e4(shop.each("endings")[body["endings"]], price_e4, bounds, gain)
    if chosen_e4 is None:
        chosen_e4 = price_e4 if list_unit_e4 % 10_000 else shop.round(Fraction(price_e4, 10_000)) * 10_000
    clamped_e4 = bounds.clamp_unit(chosen_e4)
    if clamped_e4 == chosen_e4:
        return Outcome(rule, "ok", chosen_e4)
    return Outcome(rule, "ok", clamped_e4, "floor" if clamped_e4 > chosen_e4 else "ceiling")


def _winner(shop: Shop, currency: str, sku: str) -> str | None:
    found: list[tuple[int, int, str]] = []
    for rule, body in shop.each("strategies").items():
        how = specificity(body.get("scope"), sku, shop.each("products"))
        if how is not None and body["currency"] == currency:
            found.append((-how[0], -how[1], rule))
    return min(found)[2] if found else None


def _cost_plus(shop: Shop, currency: str, sku: str, params: Body) -> Fraction | str:
    cost_e4 = known_cost_e4(shop, currency, sku)
    if cost_e4 is None:
        return "no_cost"
    if params.get("margin") is not None:
        price = cost_e4 / (1 - Fraction(parse_rate_ppm(params["margin"]), 1_000_000))
    else:
        price = cost_e4 * (1 + Fraction(parse_rate_ppm(params.get("markup") or "0"), 1_000_000))
    return Fraction(shop.round(price) + parse_unit_e4(params.get("amount") or "0"))


def _demand(shop: Shop, currency: str, sku: str, body: Body) -> Demand | str:
    params = body["params"]
    is_profit = (params.get("objective") or "profit") == "profit"
    cost_e4 = known_cost_e4(shop, currency, sku) if is_profit else 0
    if cost_e4 is None:
        return "no_cost"
    index = Fraction(1)
    for signal in shop.each("signals-demand").values():
        if signal["sku"] == sku:
            index = Fraction(signal["index"])
    return Demand(
        form=params["form"],
        elasticity=Fraction(params["elasticity"]),
        reference_e4=Fraction(parse_unit_e4(params.get("reference_price") or "0")),
        share=Fraction(params.get("reference_share") or "0") / 100,
        index=index,
        cost_e4=Fraction(cost_e4 + parse_unit_e4(params.get("stock_value") or "0")),
    )


def _elasticity(demand: Demand | str, bounds: Bounds) -> Fraction | str:
    if isinstance(demand, str):
        return demand
    if demand.form == "iso_elastic" and demand.elasticity >= -1:
        return Fraction(bounds.ceiling.unit_e4) if bounds.ceiling else "no_ceiling"
    if demand.form == "iso_elastic" and demand.cost_e4 == 0:
        return Fraction(bounds.floor.unit_e4) if bounds.floor else "no_floor"
    return demand.best_price()
