"""Step 2: the price of a strategy."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from tests.reference.demand import Demand
from tests.reference.endings import ending_price_e4
from tests.reference.figures import UNIT_MAX_E4, parse_rate_ppm, parse_unit_e4, show_percent
from tests.reference.guardrails import Bounds, known_cost_e4
from tests.reference.scopes import specificity
from tests.reference.shop import Body, Shop
from tests.reference.strategy_kinds import KINDS, Asked, Price, demand_index


@dataclass(frozen=True)
class Outcome:
    """What a strategy made of a list price: its unit price, or the list's with the status that says why not."""

    rule: str
    status: str
    unit_e4: int
    inputs: Mapping[str, str | int]
    bound: str | None = None


def strategy_outcome(shop: Shop, currency: str, sku: str, list_unit_e4: int, bounds: Bounds, at_us: int) -> Outcome | None:
    """Price a SKU by its most specific strategy; None where it has none."""
    rule = _winner(shop, currency, sku)
    if rule is None:
        return None
    body = shop.each("strategies")[rule]
    asked = Asked(shop, currency, sku, list_unit_e4, at_us)
    demand = _demand(asked, body) if body["kind"] == "elasticity" else None
    price = _price(asked, body, demand, bounds)
    if price.exact is None:
        return Outcome(rule, price.status, list_unit_e4, price.inputs)
    price_e4 = shop.round(price.exact)
    if price_e4 > UNIT_MAX_E4:
        if bounds.ceiling is None:
            return Outcome(rule, "no_ceiling", list_unit_e4, price.inputs)
        price_e4 = bounds.ceiling.unit_e4
    chosen_e4 = None
    if body.get("endings") is not None:
        gain = demand.gain if isinstance(demand, Demand) else None
        chosen_e4 = ending_price_e4(shop.each("endings")[body["endings"]], price_e4, bounds, gain)
    if chosen_e4 is None:
        chosen_e4 = price_e4 if list_unit_e4 % 10_000 else shop.round(Fraction(price_e4, 10_000)) * 10_000
    clamped_e4 = bounds.clamp_unit(chosen_e4)
    if clamped_e4 == chosen_e4:
        return Outcome(rule, price.status, chosen_e4, price.inputs)
    return Outcome(rule, price.status, clamped_e4, price.inputs, "floor" if clamped_e4 > chosen_e4 else "ceiling")


def _price(asked: Asked, body: Body, demand: Demand | str | None, bounds: Bounds) -> Price:
    if body["kind"] in KINDS:
        return KINDS[body["kind"]](asked, body["params"])
    inputs: dict[str, str | int] = {}
    if body["kind"] == "elasticity":
        index = demand_index(asked)
        if index != 1:
            inputs["demand_index"] = show_percent(int(index * 10_000))
    assert demand is not None or body["kind"] == "cost_plus"
    found = _cost_plus(asked.shop, asked.currency, asked.sku, body["params"]) if demand is None else _elasticity(demand, bounds)
    return Price(None, found, inputs) if isinstance(found, str) else Price(found, "ok", inputs)


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


def _demand(asked: Asked, body: Body) -> Demand | str:
    params = body["params"]
    is_profit = (params.get("objective") or "profit") == "profit"
    cost_e4 = known_cost_e4(asked.shop, asked.currency, asked.sku) if is_profit else 0
    if cost_e4 is None:
        return "no_cost"
    return Demand(
        form=params["form"],
        elasticity=Fraction(params["elasticity"]),
        reference_e4=Fraction(parse_unit_e4(params.get("reference_price") or "0")),
        share=Fraction(params.get("reference_share") or "0") / 100,
        index=demand_index(asked),
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
