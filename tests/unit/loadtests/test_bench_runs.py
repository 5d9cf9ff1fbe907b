"""What the bench reads of others, and when it says that a run means nothing."""

import os

import pytest

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
