"""An export that is cut off in the middle of a day: nothing of that day is there, and the next export has all of it once."""

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import pyarrow.parquet as pq
import pytest

from app.db.engine import Database
from app.quotes.export import export_day
from app.quotes.export_folder import FILE, ExportFailed, ExportUnderWay
from tests.decisions_support import export, store_days, stored
from tests.faults.proxy import Proxy
from tests.processes import environment

DAY: Final = date(2026, 3, 4)
_ASKED: Final = ("--from", str(DAY), "--to", str(DAY))
_REPLY: Final = b'{"of": "a kilobyte, %s"}' % (b"x" * 1000)
# Rows come two thousand at a time: of these the first two thousand have come, and the next ones in part.
_COUNT: Final = 5000
_STALLS_AFTER: Final = 3_000_000


async def started(url: str, out: Path) -> Process:
    env = environment(out.parent / "data", database_url=url)
    asked = ("export-decisions", "--out", str(out), *_ASKED)
    return await asyncio.create_subprocess_exec(sys.executable, "-m", "app", *asked, env=env, stdout=PIPE, stderr=PIPE)


async def ended(process: Process) -> tuple[int | None, str]:
    said, failed = await asyncio.wait_for(process.communicate(), 180)
    return process.returncode, (said + failed).decode()


@contextlib.asynccontextmanager
async def stalling(database: Database) -> AsyncIterator[tuple[str, Proxy]]:
    """The day in the database, and an address of it whose replies stop in the middle of the day."""
    await store_days(database, DAY, count=_COUNT, reply=_REPLY)
    parts = urlsplit(database.url)
    async with Proxy(parts.port or 0) as proxy:
        proxy.stall_after(_STALLS_AFTER)
        netloc = parts.netloc.replace(f":{parts.port}", f":{proxy.port}")
        yield urlunsplit(parts._replace(netloc=netloc)), proxy


async def until_in_the_middle(out: Path, proxy: Proxy) -> None:
    """Until a part of the day is written, and the rest is waited for."""
    async with asyncio.timeout(180):
        await proxy.has_stalled.wait()
        # The first rows are in it, beside the four bytes that a file begins with.
        while not any(draft.stat().st_size > 4 for draft in out.glob(f".day=*/{FILE}")):
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def in_the_middle(database: Database, out: Path) -> AsyncIterator[tuple[Process, Proxy]]:
    """A process that exports and is in the middle of the day."""
    async with stalling(database) as (url, proxy):
        process = await started(url, out)
        try:
            await until_in_the_middle(out, proxy)
            yield process, proxy
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def terminate_backend(database: Database) -> None:
    connection = await database.connect()
    terminated = await connection.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE application_name = 'centwise export' AND datname = current_database()"
    )
    await connection.close()
    assert terminated == 1


async def test_a_backend_that_is_terminated_leaves_no_part_of_a_day(fresh_database: Database, tmp_path: Path) -> None:
    out = tmp_path / "out"
    async with in_the_middle(fresh_database, out) as (process, proxy):
        await terminate_backend(fresh_database)
        proxy.flow()
        status, said = await ended(process)
    left = [path.name for path in out.iterdir()]
    again = await asyncio.to_thread(export, fresh_database.url, out, *_ASKED)

    assert status == 2
    assert said.startswith(f"centwise: {DAY}: ")
    assert said.endswith("; nothing of it was kept, the next export begins it anew\n")
    assert "\n" not in said[:-1]
    assert left == [".lock"]
    assert again == 0
    await assert_whole(out, fresh_database)


async def test_a_connection_that_is_reset_leaves_no_part_of_a_day(fresh_database: Database, tmp_path: Path) -> None:
    async with stalling(fresh_database) as (url, proxy):
        connection = await Database(url).connect()
        exporting = asyncio.create_task(export_day(connection, DAY, tmp_path))
        await until_in_the_middle(tmp_path, proxy)
        proxy.cut()

        with pytest.raises(ExportFailed, match=f"{DAY}: .*; nothing of it was kept"):
            await asyncio.wait_for(exporting, 180)
        connection.terminate()

    assert list(tmp_path.iterdir()) == []
    assert await asyncio.to_thread(export, fresh_database.url, tmp_path, *_ASKED) == 0
    await assert_whole(tmp_path, fresh_database)


async def test_an_export_that_is_killed_leaves_nothing_that_counts_and_keeps_no_other_one_out(
    fresh_database: Database, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    async with in_the_middle(fresh_database, out) as (process, _):
        with pytest.raises(ExportUnderWay, match=f"another export writes to {out}"):
            await asyncio.to_thread(export, fresh_database.url, out, *_ASKED)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    left = sorted(path.name for path in out.iterdir())
    again = await asyncio.to_thread(export, fresh_database.url, out, *_ASKED)

    assert [name.rpartition(".")[0] or name for name in left] == [f".day={DAY}", ".lock"]
    assert again == 0
    assert sorted(path.name for path in out.iterdir()) == [".lock", f"day={DAY}"]
    await assert_whole(out, fresh_database)


async def test_an_export_that_is_stopped_takes_its_part_of_a_day_away(fresh_database: Database, tmp_path: Path) -> None:
    out = tmp_path / "out"
    async with in_the_middle(fresh_database, out) as (process, _):
        process.send_signal(signal.SIGTERM)
        status, said = await ended(process)
    left = [path.name for path in out.iterdir()]
    again = await asyncio.to_thread(export, fresh_database.url, out, *_ASKED)

    assert (status, said) == (130, "")
    assert left == [".lock"]
    assert again == 0
    await assert_whole(out, fresh_database)


async def assert_whole(out: Path, database: Database) -> None:
    found = pq.ParquetFile(out / f"day={DAY}" / FILE).read().to_pylist()
    assert len({row["id"] for row in found}) == _COUNT
    assert found == await stored(database, DAY)
