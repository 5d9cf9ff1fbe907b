"""Promise R7: no document, however odd, takes a process down, is answered by a 5xx, or brings a line below its floor.

Documents that are right are changed in places drawn at random, to values drawn from the odd ones, and published; after each that was taken
baskets are priced.
"""

import asyncio
import copy
import json
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

from app.db.embedded import EmbeddedPostgres
from tests.e2e.shop import EVERYTHING, basket
from tests.faults.fleet import open_shop_at
from tests.faults.forks import start
from tests.faults.scale import SEED, scaled
from tests.faults.wire import Wire

_DOCUMENTS: Final = scaled(150, most=50_000)
_PLANTED: Final = 40
_FLOOR_MINOR: Final = 230  # of SKU-2, as the shop has it
_ODD: Final[tuple[Any, ...]] = (
    None, True, 0, 1, -1, 2, 99, 2**31, 2**53, 2**53 + 1, 2**63, -(2**63), 10**30, 0.1, 1e308, "", "0", "1", "-1", "0.0001", "99.9999", "100",
    "100.0001", "1000000", "9" * 30, "1e5", "NaN", "é", "\u0000", "a" * 300, [], {}, [[]], [0], {"a": 1},
    "2026-11-27T00:00:00", "9999-12-31T23:59:59",
)  # fmt: skip
_PARAMS: Final[dict[str, list[dict[str, Any]]]] = {
    "percent_off": [{"percent": "99", "cap": 5000}, {"percent": "100"}],
    "amount_off": [{"amount": 10_000_000, "per": "unit"}, {"amount": 5, "per": "across", "cap": 3}],
    "fixed_price": [{"unit_price": "0.01"}, {"unit_price": "0"}],
    "tiered": [{"by": "quantity", "steps": [{"from": "1", "percent": "50"}, {"from": "3", "percent": "99"}]}],
    "spend_save": [{"threshold": 1, "amount": 100, "repeat": True, "max_times": 1000}, {"threshold": 1, "percent": "90"}],
    "buy_x_get_y": [{"buy": "1", "get": "1", "percent": "100", "pick": "dearest"}],
    "bundle": [{"components": [{"scope": EVERYTHING, "quantity": "2"}], "price": 1}],
    "gift": [{"skus": ["SKU-3"], "quantity": "1"}],
    "shipping": [{"percent": "100"}],
    "points": [{"multiplier": "10"}],
}
_OTHERS: Final[list[tuple[str, dict[str, Any]]]] = [
    ("/v1/prices/SKU-2", {"currency": "USD", "unit_price": "250", "tiers": {"mode": "volume", "steps": [
        {"up_to": 9, "unit_price": "240"}, {"up_to": None, "unit_price": "1"}]}}),
    ("/v1/sale-prices/flash", {"name": "Flash", "scope": {"include": {"skus": ["SKU-2"]}}, "unit_price": "1", "currency": "USD"}),
    ("/v1/policy", {"rounding": "half_up", "percent_base": "running", "selection": "best"}),
    ("/v1/strategies/s1", {"kind": "cost_plus", "scope": {"include": {"skus": ["SKU-2"]}}, "currency": "USD", "params": {"markup": "1"}}),
    ("/v1/guardrails/g1", {"scope": EVERYTHING, "currency": "USD", "ceiling": "100000", "max_discount": "100"}),
    ("/v1/endings/e1", {"currency": "USD", "bands": [{"up_to": None, "endings": ["99"]}], "direction": "down"}),
]  # fmt: skip


class _Lived(NamedTuple):
    taken: int
    refused: int
    quotes: int
    below: int
    wrong: list[str]


async def test_no_document_takes_a_process_down_or_passes_a_floor(server: EmbeddedPostgres, tmp_path: Path) -> None:
    lived = await _publish_oddities(server, tmp_path, floor="230", count=_DOCUMENTS)

    print(
        f"figure: R7: {lived.taken + lived.refused} odd documents, {lived.taken} taken and {lived.refused} refused; {lived.quotes} baskets"
        f" priced between them, {lived.below} lines below their floor, {len(lived.wrong)} replies that nobody should get, seed {SEED}"
    )
    assert lived.wrong == []
    assert lived.below == 0
    assert lived.taken > _DOCUMENTS // 20
    assert lived.refused > _DOCUMENTS // 20


async def test_a_floor_that_does_not_hold_is_found(server: EmbeddedPostgres, tmp_path: Path) -> None:
    lived = await _publish_oddities(server, tmp_path, floor="0.01", count=_PLANTED)

    print(f"figure: R7 planted: a shop whose floor is not in force: {lived.below} lines below it, seed {SEED}")
    assert lived.below > 0


async def _publish_oddities(server: EmbeddedPostgres, folder: Path, *, floor: str, count: int) -> _Lived:
    random = Random(SEED)
    pod = await start(folder, database_url=server.url)
    await open_shop_at(pod.port)
    taken = refused = quotes = below = 0
    wrong: list[str] = []
    async with Wire(pod.port) as wire:
        laces = {"scope": {"include": {"skus": ["SKU-2"]}}, "currency": "USD", "floor": floor}
        answer = await wire.exchange("PUT", "/v1/guardrails/laces?publish=now", json.dumps(laces).encode())
        assert answer.status == 200, answer
        for _ in range(count):
            path, body = _odd_document(random)
            answer = await wire.exchange("PUT", f"{path}?publish=now", json.dumps(body).encode(), seconds=30)
            if answer.status >= 500:
                wrong.append(f"{answer.status} for {path} {json.dumps(body)}")
            if answer.status not in (200, 201):
                refused += 1
                continue
            taken += 1
            for quantity in (1, 7):
                priced = await wire.exchange("POST", "/v1/quotes", _basket(random, quantity))
                quotes += 1
                if priced.status == 201:
                    lines = json.loads(priced.body)["lines"]
                    below += sum(line["sku"] == "SKU-2" and line["total"] < quantity * _FLOOR_MINOR for line in lines)
                    wrong += [f"{line}" for line in lines if line["total"] < 0]
                elif priced.status != 422:
                    wrong.append(f"{priced.status} after {path} {json.dumps(body)}")
    assert pod.is_alive
    await asyncio.to_thread(pod.kill)
    said = pod.said.read_text()
    wrong += [line for line in said.splitlines() if '"level": "error"' in line]
    return _Lived(taken, refused, quotes, below, wrong)


def _odd_document(random: Random) -> tuple[str, dict[str, Any]]:
    if random.random() < 0.3:
        path, plain = random.choice(_OTHERS)
        body = copy.deepcopy(plain)
    else:
        kind = random.choice(list(_PARAMS))
        path = f"/v1/promotions/odd-{random.randrange(20)}"
        body = {
            "name": "Odd",
            "kind": kind,
            "params": copy.deepcopy(random.choice(_PARAMS[kind])),
            "level": random.choice(("line", "order", "shipping")),
            "currency": "USD",
            "scope": copy.deepcopy(EVERYTHING),
            "lane": random.randrange(3),
            "priority": random.randrange(10),
        }
        if kind in ("percent_off", "amount_off", "fixed_price", "tiered", "buy_x_get_y"):
            body["level"] = "line"
    for _ in range(random.choice((0, 0, 1, 2))):
        _change(random, body)
    return path, body


def _change(random: Random, body: Any) -> None:
    """One place of the document, however deep, is something else; or it is gone, or there is more than there should be."""
    places = [
        (holder, name) for holder in _holders(body) for name in (holder if isinstance(holder, dict) else range(len(holder)))
    ]
    holder, name = random.choice(places)
    draw = random.random()
    if draw < 0.1 and isinstance(holder, dict):
        del holder[name]
    elif draw < 0.2 and isinstance(holder, list):
        holder *= random.choice((2, 100))
    else:
        holder[name] = copy.deepcopy(random.choice(_ODD))


def _holders(node: Any) -> list[Any]:
    below = node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    own = [node] if isinstance(node, dict | list) and node else []
    return own + [each for one in below for each in _holders(one)]


def _basket(random: Random, quantity: int) -> bytes:
    return json.dumps(
        basket(("SKU-2", quantity), ("SKU-1", random.randint(1, 12)), codes=random.choice(([], ["SAVE10"])), shipping=500)
    ).encode()
