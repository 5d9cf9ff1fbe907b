"""Small books and baskets for worked examples: what is not said is left to the defaults."""

from collections.abc import Mapping
from typing import Any

from tests.reference.price import price_basket
from tests.reference.shop import Body
from tests.reference.times import instant_us

Resources = Mapping[str, Mapping[str, Any]]

AT = "2026-11-27T12:00:00Z"
PUBLISHED_AT_US = instant_us("2026-06-15T08:00:00Z")


def prices(*bodies: Body, **units: str) -> dict[str, Body]:
    """Return price documents in USD on the default list: `A="1000"` is a plain one, bodies say more."""
    made = [*({"sku": sku, "unit_price": unit} for sku, unit in units.items()), *bodies]
    whole = [
        {"currency": "USD", "price_list": "default", "tiers": None, "valid_from": None, "valid_to": None} | body for body in made
    ]
    return {f"{b['sku']}|{b['price_list']}|{b['currency']}|{b['valid_from'] or ''}": b for b in whole}


def tiers(mode: str, *steps: tuple[int | str | None, str] | tuple[int | str | None, str, int], mix: str | None = None) -> Body:
    """Return tiers from (up_to, unit price, flat fee)."""
    return {
        "mode": mode,
        "mix": mix,
        "steps": [dict(zip(("up_to", "unit_price", "flat_fee"), step, strict=False)) for step in steps],
    }


def only(**fields: Any) -> Body:
    """Return a scope that includes the fields."""
    return {"include": fields, "exclude": {}}


def promotion(kind: str, params: Body, **more: Any) -> Body:
    """Return a promotion on every line in USD."""
    level = "order" if kind == "spend_save" else "line"
    return {"name": "P", "kind": kind, "params": params, "level": level, "currency": "USD", "scope": only()} | more


def percent_off(percent: str, **more: Any) -> Body:
    """Return a promotion of percent_off; `of`, `cap` and `per` go to its parameters."""
    params = {"percent": percent} | {name: more.pop(name) for name in ("of", "cap", "per") if name in more}
    return promotion("percent_off", params, **more)


def amount_off(amount: int, per: str = "across", **more: Any) -> Body:
    """Return a promotion of amount_off; `cap` goes to its parameters."""
    params = {"amount": amount, "per": per} | {name: more.pop(name) for name in ("cap",) if name in more}
    return promotion("amount_off", params, **more)


def floor(unit: str, **more: Any) -> Body:
    """Return a guardrail in USD with a floor."""
    return {"scope": only(), "currency": "USD", "floor": unit, "ceiling": None} | more


def ceiling(unit: str, **more: Any) -> Body:
    """Return a guardrail in USD with a ceiling."""
    return floor(unit, floor=None, ceiling=unit, **more)


def quote(lines: list[tuple[str, int | str]], resources: Resources, *, at: str = AT, **sent: Any) -> Body:
    """Price lines of (SKU, quantity), with ids "1", "2" and so on; resources by name, `policy` its settings alone."""
    documents: dict[str, Any] = {name: {"default": body} if name == "policy" else body for name, body in resources.items()}
    asked = [{"id": str(i), "sku": sku, "quantity": quantity} for i, (sku, quantity) in enumerate(lines, start=1)]
    return price_basket(documents, None, {"currency": "USD", "lines": asked, **sent}, instant_us(at), PUBLISHED_AT_US)


def line(reply: Body, position: int = 1) -> Body:
    """Return a line of a reply, counted from 1."""
    found: Body = reply["lines"][position - 1]
    return found


def taken(reply: Body) -> list[list[int]]:
    """Return the amounts of the adjustments of each line."""
    return [[each["amount"] for each in shown["adjustments"]] for shown in reply["lines"]]


def totals(reply: Body) -> list[int]:
    """Return the totals of the lines."""
    return [shown["total"] for shown in reply["lines"]]
