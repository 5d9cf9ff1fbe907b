"""Mutation testing of app/pricing: every mutant must be killed by a test, or its survival explained.

`python -m tests.mutation.run [FILE ...]` with files below app/pricing, as `money.py` or `rules/*.py`; all without. 1 where a mutant
survives that `explained.toml` does not name, and where it names one that does not survive.

One pytest process collects the tests and is copied for each mutant. First a copy runs all tests and notes which function each reaches
and how long it takes; then a mutant is tried on the tests that reach its function, those that killed its siblings first, then the quick
ones, until one fails.
"""

import argparse
import gc
import json
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from types import CodeType
from typing import NamedTuple

import pytest
from _pytest.runner import runtestprotocol

from tests.mutation.explained import EXPLAINED, Change, change_of, read_explained
from tests.mutation.forks import in_fork, limit_seconds
from tests.mutation.mutants import ROOT, Mutant, loaded_function, mutants_of

PRICING = ROOT / "app" / "pricing"
SURVIVED = ROOT / ".mutation" / "survived.json"
TESTS = ("tests/mutation/shops.py", "tests/unit/pricing", "tests/property", "tests/reference")
_NO_TEST = -1


class Reach(NamedTuple):
    """What one test does without mutants."""

    seconds: float
    functions: frozenset[str]


class Campaign:
    """The plugin that runs in place of pytest's loop over the tests."""

    def __init__(self, mutants: Sequence[Mutant], *, seconds_each: float) -> None:
        self.mutants = mutants
        self.seconds_each = seconds_each
        self.survivors: list[Mutant] = []
        self.n_dead = 0  # mutants that killed their process: out of time or memory
        self.unreached: set[str] = set()

    def pytest_configure(self) -> None:
        """Let Hypothesis try the same for each mutant, and stop at what it finds."""
        from hypothesis import HealthCheck, Phase, settings  # imported first by pytest, which wants to rewrite it

        phases = [Phase.explicit, Phase.generate]
        ignored = list(HealthCheck)
        settings.register_profile(
            "mutation", derandomize=True, database=None, deadline=None, phases=phases, suppress_health_check=ignored
        )
        settings.load_profile("mutation")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]) -> pytest.TestReport:
        """Say that a test failed without the picture of how, which takes longer than most tests."""
        is_fine = call.excinfo is None or call.excinfo.errisinstance(pytest.skip.Exception)
        assert call.when != "collect"
        return pytest.TestReport(item.nodeid, item.location, {}, "passed" if is_fine else "failed", None, call.when)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed:
            raise session.Interrupted("the tests do not even load")
        items = session.items
        gc.freeze()
        reaches = in_fork(partial(self._measure, items))
        if reaches is None:
            raise pytest.UsageError("a test fails without any mutant: run the tests first")
        of_function: dict[str, list[int]] = defaultdict(list)
        for number, reach in enumerate(reaches):
            for function in reach.functions:
                of_function[function].append(number)
        kills: dict[str, Counter[int]] = defaultdict(Counter)
        began_s = time.monotonic()
        for count, mutant in enumerate(self.mutants, start=1):
            killed = kills[mutant.function]
            order = sorted(of_function[mutant.function], key=lambda number: (-killed[number], reaches[number].seconds))
            if not order:
                self.unreached.add(mutant.function)
            tried = _affordable(order, killed, reaches, self.seconds_each)
            killer = in_fork(partial(_killer, mutant, items, tried, reaches)) if order else _NO_TEST
            if killer == _NO_TEST:
                self.survivors.append(mutant)
                print(f"survived: {mutant.function}\n    - {_indented(mutant.was)}\n    + {_indented(mutant.now)}", flush=True)
            elif killer is None:
                self.n_dead += 1
            else:
                killed[killer] += 1
            if count % 500 == 0 or count == len(self.mutants):
                print(f"mutation: {count} of {len(self.mutants)} tried, {time.monotonic() - began_s:.0f} s", flush=True)
        return True

    def _measure(self, items: Sequence[pytest.Item]) -> list[Reach] | None:
        """Run all tests with the functions watched; None where one fails."""
        names: dict[CodeType, str] = {}
        for mutant in self.mutants:
            names[loaded_function(mutant.path, mutant.name).__code__] = mutant.function
        reached: set[str] = set()
        watch = sys.monitoring
        watch.use_tool_id(watch.PROFILER_ID, "mutation")
        for code in names:
            watch.set_local_events(watch.PROFILER_ID, code, watch.events.PY_START)

        def started(code: CodeType, offset: int) -> object:
            reached.add(names[code])
            return watch.DISABLE

        watch.register_callback(watch.PROFILER_ID, watch.events.PY_START, started)
        reaches = []
        for item in items:
            reached.clear()
            watch.restart_events()
            began_s = time.process_time()
            if _fails(item):
                return None
            reaches.append(Reach(time.process_time() - began_s, frozenset(reached)))
        return reaches


def _fails(item: pytest.Item) -> bool:
    return any(report.failed for report in runtestprotocol(item, log=False))


def _killer(mutant: Mutant, items: Sequence[pytest.Item], order: Sequence[int], reaches: Sequence[Reach]) -> int:
    """The number of the first test that fails with the mutant, or that there is none."""
    mutant.put_in()
    for number in order:
        limit_seconds(1 + 10 * reaches[number].seconds)
        if _fails(items[number]):
            return number
    return _NO_TEST


def _affordable(order: Sequence[int], killed: Counter[int], reaches: Sequence[Reach], seconds: float) -> list[int]:
    """Of the tests in their order those that there are seconds for, and all that have killed a mutant of the function."""
    ends = accumulate(reaches[number].seconds for number in order)
    return [number for number, end_s in zip(order, ends, strict=True) if killed[number] or end_s <= seconds]


def _indented(lines: str) -> str:
    return lines.replace("\n", "\n      ")


def _chosen_mutants(patterns: Sequence[str]) -> list[Mutant]:
    paths = sorted({path for pattern in patterns for path in PRICING.glob(pattern)})
    return [mutant for path in paths for mutant in mutants_of(str(path.relative_to(PRICING)), path.read_text())]


def _judge(mutants: Sequence[Mutant], survivors: Sequence[Mutant], *, is_whole: bool) -> int:
    """Print what came of each file; return 1 where something is not explained, or, if all mutants of functions were tried, is out of date."""
    explained = read_explained(EXPLAINED.read_text())
    unexplained = [mutant for mutant in survivors if explained.why(change_of(mutant)) is None]
    tried, survived = Counter(mutant.path for mutant in mutants), Counter(mutant.path for mutant in survivors)
    open_ones = Counter(mutant.path for mutant in unexplained)
    for path, count in tried.items():
        known = survived[path] - open_ones[path]
        print(f"{path}: {count} mutants, {count - survived[path]} killed, {known} explained, {open_ones[path]} not")
    stale = explained.out_of_date(map(change_of, mutants), map(change_of, survivors)) if is_whole else []
    for change in stale:
        print(f"explained, but killed or gone: {change.function}\n    - {_indented(change.was)}\n    + {_indented(change.now)}")
    print(
        f"mutation: {len(mutants)} mutants, {len(mutants) - len(survivors)} killed, {len(survivors) - len(unexplained)} survivors explained, "
        f"{len(unexplained)} not, {len(stale)} explanations out of date"
    )
    return 1 if unexplained or stale else 0


def main() -> int:
    """Try the mutants of the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="*", default=["**/*.py"], help="below app/pricing; may have * in them")
    parser.add_argument("--seconds", type=float, default=60.0, help="of tests for each mutant; all of them take about 40")
    parser.add_argument("--tests", nargs="+", default=TESTS, help="those that are run")
    parser.add_argument("--again", action="store_true", help="only those that survived the last run and are not explained")
    asked = parser.parse_args()
    mutants = _chosen_mutants(asked.files or ["**/*.py"])
    if asked.again:
        explained = read_explained(EXPLAINED.read_text())
        last = {change for one in json.loads(SURVIVED.read_text()) if explained.why(change := Change(*one)) is None}
        mutants = [mutant for mutant in mutants if change_of(mutant) in last]
    campaign = Campaign(mutants, seconds_each=asked.seconds)
    options = ["-q", "-s", "-p", "no:cacheprovider", "-n0", "--assert=plain", f"--rootdir={ROOT}"]
    code = pytest.main([*options, "--deselect=tests/reference/test_engine_agrees.py", *asked.tests], plugins=[campaign])
    if code not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return int(code)
    SURVIVED.parent.mkdir(exist_ok=True)
    SURVIVED.write_text(json.dumps([change_of(mutant) for mutant in campaign.survivors]))
    for function in sorted(campaign.unreached):
        print(f"no test reaches {function}")
    print(f"mutation: {campaign.n_dead} mutants ran out of time or memory, which counts as killed")
    return _judge(mutants, campaign.survivors, is_whole=not asked.again)


if __name__ == "__main__":
    sys.exit(main())
