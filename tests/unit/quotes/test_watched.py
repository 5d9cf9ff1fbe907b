"""What is counted of a quote beside its amounts: worked by hand, and the same by the engine, by known lines and by whole replies."""

from typing import Any

import pytest

from app.pricing.watched import LINES_MAX
from app.quotes import schemas
from app.quotes.encode import EncodedQuote
from app.quotes.limited import quotes_by_engine
from tests.memos import memo_of, price_and_encode
from tests.reference.agreement import as_basket, compiled
from tests.reference.builders import PUBLISHED_AT_US, amount_off, floor, only, percent_off, prices
from tests.reference.shop import Body

Documents = dict[str, dict[str, Any]]

MUGS = only(skus=["MUG"])
TEN = percent_off("10", scope=MUGS)


def shop(*, guardrails: Documents | None = None, costs: dict[str, str] | None = None, **promotions: Body) -> Documents:
    """A mug at 12.99 and a pan at 40.00."""
    return {
        "prices": prices(MUG="1299", PAN="4000"),
        "promotions": promotions,
        "guardrails": dict(guardrails or {}),
        "signals-costs": {
            f"{sku}|USD": {"sku": sku, "currency": "USD", "unit_cost": cost, "at": "2026-01-01T00:00:00Z"}
            for sku, cost in (costs or {}).items()
        },
    }


def quoted(documents: Documents, *lines: tuple[str, str], codes: tuple[str, ...] = ()) -> EncodedQuote:
    """The quote of a basket: by the engine, at its first sight, from known lines, and whole from memory are the same."""
    book = compiled(documents, {}, PUBLISHED_AT_US)
    body: Body = {
        "currency": "USD",
        "lines": [{"id": str(place), "sku": sku, "quantity": quantity} for place, (sku, quantity) in enumerate(lines)],
        "codes": codes,
    }
    basket = as_basket(body, PUBLISHED_AT_US)
    (by_engine,) = quotes_by_engine(book, [basket], [False])
    for _ in range(4):
        assert price_and_encode(book, [basket], [False]) == [by_engine]
    assert bool(codes) or memo_of(book).sizes["baskets"] == 1
    assert not by_engine.errors
    return by_engine


def test_line_that_a_floor_gives_back_to_is_held() -> None:
    quote = quoted(shop(guardrails={"g": floor("1200", scope=MUGS)}, ten=TEN), ("MUG", "1"), ("PAN", "1"))

    # 12.99 less 1.30 is 11.69.
    assert quote.total_minor == 1_200 + 4_000
    assert quote.held_lines == (("floor", 1),)


def test_line_counts_once_however_many_promotions_meet_the_floor() -> None:
    more = percent_off("20", scope=MUGS, priority=-1)
    quote = quoted(shop(guardrails={"g": floor("1200", scope=MUGS)}, ten=TEN, more=more), ("MUG", "1"), ("MUG", "2"))

    assert quote.total_minor == 3_600
    assert quote.held_lines == (("floor", 2),)


@pytest.mark.parametrize("unit", ["1000", "1299"])
def test_floor_that_moves_nothing_holds_nothing(unit: str) -> None:
    quote = quoted(shop(guardrails={"g": floor(unit, scope=MUGS)}), ("MUG", "1"))

    assert quote.total_minor == 1_299
    assert quote.held_lines == ()


def test_price_below_the_floor_and_price_above_the_ceiling_are_held() -> None:
    guardrails = {"g": floor("1500", scope=MUGS), "h": floor("0", scope=only(skus=["PAN"])) | {"ceiling": "3000"}}
    quote = quoted(shop(guardrails=guardrails), ("MUG", "1"), ("PAN", "1"))

    assert quote.total_minor == 1_500 + 3_000
    assert quote.held_lines == (("floor", 1), ("ceiling", 1))


def test_share_of_an_order_promotion_that_ends_at_the_floor_is_held() -> None:
    six = amount_off(600, level="order")
    quote = quoted(shop(guardrails={"g": floor("1200", scope=MUGS)}, six=six), ("MUG", "1"), ("PAN", "1"))

    # By amounts the mug would bear 1.47 of 6.00, but has room for 0.99; the pan takes the rest.
    assert quote.total_minor == 5_299 - 600
    assert quote.held_lines == (("floor", 1),)


def test_line_that_was_held_before_an_order_promotion_counts_once() -> None:
    six = amount_off(600, level="order")
    quote = quoted(shop(guardrails={"g": floor("1200", scope=MUGS)}, ten=TEN, six=six), ("MUG", "1"), ("PAN", "1"))

    assert quote.total_minor == 1_200 + 3_400
    assert quote.held_lines == (("floor", 1),)


def test_margin_and_advertised_price_are_told_apart() -> None:
    guardrails = {
        "g": {"scope": MUGS, "currency": "USD", "min_margin": "40"},
        "h": {"scope": only(skus=["PAN"]), "currency": "USD", "map": "3600", "max_discount": "30"},
    }
    off = percent_off("25")
    letter = percent_off("25", requires_code=True, priority=-1)
    documents = shop(guardrails=guardrails, costs={"MUG": "700"}, off=off, letter=letter)
    documents["coupons"] = {"c": {"promotion": "letter", "codes": ["LETTER"], "generate": None}}
    quote = quoted(documents, ("MUG", "1"), ("PAN", "1"), codes=("LETTER",))

    # 7.00 / (1 - 0.4) = 11.6667; 40.00 less 30 per cent.
    assert quote.total_minor == 1_167 + 2_800
    assert quote.held_lines == (("min_margin", 1), ("max_discount", 1), ("map", 1))


def test_only_lines_with_a_cost_are_in_the_margin() -> None:
    quote = quoted(shop(costs={"MUG": "700"}, ten=TEN), ("MUG", "2"), ("PAN", "1"))

    # 25.98 less 2.60, for what costs 14.00.
    assert (quote.costed_minor, quote.cost_minor) == (2_338, 1_400)


def test_margin_is_of_what_order_promotions_leave_and_of_parts_of_units() -> None:
    quote = quoted(
        shop(costs={"MUG": "0", "PAN": "2500.5"}, half=percent_off("50", level="order")), ("MUG", "1"), ("PAN", "0.35")
    )

    # 12.99 and 14.00, less 13.50 for the half of it; the pan costs 0.35 times 25.005, 8.75175.
    assert quote.total_minor == 1_349
    assert (quote.costed_minor, quote.cost_minor) == (1_349, 875)


def test_shop_without_costs_and_guardrails_counts_neither() -> None:
    quote = quoted(shop(ten=TEN), ("MUG", "1"))

    assert (quote.held_lines, quote.costed_minor, quote.cost_minor) == ((), 0, 0)


def test_lines_of_the_largest_basket_can_be_added_up() -> None:
    assert schemas.LINES_MAX <= LINES_MAX
    documents = shop(guardrails={"g": floor("1299")}, ten=TEN)
    quote = quoted(documents, *[("MUG", str(quantity)) for quantity in range(1, schemas.LINES_MAX + 1)])

    assert quote.held_lines == (("floor", schemas.LINES_MAX),)
