"""wrk as a closed loop over prepared bodies: saturation throughput, and the server's CPU for it."""

import json
import subprocess
from pathlib import Path
from typing import Final, NamedTuple

from loadtests.bench.processes import cpu_s
from loadtests.bench.stats import InvalidRun

_SCRIPT: Final = Path(__file__).with_name("cycle.lua")


class WrkReport(NamedTuple):
    """What wrk printed at its end."""

    requests: int
    microseconds: int
    bytes: int
    failed: int
    bad_status: int
    p50_us: int
    p99_us: int
    max_us: int


class Load(NamedTuple):
    """One run against one server."""

    requests: int
    seconds: float
    cpu_us: float  # of the server, a request
    reply_bytes: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


class Target(NamedTuple):
    """Where requests go: `POST path` of a server on 127.0.0.1, the bodies of a file, one a line, numbered in the header X-Index behind `prefix`."""

    port: int
    pid: int
    path: str
    bodies: Path
    prefix: str
    headers: tuple[tuple[str, str], ...]


def parse_report(output: str) -> WrkReport:
    """The line of JSON among what wrk printed. Raises InvalidRun where there is none, or any request failed."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise InvalidRun(f"wrk said: {output[-500:]}")
    report = WrkReport(**json.loads(lines[-1]))
    if report.failed or report.bad_status or report.requests == 0:
        raise InvalidRun(
            f"of {report.requests} requests {report.bad_status} had a bad status and {report.failed} failed on their connection"
        )
    return report


def drive(target: Target, *, connections: int, seconds: float, core: int) -> Load:
    """Saturate the target for so long from one thread on `core`. Raises InvalidRun unless every request succeeded."""
    command = ["taskset", "-c", str(core), "wrk", "--threads", "1", "--connections", str(connections)]
    command += ["--duration", f"{max(1, round(seconds))}s", "--timeout", "10s", "--script", str(_SCRIPT)]
    for name, value in target.headers:
        command += ["--header", f"{name}: {value}"]
    command += [f"http://127.0.0.1:{target.port}{target.path}", "--", str(target.bodies), target.prefix]
    before_s = cpu_s(target.pid)
    done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    used_s = cpu_s(target.pid) - before_s
    if done.returncode != 0:
        raise InvalidRun(f"wrk ended with {done.returncode}: {done.stderr[-500:]}")
    report = parse_report(done.stdout)
    return Load(
        report.requests,
        report.microseconds / 1e6,
        used_s * 1e6 / report.requests,
        report.bytes / report.requests,
        report.p50_us / 1e3,
        report.p99_us / 1e3,
    )
