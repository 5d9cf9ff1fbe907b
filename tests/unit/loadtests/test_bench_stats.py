"""What the bench makes of what it measured. No test here measures anything."""

import pytest

from loadtests.bench.exposition import buckets_between, median_of_buckets, value_of
from loadtests.bench.stats import (
    TITLES,
    Figure,
    Reach,
    Spread,
    Unmeasured,
    as_markdown,
    as_short_markdown,
    is_reached,
    quantile,
    ratios,
    spread,
)


def test_spread_is_the_median_between_the_lowest_and_the_highest() -> None:
    assert spread([4.0, 9.0, 1.0]) == Spread(4.0, 1.0, 9.0)


def test_ratios_compare_round_by_round() -> None:
    """The second round was half as fast for both, which changes no ratio. Of the medians it would be 60 / 100."""
    assert ratios([60.0, 30.0, 70.0], [100.0, 50.0, 100.0]) == Spread(0.6, 0.6, 0.7)


def test_ratios_refuse_rounds_without_a_partner() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratios([1.0, 2.0], [1.0])


@pytest.mark.parametrize(("share", "expected"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.99, 99), (0.995, 100), (1.0, 100)])
def test_quantile_is_a_value_that_was_measured(share: float, expected: int) -> None:
    assert quantile(list(range(100, 0, -1)), share) == expected


def test_a_figure_reaches_its_bound_on_either_side() -> None:
    at_bound = Figure("P1", "", Spread(0.6, 0.5, 0.7), "", Reach("at_least", 0.6), "")
    above = at_bound._replace(reach=Reach("at_most", 0.5))
    shown = at_bound._replace(reach=None)

    assert [is_reached(figure) for figure in (at_bound, above, shown)] == [True, False, None]


def test_table_says_what_was_not_measured() -> None:
    table = as_markdown(
        [Figure("P3", "CPU", Spread(1.2, 1.1, 1234.0), "×", Reach("at_most", 1.15), "2 µs"), Unmeasured("P5", "late")],
        "now",
    )

    assert table.splitlines()[2:] == [
        "| P3 | CPU | **1.20**× (1.10 … 1 234) | ≤ 1.15× | **no** | 2 µs | now |",
        "| P5 | not measured: late | | | | | now |",
    ]


def test_the_short_table_has_a_line_for_each_number_with_what_must_be_reached() -> None:
    p14 = Figure("P14", "from the database", Spread(4.0, 3.0, 5.0), " s", Reach("at_most", 2.0), "")
    from_disk = p14._replace(value=Spread(0.9, 0.8, 1.0), reach=Reach("at_most", 1.0))
    table = as_short_markdown([p14, from_disk, p14._replace(reach=None), Unmeasured("P5", "late")])

    assert table.splitlines()[2:] == [
        "| P14 | start to ready with 100 000 SKUs: from the database; from the disk | 4.00 s; 0.90 s | ≤ 2.00 s; ≤ 1.00 s | **no**; yes |",
        f"| P5 | {TITLES['P5']} | not measured | not measured | not measured |",
    ]


_BEFORE = """\
# HELP flush_seconds Time.
flush_seconds_bucket{le="0.001"} 10.0
flush_seconds_bucket{le="0.002"} 20.0
flush_seconds_bucket{le="+Inf"} 20.0
flush_seconds_count 20.0
flush_seconds_sum 0.03
other_bucket{le="0.001"} 7.0
"""
_AFTER = """\
flush_seconds_bucket{le="0.001"} 11.0
flush_seconds_bucket{le="0.002"} 24.0
flush_seconds_bucket{le="+Inf"} 24.0
flush_seconds_count 24.0
flush_seconds_sum 0.04
other_bucket{le="0.001"} 9.0
"""


def test_buckets_between_scrapes_are_those_of_one_histogram() -> None:
    assert buckets_between(_BEFORE, _AFTER, "flush_seconds") == {0.001: 1.0, 0.002: 4.0, float("inf"): 4.0}


def test_median_lies_evenly_within_its_bucket() -> None:
    """Of four, one below 1 ms and three up to 2 ms: the second of four is one third into the bucket."""
    median = median_of_buckets(buckets_between(_BEFORE, _AFTER, "flush_seconds"))

    assert median == pytest.approx(0.001 + 0.001 / 3)


def test_median_of_nothing_is_an_error() -> None:
    with pytest.raises(LookupError):
        median_of_buckets(buckets_between(_AFTER, _AFTER, "flush_seconds"))


def test_a_sample_is_found_by_its_whole_name() -> None:
    assert value_of(_BEFORE, "flush_seconds_count") == 20.0
    with pytest.raises(LookupError):
        value_of(_BEFORE, "flush_seconds")
