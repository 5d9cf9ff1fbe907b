"""P7, P8, P9, P11 as figures: starts `loadtests.bench.kernel` or `loadtests.bench.core` and reads what it says."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

from loadtests.bench.plan import Plan
from loadtests.bench.processes import cores
from loadtests.bench.stats import Figure, Reach, ratios, spread, thousands

_SECONDS_MAX: Final = 900.0
_GB: Final = 1 << 30


def kernel_rows(plan: Plan) -> list[Figure]:
    """P7."""
    us = _child("kernel", plan.rounds, plan.n_skus, plan.n_promotions)["us"]
    figures = []
    for n_lines, bound in ((100, 1.2), (1_000, 6.0), (10_000, 6.0)):
        loop, reading = us[f"loop {n_lines}"], spread(us[f"reading {n_lines}"]).median
        for arm, what in (
            ("memo", "known lines by the memo, with the text of the replies"),
            ("engine", "the engine, with the reasons"),
        ):
            own = us[f"{arm} {n_lines}"]
            beside = f"{spread(own).median:.2f} against {spread(loop).median:.3f} µs a line; the totals are equal"
            if arm == "memo":
                beside += f"; the loop has arrays, and reading the requests into them would add {reading:.2f} µs to it"
            name = f"speed against a numba loop, {thousands(n_lines)} lines: {what}"
            figures.append(Figure("P7", name, ratios(loop, own), "×", Reach("at_least", bound), beside))
    return figures


def density_rows(plan: Plan) -> list[Figure]:
    """P8."""
    n_skus = 5_000 if plan.is_quick else 100_000
    found = _child("core", "density", plan.rounds, n_skus)
    us, candidates = found["us"], found["candidates"]
    figures = []
    for work, what in (("quotes", "as quotes are priced, lines remembered"), ("engine", "the engine alone, nothing remembered")):
        many, few = us[f"{work} many"], us[f"{work} few"]
        beside = f"{spread(many).median:.2f} against {spread(few).median:.2f} µs a line"
        beside += f"; {candidates['many']:.1f} and {candidates['few']:.1f} live candidates a line"
        what = f"CPU with {thousands(n_skus)} promotions / with {thousands(n_skus // 100)}: {what}"
        figures.append(Figure("P8", what, ratios(many, few), "×", Reach("at_most", 1.15), beside))
    return figures


def order_rows(plan: Plan) -> list[Figure]:
    """P9."""
    found = _child("core", "order", plan.rounds, plan.n_skus)
    us = found["us"]
    figures = []
    for together, what in ((64, "64 baskets at once"), (1, "one basket at once")):
        own, plain = us[f"{together} with"], us[f"{together} without"]
        beside = (
            f"{spread(own).median:.0f} against {spread(plain).median:.0f} µs a basket; {found['applied']:.1f} of the 12 apply"
        )
        beside += f"; {found['candidates']:.1f} live candidates a line besides"
        what = f"20 lines with 12 competing order promotions / without, {what}"
        figures.append(Figure("P9", what, ratios(own, plain), "×", Reach("at_most", 4.0), beside))
    return figures


def million_rows(plan: Plan) -> list[Figure]:
    """P11: one process writes the documents, one after another reads and compiles them, so that memory is what a service would hold."""
    n_skus = 50_000 if plan.is_quick else 1_000_000
    path = Path(_child("core", "million", 1, n_skus)["path"])
    try:
        found = [_child("core", "compile", 1, 0, text=f"{path}\n") for _ in range(2)]
    finally:
        shutil.rmtree(path.parent)
    n_held = f"{thousands(found[0]['n_skus'])} SKUs"
    held = [one["held_bytes"] / _GB for one in found]
    empty = spread([one["empty_bytes"] / _GB for one in found]).median
    rows = spread([one["rows_bytes"] / _GB for one in found]).median
    beside = f"{rows - empty:.2f} GB of it documents, {empty:.2f} before; highest {spread([one['peak_bytes'] / _GB for one in found]).median:.2f} GB"
    read = f"{spread([one['read_s'] for one in found]).median:.1f} s to read the documents from disk before"
    return [
        Figure(
            "P11",
            f"compile {n_held} from documents",
            spread([one["compile_s"] for one in found]),
            " s",
            Reach("at_most", 10.0),
            read,
        ),
        Figure(
            "P11",
            "the same / reading those documents from disk",
            ratios([one["compile_s"] for one in found], [one["read_s"] for one in found]),
            "×",
            None,
            "",
        ),
        Figure("P11", f"memory of a process that holds {n_held}", spread(held), " GB", Reach("at_most", 1.0), beside),
    ]


def _child(module: str, *arguments: str | int, text: str = "") -> dict[str, Any]:
    """What a module of the bench finds with these arguments; raises CalledProcessError with its trace on standard error."""
    command = ["taskset", "-c", str(cores().server), sys.executable, "-m", f"loadtests.bench.{module}", *map(str, arguments)]
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, timeout=_SECONDS_MAX, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
