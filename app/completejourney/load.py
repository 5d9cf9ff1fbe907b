"""Loads the reconstructed shop into a running service, through its bulk import."""

import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, Final

import numpy as np

from app.client import ApiClient
from app.completejourney.documents import ASSOCIATES_PROMOTION, documents_of, reconstruct_shop
from app.completejourney.tables import Tables, read_tables

# Rows of one import. Each import is published, and so compiles the book; the largest resource is some 200 000 rows.
_ROWS_AT_ONCE: Final = 100_000


class AnotherShop(Exception):
    """The service has promotions of another shop, which would take part in the prices of this one."""


def import_completejourney(
    base_url: str, key: str | None = None, *, tables: Tables | None = None, say: Callable[[str], None] = print
) -> dict[str, int]:
    """Reconstructs the shop and imports it; returns how many documents of each resource there are.

    The key needs the scopes read and write. Running it again changes nothing. Raises DataMissing without the optional
    packages, AnotherShop, ApiProblem when the service refuses something, OSError when nobody answers.
    """
    with ApiClient(base_url, key) as api:
        promotions = api.call("GET", "/v1/promotions", query={"limit": "1"})["items"]
    if promotions and promotions[0]["id"] != ASSOCIATES_PROMOTION:
        raise AnotherShop(
            "the service has another shop's promotions; import into one with a database of its own (PRICING_DATA_DIR)"
        )
    tables = tables or read_tables()
    lines = tables.lines
    say(f"Read {lines.basket.size} lines of {np.unique(lines.basket).size} baskets; reconstructing the shop.")
    shop = reconstruct_shop(tables, is_used=lines.quantity_milli > 0)
    counts: dict[str, int] = {}
    with ApiClient(base_url, key) as api:
        for resource, documents in documents_of(shop):
            counts[resource] = 0
            for rows in _chunks(documents):
                body = b"".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for row in rows)
                query = {"resource": resource, "publish": "now"}
                done = api.call("POST", "/v1/import", query=query, body=body, content_type="application/x-ndjson")
                counts[resource] += len(rows)
                say(f"{resource}: {counts[resource]} imported, version {done['version']}")
    return counts


def _chunks(documents: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while rows := list(islice(documents, _ROWS_AT_ONCE)):
        yield rows
