"""Random campaigns, and counters that end in the middle of a basket."""

from random import Random

from tests.reference.figures import parse_quantity_milli, show_quantity
from tests.reference.generate_pieces import chance
from tests.reference.shop import Body, Documents

USES = ("uses", "uses_per_day", "uses_per_week", "uses_per_month")


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


def random_limited(rng: Random, documents: Documents, lines: list[Body]) -> list[Body]:
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
    made += [(coupon, "coupon_uses", rng.choice((0, 0, 2))) for coupon in documents["coupons"] if chance(rng, 0.4)]
    asked = sum(parse_quantity_milli(line["quantity"]) for line in lines)
    for sale in documents["sale-prices"]:
        if chance(rng, 0.8):
            made.append((sale, "units", show_quantity(rng.choice((0, 1, asked // 2, asked // 3, asked, rng.randint(0, asked))))))
    if chance(rng, 0.02):
        made += [("gone", "uses", 0), ("gone", "units", "0"), ("gone", "campaign_budget", 0), ("gone", "coupon_uses", 0)]
    rng.shuffle(made)
    return [{"rule": rule, "limit": limit, "left": left} for rule, limit, left in made]


def _budget(rng: Random) -> int:
    return rng.choice((0, 1, 50, 500, 500, 5_000, 50_000, rng.randint(0, 10**6), rng.randint(0, 10**11)))
