"""Moderate traffic of every sort at its own times, whatever the server does."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any, Final, NamedTuple

_ANSWER_S: Final = 10.0
_KEPT_OPEN: Final = 32
_BASKETS: Final = 2_000
# The server ends connections that were idle for five seconds; one that is older than this is not used again.
_IDLE_S: Final = 3.0


class Request(NamedTuple):
    """What to send, and the statuses that are right."""

    method: str
    path: str
    body: bytes
    expected: tuple[int, ...]


class Traffic:
    """Sends `per_second` requests a second on average, at random instants, on connections that are kept and now and then replaced."""

    def __init__(self, port: int, *, per_second: float, skus: list[str], seed: int) -> None:
        self.sent = 0
        self.connections = 0  # open on this side
        self.wrong: Counter[str] = Counter()
        self._port = port
        self._per_second = per_second
        self._random = random = Random(seed)
        self._skus = skus
        # Baskets that come again, as a shop's do, and some that do not.
        self._baskets = [self._basket() for _ in range(_BASKETS)]
        self._last_quote = "00000000-0000-4000-8000-000000000000"
        self._kinds: list[tuple[float, Callable[[], Request]]] = [
            (0.55, self._quote),
            (0.20, lambda: Request("POST", "/v1/preview", random.choice(self._baskets), (200,))),
            (0.05, self._keyed),
            (0.04, lambda: Request("POST", "/v1/quotes/batch", b'{"quotes":[' + b",".join(random.choices(self._baskets, k=5)) + b"]}", (200,))),
            (0.05, self._prices),
            (0.05, lambda: Request("GET", f"/v1/quotes/{self._last_quote}", b"", (200, 404))),
            (0.03, lambda: Request("POST", "/v1/quotes", b'{"currency":"USD","lines":[{"sku":"NOT-THERE","quantity":1}]}', (422,))),
            (0.02, lambda: Request("POST", "/v1/quotes", b'{"currency":', (400,))),
            (0.01, self._publish),
        ]  # fmt: skip
        self._keys = 0
        self._idle: list[tuple[float, asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def run(self, stopping: asyncio.Event) -> None:
        """Send until `stopping` is set, and wait for what is under way."""
        weights = [weight for weight, _ in self._kinds]
        loop = asyncio.get_running_loop()
        due_s = loop.time()
        under_way: set[asyncio.Task[None]] = set()
        while not stopping.is_set():
            due_s += self._random.expovariate(self._per_second)
            await asyncio.sleep(max(0.0, due_s - loop.time()))
            [(_, make)] = self._random.choices(self._kinds, weights)
            task = loop.create_task(self._send(make()))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        await asyncio.gather(*under_way)
        for _, _, writer in self._idle:
            self._end(writer)

    async def _send(self, request: Request) -> None:
        self.sent += 1
        try:
            async with asyncio.timeout(_ANSWER_S):
                status, body = await self._exchange(request)
        except (OSError, EOFError, TimeoutError) as error:
            self.wrong[f"{request.method} {request.path.split('?')[0]}: {type(error).__name__}"] += 1
            return
        if status not in request.expected:
            self.wrong[f"{request.method} {request.path.split('?')[0]}: {status} {body[:200]!r}"] += 1
        elif status == 201 and request.path == "/v1/quotes":
            self._last_quote = body[7:43].decode()

    async def _exchange(self, request: Request) -> tuple[int, bytes]:
        reader, writer = await self._connected()
        try:
            head = f"{request.method} {request.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            if request.path == "/v1/quotes" and 201 in request.expected and request.expected != (201,):
                self._keys += 1
                head += f"Idempotency-Key: soak-{self._keys // 2}\r\n"
            writer.write(f"{head}Content-Length: {len(request.body)}\r\n\r\n".encode() + request.body)
            received = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(received.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
            body = await reader.readexactly(length)
        except BaseException:
            self._end(writer)
            raise
        if len(self._idle) < _KEPT_OPEN and self._random.random() < 0.98:
            self._idle.append((asyncio.get_running_loop().time(), reader, writer))
        else:
            self._end(writer)
        return int(received[9:12]), body

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            since_s, reader, writer = self._idle.pop()
            if asyncio.get_running_loop().time() - since_s < _IDLE_S:
                return reader, writer
            self._end(writer)
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
        self.connections += 1
        return reader, writer

    def _end(self, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()
        self.connections -= 1

    def _quote(self) -> Request:
        body = self._basket() if self._random.random() < 0.2 else self._random.choice(self._baskets)
        return Request("POST", "/v1/quotes", body, (201,))

    def _keyed(self) -> Request:
        """Each key comes twice, with another basket half of the time."""
        return Request("POST", "/v1/quotes", self._baskets[self._random.randrange(2)], (201, 422))

    def _prices(self) -> Request:
        skus = self._random.sample(self._skus, min(40, len(self._skus)))
        return Request("POST", "/v1/prices", json.dumps({"currency": "USD", "skus": skus}).encode(), (200,))

    def _publish(self) -> Request:
        price = {"currency": "USD", "unit_price": str(self._random.randint(500, 5_000))}
        path = f"/v1/prices/{self._random.choice(self._skus[:20])}?publish=now"
        return Request("PUT", path, json.dumps(price).encode(), (200, 201))

    def _basket(self) -> bytes:
        random = self._random
        lines: list[dict[str, Any]] = [
            {"sku": sku, "quantity": random.randint(1, 12)} for sku in random.sample(self._skus, random.randint(1, 6))
        ]
        more: dict[str, Any] = {}
        if random.random() < 0.3:
            more["customer"] = {"id": f"c-{random.randrange(100_000)}"}
        return json.dumps({"currency": "USD", "channel": random.choice(("web", "app")), "lines": lines} | more).encode()
