"""The engine and the reference agree to the cent and to each reason; a batch equals its baskets one by one."""

import os
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.pricing.book import BookError
from tests.reference.agreement import compiled, difference, engine_replies, reference_reply
from tests.reference.generate import random_basket, random_book, random_instant, random_revisions

BOOKS = int(os.environ.get("REFERENCE_BOOKS", "400"))
FIRST_SEED = int(os.environ.get("REFERENCE_SEED", "0"))
BASKETS = 8


class Tally:
    """What a run has compared."""

    lines = 0
    refused = 0
    unpublishable = 0


def disagreement(seed: int, tally: Tally) -> str | None:
    """Compare the baskets of one random book; the first difference, or None."""
    rng = Random(seed)
    documents = random_book(rng)
    revisions = random_revisions(rng, documents)
    at_us = random_instant(rng)
    bodies = [random_basket(rng, documents) for _ in range(BASKETS)]
    try:
        book = compiled(documents, revisions, at_us)
    except BookError as error:
        # A schedule that never holds is refused at publishing; everything else that the generator makes must compile.
        if any("never holds" not in problem.message for problem in error.problems):
            raise
        tally.unpublishable += 1
        return None
    replies = engine_replies(book, bodies, [at_us] * BASKETS)
    for number, body in enumerate(bodies):
        tally.lines += len(body["lines"])
        tally.refused += bool(replies[number]["errors"])
        expected = reference_reply(documents, revisions, body, at_us, at_us)
        if found := difference(replies[number], expected):
            return f"seed {seed}, basket {number}{found}"
    return None


def test_engine_agrees_with_reference(capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally()
    differences = [found for seed in range(FIRST_SEED, FIRST_SEED + BOOKS) if (found := disagreement(seed, tally))]

    assert differences == []
    assert tally.lines > 20 * BOOKS
    assert tally.unpublishable < BOOKS / 10
    with capsys.disabled():
        print(
            f"\nreference: {tally.lines} lines, {tally.refused} refused, seeds {FIRST_SEED} to {FIRST_SEED + BOOKS - 1}, 0 differences"
        )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.integers(min_value=10**6, max_value=2**40))
def test_engine_agrees_on_any_seed(seed: int) -> None:
    assert disagreement(seed, Tally()) is None


def test_batch_equals_its_baskets_one_by_one() -> None:
    for seed in range(60):
        rng = Random(seed)
        documents = random_book(rng)
        at_us = random_instant(rng)
        bodies = [random_basket(rng, documents) for _ in range(BASKETS)]
        try:
            book = compiled(documents, {}, at_us)
        except BookError:
            continue
        together = engine_replies(book, bodies, [at_us] * BASKETS)
        alone = [engine_replies(book, [body], [at_us])[0] for body in bodies]

        assert together == alone


def test_planted_cent_is_found() -> None:
    """The comparison is worth its run only if one odd cent in one amount fails it."""
    books = (random_book(Random(seed)) for seed in range(100))
    promotions = ((name, body) for documents in books for name, body in documents["promotions"].items())
    name, promotion = next((name, body) for name, body in promotions if body["kind"] == "amount_off")
    open_to_all = {**promotion, "scope": {}, "conditions": None, "schedule": None, "requires_code": False, "currency": "USD"}
    odd = {**open_to_all, "params": {**promotion["params"], "amount": promotion["params"]["amount"] + 1}}
    prices = {"A": {"sku": "A", "currency": "USD", "price_list": "default", "unit_price": "900000000"}}
    body = {"currency": "USD", "lines": [{"id": "1", "sku": "A", "quantity": 1}]}
    book = compiled({"prices": prices, "promotions": {name: open_to_all}}, {}, 0)

    reply = engine_replies(book, [body], [0])[0]

    assert difference(reply, reference_reply({"prices": prices, "promotions": {name: open_to_all}}, {}, body, 0, 0)) is None
    assert difference(reply, reference_reply({"prices": prices, "promotions": {name: odd}}, {}, body, 0, 0)) is not None
