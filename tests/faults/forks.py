"""Serving processes in quick succession: each is forked from one that has everything imported, and then does what `serve` does."""

import asyncio
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any, Final

from app import cli
from tests.faults.wire import Unanswered, Wire
from tests.processes import READY_SECONDS, environment, free_port

_context: Final = multiprocessing.get_context("forkserver")
# Each fork imports the main module of its parent again, which is pytest or the campaign: what those need is there as well.
_context.set_forkserver_preload(
    [
        "app.cli",
        "pytest",
        "tests.faults.forks",
        "tests.faults.campaign.rounds",
        "tests.faults.hasty",
        "tests.faults.holds_house",
        "tests.faults.warm",
    ]
)


def serve() -> int:
    """The product, as its command line starts it."""
    return cli.main(["serve"])


class Fork:
    """A serving process; what it says goes to a file in `folder`. `program` runs in it and is a function of a module."""

    def __init__(self, folder: Path, *, program: Callable[[], int] = serve, **settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.said = folder / f"pod-{self.port}.log"
        env = environment(folder, port=str(self.port), **settings)
        self._process: ForkServerProcess = _context.Process(target=_live, args=(program, env, str(self.said)), daemon=True)
        self._process.start()

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def signal_kill(self) -> None:
        """SIGKILL, and do not wait."""
        self._process.kill()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.join()

    def stop(self) -> int | None:
        """SIGTERM, and wait; gives its status."""
        self._process.terminate()
        self._process.join(30)
        if self._process.is_alive():
            self.kill()
        return self._process.exitcode

    def wait_for_end(self) -> int | None:
        """Wait until it ends by itself; gives its status, None after a minute."""
        self._process.join(60)
        return self._process.exitcode

    async def wait_until_ready(self) -> None:
        """Wait for a price book in force. Raises RuntimeError when the process ends before."""
        deadline = time.monotonic() + READY_SECONDS
        async with Wire(self.port) as wire:
            while time.monotonic() < deadline:
                try:
                    if (await wire.exchange("GET", "/readyz")).status == 200:
                        return
                except Unanswered:
                    if not self.is_alive:
                        raise RuntimeError(f"ended with {self._process.exitcode}: {self.said.read_text()[-2000:]}") from None
                await asyncio.sleep(0.02)
        raise RuntimeError(f"not ready: {self.said.read_text()[-2000:]}")


async def start(folder: Path, **given: Any) -> Fork:
    """A fork that is ready; another one where the port was taken meanwhile."""
    while True:
        pod = await asyncio.to_thread(Fork, folder, **given)
        try:
            await pod.wait_until_ready()
        except BaseException as error:
            await asyncio.to_thread(pod.kill)
            # Another process may get the same port, and is not to answer for what this one said.
            pod.said.unlink(missing_ok=True)
            if isinstance(error, RuntimeError) and "cannot listen" in str(error):
                continue
            raise
        return pod


def _live(program: Callable[[], int], env: dict[str, str], said: str) -> None:
    descriptor = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.environ.clear()
    os.environ.update(env)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    sys.exit(program())


def _end_with_parent() -> None:
    """A test run that is killed leaves nothing behind."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)
