"""The commands that the pages show: each line of a `sh` block, taken apart as a shell would."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from tests.docs.pages import blocks, name_of

_ASSIGNMENT: Final = re.compile(r"[A-Z][A-Z_]*=.*", re.DOTALL)
_PYTHON: Final = ("python", ".venv/bin/python")


class Command(NamedTuple):
    """A command of a page: its words as the program gets them, without the variables set before it, and the text as it is shown."""

    page: Path
    line: int
    text: str
    variables: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def module(self) -> str:
        """The module that Python is to run; empty for other programs."""
        return self.words[2] if self.words[:1] and self.words[0] in _PYTHON and self.words[1:2] == ("-m",) else ""

    @property
    def arguments(self) -> list[str]:
        """What that module is given."""
        return list(self.words[3:])

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}: {self.text}"


def commands(page: Path) -> Iterator[Command]:
    """The commands of a page in their order. Raises ValueError for what no shell would take."""
    for block in blocks(page):
        if block.language != "sh":
            continue
        text = ""
        for number, line in enumerate(block.text.splitlines(), block.line + 1):
            text += line + "\n"
            try:
                words = shlex.split(text.replace("\\\n", " "), comments=True)
            except ValueError:
                continue
            if text.rstrip().endswith("\\"):
                continue
            if words:
                yield _command(page, number, text, words)
            text = ""
        if text:
            raise ValueError(f"{name_of(page)}:{block.line}: a quote that does not end: {text}")


def _command(page: Path, line: int, text: str, words: list[str]) -> Command:
    first = 0
    while first < len(words) and _ASSIGNMENT.fullmatch(words[first]):
        first += 1
    # A command that is put into the background is the same command.
    last = len(words) - (words[-1] == "&")
    return Command(page, line, text.strip(), tuple(words[:first]), tuple(words[first:last]))
