"""Laws that hold for every random book and basket."""

import json
from random import Random

from hypothesis import given, settings

from tests.reference.generate import Case, cases, random_case
from tests.reference.price import price_basket


@settings(max_examples=150, deadline=None)
@given(cases())
def test_adjustments_add_up_on_every_line_and_on_the_order(case: Case) -> None:
    reply = price_basket(*case)

    json.dumps(reply)
    priced = [line for line in reply.get("lines", []) if "error" not in line]
    for line in priced:
        assert 0 <= line["total"] == line["subtotal"] + sum(each["amount"] for each in line["adjustments"])
        steps = line["price_steps"]
        assert [step["before"] for step in steps[1:]] == [step["after"] for step in steps[:-1]]
    if "lines" in reply:
        shipping = reply["shipping"]["total"] if reply["shipping"] else 0
        rounding = sum(each["amount"] for each in reply["adjustments"] if each["kind"] == "cash_rounding")
        paid = sum(line["total"] for line in priced) + shipping - reply["points"]["amount"]
        assert 0 <= reply["total"] == paid + rounding
        assert reply["points"]["amount"] <= sum(line["total"] for line in priced)
        shares = -sum(each["amount"] for line in priced for each in line["adjustments"] if each.get("level") == "order")
        assert shares == rounding - sum(each["amount"] for each in reply["adjustments"])
        if shipping:
            assert (
                0 <= shipping == reply["shipping"]["subtotal"] + sum(each["amount"] for each in reply["shipping"]["adjustments"])
            )


def test_seed_gives_the_same_case_again() -> None:
    assert random_case(Random(7)) == random_case(Random(7))
