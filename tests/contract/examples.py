"""The example documents of api.md, as they are written there."""

from typing import Any

AT = "2026-01-01T00:00:00Z"
SALE_DAYS = {"from": "2026-11-27T00:00:00", "to": "2026-11-30T00:00:00", "timezone": "America/New_York"}
IN_SALE_DAYS = "2026-11-28T12:00:00Z"
NOTHING: dict[str, Any] = {"skus": [], "categories": [], "brands": [], "tags": [], "attributes": {}}

PRODUCT: dict[str, Any] = {
    "name": "Red shoe",
    "category": "shoes/running",
    "brand": "acme",
    "tags": ["new"],
    "attributes": {"colour": "red"},
}
PRICE: dict[str, Any] = {
    "currency": "USD",
    "price_list": "default",
    "unit_price": "1299",
    "tiers": {
        "mode": "volume",
        "steps": [{"up_to": 9, "unit_price": "1299"}, {"up_to": None, "unit_price": "999", "flat_fee": 0}],
    },
}
TEN_OFF: dict[str, Any] = {
    "name": "Ten off",
    "kind": "percent_off",
    "params": {"percent": "10", "cap": 5000},
    "level": "line",
    "currency": "USD",
    "scope": {"include": {"categories": ["shoes"]}, "exclude": {"skus": ["SKU-9"]}},
    "conditions": {"all": [{"attribute": "order.subtotal", "op": ">=", "value": 5000}]},
    "schedule": SALE_DAYS,
    "lane": 0,
    "priority": 10,
    "group": None,
    "exclusive": False,
    "requires_code": True,
    "limits": {"uses": 1000, "uses_per_customer": 1, "budget": 500000},
    "funding": [{"party": "acme", "percent": "60"}],
}
COUPON: dict[str, Any] = {"promotion": "ten-off", "codes": ["SAVE10"]}
VIP: dict[str, Any] = {
    "priority": 10,
    "tax_included": True,
    "match": {"groups": ["vip"], "stores": [], "channels": ["web"], "markets": ["US"]},
}
# The one example that says too little: an amount means something in one currency only, so ours is named.
FLASH: dict[str, Any] = {
    "name": "Flash",
    "scope": {"include": {"skus": ["SKU-1"]}},
    "unit_price": "999",
    "schedule": SALE_DAYS,
    "stock_cap": 500,
    "per_customer_cap": 2,
}
GUARDRAIL: dict[str, Any] = {"scope": {"include": {"skus": ["SKU-1"]}}, "currency": "USD", "floor": "900", "ceiling": "2000"}
MORE_BOUNDS: dict[str, Any] = GUARDRAIL | {
    "min_margin": "10",
    "map": "1099",
    "max_discount": "40",
    "max_change": {"percent": "10", "days": 1},
}
STRATEGY: dict[str, Any] = {
    "kind": "elasticity",
    "scope": {"include": {"categories": ["shoes"]}},
    "currency": "USD",
    "params": {"form": "iso_elastic", "elasticity": "-2.4", "reference_price": "1299", "objective": "profit"},
    "endings": "us-99",
}
ENDINGS: dict[str, Any] = {"currency": "USD", "bands": [{"up_to": None, "endings": ["99", "49"]}], "direction": "nearest"}
POLICY: dict[str, Any] = {
    "rounding": "half_up",
    "rounding_level": "line",
    "percent_base": "running",
    "remainder": "largest",
    "selection": "best",
    "exclusive_wins": False,
    "coupon_failure": "partial",
    "cash_rounding": None,
}
SIGNALS: dict[str, list[dict[str, Any]]] = {
    "costs": [{"sku": "SKU-1", "currency": "USD", "unit_cost": "700", "at": AT}],
    "stock": [{"sku": "SKU-1", "units": "120", "at": AT}],
    "competitors": [{"sku": "SKU-1", "competitor": "rival", "currency": "USD", "unit_price": "1250", "in_stock": True, "at": AT}],
    "demand": [{"sku": "SKU-1", "index": "1.15", "at": AT}],
}
SALE: dict[str, Any] = {
    "id": "s-1",
    "at": AT,
    "sku": "SKU-1",
    "quantity": 2,
    "paid": 2338,
    "currency": "USD",
    "channel": "web",
    "store": None,
    "customer": "c-17",
    "promotion": True,
    "quote": None,
}
QUOTE: dict[str, Any] = {
    "currency": "USD",
    "channel": "web",
    "store": None,
    "market": "US",
    "customer": {"id": "c-17", "segments": ["vip"], "level": "gold", "orders": 12, "spend": 120000, "attributes": {}},
    "lines": [{"id": "1", "sku": "SKU-1", "quantity": 2}],
    "codes": ["SAVE10"],
    "points": 0,
    "shipping": 500,
    "attributes": {},
    "at": None,
}
