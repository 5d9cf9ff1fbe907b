"""docs/reliability.md: what each test of a promise did and found, from the lines beginning with `figure: R` that the tests print."""

import platform
import re
import subprocess
from collections.abc import Iterable, Sequence
from datetime import date
from os import cpu_count
from typing import Final, NamedTuple

PROMISES: Final = {
    "R1": "an acknowledged decision is in Postgres, exactly once",
    "R2": "no limit, budget, stock or points balance is ever passed; a sold-out meter is filled to the last unit; nobody is told"
    " “sold out” falsely",
    "R3": "the same request id gives the same answer, refusals included, however often and however late it is sent",
    "R4": "with Postgres frozen or gone every request is answered within 1.5 s, and all is back by itself within 2 s",
    "R5": "a published version reaches all processes within a second, is never mixed within a quote and never goes backwards",
    "R6": "a signed quote is honoured until it expires, over restarts, key rotations and clocks 90 s off; no forged one is",
    "R7": "no rule document, however odd, takes a process down, passes a guardrail or overflows",
    "R8": "the arithmetic equals the exact reference, to the cent, always",
    "R9": "bad input is a 4xx; no input is a 5xx; nothing large, slow or deep hurts others",
    "R10": "rolling restarts lose nothing; memory, connections and label counts stay flat",
}
_ABOUT: Final = """What is promised, what was done to break it, and what came of it: real processes, a real Postgres, real signals. Each test has a
planted defect that it must find, or its silence would say nothing. The long form writes this page; a short one runs with every suite."""
_LINE: Final = re.compile(r"^\.*figure: (?:(?P<promise>R\d+)(?P<planted> planted)?: )?(?P<said>.+)$", re.MULTILINE)


class Figure(NamedTuple):
    """One line of a test; `promise` is empty where it is about none."""

    promise: str
    is_planted: bool
    said: str
    test: str


def figures_of(test: str, said: str) -> list[Figure]:
    """The figures in what a test printed.

    >>> figures_of("tests/a.py::test_b", "figure: R1 planted: no sync: 3 lost, seed 4")
    [Figure(promise='R1', is_planted=True, said='no sync: 3 lost, seed 4', test='tests/a.py::test_b')]
    """
    return [Figure(m["promise"] or "", m["planted"] is not None, m["said"].strip(), test) for m in _LINE.finditer(said)]


def page_of(figures: Iterable[Figure], *, today: date, machine: str, command: str) -> str:
    """The page, in Markdown."""
    found = list(figures)
    parts = [
        "# Reliability",
        "",
        _ABOUT,
        "",
        f"Written on {today:%d.%m.%Y} by `{command}`, on {machine}.",
    ]
    for promise, words in PROMISES.items():
        own = [figure for figure in found if figure.promise == promise]
        if not own:
            continue
        parts += ["", f"## {promise}: {words}", "", *_rows("what was done, and what came of it", own, is_planted=False)]
        if any(figure.is_planted for figure in own):
            parts += ["", *_rows("planted defect, and how it showed", own, is_planted=True)]
    return "\n".join(parts) + "\n"


def machine() -> str:
    """What the figures were measured on, without naming the machine."""
    revision = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    ).stdout.strip()
    return f"{cpu_count()} cores, {platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}" + (
        f", revision {revision}" if revision else ""
    )


def _rows(header: str, figures: Sequence[Figure], *, is_planted: bool) -> list[str]:
    rows = [
        f"| {figure.said.replace('|', '\\|')} | `{figure.test.split('::')[0]}` |"
        for figure in figures
        if figure.is_planted == is_planted
    ]
    return [f"| {header} | test |", "|---|---|", *rows] if rows else []
