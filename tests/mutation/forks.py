"""Work in a copy of this process."""

import os
import pickle
import resource
import signal
from collections.abc import Callable

_MEMORY_BYTES = 8 * 2**30


def in_fork[Result](work: Callable[[], Result]) -> Result | None:
    """What the work returns in a copy of this process, whose output goes nowhere; None where the copy dies of it."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _work_and_exit(work, writer)
    os.close(writer)
    with open(reader, "rb") as told:
        answer = told.read()
    os.waitpid(pid, 0)
    return pickle.loads(answer) if answer else None


def limit_seconds(seconds: float) -> None:
    """Let this process die once it has computed for so long from now on."""
    signal.setitimer(signal.ITIMER_PROF, seconds)


def _work_and_exit(work: Callable[[], object], writer: int) -> None:
    try:
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        answer = pickle.dumps(work())
        limit_seconds(0)
        with open(writer, "wb") as told:
            told.write(answer)
    finally:
        os._exit(0)
