"""The long comparison of the engine with the reference: random books on every core until so many lines have been compared.

`python -m tests.reference.campaign --lines 100000000` ends at the first difference, with the seed that shows it, or when all agree.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, fields
from itertools import count
from random import Random

from tests.reference.agreement import compiled, difference, engine_replies, reference_reply
from tests.reference.figures import ROUNDINGS
from tests.reference.generate import random_basket, random_book, random_instant, random_revisions

_SEEDS_OF_A_TASK = 20
_REPORT_EVERY_S = 60.0


@dataclass
class Tally:
    """What a run has compared."""

    lines: int = 0
    baskets: int = 0
    refused: int = 0
    books: int = 0
    roundings: int = 0  # of fractions, by the reference
    ties: int = 0

    def add(self, other: "Tally") -> None:
        """Count another run too."""
        for one in fields(self):
            setattr(self, one.name, getattr(self, one.name) + getattr(other, one.name))

    def __str__(self) -> str:
        share = 100 * self.ties / max(self.roundings, 1)
        return (
            f"{self.lines:,} lines of {self.baskets:,} baskets ({self.refused:,} refused) in {self.books:,} books, "
            f"{self.roundings:,} roundings of fractions, {share:.1f} % of them ties"
        )


def disagreement(seed: int, n_baskets: int, tally: Tally) -> str | None:
    """Compare the baskets of one random book; the first difference, or None."""
    rng = Random(seed)
    documents = random_book(rng)
    revisions = random_revisions(rng, documents)
    at_us = random_instant(rng)
    bodies = [random_basket(rng, documents) for _ in range(n_baskets)]
    book = compiled(documents, revisions, at_us)
    tally.books += 1
    replies = engine_replies(book, bodies, [at_us] * n_baskets)
    roundings, ties = ROUNDINGS.fractions, ROUNDINGS.ties
    for number, body in enumerate(bodies):
        tally.lines += len(body["lines"])
        tally.baskets += 1
        tally.refused += bool(replies[number]["errors"])
        expected = reference_reply(documents, revisions, body, at_us, at_us)
        if found := difference(replies[number], expected):
            return f"seed {seed}, basket {number}{found}"
    tally.roundings += ROUNDINGS.fractions - roundings
    tally.ties += ROUNDINGS.ties - ties
    return None


def _compare(seeds: Sequence[int], n_baskets: int) -> tuple[Tally, str | None]:
    tally = Tally()
    for seed in seeds:
        if found := disagreement(seed, n_baskets, tally):
            return tally, found
    return tally, None


def _results(first_seed: int, n_baskets: int, n_processes: int) -> Iterator[tuple[Tally, str | None]]:
    """The results of all seeds from the first on, as they come."""
    starts = count(first_seed, _SEEDS_OF_A_TASK)
    with ProcessPoolExecutor(n_processes) as pool:

        def submit_next() -> Future[tuple[Tally, str | None]]:
            start = next(starts)
            return pool.submit(_compare, range(start, start + _SEEDS_OF_A_TASK), n_baskets)

        waiting = {submit_next() for _ in range(2 * n_processes)}
        try:
            while True:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                for future in done:
                    waiting.add(submit_next())
                    yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def main() -> int:
    """Run until enough lines agree; 1 at a difference, or where too few ties were met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=100_000_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first book")
    parser.add_argument("--baskets", type=int, default=64, help="of each book")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long, whatever was compared")
    asked = parser.parse_args()
    tally, began_s = Tally(), time.monotonic()
    reported_s = began_s
    for own, found in _results(asked.seed, asked.baskets, asked.processes):
        tally.add(own)
        if found:
            print(f"reference: {found}", flush=True)
            return 1
        now_s = time.monotonic()
        is_over = tally.lines >= asked.lines or now_s - began_s >= asked.seconds
        if is_over or now_s - reported_s >= _REPORT_EVERY_S:
            reported_s = now_s
            print(f"reference: {tally}; {now_s - began_s:.0f} s, first seed {asked.seed}, 0 differences", flush=True)
        if is_over:
            break
    return 0 if tally.ties >= 0.05 * tally.roundings else 1


if __name__ == "__main__":
    sys.exit(main())
