"""Promises R1, R3 and R6 with clocks 90 s apart: one process is behind, one is ahead, and the checkout has the right time."""

import asyncio
import json
import time
import uuid
from pathlib import Path
from random import Random
from typing import Final

from app.db.embedded import EmbeddedPostgres
from app.quotes.tokens import KeyRing, SigningKey, TokenError
from tests.faults.examine import examine
from tests.faults.fleet import open_shop_at
from tests.faults.forks import start
from tests.faults.hasty import serve_ahead, serve_behind
from tests.faults.load import Load
from tests.faults.scale import SEED, scaled
from tests.faults.wire import Wire
from tests.quotes_support import KEYS

_QUOTES: Final = scaled(100, most=10_000)
_BASKET: Final = b'{"currency":"USD","lines":[{"sku":"SKU-1","quantity":1}],"customer":{"id":"c-1"}}'


async def test_clocks_that_differ_cost_no_decision_and_no_token(server: EmbeddedPostgres, tmp_path: Path) -> None:
    random = Random(SEED)
    pod = await start(tmp_path, database_url=server.url)
    await open_shop_at(pod.port)
    await asyncio.to_thread(pod.stop)
    pods = [await start(tmp_path, program=program, database_url=server.url) for program in (serve_behind, serve_ahead)]
    load = Load(lambda: [pod.port for pod in random.sample(pods, 2)], clients=4, seed=SEED)
    await load.wait_for(_QUOTES)
    tokens = []
    for number in range(_QUOTES):
        async with Wire(pods[number % 2].port) as wire:
            tokens.append(json.loads((await wire.exchange("POST", "/v1/quotes", _BASKET)).body)["token"])
    await load.stop()
    for each in pods:
        await asyncio.to_thread(each.kill)
    found = await examine(server.url, load.acknowledged)

    now_s = int(time.time())
    # The secret has been rotated since: it is the third of three now.
    rotated = KeyRing([SigningKey("newest", b"x" * 32), *KEYS._keys], issuer="centwise")
    honoured = sum(_holds(rotated, token, now_s) for token in tokens)
    late = sum(_holds(rotated, token, now_s + 900 - 95) for token in tokens)
    forged = [_forged(random, token) for token in tokens]
    foreign = KeyRing([SigningKey("new", b"f" * 32)], issuer="centwise")
    accepted = sum(_holds(rotated, token, now_s) for token in forged) + sum(_holds(foreign, token, now_s) for token in tokens)
    strict = sum(not _holds(rotated, token, now_s, leeway_s=0) for token in tokens)
    print(
        f"figure: R6: clocks 90 s behind and ahead: {honoured} of {len(tokens)} tokens honoured at once and {late} shortly before their"
        f" end, after a rotation of keys; {accepted} of {2 * len(tokens)} forged or foreign ones; {len(load.acknowledged)} quotes"
        f" acknowledged, {found.lost} lost, {found.doubled} doubled, seed {SEED}"
    )
    print(f"figure: R6 planted: a checkout without leeway for clocks: {strict} of {len(tokens)} tokens refused, seed {SEED}")
    assert (honoured, late, accepted) == (len(tokens), len(tokens), 0)
    assert strict > 0
    assert found.is_kept, found
    assert load.problems == []


def _holds(keys: KeyRing, token: str, now_s: int, *, leeway_s: int = 120) -> bool:
    try:
        claims = keys.verify(token, now_s=now_s, leeway_s=leeway_s)
    except TokenError:
        return False
    return uuid.UUID(claims.jti).version == 7 and claims.tot == 1299


def _forged(random: Random, token: str) -> str:
    """The token with one of its characters changed to another, but for the last of a part, some bits of which mean nothing."""
    parts = token.split(".")
    which = random.randrange(3)
    at = random.randrange(len(parts[which]) - 1)
    other = random.choice([letter for letter in "abcdefXYZ0123-_" if letter != parts[which][at]])
    parts[which] = parts[which][:at] + other + parts[which][at + 1 :]
    return ".".join(parts)
