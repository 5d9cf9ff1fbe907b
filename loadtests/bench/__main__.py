"""The figures of performance: each beside a named reference of the same run, measured in turn.

    python -m loadtests.bench [--only P1,P6] [--seconds N] [--quick] [--output docs/performance.md] [--output README.md]

Rows that share a shop are measured on one that is loaded once. A page keeps what was not measured now, so a run that was cut short goes on with
`--only`. Needs wrk. The server runs on one core, wrk on the other, Postgres where it
likes. A quiet machine, or the spread tells.
"""

import argparse
import os
import signal
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from loadtests.bench.machine import machine_text, revision_text
from loadtests.bench.page import Described, NoPlace, page_with, write_page
from loadtests.bench.plan import plan_of
from loadtests.bench.processes import MissingTool, compiled_imports, require_tools
from loadtests.bench.rows import ROWS, measure
from loadtests.bench.stats import as_markdown


def main() -> int:
    """Exit status 1 when a row could not be measured, 2 when a tool is missing."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.bench", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", help=f"comma list of {', '.join(ROWS)}")
    parser.add_argument("--seconds", type=float, help="length of one run, at least 1")
    parser.add_argument("--quick", action="store_true", help="short and small, to see that it runs; the figures mean little")
    parser.add_argument("--output", type=Path, action="append", default=[], help="a page with marks for the table, long or short")
    arguments = parser.parse_args()
    wanted = ROWS if arguments.only is None else tuple(name.strip().upper() for name in arguments.only.split(","))
    if unknown := [name for name in wanted if name not in ROWS]:
        parser.error(f"there is no row {', '.join(unknown)}")
    try:
        require_tools()
        for path in arguments.output:
            # Asked before, not after a quarter of an hour.
            page_with(path.read_text(), [], Described("", "", "", "", ""), rows=ROWS)
    except (MissingTool, NoPlace, OSError) as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 2
    # Servers that were started are ended on the way out, which the default way of SIGTERM would not do.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # Saturation is what is wanted here, not what admission lets in of it.
    os.environ.setdefault("PRICING_WAIT_MS", "5000")
    # Both as they are before: the run changes the one, and work goes on meanwhile with the other.
    machine, revision = machine_text(), revision_text()
    began, began_at = time.monotonic(), datetime.now(UTC)
    plan = plan_of(seconds=arguments.seconds, is_quick=arguments.quick)
    with compiled_imports():
        results, failed = measure(plan, wanted)
    took_s = time.monotonic() - began
    run = Described(
        f"{began_at:%Y-%m-%d %H:%M}",
        revision,
        f"{plan.rounds} of {plan.seconds:g} s{', quick' if arguments.quick else ''}",
        machine,
        f"{took_s:.0f} s",
    )
    print(as_markdown(results, run.name))
    print(f"{run.rounds}, {run.revision}, {run.machine}; {took_s:.0f} s in all.", file=sys.stderr)
    for path in arguments.output:
        write_page(path, results, run, rows=ROWS)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
