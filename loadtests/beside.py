"""What a load of holds does to quotes without limits: `python -m loadtests.beside`.

One service's lanes in this process, without HTTP. Quotes come at random times of their own and their latency counts from then. For a second they come
alone, for a second holds come beside them, and for a second they come alone again, in turn; what is compared is the 99th percentile of all quotes of
each sort. The third says how much of a difference is chance. Few quotes become orders: one hold comes to twenty quotes, where nothing else is said.
"""

import argparse
import asyncio
import gc
import json
import random
from collections.abc import Awaitable, Callable
from typing import Final
from uuid import UUID

import httpx
import uvloop

from app.api import create_api
from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from app.db.migrate import upgrade
from app.main import Service
from app.quotes.storefront import Asked
from app.redemptions.entries import HoldEntry
from app.redemptions.records import fast_id, new_id
from app.settings import Settings
from app.web.auth import Principal
from loadtests.bench.rig import temporary_folder
from loadtests.bench.stats import quantile
from loadtests.open.model import arrivals

_CAP: Final = 1_000_000_000
_TTL_MS: Final = 900_000
_PREPARED_AT_ONCE: Final = 200


def _basket(sku: str) -> bytes:
    return json.dumps({"currency": "USD", "lines": [{"id": "1", "sku": sku, "quantity": 1}]}).encode()


class Load:
    """Quotes of one SKU that no limit is on, and holds of quotes of another one."""

    def __init__(self, service: Service, caller: Principal) -> None:
        self._holding = service.redemptions.holding
        self._quote = service.front[0].operation
        self._asked = Asked(caller, {})
        self._quotes: list[str] = []

    async def prepare(self, n_holds: int) -> None:
        """Have quotes to hold."""
        while len(self._quotes) < n_holds:
            made = await asyncio.gather(*(self._quote(_basket("LIMITED"), self._asked) for _ in range(_PREPARED_AT_ONCE)))
            self._quotes += [json.loads(reply.body)["id"] for reply in made]

    async def quote(self) -> None:
        await self._quote(_basket("FREE"), self._asked)

    async def hold(self) -> None:
        entry = HoldEntry(None, None, new_id(), fast_id(UUID(self._quotes.pop())), f"o-{random.getrandbits(60)}", _TTL_MS)
        assert (await self._holding.answer(entry)).status == 201


async def paced(act: Callable[[], Awaitable[None]], per_second: float, seconds: float, seed: int) -> list[float]:
    """Act at random instants, whatever becomes of it; how long each took from the instant at which it was due."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    latencies_s: list[float] = []

    async def one(due_s: float) -> None:
        await act()
        latencies_s.append(loop.time() - began_s - due_s)

    async with asyncio.TaskGroup() as tasks:
        for due_s in arrivals(per_second, seconds, seed):
            if (delay_s := began_s + due_s - loop.time()) > 0:
                await asyncio.sleep(delay_s)
            tasks.create_task(one(due_s))
    return latencies_s


async def compare(load: Load, *, quotes: float, holds: float, seconds: float, rounds: int) -> None:
    """Measure without holds, with them, and without them again, in turn, and print."""
    await load.prepare(round(holds * seconds * rounds * 1.2) + _PREPARED_AT_ONCE)
    gc.collect()
    gc.freeze()
    latencies_s: dict[str, list[float]] = {"alone": [], "beside": [], "again": [], "held": []}
    for number in range(rounds):
        # Whatever the machine does besides, it does it to all three: each comes first as often as the others.
        order = ["alone", "beside", "again"]
        for arm in order[number % 3 :] + order[: number % 3]:
            own = paced(load.quote, quotes, seconds, number)
            if arm == "beside":
                found, held = await asyncio.gather(own, paced(load.hold, holds, seconds, number + rounds))
                latencies_s["held"] += held
            else:
                found = await own
            latencies_s[arm] += found
    p99_ms = {arm: quantile(own, 0.99) * 1e3 for arm, own in latencies_s.items()}
    median_ms = {arm: quantile(own, 0.5) * 1e3 for arm, own in latencies_s.items()}
    print(
        f"quotes: median {median_ms['alone']:.2f} ms, beside holds {median_ms['beside']:.2f} ms, without them again {median_ms['again']:.2f} ms; "
        f"p99 {p99_ms['alone']:.2f} ms, {p99_ms['beside']:.2f} ms and {p99_ms['again']:.2f} ms; of the {len(latencies_s['held'])} holds "
        f"{median_ms['held']:.2f} and {p99_ms['held']:.2f} ms"
    )
    print(
        f"figure: {quotes:.0f} quotes a second beside {holds:.0f} holds a second on one meter: p99 {p99_ms['beside'] / p99_ms['alone']:.2f} times "
        f"that of quotes alone, where that of quotes alone again is {p99_ms['again'] / p99_ms['alone']:.2f} times; of "
        f"{len(latencies_s['alone'])} quotes each, in {rounds} turns of {seconds:g} s"
    )


async def run(service: Service, given: argparse.Namespace) -> None:
    """Set up a shop and compare."""
    api = create_api(service)
    await service.start()
    try:
        transport = httpx.ASGITransport(api, client=("127.0.0.1", 5))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", params={"publish": "now"}) as client:
            for sku in ("FREE", "LIMITED"):
                (await client.put(f"/v1/prices/{sku}", json={"currency": "USD", "unit_price": "1000"})).raise_for_status()
            limited = {
                "name": "Limited",
                "kind": "percent_off",
                "params": {"percent": "10"},
                "currency": "USD",
                "scope": {"include": {"skus": ["LIMITED"]}},
                "limits": {"uses": _CAP},
            }
            made = await client.put("/v1/promotions/limited", json=limited)
            assert made.is_success, made.text
        load = Load(service, Principal("loadtest", frozenset({"admin"})))
        await compare(load, quotes=given.quotes, holds=given.holds, seconds=given.seconds, rounds=given.rounds)
    finally:
        await service.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quotes", type=float, default=1000, help="quotes a second")
    parser.add_argument("--holds", type=float, default=50, help="holds a second, beside them")
    parser.add_argument("--seconds", type=float, default=1.0, help="how long a turn is")
    parser.add_argument("--rounds", type=int, default=60)
    given = parser.parse_args()
    with temporary_folder() as folder, EmbeddedPostgres(folder / "data") as server:
        database = Database(server.url)
        uvloop.run(upgrade(database))
        settings = Settings.from_environment({"PRICING_DATA_DIR": str(folder / "kept"), "PRICING_OPEN_LOOPBACK": "true"})
        uvloop.run(run(Service(settings, database), given))


if __name__ == "__main__":
    main()
