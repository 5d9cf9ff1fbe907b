"""Building with buildah and running with podman: in a store of our own, and as root in a machine without systemd."""

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from tests.tools import tool

_PROJECT: Final = Path(__file__).parents[2]
_CERTIFICATES: Final = "/etc/ssl/certs/ca-certificates.crt"
_BASE: Final = "localhost/centwise-base:test"
IMAGE: Final = "localhost/centwise:test"
# Read-only, without capabilities, on the network of this machine: as strict as a cluster can be. podman would make /run and more writable by itself.
_HARDENED: Final = (
    *("--read-only", "--read-only-tmpfs=false", "--tmpfs", "/tmp:rw,mode=1777"),
    *("--cap-drop", "all", "--security-opt", "no-new-privileges", "--network", "host", "--pull", "never"),
    *("--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"),
)


class Store:
    """Images and containers in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._storage = ["--root", str(folder / "storage"), "--runroot", str(folder / "run")]

    def build(self) -> None:
        """Build the project's Dockerfile on a stand-in for its base."""
        tree = self._folder / "base"
        script = Path(__file__).with_name("base.sh")
        tool("mmdebstrap")
        _run([tool("bash"), str(script), sys.executable, str(tree)])
        container = self._buildah("from", "scratch").strip()
        self._buildah("add", "--quiet", container, str(tree), "/")
        self._buildah("commit", "--quiet", container, _BASE)
        self._buildah("rm", container)
        self._buildah(
            *("bud", "--format", "docker", "--isolation", "chroot", "--network", "host", "--pull-never"),
            *(
                "--volume",
                f"{_CERTIFICATES}:{_CERTIFICATES}:ro",
                "--build-arg",
                f"PYTHON_IMAGE={_BASE}",
                "--tag",
                IMAGE,
                str(_PROJECT),
            ),
        )

    def close(self) -> None:
        """End what still runs, which after a failure may be a service."""
        self.podman("rm", "--all", "--force", "--volumes", check=False)
        self._buildah("rm", "--all")

    def inspect(self) -> dict[str, Any]:
        """What the image says of itself."""
        found: list[dict[str, Any]] = json.loads(self.podman("image", "inspect", IMAGE).stdout)
        return found[0]

    def run(
        self, *arguments: str, settings: Mapping[str, str], options: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of the service in a container, or what `options` make of it."""
        return self.podman("run", *_HARDENED, *_variables(settings), *options, IMAGE, *arguments)

    def python(self, program: str) -> str:
        """What a program says that runs in a container."""
        return self.run("-c", program, settings={}, options=("--rm", "--entrypoint", "python")).stdout

    def podman(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run podman. Raises CalledProcessError, unless `check` is off."""
        return _run(
            [tool("podman"), *self._storage, "--cgroup-manager", "cgroupfs", "--runtime", "runc", *arguments], check=check
        )

    def _buildah(self, *arguments: str) -> str:
        return _run([tool("buildah"), *self._storage, *arguments]).stdout


def _variables(settings: Mapping[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("--env", f"PRICING_{name.upper()}={value}")]


def _run(command: list[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    if check and done.returncode != 0:
        print(f"--- {' '.join(command)}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
        done.check_returncode()
    return done
