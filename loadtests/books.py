"""Made-up shops of any size for the benchmarks: the documents of a book, and baskets drawn from it.

Popularity of SKUs follows a power law; baskets have 1 to 20 lines (mean 9.5). Everything comes from a seed.
"""

from random import Random
from typing import Any

type Body = dict[str, Any]
type Documents = dict[str, dict[str, Body]]

CHANNELS = ("web", "app", "store", "marketplace")
SEGMENTS = ("vip", "staff", "student", "senior", "new")


def shop(*, n_skus: int, n_promotions: int, seed: int = 1, rules_per_line: int = 14, order_wide: float = 0.0) -> Documents:
    """Documents of a shop where each line has about `rules_per_line` candidate promotions, whatever the number of promotions.

    Three quarters of the promotions ask for a channel or a segment, a tenth need a code, and the share `order_wide` asks for a subtotal of
    the order; kinds are mixed.
    """
    rng = Random(seed)
    skus = [f"SKU-{number}" for number in range(n_skus)]
    products = {
        sku: {
            "name": f"Product {sku}",
            "category": f"c{number % 20}/s{number % 200}",
            "brand": f"b{number % 50}",
            "tags": [],
            "attributes": {},
        }
        for number, sku in enumerate(skus)
    }
    prices = {f"{sku}|default|USD|": _price(rng, sku) for sku in skus}
    per_promotion = max(1, n_skus * rules_per_line // max(n_promotions, 1))
    promotions = {
        f"p{number}": _promotion(rng, number, rng.sample(skus, min(per_promotion, n_skus)), order_wide)
        for number in range(n_promotions)
    }
    coupons = {
        name: {"promotion": name, "codes": [f"CODE-{name.upper()}"]} for name, body in promotions.items() if body["requires_code"]
    }
    sales = {
        f"sale{number}": {
            "name": "Sale",
            "scope": {"include": {"skus": rng.sample(skus, min(20, n_skus))}},
            "currency": None,
            "percent": str(rng.randint(5, 30)),
            "schedule": None,
        }
        for number in range(n_skus // 100)
    }
    guardrails: dict[str, Body] = {
        f"g{number}": {"scope": {"include": {"categories": [f"c{number}"]}}, "currency": "USD", "floor": "200", "ceiling": None}
        for number in range(20)
    }
    return {
        "products": products,
        "prices": prices,
        "promotions": promotions,
        "coupons": coupons,
        "sale-prices": sales,
        "guardrails": guardrails,
    }


def _price(rng: Random, sku: str) -> Body:
    unit = rng.randint(300, 20_000)
    tiers = None
    if rng.random() < 0.3:
        steps = [{"up_to": 4, "unit_price": str(unit)}, {"up_to": None, "unit_price": str(unit * 9 // 10)}]
        tiers = {"mode": rng.choice(("volume", "graduated")), "steps": steps}
    return {"sku": sku, "currency": "USD", "price_list": "default", "unit_price": str(unit), "tiers": tiers}


def _promotion(rng: Random, number: int, skus: list[str], order_wide: float) -> Body:
    kind = rng.choices(("percent_off", "amount_off", "fixed_price", "tiered"), (6, 2, 1, 1))[0]
    params_of: dict[str, Body] = {
        "percent_off": {"percent": str(rng.randint(1, 15))},
        "amount_off": {"amount": rng.randint(5, 100), "per": rng.choice(("unit", "line"))},
        "fixed_price": {"unit_price": str(rng.randint(250, 15_000))},
        "tiered": {"by": "quantity", "steps": [{"from": 2, "percent": "3"}, {"from": 6, "percent": "6"}]},
    }
    draw = rng.random()
    conditions: Body | None = None
    if draw < 0.35:
        conditions = {"attribute": "channel", "op": "==", "value": rng.choice(CHANNELS)}
    elif draw < 0.75:
        conditions = {"attribute": "customer.segments", "op": "contains", "value": rng.choice(SEGMENTS)}
    elif draw < 0.75 + order_wide:
        conditions = {"attribute": "order.subtotal", "op": ">=", "value": rng.randint(5_000, 50_000)}
    return {
        "name": f"Promotion {number}",
        "kind": kind,
        "params": params_of[kind],
        "level": "line",
        "currency": "USD",
        "scope": {"include": {"skus": skus}},
        "conditions": conditions,
        "schedule": {"from": "2020-01-01T00:00:00", "to": "2099-01-01T00:00:00", "timezone": "UTC"},
        "lane": rng.randint(0, 2),
        "priority": rng.randint(0, 9),
        "group": rng.choice((None, None, "a", "b", "c")),
        "exclusive": False,
        "requires_code": rng.random() < 0.1,
    }


def basket(rng: Random, n_skus: int) -> Body:
    """One request: 1 to 20 lines, mean 9.5, SKUs by a power law."""
    n_lines = min(20, max(1, round(rng.gammavariate(4.0, 2.4))))
    rows = {min(n_skus - 1, int(n_skus * rng.random() ** 3)) for _ in range(n_lines)}
    lines = [
        {"id": str(number + 1), "sku": f"SKU-{row}", "quantity": rng.choice((1, 1, 1, 2, 2, 3, 6))}
        for number, row in enumerate(sorted(rows))
    ]
    body: Body = {"currency": "USD", "channel": rng.choice(CHANNELS), "market": "US", "lines": lines}
    if rng.random() < 0.3:
        body["customer"] = {
            "id": f"c-{rng.randint(1, 100_000)}",
            "segments": [rng.choice(SEGMENTS)],
            "level": "gold",
            "orders": rng.randint(0, 30),
        }
    return body
