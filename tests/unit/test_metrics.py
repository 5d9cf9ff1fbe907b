"""Plain integers in, Prometheus's text out, and never more series than were planned."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.metrics import Counter, Histogram, Label, Metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def test_a_histogram_is_cumulative_and_a_bound_belongs_to_its_bucket() -> None:
    histogram = Histogram("h", "", bounds=(1.0, 2.0))
    for value in (0.5, 1.0, 1.5, 99.0):
        histogram.at().observe(value)

    rendered = {sample.labels.get("le", sample.name): sample.value for sample in histogram.collect().samples}

    assert rendered == {"1.0": 2, "2.0": 3, "+Inf": 4, "h_count": 4, "h_sum": 102.0}


def test_values_beyond_the_room_are_counted_together() -> None:
    counter = Counter("c_total", "", Label("channel", ("web",), room=2))
    for channel in ("web", "a", "b", "c", "d", "x" * 100):
        counter.at(channel).n += 1

    assert {values[0]: cell.n for values, cell in counter.cells()} == {"web": 1, "a": 1, "b": 1, "other": 3}


def test_the_number_of_labels_is_held() -> None:
    with pytest.raises(ValueError, match="channel"):
        Counter("c_total", "", Label("channel")).at("a", "b")


def test_the_text_holds_what_was_counted() -> None:
    metrics = Metrics()
    metrics.quotes.at("web", "priced").n += 3
    metrics.flush_seconds.at().observe(0.002)
    metrics.gauge("pricing_book_version", "", lambda: 42)
    metrics.gauge("pricing_pool_connections", "", lambda: {"idle": 2}, label="state")

    found = samples(metrics)

    assert found["pricing_quotes_total", (("channel", "web"), ("outcome", "priced"))] == 3
    assert found["pricing_flush_seconds_count", ()] == 1
    assert found["pricing_book_version", ()] == 42
    assert found["pricing_pool_connections", (("state", "idle"),)] == 2


def test_odd_channels_cannot_grow_the_series() -> None:
    metrics = Metrics(channel_room=5)
    for n in range(10_000):
        metrics.quotes.at(f"made-up-{n}", "priced").n += 1

    channels = {dict(labels)["channel"] for name, labels in samples(metrics) if name == "pricing_quotes_total"}

    assert len(channels) == 6
    assert "other" in channels
