"""The sample shop: Juniper & Iron, things for the trail and the table. Loads it into a running service, once."""

import csv
import io
import json
from importlib import resources
from typing import Any, Final

from app.client import ApiClient

# (resource, file): what a document refers to comes before it. Imports of one resource add up.
FILES: Final = (
    ("policy", "policy.ndjson"),
    ("attributes", "attributes.ndjson"),
    ("price-lists", "price-lists.ndjson"),
    ("endings", "endings.ndjson"),
    ("products", "products.ndjson"),
    ("prices", "prices.csv"),
    ("prices", "prices-tiers.ndjson"),
    ("guardrails", "guardrails.ndjson"),
    ("sale-prices", "sale-prices.ndjson"),
    ("promotions", "promotions.ndjson"),
    ("coupons", "coupons.ndjson"),
    ("campaigns", "campaigns.ndjson"),
    ("ladders", "ladders.ndjson"),
    ("seasons", "seasons.ndjson"),
    ("strategies", "strategies.ndjson"),
)
SIGNALS: Final = (
    ("costs", "costs.csv"),
    ("stock", "stock.csv"),
    ("competitors", "competitors.csv"),
    ("demand", "demand.csv"),
)
# The instant of the sample's facts is fixed, so that whatever a person sends afterwards is newer, and sending them again changes nothing.
FACTS_AT: Final = "2026-01-01T00:00:00Z"
# One of the last documents to be published. Where it is, the shop is, whatever a person has changed in it since.
_LAST: Final = "/v1/strategies/headlamp-350"
_MEDIA_TYPES: Final = {"csv": "text/csv", "ndjson": "application/x-ndjson"}


def load_sample_shop(base_url: str, key: str | None = None) -> bool:
    """Loads the shop into the service at `base_url`; returns whether there was anything to do.

    A service that has another shop's products is left alone: the promotions of the sample hold for everything. The key needs the
    scopes read, write and signals; none is needed where the service is open on loopback. A load that was cut short goes on where
    it stopped: an import of what is already there changes nothing. Raises ApiProblem when the service refuses something,
    OSError when nobody answers.
    """
    with ApiClient(base_url, key) as api:
        status, _ = api.send("GET", _LAST)
        if status == 200:
            return False
        first = api.call("GET", "/v1/products", query={"limit": "1"})["items"]
        if first and first[0]["id"] not in sample_skus():
            return False
        for kind, name in SIGNALS:
            api.call("PUT", f"/v1/signals/{kind}", body=json.dumps(signal_facts(name)).encode())
        for resource, name in FILES:
            media_type = _MEDIA_TYPES[name.rpartition(".")[2]]
            api.call(
                "POST",
                "/v1/import",
                query={"resource": resource, "publish": "now"},
                body=shop_file(name),
                content_type=media_type,
            )
    return True


def shop_file(name: str) -> bytes:
    """The content of a file of the shop."""
    return (resources.files("app.demo") / "shop" / name).read_bytes()


def sample_skus() -> set[str]:
    """The SKUs of the shop."""
    return {json.loads(line)["id"] for line in shop_file("products.ndjson").splitlines()}


def signal_facts(name: str) -> list[dict[str, Any]]:
    """The rows of a file of facts as the service takes them, each with its instant."""
    rows = csv.DictReader(io.StringIO(shop_file(name).decode()))
    booleans = {"true": True, "false": False}
    return [{**{name: booleans.get(value, value) for name, value in row.items()}, "at": FACTS_AT} for row in rows]


def tryout(base_url: str) -> str:
    """A command to try: a basket in which tiers, a strategy, promotions and a coupon have their say."""
    lines: list[tuple[str, int | str]] = [
        ("MUG-ENAMEL-BLUE", 12),
        ("COFFEE-CAMP", "1.25"),
        ("SKILLET-26", 1),
        ("SCREW-BRASS-16", 250),
    ]
    basket = {
        "currency": "USD",
        "channel": "web",
        "customer": {"level": "gold", "orders": 6},
        "lines": [{"sku": sku, "quantity": quantity} for sku, quantity in lines],
        "codes": ["MUG9", "SAVE20"],
    }
    return f"curl -s {base_url}/v1/quotes -H 'Content-Type: application/json' -d '{json.dumps(basket)}'"
