"""The shoppers of holds_load, many of them: what they ask one process for at a time goes there in few requests, and each has its own answer."""

import asyncio
import json
import uuid
from collections import Counter
from random import Random
from typing import Any, Final, NamedTuple

import msgspec

from tests.faults.holds_load import TTL_MS, HoldsLoad
from tests.faults.wire import Answer, Unanswered, Wire

_TOGETHER_MAX: Final = 256
_WIRES: Final = 2


class _Asked(NamedTuple):
    path: str
    key: str | None
    body: dict[str, Any]


class CrowdLoad(HoldsLoad):
    """As the shoppers, each with one request under way at a time. There may be moments without a process."""

    def __init__(self, *arguments: Any, **given: Any) -> None:
        self.under_way: Counter[int] = Counter()  # requests, by port
        self._doors: dict[int, _Door] = {}
        super().__init__(*arguments, **given)

    def check(self) -> None:
        """Raise what went wrong with a shopper."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def stop(self) -> None:
        await super().stop()
        await self._close()

    async def abandon(self) -> None:
        await super().abandon()
        await self._close()

    async def fill(self) -> dict[str, int]:
        """Once all that was forgotten is over, take single units until nothing is left; what is taken then, of each meter."""
        await asyncio.sleep(TTL_MS / 1000)
        taken = {}
        for meter, cap in self._caps.items():
            asked = [
                {"quote": str(uuid.uuid4()), "order": str(uuid.uuid4()), "ttl_ms": 600_000, "draws": [(meter, 1, cap)]}
                for _ in range(cap + 1)
            ]
            door = _Door(self._ports()[0], self.under_way)
            for answer in await asyncio.gather(*(door.ask(_Asked("/v1/holds", None, body)) for body in asked)):
                if answer is not None and answer.status == 409:
                    taken[meter] = cap - json.loads(answer.body)["limits"][0]["left"]
            await door.close()
        return taken

    async def _close(self) -> None:
        doors, self._doors = list(self._doors.values()), {}
        for door in doors:
            await door.close()

    async def _ask(
        self, random: Random, wires: dict[int, Wire], path: str, body: dict[str, Any], key: str | None
    ) -> Answer | None:
        ports = self._ports()
        if not ports:
            return None
        port = random.choice(ports)
        door = self._doors.get(port)
        if door is None:
            for gone in [gone for gone, one in self._doors.items() if gone not in ports and one.is_idle]:
                await self._doors.pop(gone).close()
            door = self._doors[port] = _Door(port, self.under_way)
        return await door.ask(_Asked(path, key, body))


class _Door:
    """A process: what waits for it, and the connections to it."""

    def __init__(self, port: int, under_way: Counter[int]) -> None:
        self._port = port
        self._under_way = under_way
        self._waiting: list[tuple[_Asked, asyncio.Future[Answer | None]]] = []
        self._free = [Wire(port) for _ in range(_WIRES)]
        self._carrying: set[asyncio.Task[None]] = set()

    @property
    def is_idle(self) -> bool:
        return not self._waiting and not self._carrying

    async def ask(self, asked: _Asked) -> Answer | None:
        """The answer to one; None when there was none, and it may have been understood or not."""
        future: asyncio.Future[Answer | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((asked, future))
        self._carry_on()
        return await future

    async def close(self) -> None:
        """Drop the connections."""
        for task in self._carrying:
            task.cancel()
        await asyncio.gather(*self._carrying, return_exceptions=True)
        for wire in self._free:
            wire.close()

    def _carry_on(self) -> None:
        while self._waiting and self._free:
            some, self._waiting = self._waiting[:_TOGETHER_MAX], self._waiting[_TOGETHER_MAX:]
            task = asyncio.create_task(self._carry(self._free.pop(), some))
            self._carrying.add(task)
            task.add_done_callback(self._carrying.discard)

    async def _carry(self, wire: Wire, some: list[tuple[_Asked, asyncio.Future[Answer | None]]]) -> None:
        answers: list[Answer | None] = [None] * len(some)
        self._under_way[self._port] += 1
        try:
            reply = await wire.exchange("POST", "/many", msgspec.json.encode([asked for asked, _ in some]))
            if reply.status == 200:
                told = msgspec.json.decode(reply.body, type=list[tuple[int, msgspec.Raw]])
                answers = [Answer(status, {}, bytes(body)) for status, body in told]
        except Unanswered:
            pass
        finally:
            self._under_way[self._port] -= 1
            self._free.append(wire)
            for (_, future), answer in zip(some, answers, strict=True):
                if not future.done():
                    future.set_result(answer)
            self._carry_on()
