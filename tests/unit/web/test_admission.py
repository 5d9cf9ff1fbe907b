"""What matters most is refused last, and an operator always gets through."""

import asyncio
from functools import partial

import pytest

from app.metrics import Metrics
from app.web.admission import BATCH, CONFIRM, CONTROL, HOLD, PREVIEW, PROBE, QUOTE, Admission, Rank, rank_of


def admission(waits_s: dict[str, float]) -> Admission:
    """With a target of 200 ms, and lanes that wait as long as the test says."""
    made = Admission(target_s=0.2, metrics=Metrics())
    for lane, wait_s in waits_s.items():
        made.add_lane(lane, partial(float, wait_s))
    return made


@pytest.mark.parametrize(
    ("method", "target", "rank"),
    [
        (b"POST", b"/v1/quotes", QUOTE),
        (b"POST", b"/v1/quotes?x=1", QUOTE),
        (b"POST", b"/v1/quotes/batch", BATCH),
        (b"POST", b"/v1/preview?explain=full", PREVIEW),
        (b"POST", b"/v1/prices", PREVIEW),
        (b"POST", b"/v1/holds", HOLD),
        (b"POST", b"/v1/holds/0197/confirm", CONFIRM),
        (b"POST", b"/v1/holds/0197/release", CONFIRM),
        (b"GET", b"/readyz", PROBE),
        (b"GET", b"/metrics?x", PROBE),
        (b"GET", b"/v1/quotes/0197", CONTROL),
        (b"PUT", b"/v1/promotions/ten-off", CONTROL),
        (b"DELETE", b"/v1/holds/0197/confirm", CONTROL),
    ],
)
def test_the_first_line_says_how_much_a_request_matters(method: bytes, target: bytes, rank: Rank) -> None:
    assert rank_of(method, target) is rank


@pytest.mark.parametrize(
    ("wait_s", "let_in"),
    [
        (0.0, {CONFIRM, HOLD, QUOTE, BATCH}),
        (0.149, {CONFIRM, HOLD, QUOTE, BATCH}),
        (0.151, {CONFIRM, HOLD, QUOTE}),
        (0.199, {CONFIRM, HOLD, QUOTE}),
        (0.201, {CONFIRM, HOLD}),
        (0.299, {CONFIRM, HOLD}),
        (0.301, {CONFIRM}),
        (60.0, {CONFIRM}),
    ],
)
def test_the_longer_the_wait_the_fewer_are_let_in(wait_s: float, let_in: set[Rank]) -> None:
    gate = admission({"quotes": wait_s, "holds": wait_s})

    assert {rank for rank in (CONFIRM, HOLD, QUOTE, BATCH) if gate.refusal(rank) is None} == let_in


def test_a_lane_that_waits_refuses_nothing_of_another_lane() -> None:
    """Quotes may stand still because the database does, and previews need none."""
    gate = admission({"quotes": 9.0, "previews": 0.0})

    refusal = gate.refusal(QUOTE)
    assert refusal is not None
    assert (refusal.status, refusal.headers) == (503, {"Retry-After": "1"})
    assert gate.refusal(PREVIEW) is None


async def test_a_loop_that_is_always_late_refuses_the_control_plane_but_for_two_at_a_time() -> None:
    gate = admission({})
    watching = asyncio.create_task(gate.watch_loop())
    async with asyncio.timeout(20):
        while gate.waits_s()["loop"] < 0.1:
            await asyncio.sleep(0)
            end = asyncio.get_running_loop().time() + 0.2  # held up again and again, as a loop is that has too much to do
            while asyncio.get_running_loop().time() < end:
                pass
    watching.cancel()

    assert gate.refusal(CONTROL) is None
    with gate.control():
        assert gate.refusal(CONTROL) is None
        with gate.control():
            assert gate.refusal(CONTROL) is not None
            assert gate.refusal(CONFIRM) is None
            assert gate.refusal(PROBE) is None


async def test_a_loop_that_is_late_once_refuses_nothing() -> None:
    gate = admission({})
    watching = asyncio.create_task(gate.watch_loop())
    await asyncio.sleep(0.06)
    end = asyncio.get_running_loop().time() + 0.5
    while asyncio.get_running_loop().time() < end:
        pass
    await asyncio.sleep(0)
    watching.cancel()

    assert gate.waits_s()["loop"] < 0.1
