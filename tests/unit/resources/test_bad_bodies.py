"""What is wrong with a body is told by its place, for each resource."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from app.catalog.guardrails import GUARDRAILS
from app.catalog.ladders import LADDERS
from app.catalog.policy import POLICY
from app.catalog.prices import PRICE_LISTS, PRICES
from app.catalog.products import ATTRIBUTES, PRODUCTS
from app.catalog.sale_prices import SALE_PRICES
from app.catalog.seasons import SEASONS
from app.catalog.strategies import ENDINGS, STRATEGIES
from app.promotions.campaigns import CAMPAIGNS
from app.promotions.coupons import COUPONS
from app.promotions.promotions import PROMOTIONS
from app.resources.resource import Resource, union
from app.web.problem_handlers import from_validation

PERCENT_OFF = {"name": "P", "kind": "percent_off", "params": {"percent": "10"}}
PRICE = {"currency": "USD", "unit_price": "1"}
SALE = {"name": "S", "scope": {}, "percent": "10"}
GUARDRAIL = {"scope": {}, "currency": "USD", "floor": "10"}
COST_PLUS = {"kind": "cost_plus", "scope": {}, "currency": "USD", "params": {"markup": "40"}}
ENDING = {"currency": "USD", "bands": [{"up_to": None, "endings": ["99"]}]}
COUPON = {"promotion": "p", "codes": ["A"]}
DAILY = {"rule": "FREQ=DAILY", "start": "2026-01-01T09:00:00", "duration": "PT1H"}
WEEKENDS = {"days": ["sat", "sun"], "start": "00:00", "end": "00:00"}
BAD_PATTERNS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"rrule": DAILY | {"rule": "FREQ=SECONDLY"}}, "schedule.rrule.rule"),
    ({"rrule": DAILY | {"rule": "every day"}}, "schedule.rrule.rule"),
    ({"rrule": DAILY | {"rule": "FREQ=MINUTELY"}}, "schedule.rrule.rule"),
    ({"rrule": DAILY | {"rule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}}, "schedule.rrule"),
    ({"rrule": DAILY | {"rule": "FREQ=DAILY;UNTIL=20200101T000000"}}, "schedule.rrule"),
    ({"rrule": DAILY | {"duration": "PT1S"}}, "schedule.rrule.duration"),
    ({"rrule": DAILY | {"duration": "P1M"}}, "schedule.rrule.duration"),
    ({"rrule": DAILY | {"duration": "PT0M"}}, "schedule.rrule.duration"),
    ({"rrule": DAILY | {"start": "2026-01-01T09:00:00Z"}}, "schedule.rrule.start"),
    ({"rrule": DAILY | {"start": "1960-01-01T09:00:00"}}, "schedule.rrule.start"),
    ({"rrule": {"rule": "FREQ=DAILY", "start": "2026-01-01T09:00:00"}}, "schedule.rrule.duration"),
    ({"holidays": {"country": "us"}}, "schedule.holidays.country"),
    ({"holidays": {"country": "ZZ"}}, "schedule.holidays.country"),
    ({"holidays": {"country": "US", "subdivision": "ZZ"}}, "schedule.holidays.subdivision"),
    ({"holidays": {"country": "US", "names": ["Christmas Day", "Nobody's Day"]}}, "schedule.holidays.names[1]"),
    ({"holidays": {"country": "US", "days_before": -1}}, "schedule.holidays.days_before"),
    ({"holidays": {"country": "US", "days_after": 61}}, "schedule.holidays.days_after"),
    ({"festival": {"name": "friday"}}, "schedule.festival.name"),
    ({"festival": {"name": "qixi"}, "to": "2020-01-01T00:00:00"}, "schedule.festival"),
    ({"weekly": WEEKENDS, "from": "2026-11-23T00:00:00", "to": "2026-11-28T00:00:00"}, "schedule.weekly"),
    ({"weekly": WEEKENDS, "rrule": DAILY}, "schedule.rrule"),
    ({"holidays": {"country": "US"}, "festival": {"name": "qixi"}}, "schedule.festival"),
)


COMPETITOR = COST_PLUS | {"kind": "competitor", "params": {"against": "lowest"}}
VALUE = COST_PLUS | {
    "kind": "value",
    "params": {"reference_price": "1000", "differences": [{"name": "Lasts longer", "amount": "-1"}]},
}
MARKDOWN = COST_PLUS | {
    "kind": "markdown",
    "params": {"target_units": "5", "by": "2026-12-01T00:00:00+01:00", "elasticity": "-2"},
}
STAGE = {"stage": "exit", "from": "2026-01-01T00:00:00Z", "percent": "50"}
LIFECYCLE = COST_PLUS | {"kind": "lifecycle", "params": {"stages": [STAGE]}}
LADDER = {"currency": "USD", "rungs": [{"sku": "A"}, {"sku": "B", "gap_percent": "10"}]}
PERIOD = {"from": "2026-01-05T00:00:00", "to": "2026-01-12T00:00:00", "index": "1.5"}
SEASON = {"timezone": "Europe/Berlin", "periods": [PERIOD]}


def with_params(body: dict[str, Any], **params: Any) -> dict[str, Any]:
    return body | {"params": body["params"] | params}


def rungs(*more: dict[str, Any]) -> dict[str, Any]:
    return LADDER | {"rungs": [{"sku": "A"}, *more]}


def condition(leaf: Any) -> dict[str, Any]:
    return PERCENT_OFF | {"currency": "USD", "conditions": {"all": [{"not": leaf}]}}


def tiers(*steps: tuple[Any, str]) -> dict[str, Any]:
    return PRICE | {"tiers": {"mode": "volume", "steps": [{"up_to": up_to, "unit_price": price} for up_to, price in steps]}}


def spend(threshold: Any, **more: Any) -> dict[str, Any]:
    return {"name": "S", "kind": "spend_save", "currency": "USD", "params": {"threshold": threshold} | more}


def kind(name: str, **params: Any) -> dict[str, Any]:
    return {"name": "K", "kind": name, "currency": "USD", "params": params}


def deep(levels: int) -> Any:
    tree: Any = {"attribute": "channel", "op": "==", "value": "web"}
    for _ in range(levels - 1):
        tree = {"not": tree}
    return tree


TABLE: list[tuple[Resource, dict[str, Any], set[str]]] = [
    (PRODUCTS, {}, {"name"}),
    (PRODUCTS, {"name": ""}, {"name"}),
    (PRODUCTS, {"name": " x"}, {"name"}),
    (PRODUCTS, {"name": "x", "colour": 1}, {"colour"}),
    (PRODUCTS, {"name": "x", "category": "a//b"}, {"category"}),
    (PRODUCTS, {"name": "x", "tags": ["a", 5]}, {"tags[1]"}),
    (PRODUCTS, {"name": "x", "attributes": {"colour": 5}}, {"attributes.colour"}),
    (ATTRIBUTES, {"type": "float"}, {"type"}),
    (PRICE_LISTS, {"priority": 1.0}, {"priority"}),
    (PRICE_LISTS, {"priority": True}, {"priority"}),
    (PRICE_LISTS, {"match": {"countries": []}}, {"match.countries"}),
    (PRICES, {"currency": "XXX", "unit_price": "1"}, {"currency"}),
    (PRICES, {"currency": "usd", "unit_price": "1"}, {"currency"}),
    (PRICES, PRICE | {"unit_price": 1299}, {"unit_price"}),
    (PRICES, PRICE | {"unit_price": "-1"}, {"unit_price"}),
    (PRICES, PRICE | {"unit_price": "1.23456"}, {"unit_price"}),
    (PRICES, PRICE | {"unit_price": "1e3"}, {"unit_price"}),
    (PRICES, PRICE | {"unit_price": "01"}, {"unit_price"}),
    (PRICES, PRICE | {"unit_price": "10000000000.0001"}, {"unit_price"}),
    (PRICES, PRICE | {"unit_price": "1\n"}, {"unit_price"}),
    (PRICES, PRICE | {"valid_from": "2026-01-01"}, {"valid_from"}),
    (PRICES, PRICE | {"valid_from": "2026-02-30T00:00:00Z"}, {"valid_from"}),
    (PRICES, PRICE | {"valid_from": "2300-01-01T00:00:00Z"}, {"valid_from"}),
    (PRICES, PRICE | {"valid_from": "2026-01-02T00:00:00Z", "valid_to": "2026-01-01T23:00:00-01:00"}, {"valid_to"}),
    (PRICES, tiers((9, "2"), (5, "1"), (None, "1")), {"tiers.steps[1].up_to"}),
    (PRICES, tiers((9, "2"), (10, "1")), {"tiers.steps[1].up_to"}),
    (PRICES, tiers((None, "2"), (None, "1")), {"tiers.steps[0].up_to"}),
    (PRICES, tiers((0, "2"), (None, "1")), {"tiers.steps[0].up_to"}),
    (PRICES, tiers((1.5, "2"), (None, "1")), {"tiers.steps[0].up_to"}),
    (PRICES, tiers(("1.0001", "2"), (None, "1")), {"tiers.steps[0].up_to"}),
    (PRICES, PRICE | {"tiers": {"mode": "volume", "mix": "", "steps": [{"up_to": None, "unit_price": "1"}]}}, {"tiers.mix"}),
    (PRICES, PRICE | {"tiers": {"mode": "volume", "mix": 1, "steps": [{"up_to": None, "unit_price": "1"}]}}, {"tiers.mix"}),
    (SALE_PRICES, {"name": "S", "scope": {}}, {"unit_price"}),
    (SALE_PRICES, SALE | {"unit_price": "1", "currency": "USD"}, {"percent"}),
    (SALE_PRICES, SALE | {"percent": "100.0001"}, {"percent"}),
    (SALE_PRICES, SALE | {"schedule": {"timezone": "Mars/Olympus"}}, {"schedule.timezone"}),
    (SALE_PRICES, SALE | {"schedule": {"from": "2026-01-01T00:00:00Z", "timezone": "UTC"}}, {"schedule.from"}),
    (
        SALE_PRICES,
        SALE | {"schedule": {"from": "2026-01-02T00:00:00", "to": "2026-01-02T00:00:00", "timezone": "UTC"}},
        {"schedule.to"},
    ),
    (
        SALE_PRICES,
        SALE | {"schedule": {"timezone": "UTC", "weekly": {"days": ["mon", "day"], "start": "24:00", "end": "02:00"}}},
        {"schedule.weekly.days[1]", "schedule.weekly.start"},
    ),
    *((SALE_PRICES, SALE | {"schedule": {"timezone": "UTC", **pattern}}, {path}) for pattern, path in BAD_PATTERNS),
    (GUARDRAILS, {"scope": {}, "currency": "USD"}, {"floor"}),
    (GUARDRAILS, GUARDRAIL | {"ceiling": "9.9999"}, {"ceiling"}),
    (GUARDRAILS, {"scope": {}, "currency": "USD", "map": "10", "ceiling": "9"}, {"ceiling"}),
    (GUARDRAILS, GUARDRAIL | {"min_margin": "100"}, {"min_margin"}),
    (GUARDRAILS, GUARDRAIL | {"min_margin": "-1"}, {"min_margin"}),
    (GUARDRAILS, GUARDRAIL | {"max_discount": "100.0001"}, {"max_discount"}),
    (GUARDRAILS, GUARDRAIL | {"max_discount": 40}, {"max_discount"}),
    (GUARDRAILS, GUARDRAIL | {"map": "1e3"}, {"map"}),
    (GUARDRAILS, GUARDRAIL | {"max_change": {}}, {"max_change.percent", "max_change.days"}),
    (GUARDRAILS, GUARDRAIL | {"max_change": {"percent": "101", "days": 1}}, {"max_change.percent"}),
    (GUARDRAILS, GUARDRAIL | {"max_change": {"percent": "10", "days": 0}}, {"max_change.days"}),
    (GUARDRAILS, GUARDRAIL | {"max_change": {"percent": "10", "days": 3651}}, {"max_change.days"}),
    (GUARDRAILS, GUARDRAIL | {"scope": {"include": {"skus": ["A", "B", "C", "!"]}}}, {"scope.include.skus[3]"}),
    (GUARDRAILS, GUARDRAIL | {"scope": {"include": {"attributes": {"colour": []}}}}, {"scope.include.attributes.colour"}),
    (STRATEGIES, COST_PLUS | {"kind": "magic"}, {"kind"}),
    (STRATEGIES, {"scope": {}, "currency": "USD", "params": {}}, {"kind"}),
    (STRATEGIES, COST_PLUS | {"params": {"markup": "40", "margin": "40"}}, {"params.markup"}),
    (STRATEGIES, COST_PLUS | {"params": {"margin": "100"}}, {"params.margin"}),
    (STRATEGIES, COST_PLUS | {"params": {"markup": "40", "shape": 1}}, {"params.shape"}),
    (
        STRATEGIES,
        COST_PLUS | {"kind": "elasticity", "params": {"form": "logit", "elasticity": "2", "reference_price": "0"}},
        {"params.elasticity", "params.reference_price"},
    ),
    (
        STRATEGIES,
        COST_PLUS | {"kind": "elasticity", "params": {"form": "logit", "elasticity": "-2", "reference_price": "1"}},
        {"params.reference_share"},
    ),
    (STRATEGIES, with_params(COMPETITOR, against="not a name"), {"params.against"}),
    (STRATEGIES, with_params(COMPETITOR, percent="0"), {"params.percent"}),
    (STRATEGIES, with_params(COMPETITOR, amount="-1"), {"params.amount"}),
    (STRATEGIES, with_params(COMPETITOR, max_age_hours=0), {"params.max_age_hours"}),
    (STRATEGIES, with_params(COMPETITOR, against="weighted"), {"params.weights"}),
    (STRATEGIES, with_params(COMPETITOR, weights=[{"competitor": "a", "weight": "1"}]), {"params.weights"}),
    (
        STRATEGIES,
        with_params(COMPETITOR, against="weighted", weights=[{"competitor": "a", "weight": "0"}]),
        {"params.weights[0].weight"},
    ),
    (
        STRATEGIES,
        with_params(COMPETITOR, against="weighted", weights=[{"competitor": "a", "weight": "1"}] * 2),
        {"params.weights[1].competitor"},
    ),
    (STRATEGIES, with_params(COMPETITOR, otherwise="keep"), {"params.otherwise"}),
    (STRATEGIES, with_params(VALUE, share="100.1"), {"params.share"}),
    (
        STRATEGIES,
        with_params(VALUE, differences=[{"name": "", "amount": "1.00001"}]),
        {"params.differences[0].name", "params.differences[0].amount"},
    ),
    (STRATEGIES, with_params(VALUE, differences=[{"name": "x", "amount": "1"}] * 101), {"params.differences"}),
    (STRATEGIES, with_params(MARKDOWN, by="2026-12-01"), {"params.by"}),
    (STRATEGIES, with_params(MARKDOWN, elasticity="-0.009"), {"params.elasticity"}),
    (STRATEGIES, with_params(MARKDOWN, daily_units="0"), {"params.daily_units"}),
    (STRATEGIES, with_params(MARKDOWN, target_units=1.5), {"params.target_units"}),
    (STRATEGIES, with_params(LIFECYCLE, stages=[]), {"params.stages"}),
    (STRATEGIES, with_params(LIFECYCLE, stages=[STAGE, STAGE]), {"params.stages[1].from"}),
    (STRATEGIES, with_params(LIFECYCLE, stages=[STAGE | {"unit_price": "5"}]), {"params.stages[0].percent"}),
    (LADDERS, LADDER | {"rungs": []}, {"rungs"}),
    (LADDERS, rungs({"sku": "A"}), {"rungs[1].sku"}),
    (LADDERS, LADDER | {"rungs": [{"sku": "A", "gap_amount": "5"}]}, {"rungs[0].gap_amount"}),
    (LADDERS, rungs({"sku": "B", "gap_amount": "5", "gap_percent": "5"}), {"rungs[1].gap_percent"}),
    (LADDERS, rungs({"sku": "B", "gap_percent": "1000.1"}), {"rungs[1].gap_percent"}),
    (LADDERS, rungs({"sku": "B", "low_percent": "50", "high_percent": "49"}), {"rungs[1].high_percent"}),
    (LADDERS, LADDER | {"reference": "cost"}, {"reference"}),
    (SEASONS, SEASON | {"periods": [PERIOD | {"index": "0"}]}, {"periods[0].index"}),
    (SEASONS, SEASON | {"periods": [PERIOD, PERIOD]}, {"periods"}),
    (SEASONS, SEASON | {"periods": [PERIOD | {"to": PERIOD["from"]}]}, {"periods"}),
    (SEASONS, SEASON | {"timezone": "Mars/Olympus"}, {"timezone"}),
    (ENDINGS, ENDING | {"bands": []}, {"bands"}),
    (ENDINGS, ENDING | {"bands": [{"up_to": 5, "endings": ["9"]}, {"up_to": 5, "endings": ["9x"]}]}, {"bands[1].endings[0]"}),
    (ENDINGS, ENDING | {"bands": [{"up_to": 5, "endings": ["9"]}, {"up_to": 5, "endings": ["9"]}]}, {"bands[1].up_to"}),
    (POLICY, {"selection": "cheapest"}, {"selection"}),
    (POLICY, {"rounding_level": "order", "cash_rounding": 0}, {"rounding_level", "cash_rounding"}),
    (POLICY, {"cash_rounding": {}}, {"cash_rounding"}),
    (POLICY, {"cash_rounding": {"CHF": "5"}}, {"cash_rounding.CHF"}),
    (POLICY, {"cash_rounding": {"XXZ": 5}}, {"cash_rounding.XXZ"}),
    (POLICY, {"cash_rounding": True}, {"cash_rounding"}),
    (POLICY, {"points": {"USD": {}}}, {"points.USD.worth"}),
    (POLICY, {"points": {"USD": {"worth": "0.00001", "max_percent": "101"}}}, {"points.USD.worth", "points.USD.max_percent"}),
    (POLICY, {"points": {"USD": {"worth": "100000.1", "earn": "1000.1"}}}, {"points.USD.worth", "points.USD.earn"}),
    (POLICY, {"points": {"usd": {"worth": "1"}}}, {"points.usd"}),
    (POLICY, {"points": {"USD": {"worth": "1", "balances": "true"}}}, {"points.USD.balances"}),
    (PROMOTIONS, {"name": "G", "kind": "gift", "params": {"skus": []}}, {"params.skus"}),
    (PROMOTIONS, {"name": "G", "kind": "gift", "params": {"skus": ["!"], "choose": 0}}, {"params.skus[0]", "params.choose"}),
    (PROMOTIONS, {"name": "G", "kind": "gift", "params": {"skus": ["A", "A"], "choose": 3}}, {"params.skus[1]", "params.choose"}),
    (PROMOTIONS, {"name": "G", "kind": "gift", "params": {"skus": ["A"], "quantity": "0"}}, {"params.quantity"}),
    (PROMOTIONS, {"name": "G", "kind": "gift", "params": {"skus": ["A"]}, "level": "line"}, {"level"}),
    (PROMOTIONS, {"name": "S", "kind": "shipping", "params": {}}, {"params.amount"}),
    (PROMOTIONS, {"name": "S", "kind": "shipping", "params": {"amount": 5}}, {"currency"}),
    (PROMOTIONS, {"name": "S", "kind": "shipping", "params": {"percent": "5"}, "level": "order"}, {"level"}),
    (PROMOTIONS, {"name": "P", "kind": "points", "params": {"multiplier": "1000.1"}}, {"params.multiplier"}),
    (
        PROMOTIONS,
        PERCENT_OFF | {"conditions": {"attribute": "order.shipping", "op": "<", "value": 5}},
        {"currency"},
    ),
    (
        PROMOTIONS,
        PERCENT_OFF | {"funding": [{"party": "acme", "percent": "60"}, {"party": "acme", "percent": "5"}]},
        {"funding[1].party"},
    ),
    (PROMOTIONS, {}, {"kind"}),
    (PROMOTIONS, {"kind": "percent_off"}, {"name", "params"}),
    (PROMOTIONS, PERCENT_OFF | {"params": {}}, {"params.percent"}),
    (PROMOTIONS, PERCENT_OFF | {"params": {"percent": "100.1"}}, {"params.percent"}),
    (PROMOTIONS, PERCENT_OFF | {"params": {"percent": 10}}, {"params.percent"}),
    (PROMOTIONS, PERCENT_OFF | {"params": {"percent": "10", "cap": 0}}, {"params.cap"}),
    (PROMOTIONS, PERCENT_OFF | {"params": {"percent": "10", "cap": 5}}, {"currency"}),
    (PROMOTIONS, PERCENT_OFF | {"params": {"percent": "10", "of": "all"}}, {"params.of"}),
    (PROMOTIONS, PERCENT_OFF | {"level": "basket"}, {"level"}),
    (PROMOTIONS, PERCENT_OFF | {"lane": 2**31}, {"lane"}),
    (PROMOTIONS, PERCENT_OFF | {"limits": {"budget": 5}}, {"currency"}),
    (PROMOTIONS, PERCENT_OFF | {"limits": {"uses": 0}}, {"limits.uses"}),
    (PROMOTIONS, PERCENT_OFF | {"limits": {"uses_per_customer_per_week": 1.5}}, {"limits.uses_per_customer_per_week"}),
    (PROMOTIONS, PERCENT_OFF | {"limits": {"gifts": 3}}, {"limits.gifts"}),
    (PROMOTIONS, PERCENT_OFF | {"limits": {"uses_per_year": 3}}, {"limits.uses_per_year"}),
    (COUPONS, COUPON | {"limits": {"uses_per_code": 0}}, {"limits.uses_per_code"}),
    (COUPONS, COUPON | {"limits": {"budget": 5}}, {"limits.budget"}),
    (PROMOTIONS, PERCENT_OFF | {"funding": [{"party": "a", "percent": "60"}, {"party": "b", "percent": "40.0001"}]}, {"funding"}),
    (
        PROMOTIONS,
        {"name": "F", "kind": "fixed_price", "params": {"unit_price": "9"}, "currency": "USD", "level": "order"},
        {"level"},
    ),
    (
        PROMOTIONS,
        {
            "name": "T",
            "kind": "tiered",
            "params": {"by": "quantity", "steps": [{"from": 3, "percent": "5"}, {"from": "2.5", "percent": "7"}]},
        },
        {"params.steps[1].from"},
    ),
    (
        PROMOTIONS,
        {"name": "T", "kind": "tiered", "params": {"by": "spend", "steps": [{"from": 1.5, "percent": "5"}]}},
        {"params.steps[0].from"},
    ),
    (PROMOTIONS, spend(0, amount=5), {"params.threshold"}),
    (PROMOTIONS, spend(5, percent="5", allocate="half"), {"params.allocate"}),
    (PROMOTIONS, spend(5, percent="5", allocate="even") | {"level": "line"}, {"params.allocate"}),
    (PROMOTIONS, kind("amount_off", amount=5, per="line", allocate="even"), {"params.allocate"}),
    (PROMOTIONS, kind("amount_off", amount=5, units={"max": 2}), {"params.units"}),
    (PROMOTIONS, kind("percent_off", percent="5", units={}), {"params.units"}),
    (PROMOTIONS, kind("percent_off", percent="5", units={"max": 1, "step": 2}), {"params.units.step"}),
    (PROMOTIONS, kind("percent_off", percent="5", units={"max": 1, "pick": "dearest"}), {"params.units.pick"}),
    (PROMOTIONS, kind("percent_off", percent="5", units={"max": 1}) | {"level": "order"}, {"params.units"}),
    (PROMOTIONS, kind("fixed_price", unit_price="5", units={"max": 0}), {"params.units.max"}),
    (PROMOTIONS, kind("buy_x_get_y", buy=1, get=1), {"params.percent"}),
    (PROMOTIONS, kind("buy_x_get_y", buy=1, get=1, percent="5", unit_price="5"), {"params.percent"}),
    (PROMOTIONS, kind("buy_x_get_y", buy=0, get=1001, percent="5"), {"params.buy", "params.get"}),
    (PROMOTIONS, kind("buy_x_get_y", buy=1, get=1, percent="5", incomplete="partial"), {"params.incomplete"}),
    (PROMOTIONS, kind("buy_x_get_y", buy=1, get=1, percent="5", get_scope={"skus": []}), {"params.get_scope.skus"}),
    (PROMOTIONS, kind("buy_x_get_y", buy=1, get=1, unit_price="5") | {"currency": None}, {"currency"}),
    (PROMOTIONS, kind("bundle", components=[], percent="5"), {"params.components"}),
    (PROMOTIONS, kind("bundle", components=[{"scope": {}}] * 11, percent="5"), {"params.components"}),
    (PROMOTIONS, kind("bundle", components=[{"quantity": 1}], percent="5"), {"params.components[0].scope"}),
    (PROMOTIONS, kind("bundle", components=[{"scope": {}}], percent="5", price=5), {"params.price"}),
    (PROMOTIONS, kind("bundle", components=[{"scope": {}}]), {"params.price"}),
    (PROMOTIONS, kind("bundle", components=[{"scope": {}}], price=5) | {"currency": None}, {"currency"}),
    (PROMOTIONS, kind("bundle", components=[{"scope": {}}], percent="5") | {"level": "order"}, {"level"}),
    (PROMOTIONS, condition({"attribute": "channel", "op": "~", "value": "web"}), {"conditions.all[0].not.op"}),
    (PROMOTIONS, condition({"attribute": "order.subtotal", "op": ">=", "value": 1.5}), {"conditions.all[0].not.value"}),
    (PROMOTIONS, condition({"attribute": "channel", "op": "in", "value": [True]}), {"conditions.all[0].not.value"}),
    (PROMOTIONS, condition({"attribute": "channel", "op": "=="}), {"conditions.all[0].not.value"}),
    (PROMOTIONS, condition({"all": [], "any": []}), {"conditions.all[0].not.any"}),
    (PROMOTIONS, condition("nothing"), {"conditions.all[0].not"}),
    (PROMOTIONS, PERCENT_OFF | {"conditions": deep(9)}, {"conditions"}),
    (PROMOTIONS, PERCENT_OFF | {"conditions": {"attribute": "order.subtotal", "op": ">=", "value": 5}}, {"currency"}),
    (COUPONS, {"promotion": "p", "codes": []}, {"codes"}),
    (COUPONS, COUPON | {"codes": ["a", " A "]}, {"codes[1]"}),
    (COUPONS, COUPON | {"codes": ["x" * 65]}, {"codes[0]"}),
    (COUPONS, COUPON | {"generate": {"count": 5}}, {"generate"}),
    (COUPONS, {"promotion": "p"}, {"codes"}),
    (COUPONS, {"promotion": "p", "generate": {"count": 0}}, {"generate.count"}),
    (COUPONS, {"promotion": "p", "generate": {"count": 100_001}}, {"generate.count"}),
    (COUPONS, {"promotion": "p", "generate": {"prefix": "SP-"}}, {"generate.count"}),
    (COUPONS, {"promotion": "p", "generate": {"count": 5, "prefix": "x" * 33}}, {"generate.prefix"}),
    (COUPONS, {"promotion": "p", "generate": {"count": 5, "prefix": "\ufdfa" * 32}}, {"generate.prefix"}),
    (COUPONS, {"promotion": "p", "generate": {"count": 5, "prefix": "a\x07b"}}, {"generate.prefix"}),
    (COUPONS, {"promotion": "p", "generate": {"count": 5, "seed": "ab"}}, {"generate.seed"}),
    (CAMPAIGNS, {"name": "C", "from": "2026-06-01T00:00:00"}, {"timezone"}),
    (CAMPAIGNS, {"name": "C", "from": "2026-06-02T00:00:00", "to": "2026-06-01T00:00:00", "timezone": "UTC"}, {"to"}),
    (CAMPAIGNS, {"name": "C", "budget": 5}, {"currency"}),
]


def places(resource: Resource, body: Any) -> set[str]:
    try:
        model = TypeAdapter(union(resource.members)).validate_python(body)
    except ValidationError as error:
        return {found.path for found in from_validation(error, body=body).errors}
    return {found.path for found in resource.check(resource.body_of("ID-1", model))}


@pytest.mark.parametrize(("resource", "body", "wrong"), TABLE, ids=[f"{r.name}-{n}" for n, (r, _, _) in enumerate(TABLE)])
def test_each_mistake_is_told_by_its_place(resource: Resource, body: dict[str, Any], wrong: set[str]) -> None:
    assert places(resource, body) == wrong


@pytest.mark.parametrize(
    ("resource", "body"),
    [
        (PRODUCTS, {"name": "x"}),
        (PRICES, PRICE | {"unit_price": "10000000000", "valid_from": "2026-01-01T00:00:00.5+02:00"}),
        (PRICES, tiers(("0.5", "2"), (None, "1"))),
        (SALE_PRICES, SALE),
        (SALE_PRICES, SALE | {"schedule": {"timezone": "UTC", "rrule": DAILY}}),
        (
            SALE_PRICES,
            SALE | {"schedule": {"timezone": "UTC", "holidays": {"country": "US", "names": ["Labor Day"], "days_after": 2}}},
        ),
        (SALE_PRICES, SALE | {"schedule": {"timezone": "UTC", "festival": {"name": "mid_autumn", "days_before": 7}}}),
        (GUARDRAILS, GUARDRAIL | {"ceiling": "10", "map": None}),
        (STRATEGIES, COST_PLUS),
        (STRATEGIES, COMPETITOR),
        (STRATEGIES, with_params(COMPETITOR, against="weighted", weights=[{"competitor": "a", "weight": "0.5"}])),
        (STRATEGIES, VALUE),
        (STRATEGIES, MARKDOWN),
        (STRATEGIES, with_params(MARKDOWN, target_units=5, daily_units=2)),
        (STRATEGIES, LIFECYCLE),
        (LADDERS, LADDER),
        (SEASONS, SEASON),
        (ENDINGS, ENDING),
        (POLICY, {"selection": "priority", "rounding_level": "line", "cash_rounding": None}),
        (POLICY, {"cash_rounding": 5, "points": {"USD": {"worth": "0.3"}}}),
        (POLICY, {"cash_rounding": {"CHF": 5}, "points": {"JPY": {"worth": "1", "max_percent": "50", "earn": "0.000001"}}}),
        (PROMOTIONS, {"name": "G", "kind": "gift", "params": {"skus": ["A", "B"], "choose": 2, "quantity": "0.5"}}),
        (PROMOTIONS, {"name": "S", "kind": "shipping", "params": {"percent": "100"}}),
        (PROMOTIONS, {"name": "P", "kind": "points", "params": {"multiplier": "0"}}),
        (PROMOTIONS, PERCENT_OFF | {"conditions": deep(8)}),
        (PROMOTIONS, spend(5000, amount=500)),
        (
            PROMOTIONS,
            kind("buy_x_get_y", buy=2, get=2, percent="50", incomplete="partial", get_scope={"include": {"skus": ["A"]}}),
        ),
        (PROMOTIONS, kind("bundle", components=[{"scope": {"include": {"skus": ["A"]}}, "quantity": 2}], price=0)),
        (PROMOTIONS, kind("fixed_price", unit_price="5", units={"max": 2, "per": "order", "pick": "dearest", "step": 2})),
        (COUPONS, COUPON),
        (CAMPAIGNS, {"name": "C"}),
    ],
)
def test_what_is_right_stays_right_when_it_is_written_again(resource: Resource, body: dict[str, Any]) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(union(resource.members))
    once = resource.body_of("ID-1", adapter.validate_python(body))
    again = resource.body_of(
        "ID-1", adapter.validate_python({name: value for name, value in once.items() if name != resource.row_key})
    )

    assert places(resource, body) == set()
    assert again == once


def test_instants_are_written_in_one_way() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(union(PRICES.members))
    body = PRICES.body_of("A", adapter.validate_python(PRICE | {"valid_from": "2026-01-01T01:30:00.9+02:00"}))

    assert body["valid_from"] == "2025-12-31T23:30:00Z"
    assert PRICES.document_id("A", body) == "A|default|USD|2025-12-31T23:30:00Z"


def test_codes_are_normalised() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(union(COUPONS.members))

    assert COUPONS.body_of("c", adapter.validate_python({"promotion": "p", "codes": [" ｓave10 ", "straße"]}))["codes"] == [
        "SAVE10",
        "STRASSE",
    ]


def test_the_level_of_a_promotion_is_its_kind_s_first() -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(union(PROMOTIONS.members))
    levels = [PROMOTIONS.body_of("p", adapter.validate_python(body))["level"] for body in (PERCENT_OFF, spend(5000, amount=500))]

    assert levels == ["line", "order"]
