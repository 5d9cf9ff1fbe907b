"""The OpenAPI document is valid, says what a reader needs of every operation, and has what api.md promises."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from app.web.auth import SCOPES

RESOURCES = (
    "products",
    "price-lists",
    "prices",
    "sale-prices",
    "promotions",
    "campaigns",
    "coupons",
    "guardrails",
    "strategies",
    "endings",
    "ladders",
    "seasons",
    "attributes",
)
# The operations of api.md that exist so far.
PROMISED = {
    ("POST", "/v1/quotes"),
    ("POST", "/v1/quotes/batch"),
    ("POST", "/v1/prices"),
    ("POST", "/v1/preview"),
    ("GET", "/v1/quotes/{quote_id}"),
    *(
        (method, f"/v1/{name}/{{{'sku' if name == 'prices' else 'id'}}}")
        for name in RESOURCES
        for method in ("PUT", "GET", "DELETE")
    ),
    *((method, f"/v1/{name}") for name in ("policy", "publishing-policy") for method in ("PUT", "GET", "DELETE")),
    *(("GET", f"/v1/{name}") for name in RESOURCES),
    *((method, f"/v1/signals/{name}") for name in ("costs", "stock", "competitors", "demand") for method in ("PUT", "GET")),
    ("POST", "/v1/sales"),
    ("POST", "/v1/import"),
    ("GET", "/v1/export"),
    ("POST", "/v1/releases"),
    ("POST", "/v1/releases/{id}/validate"),
    ("POST", "/v1/releases/{id}/publish"),
    ("POST", "/v1/releases/rollback"),
    ("DELETE", "/v1/releases/{id}"),
    ("GET", "/v1/audit"),
    ("GET", "/v1/decisions"),
    ("GET", "/v1/decisions/{decision_id}"),
    ("POST", "/v1/decisions/{decision_id}/replay"),
    ("POST", "/v1/keys"),
    ("GET", "/livez"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
}
# What changes nothing, and so runs as often as it is sent.
READING_POSTS = {"quotePrices", "previewQuote", "validateRelease", "replayDecision"}
QUOTE = (
    "id version issued_at expires_at currency lines adjustments shipping subtotal discount total gifts points not_applied next_benefit selection"
    " personalised personal_inputs disclosures token"
)
LINE = "id sku quantity list_unit_price unit_price net_unit_price subtotal discount total reference_price adjustments"
SHAPES = {
    "QuoteRequest": "currency channel store market customer lines codes points shipping attributes at version min_version partial",
    "Customer": "id segments level orders spend attributes",
    "Line": "id sku quantity",
    "Quote": QUOTE,
    "QuotedLine": LINE,
    "Adjustment": "kind rule revision name amount code",
    "Product": "name category brand tags attributes",
    "PriceList": "priority tax_included match",
    "Price": "currency price_list unit_price tiers",
    "SalePrice": "name scope unit_price percent amount schedule stock_cap per_customer_cap",
    "PercentOffPromotion": "name kind params level currency scope conditions schedule lane priority group exclusive requires_code limits funding",
    "PercentOffPromotionParams": "percent cap of",
    "AmountOffPromotionParams": "amount per cap",
    "FixedPricePromotionParams": "unit_price",
    "TieredPromotionParams": "by steps",
    "SpendSavePromotionParams": "threshold amount percent repeat max_times steps",
    "Limits": "uses uses_per_day uses_per_week uses_per_month uses_per_customer uses_per_customer_per_day uses_per_customer_per_week"
    " uses_per_customer_per_month budget gifts",
    "Coupon": "promotion codes generate limits",
    "CouponLimits": "uses uses_per_customer uses_per_code",
    "Campaign": "name goal promotions from to timezone budget currency",
    "PointsProgram": "worth max_percent max_amount earn balances",
    "Guardrail": "scope currency floor ceiling min_margin map max_discount max_change",
    "ElasticityStrategyParams": "form elasticity reference_price objective stock_value",
    "CostPlusStrategyParams": "markup margin amount",
    "CompetitorStrategyParams": "against weights percent amount in_stock_only max_age_hours otherwise",
    "ValueStrategyParams": "reference_price differences share",
    "MarkdownStrategyParams": "target_units by elasticity only_down",
    "LifecycleStrategyParams": "stages",
    "LifecycleStrategyParamsStage": "stage from percent unit_price",
    "Endings": "currency bands direction",
    "Policy": "rounding rounding_level percent_base remainder selection exclusive_wins coupon_failure cash_rounding points",
    "GiftPromotionParams": "skus choose quantity",
    "ShippingPromotionParams": "percent amount",
    "PointsPromotionParams": "multiplier",
    "QuotedGift": "rule revision name skus choose quantity worth code",
    "QuotedShipping": "subtotal discount total adjustments",
    "QuotedPoints": "redeemed amount earned multipliers",
    "Cost": "sku currency unit_cost at",
    "Stock": "sku units at",
    "CompetitorPrice": "sku competitor currency unit_price in_stock at",
    "Demand": "sku index at",
    "Sale": "id at sku quantity paid currency channel store customer promotion quote",
    "Problem": "type title status detail errors",
    "ReplayReply": "equal",
}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def test_it_is_valid_openapi(document: dict[str, Any]) -> None:
    validate(document)

    assert document["openapi"].startswith("3.1")
    assert document["info"]["description"]
    assert document["info"]["license"]


def test_what_api_md_promises_is_there(document: dict[str, Any]) -> None:
    there = {(method, path) for method, path, _ in operations(document)}

    assert there >= PROMISED, PROMISED - there
    print(f"\n{len(there)} operations, {len(document['components']['schemas'])} schemas")


@pytest.mark.parametrize("name", SHAPES)
def test_the_shapes_of_api_md_are_there(document: dict[str, Any], name: str) -> None:
    properties = document["components"]["schemas"][name]["properties"]

    assert not set(SHAPES[name].split()) - properties.keys()


def test_every_operation_says_what_it_is(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    wrong = []
    for method, path, operation in operations(document):
        says = {
            "an operationId in camelCase": re.fullmatch(r"[a-z][A-Za-z]+", operation.get("operationId", "")),
            "a known tag": len(operation.get("tags", [])) == 1 and operation["tags"][0] in tags,
            "a summary in words": re.fullmatch(r"[A-Z][^.]*", operation.get("summary", "")),
            "a description": operation.get("description"),
            "described parameters": all(parameter["schema"] for parameter in operation.get("parameters", [])),
        }
        wrong += [f"{method} {path} lacks {name}" for name, holds in says.items() if not holds]

    assert not wrong
    ids = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(ids)) == len(ids)


def test_every_operation_names_its_scope(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        needed = [scope for way in operation.get("security", []) for scope in way["key"]]
        assert bool(needed) == path.startswith("/v1"), f"{method} {path}"
        assert set(needed) <= set(SCOPES)


def test_every_operation_can_be_refused_as_a_problem(document: dict[str, Any]) -> None:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for method, path, operation in operations(document):
        responses = operation["responses"]
        refusals = {status: content["content"] for status, content in responses.items() if status == "default" or status >= "400"}
        assert all(content == problem for content in refusals.values()), f"{method} {path}"
        expected = {"default"} | ({"401", "403", "503"} if path.startswith("/v1") else set())
        if "requestBody" in operation:
            expected |= {"400", "408", "413", "415", "422"}
        assert expected <= refusals.keys(), f"{method} {path}"
        assert any(status.startswith("2") for status in responses)


def test_every_change_takes_an_idempotency_key_and_every_document_an_etag(document: dict[str, Any]) -> None:
    for method, path, operation in operations(document):
        headers = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "header"}
        changes = method != "GET" and operation["operationId"] not in READING_POSTS
        assert ("Idempotency-Key" in headers) == changes, f"{method} {path}"
        is_document = operation["tags"][0] in ("catalog", "promotions") or path == "/v1/publishing-policy"
        if is_document and method in ("PUT", "DELETE"):
            assert {"If-Match", "If-None-Match"} <= headers
        if is_document and method == "PUT":
            assert all("ETag" in operation["responses"][status]["headers"] for status in ("200", "201"))


def test_every_reference_leads_somewhere_and_every_schema_is_used(document: dict[str, Any]) -> None:
    used = set(re.findall(r"#/components/schemas/([^\"]+)\"", json.dumps(document)))

    assert used == document["components"]["schemas"].keys()
    assert all(re.fullmatch(r"[A-Z][A-Za-z]*", name) for name in used)


def test_request_bodies_refuse_unknown_fields(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    def bodies(schema: Any) -> Iterator[str]:
        """The names of the object schemas that a request is made of."""
        if isinstance(schema, dict):
            if name := schema.get("$ref", "").rpartition("/")[2]:
                yield name
            for key, member in schema.items():
                if key != "discriminator":
                    yield from bodies(member)
        elif isinstance(schema, list):
            for member in schema:
                yield from bodies(member)

    found: set[str] = set()
    waiting = {name for _, _, operation in operations(document) for name in bodies(operation.get("requestBody"))}
    while waiting:
        found |= waiting
        waiting = {inner for name in waiting for inner in bodies(schemas[name])} - found
    objects = {name for name in found if "properties" in schemas[name]}
    assert len(objects) > 30
    assert [name for name in objects if schemas[name].get("additionalProperties") is not False] == []


def test_every_example_and_default_is_what_its_schema_says(document: dict[str, Any]) -> None:
    registry: Registry[Any] = Registry().with_resource(
        "document", Resource.from_contents(document, default_specification=DRAFT202012)
    )
    checked = 0

    def check(schema: dict[str, Any], value: Any, place: str) -> None:
        nonlocal checked
        whole = {"$ref": f"document#{place}"}
        errors = [error.message for error in Draft202012Validator(whole, registry=registry).iter_errors(value)]
        assert not errors, f"{place}: {errors}"
        checked += 1

    def walk(node: Any, place: str) -> None:
        if isinstance(node, dict):
            if isinstance(node.get("schema"), dict) and "example" in node:
                check(node["schema"], node["example"], f"{place}/schema")
            if "type" in node or "anyOf" in node or "$ref" in node or "oneOf" in node:
                values = [*node["examples"]] if isinstance(node.get("examples"), list) else []
                values += [node["default"]] if "default" in node else []
                for value in values:
                    check(node, value, place)
            for key, member in node.items():
                walk(member, f"{place}/{key.replace('~', '~0').replace('/', '~1')}")
        elif isinstance(node, list):
            for number, member in enumerate(node):
                walk(member, f"{place}/{number}")

    walk(document, "")
    assert checked > 50
