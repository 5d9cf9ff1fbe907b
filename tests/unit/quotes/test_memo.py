"""A reply from the memo is the reply of the engine, to the byte."""

from collections import Counter
from random import Random
from typing import Any

import pytest

from app.pricebook.document_table import table_of
from app.pricebook.documents import replace_documents
from app.pricing.basket import Basket
from app.pricing.book import BookError, BookRows, Document, PriceBook
from app.pricing.compile import compile_price_book
from app.pricing.touched import skus_touched
from app.quotes.encode import EncodedQuote
from app.quotes.limited import quotes_by_engine, with_few_counters
from app.quotes.memo import Lines, Memo, Memos, price_with
from loadtests.books import basket as made_basket
from loadtests.books import shop
from tests.memos import hand_over, memo_of, price_and_encode
from tests.reference.agreement import as_basket, compiled
from tests.reference.builders import prices
from tests.reference.generate import random_basket, random_book, random_instant
from tests.reference.generate_changes import random_change
from tests.reference.shop import Body


def by_engine(book: PriceBook, baskets: list[Basket]) -> list[EncodedQuote]:
    return summed(quotes_by_engine(book, baskets, [False] * len(baskets)))


def by_memo(book: PriceBook, baskets: list[Basket]) -> list[EncodedQuote]:
    return summed(price_and_encode(book, baskets, [False] * len(baskets)))


def summed(quotes: list[EncodedQuote]) -> list[EncodedQuote]:
    """The quotes with one figure for each kind."""
    found = []
    for quote in quotes:
        sums: Counter[str] = Counter()
        for kind, amount_minor in quote.discount_by_kind:
            sums[kind] += amount_minor
        found.append(quote._replace(discount_by_kind=tuple(sorted(sums.items()))))
    return found


def lines_in(lines: Lines) -> int:
    """How many lines are remembered, as they came and together with others."""
    own = len(lines.alone) + sum(map(len, lines.together))
    return own + (0 if lines.older is None else lines_in(lines.older))


def test_memo_equals_engine_on_random_books() -> None:
    remembered = 0
    for seed in range(150):
        rng = Random(seed)
        documents = random_book(rng)
        at_us = random_instant(rng)
        try:
            book = compiled(documents, {}, at_us)
        except BookError:
            continue
        baskets = [as_basket(random_basket(rng, documents), at_us + rng.choice((0, 0, 10**9))) for _ in range(10)]
        expected = by_engine(book, baskets)

        assert by_memo(book, baskets) == expected
        assert by_memo(book, baskets[::-1]) == expected[::-1]
        remembered += sum(Memo(book).context(with_few_counters(book, basket)[0]) is not None for basket in baskets)
    assert remembered > 95


def test_memo_equals_engine_on_a_whole_shop() -> None:
    book = compiled(shop(n_skus=300, n_promotions=200, seed=3, order_wide=0.02, everything_live=True), {}, 1_700_000_000_000_000)
    rng = Random(4)
    baskets = [as_basket(made_basket(rng, 300), 1_750_000_000_000_000) for _ in range(400)]
    expected = by_engine(book, baskets)

    for _ in range(2):
        assert by_memo(book, baskets) == expected


def test_memo_that_makes_room_all_the_time_equals_the_engine() -> None:
    book = compiled(shop(n_skus=60, n_promotions=80, seed=5, everything_live=True), {}, 1_700_000_000_000_000)
    rng = Random(6)
    baskets = [as_basket(made_basket(rng, 60), 1_750_000_000_000_000) for _ in range(300)]
    expected = by_engine(book, baskets)
    memo = Memo(book, lines_max=200, whole_octets_max=0)

    for _ in range(6):
        assert summed(price_with(memo, book, baskets, [False] * 300)) == expected
    assert 0 < memo.n_lines <= 200


def test_lines_that_all_feel_one_another_do_not_fill_the_memory() -> None:
    documents = shop(n_skus=20, n_promotions=0)
    steps = [{"from": 2, "percent": "3"}, {"from": 6, "percent": "6"}]
    everywhere = {"name": "All", "kind": "tiered", "params": {"by": "quantity", "steps": steps}, "level": "line", "scope": {}}
    documents["promotions"] = {"all": {**everywhere, "requires_code": False}}
    book = compiled(documents, {}, 1_700_000_000_000_000)
    rng = Random(7)
    bodies = [{"currency": "USD", "lines": made_basket(rng, 20)["lines"]} for _ in range(300)]
    baskets = [as_basket(body, 1_750_000_000_000_000) for body in bodies]
    expected = by_engine(book, baskets)
    memo = Memo(book, lines_max=400, whole_octets_max=0)

    for first in [*range(0, 300, 20)] * 3:
        part = slice(first, first + 20)
        assert summed(price_with(memo, book, baskets[part], [False] * 20)) == expected[part]
        assert sum(map(lines_in, memo._lines.values())) <= 2 * 400


def test_memos_hold_no_more_than_they_are_told_whatever_comes() -> None:
    """Baskets that never come again, of six thousand lines that do."""
    book = compiled(shop(n_skus=60, n_promotions=80, seed=5, everything_live=True), {}, 1_700_000_000_000_000)
    memos = Memos(lines_max=1_000)
    rng = Random(9)
    most = dict.fromkeys(memos.sizes(book), 0)
    learned = 0

    for _ in range(300):
        lines = [{"id": f"{number}", "sku": f"SKU-{rng.randrange(60)}", "quantity": rng.randint(1, 100)} for number in range(100)]
        bodies = [{"currency": "USD", "lines": lines[place : place + 4]} for place in range(0, 100, 4)]
        before = memos.of(book).n_lines
        memos.price(book, [as_basket(body, 1_750_000_000_000_000) for body in bodies], [False] * len(bodies))
        learned += memos.of(book).n_lines != before
        kept = sum(map(lines_in, memos.of(book)._lines.values()))
        most = {what: max(most[what], size) for what, size in (memos.sizes(book) | {"lines": kept}).items()}

    assert learned > 20
    assert 500 < most["lines"] <= 1_000 + 2 * 100  # a batch may come on top of each half
    assert most["baskets"] * 300 < 1_000 * 336


def test_basket_is_remembered_whole_at_its_second_sight_and_forgotten_when_there_are_too_many() -> None:
    book = compiled(shop(n_skus=60, n_promotions=80, seed=5, everything_live=True), {}, 1_700_000_000_000_000)
    rng = Random(8)
    baskets = [as_basket(made_basket(rng, 60), 1_750_000_000_000_000) for _ in range(40)]
    expected = by_engine(book, baskets)
    octets = sum(len(quote.body) for quote in expected)
    memo, small, none = Memo(book), Memo(book, whole_octets_max=octets // 3), Memo(book, whole_octets_max=0)
    remembered = []

    for _ in range(4):
        for one in (memo, small, none):
            assert summed(price_with(one, book, baskets, [False] * 40)) == expected
        remembered.append(tuple(one.sizes["baskets"] for one in (memo, small, none)))

    assert [many for many, _, _ in remembered] == [0, 40, 40, 40]
    assert 0 < remembered[-1][1] < 40
    assert remembered[-1][2] == 0


def test_basket_remembered_whole_is_not_that_of_another_shipping_or_other_line_ids() -> None:
    book = compiled(shop(n_skus=60, n_promotions=80, seed=5), {}, 1_700_000_000_000_000)
    lines: list[dict[str, Any]] = [{"id": "a", "sku": "SKU-1", "quantity": 1}, {"id": "b", "sku": "SKU-2", "quantity": 2}]
    body: dict[str, Any] = {"currency": "USD", "lines": lines}
    others = [{**body, "shipping": 490}, {**body, "lines": [{**line, "id": line["sku"]} for line in lines]}]
    for _ in range(3):
        by_memo(book, [as_basket(body, 1_750_000_000_000_000)])

    baskets = [as_basket(other, 1_750_000_000_000_000) for other in others]
    assert by_memo(book, baskets) == by_engine(book, baskets)


def test_segments_that_nothing_names_make_no_context_of_their_own() -> None:
    documents = shop(n_skus=3, n_promotions=0)
    documents["promotions"] = {
        "vip": {
            "name": "VIP",
            "kind": "percent_off",
            "params": {"percent": "10"},
            "level": "line",
            "scope": {},
            "conditions": {"attribute": "customer.segments", "op": "contains", "value": "vip"},
            "requires_code": False,
        }
    }
    documents["price-lists"] = {"staff": {"match": {"groups": ["staff"]}, "priority": 0, "tax_included": False}}
    book = compiled(documents, {}, 1_700_000_000_000_000)
    memo = Memo(book)

    def context(*segments: str) -> object:
        return memo.context(
            as_basket({"currency": "USD", "lines": [], "customer": {"segments": segments}}, 1_750_000_000_000_000)
        )

    assert context("a", "vip") == context("vip", "b", "c")
    assert context("a") == context("b")
    assert len({context(), context("a"), context("vip"), context("staff"), context("vip", "staff")}) == 5


def test_part_of_a_request_is_remembered_for_nobody() -> None:
    book = compiled(shop(n_skus=5, n_promotions=0), {}, 1_700_000_000_000_000)
    lines = [{"id": "1", "sku": "SKU-0", "quantity": 1}, {"id": "2", "sku": "none", "quantity": 1}]
    basket = as_basket({"currency": "USD", "lines": lines}, 1_750_000_000_000_000)
    for _ in range(3):
        assert price_and_encode(book, [basket], [True])[0].errors == ()

    assert price_and_encode(book, [basket], [False])[0].errors == (
        ("lines[1]", "no_price", "there is no price for this SKU in this currency and context"),
    )


def test_what_is_handed_over_is_what_the_next_book_says() -> None:
    handed = 0
    for seed in range(100):
        rng = Random(seed)
        documents = random_book(rng)
        at_us = random_instant(rng)
        bodies = {name: table_of({key: Document(body, 1) for key, body in own.items()}) for name, own in documents.items()}
        rows = BookRows(1, at_us, bodies)
        try:
            book = compile_price_book(rows)
        except BookError:
            continue
        baskets = [as_basket(random_basket(rng, documents), at_us + rng.choice((0, 0, 10**9))) for _ in range(12)]
        for version in range(2, 6):
            for shipping_minor in range(3):  # a context is known at its second sight, a line at its second sight there
                by_memo(book, [basket._replace(shipping_minor=shipping_minor) for basket in baskets])
            changes = random_change(rng, rows)
            changed = BookRows(version, at_us + version * 10**6, replace_documents(rows.documents, changes))
            try:
                after = compile_price_book(changed, book)
            except BookError:
                continue
            known = memo_of(book).n_lines
            hand_over(book, after)

            assert by_memo(after, baskets) == by_engine(after, baskets)
            assert by_memo(book, baskets) == by_engine(book, baskets)
            handed += known > 0 and skus_touched(book, after) is not None
            book, rows = after, changed
    assert handed > 100


@pytest.mark.parametrize("resource", ["prices", "signals-competitors"])
def test_a_rung_is_forgotten_when_the_one_below_it_moves(resource: str) -> None:
    documents: dict[str, dict[str, Body]] = {
        "prices": prices(GOOD="1000", BETTER="1100", OTHER="1000"),
        "ladders": {
            "l": {"currency": "USD", "reference": "list", "rungs": [{"sku": "GOOD"}, {"sku": "BETTER", "gap_amount": "100"}]}
        },
        "strategies": {
            "s": {
                "kind": "competitor",
                "scope": {"include": {"skus": ["GOOD"]}},
                "currency": "USD",
                "params": {"against": "rival", "percent": "100"} if resource == "signals-competitors" else {"against": "nobody"},
            }
        },
        "signals-competitors": {
            "GOOD|rival|USD": {
                "sku": "GOOD",
                "competitor": "rival",
                "currency": "USD",
                "unit_price": "1000",
                "in_stock": True,
                "at": "2026-01-01T00:00:00Z",
            }
        },
    }
    bodies = {name: table_of({key: Document(body, 1) for key, body in own.items()}) for name, own in documents.items()}
    rows = BookRows(1, 0, bodies)
    book = compile_price_book(rows)
    body = {"currency": "USD", "lines": [{"id": "1", "sku": sku, "quantity": 1} for sku in ("BETTER", "OTHER")]}
    baskets = [as_basket(body, 1_800_000_000_000_000)]
    for number in range(3):
        # By other names, so that the lines are learned and not the whole basket.
        renamed = [basket._replace(line_ids=[f"{number}", f"{number}b"]) for basket in baskets]
        assert by_memo(book, renamed)[0].total_minor == 2100
    key = "GOOD|default|USD|" if resource == "prices" else "GOOD|rival|USD"
    moved = {**documents[resource][key], "unit_price": "1050"}
    after = compile_price_book(BookRows(2, 0, replace_documents(bodies, [(resource, key, Document(moved, 2))])), book)
    hand_over(book, after)

    assert memo_of(after).n_lines > 0
    assert by_memo(after, baskets)[0].total_minor == 2150


def test_memo_equals_engine_across_the_boundaries_of_time() -> None:
    changed = 0
    for seed in range(60):
        rng = Random(seed)
        documents = random_book(rng)
        try:
            book = compiled(documents, {}, random_instant(rng))
        except BookError:
            continue
        if not book.strategies.kinds:
            continue
        bodies = [random_basket(rng, documents) for _ in range(4)]
        boundaries = rng.sample(book.boundaries_s, min(5, len(book.boundaries_s)))
        seconds = [second + offset for second in boundaries for offset in (-1, 0, 1)]
        baskets = [as_basket(body, second * 10**6) for body in bodies for second in seconds if second > 0]
        expected = by_engine(book, baskets)

        for _ in range(3):  # a context is known at its second sight, a line at its second sight there
            assert by_memo(book, baskets) == expected
        changed += len({one.total_minor for one in expected[: len(seconds)]}) > 1
    assert changed > 5


def test_line_is_priced_anew_when_a_schedule_changes_it() -> None:
    documents = shop(n_skus=1, n_promotions=0)
    sale = {
        "name": "Hour",
        "scope": {},
        "percent": "50",
        "schedule": {"from": "2026-01-01T00:00:00", "to": "2026-01-01T01:00:00", "timezone": "UTC"},
    }
    documents["sale-prices"] = {"hour": sale}
    book = compiled(documents, {}, 1_700_000_000_000_000)
    start_us = 1_767_225_600_000_000
    body = {"currency": "USD", "lines": [{"id": "1", "sku": "SKU-0", "quantity": 1}]}

    totals = [
        price_and_encode(book, [as_basket(body, start_us + second * 10**6)], [False])[0].total_minor
        for second in (-1, 0, 3599, 3600)
    ]

    assert totals[1] == totals[2] < totals[0] == totals[3]
