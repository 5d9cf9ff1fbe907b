"""Many seeds on all cores: `python -m tests.simulation.campaign [seeds [first]]`."""

import multiprocessing
import os
import sys
import time
from collections import Counter
from typing import Final, NamedTuple

from tests.simulation.world import World, run_seed

_CHUNK: Final = 500


class Campaign(NamedTuple):
    """What a campaign did: what clients were told, by kind and reply, and the first violation, if any."""

    seeds: int
    seconds: float
    told: Counter[str]
    violation: str | None


def run_seeds(first: int, count: int, *, processes: int | None = None) -> Campaign:
    """Run seeds one after another in each process, until one breaks a law."""
    began_s = time.monotonic()
    told: Counter[str] = Counter()
    done = 0
    chunks = [range(at, min(at + _CHUNK, first + count)) for at in range(first, first + count, _CHUNK)]
    with multiprocessing.get_context("forkserver").Pool(processes or os.cpu_count()) as pool:
        for size, of_chunk, violation in pool.imap_unordered(_run_chunk, chunks):
            done += size
            told += of_chunk
            if violation is not None:
                return Campaign(done, time.monotonic() - began_s, told, violation)
    return Campaign(done, time.monotonic() - began_s, told, None)


def _run_chunk(seeds: range) -> tuple[int, Counter[str], str | None]:
    told: Counter[str] = Counter()
    for seed in seeds:
        try:
            run_seed(seed, told=told)
        except AssertionError as violation:
            return seed - seeds.start + 1, told, str(violation)
    return len(seeds), told, None


def find(make_pod: type, first: int, most: int) -> tuple[int, str] | None:
    """How many seeds a planted bug took and the law it broke, None if it was not found."""
    for seed in range(first, first + most):
        try:
            World(seed, make_pod).run()
        except AssertionError as violation:
            return seed - first + 1, str(violation)
    return None


def main() -> int:
    """Run the seeds of the command line and print the figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    first = int(sys.argv[2]) if len(sys.argv) > 2 else 0
    campaign = run_seeds(first, count)
    print(f"{campaign.seeds} seeds from {first} in {campaign.seconds:.0f} s, {campaign.seeds / campaign.seconds:.0f} a second")
    for what, times in sorted(campaign.told.items()):
        print(f"{times:>10} {what}")
    if campaign.violation is not None:
        print(campaign.violation)
    return campaign.violation is not None


if __name__ == "__main__":
    sys.exit(main())
