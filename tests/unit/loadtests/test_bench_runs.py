"""What the bench reads of others, and when it says that a run means nothing."""

import itertools
import os

import pytest

from loadtests.bench.open_model import Run, arrivals, parse_reply, require_punctual
from loadtests.bench.processes import MissingTool, parse_stat, require_tools
from loadtests.bench.stats import InvalidRun
from loadtests.bench.wrk import parse_report

_WRK = """\
Running 1s test @ http://127.0.0.1:1/v1/quotes
  1 threads and 256 connections
{{"requests":1000,"microseconds":2000000,"bytes":12000000,"failed":{failed},"bad_status":{bad},"p50_us":900,"p99_us":5000,"max_us":7000}}
"""


def test_report_of_wrk_is_read() -> None:
    report = parse_report(_WRK.format(failed=0, bad=0))

    assert (report.requests, report.microseconds, report.p99_us) == (1000, 2_000_000, 5000)


@pytest.mark.parametrize(("failed", "bad"), [(1, 0), (0, 1)])
def test_a_run_with_a_failed_request_is_invalid(failed: int, bad: int) -> None:
    with pytest.raises(InvalidRun, match="of 1000 requests"):
        parse_report(_WRK.format(failed=failed, bad=bad))


def test_wrk_that_reports_nothing_is_invalid() -> None:
    with pytest.raises(InvalidRun, match="unable to connect"):
        parse_report("unable to connect to 127.0.0.1:1\n")


def test_cpu_is_read_behind_a_name_with_spaces_and_brackets() -> None:
    ticks = os.sysconf("SC_CLK_TCK")
    line = f"42 (a) b (c) S 7 42 42 0 -1 4194304 100 0 0 0 {3 * ticks} {ticks} {2 * ticks} {ticks // 2} 20 0 1 0 100 0 0"

    stat = parse_stat(line)

    assert (stat.parent, stat.own_s, stat.children_s) == (7, 4.0, 2.5)


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(MissingTool, match=r"`wrk`.*apt-get install wrk"):
        require_tools()


def test_arrivals_are_at_the_rate_and_the_same_for_a_seed() -> None:
    due_s = arrivals(1_000, 10, seed=3)

    assert due_s == arrivals(1_000, 10, seed=3) != arrivals(1_000, 10, seed=4)
    assert 9_500 < len(due_s) < 10_500  # five standard deviations of a Poisson count of 10 000
    assert all(earlier < later for earlier, later in itertools.pairwise(due_s))
    assert due_s[-1] < 10


def _run_late_by(late_s: float, *, of_100: int, bad: int = 0) -> Run:
    late = [late_s] * of_100 + [0.0] * (100 - of_100)
    return Run([0.0] * 100, late, [0.01] * 100, bad)


def test_a_generator_may_be_late_once_in_a_hundred() -> None:
    require_punctual(_run_late_by(1.0, of_100=1), late_s_max=0.001)
    require_punctual(_run_late_by(0.001, of_100=100), late_s_max=0.001)


def test_a_generator_that_was_late_more_often_invalidates_the_run() -> None:
    with pytest.raises(InvalidRun, match=r"late.*1\.1 ms"):
        require_punctual(_run_late_by(0.0011, of_100=2), late_s_max=0.001)


def test_a_request_that_failed_invalidates_the_run() -> None:
    with pytest.raises(InvalidRun, match="3 of 100"):
        require_punctual(_run_late_by(0.0, of_100=0, bad=3), late_s_max=0.001)


def test_a_reply_is_measured_by_its_head() -> None:
    head = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n"

    assert parse_reply(head + b"{}{}") == (201, len(head) + 4)
    assert parse_reply(head[:-1]) is None


def test_a_reply_of_unknown_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="Content-Length"):
        parse_reply(b"HTTP/1.1 201 Created\r\n\r\n")
