"""What a run was made on and of: the processor, its cores, the programs, the revision."""

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def machine_text() -> str:
    """In one line, without anything that names the machine itself. Call it before the run: it says how busy the machine is with other things."""
    info = Path("/proc/cpuinfo").read_text()
    model = next(
        (line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")), platform.machine()
    )
    memory_kb = int(Path("/proc/meminfo").read_text().split()[1])
    programs = f"Python {platform.python_version()}, uvicorn {version('uvicorn')}"
    system = (
        f"{len(os.sched_getaffinity(0))} cores of {model}, {memory_kb / 2**20:.0f} GB, Linux {platform.release().split('-')[0]}"
    )
    return f"{system}, {programs}; load average {os.getloadavg()[0]:.1f} before"


def revision_text() -> str:
    """The commit, and whether files differ from it other than the pages; `unknown` outside of a checkout."""
    try:
        commit, changed = (
            _git("rev-parse", "--short", "HEAD"),
            _git("status", "--porcelain", "--", "app", "loadtests", "migrations"),
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{commit} with changes" if changed else commit


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=_ROOT, capture_output=True, text=True, check=True).stdout.strip()
