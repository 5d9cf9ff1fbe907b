"""Laws that hold for every shop and every basket, whatever promotions exist: over the registry of kinds and random shops.

The shops are those that the engine and the reference are compared on; a law says what must be so even if both were wrong.
"""

import json
from collections.abc import Iterator
from functools import cache
from random import Random
from typing import Any, NamedTuple

import pytest

from app.pricing.book import PriceBook
from app.pricing.money import PPM, parse_decimal, parse_unit_price_e4
from app.pricing.rules import KINDS
from tests.reference.agreement import compiled, engine_replies
from tests.reference.figures import parse_quantity_milli, parse_unit_e4
from tests.reference.generate import random_basket, random_book, random_instant
from tests.reference.generate_promotions import KINDS as DRAWN_KINDS
from tests.reference.guardrails import bounds_of, lowest
from tests.reference.shop import Body, Documents, Shop

N_SHOPS = 150
N_BASKETS = 6


class Case(NamedTuple):
    """A shop, its book, baskets, and what the engine answers."""

    documents: Documents
    book: PriceBook
    at_us: int
    baskets: list[Body]
    replies: list[Body]


@cache
def cases() -> tuple[Case, ...]:
    """Random shops with their replies."""
    return tuple(map(case_of, range(N_SHOPS)))


def case_of(seed: int) -> Case:
    rng = Random(10_000 + seed)
    documents, at_us = random_book(rng), random_instant(rng)
    baskets = [random_basket(rng, documents) for _ in range(N_BASKETS)]
    book = compiled(documents, {}, at_us)
    return Case(documents, book, at_us, baskets, replies_of(book, baskets, at_us))


def replies_of(book: PriceBook, baskets: list[Body], at_us: int) -> list[Body]:
    return engine_replies(book, baskets, [at_us] * len(baskets))


def answered() -> Iterator[tuple[Case, Body, Body]]:
    """Every basket that was priced, with its reply."""
    for case in cases():
        for basket, reply in zip(case.baskets, case.replies, strict=True):
            if not reply["errors"]:
                yield case, basket, reply


def priced_lines(reply: Body) -> list[Body]:
    return [line for line in reply["lines"] if "error" not in line]


def test_every_kind_is_drawn() -> None:
    """Or the laws would hold for want of anything that could break them."""
    assert set(DRAWN_KINDS) == set(KINDS)
    applied = {entry["kind"] for _, _, reply in answered() for line in priced_lines(reply) for entry in line["adjustments"]}

    assert applied >= {"percent_off", "amount_off", "fixed_price", "tiered", "spend_save", "guardrail"}
    assert any(reply["shipping"] and reply["shipping"]["adjustments"] for _, _, reply in answered())
    assert any(reply["gifts"] for _, _, reply in answered())
    assert any(reply["points"].get("multipliers") for _, _, reply in answered())


def test_parties_bear_no_more_than_was_given_and_the_lines_say_what_the_order_says() -> None:
    n_funded = 0
    for _, _, reply in answered():
        whole: dict[tuple[str, str], int] = {}
        for adjustment in [*reply["adjustments"], *(reply["shipping"] or {"adjustments": ()})["adjustments"]]:
            for share in adjustment.get("funding", ()):
                whole[adjustment["rule"], share["party"]] = share["amount"]
        for line in priced_lines(reply):
            for adjustment in line["adjustments"]:
                shares = adjustment.get("funding", [])
                n_funded += bool(shares)
                assert 0 <= sum(share["amount"] for share in shares) <= -adjustment["amount"] or not shares
                for share in shares if adjustment.get("level") == "order" else ():
                    whole[adjustment["rule"], share["party"]] -= share["amount"]
        on_orders = {adjustment["rule"] for adjustment in reply["adjustments"]}
        assert not any(left for (rule, _), left in whole.items() if rule in on_orders)
    assert n_funded > 50


def test_points_pay_for_lines_alone_and_as_many_as_were_asked_for() -> None:
    n_paid = 0
    for _, basket, reply in answered():
        points = reply["points"]
        assert 0 <= points["redeemed"] <= (basket.get("points") or 0)
        assert 0 <= points["amount"] <= sum(line["total"] for line in priced_lines(reply))
        assert points["earned"] >= 0
        n_paid += points["amount"] > 0
    assert n_paid > 5


def test_lines_sum_to_their_totals_and_to_the_order() -> None:
    for _, _, reply in answered():
        lines = priced_lines(reply)
        for line in lines:
            assert line["subtotal"] + sum(entry["amount"] for entry in line["adjustments"]) == line["total"]
            assert line["subtotal"] - line["discount"] == line["total"]
        assert sum(line["subtotal"] for line in lines) == reply["subtotal"]
        assert sum(line["discount"] for line in lines) == reply["discount"]
        assert sum(line["total"] for line in lines) + beyond_the_lines(reply) == reply["total"]


def beyond_the_lines(reply: Body) -> int:
    """What the total has besides the lines: shipping, redeemed points and cash rounding."""
    rounding: int = sum(entry["amount"] for entry in reply["adjustments"] if entry["kind"] == "cash_rounding")
    shipping: int = 0 if reply["shipping"] is None else reply["shipping"]["total"]
    redeemed: int = reply["points"].get("amount", 0)
    return shipping + rounding - redeemed


def test_what_the_order_shows_is_what_its_lines_took() -> None:
    n_shown = 0
    for _, _, reply in answered():
        on_order = sum(entry["amount"] for entry in reply["adjustments"] if entry["kind"] != "cash_rounding")
        on_lines = sum(
            entry["amount"] for line in priced_lines(reply) for entry in line["adjustments"] if entry.get("level") == "order"
        )

        assert on_order == on_lines
        n_shown += on_order != 0
    assert n_shown > 50


def test_a_discount_never_exceeds_what_is_left() -> None:
    for _, _, reply in answered():
        for line in priced_lines(reply):
            left = line["subtotal"]
            for entry in line["adjustments"]:
                assert entry["amount"] >= 0 if entry["kind"] == "guardrail" else entry["amount"] < 0
                left += entry["amount"]
                assert left >= 0


def test_no_line_passes_its_floor() -> None:
    n_bound = 0
    for case, basket, reply in answered():
        shop = Shop(case.documents, {}, case.at_us)
        skus = [line["sku"] for line in basket["lines"]]
        for line in priced_lines(reply):
            if skus.count(line["sku"]) > 1:
                # The lines of one SKU may share an amount, which is bounded as a whole.
                continue
            bounds = bounds_of(shop, basket["currency"], line["sku"], parse_unit_e4(line["list_unit_price"]))
            floor = lowest(bounds.paid, parse_quantity_milli(line["quantity"]))

            assert line["total"] >= floor
            n_bound += line["total"] == floor > 0
    assert n_bound > 50


def test_a_basket_costs_the_same_in_a_batch_and_alone() -> None:
    for case in cases()[::3]:
        for basket, reply in zip(case.baskets, case.replies, strict=True):
            assert replies_of(case.book, [basket], case.at_us) == [reply]


def test_a_promotion_that_does_not_hold_changes_nothing() -> None:
    never = {"attribute": "channel", "op": "==", "value": "on the moon"}
    for number, case in enumerate(cases()[::2]):
        rng = Random(number)
        body = promotion_of(case.documents, rng) | {"conditions": never, "requires_code": False, "schedule": None}
        # In front of all others, exclusive and of a group, it would take everything if it held.
        idle = body | {"lane": -9, "priority": 99, "exclusive": True, "group": "g"}
        documents = {**case.documents, "promotions": {**case.documents["promotions"], "idle": idle}}
        book = compiled(documents, {}, case.at_us)
        for reply, other in zip(case.replies, replies_of(book, case.baskets, case.at_us), strict=True):
            assert without("idle", other) == reply


def test_the_best_never_costs_more_than_the_sequence() -> None:
    n_cheaper = n_dearer_lines = 0
    for case in cases():
        one, other = (replies_of(chosen_by(selection, case), case.baskets, case.at_us) for selection in ("best", "priority"))
        for best, sequence in zip(one, other, strict=True):
            if best["errors"]:
                assert best["errors"] == sequence["errors"]
                continue
            gain, gain_by_sequence = ((one["discount"], sum(gift["worth"] for gift in one["gifts"])) for one in (best, sequence))
            assert sum(gain) >= sum(gain_by_sequence)
            n_cheaper += gain[0] > gain_by_sequence[0]
            lines = zip(priced_lines(best), priced_lines(sequence), strict=True)
            n_dearer_lines += any(line["total"] > by_sequence["total"] for line, by_sequence in lines)
    assert n_cheaper > 15
    # A line may well cost more, for the sake of the order.
    assert n_dearer_lines > 3


def chosen_by(selection: str, case: Case) -> PriceBook:
    """The book of a shop with another policy of selection."""
    policy = {**case.documents["policy"]["default"], "exclusive_wins": False, "coupon_failure": "partial", "selection": selection}
    return compiled({**case.documents, "policy": {"default": policy}}, {}, case.at_us)


def promotion_of(documents: Documents, rng: Random) -> Body:
    """Any promotion, of this shop or another."""
    while not documents["promotions"]:
        documents = random_book(rng)
    return rng.choice(list(documents["promotions"].values()))


def without(rule: str, reply: Body) -> Body:
    if reply["errors"]:
        return reply
    return reply | {"not_applied": [entry for entry in reply["not_applied"] if entry.get("rule") != rule]}


def test_the_order_of_lines_does_not_matter_where_nothing_is_shared_out() -> None:
    n_compared = 0
    for case in cases():
        promotions = {name: body for name, body in case.documents["promotions"].items() if is_by_itself(body)}
        prices = {
            name: body | {"tiers": None} for name, body in case.documents["prices"].items()
        }  # tiers may mix, and are shared
        documents = {**case.documents, "prices": prices, "promotions": promotions, "coupons": {}}
        book = compiled(documents, {}, case.at_us)
        for basket in case.baskets:
            # Codes and the units of a sale are shared out as well.
            basket |= {"codes": [], "limited": []}
            one, other = replies_of(book, [basket, basket | {"lines": basket["lines"][::-1]}], case.at_us)
            if not one["errors"] and not basket.get("partial"):
                assert sorted(map(json.dumps, one["lines"])) == sorted(map(json.dumps, other["lines"]))
                assert one["total"] == other["total"]
                n_compared += len(one["lines"]) > 1
    assert n_compared > 100


def is_by_itself(body: Body) -> bool:
    """Whether what it takes of a line is no share of anything."""
    params = body["params"]
    if body["level"] != "line" or params.get("cap") is not None or params.get("units") is not None:
        return False
    return body["kind"] == "fixed_price" or (body["kind"] in ("percent_off", "amount_off") and params["per"] != "across")


@pytest.mark.parametrize("mode", ["volume", "graduated"])
def test_a_unit_gets_no_dearer_with_the_quantity_where_the_tiers_fall(mode: str) -> None:
    for seed in range(60):
        rng = Random(seed)
        units = sorted(rng.sample(range(1, 5_000), 4), reverse=True)
        bounds = [*sorted(rng.sample(range(1, 60), 3)), None]
        steps = [{"up_to": up_to, "unit_price": str(unit)} for up_to, unit in zip(bounds, units, strict=True)]
        price = {"sku": "A", "currency": "USD", "price_list": "default", "unit_price": str(units[0])}
        book = compiled({"prices": {"a": {**price, "tiers": {"mode": mode, "steps": steps}}}}, {}, 0)
        baskets = [{"currency": "USD", "lines": [{"id": "1", "sku": "A", "quantity": n}]} for n in range(1, 70)]
        shown = [parse_unit_price_e4(reply["lines"][0]["unit_price"]) for reply in replies_of(book, baskets, 0)]

        assert shown == sorted(shown, reverse=True)
        assert shown[0] == units[0] * 10_000


def test_ten_times_the_money_is_ten_times_every_amount() -> None:
    """Where nothing has to be rounded: everything is a multiple of 100 000, and five percentages at most run over it."""
    discount = 0
    for seed in range(100):
        rng = Random(seed)
        prices = {sku: rng.randint(1, 90) * 1_000_000 for sku in "ABCD"}
        promotions = {f"p{number}": exact_promotion(rng) for number in range(rng.randint(1, 5))}
        lines = [{"id": str(n), "sku": rng.choice("ABCD"), "quantity": rng.randint(1, 9)} for n in range(rng.randint(1, 6))]
        one, ten = (scaled_reply(prices, promotions, lines, factor) for factor in (1, 10))

        assert [line["total"] * 10 for line in one["lines"]] == [line["total"] for line in ten["lines"]]
        assert one["total"] * 10 == ten["total"]
        discount += one["discount"]
    assert discount > 0


def exact_promotion(rng: Random) -> Body:
    if rng.random() < 0.5:
        params: dict[str, Any] = {"percent": rng.choice(("10", "20", "50"))}
        kind = "percent_off"
    else:
        kind, params = "amount_off", {"amount": rng.randint(1, 20) * 100_000, "per": rng.choice(("unit", "line"))}
    return {
        "name": kind,
        "kind": kind,
        "params": params,
        "level": "line",
        "currency": "USD",
        "scope": {"include": {"skus": rng.sample("ABCD", 2)}},
        "lane": rng.choice((0, 1)),
        "group": rng.choice((None, "g")),
        "conditions": {"attribute": "order.subtotal", "op": ">=", "value": rng.randint(0, 9) * 10_000_000},
    }


def scaled_reply(prices: dict[str, int], promotions: Documents, lines: list[Body], factor: int) -> Body:
    bodies = {
        sku: {"sku": sku, "currency": "USD", "price_list": "default", "unit_price": str(unit * factor)}
        for sku, unit in prices.items()
    }
    scaled: dict[str, Body] = {}
    for name, body in promotions.items():
        params = body["params"]
        if "amount" in params:
            params = params | {"amount": params["amount"] * factor}
        conditions = body["conditions"] | {"value": body["conditions"]["value"] * factor}
        scaled[name] = {**body, "params": params, "conditions": conditions}
    book = compiled({"prices": bodies, "promotions": scaled}, {}, 0)
    [reply] = replies_of(book, [{"currency": "USD", "lines": lines}], 0)
    return reply


def test_a_percentage_is_never_more_than_it_says() -> None:
    """Of one percentage alone, at most its share of the subtotal and half a cent."""
    for seed in range(200):
        rng = Random(seed)
        percent = rng.choice(("33.3333", "0.0001", "12.5", "99.9999", "50"))
        sku_price = {"sku": "A", "currency": "USD", "price_list": "default", "unit_price": str(rng.randint(1, 10**6))}
        body = {"name": "x", "kind": "percent_off", "params": {"percent": percent}, "level": "line"}
        book = compiled({"prices": {"a": sku_price}, "promotions": {"p": body}}, {}, 0)
        [reply] = replies_of(book, [{"currency": "USD", "lines": [{"id": "1", "sku": "A", "quantity": rng.randint(1, 99)}]}], 0)

        assert abs(reply["discount"] * PPM - reply["subtotal"] * parse_decimal(percent, 4)) <= PPM // 2
