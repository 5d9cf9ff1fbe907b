"""Shoppers who hold, confirm, release and forget: each request is sent one to five times, to whichever process, until it is answered."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, Final

from tests.faults.history import Sent
from tests.faults.wire import Answer, Unanswered, Wire

TTL_MS: Final = 1_500


class HoldsLoad:
    """Clients, each with one request under way at a time, on a few meters that are soon full. All that was answered is in `sent`."""

    def __init__(
        self, ports: Callable[[], Sequence[int]], caps: dict[str, int], *, clients: int, seed: int, pause_s: float = 0.01
    ) -> None:
        self.sent: list[Sent] = []
        self.problems: list[str] = []
        self.unanswered = 0
        self.acknowledged = 0
        self._caps = caps
        self._pause_s = pause_s  # after no answer
        self._ports = ports
        self._seed = seed
        self._stopping = asyncio.Event()
        self._tasks = [asyncio.create_task(self._shop(number), name=f"client {number}") for number in range(clients)]

    async def wait_for(self, answered: int) -> None:
        """Wait until so many more requests are answered."""
        least = len(self.sent) + answered
        while len(self.sent) < least:
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
                quote, order = str(uuid.UUID(int=random.getrandbits(128), version=4)), f"o-{number}-{random.getrandbits(32)}"
                meters = random.sample(sorted(self._caps), random.randint(1, 2))
                draws = tuple((meter, random.randint(1, 3)) for meter in meters)
                held = await self._insist(random, wires, "hold", quote, order, None, draws)
                if held.hold is None:
                    continue
                draw = random.random()
                if draw < 0.02:
                    await self._insist(random, wires, "confirm", quote, order, held.hold, draws)
                elif draw < 0.65:
                    await self._insist(random, wires, "release", quote, order, held.hold, draws)
        finally:
            for wire in wires.values():
                wire.close()

    async def _insist(
        self,
        random: Random,
        wires: dict[int, Wire],
        kind: str,
        quote: str,
        order: str,
        hold: str | None,
        draws: tuple[tuple[str, int], ...],
    ) -> Sent:
        """Send until it is answered, and then up to four times more, at another process as well as not."""
        repeats = random.randint(0, 4) if random.random() < 0.3 else 0
        key = quote if kind == "hold" and random.random() < 0.5 else None
        began_ms = time.time_ns() // 1_000_000
        first: Sent | None = None
        while first is None or repeats > 0:
            # What is told by a key may have been found out for an earlier send.
            sent_ms = time.time_ns() // 1_000_000 if key is None else began_ms
            event = await self._send(random, wires, kind, quote, order, hold, draws, key, sent_ms)
            if event is None:
                await asyncio.sleep(self._pause_s * (0.5 + random.random()))
            elif first is None:
                first = event
            else:
                repeats -= 1
        return first

    async def _send(
        self,
        random: Random,
        wires: dict[int, Wire],
        kind: str,
        quote: str,
        order: str,
        hold: str | None,
        draws: tuple[tuple[str, int], ...],
        key: str | None,
        sent_ms: int,
    ) -> Sent | None:
        path = "/v1/holds" if hold is None else f"/v1/holds/{hold}/{kind}"
        body: dict[str, Any] = {"order": order}
        if hold is None:
            named = [(meter, amount, self._caps[meter]) for meter, amount in draws]
            body |= {"quote": quote, "ttl_ms": TTL_MS, "draws": named}
        answer = await self._ask(random, wires, path, body, key)
        told_ms = -(-time.time_ns() // 1_000_000)
        if answer is None or answer.status == 503:
            self.unanswered += 1
            return None
        return self._note(answer, kind, quote, order, hold, draws, key, sent_ms, told_ms)

    async def _ask(
        self, random: Random, wires: dict[int, Wire], path: str, body: dict[str, Any], key: str | None
    ) -> Answer | None:
        port = random.choice(self._ports())
        wire = wires.setdefault(port, Wire(port))
        try:
            headers = {} if key is None else {"Idempotency-Key": key}
            return await wire.exchange("POST", path, json.dumps(body).encode(), headers=headers)
        except Unanswered:
            return None

    def _note(
        self,
        answer: Answer,
        kind: str,
        quote: str,
        order: str,
        hold: str | None,
        draws: tuple[tuple[str, int], ...],
        key: str | None,
        sent_ms: int,
        told_ms: int,
    ) -> Sent:
        told = json.loads(answer.body)
        said = told.get("type", "").removeprefix("/problems/")
        if answer.status in (200, 201):
            hold = told["id"]
            self.acknowledged += 1
        elif answer.status != 409 or said not in {"limit_reached", "hold_expired", "hold_used", "hold_released"}:
            self.problems.append(f"{kind}: {answer.status} {answer.body[:300]!r}")
        event = Sent(kind, quote, order, hold, draws, key, sent_ms, told_ms, answer.status, answer.body, said)
        self.sent.append(event)
        return event
