"""What pages name in passing, outside of the blocks that are run: commands and their options, settings and their values, metrics.

`faults` says what is not so. A word in capitals, such as `DIR`, stands for whatever a reader puts there, and `...` for the rest.
"""

import argparse
import contextlib
import io
import re
import shlex
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from app.cli import _parser
from app.settings import PREFIX, Settings
from tests.docs.accounts import parses
from tests.docs.commands import commands
from tests.docs.pages import ROOT, prose

_SPAN: Final = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_SETTING: Final = re.compile(rf"\b{PREFIX}[A-Z_]*[A-Z]\b")
_SERIES: Final = re.compile(r"\bpricing_[a-z_]+[a-z]\b")
# With a colon of its own, which the tag of an image has not; the budget is the one that has none.
_RECORDED: Final = re.compile(r"\bcentwise:(?:error_budget|[a-z_]+:[a-z0-9]+)\b")
_ASSIGNMENT: Final = re.compile(r"([A-Z][A-Z_]*)=(.*)")
_TARGET: Final = re.compile(r"^([a-z][a-z-]*)(?: [^:=\n]*)?:(?!=)", re.MULTILINE)
_SERVICE: Final = re.compile(r"python -m app ([^`\n]+)")
_PYTHON: Final = ("python", ".venv/bin/python")
_RULES: Final = ROOT / "helm/centwise/files/alerts.yaml"


def spans(page: Path) -> list[str]:
    """The code that stands in the sentences and tables of a page; one that goes on in the next line is one."""
    paragraphs = re.split(r"\n\s*\n|\n(?=[|#-])", prose(page))
    return [" ".join(text.split()) for paragraph in paragraphs for text in _SPAN.findall(paragraph)]


def faults(file: Path, series: AbstractSet[str]) -> Iterator[str]:
    """What a page, or another file that people read, names and is not there. `series` are the metrics that processes expose."""
    text = file.read_text()
    yield from _of_names(text, series)
    if file.suffix != ".md":
        for line in _SERVICE.findall(text):
            yield from _of_words(["python", "-m", "app", *shlex.split(line, comments=True)])
        return
    for span in spans(file):
        yield from _of_words(_split(span))
    # Of the blocks only what is set: their commands are run.
    for command in commands(file):
        exported = command.words[1:] if command.words[:1] == ("export",) else ()
        yield from _of_words([*command.variables, *exported])


def _split(span: str) -> list[str]:
    try:
        return shlex.split(span)
    except ValueError:
        # A quote that does not end: no command of a shell's.
        return []


def _of_names(text: str, series: AbstractSet[str]) -> Iterator[str]:
    for what, named, known in (
        ("setting", _SETTING, _settings()),
        ("metric", _SERIES, series),
        ("recorded series", _RECORDED, _recorded()),
    ):
        for name in sorted(set(named.findall(text)) - known):
            yield f"there is no {what} {name}"


@cache
def _settings() -> frozenset[str]:
    return frozenset(PREFIX + name.upper() for name in Settings.model_fields)


@cache
def _recorded() -> frozenset[str]:
    groups = yaml.safe_load(_RULES.read_text())["groups"]
    return frozenset(rule["record"] for group in groups for rule in group["rules"] if "record" in rule)


@cache
def _commands() -> frozenset[str]:
    return frozenset(_below(_parser()))


def _of_words(words: Sequence[str]) -> Iterator[str]:
    """What is wrong with a command as it is written, or with the variables that are set before it."""
    while words and (assigned := _ASSIGNMENT.fullmatch(words[0])):
        yield from _of_value(assigned[1], assigned[2])
        words = words[1:]
    match [word for word in words if word not in ("...", "…")]:
        case ["make", target, *given]:
            yield from _of_make(target, given)
        case [python, "-m", "app", *arguments] if python in _PYTHON:
            yield from _of_the_service(arguments)
        case [python, "-m", module, *arguments] if python in _PYTHON:
            yield from _of_a_module(module, arguments)
        case [command, *arguments] if command in _commands() and any(one.startswith("--") for one in arguments):
            yield from _of_the_service([command, *arguments])


def _of_value(name: str, value: str) -> Iterator[str]:
    field = name.removeprefix(PREFIX).lower()
    if not name.startswith(PREFIX) or field not in Settings.model_fields or _is_placeholder(value):
        return
    try:
        Settings(**{field: value})  # type: ignore[arg-type]
    except ValidationError as error:
        yield f"{name}={value}: {error.errors()[0]['msg']}"


def _of_make(target: str, given: Sequence[str]) -> Iterator[str]:
    makefile = (ROOT / "Makefile").read_text()
    if target not in _TARGET.findall(makefile):
        yield f"make has no target {target}"
    for name in (word.partition("=")[0] for word in given):
        if not re.search(rf"\$\$?[({{]{name}\b", makefile):
            yield f"the Makefile does not read {name}"


def _of_a_module(module: str, arguments: list[str]) -> Iterator[str]:
    place = ROOT / module.replace(".", "/")
    if module != "pytest" and not any(one.exists() for one in (place.with_suffix(".py"), place / "__main__.py")):
        yield f"there is no module {module}"
    elif arguments and module != "pytest" and not parses(module, arguments):
        yield f"{module} refuses {' '.join(arguments)}"


def _of_the_service(arguments: list[str]) -> Iterator[str]:
    parser = _parser()
    _relax(parser)
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            parser.parse_args(arguments)
        except SystemExit:
            yield f"the service refuses {' '.join(arguments)}: {said.getvalue().splitlines()[-1]}"


def _below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    return {
        name: one
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, one in action.choices.items()
    }


def _relax(parser: argparse.ArgumentParser) -> None:
    """A sentence may leave out what a command needs, and put a word for a value."""
    for action in parser._actions:
        action.required = False
        if callable(action.type):
            action.type = _or_placeholder(action.type)
    for one in _below(parser).values():
        _relax(one)


def _or_placeholder(real: Callable[[str], Any]) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        return text if _is_placeholder(text) else real(text)

    # The name is what the parser says when it refuses a value.
    convert.__name__ = getattr(real, "__name__", "value")
    return convert


def _is_placeholder(text: str) -> bool:
    return re.fullmatch(r"[A-Z]+", text) is not None
