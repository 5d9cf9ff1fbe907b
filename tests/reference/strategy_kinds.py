"""The prices of competitor, value, markdown and lifecycle strategies, before endings and bounds."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction

from tests.reference.demand import CONTEXT
from tests.reference.figures import (
    ceiling_of,
    parse_quantity_milli,
    parse_rate_ppm,
    parse_unit_e4,
    show_percent,
    show_quantity,
    show_unit,
)
from tests.reference.scopes import specificity
from tests.reference.shop import Body, Shop
from tests.reference.times import instant_us, local_instant_us

SECOND_US, MINUTE_US, HOUR_US, DAY_US = 10**6, 60 * 10**6, 3600 * 10**6, 86_400 * 10**6
FOREVER_US = 10**30
WORDS = ("lowest", "second_lowest", "average", "median", "weighted")


@dataclass(frozen=True)
class Asked:
    """What a strategy is asked: for which SKU, in which currency, when, over which list price."""

    shop: Shop
    currency: str
    sku: str
    list_unit_e4: int
    at_us: int


@dataclass(frozen=True)
class Price:
    """A price (None: no price) with its status and what is shown of its making."""

    exact: Fraction | None
    status: str = "ok"
    inputs: Mapping[str, str | int] = field(default_factory=dict)


def demand_index(asked: Asked) -> Fraction:
    """The demand signal times the season index, in 4 decimals."""
    fact = asked.shop.each("signals-demand").get(asked.sku, {"index": "1"})
    product = asked.shop.round(Fraction(fact["index"]) * _season_index(asked) * 10_000)
    return Fraction(min(max(product, 1), 10_000_000), 10_000)


def _season_index(asked: Asked) -> Fraction:
    found = []
    for rule, body in asked.shop.each("seasons").items():
        how = specificity(body.get("scope"), asked.sku, asked.shop.each("products"))
        if how is not None:
            found.append((-how[0], -how[1], rule))
    if not found:
        return Fraction(1)
    season = asked.shop.each("seasons")[min(found)[2]]
    for period in season["periods"]:
        start, end = (local_instant_us(period[name], season["timezone"]) for name in ("from", "to"))
        if start <= asked.at_us < end:
            return Fraction(period["index"])
    return Fraction(1)


@dataclass(frozen=True)
class _Seen:
    """A candidate: its price, its competitor, when it expires, and its weight."""

    unit_e4: int
    name: str
    until_us: int
    weight: Fraction


def competitor(asked: Asked, params: Body) -> Price:
    """Follow what competitors ask."""
    seen = _candidates(asked, params)
    needed = 2 if params["against"] == "second_lowest" else 1
    followed = [one for one in seen if asked.at_us < one.until_us]
    status = "ok"
    if len(followed) < needed and params.get("otherwise") == "hold" and len(seen) >= needed:
        last_us = sorted((one.until_us for one in seen), reverse=True)[needed - 1]
        followed = [one for one in seen if one.until_us >= last_us]
        status = "held"
    if len(followed) < needed:
        return Price(None, "no_observation")
    followed.sort(key=lambda one: (one.unit_e4, one.name))
    against, units = params["against"], [one.unit_e4 for one in followed]
    one = None
    if against == "median":
        reference = Fraction(units[(len(units) - 1) // 2] + units[len(units) // 2], 2)
    elif against in ("average", "weighted"):
        reference = sum((each.weight * each.unit_e4 for each in followed), Fraction(0)) / sum(each.weight for each in followed)
    else:
        one = followed[needed - 1]
        reference = Fraction(one.unit_e4)
    reference_e4 = asked.shop.round(reference)
    index = Fraction(parse_rate_ppm(params.get("percent") or "100"), 1_000_000)
    price = max(0, asked.shop.round(reference_e4 * index) - parse_unit_e4(params.get("amount") or "0"))
    shown = {"competitor": one.name} if one else {}
    return Price(Fraction(price), status, {**shown, "reference_price": show_unit(reference_e4), "observations": len(followed)})


def _candidates(asked: Asked, params: Body) -> list[_Seen]:
    weights = {each["competitor"]: Fraction(each["weight"]) for each in params.get("weights") or []}
    found = []
    for body in asked.shop.each("signals-competitors").values():
        name = body["competitor"]
        if body["sku"] != asked.sku or body["currency"] != asked.currency:
            continue
        if params.get("in_stock_only") and not body["in_stock"]:
            continue
        if params["against"] == "weighted" and name not in weights:
            continue
        if params["against"] not in WORDS and name != params["against"]:
            continue
        until_us = FOREVER_US
        if params.get("max_age_hours") is not None:
            until_us = (instant_us(body["at"]) + params["max_age_hours"] * HOUR_US) // MINUTE_US * MINUTE_US
        found.append(_Seen(parse_unit_e4(body["unit_price"]), name, until_us, weights.get(name, Fraction(1))))
    return found


def value(asked: Asked, params: Body) -> Price:
    """The next best alternative and the worth of the differences."""
    total_e4 = sum(parse_unit_e4(each["amount"]) for each in params.get("differences") or [])
    share = Fraction(parse_rate_ppm(params.get("share") or "100"), 1_000_000)
    worth_e4 = asked.shop.round(total_e4 * share) if total_e4 > 0 else total_e4
    reference_e4 = parse_unit_e4(params["reference_price"])
    inputs = {"reference_price": show_unit(reference_e4), "worth": show_unit(worth_e4)}
    return Price(Fraction(max(0, reference_e4 + worth_e4)), "ok", inputs)


def markdown(asked: Asked, params: Body) -> Price:
    """The price at which what is left to sell is sold in time."""
    stock = asked.shop.each("signals-stock").get(asked.sku)
    stock_milli = None if stock is None else parse_quantity_milli(stock["units"])
    inputs: dict[str, str | int] = {} if stock_milli is None else {"stock": show_quantity(stock_milli)}
    by_us = instant_us(params["by"]) // SECOND_US * SECOND_US
    if asked.at_us >= by_us:
        return Price(None, "past", inputs)
    days = min(400, ceiling_of(Fraction(by_us, DAY_US)) - asked.at_us // DAY_US)
    inputs["days"] = days
    if stock_milli is None:
        return Price(None, "no_stock", inputs)
    fact = asked.shop.each("signals-demand").get(asked.sku, {})
    daily = fact.get("daily_units") or params.get("daily_units")
    if daily is None:
        return Price(None, "no_demand", inputs)
    needed = Fraction(stock_milli - parse_quantity_milli(params.get("target_units") or "0"), 1_000)
    factor_ppm = 1_000_000
    if needed > 0:
        factor_ppm = _factor_ppm(needed / (Fraction(daily) * demand_index(asked) * days), Fraction(params["elasticity"]))
    if params.get("only_down", True):
        factor_ppm = min(factor_ppm, 1_000_000)
    price = asked.shop.round(Fraction(asked.list_unit_e4 * factor_ppm, 1_000_000))
    return Price(Fraction(price), "ok", {**inputs, "percent": show_percent(factor_ppm)})


def _factor_ppm(ratio: Fraction, elasticity: Fraction) -> int:
    with localcontext(CONTEXT):
        power = (Decimal(ratio.numerator) / Decimal(ratio.denominator)).ln() * elasticity.denominator / elasticity.numerator
        factor = min(power.exp() * 1_000_000, Decimal(100_000_000))
        return int(factor.quantize(Decimal(1), ROUND_HALF_UP))


def lifecycle(asked: Asked, params: Body) -> Price:
    """The price of the stage in force."""
    begun = [each for each in params["stages"] if instant_us(each["from"]) // SECOND_US * SECOND_US <= asked.at_us]
    if not begun:
        return Price(None, "no_stage")
    stage = begun[-1]
    if stage.get("unit_price") is not None:
        price = Fraction(parse_unit_e4(stage["unit_price"]))
    else:
        price = Fraction(asked.shop.round(Fraction(asked.list_unit_e4 * parse_rate_ppm(stage["percent"]), 1_000_000)))
    return Price(price, "ok", {"stage": stage["stage"]})


KINDS = {"competitor": competitor, "value": value, "markdown": markdown, "lifecycle": lifecycle}
