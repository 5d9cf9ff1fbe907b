"""A service under moderate load for as long as asked, looked at from outside every few seconds."""

import asyncio
import contextlib
import os
import sys
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from app.db.migrate import upgrade
from app.demo.load import load_sample_shop, sample_skus
from loadtests.bench.processes import free_port, memory_bytes, running, wait_until_listening
from loadtests.bench.rig import temporary_folder
from loadtests.soak.judge import Verdict, judge
from loadtests.soak.traffic import Traffic

# Baskets never come again, so that the memo is at its bound within the warm-up and makes room all the time; this many lines are some 5 MB.
_MEMO_LINES: Final = 2_000
SERVE: Final = (sys.executable, "-m", "app", "serve")


class Soaked(NamedTuple):
    """What came of it."""

    verdicts: list[Verdict]
    sent: int
    wrong: Counter[str]
    turned_away: int
    orders: Counter[str]
    seconds: float

    @property
    def is_well(self) -> bool:
        """Whether nothing grows, no reply was wrong, and no more than one in a hundred was turned away."""
        return not self.wrong and self.turned_away <= 0.01 * self.sent and not any(verdict.grows for verdict in self.verdicts)


def soak(
    *,
    seconds: float,
    every_s: float,
    per_second: float,
    seed: int,
    command: Sequence[str] = SERVE,
    note: Callable[[str], None] = lambda _: None,
) -> Soaked:
    """Start a database and a service with the sample shop, load it, watch it, and judge."""
    with temporary_folder() as folder, EmbeddedPostgres(folder / "data") as server:
        asyncio.run(upgrade(Database(server.url)))
        port = free_port()
        environment = {
            "PRICING_DATABASE_URL": server.url,
            "PRICING_DATA_DIR": str(folder / "own"),
            "PRICING_PORT": str(port),
            "PRICING_OPEN_LOOPBACK": "true",
            "PRICING_LOG_LEVEL": "warning",
            "PRICING_MEMO_LINES": str(_MEMO_LINES),
        }
        log = folder / "service.log"
        with running(command, log=log, environment=environment) as process:
            wait_until_listening(port, process, log=log)
            load_sample_shop(f"http://127.0.0.1:{port}")
            traffic = Traffic(port, per_second=per_second, skus=sorted(sample_skus()), seed=seed)
            samples = asyncio.run(_watch(process.pid, port, traffic, seconds=seconds, every_s=every_s, note=note))
    return Soaked(judge(samples), traffic.sent, traffic.wrong, traffic.turned_away, traffic.orders, seconds)


async def _watch(
    pid: int, port: int, traffic: Traffic, *, seconds: float, every_s: float, note: Callable[[str], None]
) -> dict[str, list[float]]:
    samples: dict[str, list[float]] = {}
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    sending = loop.create_task(traffic.run(stopping))
    began_s = loop.time()
    try:
        for number in range(1, int(seconds / every_s) + 1):
            await asyncio.sleep(max(0.0, began_s + number * every_s - loop.time()))
            for measure, value in (await asyncio.to_thread(_look, pid, port, traffic.connections)).items():
                samples.setdefault(measure, []).append(value)
            now = ", ".join(f"{measure} {values[-1]:.0f}" for measure, values in samples.items())
            wrong = f" ({traffic.wrong.most_common(1)[0][0]})" if traffic.wrong else ""
            note(f"{number * every_s:.0f} s: {traffic.sent} sent, {traffic.wrong.total()} wrong{wrong}, {now}")
    finally:
        stopping.set()
        await sending
    return samples


def _look(pid: int, port: int, clients: int) -> dict[str, float]:
    """What the process has now; the `clients` that are there by their own will are not counted."""
    descriptors = []
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            descriptors.append(os.readlink(f"/proc/{pid}/fd/{descriptor}"))
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as reply:
        series = sum(not line.startswith(b"#") for line in reply.read().splitlines())
    return {
        "memory_bytes": memory_bytes(pid),
        "descriptors": len(descriptors) - clients,
        "connections": sum(target.startswith("socket:") for target in descriptors) - clients,
        "threads": len(list(Path(f"/proc/{pid}/task").iterdir())),
        "series": series,
    }
