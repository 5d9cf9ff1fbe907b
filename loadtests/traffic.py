"""Requests for whatever shop a service has: its SKUs and codes, asked for as a shape says."""

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from app.client import ApiClient
from loadtests.shape import Shape

PATHS: Final = {"quote": "/v1/quotes", "preview": "/v1/preview", "prices": "/v1/prices"}
# A page of a listing or a search.
_PAGE_SKUS: Final = 48
_SPARE: Final = 3


class Catalogue(NamedTuple):
    """What a service can be asked for: SKUs that have a price in the currency most of them have, and codes."""

    currency: str
    skus: list[str]
    codes: list[str]


class Prepared(NamedTuple):
    """A request: of which kind (a name of `PATHS`), and its body."""

    kind: str
    body: bytes


class NothingToAsk(Exception):
    """The service has no prices."""


def catalogue_of(api: ApiClient) -> Catalogue:
    """Read it from the service; the key needs the scope read. Raises ApiProblem, OSError, NothingToAsk."""
    prices = _export(api, "prices")
    if not prices:
        raise NothingToAsk("the service has no prices; load a shop first")
    currency = Counter(row["currency"] for row in prices).most_common(1)[0][0]
    skus = sorted({row["sku"] for row in prices if row["currency"] == currency})
    codes = sorted({code for row in _export(api, "coupons") for code in row.get("codes") or ()})
    return Catalogue(currency, skus, codes)


def requests_for(catalogue: Catalogue, shape: Shape, n: int, *, mix: Mapping[str, float], seed: int) -> list[Prepared]:
    """So many requests, the same for the same seed: kinds in the proportions of `mix`, baskets as the shape has them.

    Which SKU has which rank is drawn too. A shop with fewer SKUs than the shape has ranks puts neighbouring ranks together, and its
    baskets are smaller where the same SKU came again.
    """
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(catalogue.skus))
    kinds = rng.choice(list(mix), n, p=np.array(list(mix.values())) / sum(mix.values()))
    sizes, customers, shown = (choice.draw(rng, n) for choice in (shape.lines, shape.customer, shape.codes))
    sizes = np.where(kinds == "prices", _PAGE_SKUS, sizes)
    # More than are wanted, as frequent ones come several times; a basket has each once.
    ranks = np.split(shape.rank.draw(rng, int(sizes.sum()) * _SPARE), np.cumsum(sizes * _SPARE)[:-1])
    found = []
    for kind, size, drawn, customer, codes in zip(
        kinds.tolist(), sizes.tolist(), ranks, customers.tolist(), shown.tolist(), strict=True
    ):
        rows = order[drawn * order.size // shape.rank.values.size]
        skus = [catalogue.skus[row] for row in list(dict.fromkeys(rows.tolist()))[:size]]
        body: dict[str, Any] = {"currency": catalogue.currency}
        if kind == "prices":
            body["skus"] = skus
        else:
            units = shape.units.draw(rng, len(skus)).tolist()
            lines = zip(skus, units, strict=True)
            body["lines"] = [{"id": str(place), "sku": sku, "quantity": unit} for place, (sku, unit) in enumerate(lines, 1)]
            body["customer"] = {"id": f"c-{customer}"}
            # A SKU that has no price today does not sink its basket.
            body["partial"] = True
            if codes and catalogue.codes:
                body["codes"] = rng.choice(catalogue.codes, min(codes, len(catalogue.codes)), replace=False).tolist()
        found.append(Prepared(kind, json.dumps(body, separators=(",", ":")).encode()))
    return found


def _export(api: ApiClient, resource: str) -> list[dict[str, Any]]:
    text = api.call("GET", "/v1/export", query={"resource": resource, "format": "ndjson"})
    return [json.loads(line) for line in text.splitlines()]
