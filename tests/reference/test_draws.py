"""Of random baskets, what holds draw on budgets is to the cent what the reply says that promotions gave."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from random import Random

from app.pricing.code_table import NO_CODES
from app.quotes.limited import quotes_by_engine
from app.redemptions.draws import Quote, draws_of, read_quoted, sold_milli
from app.redemptions.limits import Limits
from tests.reference.agreement import as_basket, compiled
from tests.reference.generate import random_basket, random_book, random_instant

SEED = int(os.environ.get("DRAWS_SEED", "4"))
BOOKS = 25
BASKETS = 30
_HEAD = b'{"version":1,"issued_at":"2026-11-29T03:30:00.000Z","expires_at":"2026-11-29T03:45:00.000Z",'


@dataclass(slots=True)
class Tally:
    quotes: int = 0
    draws: int = 0
    given_back: int = 0


def broken_laws(seed: int, tally: Tally, spoil: Callable[[Quote], None]) -> int:
    """How many quotes of a random book draw another amount than was given; `spoil` changes what the draws are made of."""
    rng = Random(seed)
    documents = random_book(rng)
    for promotion in documents.get("promotions", {}).values():
        promotion["limits"] = {"uses": 5, "budget": 10**11}
    book = compiled(documents, {}, random_instant(rng))
    limits = Limits(1, book.sources.documents, NO_CODES)
    broken = 0
    at = random_instant(rng)
    bodies = [random_basket(rng, documents) for _ in range(BASKETS)]
    baskets = [as_basket(body, at) for body in bodies]
    for encoded in quotes_by_engine(book, baskets, [bool(body.get("partial")) for body in bodies]):
        if encoded.errors:
            continue
        raw = _HEAD + encoded.body + b"}"
        quote, spoiled = read_quoted(raw), read_quoted(raw)
        spoil(spoiled)
        found = draws_of(spoiled, customer=None, limits=limits)
        budgets = [draw for draw in found.draws if draw.meter.startswith("promotions/") and draw.meter.endswith("/budget")]
        on_lines = sum(part.amount for draw in budgets for part in draw.parts)
        whole = sum(draw.amount for draw in budgets)
        given = encoded.discount_minor
        beside = sum(gift.worth for gift in quote.gifts)
        beside -= sum(adjustment.amount for adjustment in (quote.shipping.adjustments if quote.shipping else ()))
        sold = sold_milli(quote)
        holds = (on_lines, whole) == (given, given + beside)
        holds = holds and all(draw.amount > 0 and sum(part.amount for part in draw.parts) <= draw.amount for draw in found.draws)
        holds = holds and all(part.line in sold and part.amount > 0 for draw in found.draws for part in draw.parts)
        broken += not holds
        tally.quotes += 1
        tally.draws += len(found.draws)
        tally.given_back += any(one.kind == "guardrail" for line in quote.lines for one in line.adjustments)
    return broken


def leave(quote: Quote) -> None:
    """Draw from the reply as it is."""


def forget_what_was_given_back(quote: Quote) -> None:
    for line in quote.lines:
        line.adjustments = [one for one in line.adjustments if one.kind != "guardrail"]


def test_budgets_are_drawn_to_the_cent() -> None:
    tally, planted = Tally(), Tally()

    broken = sum(broken_laws(SEED * 1_000 + number, tally, leave) for number in range(BOOKS))
    found = sum(broken_laws(SEED * 1_000 + number, planted, forget_what_was_given_back) for number in range(BOOKS))

    print(f"draws: {tally.quotes} quotes, {tally.draws} draws, {broken} differences; planted: {found}; seed {SEED}")
    assert broken == 0
    assert tally.draws > tally.quotes
    assert found >= tally.given_back > 0
