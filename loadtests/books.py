"""Made-up shops of any size for the benchmarks: the documents of a book, and baskets drawn from it.

Everything comes from a seed. Each SKU is listed by about `rules_per_line` promotions, whatever the number of promotions, and there are two
shapes of a shop.

The ordinary one has kept its past promotions, planned some, and unlocks many by a code, as shops do:

| of the promotions | |
|---|---|
| 30 % | ended, at midnights of the years 2015 to 2022 |
| 20 % | begin later, at midnights of the years 2090 to 2097 |
| 25 % | are in force and need a code |
| 25 % | are in force without one: 3.5 of the 14 that list a SKU |

Of all of them a third has no condition, a third asks for a channel, a third for a segment. Baskets give no codes.

With `everything_live` all of them are in force and a tenth needs a code, so that a line has some 12.5 live candidates; a quarter has no
condition, 35 % ask for a channel, 40 % for a segment. Replies are long there, as most candidates do not apply and each says why.

Popularity of SKUs follows a power law; baskets have 1 to 20 lines (mean 9.5), and three in ten carry a customer with a segment.
"""

from collections import Counter
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from random import Random
from typing import Any, Literal

type Body = dict[str, Any]
type Documents = dict[str, dict[str, Body]]
type Fate = Literal["past", "coming", "code", "live"]

CHANNELS = ("web", "app", "store", "marketplace")
SEGMENTS = ("vip", "staff", "student", "senior", "new")
_SHARES: dict[Fate, float] = {"past": 0.30, "coming": 0.20, "code": 0.25, "live": 0.25}
_SHARES_LIVE: dict[Fate, float] = {"code": 0.10, "live": 0.90}


def shop(
    *,
    n_skus: int,
    n_promotions: int,
    seed: int = 1,
    rules_per_line: int = 14,
    order_wide: float = 0.0,
    everything_live: bool = False,
) -> Documents:
    """Documents of a shop where about `rules_per_line` promotions list each SKU, of the ordinary shape or with everything in force.

    The share `order_wide` of the promotions asks for a subtotal of the order, in place of no condition; kinds are mixed.
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
    fates = _fates(rng, n_promotions, _SHARES_LIVE if everything_live else _SHARES)
    conditions = (0.35, 0.40, order_wide) if everything_live else (1 / 3, 1 / 3, order_wide)
    promotions = {
        f"p{number}": _promotion(rng, number, rng.sample(skus, min(per_promotion, n_skus)), fate, _condition(rng, *conditions))
        for number, fate in enumerate(fates)
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


def _fates(rng: Random, n_promotions: int, shares: Mapping[Fate, float]) -> list[Fate]:
    """What has become of each promotion: exactly these shares of them, shuffled, so that shops of any size are alike."""
    bounds = {}
    reached = 0.0
    for fate, share in shares.items():
        reached += share
        bounds[fate] = round(reached * n_promotions)
    fates = [next(fate for fate, bound in bounds.items() if number < bound) for number in range(n_promotions)]
    rng.shuffle(fates)
    return fates


def _promotion(rng: Random, number: int, skus: list[str], fate: Fate, conditions: Body | None) -> Body:
    kind = rng.choices(("percent_off", "amount_off", "fixed_price", "tiered"), (6, 2, 1, 1))[0]
    params_of: dict[str, Body] = {
        "percent_off": {"percent": str(rng.randint(1, 15))},
        "amount_off": {"amount": rng.randint(5, 100), "per": rng.choice(("unit", "line"))},
        "fixed_price": {"unit_price": str(rng.randint(250, 15_000))},
        "tiered": {"by": "quantity", "steps": [{"from": 2, "percent": "3"}, {"from": 6, "percent": "6"}]},
    }
    return {
        "name": f"Promotion {number}",
        "kind": kind,
        "params": params_of[kind],
        "level": "line",
        "currency": "USD",
        "scope": {"include": {"skus": skus}},
        "conditions": conditions,
        "schedule": _schedule(rng, fate),
        "lane": rng.randint(0, 2),
        "priority": rng.randint(0, 9),
        "group": rng.choice((None, None, "a", "b", "c")),
        "exclusive": False,
        "requires_code": fate == "code",
    }


def _schedule(rng: Random, fate: Fate) -> Body:
    """Two weeks of the past or of the future, or all the time between: no run of the bench meets an instant at which one begins or ends."""
    begins, ends = "2023-01-01T00:00:00", "2090-01-01T00:00:00"
    if fate in ("past", "coming"):
        day = date(2015 if fate == "past" else 2090, 1, 1) + timedelta(days=rng.randrange(2_800))
        begins, ends = (f"{one}T00:00:00" for one in (day, day + timedelta(days=14)))
    return {"from": begins, "to": ends, "timezone": "UTC"}


def _condition(rng: Random, channels: float, segments: float, order_wide: float) -> Body | None:
    """A condition on the channel, on a segment or on the order, each in such a share of all."""
    draw = rng.random()
    if draw < channels:
        return {"attribute": "channel", "op": "==", "value": rng.choice(CHANNELS)}
    if draw < channels + segments:
        return {"attribute": "customer.segments", "op": "contains", "value": rng.choice(SEGMENTS)}
    if draw < channels + segments + order_wide:
        return {"attribute": "order.subtotal", "op": ">=", "value": rng.randint(5_000, 50_000)}
    return None


def live_rules(documents: Documents, at: datetime) -> Counter[str]:
    """How many promotions in force at an instant list each SKU and need no code; the instant is of UTC."""
    instant = at.strftime("%Y-%m-%dT%H:%M:%S")
    return Counter(
        sku
        for body in documents["promotions"].values()
        if not body["requires_code"] and body["schedule"]["from"] <= instant < body["schedule"]["to"]
        for sku in body["scope"]["include"]["skus"]
    )


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
