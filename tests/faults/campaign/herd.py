"""Serving processes on one database of which now and then one is killed, each at its own random times, while the others serve on."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Final, Self

from tests.faults.forks import Fork, start

_STARTS_MAX: Final = 20
_TRACE_MAX: Final = 4_000


class Herd:
    """So many processes; `under_way` tells how many requests a port has not answered yet, and only a process that has some is killed."""

    def __init__(
        self, folder: Path, *, size: int, random: Random, serves_s_max: float, under_way: Callable[[int], int], **given: Any
    ) -> None:
        self.kills = 0
        self.errors: list[str] = []  # what the processes logged as errors
        self._folder = folder
        self._size = size
        self._random = random
        self._serves_s_max = serves_s_max
        self._under_way = under_way
        self._given = given
        self._ready: dict[int, Fork] = {}
        self._slots: list[asyncio.Task[None]] = []
        self._is_killing = False

    def ports(self) -> list[int]:
        """Those that serve. There is a moment now and then in which nobody does."""
        return list(self._ready)

    async def __aenter__(self) -> Self:
        for pod in await asyncio.gather(*(self._start() for _ in range(self._size))):
            self._slots.append(asyncio.create_task(self._live(pod)))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for slot in self._slots:
            slot.cancel()
        ended = await asyncio.gather(*self._slots, return_exceptions=True)
        for pod in list(self._ready.values()):
            await self._end(pod)
        for one in ended:
            if error is None and isinstance(one, Exception):
                raise one

    def kill_on(self) -> None:
        """Kill from now on."""
        self._is_killing = True

    def kill_off(self) -> None:
        """Let all of them live."""
        self._is_killing = False

    def check(self) -> None:
        """Raise what went wrong with a process that could not be started."""
        for slot in self._slots:
            if slot.done():
                slot.result()

    async def _live(self, pod: Fork) -> None:
        """One place: a process, and the next one when it is killed."""
        while True:
            await asyncio.sleep(self._random.uniform(0, self._serves_s_max))
            while not (self._is_killing and self._under_way(pod.port)):
                await asyncio.sleep(0.005)
            # No turn of the loop between the look and the signal, so that no reply is read in between.
            pod.signal_kill()
            self.kills += 1
            await self._end(pod)
            pod = await self._start()

    async def _start(self) -> Fork:
        for attempt in range(_STARTS_MAX):
            try:
                pod = await start(self._folder, **self._given)
            except RuntimeError:
                # The cluster may be down just now.
                if attempt == _STARTS_MAX - 1:
                    raise
                await asyncio.sleep(0.2)
            else:
                break
        self._ready[pod.port] = pod
        return pod

    async def _end(self, pod: Fork) -> None:
        self._ready.pop(pod.port, None)
        await asyncio.to_thread(pod.kill)
        said = pod.said.read_text()
        self.errors += [line for line in said.splitlines() if '"level": "error"' in line or '"level": "critical"' in line]
        # What was not logged but written as it happened: all of it from there on tells most.
        _, traceback, trace = said.partition("Traceback")
        if traceback:
            self.errors.append(traceback + trace[:_TRACE_MAX])
        pod.said.unlink()
