"""Bundles and given units are the best there are: held against every way to choose units, one by one, in small baskets."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations
from random import Random
from typing import Any

import pytest

from app.pricing.packing import Offered, Packing
from tests.reference.agreement import compiled, engine_replies
from tests.reference.builders import only, prices, promotion

AT_US = 1_790_000_000_000_000


def goes_together(masks: Sequence[int], places: Sequence[int]) -> bool:
    """Whether each unit can have a place of a component that it fits, by trying all."""
    if not masks:
        return True
    first, *rest = masks
    return any(
        first >> component & 1 and goes_together(rest, [*places[:at], *places[at + 1 :]]) for at, component in enumerate(places)
    )


def best_total(units: Sequence[tuple[Fraction, int]], places: Sequence[int]) -> Fraction | None:
    """The greatest total of units (price, mask) that fill all places; None where they cannot be filled."""
    found = [
        sum((price for price, _ in chosen), Fraction(0))
        for chosen in combinations(units, len(places))
        if goes_together([mask for _, mask in chosen], places)
    ]
    return max(found, default=None)


def random_offer(rng: Random) -> tuple[list[Offered], list[int]]:
    needed = [rng.choice((1, 1, 2)) for _ in range(rng.randint(1, 3))]
    masks = range(1, 1 << len(needed))
    offered = [
        Offered(rng.randint(0, 12), rng.choice((1, 2, 3)), rng.randint(0, 3), rng.choice(masks)) for _ in range(rng.randint(1, 4))
    ]
    return offered, needed


def test_packing_is_the_best_of_all_packings() -> None:
    several = 0
    for seed in range(400):
        rng = Random(seed)
        offered, needed = random_offer(rng)
        packing = Packing(offered, needed)
        units = [(Fraction(one.amount, one.quantity), one.mask) for one in offered for _ in range(one.units)]
        totals: list[Fraction] = [Fraction(0)]
        while len(units) >= len(totals) * sum(needed):
            places = [component for component, count in enumerate(needed) for _ in range(count * len(totals))]
            total = best_total(units, places)
            if total is None:
                break
            totals.append(total)
        possible = len(totals) - 1

        assert packing.possible(99) == possible
        for times, total in enumerate(totals):
            taken = packing.dearest(times)
            assert sum(taken) == times * sum(needed)
            assert (
                sum((Fraction(one.amount, one.quantity) * count for one, count in zip(offered, taken, strict=True)), Fraction(0))
                == total
            )
        price = rng.randint(0, 12)
        savings = [total - times * price for times, total in enumerate(totals)]
        assert packing.worth(price, possible) == savings.index(max(savings))
        assert packing.missing(possible + 1) == fewest_missing(units, needed, possible + 1)
        several += possible > 1
    assert several > 40


def fewest_missing(units: Sequence[tuple[Fraction, int]], needed: Sequence[int], times: int) -> int:
    """How many places stay empty when as many units as can be have one."""
    counts = range(min(len(units), times * sum(needed)), -1, -1)
    places = [component for component, count in enumerate(needed) for _ in range(count * times)]
    for count in counts:
        if any(goes_together([mask for _, mask in chosen], places) for chosen in combinations(units, count)):
            return len(places) - count
    raise AssertionError("nothing always goes together")


@pytest.mark.parametrize("pick", ["cheapest", "dearest"])
@pytest.mark.parametrize("incomplete", ["none", "partial"])
def test_given_units_are_the_cheapest_that_leave_enough_to_buy(pick: str, incomplete: str) -> None:
    given_some = 0
    for seed in range(150):
        rng = Random(seed)
        lines = [(rng.choice(("BUY", "BOTH", "GET")), rng.randint(1, 9) * 100, rng.randint(1, 3)) for _ in range(3)]
        buy, get, most = rng.randint(1, 3), rng.randint(1, 3), rng.choice((None, 1))
        expected = given_by_trying(lines, buy, get, most, pick=pick, is_partial=incomplete == "partial" and get > 1)
        given_some += expected > 0

        assert given_by_engine(lines, buy, get, most, pick=pick, incomplete=incomplete) == expected
    assert given_some > 60


type Line = tuple[str, int, int]  # which scope it is in, unit price, units


def given_by_trying(lines: Sequence[Line], buy: int, get: int, most: int | None, *, pick: str, is_partial: bool) -> int:
    """What the given units cost: the least or the greatest total among all ways to give as many as can be."""
    units = [(unit, (where != "GET") + 2 * (where != "BUY")) for where, unit, count in lines for _ in range(count)]
    masks = [mask for _, mask in units]

    def fits(bought: int, given: int) -> bool:
        places = [0] * bought + [1] * given
        return any(goes_together([masks[at] for at in chosen], places) for chosen in combinations(range(len(units)), len(places)))

    times = 0
    while times != most and fits((times + 1) * buy, (times + 1) * get):
        times += 1
    bought, given = times * buy, times * get
    if is_partial and times != most:
        more = max((count for count in range(get) if fits(bought + buy, given + count)), default=0)
        if more:
            bought, given = bought + buy, given + more
    totals = []
    for chosen in combinations(range(len(units)), given):
        rest = [mask for at, mask in enumerate(masks) if at not in chosen]
        if all(masks[at] & 2 for at in chosen) and sum(mask & 1 for mask in rest) >= bought:
            totals.append(sum(units[at][0] for at in chosen))
    return min(totals) if pick == "cheapest" else max(totals)


def given_by_engine(lines: Sequence[Line], buy: int, get: int, most: int | None, *, pick: str, incomplete: str) -> int:
    names = [f"{where}-{at}" for at, (where, _, _) in enumerate(lines)]
    params: dict[str, Any] = {"buy": buy, "get": get, "percent": "100", "pick": pick, "max_times": most}
    params["get_scope"] = only(skus=[name for name in names if not name.startswith("BUY")] or ["NONE"])
    params["incomplete"] = incomplete if get > 1 else "none"
    scope = only(skus=[name for name in names if not name.startswith("GET")] or ["NONE"])
    documents = {
        "prices": prices(**{name: str(unit) for name, (_, unit, _) in zip(names, lines, strict=True)}),
        "promotions": {"p": promotion("buy_x_get_y", params, scope=scope)},
    }
    asked = [{"id": name, "sku": name, "quantity": count} for name, (_, _, count) in zip(names, lines, strict=True)]
    found: int = engine_replies(compiled(documents, {}, AT_US), [{"currency": "USD", "lines": asked}], [AT_US])[0]["discount"]
    return found


def test_trying_all_finds_a_planted_defect() -> None:
    """Giving the cheapest without leaving enough to buy is what the trial must not confirm."""
    lines: list[Line] = [("BOTH", 100, 1), ("GET", 300, 1)]

    assert given_by_trying(lines, 1, 1, None, pick="cheapest", is_partial=False) == 300
