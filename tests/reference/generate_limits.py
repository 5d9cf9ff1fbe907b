"""Random campaigns, and counters that end in the middle of a basket."""

from random import Random

from tests.reference.figures import parse_quantity_milli, show_quantity
from tests.reference.generate_pieces import chance
from tests.reference.shop import Body, Documents, normal_code

USES = ("uses", "uses_per_day", "uses_per_week", "uses_per_month", "uses_per_customer", "uses_per_customer_per_week")


def campaign_documents(rng: Random, documents: Documents) -> dict[str, Body]:
    """Return campaigns that share some promotions."""
    promotions = sorted(documents["promotions"])
    return {
        f"k{i}": {
            "name": "K",
            "promotions": rng.sample(promotions, rng.randint(0, len(promotions))),
            "budget": 100,
            "currency": "USD",
        }
        for i in range(rng.choice((0, 1, 2)))
    }


def random_limited(rng: Random, documents: Documents, basket: Body) -> list[Body]:
    """Return what is left of limits of the book's rules, now and then of rules that it does not have."""
    made: list[tuple[str, str, int | str]] = []
    for rule, body in documents["promotions"].items():
        if chance(rng, 0.3):
            made.append((rule, rng.choice(USES), rng.choice((0, 1, 3))))
        if chance(rng, 0.5):
            made.append((rule, "budget", _budget(rng)))
        if body["kind"] == "gift" and chance(rng, 0.6):
            made.append((rule, "gifts", rng.choice(("0", "1", "2", "2.5", "7"))))
    made += [(campaign, "campaign_budget", _budget(rng)) for campaign in documents["campaigns"] if chance(rng, 0.7)]
    for coupon in documents["coupons"]:
        made += [
            (coupon, limit, rng.choice((0, 0, 2))) for limit in ("coupon_uses", "coupon_uses_per_customer") if chance(rng, 0.3)
        ]
    asked = sum(parse_quantity_milli(line["quantity"]) for line in basket["lines"])
    for sale in documents["sale-prices"]:
        for limit, how_often in (("units", 0.8), ("units_per_customer", 0.3)):
            if chance(rng, how_often):
                left = rng.choice((0, 1, asked // 2, asked // 3, asked, rng.randint(0, asked)))
                made.append((sale, limit, show_quantity(left)))
    if chance(rng, 0.02):
        made += [("gone", "uses", 0), ("gone", "units", "0"), ("gone", "campaign_budget", 0), ("gone", "coupon_uses", 0)]
    limited: list[Body] = [{"rule": rule, "limit": limit, "left": left} for rule, limit, left in made]
    for code in basket.get("codes") or ():
        if documents["coupons"] and chance(rng, 0.2):
            told = {"rule": rng.choice(sorted(documents["coupons"])), "limit": "coupon_uses_per_code"}
            limited.append({**told, "left": rng.choice((0, 1)), "code": normal_code(code)})
    rng.shuffle(limited)
    return limited


def _budget(rng: Random) -> int:
    return rng.choice((0, 1, 50, 500, 500, 5_000, 50_000, rng.randint(0, 10**6), rng.randint(0, 10**11)))
