import numpy as np
import pytest

pytest.importorskip("pyarrow")

from app.completejourney.associates import find_associates
from app.completejourney.shelf import Shelf, fill_nearest, reconstruct_shelf, runs_of
from app.completejourney.tables import Tables
from tests.completejourney_support import Sold, Stock, make_tables, week_number


def shelf_of(tables: Tables) -> Shelf:
    everything = np.ones(tables.lines.basket.size, np.bool_)
    return reconstruct_shelf(tables.lines, tables.products, is_used=everything, is_evidence=everything)


def test_the_regular_price_is_what_was_paid_and_the_discount() -> None:
    shelf = shelf_of(make_tables([Sold(10, sales=1.5, retail=0.49), Sold(10, sales=1.5, retail=0.49, basket=2)]))

    assert shelf.regular_e4[0, week_number(1, 4)] == 1_990_000
    assert shelf.special_e4[0, week_number(1, 4)] == 1_500_000


def test_what_the_shop_added_to_a_coupon_belongs_to_the_price() -> None:
    shelf = shelf_of(make_tables([Sold(10, sales=1.5, coupon=0.5, match=0.5)]))

    assert shelf.regular_e4[0, week_number(1, 4)] == 2_000_000


def test_a_product_is_on_special_when_half_of_its_lines_are() -> None:
    full, reduced = Sold(10, sales=2.0), Sold(10, sales=1.0, retail=1.0)

    assert shelf_of(make_tables([full, reduced])).special_e4[0, week_number(1, 4)] == 1_000_000
    assert shelf_of(make_tables([full, full, reduced])).special_e4[0, week_number(1, 4)] == 0


def test_a_week_without_sales_has_the_price_of_the_nearest_week() -> None:
    shelf = shelf_of(make_tables([Sold(10, sales=2.0, day=(2, 1)), Sold(10, sales=3.0, day=(6, 1), basket=2)]))

    assert shelf.regular_e4[0, 1] == 2_000_000
    assert shelf.regular_e4[0, week_number(3, 1)] == 2_000_000
    assert shelf.regular_e4[0, week_number(5, 20)] == 3_000_000


def test_flavours_of_one_maker_go_on_special_together() -> None:
    usual = [Sold(product, sales=2.0, day=(month, 15), basket=month) for product in (10, 11) for month in range(2, 12)]
    other_maker = [Sold(12, sales=2.0, day=(month, 15), basket=month) for month in range(2, 12)]
    special = Sold(10, sales=1.0, retail=1.0, day=(4, 3), basket=40)

    shelf = shelf_of(make_tables([*usual, *other_maker, special], [Stock(10), Stock(11), Stock(12, manufacturer=2)]))

    assert shelf.special_e4[:, week_number(4, 3)].tolist() == [1_000_000, 1_000_000, 0]


def test_a_special_reaches_into_the_week_before_that_nobody_saw() -> None:
    sold = [Sold(10, sales=2.0, day=(month, 15), basket=month) for month in range(1, 12)]

    shelf = shelf_of(make_tables([*sold, Sold(10, sales=1.0, retail=1.0, day=(4, 5), basket=40)], [Stock(10, kind="")]))

    week = week_number(4, 5)
    assert shelf.special_e4[0, week - 2 : week + 3].tolist() == [
        0,
        1_000_000,
        1_000_000,
        0,
        0,
    ]  # in week + 1 it was sold at 2.00 on 15 April


def test_what_is_sold_by_weight_is_told_by_its_amounts() -> None:
    meat = [Sold(20, sales=cents / 100, basket=cents) for cents in range(300, 360, 3)]
    soap = [Sold(10, sales=2.0, basket=cents) for cents in range(300, 360, 3)]

    shelf = shelf_of(make_tables([*soap, *meat], [Stock(10), Stock(20, kind="BEEF", department="MEAT")]))

    assert shelf.is_weighed.tolist() == [False, True]
    assert shelf.regular_e4[1, 30] == 3_270_000  # the lower middle one of 3.00, 3.03 ... 3.57


def test_stores_that_ask_other_prices_make_a_zone() -> None:
    near, far = range(1, 4), range(4, 6)
    sold = [
        Sold(product, sales=2.0 if store in near else 2.5, store=store, basket=store, day=(1 + number % 12, 10))
        for store in (*near, *far)
        for number, product in enumerate(range(100, 2000))
    ]

    shelf = shelf_of(make_tables(sold))

    assert shelf.zone.tolist() == [1, 1, 1, 2, 2]
    assert set(shelf.zone_runs[1].unit_e4.tolist()) == {2_500_000}
    assert shelf.zone_runs[0].row.size == 0
    assert set(shelf.regular_e4[:, 20].tolist()) == {2_000_000}


def test_a_household_with_a_tenth_off_the_own_brand_works_there_for_those_weeks() -> None:
    own = [Stock(number, brand="Private") for number in range(10, 30)]
    reduced = [
        Sold(product, sales=1.8, retail=0.2, household=7, day=(3, 1 + product - 10), basket=product) for product in range(10, 30)
    ]
    later = [Sold(product, sales=2.0, household=7, day=(9, 1 + product - 10), basket=100 + product) for product in range(10, 30)]
    others = [
        Sold(p, sales=2.0, household=8, day=(m, 1 + p - 10), basket=m * 1000 + p + n)
        for p in range(10, 30)
        for m in (3, 9)
        for n in (0, 500)
    ]
    tables = make_tables([*reduced, *later, *others], own)

    found = find_associates(tables.lines, tables.products, shelf_of(tables), is_used=np.ones(tables.lines.basket.size, np.bool_))

    assert found.household.tolist() == [7]
    assert (found.first_week.item(), found.last_week.item()) == (week_number(3, 1), week_number(3, 20))


def test_filling_reaches_no_further_than_it_may() -> None:
    assert fill_nearest(np.array([[0, 0, 0, 4, 0, 0, 0]]), reach=1).tolist() == [[0, 0, 4, 4, 4, 0, 0]]


def test_runs_end_with_their_row() -> None:
    runs = runs_of(np.array([[0, 5, 5], [5, 5, 0]]))

    assert [part.tolist() for part in runs] == [[0, 1], [1, 0], [2, 1], [5, 5]]
