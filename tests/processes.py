"""The service as an operator runs it: `python -m app` as a process of its own, on a port of its own."""

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

READY_SECONDS: Final = 90.0
# Below the range from which outgoing connections take theirs, so that nobody else happens to get one between choice and use.
_PORTS: Final = range(20_000, 32_000)


def free_port() -> int:
    """A port that nobody listens on now."""
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def environment(folder: Path, **settings: str) -> dict[str, str]:
    """Our environment with the service's settings in it, and none but the given: data in `folder`, no key needed on this machine."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PRICING_")}
    given = {"data_dir": str(folder), "open_loopback": "true", "log_level": "warning", "drain_seconds": "0"} | settings
    return ours | {f"PRICING_{name.upper()}": value for name, value in given.items()}


def command(*arguments: str, env: Mapping[str, str], seconds: float = 120) -> subprocess.CompletedProcess[str]:
    """Run a command of the service to its end."""
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments], env=dict(env), capture_output=True, text=True, timeout=seconds
    )


class Pod:
    """A process that serves, and a client of it; what it says goes to a file beside its data.

    As a context manager it is ended at the end, by force if need be.
    """

    def __init__(self, folder: Path, *, does: str = "serve", bytecode: Path | None = None, **settings: str) -> None:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        self.port = free_port()
        self.said = folder / f"{does}-{self.port}.log"
        env = environment(folder, port=str(self.port), **settings)
        if bytecode is not None:
            env |= {"PYTHONPYCACHEPREFIX": str(bytecode), "PYTHONDONTWRITEBYTECODE": ""}
        with self.said.open("wb") as said:
            # A session of its own, as a terminal gives, so that the whole of it can be interrupted and looked for.
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app", does], env=env, stdout=said, stderr=said, start_new_session=True
            )
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.port}", timeout=20)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.client.close()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(30)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if error is not None:
            print(f"--- {self.said.name}\n{self.said.read_text()[-4000:]}")

    def wait_until_ready(self) -> Self:
        """Wait for a price book in force. Raises AssertionError when the process ends before."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.said.read_text()[-2000:]}"
            try:
                if self.client.get("/readyz").status_code == 200:
                    return self
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        raise AssertionError(f"not ready within {READY_SECONDS:g} s: {self.said.read_text()[-2000:]}")

    def report(self) -> dict[str, Any]:
        """What `/readyz` says."""
        report: dict[str, Any] = self.client.get("/readyz").json()
        return report

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask the process to end, wait, and give its status."""
        self.process.send_signal(number)
        return self.process.wait(40)


def processes_of(folder: Path) -> list[str]:
    """The command lines of all processes, of whatever account, that name `folder`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if str(folder) in line:
            found.append(line)
    return found
