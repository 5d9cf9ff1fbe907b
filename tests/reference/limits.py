"""Limits: which promotions have nothing left, and which a budget does not suffice for."""

from fractions import Fraction

from tests.reference.figures import parse_quantity_milli
from tests.reference.lines import Line
from tests.reference.promotions import Given, Outcome
from tests.reference.selection import select
from tests.reference.shop import Body, Request, Shop

WINDOWS = ("", "_per_day", "_per_week", "_per_month")
OF_PROMOTIONS = (*(f"uses{one}" for one in WINDOWS), *(f"uses_per_customer{one}" for one in WINDOWS), "budget", "gifts")


def within_budgets(shop: Shop, request: Request, lines: list[Line], given: Given) -> tuple[Outcome, str]:
    """Price a basket, and price it anew without the promotions that drew too much, until none does."""
    barred = nothing_left(shop, request)
    while True:
        outcome, selection = select(shop, request, lines, given, barred)
        more = _too_much(shop, request, lines, outcome)
        if not more:
            return outcome, selection
        barred = more | barred


def nothing_left(shop: Shop, request: Request) -> dict[str, Body]:
    """Return what is said of each promotion that has nothing left, or fewer gifts than it gives."""
    found: dict[str, Body] = {}
    for each in request.limited:
        rule, limit, left = each["rule"], each["limit"], Fraction(each["left"])
        said = {"reason": "limit_reached", "limit": limit, "left": each["left"]}
        if limit in OF_PROMOTIONS and (left == 0 or (limit == "gifts" and left < _gives(shop, rule))):
            found.setdefault(rule, said)
        if limit == "campaign_budget" and left == 0:
            for promotion in shop.each("campaigns").get(rule, {}).get("promotions", []):
                found.setdefault(promotion, said)
    return found


def _gives(shop: Shop, rule: str) -> Fraction:
    promotion = shop.each("promotions").get(rule, {})
    if promotion.get("kind") != "gift":
        return Fraction(0)
    params = promotion["params"]
    return Fraction(parse_quantity_milli(params.get("quantity") or 1), 1000) * (params.get("choose") or len(params["skus"]))


def _too_much(shop: Shop, request: Request, lines: list[Line], outcome: Outcome) -> dict[str, Body]:
    """Go through what promotions draw, in their sequence."""
    drawn = _drawn(lines, outcome)
    spent: dict[tuple[str, str], int] = {}
    found: dict[str, Body] = {}
    for rule in outcome.sequence:
        amount = drawn.get(rule, 0)
        own = [
            each
            for each in request.limited
            if (each["limit"] == "budget" and each["rule"] == rule)
            or (each["limit"] == "campaign_budget" and rule in shop.each("campaigns").get(each["rule"], {}).get("promotions", []))
        ]
        over = [each for each in own if amount and spent.get((each["rule"], each["limit"]), 0) + amount > each["left"]]
        if over:
            found[rule] = {"reason": "limit_reached", "limit": over[0]["limit"], "left": over[0]["left"]}
            continue
        for each in own:
            key = each["rule"], each["limit"]
            spent[key] = spent.get(key, 0) + amount
    return found


def _drawn(lines: list[Line], outcome: Outcome) -> dict[str, int]:
    """Return what each promotion really gave."""
    found: dict[str, int] = {}
    for adjustments in [*(line.adjustments for line in lines), outcome.adjustments, outcome.shipping.adjustments]:
        last = ""
        for each in adjustments:
            if each.get("level") == "order":
                continue
            if each["kind"] != "guardrail":
                last = each["rule"]
            found[last] = found.get(last, 0) - each["amount"]
    for gift in outcome.gifts:
        found[gift["rule"]] = found.get(gift["rule"], 0) + gift["worth"]
    return found
