"""Full disks, on file systems of a few megabytes: quotes are refused, what was acknowledged stays, and room made is enough to go on."""

import asyncio
import contextlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from app.db.migrate import upgrade
from tests.faults.cluster import crash, restart
from tests.faults.examine import examine
from tests.faults.fleet import open_shop_at
from tests.faults.forks import start
from tests.faults.load import KeylessLoad, Load
from tests.faults.scale import SEED
from tests.faults.wire import Wire
from tests.processes import free_port

_FULL_S: Final = 3.0
_RECOVERS_S: Final = 2.0
_BASKET: Final = b'{"currency":"USD","lines":[{"sku":"SKU-1","quantity":1}]}'
type MakeDisk = Callable[[int], Path]


@pytest.fixture
def make_disk() -> Iterator[MakeDisk]:
    """Makes file systems of so many megabytes in memory."""
    with contextlib.ExitStack() as stack:

        def made(megabytes: int) -> Path:
            folder = Path(tempfile.mkdtemp(prefix="centwise-disk-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
            command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(folder)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
            stack.callback(subprocess.run, ["umount", "--lazy", str(folder)], check=False)
            return folder

        yield made


async def test_a_database_whose_disk_is_full_costs_quotes_and_nothing_else(make_disk: MakeDisk, tmp_path: Path) -> None:
    disk = make_disk(220)
    settings = {"max_wal_size": "64MB", "min_wal_size": "32MB"}
    with EmbeddedPostgres(disk / "data", port=free_port(), settings=settings) as server:
        await upgrade(Database(server.url))
        pod = await start(tmp_path, database_url=server.url)
        await open_shop_at(pod.port)
        load = Load(lambda: [pod.port], clients=8, seed=SEED)
        await load.wait_for(200)
        _fill(disk / "filler")
        refused, slowest_s = await _wait_until_refused(pod.port)
        previews = await _statuses(pod.port, "/v1/preview")
        (disk / "filler").unlink()
        began_s = time.monotonic()
        await load.wait_for(50)
        recovered_s = time.monotonic() - began_s
        await load.stop()
        await asyncio.to_thread(pod.stop)
        found = await examine(server.url, load.acknowledged)

    print(
        f"figure: R1: the database's disk full for {_FULL_S:g} s: {refused} quotes refused, the slowest after {slowest_s:.3f} s, back"
        f" {recovered_s:.3f} s after room was made, {len(load.acknowledged)} acknowledged, {found.lost} lost, {found.doubled} doubled,"
        f" seed {SEED}"
    )
    assert found.is_kept, found
    assert load.problems == []
    assert previews == {200}
    assert slowest_s < 1.5
    assert recovered_s < _RECOVERS_S


async def test_a_spool_whose_disk_is_full_keeps_what_it_acknowledged(
    server: EmbeddedPostgres, make_disk: MakeDisk, tmp_path: Path
) -> None:
    disk = make_disk(2)
    pod = await start(tmp_path, database_url=server.url, data_dir=str(disk), durability="spool", flush_seconds="0.4")
    await open_shop_at(pod.port)
    load = KeylessLoad(lambda: [pod.port], clients=8, seed=SEED)
    await load.wait_for(20)
    crash(server, "immediate")
    await load.wait_for(50)
    _fill(disk / "filler", leave=300_000)
    refused, slowest_s = await _wait_until_refused(pod.port)
    (disk / "filler").unlink()
    await load.wait_for(50)
    await asyncio.to_thread(restart, server)
    await load.stop()
    began_s = time.monotonic()
    while list(disk.glob("spool/*/*.log")):
        assert time.monotonic() - began_s < 30
        await asyncio.sleep(0.05)
    await asyncio.to_thread(pod.stop)
    found = await examine(server.url, load.acknowledged)

    print(
        f"figure: R1: the local log's disk full for {_FULL_S:g} s: {refused} quotes refused, the slowest after {slowest_s:.3f} s,"
        f" {len(load.acknowledged)} acknowledged, {load.local} of them locally, {found.lost} lost, {found.doubled} doubled, seed {SEED}"
    )
    assert found.is_kept, found
    assert load.problems == []
    assert slowest_s < 1.5


def _fill(path: Path, *, leave: int = 0) -> None:
    """Take all the room there is but so many octets."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))
    with path.open("r+b") as file:
        file.truncate(max(0, path.stat().st_size - leave))


async def _wait_until_refused(port: int) -> tuple[int, float]:
    """Send quotes until the disk is known to be full, and on for a while; gives how many were refused, and the longest wait."""
    refused = 0
    slowest_s = full_s = 0.0
    async with asyncio.timeout(60), Wire(port) as wire:
        while not full_s or time.monotonic() - full_s < _FULL_S:
            began_s = time.monotonic()
            answer = await wire.exchange("POST", "/v1/quotes", _BASKET)
            slowest_s = max(slowest_s, time.monotonic() - began_s)
            assert answer.status in (201, 503), answer
            if answer.status == 503:
                assert answer.headers["retry-after"] == "1"
                refused += 1
                full_s = full_s or time.monotonic()
    return refused, slowest_s


async def _statuses(port: int, path: str) -> set[int]:
    async with Wire(port) as wire:
        return {(await wire.exchange("POST", path, _BASKET)).status for _ in range(10)}
