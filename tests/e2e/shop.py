"""A small shop, opened over HTTP: what is sent is what a merchandiser would send."""

from typing import Any, Final

import httpx

EVERYTHING: Final[dict[str, Any]] = {"include": {}, "exclude": {}}

# In this order each is complete when it comes: what a document names is there before it.
SHOP: Final[tuple[tuple[str, dict[str, Any]], ...]] = (
    ("/v1/products/SKU-1", {"name": "Red shoe", "category": "shoes/running", "brand": "acme"}),
    ("/v1/products/SKU-2", {"name": "Laces", "category": "shoes/care"}),
    ("/v1/products/SKU-3", {"name": "Umbrella", "category": "weather"}),
    (
        "/v1/prices/SKU-1",
        {
            "currency": "USD",
            "unit_price": "1299",
            "tiers": {"mode": "volume", "steps": [{"up_to": "9", "unit_price": "1299"}, {"up_to": None, "unit_price": "999"}]},
        },
    ),
    ("/v1/prices/SKU-2", {"currency": "USD", "unit_price": "250"}),
    ("/v1/prices/SKU-3", {"currency": "USD", "unit_price": "2000"}),
    (
        "/v1/promotions/ten-off",
        {
            "name": "Ten off",
            "kind": "percent_off",
            "params": {"percent": "10"},
            "scope": {"include": {"categories": ["shoes"]}},
            "requires_code": True,
        },
    ),
    ("/v1/coupons/SAVE10", {"promotion": "ten-off", "codes": ["SAVE10"]}),
    (
        "/v1/promotions/big-basket",
        {
            "name": "Five off a hundred",
            "kind": "spend_save",
            "params": {"threshold": 10000, "amount": 500},
            "level": "order",
            "currency": "USD",
            "scope": EVERYTHING,
            "lane": 1,
        },
    ),
    (
        "/v1/guardrails/laces",
        {"scope": {"include": {"skus": ["SKU-2"]}}, "currency": "USD", "floor": "230"},
    ),
)


def open_shop(client: httpx.Client) -> int:
    """Publish the shop, document by document; gives the version that has all of it."""
    version = 0
    for path, body in SHOP:
        version = publish(client, path, body)
    return version


def publish(client: httpx.Client, path: str, body: dict[str, Any]) -> int:
    """Put a document in force; gives the version."""
    reply = client.put(path, json=body, params={"publish": "now"})
    assert reply.status_code in (200, 201), reply.text
    return int(reply.json()["version"])


def basket(*lines: tuple[str, int | str], **more: Any) -> dict[str, Any]:
    """A request for lines of (SKU, quantity) in USD."""
    return {"currency": "USD", "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines]} | more


def quote(
    client: httpx.Client, *lines: tuple[str, int | str], headers: dict[str, str] | None = None, **more: Any
) -> httpx.Response:
    """Ask for a quote."""
    return client.post("/v1/quotes", json=basket(*lines, **more), headers=headers)
