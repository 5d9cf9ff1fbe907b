"""Random books and baskets, skewed to conflicts: for seeded runs by the million, and for Hypothesis.

`random_book(rng)`, `random_basket(rng, documents)` and `random_instant(rng)` take a `random.Random`; `cases()` draws the
same through Hypothesis, which shrinks them. Everything is published at `PUBLISHED_AT_US`.
"""

from random import Random
from typing import Any, NamedTuple

from hypothesis import strategies as st

from tests.reference.codes import LETTERS, generated_code, promotion_of_each_code
from tests.reference.generate_limits import campaign_documents, random_limited
from tests.reference.generate_pieces import (
    CHANNELS,
    HOT_INSTANTS_US,
    LEVELS,
    MARKETS,
    NAMED_DAYS,
    PUBLISHED_AT_US,
    SEGMENTS,
    SKUS,
    STORES,
    chance,
    quantity,
)
from tests.reference.generate_prices import price_documents, rules_of_prices
from tests.reference.generate_promotions import promotion_documents
from tests.reference.shop import Body, Documents

CURRENCIES = ("USD", "EUR", "JPY", "KWD")


class Case(NamedTuple):
    """One comparison: the arguments of `price_basket`."""

    documents: Documents
    revisions: dict[tuple[str, str], int]
    basket: Body
    at_us: int
    published_at_us: int


def random_book(rng: Random) -> dict[str, dict[str, Body]]:
    """Return the documents of a random book that is fit to be published."""
    currency = rng.choice(("USD", "USD", *CURRENCIES))
    other = rng.choice(("EUR", "USD"))
    currencies = (currency, other)
    documents: dict[str, dict[str, Body]] = {"policy": {"default": _policy(rng)}, "attributes": _attributes(rng)}
    scale = rng.choice((1, 30, 1_000, 1_000, 1_000, 20_000, 20_000, 5_000_000, 9_000_000_000))
    documents |= price_documents(rng, currencies, scale)
    documents |= rules_of_prices(rng, currencies, scale, documents)
    documents |= promotion_documents(rng, currencies, scale)
    documents["campaigns"] = campaign_documents(rng, documents)
    documents["named-days"] = _named_days(rng, documents)
    return documents


def random_revisions(rng: Random, documents: Documents) -> dict[tuple[str, str], int]:
    """Return a revision for each document."""
    return {(resource, name): rng.randint(1, 9) for resource, bodies in documents.items() for name in bodies}


def random_instant(rng: Random) -> int:
    """Return an instant at, just before or about one of those that the schedules are made around."""
    hot = rng.choice(HOT_INSTANTS_US)
    minute = 60_000_000
    return hot + rng.choice((0, 0, -1, 1, 30 * minute, -30 * minute, 60 * minute, rng.randint(-1_500, 1_500) * minute))


def random_basket(rng: Random, documents: Documents) -> Body:
    """Return a request against the book; now and then with SKUs, codes and attributes that it does not know."""
    prices = list(documents["prices"].values())
    currency = rng.choice(prices)["currency"]
    skus = sorted({price["sku"] for price in prices if price["currency"] == currency})
    if chance(rng, 0.5):
        skus = rng.sample(skus, rng.randint(1, min(3, len(skus))))
    ids = rng.sample(range(1, 60), rng.choice((1, 1, 2, 2, 3, 4, 6, 12)))
    lines = [{"id": str(line_id), "sku": rng.choice(skus), "quantity": quantity(rng)} for line_id in ids]
    if chance(rng, 0.03):
        lines[-1]["sku"] = rng.choice((*SKUS, "NOWHERE"))
    basket: Body = {"currency": currency, "lines": lines}
    for field, values in (("channel", CHANNELS), ("store", STORES), ("market", MARKETS)):
        if chance(rng, 0.6):
            basket[field] = rng.choice((*values, None))
    if chance(rng, 0.7):
        basket["customer"] = _customer(rng, documents)
    codes = sorted(promotion_of_each_code(documents["coupons"]))
    # One number beyond the last, and one that is wrong in a letter.
    for made in [body["generate"] for body in documents["coupons"].values() if body.get("generate")]:
        beyond = generated_code(made["prefix"], made["seed"], made["count"])
        codes += [beyond, f"{generated_code(made['prefix'], made['seed'], 0)[:-1]}{rng.choice(LETTERS)}"]
    if chance(rng, 0.7):
        basket["codes"] = [_code_as_typed(rng, codes) for _ in range(rng.choice((0, 1, 1, 2, 3, 5)))]
    if chance(rng, 0.5):
        basket["attributes"] = _attribute_values(rng, documents)
    if chance(rng, 0.5):
        basket["shipping"] = rng.choice((0, 1, 499, 500, 499, 500))
    if chance(rng, 0.15):
        basket["points"] = rng.choice((0, 1, 7, 250, 1_000_000_000))
    if chance(rng, 0.4):
        basket["partial"] = True
    if chance(rng, 0.4):
        basket["limited"] = random_limited(rng, documents, basket)
    return basket


def random_case(rng: Random) -> Case:
    """Return a whole case."""
    documents = random_book(rng)
    basket, revisions = random_basket(rng, documents), random_revisions(rng, documents)
    return Case(documents, revisions, basket, random_instant(rng), PUBLISHED_AT_US)


def cases() -> st.SearchStrategy[Case]:
    """Draw whole cases through Hypothesis."""
    return st.randoms(use_true_random=False).map(random_case)


def _named_days(rng: Random, documents: Documents) -> dict[str, Body]:
    """Return the days of the rules whose schedule names some."""
    return {
        f"{resource}/{name}": {"days": sorted(rng.sample(NAMED_DAYS, rng.randint(0, len(NAMED_DAYS))))}
        for resource in ("promotions", "sale-prices")
        for name, body in documents[resource].items()
        if {"holidays", "festival"} & (body["schedule"] or {}).keys()
    }


def _policy(rng: Random) -> Body:
    return {
        "rounding": rng.choice(("half_up", "half_even", "half_down")),
        "rounding_level": rng.choice(("line", "line", "unit")),
        "percent_base": rng.choice(("running", "initial")),
        "remainder": rng.choice(("largest", "first", "last", "nearest", "carry")),
        "selection": rng.choice(("best", "best", "priority")),
        "exclusive_wins": chance(rng, 0.4),
        "coupon_failure": "all" if chance(rng, 0.15) else "partial",
        "cash_rounding": rng.choice((None, None, 5, 7, 100, {"USD": 5}, {"EUR": 10, "JPY": 3})),
        "points": {currency: _program(rng) for currency in CURRENCIES if chance(rng, 0.5)},
    }


def _program(rng: Random) -> Body:
    return {
        "worth": rng.choice(("1", "0.3", "2.5", "10", "0.0001", "33.3333")),
        "max_percent": rng.choice((None, "50", "33.3333", "0")),
        "max_amount": rng.choice((None, None, 1, 250, 100_000)),
        "earn": rng.choice(("0", "0.01", "1", "0.333333", "1000")),
    }


def _attributes(rng: Random) -> dict[str, Body]:
    types = {"member": "boolean", "age": "integer", "score": "decimal", "plan": "string"}
    return {name: {"type": kind, "personal": chance(rng, 0.5)} for name, kind in types.items()}


def _attribute_values(rng: Random, documents: Documents) -> Body:
    values: dict[str, Any] = {
        "member": rng.choice((True, False)),
        "age": rng.choice((17, 18, 65)),
        "score": rng.choice(("0.5", "1", 1, "2.25")),
        "plan": rng.choice(("free", "pro")),
    }
    sent = {name: value for name, value in values.items() if name in documents["attributes"] and chance(rng, 0.6)}
    if chance(rng, 0.03):
        sent[rng.choice(("age", "member", "plan", "unheard"))] = rng.choice(("x", 1, True))
    return sent


def _customer(rng: Random, documents: Documents) -> Body:
    made: Body = {
        "id": rng.choice(("c-1", "c-2")),
        "segments": rng.sample(SEGMENTS, rng.randint(0, len(SEGMENTS))),
        "level": rng.choice((*LEVELS, None)),
        "orders": rng.choice((0, 1, 3, 4, 5, 10)),
        "spend": rng.choice((0, 999, 1_000, 5_000, 120_000)),
        "days_since_last_order": rng.choice((0, 29, 30, 31)),
        "attributes": _attribute_values(rng, documents),
    }
    return {name: value for name, value in made.items() if chance(rng, 0.7)}


def _code_as_typed(rng: Random, codes: list[str]) -> str:
    code = rng.choice((*codes, "UNKNOWN", "VIP"))
    return rng.choice((code, code, code.lower(), f"  {code} "))
