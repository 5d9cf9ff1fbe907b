"""Strategy prices worked by hand: what the engine answers, and the reference with it."""

from collections.abc import Mapping
from fractions import Fraction
from random import Random
from typing import Any

import pytest

from app.pricing.book import BookError
from tests.reference.agreement import compiled, difference, engine_replies, reference_reply
from tests.reference.builders import ceiling, floor, only, prices, tiers
from tests.reference.demand import Demand
from tests.reference.shop import Body
from tests.reference.times import instant_us

type Resources = Mapping[str, Mapping[str, Body]]

NOON = "2026-11-27T12:00:00Z"


def steps(resources: Resources, sku: str = "A", at: str = NOON, quantity: int = 1) -> list[Body]:
    """The price steps of one line, which engine and reference agree on."""
    documents = {"prices": prices(A="1000"), **resources}
    at_us = instant_us(at)
    body = {"currency": "USD", "lines": [{"id": "1", "sku": sku, "quantity": quantity}]}
    reply = engine_replies(compiled(documents, {}, at_us), [body], [at_us])[0]
    assert difference(reply, reference_reply(documents, {}, body, at_us, at_us)) is None
    found: list[Body] = reply["lines"][0]["price_steps"]
    return found


def first(resources: Resources, at: str = NOON) -> Body:
    """What the first step says beside its name, its rule and the price before."""
    return {name: value for name, value in steps(resources, at=at)[0].items() if name not in ("step", "rule", "kind", "before")}


def strategy(kind: str, endings: str | None = None, **params: Any) -> Body:
    return {"s": {"kind": kind, "scope": only(), "currency": "USD", "params": params, "endings": endings}}


def seen(*observations: tuple[str, str, str, bool], sku: str = "A") -> dict[str, Body]:
    """Observations (competitor, price, instant, in stock)."""
    return {
        f"{sku}|{name}|USD": {"sku": sku, "competitor": name, "currency": "USD", "unit_price": price, "in_stock": there, "at": at}
        for name, price, at, there in observations
    }


MORNING, YESTERDAY = "2026-11-27T08:00:00Z", "2026-11-26T08:00:00Z"
FOUR = seen(
    ("ann", "900", MORNING, True),
    ("bob", "880", MORNING, False),
    ("cat", "1001", YESTERDAY, True),
    ("dan", "960", YESTERDAY, True),
)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"against": "lowest"}, {"after": "880", "inputs": {"competitor": "bob", "reference_price": "880", "observations": 4}}),
        (
            {"against": "lowest", "in_stock_only": True},
            {"after": "900", "inputs": {"competitor": "ann", "reference_price": "900", "observations": 3}},
        ),
        (
            {"against": "second_lowest"},
            {"after": "900", "inputs": {"competitor": "ann", "reference_price": "900", "observations": 4}},
        ),
        ({"against": "cat"}, {"after": "1001", "inputs": {"competitor": "cat", "reference_price": "1001", "observations": 1}}),
        # (900 + 880 + 1001 + 960) / 4 = 935.25; (900 + 960) / 2 = 930
        ({"against": "average"}, {"after": "935", "inputs": {"reference_price": "935.25", "observations": 4}}),
        ({"against": "median"}, {"after": "930", "inputs": {"reference_price": "930", "observations": 4}}),
        # (3 · 900 + 1 · 1001) / 4 = 925.25
        (
            {"against": "weighted", "weights": [{"competitor": "ann", "weight": "3"}, {"competitor": "cat", "weight": "1"}]},
            {"after": "925", "inputs": {"reference_price": "925.25", "observations": 2}},
        ),
        # 880 · 0.98 − 0.4 = 862
        (
            {"against": "lowest", "percent": "98", "amount": "0.4"},
            {"after": "862", "inputs": {"competitor": "bob", "reference_price": "880", "observations": 4}},
        ),
        # More than there is to undercut.
        (
            {"against": "lowest", "amount": "900"},
            {"after": "0", "inputs": {"competitor": "bob", "reference_price": "880", "observations": 4}},
        ),
        (
            {"against": "average", "max_age_hours": 24},
            {"after": "890", "inputs": {"reference_price": "890", "observations": 2}},
        ),
        ({"against": "cat", "max_age_hours": 24}, {"after": "1000", "status": "no_observation"}),
        (
            {"against": "cat", "max_age_hours": 24, "otherwise": "hold"},
            {"after": "1001", "status": "held", "inputs": {"competitor": "cat", "reference_price": "1001", "observations": 1}},
        ),
        ({"against": "nobody"}, {"after": "1000", "status": "no_observation"}),
    ],
)
def test_competitor_price_follows_what_is_seen(params: Body, said: Body) -> None:
    assert first({"strategies": strategy("competitor", **params), "signals-competitors": FOUR}) == said


def test_observation_expires_by_the_minute_and_never_late() -> None:
    rules = {
        "strategies": strategy("competitor", against="lowest", max_age_hours=1),
        "signals-competitors": seen(("ann", "900", "2026-11-27T11:00:45Z", True)),
    }

    assert first(rules, at="2026-11-27T11:59:59Z")["after"] == "900"
    assert first(rules, at="2026-11-27T12:00:00Z") == {"after": "1000", "status": "no_observation"}


def test_what_is_held_is_the_last_price_and_not_an_older_one() -> None:
    # Ann's was seen two years ago, at half the price; Bob's expired yesterday.
    rules = {
        "strategies": strategy("competitor", against="lowest", max_age_hours=24, otherwise="hold"),
        "signals-competitors": seen(("ann", "500", "2024-11-27T12:00:00Z", True), ("bob", "980", YESTERDAY, True)),
    }

    assert first(rules)["after"] == "980"
    assert first(rules, at="2026-11-26T12:00:00Z")["after"] == "980"


def test_second_lowest_needs_two_and_holds_two() -> None:
    rules = {
        "signals-competitors": seen(
            ("ann", "700", MORNING, True), ("bob", "900", YESTERDAY, True), ("cat", "800", YESTERDAY, True)
        )
    }
    listed = strategy("competitor", against="second_lowest", max_age_hours=24)
    held = strategy("competitor", against="second_lowest", max_age_hours=24, otherwise="hold")

    assert first({**rules, "strategies": listed}) == {"after": "1000", "status": "no_observation"}
    # As long as two were fresh, all three were.
    assert first({**rules, "strategies": held})["after"] == "800"


def test_competitor_price_is_clamped_and_charmed() -> None:
    rules = {
        "strategies": strategy("competitor", "e", against="lowest"),
        "signals-competitors": FOUR,
        "endings": {"e": {"currency": "USD", "bands": [{"up_to": None, "endings": ["99"]}], "direction": "nearest"}},
    }

    assert first(rules)["after"] == "899"
    said = first({**rules, "guardrails": {"g": floor("910.5"), "h": ceiling("950")}})
    assert (said["after"], said["bound"], said["guardrail"]) == ("910.5", "floor", "g")


@pytest.mark.parametrize(
    ("differences", "share", "after", "worth"),
    [
        (("300", "-100"), "50", "1100", "100"),
        (("-100", "-50.5"), "50", "850", "-150.5"),  # what it lacks counts whole; 849.5 rounds up
        ((), "100", "1000", "0"),
        (("-2000",), "0", "0", "-2000"),
    ],
)
def test_value_price_is_the_alternative_and_a_share_of_the_worth(
    differences: tuple[str, ...], share: str, after: str, worth: str
) -> None:
    named = [{"name": "x", "amount": amount} for amount in differences]
    rules = {"strategies": strategy("value", reference_price="1000", differences=named, share=share)}

    assert first(rules) == {"after": after, "inputs": {"reference_price": "1000", "worth": worth}}


def stock(units: str) -> dict[str, Body]:
    return {"A": {"sku": "A", "units": units, "at": MORNING}}


def test_markdown_sells_what_is_left_in_time() -> None:
    # 80 to sell in 10 days at 2 a day: 4 times what would be sold; 4^(1/-2) = 1/2
    rules = {
        "strategies": strategy("markdown", target_units="20", by="2026-12-07T00:00:00Z", elasticity="-2", daily_units="2"),
        "signals-stock": stock("100"),
    }

    assert first(rules) == {"after": "500", "inputs": {"stock": "100", "days": 10, "percent": "50"}}
    # The day before there is one more: (80 / 22)^(-1/2) = 0.524404
    assert first(rules, at="2026-11-26T23:59:59Z")["after"] == "524"
    assert first(rules, at="2026-12-07T00:00:00Z") == {"after": "1000", "status": "past", "inputs": {"stock": "100"}}


def test_markdown_takes_the_rate_of_the_signal_and_the_season() -> None:
    rules = {
        "strategies": strategy("markdown", by="2026-12-07T00:00:00Z", elasticity="-2", daily_units="1000"),
        "signals-stock": stock("80"),
        "signals-demand": {"A": {"sku": "A", "index": "2", "daily_units": "0.5", "at": MORNING}},
    }

    # 80 against 0.5 · 2 · 10 = 10: 8^(-1/2) = 0.353553
    assert first(rules)["inputs"]["percent"] == "35.3553"
    season = {"w": {"scope": only(), "timezone": "UTC", "periods": [period("2026-11-23", "2026-11-30", "2")]}}
    assert first({**rules, "seasons": season})["after"] == "500"  # 80 against 20


@pytest.mark.parametrize(("only_down", "after"), [(True, "1000"), (False, "2000")])
def test_scarce_stock_raises_the_price_only_where_it_may(only_down: bool, after: str) -> None:
    # 5 to sell, 20 would be: (1/4)^(-1/2) = 2
    params: Body = {"by": "2026-12-07T00:00:00Z", "elasticity": "-2", "daily_units": "2", "only_down": only_down}

    assert first({"strategies": strategy("markdown", **params), "signals-stock": stock("5")})["after"] == after
    assert first({"strategies": strategy("markdown", **params, target_units="5"), "signals-stock": stock("5")})["after"] == "1000"


def test_markdown_says_what_it_misses() -> None:
    rules = {"strategies": strategy("markdown", by="2026-12-07T00:00:00Z", elasticity="-2")}

    assert first(rules)["status"] == "no_stock"
    assert first({**rules, "signals-stock": stock("5")})["status"] == "no_demand"


def test_lifecycle_price_is_that_of_the_stage_in_force() -> None:
    stages = [
        {"stage": "introduction", "from": "2026-11-01T00:00:00Z", "percent": "120"},
        {"stage": "maturity", "from": NOON, "unit_price": "950"},
        {"stage": "exit", "from": "2026-12-24T00:00:00Z", "percent": "33.3333"},
    ]
    rules = {"strategies": strategy("lifecycle", stages=stages)}

    assert first(rules, at="2026-10-31T23:59:59Z") == {"after": "1000", "status": "no_stage"}
    assert first(rules, at="2026-11-27T11:59:59Z") == {"after": "1200", "inputs": {"stage": "introduction"}}
    assert first(rules) == {"after": "950", "inputs": {"stage": "maturity"}}
    assert first(rules, at="2027-01-01T00:00:00Z") == {"after": "333", "inputs": {"stage": "exit"}}


def period(start: str, end: str, index: str) -> Body:
    return {"from": f"{start}T00:00:00", "to": f"{end}T00:00:00", "index": index}


def test_season_enters_the_formula_with_the_demand_index() -> None:
    rules = {
        "strategies": strategy("elasticity", form="linear", elasticity="-2", reference_price="1000"),
        "signals-costs": {"A|USD": {"sku": "A", "currency": "USD", "unit_cost": "700"}},
        "signals-demand": {"A": {"sku": "A", "index": "1.2"}},
        "seasons": {
            "all": {"scope": only(), "timezone": "UTC", "periods": [period("2026-01-01", "2027-01-01", "0.5")]},
            "own": {
                "scope": only(skus=["A"]),
                "timezone": "America/New_York",
                "periods": [period("2026-11-20", "2026-11-27", "1.5"), period("2026-11-27", "2026-11-28", "2")],
            },
        },
    }

    # 1.2 · 2 = 2.4: (700 + 1000 · (1 + 2.4 / 2)) / 2; in New York the 27th begins at five.
    assert first(rules) == {"after": "1450", "inputs": {"demand_index": "2.4"}}
    assert first(rules, at="2026-11-27T04:59:59Z") == {"after": "1300", "inputs": {"demand_index": "1.8"}}
    # After the last period there is none, whatever another season says.
    assert first(rules, at="2026-12-24T12:00:00Z") == {"after": "1150", "inputs": {"demand_index": "1.2"}}


def ladder(*rungs: Body, reference: str = "list") -> dict[str, Body]:
    return {"l": {"name": None, "currency": "USD", "reference": reference, "rungs": list(rungs)}}


THREE = prices(GOOD="1000", BETTER="1040", BEST="1500")


def base(resources: Resources, sku: str) -> str | None:
    """Where the ladder moved a price to; None where it did not."""
    found = [step for step in steps({"prices": THREE, **resources}, sku) if step["step"] == "ladder"]
    return f"{found[0]['after']}{' ' + found[0]['status'] if 'status' in found[0] else ''}" if found else None


def test_ladder_raises_what_stands_too_near() -> None:
    rules = {"ladders": ladder({"sku": "GOOD"}, {"sku": "BETTER", "gap_amount": "250"}, {"sku": "BEST", "gap_percent": "20.01"})}

    assert base(rules, "GOOD") is None
    assert base(rules, "BETTER") == "1250"
    assert base(rules, "BEST") == "1501"  # 1250 · 1.2001 = 1500.125, and up


def test_ladder_lowers_what_stands_below_a_ceiling() -> None:
    rules = {
        "ladders": ladder({"sku": "GOOD"}, {"sku": "BETTER", "gap_amount": "250"}, {"sku": "BEST", "gap_amount": "250"}),
        "guardrails": {"h": ceiling("1400", scope=only(skus=["BEST"])), "g": floor("950", scope=only(skus=["GOOD"]))},
    }

    assert base(rules, "BEST") == "1400"
    assert base(rules, "BETTER") == "1150 gap_not_kept"
    assert base(rules, "GOOD") == "950"  # 900 lies below its floor
    assert base({**rules, "guardrails": {"h": rules["guardrails"]["h"]}}, "GOOD") == "900"


def test_ladder_says_which_gap_the_bounds_do_not_leave() -> None:
    rules = {
        "ladders": ladder({"sku": "GOOD"}, {"sku": "BETTER", "gap_amount": "250"}),
        "guardrails": {"h": ceiling("1100", scope=only(skus=["BETTER"])), "g": floor("1000", scope=only(skus=["GOOD"]))},
    }

    assert base(rules, "GOOD") is None
    assert base(rules, "BETTER") == "1100 gap_not_kept"


def test_ladder_keeps_bands_around_list_and_market() -> None:
    band = {"low_percent": "90", "high_percent": "110"}
    observed = seen(("ann", "700", MORNING, True), ("bob", "701", YESTERDAY, True), ("cat", "1", MORNING, False), sku="GOOD")
    doubled = strategy("value", reference_price="2000")

    assert base({"ladders": ladder({"sku": "GOOD", **band}), "strategies": doubled}, "GOOD") == "1100"
    rules = {"ladders": ladder({"sku": "GOOD", **band}, reference="market"), "signals-competitors": observed}
    assert base(rules, "GOOD") == "770.55"  # 700.5 · 1.1
    assert base({**rules, "signals-competitors": {}}, "GOOD") is None


def test_ladder_moves_to_the_endings_of_the_strategy_and_tiers_follow() -> None:
    charm = {"e": {"currency": "USD", "bands": [{"up_to": None, "endings": ["90"]}], "direction": "nearest"}}
    stepped = prices({"sku": "BETTER", "unit_price": "1000", "tiers": tiers("volume", (9, "1000"), (None, "500"))}, GOOD="1000")
    rules = {
        "prices": stepped,
        "ladders": ladder({"sku": "GOOD"}, {"sku": "BETTER", "gap_amount": "250"}),
        "strategies": strategy("value", "e", reference_price="1000"),
        "endings": charm,
    }

    found = steps(rules, "BETTER", quantity=10)

    # Both are 990; 1240 and up is 1290, and half of that for ten.
    assert [(step["step"], step["after"]) for step in found] == [("strategy", "990"), ("ladder", "1290"), ("tier", "645")]


def test_rung_without_a_price_is_left_out() -> None:
    rules = {"ladders": ladder({"sku": "GOOD"}, {"sku": "NOWHERE", "gap_amount": "900"}, {"sku": "BETTER", "gap_amount": "100"})}

    assert base(rules, "BETTER") == "1100"


def test_product_stands_on_one_ladder() -> None:
    both = {**ladder({"sku": "GOOD"}, {"sku": "BETTER"}), "m": ladder({"sku": "BEST"}, {"sku": "BETTER"})["l"]}

    with pytest.raises(BookError) as refused:
        compiled({"prices": THREE, "ladders": both}, {}, 0)

    assert [(one.resource, one.id, one.path) for one in refused.value.problems] == [("ladders", "m", "rungs[1].sku")]


def test_price_on_a_ladder_is_not_held_to_a_maximum_change() -> None:
    held = {"g": floor("1", floor=None, scope=only(skus=["BETTER"]), max_change={"percent": "10", "days": 1})}

    with pytest.raises(BookError) as refused:
        compiled({"prices": THREE, "ladders": ladder({"sku": "GOOD"}, {"sku": "BETTER"}), "guardrails": held}, {}, 0)

    assert [(one.resource, one.id, one.path) for one in refused.value.problems] == [("guardrails", "g", "max_change")]


def test_time_alone_changes_a_price_at_the_boundaries_of_the_book() -> None:
    rules: dict[str, Any] = {
        "prices": prices(A="1000", B="1000", C="1000"),
        "strategies": {
            "a": strategy("competitor", against="lowest", max_age_hours=1)["s"] | {"scope": only(skus=["A"])},
            "b": strategy("markdown", by="2026-11-29T06:00:00Z", elasticity="-2")["s"] | {"scope": only(skus=["B"])},
            "c": strategy("lifecycle", stages=[{"stage": "exit", "from": NOON, "percent": "50"}])["s"]
            | {"scope": only(skus=["C"])},
        },
        "signals-competitors": seen(("ann", "900", "2026-11-27T10:20:40Z", True)),
        "seasons": {"s": {"scope": only(), "timezone": "UTC", "periods": [period("2026-11-20", "2026-11-21", "2")]}},
    }

    boundaries = compiled(rules, {}, 0).boundaries_s

    expected = ("2026-11-27T11:20:00Z", "2026-11-28T00:00:00Z", "2026-11-29T00:00:00Z", "2026-11-29T06:00:00Z", NOON)
    assert {instant_us(text) // 10**6 for text in (*expected, "2026-11-20T00:00:00Z", "2026-11-21T00:00:00Z")} <= set(boundaries)


@pytest.mark.parametrize("form", ["iso_elastic", "linear", "logit"])
def test_ending_toward_profit_is_the_best_of_all_permitted_endings(form: str) -> None:
    rng = Random(7)
    for _ in range(40):
        cost, reference = rng.randint(300, 900), rng.randint(950, 1_400)
        elasticity = rng.choice(("-1.3", "-1.8", "-2.4", "-4"))
        endings = rng.sample(("9", "99", "49", "95", "00", "7"), 2)
        low, high = sorted((rng.randint(100, 1_500), rng.randint(500, 3_000)))
        more = {"reference_share": "20"} if form == "logit" else {}
        rules: dict[str, Any] = {
            "prices": prices(A="1000"),
            "strategies": strategy("elasticity", "e", form=form, elasticity=elasticity, reference_price=str(reference), **more),
            "signals-costs": {"A|USD": {"sku": "A", "currency": "USD", "unit_cost": str(cost)}},
            "endings": {"e": {"currency": "USD", "bands": [{"up_to": None, "endings": endings}], "direction": "profit"}},
            "guardrails": {"g": floor(str(low)), "h": ceiling(str(high))},
        }
        permitted = [price for price in range(max(1, low), high + 1) if str(price).zfill(2).endswith(tuple(endings))]
        demand = Demand(
            form, Fraction(elasticity), Fraction(reference * 10_000), Fraction(1, 5), Fraction(1), Fraction(cost * 10_000)
        )

        said = first(rules)

        if permitted:
            best = max(demand.gain(price * 10_000) for price in permitted)
            assert demand.gain(int(said["after"]) * 10_000) >= best - abs(best) / 10**9, (rules, said)
