"""Metrics as plain integers, folded into prometheus-client's text only at scrape.

A cell is one attribute on one object: `cell.n += 1` costs a fraction of a microsecond. Everything here is touched by the event loop's
thread alone; a scrape in another thread reads each integer whole and may see two of them a few requests apart, which is harmless.
Label values are bounded when a metric is made: what does not fit is counted under `other`, so no input can grow the number of series.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

OTHER = "other"
SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
REFUSED = (
    "load_hold",
    "load_quote",
    "load_preview",
    "load_batch",
    "load_control",
    "connections",
    "address",
    "key_rate",
    "key_concurrency",
)
# Those of guardrails, which tell how prices are made; here they are names only.
BOUNDS = ("floor", "min_margin", "max_discount", "map", "ceiling")
CURRENCY_ROOM = 10
ROWS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 4096.0)


class Cell:
    """One counter: add to `n`."""

    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0


class Buckets:
    """One histogram: `observe` a value into fixed, cumulative-at-scrape buckets."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Counts `value`; a bucket's bound belongs to the bucket."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Label:
    """The values one label may take: `known` ones, and up to `room` more in order of arrival; the rest are `other`."""

    __slots__ = ("name", "vacancies", "values")

    def __init__(self, name: str, known: Iterable[str] = (), *, room: int = 0) -> None:
        self.name = name
        self.values = dict.fromkeys(known)
        self.vacancies = room

    def admit(self, value: str) -> str:
        if value in self.values:
            return value
        if self.vacancies <= 0 or len(value) > 64:
            return OTHER
        self.vacancies -= 1
        self.values[value] = None
        return value


class _Family[C]:
    """Cells by label values, at most the product of the labels' bounds.

    They are made on first use, but at once where all values of all labels are known: a series that begins at 1 has not risen to it.
    """

    def __init__(self, name: str, description: str, labels: Sequence[Label], make: Callable[[], C]) -> None:
        self.name = name
        self.description = description
        self.labels = tuple(labels)
        self._make = make
        self._cells: dict[tuple[str, ...], C] = {}
        if not any(label.vacancies for label in self.labels):
            self._cells = {values: make() for values in product(*(label.values for label in self.labels))}

    def at(self, *values: str) -> C:
        """The cell for these label values, in the order of the labels. Keep it where the values are fixed."""
        cell = self._cells.get(values)
        if cell is None:
            if len(values) != len(self.labels):
                raise ValueError(f"{self.name} has the labels {[label.name for label in self.labels]}")
            admitted = tuple(label.admit(value) for label, value in zip(self.labels, values, strict=True))
            cell = self._cells.get(admitted)
            if cell is None:
                cell = self._cells[admitted] = self._make()
        return cell

    def cells(self) -> list[tuple[tuple[str, ...], C]]:
        return list(self._cells.items())


class Counter(_Family[Cell]):
    """Counts what happened; the name ends in `_total`."""

    def __init__(self, name: str, description: str, *labels: Label) -> None:
        super().__init__(name, description, labels, Cell)

    def collect(self) -> Metric:
        family = CounterMetricFamily(self.name, self.description, labels=[label.name for label in self.labels])
        for values, cell in self.cells():
            family.add_metric(values, cell.n)
        return family


class Histogram(_Family[Buckets]):
    """Distributes what was measured over fixed buckets."""

    def __init__(self, name: str, description: str, *labels: Label, bounds: Sequence[float] = SECONDS) -> None:
        super().__init__(name, description, labels, lambda: Buckets(bounds))

    def collect(self) -> Metric:
        family = HistogramMetricFamily(self.name, self.description, labels=[label.name for label in self.labels])
        for values, cell in self.cells():
            running = 0
            buckets: list[tuple[str, float]] = []
            for bound, count in zip((*map(str, cell.bounds), "+Inf"), list(cell.counts), strict=True):
                running += count
                buckets.append((bound, running))
            family.add_metric(values, buckets, cell.total)
        return family


class Gauge:
    """A value read at scrape. `read` returns a number, or numbers by the value of the one `label`."""

    def __init__(
        self, name: str, description: str, read: Callable[[], float | Mapping[str, float]], *, label: str | None = None
    ) -> None:
        self.name = name
        self.description = description
        self.label = label
        self._read = read

    def collect(self) -> Metric:
        value = self._read()
        family = GaugeMetricFamily(self.name, self.description, labels=[self.label] if self.label else [])
        if isinstance(value, Mapping):
            for name, number in value.items():
                family.add_metric([name], number)
        else:
            family.add_metric([], value)
        return family


class _Collects(Protocol):
    def collect(self) -> Metric: ...


class Metrics(Collector):
    """All of one process's metrics. One object is made by main and handed to whoever counts."""

    def __init__(self, *, channel_room: int = 20) -> None:
        endpoint = Label("endpoint", room=200)
        status = Label("status", ("1xx", "2xx", "3xx", "4xx", "5xx"))
        door = ("quote", "batch", "prices", "preview")
        self._metrics: list[_Collects] = []
        self.requests = self._counter("pricing_requests_total", "Requests by route and class of status.", endpoint, status)
        self.request_errors = self._counter(
            "pricing_request_errors_total", "Problems answered, by type.", Label("problem", room=60)
        )
        self.refused = self._counter(
            "pricing_refused_total",
            "Requests and connections sent away before anything was done for them, by reason.",
            Label("reason", REFUSED),
        )
        self.request_seconds = self._histogram(
            "pricing_request_seconds", "Time to answer, by route.", Label("endpoint", room=200)
        )
        self.lane_rows = self._histogram("pricing_lane_batch_rows", "Baskets priced and stored together.", bounds=ROWS)
        self.lane_wait_seconds = self._histogram("pricing_lane_wait_seconds", "Time a basket waited to be taken by the lane.")
        self.lane_refused = self._counter("pricing_lane_refused_total", "Baskets refused because the lane was full.")
        self.flush_seconds = self._histogram("pricing_flush_seconds", "Time to store one batch of decisions and commit.")
        self.flush_failures = self._counter(
            "pricing_flush_failures_total", "Flushes that failed and were driven again or given up."
        )
        self.spooled = self._counter("pricing_spooled_total", "Decisions written to the local log instead of the database.")
        self.drained = self._counter("pricing_spool_drained_total", "Decisions of the local log that the database has got.")
        self.price_seconds = self._histogram("pricing_kernel_seconds", "Time to price one batch.")
        self.compile_seconds = self._histogram("pricing_book_compile_seconds", "Time to load and compile a price book.")
        self.book_refusals = self._counter("pricing_book_refusals_total", "Versions that did not compile and were not taken.")
        self.quotes = self._counter(
            "pricing_quotes_total",
            "Baskets answered, by channel and outcome.",
            Label("channel", ("",), room=channel_room),
            Label("outcome", ("priced", "partial", "refused", "unavailable", "replayed")),
        )
        self.discount_minor = self._counter(
            "pricing_discount_minor_total", "Minor units taken off, by kind of promotion, all currencies.", Label("kind", room=40)
        )
        # Who asks may name any channel; only currencies with prices are priced in.
        money = Label("channel", ("",), room=channel_room), Label("currency", room=CURRENCY_ROOM)
        tax = Label("tax", ("included", "excluded"))
        self.subtotal_minor = self._counter(
            "pricing_subtotal_minor_total", "Minor units of priced baskets before discounts, by channel and currency.", *money
        )
        self.merchandise_minor = self._counter(
            "pricing_merchandise_minor_total", "Minor units of priced baskets after discounts, without shipping.", *money
        )
        self.costed_minor = self._counter(
            "pricing_costed_minor_total",
            "The part of the merchandise whose cost is known, by whether its prices include tax.",
            *money,
            tax,
        )
        self.cost_minor = self._counter("pricing_cost_minor_total", "What that part costs.", *money, tax)
        self.held_lines = self._counter(
            "pricing_held_lines_total",
            "Lines of quotes whose price a bound of a guardrail has moved, or kept promotions from moving.",
            Label("bound", BOUNDS),
        )
        self.lines = self._counter("pricing_lines_total", "Lines priced, by door.", Label("door", door))
        lane = Label("lane", ("holds", "changes"))
        self.redemptions = self._counter(
            "pricing_redemptions_total",
            "Holds, and confirms, releases and returns of them, by what came of them.",
            lane,
            Label("outcome", room=30),
        )
        self.redemption_rows = self._histogram(
            "pricing_redemption_batch_rows", "Holds, or changes of them, that were stored together.", lane, bounds=ROWS
        )
        self.redemption_seconds = self._histogram(
            "pricing_redemption_flush_seconds", "Time to decide and store one batch of holds, or of changes, and commit.", lane
        )
        self.holds_expired = self._counter(
            "pricing_holds_expired_total", "Holds that were given back because their time was over."
        )
        self.selection_bounded = self._counter(
            "pricing_selection_bounded_total", "Quotes for which not every combination of promotions was tried."
        )
        self.loop_lag_seconds = self._histogram("pricing_loop_lag_seconds", "How late the event loop woke a timer.")
        self.background_failures = self._counter(
            "pricing_background_failures_total", "Failures of background tasks, which go on.", Label("task", room=30)
        )
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def _counter(self, name: str, description: str, *labels: Label) -> Counter:
        counter = Counter(name, description, *labels)
        self._metrics.append(counter)
        return counter

    def _histogram(self, name: str, description: str, *labels: Label, bounds: Sequence[float] = SECONDS) -> Histogram:
        histogram = Histogram(name, description, *labels, bounds=bounds)
        self._metrics.append(histogram)
        return histogram

    def gauge(
        self, name: str, description: str, read: Callable[[], float | Mapping[str, float]], *, label: str | None = None
    ) -> None:
        """Adds a value that is read at scrape, in the scraping thread; `read` must be cheap and must not block."""
        self._metrics.append(Gauge(name, description, read, label=label))

    def expect_endpoint(self, endpoint: str) -> None:
        """Begins the series of a route at 0, so that its first failure is a rise."""
        for status in ("2xx", "4xx", "5xx"):
            self.requests.at(endpoint, status)

    def expect_task(self, task: str) -> None:
        """Does the same for a background task."""
        self.background_failures.at(task)

    def collect(self) -> Iterator[Metric]:
        for metric in self._metrics:
            yield metric.collect()

    def render(self) -> bytes:
        """The text exposition of everything; takes milliseconds, so call it in a thread."""
        return generate_latest(self._registry)
