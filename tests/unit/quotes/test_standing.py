"""Which counters a basket is told of, and that what it is told makes the memo no less right."""

import os
from random import Random
from typing import Any

import pytest

from app.pricing.basket import Basket, Left
from app.pricing.book import PriceBook
from app.pricing.counters import Count
from app.quotes.encode import EncodedQuote
from app.quotes.limited import quotes_by_engine
from app.quotes.memo import Context, Memo, price_told
from app.quotes.standing import Standings, of_one_unit
from loadtests.books import basket as made_basket
from loadtests.books import shop
from tests.memos import price_and_encode
from tests.reference.agreement import as_basket, compiled
from tests.reference.builders import only, percent_off, prices

NOW_S = 1_790_000_000
WEEK = {"timezone": "UTC", "from": "2026-09-20T00:00", "to": "2026-09-27T00:00"}


def book(**more: Any) -> PriceBook:
    documents: dict[str, Any] = {
        "prices": prices(A="1000", B="500", C="100"),
        "promotions": {
            "all": percent_off("1"),
            "a": percent_off("10", scope=only(skus=["A"])),
            "coded": percent_off("20", requires_code=True),
            "past": percent_off("5", schedule={"timezone": "UTC", "to": "2026-01-01T00:00"}),
            "euro": percent_off("5", currency="EUR"),
        },
        "coupons": {"c": {"promotion": "coded", "codes": ["SAVE"]}},
        "campaigns": {"k": {"name": "K", "promotions": ["a"], "budget": 10, "currency": "USD"}},
        "sale-prices": {"flash": {"name": "F", "scope": only(skus=["B"]), "currency": None, "percent": "50", "schedule": None}},
    }
    return compiled(documents | more, {}, (NOW_S - 10) * 1_000_000)


def told(standings: Standings, of: PriceBook, *lines: tuple[str, int], codes: tuple[str, ...] = ()) -> list[tuple[str, str, int]]:
    asked = [{"id": str(number), "sku": sku, "quantity": quantity} for number, (sku, quantity) in enumerate(lines)]
    basket = as_basket({"currency": "USD", "lines": asked, "codes": codes}, NOW_S * 1_000_000)
    standing = standings.of(of)
    found = () if standing is None else standing.tell(basket).left
    return [(left.rule, left.limit, left.left) for left in found]


def standings_of(*counts: tuple[str, str, int], is_close: bool = True) -> Standings:
    standings = Standings(clock_s=lambda: float(NOW_S))
    standings.set(Count(Left(*count), is_close) for count in counts)
    return standings


def test_basket_is_told_of_the_rules_that_may_touch_it_in_order() -> None:
    close = (("a", "uses", 3), ("k", "campaign_budget", 7), ("all", "budget", 1), ("coded", "uses", 2), ("c", "coupon_uses", 0))
    standings, of = standings_of(*close, ("past", "uses", 1), ("euro", "uses", 1), ("gone", "uses", 0)), book()

    assert told(standings, of, ("C", 1)) == [("all", "budget", 1)]
    assert told(standings, of, ("C", 1), ("A", 1)) == [("a", "uses", 3), ("all", "budget", 1), ("k", "campaign_budget", 7)]
    assert told(standings, of, ("C", 1), codes=("SAVE",)) == [("all", "budget", 1), ("c", "coupon_uses", 0), ("coded", "uses", 2)]
    assert told(standings, of, ("C", 1), codes=("OTHER",)) == [("all", "budget", 1)]


def test_units_of_a_sale_are_told_to_who_asks_for_more_and_to_all_when_they_are_close() -> None:
    far, close, of = standings_of(("flash", "units", 5_000), is_close=False), standings_of(("flash", "units", 5_000)), book()

    assert told(far, of, ("B", 5)) == []
    assert told(far, of, ("B", 6)) == [("flash", "units", 5_000)]
    assert told(far, of, ("A", 6)) == []
    assert told(close, of, ("B", 1)) == [("flash", "units", 5_000)]


def test_there_is_nothing_to_tell_where_nothing_of_the_book_is_close() -> None:
    of = book()

    assert standings_of().of(of) is None
    assert standings_of(("gone", "uses", 0)).of(of) is None


def test_rule_that_begins_is_told_of_though_its_counter_stands_still() -> None:
    now_s = [float(NOW_S)]
    standings = Standings(clock_s=lambda: now_s[0])
    standings.set([Count(Left("week", "uses", 1), is_close=True)])
    of = book(promotions={"week": percent_off("5", schedule=WEEK)}, coupons={}, campaigns={})

    assert told(standings, of, ("A", 1)) == [("week", "uses", 1)]
    now_s[0] += 30 * 86_400
    assert told(standings, of, ("A", 1)) == []


def test_single_unit_feels_that_less_than_one_is_left_and_no_count_of_orders_that_is_not_0() -> None:
    left = (
        Left("f", "units", 999),
        Left("g", "units", 1_000),
        Left("p", "uses", 1),
        Left("q", "uses", 0),
        Left("r", "budget", 5),
    )

    assert of_one_unit(left) == (Left("f", "units", 0), Left("q", "uses", 0), Left("r", "budget", 5))


def test_book_can_go_when_its_limits_were_looked_at() -> None:
    standings, of = standings_of(("a", "uses", 3)), book()
    told(standings, of, ("A", 1))

    assert len(standings._standing) == 1
    del of
    assert len(standings._standing) == 0


def random_counts(rng: Random, of: PriceBook) -> list[Count]:
    """Counters near their end, of promotions and sale prices of the shop."""
    promotions = rng.sample(of.promotions.id, 12)
    made = [Left(rule, rng.choice(("uses", "budget")), rng.choice((0, 0, 3, 200, 10**6))) for rule in promotions]
    made += [Left(rule, "units", rng.choice((0, 1_000, 40_000))) for rule in of.sale_names.id]
    made.append(Left("k", "campaign_budget", rng.choice((0, 500, 10**7))))
    return [Count(left, is_close=rng.random() < 0.8) for left in made]


class Forgetful(Memo):
    """A planted defect: what is known does not depend on what has nothing left."""

    def context(self, basket: Basket) -> Context | None:
        return super().context(basket._replace(left=()))


def test_memo_equals_engine_while_counters_change(capsys: pytest.CaptureFixture[str]) -> None:
    documents = shop(n_skus=60, n_promotions=80, seed=5, order_wide=0.05, everything_live=True)
    documents["campaigns"] = {
        "k": {"name": "K", "promotions": sorted(documents["promotions"])[::7], "budget": 1, "currency": "USD"}
    }
    documents["sale-prices"] = {
        f"s{n}": {
            "name": "S",
            "scope": only(skus=[f"SKU-{n}", f"SKU-{n + 1}"]),
            "currency": None,
            "percent": "30",
            "schedule": None,
        }
        for n in range(0, 40, 5)
    }
    of, seed = compiled(documents, {}, 1_700_000_000_000_000), int(os.environ.get("COUNTERS_SEED", "9"))
    rng = Random(seed)
    standings = Standings(clock_s=lambda: 1_750_000_000.0)
    plain: list[Basket] = [as_basket(made_basket(rng, 60), 1_750_000_000_000_000) for _ in range(60)]
    memo, forgetful = Memo(of), Forgetful(of)
    n_told, n_reached, n_wrong = 0, 0, 0

    for _ in range(12):
        standings.set(random_counts(rng, of))
        standing = standings.of(of)
        assert standing is not None
        baskets = [standing.tell(basket) for basket in plain]
        expected = bodies(quotes_by_engine(of, baskets, [False] * 60))
        for _ in range(3):
            assert bodies(price_told(memo, of, baskets, [False] * 60)) == expected
            n_wrong += bodies(price_told(forgetful, of, baskets, [False] * 60)) != expected
        n_told += sum(bool(basket.left) for basket in baskets)
        n_reached += sum(b"limit_reached" in body for body in expected)
    assert n_told > 300
    assert n_reached > 100
    assert n_wrong > 0
    with capsys.disabled():
        print(
            f"\ncounters: {n_told} baskets told, {n_reached} with a limit reached, 0 differences; planted: {n_wrong}; seed {seed}"
        )


def test_whole_baskets_are_told_of_what_is_left_now() -> None:
    of = compiled({"prices": prices(A="1000"), "promotions": {"ten": percent_off("10")}}, {}, 0)
    plain = as_basket({"currency": "USD", "lines": [{"id": "1", "sku": "A", "quantity": 1}]}, NOW_S * 1_000_000)
    replies = [
        price_and_encode(of, [plain._replace(left=(Left("ten", "uses", left),))], [False])[0] for left in (3, 3, 3, 2, 1, 0)
    ]

    assert [b'"left":%d}' % left in reply.body for left, reply in zip((3, 3, 3, 2, 1, 0), replies, strict=True)] == [True] * 6
    assert [reply.total_minor for reply in replies] == [900] * 5 + [1000]
    assert Memo(of).context(plain._replace(left=(Left("ten", "budget", 3),))) is None


def bodies(quotes: list[EncodedQuote]) -> list[bytes]:
    return [quote.body for quote in quotes]
