"""The service as process 1, which it is in a container: the kernel keeps signals from it for which it has no handler."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from app.db.engine import Database
from tests.processes import environment, free_port
from tests.tools import tool

_SECONDS: Final = 60.0


def test_it_hears_sigterm_while_it_is_still_importing(tmp_path: Path) -> None:
    # NumPy is there long before the rest of what the command line needs.
    status = _stop_when(
        lambda pid: "numpy" in Path(f"/proc/{pid}/maps").read_text(), tmp_path, database_url="postgresql://u:p@127.0.0.1:1/d"
    )

    assert status == 0


def test_it_ends_with_0_when_it_serves(fresh_database: Database, tmp_path: Path) -> None:
    port = free_port()

    status = _stop_when(lambda _: _listens(port), tmp_path, database_url=fresh_database.url, port=str(port))

    assert status == 0


def test_a_command_that_is_interrupted_has_not_succeeded(tmp_path: Path) -> None:
    status = _stop_when(
        lambda pid: "numpy" in Path(f"/proc/{pid}/maps").read_text(),
        tmp_path,
        does="migrate",
        database_url="postgresql://u:p@127.0.0.1:1/d",
    )

    assert status == 130


def _stop_when(is_time: Callable[[int], bool], folder: Path, *, does: str = "serve", **settings: str) -> int:
    """Start a command as process 1 of a namespace, send it SIGTERM when it is time; gives its status."""
    # Without a right to namespaces of processes alone, one of users gives it.
    wanted = (
        ["--pid", "--fork", "--kill-child"]
        if os.geteuid() == 0
        else ["--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    )
    with subprocess.Popen(
        [tool("unshare"), *wanted, sys.executable, "-m", "app", does], env=environment(folder, **settings), stderr=subprocess.PIPE
    ) as outer:
        try:
            first = _wait_for(lambda: _child_of(outer.pid))
            _wait_for(lambda: is_time(first))
            os.kill(first, signal.SIGTERM)
            return outer.wait(30)
        finally:
            outer.kill()


def _child_of(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else 0


def _listens(port: int) -> bool:
    """Whether a socket of this machine listens on `port` of 127.0.0.1."""
    local = f"0100007F:{port:04X}"
    rows = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(row[1] == local and row[3] == "0A" for row in rows)


def _wait_for[T](look: Callable[[], T]) -> T:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.002)
    raise AssertionError(f"not within {_SECONDS:g} s")
