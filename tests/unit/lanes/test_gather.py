"""What waits is taken together, and a large batch is prepared while the one before it is being finished."""

import asyncio
from collections.abc import Awaitable

import pytest

from app.errors import InternalError, Unavailable
from app.lanes.gather import Batch, Gather


class Workshop:
    """Work whose rest takes until it is let go; tells in which order what happened."""

    def __init__(self) -> None:
        self.happened: list[str] = []
        self.gates: dict[str, asyncio.Event] = {}

    async def work(self, batch: Batch[str]) -> Awaitable[None]:
        name = batch.entries[0]
        self.happened.append(f"{name} prepared with {len(batch.entries)}")
        gate = self.gates[name] = asyncio.Event()
        if name == "broken":
            raise ValueError(name)

        async def rest() -> None:
            self.happened.append(f"{name} begun")
            await gate.wait()
            if name == "lost":
                raise ValueError(name)
            self.happened.append(f"{name} finished")

        return rest()

    def fail(self, entry: str, problem: InternalError) -> None:
        self.happened.append(f"{entry} failed")


def gathering(workshop: Workshop) -> Gather[str]:
    gather: Gather[str] = Gather(
        workshop.work, fail=workshop.fail, rows_max=1_000, octets_max=1_000, batch_rows_max=100, batch_lines_max=1_000
    )
    gather.start()
    return gather


async def passes() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def submit(gather: Gather[str], name: str, n: int = 1) -> Batch[str]:
    batch = gather.submit([name] * n, line_count=n, octets=1)
    await passes()
    return batch


async def test_large_batch_is_prepared_while_the_one_before_is_finished_and_a_small_one_gathers() -> None:
    workshop = Workshop()
    gather = gathering(workshop)
    await submit(gather, "first")
    second = await submit(gather, "second", 3)
    assert workshop.happened == ["first prepared with 1", "first begun"]

    assert await submit(gather, "more", 13) is second
    assert workshop.happened[2:] == ["second prepared with 16"]
    third = await submit(gather, "third", 50)
    assert third is not second
    assert len(workshop.happened) == 3

    workshop.gates["first"].set()
    await passes()
    assert workshop.happened[3:] == ["first finished", "second begun", "third prepared with 50"]
    assert not second.done.done()

    for name in ("second", "third"):
        workshop.gates[name].set()
    await gather.stop()
    assert workshop.happened[6:] == ["second finished", "third begun", "third finished"]
    assert second.done.done()
    assert third.done.done()
    assert gather.rows == 0


async def test_batch_that_fails_in_its_work_or_in_its_rest_is_told_and_the_next_one_goes_on() -> None:
    workshop = Workshop()
    gather = gathering(workshop)
    broken = await submit(gather, "broken")
    lost = await submit(gather, "lost")
    workshop.gates["lost"].set()
    await passes()
    last = await submit(gather, "last")
    workshop.gates["last"].set()
    await gather.stop()

    assert [one for one in workshop.happened if "failed" in one or "finished" in one] == [
        "broken failed",
        "lost failed",
        "last finished",
    ]
    assert broken.done.done()
    assert lost.done.done()
    assert last.done.done()


async def test_what_is_inside_is_finished_when_it_stops_and_nothing_more_is_taken() -> None:
    workshop = Workshop()
    gather = gathering(workshop)
    await submit(gather, "first")
    called: list[str] = []
    waiting = await submit(gather, "waiting")
    waiting.calls.append(lambda: called.append("waiting"))

    stopping = asyncio.ensure_future(gather.stop())
    await passes()
    with pytest.raises(Unavailable):
        gather.submit(["late"], line_count=1, octets=1)
    for _ in range(3):
        for gate in workshop.gates.values():
            gate.set()
        await passes()
    await stopping

    assert workshop.happened[-2:] == ["waiting begun", "waiting finished"]
    assert called == ["waiting"]


async def test_the_wait_is_what_is_inside_at_the_pace_of_the_batches_before() -> None:
    workshop = Workshop()
    gather = gathering(workshop)
    assert gather.expected_wait_s == 0

    first = await submit(gather, "first", 100)  # a full batch of rows and a tenth of one of lines
    before_s = first.opened_s
    await asyncio.sleep(0.1)
    workshop.gates["first"].set()
    await first.done
    took_s = asyncio.get_running_loop().time() - before_s
    waits_s = []
    for number in range(3):
        await submit(gather, f"more {number}", 50)
        waits_s.append(gather.expected_wait_s)
    while gather.rows:
        for gate in workshop.gates.values():
            gate.set()
        await asyncio.sleep(0)

    # Half of a batch more each time, so half of the time more.
    assert [wait_s / waits_s[0] for wait_s in waits_s] == pytest.approx([1, 2, 3])
    assert took_s / 2 * 0.8 < waits_s[0] < took_s / 2 * 1.01
    assert gather.expected_wait_s == 0


async def test_a_small_batch_says_nothing_about_the_pace() -> None:
    workshop = Workshop()
    gather = gathering(workshop)

    small = await submit(gather, "small", 2)
    await asyncio.sleep(0.1)
    workshop.gates["small"].set()
    await small.done
    await submit(gather, "large", 90)

    assert gather.expected_wait_s == 0
    workshop.gates["large"].set()
    await gather.stop()
