"""Programs that a test needs and Python does not bring: helm, promtool, node and the like."""

import os
import shutil
from pathlib import Path

import pytest

_OWN = Path(__file__).parent.parent / ".tools" / "bin"


def tool(name: str) -> str:
    """The path of a program, in the project's tools or installed. Without it the test is skipped, or fails where REQUIRE_TOOLS is set, as in CI."""
    found = shutil.which(name, path=f"{_OWN}{os.pathsep}{os.environ.get('PATH', '')}")
    if found is not None:
        return found
    if os.environ.get("REQUIRE_TOOLS"):
        pytest.fail(f"{name} is not installed, and REQUIRE_TOOLS says that it must be")
    pytest.skip(f"{name} is not installed")
