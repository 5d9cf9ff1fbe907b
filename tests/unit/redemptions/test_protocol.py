"""What is decided about holds, confirms, releases and returns once their meters are locked."""

from uuid import UUID

import pytest

from app.redemptions.protocol import (
    QUOTE_GRACE_MS,
    Again,
    Amount,
    Asked,
    Confirming,
    Decided,
    Done,
    Draw,
    Ended,
    Grant,
    Hold,
    HoldOutcome,
    Meter,
    Refused,
    Same,
    Taken,
    decide_confirms,
    decide_holds,
    decide_releases,
    expire,
)

NOW_MS = 1_000_000
TTL_MS = 900_000


def uses(amount: int = 1, *, meter: str = "uses", cap: int | None = 10, version: int = 1) -> Draw:
    return Draw(meter, amount, cap, version)


def ask(
    number: int, *draws: Draw, quote: int | None = None, order: str | None = None, quote_expires_ms: int = NOW_MS + 1
) -> Asked:
    """A hold with the id `number` for a quote and an order of the same number, unless said otherwise."""
    return Asked(UUID(int=number), UUID(int=1000 + (quote or number)), order or f"o-{number}", quote_expires_ms, TTL_MS, draws)


def hold_of(
    number: int, *draws: Draw, order: str | None = None, expires_ms: int = NOW_MS + 1, grants: tuple[Grant, ...] = ()
) -> Hold:
    return Hold(UUID(int=number), UUID(int=1000 + number), order or f"o-{number}", "held", expires_ms, draws, grants)


def used_hold(number: int, *draws: Draw, order: str | None = None, grants: tuple[Grant, ...] = ()) -> Hold:
    return hold_of(number, *draws, order=order, grants=grants)._replace(state="used")


def meter(name: str = "uses", *, cap: int = 10, version: int = 1, held: int = 0, used: int = 0) -> Meter:
    return Meter(name, cap, version, cap, held, used)


def decide(
    *asked: Asked, meters: list[Meter], existing: tuple[Hold, ...] = (), now_ms: int = NOW_MS, settled: tuple[str, ...] = ()
) -> Decided[HoldOutcome]:
    return decide_holds(asked, existing=existing, meters={m.id: m for m in meters}, now_ms=now_ms, settled=settled)


def test_holds_are_taken_in_order_of_arrival_until_nothing_is_left() -> None:
    decided = decide(*(ask(number, uses(4)) for number in (3, 1, 2)), meters=[meter(used=1)], settled=("uses",))

    first, second, third = decided.outcomes
    assert isinstance(first, Taken)
    assert first.hold == Hold(UUID(int=3), UUID(int=1003), "o-3", "held", NOW_MS + TTL_MS, (uses(4),))
    assert first.left == (5,)
    assert isinstance(second, Taken)
    assert second.left == (1,)
    assert third == Refused("limit_reached", (Amount("uses", 1),))
    assert decided.meters == [meter(held=8, used=1)]
    assert [hold.id.int for hold in decided.taken] == [3, 1]


def test_hold_takes_everything_or_nothing() -> None:
    scarce = uses(2, meter="budget", cap=1)

    decided = decide(ask(1, uses(), scarce), ask(2, uses()), meters=[meter(), meter("budget", cap=1)])

    assert decided.outcomes[0] == Refused("limit_reached", (Amount("budget", 1),))
    assert decided.meters == [meter(held=1)]


def test_refusal_names_all_that_is_short() -> None:
    decided = decide(ask(1, uses(11), uses(3, meter="budget")), meters=[meter(used=2), meter("budget", used=9)])

    assert decided.outcomes == [Refused("limit_reached", (Amount("uses", 8), Amount("budget", 1)))]


def test_nothing_passed_in_is_changed() -> None:
    locked = meter()

    decide(ask(1, uses()), meters=[locked])

    assert locked == meter()


def test_same_quote_and_order_get_the_hold_they_have() -> None:
    hold = hold_of(1, uses())

    late = ask(5, uses(), quote=1, order="o-1", quote_expires_ms=NOW_MS - QUOTE_GRACE_MS - 1)
    decided = decide(late, meters=[meter(held=1)], existing=(hold,))

    assert decided.outcomes == [Same(hold)]
    assert decided.meters == []


def test_twins_in_one_batch_take_once() -> None:
    decided = decide(ask(1, uses(), quote=1, order="o"), ask(2, uses(), quote=1, order="o"), meters=[meter()])

    first, second = decided.outcomes
    assert isinstance(first, Taken)
    assert second == Same(first.hold)
    assert decided.meters == [meter(held=1)]


def test_hold_driven_again_is_the_hold_it_was_whatever_became_of_it() -> None:
    released = hold_of(1, uses())._replace(state="released", ended="replaced")

    decided = decide(ask(1, uses()), meters=[meter()], existing=(released,))

    assert decided.outcomes == [Same(released)]


def test_after_the_end_of_its_hold_a_quote_is_held_anew() -> None:
    over = hold_of(1, uses(), expires_ms=NOW_MS)

    decided = decide(ask(2, uses(), quote=1, order="o-1"), meters=[meter(held=1)], existing=(over,))

    assert isinstance(decided.outcomes[0], Taken)
    assert decided.changed == [over._replace(state="released", ended="expired")]
    assert decided.meters == []  # one given back, one taken


def test_quote_of_another_order_is_refused_until_its_hold_is_over() -> None:
    other = ask(2, uses(), quote=1, order="o-2")

    assert decide(other, meters=[meter(held=1)], existing=(hold_of(1, uses(), expires_ms=NOW_MS + 1),)).outcomes == [
        Refused("quote_held")
    ]
    assert isinstance(decide(other, meters=[meter(held=1)], existing=(hold_of(1, uses(), expires_ms=NOW_MS),)).outcomes[0], Taken)


def test_order_that_takes_another_quote_does_not_stand_in_its_own_way() -> None:
    old = hold_of(1, uses(10), order="o")

    decided = decide(ask(2, uses(9), order="o"), meters=[meter(held=10)], existing=(old,))

    taken = decided.outcomes[0]
    assert isinstance(taken, Taken)
    assert taken.left == (1,)
    assert decided.changed == [old._replace(state="released", ended="replaced")]
    assert decided.meters == [meter(held=9)]


def test_all_that_an_order_holds_makes_way_for_its_next_quote() -> None:
    # Two pods that did not see each other's hold took one each.
    holds = hold_of(1, uses(6), order="o"), hold_of(2, uses(4), order="o")

    decided = decide(ask(3, uses(10), order="o"), meters=[meter(held=10)], existing=holds)

    assert isinstance(decided.outcomes[0], Taken)
    assert [(hold.id.int, hold.ended) for hold in decided.changed] == [(1, "replaced"), (2, "replaced")]
    assert decided.meters == []


def test_order_keeps_its_hold_when_the_other_quote_is_refused() -> None:
    old = hold_of(1, uses(4), order="o")

    decided = decide(ask(2, uses(7), order="o"), meters=[meter(held=4, used=4)], existing=(old,), settled=("uses",))

    assert decided.outcomes == [Refused("limit_reached", (Amount("uses", 6),))]
    assert decided.changed == []
    assert decided.meters == []


def test_hold_that_its_own_batch_replaces_is_written_as_released() -> None:
    decided = decide(ask(1, uses(8), order="o"), ask(2, uses(9), order="o"), meters=[meter()])

    assert [(hold.id.int, hold.state, hold.ended) for hold in decided.taken] == [(1, "released", "replaced"), (2, "held", None)]
    assert decided.changed == []
    assert decided.meters == [meter(held=9)]


def test_confirmed_order_takes_no_other_quote() -> None:
    decided = decide(ask(2, uses(), order="o"), meters=[meter(used=1)], existing=(used_hold(1, uses(), order="o"),))

    assert decided.outcomes == [Refused("order_confirmed")]


def test_quote_is_honoured_for_the_grace_after_its_end() -> None:
    def outcome(since_ms: int) -> HoldOutcome:
        return decide(ask(1, quote_expires_ms=NOW_MS - since_ms), meters=[]).outcomes[0]

    assert isinstance(outcome(119_999), Taken)
    assert outcome(120_000) == Refused("quote_expired")


def test_meter_with_something_held_is_looked_through_before_anybody_is_refused() -> None:
    locked = [meter(held=10)]
    expired, live = hold_of(1, uses(6), expires_ms=NOW_MS), hold_of(2, uses(4))

    first = decide(ask(3, uses(5)), meters=locked)
    given_back = expire([expired, live], meters={"uses": locked[0]}, now_ms=NOW_MS)
    second = decide(ask(3, uses(5)), meters=given_back.meters, settled=("uses",))

    assert first.outcomes == [Again(("uses",))]
    assert first.unsettled == {"uses"}
    assert given_back.changed == [expired._replace(state="released", ended="expired")]
    taken = second.outcomes[0]
    assert isinstance(taken, Taken)
    assert taken.left == (1,)


def test_expired_hold_with_a_meter_that_was_not_locked_is_left_alone() -> None:
    expired = hold_of(1, uses(), uses(meter="budget"), expires_ms=NOW_MS)

    decided = expire([expired], meters={"uses": meter(held=1)}, now_ms=NOW_MS)

    assert decided.changed == []
    assert decided.meters == []


def test_newest_cap_holds_whichever_pod_asks() -> None:
    raised, old = uses(1, cap=12, version=2), uses(1, cap=10, version=1)

    decided = decide(ask(1, raised), ask(2, old), ask(3, old), meters=[meter(used=10)], settled=("uses",))

    assert [type(outcome) for outcome in decided.outcomes] == [Taken, Taken, Refused]
    assert decided.meters == [Meter("uses", 12, 2, 12, 2, 10)]


def test_lowered_cap_takes_nothing_away_and_gives_nothing_more() -> None:
    lowered, old = uses(1, cap=5, version=2), uses(1, cap=10, version=1)
    seen = decide(ask(1, lowered), meters=[meter(held=1, used=7)], settled=("uses",))
    assert seen.outcomes == [Refused("limit_reached", (Amount("uses", 0),))]
    assert seen.meters == [Meter("uses", 5, 2, 8, 1, 7)]

    given_back = decide_releases(
        [UUID(int=9)], holds={UUID(int=9): hold_of(9, uses())}, meters={"uses": seen.meters[0]}, now_ms=NOW_MS
    )
    assert given_back.meters == [Meter("uses", 5, 2, 7, 0, 7)]

    lagging = decide(ask(2, old), meters=given_back.meters)
    assert lagging.outcomes == [Refused("limit_reached", (Amount("uses", 0),))]


def test_confirm_makes_held_used_once() -> None:
    hold = hold_of(1, uses(3), grants=(Grant("points", 40),))
    asked = [Confirming(hold.id, "o-1"), Confirming(hold.id, "o-1"), Confirming(hold.id, "o-2")]
    meters = {"uses": meter(held=5, used=1), "points": meter("points", cap=100, used=100)}

    decided = decide_confirms(asked, holds={hold.id: hold}, meters=meters, now_ms=NOW_MS)

    used = hold._replace(state="used")
    assert decided.outcomes == [Done(used), Same(used), Refused("other_order")]
    assert decided.changed == [used]
    assert decided.meters == [meter("points", cap=140, used=100), meter(held=2, used=4)]


def test_confirm_of_an_expired_hold_releases_it_and_says_so_for_ever() -> None:
    hold = hold_of(1, uses(), expires_ms=NOW_MS)
    asked = [Confirming(hold.id, "o-1")]

    first = decide_confirms(asked, holds={hold.id: hold}, meters={"uses": meter(held=1)}, now_ms=NOW_MS)
    second = decide_confirms(asked, holds={hold.id: first.changed[0]}, meters={"uses": meter()}, now_ms=NOW_MS)

    assert first.outcomes == second.outcomes == [Refused("hold_expired")]
    assert first.meters == [meter()]


@pytest.mark.parametrize("ended", ["asked", "replaced"])
def test_confirm_of_a_released_hold_is_refused(ended: Ended) -> None:
    hold = hold_of(1, uses())._replace(state="released", ended=ended)

    decided = decide_confirms([Confirming(hold.id, "o-1")], holds={hold.id: hold}, meters={}, now_ms=NOW_MS)

    assert decided.outcomes == [Refused("hold_released")]


def test_order_is_confirmed_once_and_gives_back_what_else_it_holds() -> None:
    one, other = hold_of(1, uses(3), order="o"), hold_of(2, uses(4), order="o")
    asked = [Confirming(one.id, "o"), Confirming(other.id, "o")]

    decided = decide_confirms(asked, holds={one.id: one, other.id: other}, meters={"uses": meter(held=7)}, now_ms=NOW_MS)
    late = decide_confirms(asked[1:], holds={one.id: one._replace(state="used"), other.id: other}, meters={}, now_ms=NOW_MS)

    assert decided.outcomes == [Done(one._replace(state="used")), Refused("hold_released")]
    assert decided.changed == [other._replace(state="released", ended="replaced"), one._replace(state="used")]
    assert decided.meters == [meter(used=3)]
    assert late.outcomes == [Refused("order_confirmed")]


def test_release_gives_back_once() -> None:
    hold, used = hold_of(1, uses(3)), used_hold(2, uses())
    asked = [hold.id, hold.id, used.id, UUID(int=99)]

    decided = decide_releases(asked, holds={hold.id: hold, used.id: used}, meters={"uses": meter(held=3, used=1)}, now_ms=NOW_MS)

    released = hold._replace(state="released", ended="asked")
    assert decided.outcomes == [Done(released), Same(released), Refused("hold_used"), Refused("unknown_hold")]
    assert decided.meters == [meter(used=1)]
