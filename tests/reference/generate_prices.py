"""Random products, price lists, prices, sale prices and guardrails."""

from random import Random

from tests.reference.figures import parse_unit_e4, show_unit
from tests.reference.generate_pieces import (
    BRANDS,
    CATEGORIES,
    CHANNELS,
    COLOURS,
    LEVELS,
    MARKETS,
    SEGMENTS,
    SKUS,
    STORES,
    TAGS,
    chance,
    percent,
    schedule,
    scope,
    unit_price,
)
from tests.reference.generate_strategies import strategy_documents
from tests.reference.guardrails import bounds_of
from tests.reference.shop import Body, Documents, Shop

INSTANTS = ("2026-01-01T00:00:00Z", "2026-11-27T12:00:00Z", "2026-11-27T11:30:00Z", "2027-03-28T01:00:00Z")
FIELDS = ("floor", "ceiling", "map", "min_margin", "max_discount")
TIERS_UP_TO: tuple[tuple[int | str, ...], ...] = ((9,), (2, 10), ("0.5", 3, "9.5"), (1, 2, 3), ("10.001", 50))


def price_documents(rng: Random, currencies: tuple[str, str], scale: int) -> dict[str, dict[str, Body]]:
    """Return products, price lists and prices; some SKUs have no product, some lists are hardly ever met."""
    lists = _price_lists(rng)
    prices: dict[str, Body] = {}
    for sku in SKUS:
        for price_list in ("default", *(name for name in lists if name != "default")):
            if not chance(rng, 0.95 if price_list == "default" else 0.3):
                continue
            for currency in (currencies[0], *currencies[1:]) if chance(rng, 0.2) else currencies[:1]:
                for price in _prices(rng, sku, price_list, currency, scale):
                    prices[f"{sku}|{price_list}|{currency}|{price['valid_from'] or ''}"] = price
    if not prices:
        prices[f"S1|default|{currencies[0]}|"] = _price(rng, "S1", "default", currencies[0], scale, None)
    return {"products": _products(rng), "price-lists": lists, "prices": prices}


def _products(rng: Random) -> dict[str, Body]:
    return {
        sku: {
            "name": f"Product {sku}",
            "category": rng.choice((*CATEGORIES, "a/b/c", None)),
            "brand": rng.choice((*BRANDS, None)),
            "tags": rng.sample(TAGS, rng.randint(0, 2)),
            "attributes": {"colour": rng.choice(COLOURS)} if chance(rng, 0.6) else {},
        }
        for sku in SKUS
        if chance(rng, 0.9)
    }


def _price_lists(rng: Random) -> dict[str, Body]:
    tax_included = chance(rng, 0.5)
    made: dict[str, Body] = {}
    if chance(rng, 0.5) or tax_included:
        made["default"] = _price_list(rng, tax_included, {})
    for name in ("l1", "l2", "l3")[: rng.choice((0, 1, 2, 3))]:
        match = {
            "groups": rng.sample((*SEGMENTS, *LEVELS), 2) if chance(rng, 0.3) else [],
            "stores": [rng.choice(STORES)] if chance(rng, 0.3) else [],
            "channels": [rng.choice(CHANNELS)] if chance(rng, 0.3) else [],
            "markets": [rng.choice(MARKETS)] if chance(rng, 0.3) else [],
        }
        made[name] = _price_list(rng, tax_included != chance(rng, 0.04), match)
    return made


def _price_list(rng: Random, tax_included: bool, match: dict[str, list[str]]) -> Body:
    fields: dict[str, list[str]] = {"groups": [], "stores": [], "channels": [], "markets": []}
    return {"name": None, "priority": rng.choice((0, 0, 1, -1)), "tax_included": tax_included, "match": fields | match}


def _prices(rng: Random, sku: str, price_list: str, currency: str, scale: int) -> list[Body]:
    starts: set[str | None] = {rng.choice(INSTANTS)} if chance(rng, 0.1) else {None}
    if chance(rng, 0.25):
        starts.add(rng.choice(INSTANTS))
    return [_price(rng, sku, price_list, currency, scale, start) for start in sorted(starts, key=str)]


def _price(rng: Random, sku: str, price_list: str, currency: str, scale: int, valid_from: str | None) -> Body:
    valid_to = rng.choice(("2026-11-27T12:00:00Z", "2028-01-01T00:00:00Z")) if chance(rng, 0.05) else None
    return {
        "sku": sku,
        "currency": currency,
        "price_list": price_list,
        "unit_price": unit_price(rng, scale),
        "tiers": _tiers(rng, scale) if chance(rng, 0.4) else None,
        "valid_from": valid_from,
        "valid_to": valid_to if valid_to is not None and valid_to > (valid_from or "") else None,
    }


def _tiers(rng: Random, scale: int) -> Body:
    steps = []
    for up_to in (*rng.choice(TIERS_UP_TO), None):
        fee = rng.choice((1, 99, scale)) if chance(rng, 0.1) else 0
        steps.append({"up_to": up_to, "unit_price": unit_price(rng, scale), "flat_fee": fee})
    if chance(rng, 0.7):
        falling = sorted((step["unit_price"] for step in steps), key=lambda text: -parse_unit_e4(str(text)))
        steps = [{**step, "unit_price": price} for step, price in zip(steps, falling, strict=True)]
    return {"mode": rng.choice(("volume", "graduated")), "steps": steps, "mix": rng.choice((None, None, "sku", "sku", "m", "n"))}


def rules_of_prices(rng: Random, currencies: tuple[str, str], scale: int, documents: Documents) -> dict[str, dict[str, Body]]:
    """Return what moves prices: sale prices, strategies with endings and signals, and guardrails that never contradict."""
    made: dict[str, dict[str, Body]] = {
        "sale-prices": {f"sale{i}": _sale_price(rng, currencies, scale) for i in range(rng.choice((0, 0, 1, 2, 4)))},
        **strategy_documents(rng, currencies, scale),
        "guardrails": {f"g{i}": _guardrail(rng, currencies, scale) for i in range(rng.choice((0, 0, 1, 2, 4)))},
    }
    _drop_contradictions({**documents, **made}, made["guardrails"])
    return made


def _sale_price(rng: Random, currencies: tuple[str, str], scale: int) -> Body:
    kind = rng.choice(("unit_price", "percent", "amount"))
    value = percent(rng) if kind == "percent" else unit_price(rng, scale if kind == "unit_price" else max(1, scale // 3))
    return {
        "name": "Sale",
        "scope": scope(rng),
        "currency": None if kind == "percent" and chance(rng, 0.7) else rng.choice((currencies[0], currencies[0], currencies[1])),
        "unit_price": None,
        "percent": None,
        "amount": None,
        "schedule": schedule(rng),
        "stock_cap": None,
        "per_customer_cap": None,
    } | {kind: value}


def _guardrail(rng: Random, currencies: tuple[str, str], scale: int) -> Body:
    low, middle, high = sorted(parse_unit_e4(unit_price(rng, scale)) for _ in range(3))
    has = rng.choice((("floor",), ("floor",), ("ceiling",), ("floor", "ceiling"), ("map",), ("map", "floor"), ()))
    made: Body = {
        "scope": scope(rng),
        "currency": rng.choice((currencies[0], currencies[0], currencies[0], currencies[1])),
        "floor": show_unit(low) if "floor" in has else None,
        "map": show_unit(middle) if "map" in has else None,
        "ceiling": show_unit(high) if "ceiling" in has else None,
        "min_margin": None,
        "max_discount": None,
    }
    if not has or chance(rng, 0.3):
        made["min_margin"] = rng.choice(("10", "25", "33.3333", "0", "99.9999", "50"))
    if not has or chance(rng, 0.3):
        made["max_discount"] = percent(rng)
    return made


def _drop_contradictions(documents: Documents, guardrails: dict[str, Body]) -> None:
    """Take ceilings away until no SKU of the book has a floor or an advertised price above its ceiling: such a book is not published."""
    currencies = {body["currency"] for body in guardrails.values()}
    for field in ("floor", "map"):
        # What does not move with costs and list prices, one field at a time.
        alone = {
            rule: {**body, **dict.fromkeys(("floor", "map", "min_margin", "max_discount"))} for rule, body in guardrails.items()
        }
        for rule, body in guardrails.items():
            alone[rule][field] = body[field]
        shop = Shop({**documents, "guardrails": alone}, {}, 0)
        for sku in {*SKUS, *(price["sku"] for price in documents["prices"].values())}:
            for currency in currencies:
                while True:
                    bounds = bounds_of(shop, currency, sku, 0)
                    if bounds.floor is None or bounds.ceiling is None or bounds.floor.unit_e4 <= bounds.ceiling.unit_e4:
                        break
                    guardrails[bounds.ceiling.rule]["ceiling"] = alone[bounds.ceiling.rule]["ceiling"] = None
    for rule in [rule for rule, body in guardrails.items() if all(body[field] is None for field in FIELDS)]:
        del guardrails[rule]
