"""What a return gives back and takes back."""

from uuid import UUID

from app.redemptions.protocol import Amount, Draw, Grant, Hold, Meter, Part, Refused, Same
from app.redemptions.returning import Returned, Returning, Sold, decide_returns


def hold_of(number: int, *draws: Draw, grants: tuple[Grant, ...] = ()) -> Hold:
    return Hold(UUID(int=number), UUID(int=1000 + number), f"o-{number}", "held", 1_000_001, draws, grants)


def used_hold(number: int, *draws: Draw, grants: tuple[Grant, ...] = ()) -> Hold:
    return hold_of(number, *draws, grants=grants)._replace(state="used")


def meter(name: str = "uses", *, cap: int = 10, used: int = 0) -> Meter:
    return Meter(name, cap, 1, cap, 0, used)


def test_returns_of_a_line_add_up_to_its_part() -> None:
    # 100 minor units over a line of 3 and one of 1: 70 and 30. One of three gives back 23, two 46 and all 70.
    budget = Draw("budget", 100, 1_000, 1, parts=(Part("a", 70), Part("b", 30)))
    hold = used_hold(1, budget, Draw("uses", 1, 10, 1))
    meters = {"budget": meter("budget", cap=1_000, used=100), "uses": meter(used=1)}
    one_a = [Returning(UUID(int=50 + number), hold.id, {"a": 1_000}) for number in range(3)]
    asked = [*one_a, one_a[0], Returning(UUID(int=60), hold.id, {"a": 1}), Returning(UUID(int=61), hold.id, {"b": 1_000})]

    decided = decide_returns(asked, holds={hold.id: hold}, sold={hold.id: Sold({"a": 3_000, "b": 1_000}, {})}, meters=meters)

    given = [outcome.given for outcome in decided.outcomes if isinstance(outcome, Returned)]
    assert given == [
        (Amount("budget", 23),),
        (Amount("budget", 23),),
        (Amount("budget", 24),),
        (Amount("budget", 30), Amount("uses", 1)),
    ]
    assert decided.outcomes[3] == Same(hold)
    assert decided.outcomes[4] == Refused("returns_too_much", (Amount("a", 0),))
    assert decided.meters == [meter("budget", cap=1_000), meter()]


def test_what_is_of_no_line_comes_back_with_the_last_unit() -> None:
    # Of 160 the lines have 100, and 60 are of the shipping.
    budget = Draw("budget", 160, 1_000, 1, parts=(Part("a", 70), Part("b", 30)))
    hold = used_hold(1, budget)
    asked = [Returning(UUID(int=50), hold.id, {"a": 1_000, "b": 500}), Returning(UUID(int=51), hold.id, {"b": 500})]

    decided = decide_returns(
        asked,
        holds={hold.id: hold},
        sold={hold.id: Sold({"a": 1_000, "b": 1_000}, {})},
        meters={"budget": meter("budget", cap=1_000, used=160)},
    )

    given = [outcome.given for outcome in decided.outcomes if isinstance(outcome, Returned)]
    assert given == [(Amount("budget", 85),), (Amount("budget", 75),)]
    assert decided.meters == [meter("budget", cap=1_000)]


def test_return_takes_back_what_was_earned_as_far_as_it_is_there() -> None:
    hold = used_hold(1, grants=(Grant("points", 40, parts=(Part("a", 40),)),))
    points = meter("points", cap=140, used=115)

    decided = decide_returns(
        [Returning(UUID(int=50), hold.id, {"a": 3_000})],
        holds={hold.id: hold},
        sold={hold.id: Sold({"a": 4_000}, {})},
        meters={"points": points},
    )

    # Three quarters of 40 are 30, of 140 - 115 = 25 that are left.
    assert decided.outcomes == [Returned(UUID(int=50), hold, (), (Amount("points", 25),), (Amount("points", 5),))]
    assert decided.meters == [meter("points", cap=115, used=115)]


def test_only_what_was_confirmed_and_sold_is_returned() -> None:
    held, used, gone = hold_of(1), used_hold(2), hold_of(3)._replace(state="released", ended="expired")
    asked = [Returning(UUID(int=50), UUID(int=number), {"x": 1}) for number in (1, 2, 3, 4)]

    decided = decide_returns(asked, holds={h.id: h for h in (held, used, gone)}, sold={used.id: Sold({"a": 1}, {})}, meters={})

    assert decided.outcomes == [
        Refused("hold_not_used"),
        Refused("unknown_line", (Amount("x", 0),)),
        Refused("hold_expired"),
        Refused("unknown_hold"),
    ]
