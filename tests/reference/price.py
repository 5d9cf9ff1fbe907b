"""The reference: what a basket costs, in plain integers and fractions, slow and obvious.

Written from `app/pricing/SEMANTICS.md` and the design pages, and not from the engine, which must agree with it exactly.
"""

import re
from collections.abc import Mapping
from typing import Any

from tests.reference.beyond import cash_rounding, points_of
from tests.reference.figures import AMOUNT_MAX_MINOR, parse_quantity_milli, show_quantity, show_unit, unit_of
from tests.reference.limits import within_budgets
from tests.reference.lines import Line, price_lines, tier_index, tier_unit_e4
from tests.reference.promotions import Given, Outcome, codes_given, personal_inputs
from tests.reference.shop import Body, Documents, Request, Shop

DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]{1,4})?")


def price_basket(
    documents: Documents,
    revisions: Mapping[tuple[str, str], int] | None,
    basket: Body,
    at_us: int,
    published_at_us: int,
) -> Body:
    """Price a basket; return the reply's members and `errors`, or only `errors` where the request is refused."""
    shop = Shop(documents, revisions or {}, published_at_us)
    request = Request(basket, at_us)
    outcomes = price_lines(shop, request)
    line_errors = [[f"lines[{i}]", each] for i, each in enumerate(outcomes) if isinstance(each, str)]
    attribute_errors = _attribute_errors(shop, basket)
    is_partial = bool(basket.get("partial")) and len(line_errors) < len(outcomes)
    if attribute_errors or (line_errors and not is_partial):
        return {"errors": [*attribute_errors, *line_errors]}
    lines = [each for each in outcomes if isinstance(each, Line)]
    if sum(line.subtotal for line in lines) > AMOUNT_MAX_MINOR:
        return {"errors": [*line_errors, ["lines", "amount_out_of_bounds"]]}

    given = codes_given(shop, request)
    outcome, selection = within_budgets(shop, request, lines, given)
    not_applied = [*outcome.not_applied, *(entry for _, entry in [*given.redundant, *given.used_up, *given.invalid])]
    if shop.policy("coupon_failure") == "all":
        refused = _refused_codes(outcome, given)
        if refused:
            return {"errors": [*line_errors, *refused]}
    points = points_of(shop, request, lines, outcome.multiplied)
    not_applied += points[2]
    return {"errors": line_errors, **_reply(shop, request, outcomes, lines, outcome, points, not_applied, selection)}


def _attribute_errors(shop: Shop, basket: Body) -> list[list[str]]:
    customer = basket.get("customer") or {}
    errors = []
    for path, sent in (("attributes", basket.get("attributes")), ("customer.attributes", customer.get("attributes"))):
        for name, value in (sent or {}).items():
            declared = shop.each("attributes").get(name)
            if declared is None:
                errors.append([f"{path}.{name}", "undeclared_attribute"])
            elif not _has_type(value, declared["type"]):
                errors.append([f"{path}.{name}", "wrong_type"])
    return errors


def _has_type(value: Any, declared: str) -> bool:
    if declared == "boolean":
        return isinstance(value, bool)
    is_integer = isinstance(value, int) and not isinstance(value, bool)
    if declared == "integer":
        return is_integer
    if declared == "decimal":
        return is_integer or (isinstance(value, str) and DECIMAL.fullmatch(value) is not None)
    return isinstance(value, str)


def _refused_codes(outcome: Outcome, given: Given) -> list[list[str]]:
    index_of = {code: index for index, code in given.naming.values()}
    named = [(index_of[entry["code"]], entry) for entry in outcome.not_applied if "code" in entry]
    return [[f"codes[{index}]", entry["reason"]] for index, entry in [*named, *given.redundant, *given.used_up, *given.invalid]]


def _reply(
    shop: Shop,
    request: Request,
    outcomes: list[Line | str],
    lines: list[Line],
    outcome: Outcome,
    points: tuple[Body, int, list[Body]],
    not_applied: list[Body],
    selection: str,
) -> Body:
    subtotal, total = sum(line.subtotal for line in lines), sum(line.running for line in lines)
    stated, left = request.basket.get("shipping"), outcome.shipping.left or 0
    shown_points, paid_with_points, _ = points
    payable = total + left - paid_with_points
    difference, rounding = cash_rounding(shop, request, payable)
    personal = personal_inputs(shop, lines, outcome)
    return {
        "currency": request.currency,
        "tax_included": lines[0].entry.tax_included if lines else None,
        "lines": [_line_shown(shop, asked, each) for asked, each in zip(request.basket["lines"], outcomes, strict=True)],
        "adjustments": [*outcome.adjustments, *rounding],
        "shipping": None
        if stated is None
        else {"subtotal": stated, "discount": stated - left, "total": left, "adjustments": outcome.shipping.adjustments},
        "subtotal": subtotal,
        "discount": subtotal - total,
        "total": payable + difference,
        "gifts": outcome.gifts,
        "points": shown_points,
        "not_applied": not_applied,
        "next_benefit": [*_tier_benefits(shop, lines), *outcome.next_benefit],
        "selection": selection,
        "personalised": bool(personal),
        "personal_inputs": personal,
        "disclosures": [],
        **({"limited": request.basket["limited"]} if request.basket.get("limited") else {}),
    }


def _line_shown(shop: Shop, asked: Body, line: Line | str) -> Body:
    shown = {"id": asked["id"], "sku": asked["sku"], "quantity": show_quantity(parse_quantity_milli(asked["quantity"]))}
    if isinstance(line, str):
        return {**shown, "error": {"code": line}}
    assert line.running == line.subtotal + sum(each["amount"] for each in line.adjustments)
    return {
        **shown,
        "list_unit_price": show_unit(line.list_unit_e4),
        "unit_price": show_unit(line.unit_e4),
        "net_unit_price": show_unit(shop.round(unit_of(line.running, line.quantity_milli))),
        "subtotal": line.subtotal,
        "discount": line.subtotal - line.running,
        "total": line.running,
        "reference_price": None,
        "price_steps": line.price_steps,
        "adjustments": line.adjustments,
    }


def _tier_benefits(shop: Shop, lines: list[Line]) -> list[Body]:
    shown = []
    for line in lines:
        tiers = line.entry.body.get("tiers")
        if tiers is None:
            continue
        units = [tier_unit_e4(shop, step, line.list_unit_e4, line.strategy_unit_e4) for step in tiers["steps"]]
        reached = tier_index(tiers, line.whole_milli)
        better = [index for index in range(reached + 1, len(units)) if units[index] < units[reached]]
        if not better:
            continue
        below_milli = parse_quantity_milli(tiers["steps"][better[0] - 1]["up_to"])
        is_whole = line.whole_milli % 1000 == 0
        needed_milli = (below_milli // 1000 + 1) * 1000 if is_whole else below_milli + 1
        shown.append(
            {
                "rule": line.sku,
                "line": line.id,
                "quantity_needed": show_quantity(needed_milli - line.whole_milli),
                "unit_price": show_unit(units[better[0]]),
            }
        )
    return shown
