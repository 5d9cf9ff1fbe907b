"""The runbooks as a test reads them: their blocks by language, their queries, and what their text names."""

import re
from typing import Final, NamedTuple

from tests.watching.test_rules import RUNBOOKS

_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_OPERATION: Final = re.compile(r"`(?:(GET|POST|PUT|DELETE) )?(/(?:v1/[\w/{}-]+|livez|readyz|metrics))(?:\?[^`]*)?`")
_COMMAND: Final = re.compile(r"`(python -m app [^`]+)`")


class Block(NamedTuple):
    """A fenced block of a page; `is_over` says that it stands in the last section, which is the alert's own expression."""

    page: str
    language: str
    text: str
    is_over: bool


class Query(NamedTuple):
    """An expression of a page; `is_over` says that it is the alert's own."""

    page: str
    text: str
    is_over: bool


def pages() -> dict[str, str]:
    return {path.stem: path.read_text() for path in sorted(RUNBOOKS.glob("*.md"))}


def blocks() -> list[Block]:
    return [
        Block(page, match[1], match[2].strip(), "## Over" in text[: match.start()])
        for page, text in pages().items()
        for match in _BLOCK.finditer(text)
    ]


def queries() -> list[Query]:
    """Each line is an expression, but for those of the last sections, which are whole."""
    found = []
    for block in blocks():
        if block.language == "promql":
            found += [
                Query(block.page, text, block.is_over) for text in ([block.text] if block.is_over else block.text.splitlines())
            ]
    return found


def shell_commands() -> list[str]:
    """The lines of blocks for a shell, and the commands that text names."""
    lines = [line for block in blocks() if block.language == "sh" for line in block.text.splitlines()]
    named = [match for text in pages().values() for match in _COMMAND.findall(text)]
    return list(dict.fromkeys(line.removeprefix(".venv/bin/") for line in (*lines, *named)))


def operations() -> set[tuple[str, str]]:
    """The methods and paths that the text names."""
    return {(method or "GET", path) for text in pages().values() for method, path in _OPERATION.findall(text)}
