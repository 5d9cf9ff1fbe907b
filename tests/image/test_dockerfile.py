"""What can be said of the image without building it. `make image-test` builds it and runs it."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

_PROJECT: Final = Path(__file__).parents[2]
_DOCKERFILE: Final = (_PROJECT / "Dockerfile").read_text()


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.executable).with_name("hadolint")

    done = subprocess.run([hadolint, _PROJECT / "Dockerfile"], capture_output=True, text=True)
    planted = subprocess.run([hadolint, "-"], input="FROM python\nRUN cd /tmp\n", capture_output=True, text=True)

    assert (done.returncode, done.stdout) == (0, "")
    assert planted.returncode == 1


def test_every_stage_is_our_own_or_pinned_by_digest() -> None:
    base = re.findall(r"^ARG PYTHON_IMAGE=(\S+)$", _DOCKERFILE, re.MULTILINE)
    stages = re.findall(r"^FROM (\S+)", _DOCKERFILE, re.MULTILINE)

    assert set(stages) == {"${PYTHON_IMAGE}", "scratch"}
    assert len(base) == 1
    assert re.fullmatch(r"docker\.io/library/python:3\.12\.\d+-slim-\w+@sha256:[0-9a-f]{64}", base[0])


def test_what_is_installed_comes_by_hash_and_is_not_built() -> None:
    uv = (_PROJECT / ".ci" / "uv.txt").read_text()

    assert "--require-hashes --requirement uv.txt" in _DOCKERFILE
    assert "uv sync --frozen --no-dev --extra export --extra tracing --no-install-project --no-build" in _DOCKERFILE
    assert "embedded" not in _DOCKERFILE
    assert uv.startswith("uv==")
    assert uv.count("--hash=sha256:") > 1


def test_only_what_the_build_needs_gets_to_it() -> None:
    """A folder of data, a key in a file or a history that lay beside the sources would be in a layer for good."""
    lines = [line for line in (_PROJECT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", _DOCKERFILE, re.MULTILINE)

    assert lines[0] == "*"
    assert {line[1:] for line in lines if line.startswith("!")} == {name for names in copied for name in names.split()}
