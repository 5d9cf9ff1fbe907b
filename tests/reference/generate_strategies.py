"""Random strategies and what they price by: endings, facts, seasons; and ladders."""

from collections.abc import Callable
from random import Random

from tests.reference.generate_pieces import SKUS, ZONES, chance, scope, unit_price
from tests.reference.shop import Body

AT = "2026-06-01T00:00:00Z"
RIVALS = ("rival", "other", "third", "lowest")
# At and around the hot instants, and hours before them that `max_age_hours` brings back to them.
SEEN_AT = (
    "2026-11-27T11:00:00Z",
    "2026-11-27T10:59:30Z",
    "2026-11-26T12:00:00Z",
    "2026-11-26T12:00:59Z",
    "2026-11-01T05:00:00Z",
    "2027-03-27T01:00:00Z",
    "2026-01-05T09:30:15Z",
)
INSTANTS = (
    "2026-11-27T12:00:00Z",
    "2026-11-27T12:30:00Z",
    "2026-11-01T06:00:00Z",
    "2027-03-28T01:00:00Z",
    "2026-12-24T18:00:00Z",
)


def strategy_documents(rng: Random, currencies: tuple[str, str], scale: int) -> dict[str, dict[str, Body]]:
    """Return strategies with endings, signals and seasons, and ladders."""
    return {
        "endings": {f"e-{currency}": _endings(rng, currency, scale) for currency in currencies},
        "strategies": {f"st{i}": _strategy(rng, currencies, scale) for i in range(rng.choice((0, 0, 1, 2, 3, 5)))},
        "signals-costs": {
            f"{sku}|{currency}": {"sku": sku, "currency": currency, "unit_cost": unit_price(rng, max(1, scale // 2)), "at": AT}
            for sku in SKUS
            for currency in currencies
            if chance(rng, 0.8)
        },
        "signals-demand": {sku: _demand(rng, sku) for sku in SKUS if chance(rng, 0.4)},
        "signals-stock": {
            sku: {"sku": sku, "units": rng.choice(("0", "5", "120", "33.5", "9000")), "at": AT}
            for sku in SKUS
            if chance(rng, 0.7)
        },
        "signals-competitors": {
            f"{sku}|{rival}|{currency}": _observation(rng, sku, rival, currency, scale)
            for sku in SKUS
            for rival in RIVALS
            for currency in currencies
            if chance(rng, 0.5 if currency == currencies[0] else 0.15)
        },
        "seasons": {f"season{i}": _season(rng) for i in range(rng.choice((0, 0, 1, 2)))},
        "ladders": _ladders(rng, currencies, scale),
    }


def _demand(rng: Random, sku: str) -> Body:
    made: Body = {"sku": sku, "index": rng.choice(("1.15", "0.5", "1", "2.3333")), "at": AT}
    return made | ({"daily_units": rng.choice(("0.5", "2", "40", "7.333"))} if chance(rng, 0.5) else {})


def _observation(rng: Random, sku: str, rival: str, currency: str, scale: int) -> Body:
    price = rng.choice((unit_price(rng, scale), str(max(1, scale)), f"{scale}.5"))
    return {
        "sku": sku,
        "competitor": rival,
        "currency": currency,
        "unit_price": price,
        "in_stock": chance(rng, 0.7),
        "at": rng.choice(SEEN_AT),
    }


def _season(rng: Random) -> Body:
    days = sorted(rng.sample(("2026-11-01T01:30:00", "2026-11-20T00:00:00", "2026-11-27T07:00:00", "2026-11-27T12:00:00"), 3))
    days += ["2027-03-28T02:30:00", "2027-12-01T00:00:00"]
    starts = sorted(rng.sample(range(len(days) - 1), rng.randint(1, len(days) - 1)))
    periods = [
        {"from": days[start], "to": days[rng.choice((start + 1, following))], "index": rng.choice(("1.3", "0.8", "3", "0.0001"))}
        for start, following in zip(starts, [*starts[1:], len(days) - 1], strict=True)
    ]
    return {"name": None, "scope": scope(rng), "timezone": rng.choice(ZONES), "periods": periods}


def _endings(rng: Random, currency: str, scale: int) -> Body:
    choices = (["99", "49"], ["9"], ["95"], ["0", "5"], ["999"], ["00", "90"], ["7", "77"])
    bands = [{"up_to": scale // 2 + 1, "endings": rng.choice(choices)}] if chance(rng, 0.5) else []
    bands.append({"up_to": None if chance(rng, 0.8) else scale * 2 + 2, "endings": rng.choice(choices)})
    return {"currency": currency, "bands": bands, "direction": rng.choice(("nearest", "nearest", "down", "up", "profit"))}


def _strategy(rng: Random, currencies: tuple[str, str], scale: int) -> Body:
    currency = rng.choice((currencies[0], currencies[0], currencies[1]))
    kind = rng.choice(
        ("cost_plus", "elasticity", "elasticity", "competitor", "competitor", "competitor", "value", "markdown", "lifecycle")
    )
    return {
        "kind": kind,
        "scope": scope(rng),
        "currency": currency,
        "params": PARAMS[kind](rng, scale),
        "endings": f"e-{currency}" if chance(rng, 0.4) else None,
    }


def _cost_plus(rng: Random, scale: int) -> Body:
    made: Body = {"markup": None, "margin": None, "amount": rng.choice(("0", "0", "0.5", unit_price(rng, scale)))}
    field = rng.choice(("markup", "margin"))
    return made | {field: rng.choice(("50", "12.5", "33.3333", "0", "99.9", "25"))}


def _elasticity(rng: Random, scale: int) -> Body:
    form = rng.choice(("iso_elastic", "linear", "logit"))
    return {
        "form": form,
        "elasticity": rng.choice(("-2.4", "-1.5", "-1.0001", "-1", "-0.8", "-3", "-2", "-5.25")),
        "reference_price": str(max(1, scale)) if chance(rng, 0.5) else f"{scale}.5",
        "reference_share": rng.choice(("20", "5.5", "60")) if form == "logit" else None,
        "objective": rng.choice(("profit", "profit", "revenue")),
        "stock_value": rng.choice(("0", "0", "0", str(scale // 10))),
    }


def _competitor(rng: Random, scale: int) -> Body:
    against = rng.choice(("lowest", "second_lowest", "average", "median", "weighted", "rival", "other", "nobody"))
    age = rng.choice((None, 1, 24, 24, 8_760))
    weights = [{"competitor": name, "weight": rng.choice(("1", "0.5", "1000", "0.001"))} for name in rng.sample(RIVALS, 2)]
    return {
        "against": against,
        "weights": weights if against == "weighted" else None,
        "percent": rng.choice(("100", "100", "98", "102.5", "0.0001", "1000", "33.3333")),
        "amount": rng.choice(("0", "0", "0.5", "1", unit_price(rng, scale))),
        "in_stock_only": chance(rng, 0.4),
        "max_age_hours": age,
        "otherwise": "hold" if age is not None and chance(rng, 0.5) else "list",
    }


def _value(rng: Random, scale: int) -> Body:
    signs = [rng.choice(("", "", "-")) for _ in range(rng.choice((0, 1, 2, 3)))]
    return {
        "reference_price": unit_price(rng, scale),
        "differences": [
            {"name": f"Difference {i}", "amount": f"{sign}{unit_price(rng, max(1, scale // 2))}"} for i, sign in enumerate(signs)
        ],
        "share": rng.choice(("100", "50", "33.3333", "0")),
    }


def _markdown(rng: Random, scale: int) -> Body:
    return {
        "by": rng.choice((*INSTANTS, "2028-06-01T00:00:00Z", "2027-01-01T00:00:00Z")),
        "elasticity": rng.choice(("-2", "-0.5", "-1.7", "-0.01", "-100")),
        "target_units": rng.choice(("0", 0, 10, "33.5")),
        "only_down": chance(rng, 0.6),
        "daily_units": rng.choice((None, "1", 2, "0.25", 1_000_000)),
    }


def _lifecycle(rng: Random, scale: int) -> Body:
    starts = sorted(rng.sample((*INSTANTS, "2026-01-01T00:00:00Z"), rng.randint(1, 4)))
    stages = []
    for start, name in zip(starts, ("introduction", "growth", "maturity", "exit"), strict=False):
        price: Body = {"percent": rng.choice(("120", "100", "66.6667", "0", "1000")), "unit_price": None}
        stages.append(
            {"stage": name, "from": start} | rng.choice((price, {"percent": None, "unit_price": unit_price(rng, scale)}))
        )
    return {"stages": stages}


PARAMS: dict[str, Callable[[Random, int], Body]] = {
    "cost_plus": _cost_plus,
    "elasticity": _elasticity,
    "competitor": _competitor,
    "value": _value,
    "markdown": _markdown,
    "lifecycle": _lifecycle,
}


def _ladders(rng: Random, currencies: tuple[str, str], scale: int) -> dict[str, Body]:
    """Ladders that share no SKU."""
    skus = rng.sample((*SKUS, "NOWHERE"), len(SKUS) + 1)
    made: dict[str, Body] = {}
    for number in range(rng.choice((0, 0, 1, 2))):
        own, skus = skus[: rng.randint(1, 4)], skus[4:]
        rungs = [_rung(rng, sku, scale, is_first=place == 0) for place, sku in enumerate(own)]
        currency = rng.choice((currencies[0], currencies[0], currencies[1]))
        made[f"ladder{number}"] = {
            "name": None,
            "currency": currency,
            "reference": rng.choice(("list", "market")),
            "rungs": rungs,
        }
    return made


def _rung(rng: Random, sku: str, scale: int, *, is_first: bool) -> Body:
    gap = rng.choice(("none", "gap_amount", "gap_percent"))
    low, high = rng.choice(((None, None), (None, None), ("80", None), ("90", "110"), (None, "66.6667"), ("1000", None)))
    made: Body = {"sku": sku, "gap_amount": None, "gap_percent": None, "low_percent": low, "high_percent": high}
    if not is_first and gap == "gap_amount":
        made[gap] = rng.choice(("0.5", "1", str(scale // 4), unit_price(rng, scale)))
    elif not is_first and gap == "gap_percent":
        made[gap] = rng.choice(("10", "33.3333", "0.0001", "1000"))
    return made
