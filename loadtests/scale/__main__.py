"""What a quote takes with one process and with two on one Postgres, and what 10 000, 100 000 and 1 000 000 quotes a second would need.

    python -m loadtests.scale [--seconds N] [--rounds N] [--quick] [--output docs/scaling.md]

Ratios of one run, measured in turn, with a Postgres of its own; needs wrk. The plan is arithmetic on the medians of the run, and on what
`--cores` and the like say of a server.
"""

import argparse
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

from loadtests.bench.machine import machine_text, revision_text
from loadtests.bench.page import NoPlace, between
from loadtests.bench.processes import MissingTool, compiled_imports, require_tools
from loadtests.bench.rig import loaded_shop, postgres, temporary_folder
from loadtests.books import shop
from loadtests.scale.measure import measure
from loadtests.scale.plan import Assumed
from loadtests.scale.tables import measured_tables, plan_tables, rates_of

MARKS = ("<!-- scale: begin", "<!-- scale: end")
_PLANNED = "1 process, different baskets"


def main() -> int:
    """Measure, print, and write. Status 2 when a tool or a place is missing."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.scale", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3.0, help="length of one run, at least 1")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="one short round on a small shop, to see that it runs")
    parser.add_argument("--output", type=Path, help="put the tables between the marks of this page")
    for name, default in Assumed()._asdict().items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default, help="assumed for the plan")
    chosen = parser.parse_args()
    try:
        require_tools()
        if chosen.output is not None:
            between(chosen.output.read_text(), "", MARKS)
    except (MissingTool, NoPlace, OSError) as problem:
        print(f"scale: {problem}", file=sys.stderr)
        return 2
    # Servers that were started are ended on the way out, which the default way of SIGTERM would not do.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Saturation is what is wanted here, not what admission lets in of it.
    os.environ.setdefault("PRICING_WAIT_MS", "5000")
    # Both as they are before: the run changes the one, and work goes on meanwhile with the other.
    machine, revision = machine_text(), revision_text()
    seconds, rounds = (1.0, 1) if chosen.quick else (max(1.0, chosen.seconds), max(1, chosen.rounds))
    n_skus, n_promotions, n_baskets = (500, 250, 2_000) if chosen.quick else (20_000, 10_000, 60_000)
    with compiled_imports(), temporary_folder() as folder, postgres(folder) as server:
        documents = shop(n_skus=n_skus, n_promotions=n_promotions)
        with loaded_shop(server, documents, folder) as loaded:
            measured = measure(loaded, n_skus=n_skus, n_baskets=n_baskets, seconds=seconds, rounds=rounds)
    assumed = Assumed(**{name: getattr(chosen, name) for name in Assumed._fields})
    size = f"{rounds} rounds of {seconds:g} s, {n_skus} SKUs and {n_promotions} promotions"
    said = f"`python -m loadtests.scale`, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC, revision {revision}, {size}; {machine}."
    text = "\n\n".join(
        [said, measured_tables(measured), plan_tables(rates_of(measured, quotes=_PLANNED), assumed, quotes=_PLANNED)]
    )
    print(text)
    if chosen.output is not None:
        chosen.output.write_text(between(chosen.output.read_text(), text, MARKS))
    return 0


if __name__ == "__main__":
    sys.exit(main())
