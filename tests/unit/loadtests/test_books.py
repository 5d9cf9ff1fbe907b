"""The made-up shops have the shape that the figures name."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from loadtests.books import Documents, live_rules, shop

_NOW = datetime(2026, 1, 1, tzinfo=UTC)


def _fate(body: dict[str, object], schedule: dict[str, str]) -> str:
    if schedule["to"] <= "2026":
        return "past"
    if schedule["from"] > "2026":
        return "coming"
    return "code" if body["requires_code"] else "live"


def _fates(documents: Documents) -> Counter[str]:
    return Counter(_fate(body, body["schedule"]) for body in documents["promotions"].values())


def test_ordinary_shop_keeps_the_past_and_plans_ahead() -> None:
    documents = shop(n_skus=200, n_promotions=100)

    assert _fates(documents) == {"past": 30, "coming": 20, "code": 25, "live": 25}
    assert len(documents["coupons"]) == 25


def test_everything_is_in_force_where_that_is_asked() -> None:
    assert _fates(shop(n_skus=200, n_promotions=100, everything_live=True)) == {"code": 10, "live": 90}


@pytest.mark.parametrize(("everything_live", "expected"), [(False, 3.5), (True, 12.6)])
@pytest.mark.parametrize("n_promotions", [100, 2_000])
def test_density_does_not_depend_on_the_number_of_promotions(everything_live: bool, expected: float, n_promotions: int) -> None:
    """14 promotions list a SKU, of which 25 % or 90 % are in force and need no code."""
    documents = shop(n_skus=2_000, n_promotions=n_promotions, everything_live=everything_live)

    assert sum(live_rules(documents, _NOW).values()) / 2_000 == pytest.approx(expected)


def test_a_third_each_has_no_condition_one_on_the_channel_and_one_on_a_segment() -> None:
    bodies = shop(n_skus=200, n_promotions=3_000)["promotions"].values()
    asked = Counter(body["conditions"] and body["conditions"]["attribute"] for body in bodies)

    assert asked.keys() == {None, "channel", "customer.segments"}
    assert all(900 < count < 1_100 for count in asked.values())  # four standard deviations of a third of 3 000
