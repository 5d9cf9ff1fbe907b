"""What a process shows to Prometheus: from the start what alerts read, and never more than it may, nor a name of anybody."""

import asyncio
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from app.db.engine import Database
from app.metrics import BOUNDS, Metrics
from app.pricing import guardrails
from app.worker import Worker, create_worker_app
from tests.service import serving
from tests.support import running
from tests.watching.test_rules import RULES

SERIES_MAX: Final = 4_000  # docs/operating.md says so
_SELECTOR: Final = re.compile(r"\b(pricing_\w+?)(?:_bucket)?(?:\{([^}]*)\})?(?=[\[\s)]|$)")
_MATCHER: Final = re.compile(r'(\w+)=(~?)"([^"]*)"')


def families(text: str) -> dict[str, Metric]:
    return {re.sub(r"_total$", "", family.name): family for family in text_string_to_metric_families(text)}


def labelled(metric: Metric) -> Iterator[dict[str, str]]:
    return ({name: value for name, value in sample.labels.items() if name != "le"} for sample in metric.samples)


def read_by_alerts() -> Iterator[tuple[str, dict[str, re.Pattern[str]]]]:
    """The metrics in the expressions of the rules, and what is asked of their labels."""
    for group in yaml.safe_load(RULES.read_text())["groups"]:
        for rule in group["rules"]:
            for name, matchers in _SELECTOR.findall(rule["expr"]):
                asked = {
                    label: re.compile(value if is_pattern else re.escape(value))
                    for label, is_pattern, value in _MATCHER.findall(matchers)
                }
                yield re.sub(r"_total$", "", name), asked


def missing(text: str, values: dict[str, set[str]], *, but: frozenset[str] = frozenset()) -> set[str]:
    """What alerts read and the text does not have; `values` are those that labels may take, of which a rule's pattern means some."""
    found = families(text)
    absent: set[str] = set()
    for name, asked in read_by_alerts():
        if name in but:
            continue
        if name not in found or not found[name].samples:
            absent.add(name)
            continue
        shown = list(labelled(found[name]))
        for label, pattern in asked.items():
            meant = {value for value in values[label] if pattern.fullmatch(value)}
            assert meant, (name, label, pattern)
            absent |= {f"{name} {label}={value}" for value in meant - {labels.get(label, "") for labels in shown}}
    return absent


async def test_what_alerts_read_is_there_before_anything_has_happened(fresh_database: Database, tmp_path: Path) -> None:
    async with serving(fresh_database, tmp_path) as client:
        text = (await client.get("/metrics")).text
        paths = (await client.get("/openapi.json")).json()["paths"]
    endpoints = {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}
    values = {
        "endpoint": endpoints,
        "status": {"2xx", "4xx", "5xx"},
        "reason": set(Metrics().refused.labels[0].values),
        "bound": set(guardrails.BOUNDS),
        "door": {"quote", "batch", "prices", "preview"},
    }
    elsewhere = frozenset({"pricing_meter_drift", "pricing_meter_drift_checked_seconds"})  # the worker has them
    comes_with_quotes = frozenset({"pricing_discount_minor", "pricing_subtotal_minor"})  # by kind, and by channel and currency

    assert missing(text, values, but=elsewhere | comes_with_quotes) == set()
    # Each route has all its classes, not only each class some route.
    requests = {(one["endpoint"], one["status"]) for one in labelled(families(text)["pricing_requests"])}
    assert {(endpoint, status) for endpoint in endpoints for status in values["status"]} <= requests
    tasks = {one["task"] for one in labelled(families(text)["pricing_background_failures"])}
    assert {"pulse", "refresher", "schedules", "start", "sweeper", "counters"} <= tasks
    assert all(sample.value == 0 for sample in families(text)["pricing_background_failures"].samples)


def test_a_series_that_is_not_there_is_missed() -> None:
    bare = "# TYPE pricing_database_up gauge\npricing_database_up 1.0\n"

    absent = missing(bare, {})

    assert "pricing_requests" in absent
    assert "pricing_database_up" not in absent


async def test_the_worker_shows_what_alerts_read_of_it(database: Database) -> None:
    worker = Worker(database, retention_days=7, hold_retention_days=7)
    async with running(create_worker_app(worker)) as client:
        found = families((await client.get("/metrics")).text)

    assert {one["task"] for one in labelled(found["pricing_background_failures"])} == worker.jobs.keys()
    assert {"pricing_meter_drift", "pricing_meter_drift_checked_seconds"} <= found.keys()


def test_bounds_are_those_of_guardrails() -> None:
    assert BOUNDS == guardrails.BOUNDS


NAMED: Final = "Q9Z"  # in every name that must not be shown
CURRENCIES: Final = ("USD", "EUR", "GBP", "CHF", "SEK", "NOK", "DKK", "PLN", "CZK", "JPY", "CAD")
N_NAMES: Final = 40


async def imported(client: httpx.AsyncClient, resource: str, rows: list[dict[str, Any]]) -> None:
    reply = await client.post(
        "/v1/import",
        params={"resource": resource, "publish": "now"},
        content="\n".join(map(json.dumps, rows)),
        headers={"content-type": "application/x-ndjson"},
    )
    assert reply.is_success, reply.text


async def fill_the_shop(client: httpx.AsyncClient) -> None:
    """Two price lists with and without tax, in more currencies than are told apart, costs, guardrails, and many of what has a name."""
    names = [f"{NAMED}-{number}" for number in range(N_NAMES)]
    gross = {"id": f"gross-{NAMED}", "name": "Gross", "tax_included": True, "priority": 1, "match": {"channels": ["gross"]}}
    await imported(client, "price-lists", [gross])
    each = [(f"SKU-{NAMED}-{number}", currency) for number in range(3) for currency in CURRENCIES]
    rows = [{"sku": sku, "currency": currency, "unit_price": "1000"} for sku, currency in each]
    await imported(client, "prices", rows + [{**row, "price_list": gross["id"]} for row in rows])
    costs = [{"sku": sku, "currency": currency, "unit_cost": "600", "at": "2026-01-01T00:00:00Z"} for sku, currency in each]
    assert (await client.put("/v1/signals/costs", json=costs)).is_success
    scope = {"include": {"skus": [f"SKU-{NAMED}-0"]}}
    await imported(client, "guardrails", [{"id": f"g-{NAMED}", "scope": scope, "currency": "USD", "floor": "990"}])
    off = {"kind": "percent_off", "params": {"percent": "5"}, "limits": {"uses": 1_000}}
    await imported(
        client,
        "promotions",
        [{"id": name, "name": name, "requires_code": number > 2, **off} for number, name in enumerate(names)],
    )
    await imported(client, "coupons", [{"id": name, "promotion": name, "codes": [f"CODE-{name}"]} for name in names[3:]])
    await imported(
        client,
        "campaigns",
        [{"id": name, "name": name, "promotions": [name], "budget": 10**9, "currency": "USD"} for name in names[:20]],
    )


async def quote_and_hold(client: httpx.AsyncClient, numbers: range) -> None:
    """Quote with names that are new each time: keys, channels, customers, codes, orders, verbs and paths."""
    for number in numbers:
        key = (await client.post("/v1/keys", json={"name": f"{NAMED}-{number}", "scopes": ["quote"]})).json()["key"]
        more = {"channel": "gross" if number % 3 == 0 else f"channel-{number}", "customer": {"id": f"customer-{NAMED}-{number}"}}
        lines = [{"sku": f"SKU-{NAMED}-{at}", "quantity": 1 + number} for at in range(3)]
        quotes = [
            {"currency": currency, "lines": lines, "codes": [f"CODE-{NAMED}-{3 + number % 30}"], **more}
            for currency in CURRENCIES
        ]
        own = {"Authorization": f"Bearer {key}"}
        # Keys that were made a moment ago are looked up at a bounded rate.
        while (reply := await client.post("/v1/quotes/batch", json={"quotes": quotes}, headers=own)).status_code == 503:
            await asyncio.sleep(0.05)
        assert all("quote" in result for result in reply.json()["results"]), reply.text
        await client.post("/v1/holds", json={"quote": reply.json()["results"][0]["quote"]["token"], "order": f"{NAMED}-{number}"})
        await client.request(f"VERB{number}", f"/v1/{NAMED}-{number}")
        await client.get("/v1/keys", headers=own)


async def try_every_route(client: httpx.AsyncClient) -> None:
    """Ask for what is not there, and with what is nothing."""
    paths = (await client.get("/openapi.json")).json()["paths"]
    for path, methods in paths.items():
        for method in methods:
            for content in (b"[1", json.dumps({"name": NAMED}).encode()):
                at = re.sub(r"[{][^}]*[}]", f"{NAMED}-x", path)
                await client.request(method, at, content=content, headers={"content-type": "application/json"})


async def test_no_caller_can_blow_the_series_up_or_put_a_name_into_one(fresh_database: Database, tmp_path: Path) -> None:
    async with serving(fresh_database, tmp_path) as client:
        await fill_the_shop(client)
        await try_every_route(client)
        await quote_and_hold(client, range(N_NAMES - 5))
        text = (await client.get("/metrics")).text
        await quote_and_hold(client, range(N_NAMES - 5, N_NAMES))
        again = (await client.get("/metrics")).text

    series = [line for line in text.splitlines() if not line.startswith("#")]
    found = families(text)
    channels = {one["channel"] for one in labelled(found["pricing_merchandise_minor"])}
    currencies = {one["currency"] for one in labelled(found["pricing_merchandise_minor"])}
    # It was busy enough to fill what there is room for.
    assert (len(channels), len(currencies)) == (21, 11)
    assert "other" in channels & currencies
    assert {one["tax"] for one in labelled(found["pricing_cost_minor"])} == {"included", "excluded"}
    assert sum(sample.value for sample in found["pricing_held_lines"].samples) > 0
    assert len({one["endpoint"] for one in labelled(found["pricing_request_seconds"])}) > 90
    assert len({one["problem"] for one in labelled(found["pricing_request_errors"])}) >= 5
    assert 2_500 < len(series) <= SERIES_MAX, len(series)
    assert NAMED not in text
    assert len(again.splitlines()) == len(text.splitlines())
