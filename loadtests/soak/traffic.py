"""Moderate traffic of every sort at its own times, whatever the server does: baskets, prices, changes of prices, mistakes, and orders.

Everything is new each time: baskets, customers, orders, ids, keys and connections.

An order is a quote that draws on limits, its hold, and what becomes of that: confirmed and partly returned, released, or forgotten. Each of these
requests takes up where an earlier one ended, so that all of them come at their own times too.
"""

import asyncio
import json
from collections import Counter, deque
from collections.abc import Callable
from random import Random
from typing import Any, Final, NamedTuple

_ANSWER_S: Final = 10.0
_KEPT_OPEN: Final = 32
# The server ends connections that were idle for five seconds; one that is older than this is not used again.
_IDLE_S: Final = 3.0
# Orders under way at each step; what does not fit is forgotten, and its hold runs out.
_UNDER_WAY_MAX: Final = 200
_CUSTOMERS: Final = 100_000


class Request(NamedTuple):
    """What to send, and the statuses that are right. The reply of the first of them is told to `then`; `name` is what it is counted as."""

    method: str
    path: str
    body: bytes
    expected: tuple[int, ...]
    key: str | None = None
    then: Callable[[dict[str, Any]], None] | None = None
    name: str = ""


class Traffic:
    """Sends `per_second` requests a second on average, at random instants, on connections that are kept and now and then replaced."""

    def __init__(self, port: int, *, per_second: float, skus: list[str], seed: int) -> None:
        self.sent = 0
        self.connections = 0  # open on this side
        self.wrong: Counter[str] = Counter()
        self.turned_away = 0  # 503 with Retry-After: a busy machine
        self.orders: Counter[str] = Counter()  # what was done for orders, and what was refused because a limit was reached
        self._port = port
        self._per_second = per_second
        self._random = Random(seed)
        self._skus = skus
        self._keyed_baskets = [self._basket() for _ in range(2)]
        self._last_quote = "00000000-0000-4000-8000-000000000000"
        self._kinds: list[tuple[float, Callable[[], Request]]] = [
            (0.45, self._quote),
            (0.03, self._order),
            (0.03, self._hold),
            (0.015, self._confirm),
            (0.015, self._release),
            (0.01, self._return),
            (0.20, lambda: Request("POST", "/v1/preview", self._basket(), (200,))),
            (0.05, self._keyed),
            (0.04, self._batch),
            (0.05, self._prices),
            (0.05, lambda: Request("GET", f"/v1/quotes/{self._last_quote}", b"", (200, 404))),
            (0.03, lambda: Request("POST", "/v1/quotes", b'{"currency":"USD","lines":[{"sku":"NOT-THERE","quantity":1}]}', (422,))),
            (0.02, lambda: Request("POST", "/v1/quotes", b'{"currency":', (400,))),
            (0.01, self._publish),
        ]  # fmt: skip
        self._keys = 0
        self._orders = 0
        self._quoted: deque[str] = deque(maxlen=_UNDER_WAY_MAX)
        self._held: deque[tuple[str, str]] = deque(maxlen=_UNDER_WAY_MAX)  # of a hold and its order the ids
        self._confirmed: deque[str] = deque(maxlen=_UNDER_WAY_MAX)
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
                status, body, says_when = await self._exchange(request)
        except (OSError, EOFError, TimeoutError) as error:
            self.wrong[f"{request.method} {request.path.split('?')[0]}: {type(error).__name__}"] += 1
            return
        if status == 503 and says_when:
            self.turned_away += 1
            return
        if status not in request.expected:
            self.wrong[f"{request.method} {request.path.split('?')[0]}: {status} {body[:200]!r}"] += 1
            return
        if request.name:
            self.orders[request.name if status == request.expected[0] else "refused"] += 1
        if request.then is not None and status == request.expected[0]:
            request.then(json.loads(body))

    async def _exchange(self, request: Request) -> tuple[int, bytes, bool]:
        """Its status, its body, and whether it says when to come again."""
        reader, writer = await self._connected()
        try:
            head = f"{request.method} {request.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            if request.key is not None:
                head += f"Idempotency-Key: {request.key}\r\n"
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
        return int(received[9:12]), body, b"\r\nretry-after:" in received

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
        return Request("POST", "/v1/quotes", self._basket(), (201,), then=self._remember_quote)

    def _batch(self) -> Request:
        quotes = b",".join([self._basket() for _ in range(5)])
        return Request("POST", "/v1/quotes/batch", b'{"quotes":[' + quotes + b"]}", (200,))

    def _remember_quote(self, quote: dict[str, Any]) -> None:
        self._last_quote = quote["id"]

    def _keyed(self) -> Request:
        """Each key comes twice, with another basket half of the time."""
        self._keys += 1
        basket = self._random.choice(self._keyed_baskets)
        return Request("POST", "/v1/quotes", basket, (201, 422), key=f"soak-{self._keys // 2}")

    def _order(self) -> Request:
        """A basket large enough for a coupon that has a budget, a number of uses, and one use a customer."""
        lines = [{"id": str(number), "sku": sku, "quantity": 12} for number, sku in enumerate(self._random.sample(self._skus, 3))]
        customer = {"id": f"c-{self._random.randrange(_CUSTOMERS)}"}
        body = {"currency": "USD", "channel": "web", "customer": customer, "lines": lines, "codes": ["SAVE20"]}
        return Request(
            "POST", "/v1/quotes", json.dumps(body).encode(), (201,), then=lambda quote: self._quoted.append(quote["id"])
        )

    def _hold(self) -> Request:
        """Some are held for two seconds and forgotten."""
        if not self._quoted:
            return self._order()
        self._orders += 1
        order, is_forgotten = f"order-{self._orders}", self._random.random() < 0.1
        body = json.dumps({"quote": self._quoted.popleft(), "order": order, "ttl_seconds": 2 if is_forgotten else 600}).encode()

        def remember(hold: dict[str, Any]) -> None:
            self.orders["drawn on"] += len(hold["draws"])
            if not is_forgotten:
                self._held.append((hold["id"], order))

        return Request("POST", "/v1/holds", body, (201, 409), key=order, then=remember, name="held")

    def _confirm(self) -> Request:
        if not self._held:
            return self._hold()
        hold_id, order = self._held.popleft()
        body = json.dumps({"order": order}).encode()
        return Request(
            "POST",
            f"/v1/holds/{hold_id}/confirm",
            body,
            (200,),
            then=lambda hold: self._confirmed.append(hold["id"]),
            name="confirmed",
        )

    def _release(self) -> Request:
        if not self._held:
            return self._hold()
        return Request("POST", f"/v1/holds/{self._held.popleft()[0]}/release", b"", (200,), name="released")

    def _return(self) -> Request:
        """Some of the first line comes back."""
        if not self._confirmed:
            return self._confirm()
        hold_id = self._confirmed.popleft()
        body = json.dumps({"lines": [{"id": "0", "quantity": self._random.randint(1, 12)}]}).encode()
        return Request("POST", f"/v1/holds/{hold_id}/returns", body, (201,), key=f"return-{hold_id}", name="returned")

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
            more["customer"] = {"id": f"c-{random.randrange(_CUSTOMERS)}"}
        return json.dumps({"currency": "USD", "channel": random.choice(("web", "app")), "lines": lines} | more).encode()
