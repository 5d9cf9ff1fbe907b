"""Random shops with the replies of the reference, which are worked out once and kept: what most mutants are killed by.

The comparison of `tests/reference/test_engine_agrees.py` with its slow half remembered. Only `make mutation` runs this file.
"""

import hashlib
import pickle
from functools import cache
from pathlib import Path
from random import Random
from typing import NamedTuple

import pytest

from tests.reference.agreement import compiled, difference, engine_replies, reference_reply
from tests.reference.generate import random_basket, random_book, random_instant, random_revisions
from tests.reference.shop import Body

SHOPS = 250
_BASKETS = 6
_KEPT = Path(__file__).parents[2] / ".mutation"


class Shop(NamedTuple):
    documents: dict[str, dict[str, Body]]
    revisions: dict[tuple[str, str], int]
    at_us: int
    bodies: list[Body]
    replies: list[Body]  # by the reference


def shop(seed: int) -> Shop:
    """Make a random shop and ask the reference."""
    rng = Random(seed)
    documents = random_book(rng)
    revisions, at_us = random_revisions(rng, documents), random_instant(rng)
    bodies = [random_basket(rng, documents) for _ in range(_BASKETS)]
    replies = [reference_reply(documents, revisions, body, at_us, at_us) for body in bodies]
    return Shop(documents, revisions, at_us, bodies, replies)


@cache
def shops() -> list[Shop]:
    """All shops: those that are kept, as long as the reference has not changed."""
    sources = sorted(Path(__file__).parents[1].glob("reference/*.py"))
    digest = hashlib.sha256(b"".join(source.read_bytes() for source in (*sources, Path(__file__)))).hexdigest()
    kept = _KEPT / f"shops-{digest[:16]}.pickle"
    if not kept.exists():
        _KEPT.mkdir(exist_ok=True)
        kept.write_bytes(pickle.dumps([shop(seed) for seed in range(SHOPS)]))
    found: list[Shop] = pickle.loads(kept.read_bytes())
    return found


@pytest.mark.parametrize("seed", range(SHOPS))
def test_engine_answers_as_the_reference_did(seed: int) -> None:
    documents, revisions, at_us, bodies, expected = shops()[seed]
    replies = engine_replies(compiled(documents, revisions, at_us), bodies, [at_us] * len(bodies))

    for reply, wanted in zip(replies, expected, strict=True):
        assert difference(reply, wanted) is None
