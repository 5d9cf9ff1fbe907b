"""Promotions of one kind whose parameters differ, side by side on the lines of one basket, by hand."""

from tests.reference.both import both
from tests.reference.builders import amount_off, only, prices, promotion, taken
from tests.reference.shop import Body

FOUR = prices(A="100", B="100", C="100", D="100")


def on(sku: str, promotion_of_all: Body) -> Body:
    return promotion_of_all | {"scope": only(skus=[sku])}


def with_params(promotion_of_all: Body, **params: object) -> Body:
    return promotion_of_all | {"params": promotion_of_all["params"] | params}


def test_amounts_across_by_line_and_by_unit_stand_side_by_side() -> None:
    promotions = {
        "a": on("A", amount_off(10, "across")),
        "b": on("B", amount_off(7, "line")),
        "c": on("C", with_params(amount_off(5, "unit"), units={"max": 1})),
        "d": on("D", amount_off(3, "unit")),
    }

    reply = both([("A", 3), ("B", 3), ("C", 3), ("D", 3)], {"prices": FOUR, "promotions": promotions})

    assert taken(reply) == [[-10], [-7], [-5], [-9]]


def test_amounts_across_and_by_line_with_caps_take_their_turn_together() -> None:
    # A cap ties the lines of what goes by line together, so that it is asked in its turn, with the amounts across.
    def capped(amount: int, per: str, cap: int, *skus: str) -> Body:
        return amount_off(amount, per, cap=cap, scope=only(skus=list(skus)))

    promotions = {
        "a": capped(10, "across", 15, "A", "B"),
        "b": capped(10, "across", 1, "C", "D"),
        "c": capped(7, "line", 100, "E"),
        "d": capped(7, "line", 10, "F", "G"),
        "e": capped(3, "unit", 8, "H"),
    }
    units = prices(**dict.fromkeys("ABCDEFGH", "100"))
    lines: list[tuple[str, int | str]] = [(sku, 3 if sku in "BDH" else 1) for sku in "ABCDEFGH"]

    reply = both(lines, {"prices": units, "promotions": promotions})

    # 2.5 and 7.5 of 10; a quarter and three quarters of 1; 7 beside the cap; 5 and 5 of 10; 8 of 9
    assert taken(reply) == [[-3], [-7], [], [-1], [-7], [-5], [-5], [-8]]


def test_percentages_of_some_units_and_of_all_stand_side_by_side() -> None:
    half = promotion("percent_off", {"percent": "50"})
    promotions = {
        "a": on("A", half),
        "b": on("B", with_params(half, units={"max": 2})),
        "c": on("C", with_params(half, cap=20)),
        "d": on("D", with_params(half, units={"step": 2})),
    }

    reply = both([("A", 3), ("B", 3), ("C", 3), ("D", 3)], {"prices": FOUR, "promotions": promotions})

    assert taken(reply) == [[-150], [-100], [-20], [-100]]


def test_percentages_across_and_by_line_with_a_cap_take_their_turn_together() -> None:
    half = promotion("percent_off", {"percent": "50"})
    # Half of 99 is 49.5, rounded once to 50: evenly 17, 17 and 16. A line by itself gives 16.5, rounded to 17.
    promotions = {
        "a": with_params(half, per="across", allocate="even") | {"scope": only(skus=["A", "B", "C"])},
        "b": with_params(half, cap=1_000_000) | {"scope": only(skus=["D", "E"])},
    }
    units = prices(A="33", B="33", C="33", D="33", E="1000000")

    reply = both([(sku, 1) for sku in "ABCDE"], {"prices": units, "promotions": promotions})

    assert taken(reply) == [[-17], [-17], [-16], [-17], [-500_000]]


def test_fixed_prices_of_some_units_and_of_all_stand_side_by_side() -> None:
    promotions = {
        "a": on("A", promotion("fixed_price", {"unit_price": "90"})),
        "b": on("B", promotion("fixed_price", {"unit_price": "80", "units": {"max": 1}})),
        "c": on("C", promotion("fixed_price", {"unit_price": "100.5"})),
    }

    reply = both([("A", 3), ("B", 3), ("C", 3)], {"prices": FOUR, "promotions": promotions})

    assert taken(reply) == [[-30], [-20], []]


def test_savings_once_repeated_and_in_steps_stand_side_by_side() -> None:
    def save(sku: str, **params: object) -> Body:
        return on(sku, promotion("spend_save", params, level="line"))

    promotions = {
        "a": save("A", threshold=100, amount=10),
        "b": save("B", threshold=100, amount=10, repeat=True),
        "c": save("C", threshold=100, amount=10, repeat=True, max_times=2),
        "d": save("D", steps=[{"threshold": 100, "percent": "1"}, {"threshold": 300, "percent": "2"}]),
    }
    resources = {"prices": FOUR, "promotions": promotions}

    assert taken(both([("A", 3), ("B", 3), ("C", 3), ("D", 3)], resources)) == [[-10], [-30], [-20], [-6]]
    assert taken(both([("A", "0.99"), ("B", "0.99"), ("C", 2), ("D", "2.99")], resources)) == [[], [], [-20], [-3]]
