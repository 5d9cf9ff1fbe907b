"""Promise R3: the same id gets the same answer, refusals included, however often, in whatever order and however late it is sent.

Each request is sent one to five times to two processes over connections that break before or behind it, shuffled among all the others, and
once more at the end.
"""

import asyncio
import hashlib
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final, NamedTuple

from app.db.embedded import EmbeddedPostgres
from tests.e2e.shop import basket
from tests.faults.examine import examine
from tests.faults.fleet import open_shop_at
from tests.faults.forks import Fork, serve, start
from tests.faults.hasty import serve_amnesically
from tests.faults.scale import SEED, scaled
from tests.faults.wire import Answer, Unanswered, Wire

_REQUESTS: Final = scaled(300, most=100_000)
_WORKERS: Final = 16
_CUT_S_MAX: Final = 0.01


class _Request(NamedTuple):
    key: str
    path: str
    body: bytes
    other: bytes  # another request, for which the same key must be refused


class _Told(NamedTuple):
    requests: int
    sent: int
    unanswered: int
    refusals: int
    different: list[str]


async def test_the_same_id_gets_the_same_answer(server: EmbeddedPostgres, tmp_path: Path) -> None:
    pods = await _pods(server, tmp_path, serve)
    told, acknowledged = await _repeat(pods, _REQUESTS)
    for pod in pods:
        await asyncio.to_thread(pod.stop)
    found = await examine(server.url, acknowledged)

    print(
        f"figure: R3: {told.requests} requests sent {told.sent} times in all to 2 processes, {told.unanswered} of them unanswered,"
        f" {told.refusals} requests refused: {len(told.different)} got another answer, {found.doubled} stored twice, seed {SEED}"
    )
    assert told.different == []
    assert found.is_kept, found
    assert told.refusals > 0
    assert told.unanswered > 0


async def test_a_process_that_forgets_what_it_answered_is_found(server: EmbeddedPostgres, tmp_path: Path) -> None:
    pods = await _pods(server, tmp_path, serve_amnesically)
    told, _ = await _repeat(pods, 50)
    for pod in pods:
        await asyncio.to_thread(pod.kill)

    keys = {line.split(":")[0] for line in told.different}
    print(
        f"figure: R3 planted: what was stored under an id was not looked at: {len(keys)} of {told.requests} requests"
        f" got another answer, seed {SEED}"
    )
    assert told.different != []


async def _pods(server: EmbeddedPostgres, folder: Path, program: Callable[[], int]) -> list[Fork]:
    """Two processes that serve the shop."""
    first = await start(folder, database_url=server.url)
    await open_shop_at(first.port)
    await asyncio.to_thread(first.stop)
    return [await start(folder, program=program, database_url=server.url) for _ in range(2)]


async def _repeat(pods: list[Fork], count: int) -> tuple[_Told, dict[uuid.UUID, bytes]]:
    random = Random(SEED)
    requests = [_request(random, number) for number in range(count)]
    sends = [request for request in requests for _ in range(random.randint(1, 5))]
    random.shuffle(sends)
    late = random.sample(requests, count)
    answers: dict[str, list[tuple[int, bytes]]] = {request.key: [] for request in requests}
    wrong: list[str] = []
    unanswered = 0

    async def work(todo: list[_Request], seed: int) -> None:
        nonlocal unanswered
        own = Random(seed)
        while todo:
            request = todo.pop()
            how = own.random()
            if how < 0.25:
                await _send_and_leave(own, own.choice(pods).port, request)
                unanswered += 1
                continue
            if how < 0.30 and answers[request.key]:
                answer = await _insist(own.choice(pods).port, request._replace(body=request.other))
                if answer.status != 422 or b"idempotency_mismatch" not in answer.body:
                    wrong.append(f"{request.key}: another request got {answer.status}")
                continue
            answer = await _insist(own.choice(pods).port, request)
            answers[request.key].append((answer.status, answer.body))

    await asyncio.gather(*(work(sends, random.getrandbits(32)) for _ in range(_WORKERS)))
    for request in late:
        answer = await _insist(random.choice(pods).port, request)
        answers[request.key].append((answer.status, answer.body))
        if len(answers[request.key]) > 1 and answer.headers.get("idempotent-replayed") != "true":
            wrong.append(f"{request.key}: the last answer does not say that it was given before")
    different = wrong + [f"{key}: {set(given)}" for key, given in answers.items() if len(set(given)) > 1]
    acknowledged = {
        uuid.UUID(quote["id"]): hashlib.sha256(body).digest()
        for given in answers.values()
        for status, body in given[:1]
        if status == 201
        for quote in [json.loads(body)]
    }
    refusals = sum(given[0][0] == 422 for given in answers.values())
    sent = unanswered + sum(map(len, answers.values()))
    return _Told(count, sent, unanswered, refusals, different), acknowledged


def _request(random: Random, number: int) -> _Request:
    key = str(uuid.UUID(int=random.getrandbits(128), version=4)) if random.random() < 0.5 else f"order-{number}"
    sku = "UNKNOWN" if random.random() < 0.1 else random.choice(("SKU-1", "SKU-2", "SKU-3"))
    quantity = random.randint(1, 20)
    return _Request(
        key, "/v1/quotes", json.dumps(basket((sku, quantity))).encode(), json.dumps(basket((sku, quantity + 1))).encode()
    )


async def _insist(port: int, request: _Request) -> Answer:
    while True:
        async with Wire(port) as wire:
            try:
                answer = await wire.exchange("POST", request.path, request.body, headers={"Idempotency-Key": request.key})
            except Unanswered:
                continue
        if answer.status != 503:
            return answer
        await asyncio.sleep(0.02)


async def _send_and_leave(random: Random, port: int, request: _Request) -> None:
    """Send all of it or a part, and be gone: at once, or about when the answer comes."""
    head = (
        f"POST {request.path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Idempotency-Key: {request.key}\r\nContent-Length: {len(request.body)}\r\n\r\n"
    )
    octets = head.encode() + request.body
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(octets if random.random() < 0.8 else octets[: random.randrange(len(octets))])
    await writer.drain()
    await asyncio.sleep(random.uniform(0, _CUT_S_MAX))
    writer.transport.abort()
