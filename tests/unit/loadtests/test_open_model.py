"""The generator of the open model counts from the instant that was meant, and says so when it was itself too late."""

import asyncio
import itertools
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadtests.bench.stats import InvalidRun, quantile
from loadtests.crowd import Asked, Crowd
from loadtests.open.histogram import Histogram
from loadtests.open.model import LOST, UNANSWERED, Generator, Run, arrivals, asked, parse_reply, require_good, require_punctual
from loadtests.open.report import as_table, as_text, report_of

_REQUEST = asked("quote", "x", "/v1/quotes", [], b"{}").octets
_REPLY = b"HTTP/1.1 201 Created\r\nContent-Length: 2\r\n\r\n{}"


@contextmanager
def _server(*, stalls_at: int = -1, stall_s: float = 0.0, closes_at: int = -1, silent_at: int = -1) -> Iterator[int]:
    """A server in a thread. At the request of a number it stands still with all of its connections, closes, or says nothing."""
    numbers = itertools.count()
    listener = socket.create_server(("127.0.0.1", 0))
    port: int = listener.getsockname()[1]
    stop = threading.Event()

    transports: list[asyncio.Transport] = []

    class Served(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self._transport = transport
            transports.append(transport)

        def data_received(self, data: bytes) -> None:
            assert data == _REQUEST
            number = next(numbers)
            if number == stalls_at:
                time.sleep(stall_s)  # the defect: everybody waits
            if number == closes_at:
                self._transport.close()
            elif number != silent_at:
                self._transport.write(_REPLY)

    async def run() -> None:
        server = await asyncio.get_running_loop().create_server(Served, sock=listener)
        await asyncio.to_thread(stop.wait)
        for transport in transports:
            transport.abort()
        server.close()
        await server.wait_closed()

    thread = threading.Thread(target=asyncio.run, args=(run(),))
    thread.start()
    try:
        yield port
    finally:
        stop.set()
        thread.join()


def _generator(port: int, *, per_second: float = 200, seconds: float = 1.0, connections: int = 4) -> Generator:
    return Generator("127.0.0.1", port, [_REQUEST], arrivals(per_second, seconds, 1), connections=connections)


async def test_a_server_that_stands_still_for_a_second_shows_at_99_percent() -> None:
    with _server(stalls_at=100, stall_s=1.0) as port:
        run = await _generator(port, seconds=3.0).run()

    # About 200 of 600 were due while it stood still, evenly: one in three waited, half of those longer than half a second.
    assert quantile(run.latency_s, 0.99) > 0.7
    assert 0.2 < sum(latency_s > 0.05 for latency_s in run.latency_s) / len(run.latency_s) < 0.5
    assert run.waited > 100


def test_a_closed_loop_does_not_see_the_same_second() -> None:
    with _server(stalls_at=500, stall_s=1.0) as port:
        crowd = Crowd(port, 4)
        run = crowd.saturate([Asked("quote", _REQUEST)], seconds=3.0)
        crowd.close()

    assert len(run.answers) > 1_000
    assert quantile([one.latency_s for one in run.answers], 0.99) < 0.5


async def test_a_generator_that_stands_still_itself_says_that_the_run_is_invalid() -> None:
    with _server() as port:
        generator = _generator(port)
        asyncio.get_running_loop().call_later(0.5, time.sleep, 0.3)
        run = await generator.run()

    assert max(run.late_s) > 0.2
    report = report_of(run, ["quote"], per_second=200, seconds=1, within_ms=100, late_s_max=0.01)
    assert report.invalid is not None
    assert "INVALID: the generator was late" in as_text(report)


async def test_a_closed_connection_fails_its_request_and_is_opened_again() -> None:
    with _server(closes_at=20) as port:
        run = await _generator(port, connections=1).run()

    assert run.status.count(LOST) == 1
    assert run.status.count(201) == len(run.status) - 1


async def test_a_request_without_an_answer_is_in_the_percentiles_with_all_the_time_that_was_waited() -> None:
    with _server(silent_at=20) as port:
        run = await _generator(port, connections=8).run(grace_s=0.5)

    assert run.status.count(UNANSWERED) == 1
    at = run.status.index(UNANSWERED)
    assert run.latency_s[at] > 1.5 - run.due_s[at] - 0.1
    report = report_of(run, ["quote"], per_second=200, seconds=1, within_ms=5_000, late_s_max=10)
    assert report.failures == {"no answer": 1}
    assert report.goodput_per_second == report.sent - 1


def test_goodput_counts_what_was_served_in_time() -> None:
    run = Run([0.0] * 4, [0.0] * 4, [0.01, 0.2, 0.01, 0.02], [201, 201, 503, 201], 0, 0.1)
    report = report_of(run, ["quote", "prices"], per_second=2, seconds=2, within_ms=100, late_s_max=0.001)

    assert (report.good, report.goodput_per_second, report.failures) == (3, 1.0, {"503": 1})
    assert {kind: one.total for kind, one in report.by_kind.items()} == {"quote": 2, "prices": 2}
    assert report.invalid is None
    assert report.as_json()["latency_us"]["all"]["0.5"] == pytest.approx(10_000, rel=0.01)
    assert as_table(report.all_kinds).splitlines()[-1].endswith(",1,1.000000")


def test_arrivals_are_at_the_rate_and_the_same_for_a_seed() -> None:
    due_s = arrivals(1_000, 10, seed=3)

    assert due_s == arrivals(1_000, 10, seed=3) != arrivals(1_000, 10, seed=4)
    assert 9_500 < len(due_s) < 10_500  # five standard deviations of a Poisson count of 10 000
    assert all(earlier < later for earlier, later in itertools.pairwise(due_s))
    assert due_s[-1] < 10


def _run_late_by(late_s: float, *, of_100: int, bad: int = 0) -> Run:
    late = [late_s] * of_100 + [0.0] * (100 - of_100)
    return Run([0.0] * 100, late, [0.01] * 100, [500] * bad + [201] * (100 - bad), 0, 0.1)


def test_a_generator_may_be_late_once_in_a_hundred() -> None:
    require_punctual(_run_late_by(1.0, of_100=1), late_s_max=0.001)
    require_punctual(_run_late_by(0.001, of_100=100), late_s_max=0.001)


def test_a_generator_that_was_late_more_often_invalidates_the_run() -> None:
    with pytest.raises(InvalidRun, match=r"late.*1\.1 ms"):
        require_punctual(_run_late_by(0.0011, of_100=2), late_s_max=0.001)


def test_a_request_that_failed_invalidates_a_run_of_the_bench() -> None:
    with pytest.raises(InvalidRun, match="3 of 100"):
        require_good(_run_late_by(0.0, of_100=0, bad=3))


def test_a_reply_is_measured_by_its_head() -> None:
    head = b"HTTP/1.1 201 Created\r\nContent-Type: application/json\r\nContent-Length: 4\r\n\r\n"

    assert parse_reply(head + b"{}{}") == (201, len(head) + 4)
    assert parse_reply(head[:-1]) is None


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=60), st.sampled_from(("0.5", "0.9", "0.99", "0.9999")))
def test_a_percentile_of_the_histogram_is_the_exact_one_and_at_most_a_128th_more(values_us: list[int], share: str) -> None:
    found = Histogram(value / 1e6 for value in values_us).quantile_us(share)

    exact = quantile(values_us, float(share))
    assert exact <= found <= exact * (1 + 1 / 128)
