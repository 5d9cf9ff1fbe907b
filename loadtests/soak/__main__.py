"""Whether the service takes ever more while it runs: memory, descriptors, connections, threads, series of metrics.

    python -m loadtests.soak --minutes 30

Status 1 when something grows, a reply was not what it should be, or more than one in a hundred was turned away. Memory finds its size within some
four minutes, and the first quarter of a run is not judged: of runs under a quarter of an hour the verdict on memory says nothing.
"""

import argparse
import sys

from loadtests.soak.run import Soaked, soak


def main() -> int:
    """Run it and print what was found."""
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.soak", description="Moderate load for long, and whether anything grows."
    )
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--per-second", type=float, default=100.0, help="requests, of all sorts")
    parser.add_argument("--every", type=float, default=10.0, help="seconds between two looks")
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    soaked = soak(
        seconds=chosen.minutes * 60,
        every_s=chosen.every,
        per_second=chosen.per_second,
        seed=chosen.seed,
        note=lambda line: print(line, file=sys.stderr),
    )
    print(report_of(soaked, seed=chosen.seed))
    return 0 if soaked.is_well else 1


def report_of(soaked: Soaked, *, seed: int) -> str:
    """The figures, and what was wrong."""
    lines = [
        f"{soaked.sent} requests in {soaked.seconds:.0f} s, {soaked.wrong.total()} wrong replies, {soaked.turned_away} turned away, seed {seed}"
    ]
    lines += [f"of orders: {', '.join(f'{count} {what}' for what, count in sorted(soaked.orders.items()))}"]
    lines += [
        f"{verdict.measure}: {verdict.first:.0f} in the first third, {verdict.last:.0f} in the last, drift {verdict.drift:.0f},"
        f" allowed {verdict.allowed:.0f}: {'GROWS' if verdict.grows else 'flat'}"
        for verdict in soaked.verdicts
    ]
    return "\n".join([*lines, *(f"{count} x {what}" for what, count in soaked.wrong.most_common(10))])


if __name__ == "__main__":
    sys.exit(main())
