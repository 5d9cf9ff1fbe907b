"""Choosing among promotions costs where they compete, and says where it was cut short."""

import itertools
from random import Random
from typing import Any

import pytest

import app.quotes.memo
from app.pricing.basket import Basket
from app.pricing.book import PriceBook
from app.pricing.quote import price_baskets
from app.pricing.rivals import WORK_MAX, combinations_of
from app.quotes.encode import EncodedQuote, encode_quotes
from app.quotes.memo import Memo, price_with
from loadtests.books import basket as made_basket
from loadtests.books import shop
from tests.reference.agreement import as_basket, compiled

AT_US = 1_790_000_000_000_000


def promotion(percent: int, **more: Any) -> dict[str, Any]:
    params = {"percent": str(percent)} | {name: more.pop(name) for name in ("cap",) if name in more}
    return {"name": "P", "kind": "percent_off", "params": params, "level": "line", "currency": "USD", "scope": {}} | more


def book_of(**promotions: dict[str, Any]) -> PriceBook:
    return compiled({**shop(n_skus=60, n_promotions=0), "promotions": promotions}, {}, AT_US)


def baskets_of(n_baskets: int) -> list[Basket]:
    rng = Random(3)
    return [as_basket(made_basket(rng, 60), AT_US) for _ in range(n_baskets)]


def test_nothing_is_chosen_where_nothing_competes() -> None:
    stacking = book_of(
        a=promotion(10),
        b=promotion(5, cap=100),
        c=promotion(5, level="order"),
        d=promotion(3, group="g"),
        e=promotion(3, level="order", group="g"),
    )

    outcome = price_baskets(stacking, baskets_of(20)).outcome

    assert outcome.is_applied.any()
    assert (outcome.contested, outcome.is_searched, outcome.is_bounded) == (None, None, None)


def test_lines_are_contested_without_a_search() -> None:
    contested = book_of(a=promotion(10, group="g"), b=promotion(5, group="g"), c=promotion(5, level="order"))

    outcome = price_baskets(contested, baskets_of(20)).outcome

    assert outcome.contested is not None
    assert outcome.contested.has_losers.all()
    # The first of the group is the best one as well, so the sequence alone would have come to the same.
    assert outcome.is_searched is None


def test_many_searched_baskets_cost_what_they_cost_one_by_one() -> None:
    """More pairs than are run side by side at once."""
    rivals = book_of(**{f"o{number}": promotion(number, level="order", group=f"g{number % 4}") for number in range(1, 13)})
    baskets = baskets_of(80)

    together = price_baskets(rivals, baskets)

    assert together.outcome.is_searched is not None
    assert together.outcome.is_searched.all()
    alone = [int(price_baskets(rivals, [basket]).total_minor.sum()) for basket in baskets]
    bounds = together.first_line.tolist()
    assert [int(together.total_minor[low:high].sum()) for low, high in itertools.pairwise(bounds)] == alone


def test_a_reply_says_where_more_compete_than_are_searched() -> None:
    crowd = book_of(**{f"o{number:02}": promotion(1, level="order", group="g") for number in range(13)})
    pair = book_of(**{f"o{number:02}": promotion(1, level="order", group="g") for number in range(2)})
    baskets = baskets_of(3)

    for book, word in ((crowd, b'"selection":"bounded"'), (pair, b'"selection":"exact"')):
        by_engine = encode_quotes(book, baskets, price_baskets(book, baskets), partial=[False] * 3)
        memo = Memo(book)
        for _ in range(3):
            assert price_with(memo, book, baskets, [False] * 3) == by_engine
        assert all(word in quote.body for quote in by_engine)
        assert {quote.is_bounded for quote in by_engine} == {word == b'"selection":"bounded"'}


def test_lines_that_an_order_promotion_would_have_otherwise_are_not_put_together() -> None:
    """Line by line the exclusive promotion is the cheapest; with the order's share it is not."""
    book = book_of(x=promotion(10, exclusive=True), o=promotion(25, level="order"))
    baskets = baskets_of(12)
    expected = encode_quotes(book, baskets, price_baskets(book, baskets), partial=[False] * 12)
    memo = Memo(book)

    for _ in range(3):
        assert price_with(memo, book, baskets, [False] * 12) == expected
    assert all(b'"rule":"x","reason":"not_best"' in quote.body for quote in expected)


def bodies(replies: list[EncodedQuote]) -> list[bytes]:
    return [reply.body for reply in replies]


def contested(**order: dict[str, Any]) -> PriceBook:
    """Each line has two promotions of a group, of which the sequence takes the dearer one."""
    return book_of(a=promotion(5, group="g", priority=1), b=promotion(10, group="g"), **order)


def test_lines_are_put_together_where_the_sequence_could_have_decided_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    rivals = {f"o{number}": promotion(number, level="order", group=f"h{number % 2}") for number in range(1, 5)}
    book = contested(**rivals)
    baskets = baskets_of(12)
    expected = encode_quotes(book, baskets, price_baskets(book, baskets), partial=[False] * 12)
    memo = Memo(book, whole_octets_max=0)
    for _ in range(2):
        assert bodies(price_with(memo, book, baskets, [False] * 12)) == bodies(expected)

    monkeypatch.setattr(app.quotes.memo, "encoded_by_engine", None)

    assert bodies(price_with(memo, book, baskets, [False] * 12)) == bodies(expected)
    assert all(b'"rule":"a","reason":"not_best"' in quote.body for quote in expected)


@pytest.mark.parametrize("scope", [{}, {"include": {}, "exclude": {"skus": ["SKU-3"]}}])
def test_what_the_sequence_alone_leaves_is_compared_with_what_contests_leave(scope: dict[str, Any]) -> None:
    """Half off for one order if it comes to some 95 % of what it was, which it does only with the dearer promotion on its lines."""
    baskets = baskets_of(12)
    subtotal = encode_quotes(contested(), baskets, price_baskets(contested(), baskets), partial=[False] * 12)[0].subtotal_minor
    between = [
        {"attribute": "order.subtotal", "basis": "running", "op": op, "value": subtotal * percent // 100}
        for op, percent in ((">=", 93), ("<", 97))
    ]
    book = contested(o=promotion(50, level="order", scope=scope, conditions={"all": between}))
    expected = encode_quotes(book, baskets, price_baskets(book, baskets), partial=[False] * 12)
    memo = Memo(book, whole_octets_max=0)

    for _ in range(3):
        assert bodies(price_with(memo, book, baskets, [False] * 12)) == bodies(expected)
    by_sequence = [b'"rule":"b","reason":"group_taken"' in quote.body for quote in expected]
    assert by_sequence[0]
    assert by_sequence.count(True) < 6


def test_combinations_leave_out_what_is_free_and_replace_what_is_not() -> None:
    # The first two exclude each other and are missing only for each other; the third may be missing.
    found = combinations_of((0b10, 0b01, 0), (False, False, True), 1)

    assert sorted(map(tuple, found.tolist())) == [
        (False, True, False),
        (False, True, True),
        (True, False, False),
        (True, False, True),
    ]


def test_work_is_bounded_by_the_lines_of_the_basket() -> None:
    for n_lines in (1, 20, 500, WORK_MAX, 10 * WORK_MAX):
        n_combinations, n_searched = combinations_of((0,) * 12, (True,) * 12, n_lines).shape

        assert n_combinations == 1 << n_searched
        assert n_combinations * n_lines <= WORK_MAX or n_searched == 0
