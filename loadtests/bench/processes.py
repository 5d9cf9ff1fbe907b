"""Processes of the bench: started on a core, watched through /proc, ended by their id."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_STOP_SECONDS: Final = 30.0


class MissingTool(Exception):
    """A program that the bench needs is not on this machine; the message says how to get it."""


class Cores(NamedTuple):
    """Where the server and its load run. On a machine with one core they share it."""

    server: int
    load: int


class Stat(NamedTuple):
    """What /proc/<pid>/stat says: the parent, and CPU seconds of the process and of its ended children."""

    parent: int
    own_s: float
    children_s: float


def require_tools() -> None:
    """Raises MissingTool unless wrk and taskset are here."""
    for name, package in (("wrk", "wrk"), ("taskset", "util-linux")):
        if shutil.which(name) is None:
            raise MissingTool(
                f"loadtests need the program `{name}`, which is not on this machine. On Debian: apt-get install {package}"
            )


@contextlib.contextmanager
def compiled_imports() -> Iterator[None]:
    """Processes started meanwhile keep compiled modules in one folder, as an installed service has them, whatever our own environment says."""
    with tempfile.TemporaryDirectory(prefix="centwise-bench-pyc-") as folder:
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = folder
        yield


def cores() -> Cores:
    """The first two cores that this process may use."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(allowed[0], allowed[1 % len(allowed)])


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def running(
    command: Sequence[str], *, log: Path, core: int | None = None, environment: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process on a core (any core without one) that is ended with SIGTERM, its output in `log`."""
    pinned = [*command] if core is None else ["taskset", "-c", str(core), *command]
    with log.open("ab") as output:
        process = subprocess.Popen(
            pinned,
            env={**os.environ, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C is for the bench, which ends what it has started in the right order.
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process that we started, and reap it."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until_listening(port: int, process: subprocess.Popen[bytes], *, log: Path, seconds: float = 60.0) -> None:
    """Raises RuntimeError with the end of the log when the process ends or takes too long."""
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1.0):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"nothing listens on port {port}:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(0.02)


def parse_stat(text: str) -> Stat:
    """Read a line of /proc/<pid>/stat; the name of the program in it may hold spaces and brackets."""
    fields = text.rpartition(")")[2].split()
    user, system, children_user, children_system = (int(field) for field in fields[11:15])
    return Stat(int(fields[1]), (user + system) / _TICKS_PER_SECOND, (children_user + children_system) / _TICKS_PER_SECOND)


def cpu_s(pid: int) -> float:
    """CPU seconds of a process so far, all of its threads."""
    return parse_stat(Path(f"/proc/{pid}/stat").read_text()).own_s


def family_cpu_s(pid: int) -> float:
    """CPU seconds of a process and of its children, those that have ended too: a Postgres with its backends and writers."""
    whole = parse_stat(Path(f"/proc/{pid}/stat").read_text())
    seconds = whole.own_s + whole.children_s
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                one = parse_stat((folder / "stat").read_text())
                if one.parent == pid:
                    seconds += one.own_s
    return seconds


def memory_bytes(pid: int | str, field: str = "VmRSS") -> int:
    """Resident memory of a process; with `VmHWM` its highest so far."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(field)
