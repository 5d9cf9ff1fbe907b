"""The arithmetic of docs/scaling.md, with numbers worked by hand."""

import pytest

from loadtests.bench.page import NoPlace, between
from loadtests.scale.measure import Holds, Measured, Sample, Standing
from loadtests.scale.plan import Assumed, Rates, need, storage_bytes
from loadtests.scale.tables import measured_tables, plan_tables, rates_of

_RATES = Rates(
    service_us=120.0,
    postgres_us=30.0,
    wal_bytes=6_000.0,
    commits=0.05,
    stored_bytes=5_000.0,
    parquet_bytes=500.0,
    connections=10.0,
    memory_bytes=200e6,
    poll_us_a_second=1_000.0,
    hot_meter_per_second=1_000.0,
    hold_postgres_us=100.0,
)
_ASSUMED = Assumed(0.5, 10, 100e6, 10_000.0, 400, 0.1, 0.2)


def test_a_hundred_thousand_quotes_a_second() -> None:
    found = need(100_000, _RATES, _ASSUMED)

    # 100 000 x 120 µs are 12 cores busy, 24 at half; ten connections and 200 MB each.
    assert (found.processes, found.connections, found.memory_bytes) == (24, 240, 4.8e9)
    # 3 cores for quotes, 10 000 holds x 100 µs are 1, and 24 polls of a millisecond.
    assert found.postgres_cores == pytest.approx(3 + 1 + 0.024)
    assert found.wal_bytes_per_second == 600e6
    # 2 000 holds a second on a meter that takes 500 at half of its rate.
    assert found.hot_caps == 4
    assert found.servers_for == pytest.approx({"CPU": 4.024 / 5, "WAL": 12.0, "commits": 1.0, "connections": 1.2})
    assert (found.first, found.servers) == ("WAL", 12)


def test_little_needs_one_of_everything() -> None:
    found = need(1, _RATES, _ASSUMED)

    assert (found.processes, found.hot_caps, found.servers) == (1, 1, 1)


def test_what_is_kept_of_a_month() -> None:
    # 10 000 x 500 bytes are 5 MB a second, 432 GB a day.
    assert storage_bytes(10_000, 500.0, 30) == 12_960e9


def test_the_tables_are_made_of_the_medians() -> None:
    samples = [Sample(1_000.0 * n, 60.0, 30.0, 10.0, 6_000.0, 0.05, 5_000.0 + n) for n in (1, 2, 9)]
    slower = [one._replace(per_second=one.per_second / 2) for one in samples]
    holds = {"1 lane, one hot meter": [Holds(9_000.0, 50.0, 80.0, 20.0)]}
    measured = Measured({"first": samples, "second": slower}, holds, Standing(7.0, 100e6, 1_000.0), None)

    text = measured_tables(measured)
    assert "| first | 2 000, 1.00 (1.00 … 1.00)× | 60 | 30 | 10 | 6 000 | 0.050 | 5 002 |" in text
    assert "| second | 1 000, 0.50 (0.50 … 0.50)× |" in text
    rates = rates_of(measured, quotes="first")
    assert (rates.stored_bytes, rates.hot_meter_per_second, rates.parquet_bytes) == (5_002.0, 9_000.0, None)
    plan = plan_tables(rates, _ASSUMED, quotes="first")
    assert "| WAL | 60 MB/s | 600 MB/s | 6 GB/s |" in plan
    assert "| what saturates first | WAL | WAL | WAL |" in plan
    assert "Parquet" not in plan


def test_a_text_replaces_what_stood_between_its_marks() -> None:
    marks = ("<!-- a: begin", "<!-- a: end")

    assert (
        between("x\n<!-- a: begin -->\nold\n<!-- a: end -->\ny", "new", marks) == "x\n<!-- a: begin -->\nnew\n<!-- a: end -->\ny"
    )
    with pytest.raises(NoPlace, match="a: begin"):
        between("x", "new", marks)
