"""A serving process that may be killed at any moment, and a warm one that takes over."""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from tests.e2e.shop import open_shop
from tests.faults.forks import Fork, start


class Fleet:
    """Two processes on one database; the first of `ports` is where the traffic goes."""

    def __init__(self, folder: Path, **given: Any) -> None:
        self._folder = folder
        self._given = given
        self._pods: list[Fork] = []
        self.errors: list[str] = []  # what the processes logged as errors

    def ports(self) -> list[int]:
        return [pod.port for pod in self._pods]

    async def __aenter__(self) -> Self:
        for _ in range(2):
            self._pods.append(await start(self._folder, **self._given))
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for pod in self._pods:
            await asyncio.to_thread(pod.kill)
            self._read_log(pod)

    async def kill(self) -> None:
        """Kill the one that serves; the other one serves from now on, and a new one is made ready behind it."""
        victim = self._pods[0]
        await asyncio.to_thread(victim.kill)
        self._pods.pop(0)
        await self._follow(victim)

    async def roll(self) -> int | None:
        """The same as a rolling restart does it: traffic goes to the other one, and this one is asked to end. Gives its status."""
        old = self._pods.pop(0)
        status = await asyncio.to_thread(old.stop)
        await self._follow(old)
        return status

    async def _follow(self, ended: Fork) -> None:
        self._read_log(ended)
        self._pods.append(await start(self._folder, **self._given))

    def _read_log(self, pod: Fork) -> None:
        lines = pod.said.read_text().splitlines()
        self.errors += [
            line for line in lines if '"level": "error"' in line or '"level": "critical"' in line or "Traceback" in line
        ]
        pod.said.unlink()


async def open_shop_at(port: int) -> None:
    """Publish the shop through the service on a port."""

    def work() -> None:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
            open_shop(client)

    await asyncio.to_thread(work)
