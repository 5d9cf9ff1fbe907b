"""An explanation re-sums: every step begins where the one before ended, and the last one ends at the quote's own figures."""

import json
from itertools import pairwise
from random import Random
from typing import Any

from app.pricing.book import BookError
from app.pricing.quote import price_baskets
from app.quotes.encode import encode_quotes
from app.quotes.explanation import explained
from tests.reference.agreement import as_basket, compiled
from tests.reference.generate import random_basket, random_book, random_instant


def random_replies(seed: int) -> list[bytes]:
    """What the engine answers to baskets of a random shop, those that it refuses aside."""
    rng = Random(seed)
    documents, at_us = random_book(rng), random_instant(rng)
    baskets = [as_basket(random_basket(rng, documents), at_us) for _ in range(6)]
    try:
        book = compiled(documents, {}, at_us)
    except BookError:
        return []
    quotes = encode_quotes(book, baskets, price_baskets(book, baskets), partial=[True] * len(baskets))
    return [b"{" + quote.body + b"}" for quote in quotes if not quote.errors]


def follows(steps: list[dict[str, Any]]) -> bool:
    return steps[0]["before"] is None and all(one["after"] == other["before"] for one, other in pairwise(steps))


def test_explanations_re_sum() -> None:
    n_steps = 0
    for reply in (reply for seed in range(120) for reply in random_replies(seed)):
        quote = json.loads(explained(reply))
        explanation = quote.pop("explanation")

        assert quote == json.loads(reply)
        for line, own in zip([line for line in quote["lines"] if "error" not in line], explanation["lines"], strict=True):
            assert own["id"] == line["id"]
            assert follows(own["amounts"])
            assert own["amounts"][-1]["after"] == line["total"]
            assert [step["after"] for step in own["unit_prices"][1:]] == [step["after"] for step in line["price_steps"]]
        assert follows(explanation["order"])
        assert explanation["order"][-1]["before"] == explanation["order"][-1]["after"] == quote["total"]
        n_steps += len(explanation["order"])
    assert n_steps > 1_000


def test_steps_of_a_line_and_of_the_order_worked_by_hand() -> None:
    taken = {"revision": 1, "name": "…"}
    reply = {
        "lines": [
            {
                "id": "1",
                "list_unit_price": "1000",
                "price_steps": [{"step": "sale", "rule": "flash", "before": "1000", "after": "900"}],
                "subtotal": 1800,
                "total": 1458,
                "adjustments": [
                    {"kind": "percent_off", "rule": "ten", "amount": -180, **taken},
                    {"kind": "amount_off", "rule": "off", "amount": -162, "level": "order", **taken},
                ],
            }
        ],
        "adjustments": [
            {"kind": "amount_off", "rule": "off", "amount": -162, **taken},
            {"kind": "cash_rounding", "rule": "cash_rounding", "amount": 2, **taken},
        ],
        "shipping": {
            "subtotal": 500,
            "discount": 100,
            "total": 400,
            "adjustments": [{"kind": "shipping", "rule": "post", "amount": -100, **taken}],
        },
        "gifts": [{"rule": "mug", **taken}],
        "points": {"redeemed": 50, "amount": 50, "earned": 3, "multipliers": [{"rule": "twice", **taken}]},
        "subtotal": 1800,
        "total": 1810,
    }

    explanation = json.loads(explained(json.dumps(reply).encode()))["explanation"]

    [line] = explanation["lines"]
    assert [(step["step"], step["before"], step["after"]) for step in line["unit_prices"]] == [
        ("list", None, "1000"),
        ("sale", "1000", "900"),
    ]
    assert [(step["step"], step["before"], step["after"]) for step in line["amounts"]] == [
        ("subtotal", None, 1800),
        ("percent_off", 1800, 1620),
        ("amount_off", 1620, 1458),
    ]
    assert [(step["step"], step["before"], step["after"]) for step in explanation["order"]] == [
        ("subtotal", None, 1800),
        ("line_promotions", 1800, 1620),
        ("amount_off", 1620, 1458),
        ("shipping", 1458, 1958),
        ("shipping", 1958, 1858),
        ("points", 1858, 1808),
        ("cash_rounding", 1808, 1810),
        ("total", 1810, 1810),
    ]
    assert explanation["applied"] == [
        {"rule": "ten", "kind": "percent_off", "amount": -180, "lines": ["1"]},
        {"rule": "off", "kind": "amount_off", "amount": -162, "lines": ["1"]},
        {"rule": "post", "kind": "shipping", "amount": -100, "lines": []},
        {"rule": "mug", "kind": "gift", "amount": 0, "lines": []},
        {"rule": "twice", "kind": "points", "amount": 0, "lines": []},
    ]
