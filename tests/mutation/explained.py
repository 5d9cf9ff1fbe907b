"""Survivors that are known and why: `explained.toml`.

A `survivor` names mutants of one function by the lines that change. A `family` is a regular expression over `was -> now` for changes
that mean the same wherever they are made.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.mutation.mutants import Mutant

EXPLAINED = Path(__file__).with_name("explained.toml")


class Change(NamedTuple):
    """What a mutant is known by: two of one function with the same lines are one."""

    function: str
    was: str
    now: str


def change_of(mutant: Mutant) -> Change:
    return Change(mutant.function, mutant.was, mutant.now)


@dataclass(frozen=True, slots=True)
class Explained:
    """What may survive, with the reasons."""

    changes: dict[Change, str]
    families: dict[re.Pattern[str], str]

    def why(self, change: Change) -> str | None:
        """Why the change may survive; None where nobody said."""
        if change in self.changes:
            return self.changes[change]
        text = f"{change.was} -> {change.now}"
        return next((why for family, why in self.families.items() if family.fullmatch(text)), None)

    def out_of_date(self, tried: Iterable[Change], survived: Iterable[Change]) -> list[Change]:
        """The explained changes of functions that were tried that are made no more, or do not survive any more."""
        functions = {change.function for change in tried}
        surviving = set(survived)
        return [change for change in self.changes if change.function in functions and change not in surviving]


def read_explained(text: str) -> Explained:
    """Read the file. Raises ValueError where a change is explained twice, or without a reason."""
    document = tomllib.loads(text)
    changes = [
        (Change(entry["function"], entry["was"], now), entry["why"].strip())
        for entry in document.get("survivor", ())
        for now in entry["now"]
    ]
    families = [(re.compile(entry["change"], re.DOTALL), entry["why"].strip()) for entry in document.get("family", ())]
    twice = [change for change, count in Counter(change for change, _ in changes).items() if count > 1]
    if twice:
        raise ValueError(f"explained twice: {twice}")
    if not all(why for _, why in (*changes, *families)):
        raise ValueError("an explanation is empty")
    return Explained(dict(changes), dict(families))
