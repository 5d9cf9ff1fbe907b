"""What can happen to a Postgres."""

import os
import signal
from pathlib import Path
from typing import Final, Literal

from app.db.embedded import EmbeddedPostgres

# After a crash a server makes sure that what was written is on the disk before it recovers. File by file, as it does unless told
# otherwise, that takes seconds with our many partitions on a busy disk, in which nothing is served that could be harmed.
QUICK_RECOVERY: Final = {"recovery_init_sync_method": "syncfs"}

type Crash = Literal["postmaster", "everything", "immediate"]


def processes(server: EmbeddedPostgres) -> list[int]:
    """The postmaster and its children."""
    children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
    return [server.pid, *map(int, children)]


def freeze(server: EmbeddedPostgres) -> None:
    """Stop all of it where it stands: connections stay open and nobody answers."""
    _signal(processes(server), signal.SIGSTOP)


def thaw(server: EmbeddedPostgres) -> None:
    _signal(processes(server), signal.SIGCONT)


def crash(server: EmbeddedPostgres, how: Crash) -> None:
    """End it without a checkpoint: the postmaster is killed, or all processes at one stroke, or it gives up at once (SIGQUIT)."""
    if how == "immediate":
        os.kill(server.pid, signal.SIGQUIT)
        return
    if how == "everything":
        # Stopped first, so that none of them lives to write what another one left.
        found = processes(server)
        _signal(found, signal.SIGSTOP)
        _signal(found[1:], signal.SIGKILL)
    server.kill()


def restart(server: EmbeddedPostgres) -> None:
    """Bring it back after a crash, to the same address."""
    url = server.url
    server.stop()
    server.start()
    assert server.url == url


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            # A backend that ended by itself since we looked.
            continue
