"""Random promotions and coupons, made to meet: few lanes, few priorities, shared groups, exclusives."""

from random import Random
from typing import Any

from tests.reference.generate_pieces import (
    CHANNELS,
    LEVELS,
    MARKETS,
    SEGMENTS,
    SKUS,
    STORES,
    amount,
    chance,
    percent,
    quantity,
    schedule,
    scope,
)
from tests.reference.shop import Body

KINDS = (
    *("percent_off", "percent_off", "amount_off", "amount_off", "fixed_price", "tiered", "spend_save"),
    *("buy_x_get_y", "buy_x_get_y", "bundle", "bundle", "shipping", "gift", "points"),
)
OWN_LEVEL = {
    **dict.fromkeys(("fixed_price", "buy_x_get_y", "bundle"), "line"),
    "shipping": "shipping",
    "gift": "order",
    "points": "order",
}


def promotion_documents(rng: Random, currencies: tuple[str, str], scale: int) -> dict[str, dict[str, Body]]:
    """Return promotions and the coupons that unlock some of them."""
    promotions = {f"p{i:02}": _promotion(rng, currencies, scale) for i in range(rng.choice((0, 1, 2, 3, 5, 8, 12)))}
    if len(promotions) <= 8 and chance(rng, 0.3):
        promotions = {rule: _crowding(rng, body, currencies) for rule, body in promotions.items()}
    coupons: dict[str, Body] = {}
    for rule, body in promotions.items():
        if body["requires_code"] or chance(rng, 0.1):
            coupons[f"c-{rule}"] = _coupon(rng, rule)
    return {"promotions": promotions, "coupons": coupons}


def _coupon(rng: Random, rule: str) -> Body:
    """Return a coupon that lists its codes or generates them."""
    if chance(rng, 0.4):
        made = {
            "prefix": rng.choice(("", "SP-", "SP-", rule.upper())),
            "seed": rng.randbytes(16).hex(),
            "count": rng.randint(1, 5),
        }
        return {"promotion": rule, "codes": [], "generate": made}
    return {"promotion": rule, "codes": [f"{rule}-{i}".upper() for i in range(rng.choice((1, 1, 2)))]}


def _promotion(rng: Random, currencies: tuple[str, str], scale: int) -> Body:
    kind = rng.choice(KINDS)
    level = OWN_LEVEL.get(kind) or rng.choice(("line", "line", "order"))
    if kind == "spend_save":
        level = rng.choice(("line", "order", "order"))
    params = PARAMS[kind](rng, level, scale)
    conditions = _condition(rng, scale, 0) if chance(rng, 0.4) else None
    holds_anywhere = kind == "percent_off" and params["cap"] is None and conditions is None and chance(rng, 0.5)
    return {
        "name": f"A {kind}",
        "kind": kind,
        "params": params,
        "level": level,
        "currency": None if holds_anywhere else rng.choice((currencies[0],) * 5 + (currencies[1],)),
        "scope": scope(rng),
        "conditions": conditions,
        "schedule": schedule(rng) if chance(rng, 0.5) else None,
        "lane": rng.choice((0, 0, 0, 1, -1)),
        "priority": rng.choice((0, 0, 10, 10, -5)),
        "group": rng.choice((None, None, "g", "h")),
        "exclusive": chance(rng, 0.15),
        "not_on_sale": chance(rng, 0.2),
        "requires_code": chance(rng, 0.25),
        "limits": None,
        "funding": _funding(rng) if chance(rng, 0.3) else [],
    }


def _crowding(rng: Random, body: Body, currencies: tuple[str, str]) -> Body:
    """A promotion that meets all others: on every line, at any time, and seldom without a rival."""
    open_to_all = {
        "currency": currencies[0],
        "scope": {} if chance(rng, 0.7) else body["scope"],
        "conditions": body["conditions"] if chance(rng, 0.3) else None,
        "schedule": None,
        "group": rng.choice((None, "g", "g", "h", "h")),
        "requires_code": False,
    }
    return {**body, **open_to_all}


def _funding(rng: Random) -> list[Body]:
    shares = rng.choice((("60",), ("50", "50"), ("33.3333", "33.3333"), ("0", "100"), ("12.5", "0.0001", "75")))
    return [{"party": party, "percent": share} for party, share in zip(("acme", "zeta", "old-mill"), shares, strict=False)]


def _percent_off(rng: Random, level: str, scale: int) -> Body:
    of = rng.choice(("running", "initial", "list", None))
    per = rng.choice(("across", None)) if level == "order" else rng.choice(("line", "across", None, None))
    is_across = level == "order" or per == "across"
    return {
        "percent": percent(rng),
        "cap": amount(rng, scale) if chance(rng, 0.3) else None,
        "of": of,
        "units": None if is_across else _units(rng, level),
        "per": per,
        "allocate": _allocate(rng) if is_across else "amount",
    }


def _amount_off(rng: Random, level: str, scale: int) -> Body:
    per = "across" if level == "order" else rng.choice(("unit", "line", "across"))
    made: Body = {"amount": amount(rng, scale), "per": per, "cap": amount(rng, scale) if chance(rng, 0.3) else None}
    units = _units(rng, level) if per == "unit" else None
    return made | {"units": units, "allocate": _allocate(rng) if per == "across" else "amount"}


def _fixed_price(rng: Random, level: str, scale: int) -> Body:
    return {"unit_price": _low_price(rng, scale), "units": _units(rng, level)}


def _low_price(rng: Random, scale: int) -> str:
    return rng.choice((str(scale // 2), f"{scale // 3}.5", "0", "0.8", str(scale - scale // 4)))


def _units(rng: Random, level: str) -> Body | None:
    if level == "order" or chance(rng, 0.6):
        return None
    per = rng.choice(("line", "order", "order"))
    step = rng.choice((1, 1, 2, 3))
    most = rng.choice((step, 2 * step + 1, 10, None))
    pick = rng.choice(("cheapest", "dearest", None)) if per == "order" else None
    return {"max": step + 1 if most is None and step == 1 else most, "per": per, "pick": pick, "step": step}


def _allocate(rng: Random) -> str:
    return rng.choice(("amount", "amount", "quantity", "even"))


def _buy_x_get_y(rng: Random, level: str, scale: int) -> Body:
    get = rng.choice((1, 1, 2, 3))
    given = {"percent": percent(rng)} if chance(rng, 0.7) else {"unit_price": _low_price(rng, scale)}
    return {
        "buy": rng.choice((1, 1, 2, 3, 5)),
        "get": get,
        "percent": None,
        "unit_price": None,
        "pick": rng.choice(("cheapest", "cheapest", "dearest")),
        "get_scope": scope(rng) if chance(rng, 0.4) else None,
        "max_times": rng.choice((None, None, 1, 2)),
        "incomplete": "partial" if get > 1 and chance(rng, 0.5) else "none",
    } | given


def _bundle(rng: Random, level: str, scale: int) -> Body:
    components: list[Body] = [
        {"scope": scope(rng), "quantity": rng.choice((1, 1, 2, 3))} for _ in range(rng.choice((1, 2, 2, 3, 4)))
    ]
    n_units = sum(component["quantity"] for component in components)
    price = min(
        900_000_000_000, rng.choice((0, scale // 2, scale, n_units * scale // 2, n_units * scale * 3 // 4, n_units * scale))
    )
    gives = rng.choice(({"price": price}, {"price": price}, {"percent": percent(rng)}, {"amount": amount(rng, scale)}))
    made: Body = {"components": components, "price": None, "percent": None, "amount": None}
    return made | {"max_times": rng.choice((None, None, 1, 2)), "allocate": _allocate(rng)} | gives


def _gives(rng: Random, scale: int) -> Body:
    made: Body = {"percent": None, "amount": None}
    return made | ({"percent": percent(rng)} if chance(rng, 0.5) else {"amount": amount(rng, scale)})


def _tiered(rng: Random, level: str, scale: int) -> Body:
    by = rng.choice(("quantity", "quantity", "spend", "spend", "customer.orders", "customer.spend"))
    starts: tuple[Any, ...] = {
        "quantity": (1, "2.5", 10),
        "spend": (1, scale, 3 * scale + 1),
        "customer.orders": (1, 4, 10),
        "customer.spend": (1_000, 5_000, 120_001),
    }[by]
    kept = sorted(rng.sample(range(3), rng.randint(1, 3)))
    if by == "spend" and scale == 1:
        kept = [0, 2]
    steps = [{"from": starts[i], **_gives(rng, scale)} for i in kept]
    is_allocated = level == "order" or any(step["amount"] for step in steps)
    return {"by": by, "steps": steps, "allocate": _allocate(rng) if is_allocated else "amount"}


def _spend_save(rng: Random, level: str, scale: int) -> Body:
    made: Body = {"threshold": None, "amount": None, "percent": None, "repeat": False, "max_times": None, "steps": None}
    made |= {"allocate": _allocate(rng) if level == "order" else "amount"}
    if chance(rng, 0.4):
        starts = sorted({scale, rng.randint(1, 4 * scale), 5 * scale + 1})
        return made | {"steps": [{"threshold": start, **_gives(rng, scale)} for start in starts]}
    made["threshold"] = rng.randint(1, 3 * scale + 1)
    if chance(rng, 0.5):
        return made | {"amount": amount(rng, scale), "repeat": True, "max_times": rng.choice((None, None, 1, 2, 3))}
    return made | _gives(rng, scale)


def _shipping(rng: Random, level: str, scale: int) -> Body:
    made: Body = {"percent": None, "amount": None}
    return made | ({"percent": percent(rng)} if chance(rng, 0.6) else {"amount": rng.choice((1, 100, 333, 500))})


def _gift(rng: Random, level: str, scale: int) -> Body:
    skus = rng.sample((*SKUS, "GIFT-BAG"), rng.randint(1, 4))
    choose = rng.choice((None, None, 1, len(skus)))
    return {"skus": skus, "choose": choose, "quantity": rng.choice((1, 2, "0.35", "1000000"))}


def _points(rng: Random, level: str, scale: int) -> Body:
    return {"multiplier": rng.choice(("2", "3", "1.5", "0", "0.3333", "1000"))}


PARAMS = {
    "shipping": _shipping,
    "gift": _gift,
    "points": _points,
    "percent_off": _percent_off,
    "amount_off": _amount_off,
    "fixed_price": _fixed_price,
    "tiered": _tiered,
    "spend_save": _spend_save,
    "buy_x_get_y": _buy_x_get_y,
    "bundle": _bundle,
}


def _condition(rng: Random, scale: int, depth: int) -> Body:
    kind = rng.random()
    if depth < 2 and kind < 0.2:
        return {"all": [_condition(rng, scale, depth + 1) for _ in range(rng.choice((0, 1, 2, 2)))]}
    if depth < 2 and kind < 0.4:
        return {"any": [_condition(rng, scale, depth + 1) for _ in range(rng.choice((0, 1, 2, 2)))]}
    if depth < 2 and kind < 0.5:
        return {"not": _condition(rng, scale, depth + 1)}
    return _comparison(rng, scale)


def _comparison(rng: Random, scale: int) -> Body:
    kind = rng.choice(("amount", "amount", "quantity", "number", "number", "text", "set", "boolean", "shipping"))
    if kind == "shipping":
        return {"attribute": "order.shipping", "op": rng.choice((">=", ">", "<=", "==")), "value": rng.choice((0, 1, 499, 500))}
    if kind == "amount":
        made: Body = {"attribute": rng.choice(("order.subtotal", "scope.subtotal")), "value": rng.randint(0, 4 * scale)}
        if chance(rng, 0.6):
            made["basis"] = rng.choice(("running", "before"))
        return made | {"op": rng.choice((">=", ">=", ">", "<", "<=", "==", "!="))}
    if kind == "quantity":
        name = rng.choice(("order.quantity", "scope.quantity", "order.distinct"))
        value = rng.choice((1, 2, 3)) if name == "order.distinct" else quantity(rng)
        return {"attribute": name, "op": rng.choice((">=", ">", "<", "<=", "==", "!=")), "value": value}
    if kind == "number":
        name, values = rng.choice(NUMBERS)
        if chance(rng, 0.2):
            return {"attribute": name, "op": rng.choice(("in", "not_in")), "value": rng.sample(values, 2)}
        return {"attribute": name, "op": rng.choice((">=", ">", "<", "<=", "==", "!=")), "value": rng.choice(values)}
    if kind == "text":
        name, texts = rng.choice(TEXTS)
        if chance(rng, 0.4):
            return {"attribute": name, "op": rng.choice(("in", "not_in")), "value": list(texts[:2])}
        return {"attribute": name, "op": rng.choice(("==", "!=")), "value": rng.choice(texts)}
    if kind == "set" and chance(rng, 0.4):
        named = [rng.choice((code, code.upper(), f" {code} ")) for code in rng.sample(CODES, rng.randint(1, 3))]
        op = rng.choice(("contains", "contains_any", "contains_none"))
        return {"attribute": "codes", "op": op, "value": named[0] if op == "contains" else named}
    if kind == "set":
        if chance(rng, 0.4):
            return {"attribute": "customer.segments", "op": "contains", "value": rng.choice(SEGMENTS)}
        op = rng.choice(("contains_any", "contains_none"))
        return {"attribute": "customer.segments", "op": op, "value": rng.sample(SEGMENTS, rng.randint(1, 2))}
    name = rng.choice(("customer.first_order", "attributes.member"))
    return {"attribute": name, "op": rng.choice(("==", "!=")), "value": chance(rng, 0.5)}


# Codes of the first promotions, as somebody may write them; one has the name of a segment.
CODES = ("p00-0", "p01-0", "p02-1", "vip", "unknown")
NUMBERS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("customer.orders", (0, 1, 4, 5)),
    ("customer.spend", (0, 1_000, 120_000)),
    ("customer.days_since_last_order", (29, 30, 31)),
    ("attributes.age", (17, 18, 65)),
    ("attributes.score", ("0.5", "1", "2.25")),
)
TEXTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("currency", ("USD", "EUR")),
    ("channel", CHANNELS),
    ("store", STORES),
    ("market", MARKETS),
    ("customer.level", LEVELS),
    ("attributes.plan", ("free", "pro")),
)
