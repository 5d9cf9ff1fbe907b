"""What a campaign has done so far, in a file, so that it can be interrupted and gone on with; and its section of docs/reliability.md."""

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_BEGINS: Final = "<!-- the campaign writes from here -->"
_ENDS: Final = "<!-- to here -->"
_TEST: Final = "`tests/faults/campaign`"


@dataclass
class Tally:
    """The sums of all rounds, by what they were; the defects that were planted, and how each showed; and the first violation, if any."""

    sums: dict[str, Counter[str]] = field(default_factory=lambda: {"decisions": Counter(), "holds": Counter()})
    planted: dict[str, str] = field(default_factory=dict)
    seeds: list[int] = field(default_factory=list)
    revisions: list[str] = field(default_factory=list)
    machine: str = ""
    violation: str = ""

    @classmethod
    def read(cls, path: Path) -> "Tally":
        """What the file says; nothing yet where there is none."""
        if not path.exists():
            return cls()
        found = cls(**json.loads(path.read_text()))
        found.sums = {kind: Counter(sums) for kind, sums in found.sums.items()}
        return found

    def write(self, path: Path) -> None:
        """Write it whole or not at all."""
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.new")
        draft.write_text(json.dumps(vars(self), indent=1))
        draft.replace(path)

    def note(self, *, seed: int, revision: str) -> None:
        """Remember what the next rounds are run with."""
        self.seeds += [] if seed in self.seeds else [seed]
        self.revisions += [] if revision in self.revisions else [revision]

    def section(self) -> str:
        """The section, in Markdown."""
        decisions, holds = self.sums["decisions"], self.sums["holds"]
        seeds = f"seed{'s' * (len(self.seeds) > 1)} {', '.join(map(str, self.seeds))}"
        revisions = f"revision{'s' * (len(self.revisions) > 1)} {', '.join(self.revisions)}"
        about = (
            "Rounds of load under kills, each compared with what is stored at its end, added up:"
            f" {sum_of(decisions, holds, 'seconds') / 60:.0f} minutes under load, {seeds}, {revisions}, on {self.machine}."
        )
        found = (
            (
                f"R1: {decisions['acknowledged']:,} decisions acknowledged in batches, {decisions['resent']:,} sent again by their ids:"
                " 0 lost, 0 doubled, 0 altered"
            ),
            (
                f"R2: {holds['answered']:,} requests for holds answered on {holds['meters']:,} meters, {holds['taken']:,} taken,"
                f" {holds['refused']:,} refused, {holds['resent']:,} sent again: 0 above a cap at any time, 0 refused falsely,"
                " 0 meters adrift, each filled to the last unit"
            ),
            "R3: of all of these 0 told differently, 0 not stored",
        )
        parts = [
            "## The campaign",
            "",
            about,
            "",
            "| | decisions (R1, R3) | holds (R2, R3) | together |",
            "|---|---|---|---|",
            *(
                f"| {words} | {decisions[name]:,} | {holds[name]:,} | {sum_of(decisions, holds, name):,} |"
                for name, words in _ROWS.items()
            ),
            "",
            "| what was done, and what came of it | test |",
            "|---|---|",
            *(f"| {one} | {_TEST} |" for one in found),
            "",
            "| planted defect, and how it showed | test |",
            "|---|---|",
            *(f"| {name}: {how} | {_TEST} |" for name, how in self.planted.items()),
        ]
        return "\n".join(parts)


_ROWS: Final = {
    "pods": "serving processes killed (SIGKILL) with requests under way",
    "connections": "connections ended",
    "backends": "backends killed (SIGKILL), after which the cluster recovers by itself",
    "clusters": "crashes of the cluster",
    "rounds": "rounds",
}


def sum_of(decisions: Counter[str], holds: Counter[str], name: str) -> int:
    """A figure of both sorts of rounds."""
    return decisions[name] + holds[name]


def section_of(page: str) -> str:
    """The campaign's section of a page, with its marks; empty where there is none."""
    _, begins, rest = page.partition(_BEGINS)
    own, ends, _ = rest.partition(_ENDS)
    return f"{begins}{own}{ends}" if ends else ""


def with_section(page: str, section: str) -> str:
    """The page with the section in place of the old one, or at its end.

    >>> with_section("# Page", "Two.").count("Two.")
    1
    >>> with_section(with_section("# Page", "One."), "Two.").count("One.")
    0
    """
    marked = f"{_BEGINS}\n\n{section}\n\n{_ENDS}"
    old = section_of(page)
    return page.replace(old, marked) if old else f"{page.rstrip()}\n\n{marked}\n"
