"""Pods on a database of the test's own."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.processes import Pod

type StartPod = Callable[..., Pod]


@pytest.fixture(scope="session")
def bytecode() -> Iterator[Path]:
    """Where started processes keep their compiled modules: a start takes a third of the time from the second on, wherever this runs."""
    folder = Path(tempfile.mkdtemp(prefix="centwise-bytecode-"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def start_pod(bytecode: Path) -> Iterator[StartPod]:
    """Starts pods that are ended with the test."""
    with ExitStack() as stack:
        yield lambda folder, **given: stack.enter_context(Pod(folder, bytecode=bytecode, **given))
