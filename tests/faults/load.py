"""Shoppers who want an answer: they send quotes, most with ids of their own, and send each again by its id until it is answered."""

import asyncio
import hashlib
import json
import uuid
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

import msgspec

from tests.faults.wire import Answer, Unanswered, Wire

_QUOTES: Final = "/v1/quotes"
_BATCH: Final = "/v1/quotes/batch"
_PAUSE_S: Final = 0.02


class _Id(msgspec.Struct):
    id: str


class Result(msgspec.Struct):
    """One of a batch."""

    quote: msgspec.Raw = msgspec.Raw()  # empty where there is a problem instead


class Batch(msgspec.Struct):
    """The reply to a batch."""

    results: list[Result]


class Load:
    """Clients, each with one request under way at a time. `ports` gives where to send now; the first of them is the one to use.

    What was acknowledged is kept: by id the SHA-256 of the quote's bytes.
    """

    def __init__(self, ports: Callable[[], Sequence[int]], *, clients: int, seed: int) -> None:
        self.acknowledged: dict[uuid.UUID, bytes] = {}
        self.refused: dict[uuid.UUID, tuple[bytes, bytes]] = {}  # the request's body, and the SHA-256 of the refusal
        self.local = 0  # of the quotes without an id, those that were answered while the database was away
        self.resent = 0
        self.problems: list[str] = []  # replies that nobody should get
        self._ports = ports
        self._seed = seed
        self._stopping = asyncio.Event()
        self._tasks = [asyncio.create_task(self._shop(number), name=f"client {number}") for number in range(clients)]

    async def wait_for(self, acknowledged: int) -> None:
        """Wait until so many more quotes are acknowledged."""
        least = len(self.acknowledged) + acknowledged
        while len(self.acknowledged) < least:
            for task in self._tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.005)

    async def stop(self) -> None:
        """Every request that was begun is brought to its answer, then the clients end."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def abandon(self) -> None:
        """End the clients where they stand."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _shop(self, number: int) -> None:
        random = Random(f"{self._seed}/{number}")
        wires: dict[int, Wire] = {}
        try:
            while not self._stopping.is_set():
                key = uuid.UUID(int=random.getrandbits(128), version=4)
                draw = random.random()
                if draw < 0.10:
                    await self._send_once(wires, _body(random))
                elif draw < 0.20:
                    await self._send_twice_at_once(wires, key, _body(random))
                elif draw < 0.25:
                    await self._send_batch(wires, key, random)
                elif draw < 0.27:
                    await self._insist(wires, key, json.dumps(_basket([("UNKNOWN", 1)])).encode())
                else:
                    await self._insist(wires, key, _body(random))
                await asyncio.sleep(random.random() * _PAUSE_S)
        finally:
            for wire in wires.values():
                wire.close()

    async def _insist(self, wires: dict[int, Wire], key: uuid.UUID, body: bytes, *, which: int = 0) -> None:
        """Send until it is answered, always to where the traffic goes now."""
        while True:
            answer = await self._send(wires, _QUOTES, body, key, which=which)
            if answer is not None and answer.status == 201:
                self._acknowledge(answer.body, key)
                return
            if answer is not None and answer.status == 422:
                self._note_refusal(key, body, answer)
                return
            self.resent += 1
            await asyncio.sleep(_PAUSE_S)

    async def _send_twice_at_once(self, wires: dict[int, Wire], key: uuid.UUID, body: bytes) -> None:
        """To two processes, where there are two: both answers must be the same bytes."""
        own: dict[int, Wire] = {}
        try:
            await asyncio.gather(self._insist(wires, key, body), self._insist(own, key, body, which=-1))
        finally:
            for wire in own.values():
                wire.close()

    async def _send_once(self, wires: dict[int, Wire], body: bytes) -> None:
        """Without an id of the client's: what is not answered cannot be asked for again, and what is answered is promised."""
        answer = await self._send(wires, _QUOTES, body, None)
        if answer is not None and answer.status == 201:
            self._acknowledge(answer.body, None)
            self.local += answer.body.endswith(b',"durability":"local"}')

    async def _send_batch(self, wires: dict[int, Wire], key: uuid.UUID, random: Random) -> None:
        body = b'{"quotes":[' + b",".join(_body(random) for _ in range(random.choice((2, 3, 4, 6, 100)))) + b"]}"
        while True:
            answer = await self._send(wires, _BATCH, body, key)
            if answer is not None and answer.status == 200:
                results = msgspec.json.decode(answer.body, type=Batch).results
                for result in results:
                    if result.quote:
                        self._acknowledge(bytes(result.quote), None)
                if all(result.quote for result in results):
                    return
            self.resent += 1
            await asyncio.sleep(_PAUSE_S)

    async def _send(
        self, wires: dict[int, Wire], path: str, body: bytes, key: uuid.UUID | None, *, which: int = 0
    ) -> Answer | None:
        port = self._ports()[which]
        wire = wires.get(port)
        if wire is None:
            for old in wires.values():
                old.close()
            wires.clear()
            wire = wires[port] = Wire(port)
        try:
            answer = await wire.exchange("POST", path, body, headers={} if key is None else {"Idempotency-Key": str(key)})
        except Unanswered:
            return None
        if answer.status not in (200, 201, 422, 503) or (answer.status == 503 and "retry-after" not in answer.headers):
            self.problems.append(f"{answer.status} {answer.body[:500]!r}")
        return answer

    def _acknowledge(self, quote: bytes, key: uuid.UUID | None) -> None:
        quote_id = uuid.UUID(msgspec.json.decode(quote, type=_Id).id)
        digest = hashlib.sha256(quote).digest()
        if key is not None and quote_id != key:
            self.problems.append(f"the quote of {key} has the id {quote_id}")
        if self.acknowledged.setdefault(quote_id, digest) != digest:
            self.problems.append(f"two different quotes of {quote_id}")

    def _note_refusal(self, key: uuid.UUID, body: bytes, answer: Answer) -> None:
        digest = hashlib.sha256(answer.body).digest()
        if self.refused.setdefault(key, (body, digest))[1] != digest or b"UNKNOWN" not in body:
            self.problems.append(f"422 {answer.body[:500]!r}")


class KeylessLoad(Load):
    """Clients who send no ids: what is not answered is given up, and what is answered is promised."""

    async def _shop(self, number: int) -> None:
        random = Random(f"{self._seed}/{number}")
        wires: dict[int, Wire] = {}
        try:
            while not self._stopping.is_set():
                await self._send_once(wires, _body(random))
                await asyncio.sleep(random.random() * _PAUSE_S)
        finally:
            for wire in wires.values():
                wire.close()


def _body(random: Random) -> bytes:
    lines: list[tuple[str, int]] = [
        (random.choice(("SKU-1", "SKU-2", "SKU-3")), random.randint(1, 20)) for _ in range(random.randint(1, 6))
    ]
    more: dict[str, Any] = {"codes": ["SAVE10"]} if random.random() < 0.5 else {}
    return json.dumps(_basket(lines) | more).encode()


def _basket(lines: Sequence[tuple[str, int]]) -> dict[str, Any]:
    return {
        "currency": "USD",
        "lines": [{"id": str(number), "sku": sku, "quantity": quantity} for number, (sku, quantity) in enumerate(lines, start=1)],
    }
