"""The embedded server: a child of ours, durable, and back after whatever happened to it."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from app.db.binaries import Account, NoServer, find_binaries, first_closed_folder
from app.db.embedded import EmbeddedPostgres, FolderInUse
from app.db.engine import Database, DatabaseUnreachable, NotDurable, require_durable, within


async def count(url: str) -> int:
    connection = await Database(url).connect()
    try:
        await connection.execute("CREATE TABLE IF NOT EXISTS kept (n int)")
        await connection.execute("INSERT INTO kept VALUES (1)")
        found: int = await connection.fetchval("SELECT count(*) FROM kept")
        return found
    finally:
        await connection.close()


async def test_data_and_address_stay_over_a_restart(open_folder: Path) -> None:
    with EmbeddedPostgres(open_folder / "data") as first:
        assert await count(first.url) == 1
        url = first.url

    with EmbeddedPostgres(open_folder / "data") as second:
        assert second.url == url
        assert await count(second.url) == 2


async def test_it_is_durable_local_and_wants_its_password(open_folder: Path) -> None:
    with EmbeddedPostgres(open_folder / "data") as server:
        connection = await Database(server.url).connect()
        await require_durable(connection)
        addresses = await connection.fetchval("SHOW listen_addresses")
        await connection.close()

        password = server.url.split(":")[2].split("@")[0]
        with pytest.raises(DatabaseUnreachable, match="password"):
            await Database(server.url.replace(password, "guess")).connect()

    assert addresses == "127.0.0.1"
    for secret in ("postgres.password", "postgres.json"):
        assert (open_folder / "data" / secret).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
async def test_a_server_that_may_lose_commits_is_refused(open_folder: Path, setting: str) -> None:
    with EmbeddedPostgres(open_folder / "data", settings={setting: "off"}) as server:
        connection = await Database(server.url).connect()

        with pytest.raises(NotDurable, match=f"{setting} is off"):
            await require_durable(connection)

        await connection.close()


async def test_it_comes_back_after_its_postmaster_was_killed(open_folder: Path) -> None:
    server = EmbeddedPostgres(open_folder / "data")
    server.start()
    assert await count(server.url) == 1

    server.kill()
    server.stop()
    server.start()

    assert await count(server.url) == 2
    server.stop()


def test_it_takes_over_from_an_owner_that_was_killed(open_folder: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from app.db.embedded import EmbeddedPostgres;"
        "server = EmbeddedPostgres(Path(sys.argv[1])); server.start(); print(server.pid, flush=True); time.sleep(600)"
    )
    owner = subprocess.Popen([sys.executable, "-c", code, str(open_folder / "data")], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    orphan = int(owner.stdout.readline())
    with pytest.raises(FolderInUse):
        EmbeddedPostgres(open_folder / "data").start()
    assert EmbeddedPostgres.attach(open_folder / "data") is not None
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    owner.stdout.close()
    assert EmbeddedPostgres.attach(open_folder / "data") is None

    with EmbeddedPostgres(open_folder / "data") as server:
        assert server.pid != orphan
        assert asyncio.run(count(server.url)) == 1


def test_a_pid_file_that_names_a_stranger_or_a_zombie_does_not_stop_it(open_folder: Path) -> None:
    with EmbeddedPostgres(open_folder / "data"):
        pass
    pid_file = open_folder / "data" / "postgres" / "postmaster.pid"
    zombie = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)
    for pid in (os.getpid(), zombie.pid):
        pid_file.write_text(f"{pid}\n")

        with EmbeddedPostgres(open_folder / "data") as server:
            assert server.pid != pid

    zombie.wait()


def test_stopping_leaves_no_process(open_folder: Path) -> None:
    server = EmbeddedPostgres(open_folder / "data")
    server.start()
    pid = server.pid

    server.stop()
    server.stop()

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_folder_without_a_server_says_what_was_looked_at(tmp_path: Path) -> None:
    account = Account(os.geteuid(), os.getegid(), "me")

    with pytest.raises(NoServer, match="no initdb and postgres that run"):
        find_binaries(tmp_path, account, version=None)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root switches accounts")
def test_a_closed_parent_folder_is_named_and_left_as_it_is(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(NoServer, match="may not enter"):
        EmbeddedPostgres(closed / "data").start()

    assert closed.stat().st_mode & 0o777 == 0o700
    assert first_closed_folder(Path("/usr/bin"), Account(65534, 65534, "nobody")) is None


async def test_a_frozen_server_does_not_hold_us_longer_than_asked(open_folder: Path) -> None:
    with EmbeddedPostgres(open_folder / "data") as server:
        database = Database(server.url, connect_seconds=0.3)
        connection = await database.connect()
        backend = await connection.fetchval("SELECT pg_backend_pid()")
        frozen = (server.pid, backend)
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(DatabaseUnreachable):
                await within(connection, connection.fetchval("SELECT 1"), seconds=0.3)
            with pytest.raises(DatabaseUnreachable):
                await database.connect()
            took = time.monotonic() - began
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)

    assert took < 1.5
