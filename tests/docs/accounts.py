"""What runs each command that the pages show, and whether its options are the program's.

A command that nothing here knows is a fault: it is run by a test, or its place is named where it is run. The places are looked at, so that a
test that goes away is noticed.
"""

import argparse
import os
import re
import runpy
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from unittest.mock import patch

from app.cli import _parser
from tests.docs.commands import Command
from tests.docs.pages import ROOT, name_of

# By module: a file that runs it, and the words in it that do.
MODULES: Final = {
    "loadtests.beside": ("Makefile", "-m loadtests.beside "),
    "loadtests.bench": ("Makefile", "-m loadtests.bench --quick"),
    "loadtests.completejourney": ("tests/integration/demo/test_completejourney.py", "send_all("),
    "loadtests.meters": ("Makefile", "-m loadtests.meters "),
    "loadtests.open": ("tests/loadtests/test_commands.py", '"loadtests.open"'),
    "loadtests.overload": ("Makefile", "-m loadtests.overload "),
    "loadtests.scale": ("Makefile", "-m loadtests.scale --quick"),
    "loadtests.shape": ("tests/docs/test_commands.py", '"loadtests.shape"'),
    "loadtests.soak": ("Makefile", "-m loadtests.soak "),
    "pytest": (".ci/run", " test\n"),
    "tests.faults.campaign": ("tests/faults/test_campaign.py", "decisions_round("),
    "tests.mutation.run": ("Makefile", "-m tests.mutation.run "),
    "tests.simulation.campaign": ("tests/docs/test_commands.py", '"tests.simulation.campaign"'),
}
# By target of make.
TARGETS: Final = {
    "audit": ("tests/image/test_supply.py", '"audit-command"'),
    "bench": ("Makefile", "-m loadtests.bench --quick"),
    "check": (".ci/run", " check\n"),
    "dashboards": ("tests/watching/test_dashboards.py", "files()"),
    "image": ("tests/image/oci.py", '"bud"'),
    "image-test": ("Makefile", "tests/image/built.py"),
    "mutation": ("Makefile", "-m tests.mutation.run "),
    "run": ("tests/docs/stranger.py", '"make", "run"'),
    "stranger": ("tests/docs/stranger.py", "def test_a_stranger_"),
    "sbom": ("tests/image/test_supply.py", '"sbom-export"'),
    "test": (".ci/run", " test\n"),
}
# Commands of the service itself that do not come to an end, and the one that wants a grocer's year.
ENDLESS: Final = {
    "demo": ("tests/e2e/test_demo.py", 'does="demo"'),
    "import": ("tests/integration/demo/test_completejourney.py", "import_completejourney("),
    "serve": ("tests/integration/test_cli.py", '"serve"'),
    "worker": ("tests/integration/worker/test_worker.py", 'does="worker"'),
}
# Other programs, by their first words.
PROGRAMS: Final = {
    ("apt-get", "install"): ("tests/docs/test_commands.py", "def test_packages_"),
    ("curl",): ("tests/docs/test_examples.py", "exchanges(page)"),
    ("docker", "build"): ("tests/image/oci.py", '"bud"'),
    ("docker", "run"): ("tests/image/oci.py", '"run", *_HARDENED'),
    ("export",): ("tests/docs/test_commands.py", "def test_variables_"),
    ("helm",): ("tests/helm/test_page.py", "test_the_commands_that_are_shown_are_helms"),
    ("kubectl",): ("tests/helm/test_page.py", "test_the_commands_that_are_shown_are_kubectls"),
    ("prometheus",): ("tests/docs/stranger.py", "commands(_PAGE)"),
    ("prometheus-alertmanager",): ("tests/docs/stranger.py", "commands(_PAGE)"),
    ("promtool", "check", "config"): ("tests/docs/stranger.py", "commands(_PAGE)"),
    ("printf",): ("tests/helm/test_secrets.py", "dry-run"),
    ("test", "-s"): ("tests/docs/test_exports.py", "manifest.json"),
    (".venv/bin/locust",): ("tests/loadtests/test_commands.py", '"locust"'),
    (".tools/bin/uv", "sync"): ("tests/docs/test_commands.py", "def test_extras_"),
}
# Programs that only the tests of one page run.
_ONLY_ON: Final = {
    "helm": "docs/helm.md",
    "kubectl": "docs/helm.md",
    "printf": "docs/helm.md",
    "prometheus": "docs/monitoring.md",
    "prometheus-alertmanager": "docs/monitoring.md",
    "promtool": "docs/monitoring.md",
}
# What the image is run and built with, and whether an option takes a value.
_DOCKER_OPTIONS: Final = {
    **dict.fromkeys(("--build-arg", "--cap-drop", "--env", "--publish", "--security-opt", "--tag", "--tmpfs", "--volume"), True),
    **dict.fromkeys(("--detach", "--read-only", "--rm"), False),
}


class Fault(AssertionError):
    """A command that nothing runs, or that its program would refuse."""


class _Parsed(BaseException):
    """A parser took its arguments."""


class Place(NamedTuple):
    """Where a command is run: a file of the repository and words in it. No file: by the caller of `account`."""

    file: str
    words: str


RUN_HERE: Final = Place("", "")


def account(command: Command) -> Place:
    """Where a command is run. Raises Fault for one that nobody runs, and for options that do not exist."""
    if command.module == "app":
        return _of_the_service(command)
    if command.module:
        return _of_a_module(command)
    if command.words[:1] == ("make",):
        return _of_make(command)
    if command.words[:1] == ("docker",):
        _check_docker(command)
    if command.words and _ONLY_ON.get(command.words[0], name_of(command.page)) != name_of(command.page):
        raise Fault(f"{command}: nothing runs it on this page")
    for words, place in PROGRAMS.items():
        if command.words[: len(words)] == words:
            return Place(*place)
    if not command.words:
        return Place(*PROGRAMS[("export",)])
    raise Fault(f"{command}: nothing runs it")


def _of_the_service(command: Command) -> Place:
    check_of_the_service(command, command.arguments)
    first = command.arguments[0]
    return Place(*ENDLESS[first]) if first in ENDLESS else RUN_HERE


def check_of_the_service(command: Command, arguments: Sequence[str]) -> None:
    """Raises Fault for what the service's own command line would refuse."""
    try:
        _parser().parse_args(arguments)
    except SystemExit:
        raise Fault(f"{command}: the service refuses it") from None


def _check_docker(command: Command) -> None:
    rest = list(command.words[2:])
    while rest and rest[0].startswith("-"):
        if rest[0] not in _DOCKER_OPTIONS:
            raise Fault(f"{command}: the tests of the image do not know {rest[0]}")
        del rest[: 1 + _DOCKER_OPTIONS[rest[0]]]
    if command.words[1] == "run" and rest[1:]:
        check_of_the_service(command, rest[1:])


def _of_a_module(command: Command) -> Place:
    if command.module not in MODULES:
        raise Fault(f"{command}: nothing runs it")
    if command.module == "pytest":
        if not all((ROOT / path).exists() for path in command.arguments):
            raise Fault(f"{command}: no such test")
    elif not parses(command.module, command.arguments):
        raise Fault(f"{command}: the module refuses it")
    return Place(*MODULES[command.module])


def parses(module: str, arguments: Sequence[str]) -> bool:
    """Whether a module's own parser takes the arguments; one without a parser takes numbers. Nothing of it is run beyond that."""
    real = argparse.ArgumentParser.parse_args

    def parse(parser: argparse.ArgumentParser, *given: Any) -> None:
        real(parser, *given)
        raise _Parsed

    if "parse_args(" not in _source_of(module):
        return all(argument.isdigit() for argument in arguments)
    with (
        patch.object(argparse.ArgumentParser, "parse_args", parse),
        patch.object(sys, "argv", [module, *arguments]),
        # That a test has imported the module before is no matter: it only parses.
        warnings.catch_warnings(action="ignore", category=RuntimeWarning),
    ):
        try:
            runpy.run_module(module, run_name="__main__")
        except _Parsed:
            return True
        except SystemExit:
            return False
    raise AssertionError(f"{module} parses nothing")


def _source_of(module: str) -> str:
    path = ROOT / module.replace(".", "/")
    return (path / "__main__.py" if path.is_dir() else path.with_suffix(".py")).read_text()


def _of_make(command: Command) -> Place:
    makefile = (ROOT / "Makefile").read_text()
    given = [word for word in command.words[1:] if "=" in word]
    for name in (word.partition("=")[0] for word in given):
        if not re.search(rf"\$\$?[({{]{name}\b", makefile):
            raise Fault(f"{command}: the Makefile does not read {name}")
    target = " ".join(word for word in command.words[1:] if "=" not in word)
    if target not in TARGETS:
        raise Fault(f"{command}: nothing runs it")
    ours = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(["make", "--dry-run", target, *given], cwd=ROOT, capture_output=True, text=True, env=ours)
    if done.returncode:
        raise Fault(f"{command}: {done.stderr}")
    return Place(*TARGETS[target])


def extras() -> set[str]:
    """The optional parts of the project, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return set(project["optional-dependencies"])
