"""Steps 8, 10 and 11: shipping, gifts, points, the rounding of the total. Written from SEMANTICS.md, Beyond the lines."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations

from tests.reference.allocation import allocate
from tests.reference.conditions import Turn
from tests.reference.entries import winning_entry
from tests.reference.figures import (
    AMOUNT_MAX_MINOR,
    amount_of,
    ceiling_of,
    floor_of,
    parse_quantity_milli,
    parse_rate_ppm,
    parse_unit_e4,
    show_percent,
    show_quantity,
)
from tests.reference.lines import Line
from tests.reference.shop import Body, Request, Shop

SHIPPING_CONTESTANTS_MAX = 12


@dataclass
class Shipping:
    """The shipping of an order on its way; None where the request states none."""

    left: int | None
    adjustments: list[Body] = field(default_factory=list)
    applied: list[str] = field(default_factory=list)
    lost: set[str] = field(default_factory=set)
    is_bounded: bool = False


def is_eligible(promotion: Body, turn: Turn) -> bool:
    """Say whether a shipping promotion has an eligible line."""
    return not (promotion.get("not_on_sale") and all(line.is_on_sale for line in turn.scope))


def taken_of(shop: Shop, promotion: Body, left: int) -> int:
    """What a shipping promotion takes of what is left of the shipping."""
    params = promotion["params"]
    if params.get("amount") is not None:
        return int(min(params["amount"], left))
    return min(shop.round(Fraction(left * parse_rate_ppm(params["percent"]), 1_000_000)), left)


def contest_shipping(shop: Shop, open_rules: Sequence[str], shipping: Shipping) -> None:
    """Note which of the shipping promotions that are open, in their sequence, are not in the winning set."""
    stated = shipping.left
    if stated is None:
        return
    promotions = shop.each("promotions")

    def exclude(one: str, other: str) -> bool:
        first, second = promotions[one], promotions[other]
        shares = first.get("group") is not None and first.get("group") == second.get("group")
        return one != other and bool(shares or first.get("exclusive") or second.get("exclusive"))

    takers = [rule for rule in open_rules if taken_of(shop, promotions[rule], stated)]
    contestants = [rule for rule in takers if any(exclude(rule, other) for other in takers)]
    apart = [rule for rule in takers if rule not in contestants]
    searched = contestants[:SHIPPING_CONTESTANTS_MAX]
    shipping.is_bounded = len(searched) < len(contestants)
    tried = []
    for size in range(1, len(searched) + 1):
        for chosen in combinations(searched, size):
            rest = [rule for rule in searched if rule not in chosen]
            if any(exclude(one, other) for one, other in combinations(chosen, 2)):
                continue
            if not all(any(exclude(one, other) for other in chosen) for one in rest):
                continue
            left, took = stated, []
            for rule in [rule for rule in takers if rule in chosen or rule in apart]:
                amount = taken_of(shop, promotions[rule], left)
                left -= amount
                took += [rule] if amount else []
            tried.append((left, len(took), sorted(took), sorted(chosen)))
    if tried:
        shipping.lost = set(searched) - set(min(tried)[3])


def take_shipping(shop: Shop, promotion: Body, shown: Body, turn: Turn, shipping: Shipping) -> Body | None:
    """Apply a shipping promotion whose condition holds; return why it did not apply, None where it did."""
    if shipping.left is None:
        return {"reason": "no_shipping"}
    if not is_eligible(promotion, turn):
        return {"reason": "on_sale"}
    if shown["rule"] in shipping.lost:
        return {"reason": "not_best"}
    rivals = [shop.each("promotions")[rule] for rule in shipping.applied]
    if any(rival.get("exclusive") for rival in rivals) or (promotion.get("exclusive") and rivals):
        return {"reason": "exclusive_taken"}
    group = promotion.get("group")
    if group is not None and any(rival.get("group") == group for rival in rivals):
        return {"reason": "group_taken"}
    took = taken_of(shop, promotion, shipping.left)
    if took == 0:
        return {"reason": "nothing_to_discount"}
    shipping.left -= took
    shipping.adjustments.append({**shown, "amount": -took})
    shipping.applied.append(shown["rule"])
    return None


def gift_of(shop: Shop, request: Request, params: Body, shown: Body) -> Body:
    """What a gift promotion gives."""
    quantity_milli = parse_quantity_milli(params.get("quantity") or 1)
    worths = []
    for sku in params["skus"]:
        entry = winning_entry(shop, request, sku)
        exact = amount_of(parse_unit_e4(entry.body["unit_price"]), quantity_milli) if entry is not None else Fraction(0)
        worths.append(AMOUNT_MAX_MINOR if exact > AMOUNT_MAX_MINOR else shop.round(exact))
    choose = params.get("choose")
    counted = sorted(worths, reverse=True)[: len(worths) if choose is None else choose]
    named = {name: value for name, value in shown.items() if name != "kind"}
    return {
        **named,
        "skus": params["skus"],
        "choose": choose,
        "quantity": show_quantity(quantity_milli),
        "worth": min(AMOUNT_MAX_MINOR, sum(counted)),
    }


@dataclass(frozen=True)
class Multiplied:
    """A points promotion that applied, and its eligible lines."""

    shown: Body
    multiplier: str
    lines: Sequence[Line]


def points_of(
    shop: Shop, request: Request, lines: Sequence[Line], multiplied: Sequence[Multiplied]
) -> tuple[Body, int, list[Body]]:
    """What is shown of the points, the amount they pay, and the entry of points that were refused."""
    asked = request.basket.get("points") or 0
    program = shop.policy("points").get(request.currency)
    if program is None:
        refused = [{"rule": "points", "reason": "points_not_offered"}] if asked else []
        return {"redeemed": 0, "amount": 0, "earned": 0}, 0, refused
    merchandise, worth = sum(line.running for line in lines), Fraction(program["worth"])
    most = merchandise
    if program.get("max_percent") is not None:
        most = min(most, floor_of(merchandise * Fraction(program["max_percent"]) / 100))
    if program.get("max_amount") is not None:
        most = min(most, program["max_amount"])
    amount = floor_of(min(asked, floor_of(most / worth)) * worth)
    redeemed = ceiling_of(amount / worth)
    paid = [line.running for line in lines]
    if amount:
        shares = allocate(amount, paid, shop.policy("remainder"), shop.policy("rounding"))
        paid = [total - share for total, share in zip(paid, shares, strict=True)]
    weighed = sum((part * _factor(line, multiplied) for part, line in zip(paid, lines, strict=True)), Fraction(0))
    shown: Body = {"redeemed": redeemed, "amount": amount, "earned": floor_of(weighed * Fraction(program.get("earn") or "0"))}
    if multiplied:
        shown["multipliers"] = [
            {name: value for name, value in each.shown.items() if name != "kind"}
            | {"multiplier": show_percent(parse_rate_ppm(each.multiplier))}
            for each in multiplied
        ]
    return shown, amount, [{"rule": "points", "reason": "nothing_to_discount"}] if asked and not redeemed else []


def _factor(line: Line, multiplied: Sequence[Multiplied]) -> Fraction:
    factor = Fraction(1)
    for each in multiplied:
        if any(own is line for own in each.lines):
            factor = min(Fraction(1000), Fraction(floor_of(factor * Fraction(each.multiplier) * 10_000), 10_000))
    return factor


def cash_rounding(shop: Shop, request: Request, payable: int) -> tuple[int, list[Body]]:
    """The difference to the payable total in coins, and its adjustment."""
    increment = shop.policy("cash_rounding")
    if isinstance(increment, dict):
        increment = increment.get(request.currency)
    if increment is None:
        return 0, []
    rounded = shop.round(Fraction(payable, increment)) * increment
    difference = (rounded - increment if rounded > AMOUNT_MAX_MINOR else rounded) - payable
    shown = {
        "kind": "cash_rounding",
        "rule": "cash_rounding",
        "revision": shop.revision("policy", "default"),
        "name": "Cash rounding",
        "amount": difference,
    }
    return difference, [shown] if difference else []


def fund(shop: Shop, lines: Sequence[Line], on_order: list[Body], on_shipping: list[Body]) -> None:
    """Write beside each adjustment of a funded promotion what its parties bear."""
    for adjustments in [line.adjustments for line in lines] + [on_shipping]:
        for number, each in enumerate(adjustments):
            if _funders(shop, each) and "level" not in each:
                each["funding"] = _shared(shop, each, _given(adjustments, number))
    for number, each in enumerate(on_order):
        if _funders(shop, each):
            each["funding"] = _shared(shop, each, _given(on_order, number))
            shares = [
                share
                for line in lines
                for share in line.adjustments
                if share["rule"] == each["rule"] and share.get("level") == "order" and share["kind"] != "guardrail"
            ]
            _fund_shares(each["funding"], shares)


def _funders(shop: Shop, adjustment: Body) -> list[Body]:
    if adjustment["kind"] == "guardrail":
        return []
    return shop.each("promotions")[adjustment["rule"]].get("funding") or []


def _given(adjustments: Sequence[Body], number: int) -> int:
    """What an adjustment really gave: less what the guardrail behind it gives back."""
    given = -int(adjustments[number]["amount"])
    if number + 1 < len(adjustments) and adjustments[number + 1]["kind"] == "guardrail":
        given -= int(adjustments[number + 1]["amount"])
    return given


def _shared(shop: Shop, adjustment: Body, given: int) -> list[Body]:
    funders = _funders(shop, adjustment)
    rates = [parse_rate_ppm(each["percent"]) for each in funders]
    amounts = allocate(given, [*rates, 1_000_000 - sum(rates)], "largest", "half_up")
    return [{"party": each["party"], "amount": amount} for each, amount in zip(funders, amounts, strict=False)]


def _fund_shares(whole: list[Body], shares: list[Body]) -> None:
    left = [-share["amount"] for share in shares]
    for share in shares:
        share["funding"] = []
    for borne in whole:
        parts = allocate(borne["amount"], left, "largest", "half_up") if sum(left) else [0] * len(left)
        for number, (share, part) in enumerate(zip(shares, parts, strict=True)):
            share["funding"].append({"party": borne["party"], "amount": part})
            left[number] -= part
