"""What the documentation shows is what the service does: each page's requests are sent, in order, to a service of their own."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.db.engine import Database
from app.demo.load import FILES, SIGNALS, shop_file, signal_facts, tryout
from tests.docs.pages import HERE, ROOT, SAMPLE_SHOP, Exchange, blocks, differences, exchanges, name_of, pages
from tests.service import serving

WITH_REQUESTS = [page for page in pages() if exchanges(page)]
_PLACE = re.compile(r"\{([a-z_]+)\}")
_MEDIA_TYPES = {"csv": "text/csv", "ndjson": "application/x-ndjson"}


@pytest.mark.parametrize("page", WITH_REQUESTS, ids=name_of)
async def test_requests_are_answered_as_shown(page: Path, own_database: Database, tmp_path: Path) -> None:
    async with serving(own_database, tmp_path) as client:
        is_sample = SAMPLE_SHOP in page.read_text()
        if is_sample:
            await load_sample_shop(client)
        known: dict[str, str] = {}
        for exchange in exchanges(page):
            reply = await send(client, at_a_quiet_hour(exchange) if is_sample else exchange, known)

            wrong = told(exchange, reply)
            assert not wrong, f"{name_of(page)}:{exchange.line}: {exchange.method} {exchange.path}: {'; '.join(wrong)}"


@pytest.mark.parametrize("page", pages(), ids=name_of)
def test_json_is_json(page: Path) -> None:
    for block in blocks(page):
        if block.language == "json":
            json.loads(block.text)


def test_the_readme_tries_what_make_run_prints() -> None:
    assert tryout(HERE) in [block.text.strip() for block in blocks(ROOT / "README.md")]


def test_a_wrong_example_is_noticed() -> None:
    real = {"lines": [{"total": 100, "adjustments": []}], "version": 7}

    assert not list(differences({"lines": [{"total": 100}], "version": "…"}, real))
    assert not list(differences({"lines": ["…"]}, real))
    wrong: list[dict[str, Any]] = [
        {"lines": [{"total": 101}]},
        {"lines": []},
        {"lines": [{"total": "100"}]},
        {"line": []},
        {"version": 7.0},
    ]
    for shown in wrong:
        assert list(differences(shown, real)), shown


def at_a_quiet_hour(exchange: Exchange) -> Exchange:
    """The request on a Tuesday afternoon: the sample shop has happy hours and holiday weekends, in which its figures differ."""
    if exchange.path not in ("/v1/quotes", "/v1/preview"):
        return exchange
    today = datetime.now(UTC).replace(hour=20, minute=0, second=0, microsecond=0)
    tuesday = today + timedelta(days=(1 - today.weekday()) % 7)
    return exchange._replace(body=json.dumps(json.loads(exchange.body) | {"at": tuesday.isoformat()}))


async def send(client: httpx.AsyncClient, exchange: Exchange, known: dict[str, str]) -> httpx.Response:
    """Send a request with what earlier replies fill into its path, headers and body, and remember what this one has."""

    def filled(text: str) -> str:
        return _PLACE.sub(lambda match: known[match[1]], text)

    headers = {name: filled(value) for name, value in exchange.headers.items()}
    reply = await client.request(exchange.method, filled(exchange.path), content=filled(exchange.body).encode(), headers=headers)
    if "json" in reply.headers.get("content-type", "") and "ndjson" not in reply.headers["content-type"]:
        content: Any = reply.json()
        if isinstance(content, dict):
            known |= {name: str(value) for name, value in content.items() if isinstance(value, str | int)}
    if "etag" in reply.headers:
        known["etag"] = reply.headers["etag"]
    return reply


def told(exchange: Exchange, reply: httpx.Response) -> list[str]:
    """What is not as the page says."""
    if exchange.status is None and not reply.is_success:
        return [f"{reply.status_code} {reply.text}"]
    if exchange.status is not None and reply.status_code != exchange.status:
        return [f"{reply.status_code}, not {exchange.status}: {reply.text}"]
    return [] if exchange.reply is None else list(differences(exchange.reply, reply.json()))


async def load_sample_shop(client: httpx.AsyncClient) -> None:
    for kind, name in SIGNALS:
        (await client.put(f"/v1/signals/{kind}", json=signal_facts(name))).raise_for_status()
    for resource, name in FILES:
        reply = await client.post(
            "/v1/import",
            params={"resource": resource, "publish": "now"},
            content=shop_file(name),
            headers={"Content-Type": _MEDIA_TYPES[name.rpartition(".")[2]]},
        )
        reply.raise_for_status()
