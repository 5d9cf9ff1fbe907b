"""Clients who send quotes by the hundred, each batch under a key of its own, and the same batch again until every quote of it is answered."""

import asyncio
import hashlib
import json
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

import msgspec

from app.quotes.ids import id_in_batch
from tests.faults.load import Batch
from tests.faults.wire import Unanswered, Wire

_PATH: Final = "/v1/quotes/batch"
_QUOTES: Final = 100
_BODIES: Final = 64
# A batch that is turned away costs the process nearly as much as one that is stored.
_PAUSE_S: Final = 0.15


class BatchLoad:
    """So many clients with one batch under way each. By id the SHA-256 of each acknowledged quote's bytes is in `acknowledged`."""

    def __init__(self, ports: Callable[[], Sequence[int]], *, clients: int, random: Random) -> None:
        self.acknowledged: dict[uuid.UUID, bytes] = {}
        self.resent = 0  # quotes
        self.under_way: Counter[int] = Counter()  # requests, by port
        self.problems: list[str] = []
        self._ports = ports
        self._stopping = asyncio.Event()
        self._bodies = [b'{"quotes":[' + b",".join(_body(random) for _ in range(_QUOTES)) + b"]}" for _ in range(_BODIES)]
        self._tasks = [asyncio.create_task(self._shop(Random(random.getrandbits(64)))) for _ in range(clients)]

    def check(self) -> None:
        """Raise what went wrong with a client."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def stop(self) -> None:
        """Every batch that was begun is brought to its answer, then the clients end."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def abandon(self) -> None:
        """End the clients where they stand."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _shop(self, random: Random) -> None:
        wires: dict[int, Wire] = {}
        try:
            while not self._stopping.is_set():
                key, body = uuid.UUID(int=random.getrandbits(128), version=4), random.choice(self._bodies)
                while not await self._send(random, wires, key, body):
                    self.resent += _QUOTES
                    await asyncio.sleep(random.uniform(0, 2 * _PAUSE_S))
        finally:
            for wire in wires.values():
                wire.close()

    async def _send(self, random: Random, wires: dict[int, Wire], key: uuid.UUID, body: bytes) -> bool:
        """Whether every quote of the batch is acknowledged now; now and then it was, and is sent once more all the same."""
        ports = self._ports()
        if not ports:
            return False
        port = random.choice(ports)
        for gone in wires.keys() - set(ports):
            wires.pop(gone).close()
        wire = wires.setdefault(port, Wire(port))
        self.under_way[port] += 1
        try:
            answer = await wire.exchange("POST", _PATH, body, headers={"Idempotency-Key": str(key)})
        except Unanswered:
            return False
        finally:
            self.under_way[port] -= 1
        if answer.status == 503:
            return False
        if answer.status != 200:
            self.problems.append(f"{answer.status} {answer.body[:500]!r}")
            return False
        results = msgspec.json.decode(answer.body, type=Batch).results
        for position, result in enumerate(results):
            if result.quote:
                self._acknowledge(bytes(result.quote), id_in_batch(key, position))
        return len(results) == _QUOTES and all(result.quote for result in results) and random.random() > 0.01

    def _acknowledge(self, quote: bytes, quote_id: uuid.UUID) -> None:
        digest = hashlib.sha256(quote).digest()
        if not quote.startswith(b'{"id":"%s"' % str(quote_id).encode()):
            self.problems.append(f"the quote of {quote_id} begins {quote[:60]!r}")
        if self.acknowledged.setdefault(quote_id, digest) != digest:
            self.problems.append(f"two different quotes of {quote_id}")


def _body(random: Random) -> bytes:
    """A small basket, so that most of the work is to store it."""
    lines = [
        {"sku": random.choice(("SKU-1", "SKU-2", "SKU-3")), "quantity": random.randint(1, 20)}
        for _ in range(random.randint(1, 3))
    ]
    return json.dumps({"currency": "USD", "lines": lines} | ({"codes": ["SAVE10"]} if random.random() < 0.1 else {})).encode()
