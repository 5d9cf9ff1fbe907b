"""What the page says of PgBouncer: what the service needs of a connection, asked through a real one in its modes."""

import asyncio
import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database, DatabaseUnreachable
from app.pricebook.refresh import CHANNEL
from tests.helm.generate import PAGE
from tests.processes import free_port
from tests.tools import tool

# As the page gives it.
_IGNORE = "ignore_startup_parameters = statement_timeout,idle_in_transaction_session_timeout"


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@contextlib.contextmanager
def bouncer(cluster: EmbeddedPostgres, folder: Path, *settings: str) -> Iterator[Database]:
    """The database through a PgBouncer with these settings."""
    program, behind, port = tool("pgbouncer"), urlsplit(cluster.url), free_port()
    users, config = folder / "users", folder / "pgbouncer.ini"
    users.write_text(f'"{behind.username}" "{behind.password}"\n')
    lines = [
        *("[databases]", f"* = host={behind.hostname} port={behind.port}", "[pgbouncer]"),
        *("listen_addr = 127.0.0.1", f"listen_port = {port}", "unix_socket_dir ="),
        *("auth_type = scram-sha-256", f"auth_file = {users}", *settings),
    ]
    config.write_text("\n".join(lines) + "\n")
    as_nobody = ["-u", "nobody"] if os.getuid() == 0 else []
    process = subprocess.Popen([program, *as_nobody, str(config)], stderr=subprocess.DEVNULL)
    try:
        until_s = time.monotonic() + 20
        while not is_listening(port):
            assert process.poll() is None
            assert time.monotonic() < until_s
            time.sleep(0.02)
        host = f"{behind.username}:{behind.password}@127.0.0.1:{port}"
        yield Database(urlunsplit(behind._replace(netloc=host)), connect_seconds=5)
    finally:
        process.kill()
        process.wait()


async def hears_notices(database: Database) -> bool:
    """Whether a connection hears what another one notifies, as processes hear of new versions."""
    heard = asyncio.Event()
    ours, other = await database.connect(), await database.connect()
    try:
        await ours.add_listener(CHANNEL, lambda *_: heard.set())
        await other.execute(f"NOTIFY {CHANNEL}")
        try:
            await asyncio.wait_for(heard.wait(), 1.0)
        except TimeoutError:
            return False
        return True
    finally:
        ours.terminate()
        other.terminate()


async def test_a_session_of_its_own_is_enough(cluster: EmbeddedPostgres, open_folder: Path) -> None:
    assert _IGNORE in PAGE.read_text()

    with bouncer(cluster, open_folder, "pool_mode = session", _IGNORE) as database:
        assert await hears_notices(database)


async def test_a_shared_session_is_not(cluster: EmbeddedPostgres, open_folder: Path) -> None:
    with bouncer(cluster, open_folder, "pool_mode = transaction", _IGNORE) as database:
        assert not await hears_notices(database)


async def test_parameters_have_to_be_let_through(cluster: EmbeddedPostgres, open_folder: Path) -> None:
    refused = pytest.raises(DatabaseUnreachable, match="unsupported startup parameter: statement_timeout")
    with bouncer(cluster, open_folder, "pool_mode = session") as database, refused:
        await database.connect()
