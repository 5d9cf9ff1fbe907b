"""The tables of docs/scaling.md: what was measured, and what follows from it for each target."""

from collections.abc import Callable, Iterable, Sequence

from loadtests.bench.stats import Spread, ratios, spread, thousands
from loadtests.scale.measure import Holds, Measured, Sample
from loadtests.scale.plan import RETENTION_DAYS, TARGETS, Assumed, Need, Rates, need, storage_bytes


def rates_of(measured: Measured, *, quotes: str) -> Rates:
    """Medians of an arm of quotes, and of the lane on one hot meter."""
    samples = measured.quotes[quotes]
    hot = measured.holds["1 lane, one hot meter"]
    return Rates(
        _median(samples, lambda one: one.service_us),
        _median(samples, lambda one: one.postgres_us),
        _median(samples, lambda one: one.wal_bytes),
        _median(samples, lambda one: one.commits),
        _median(samples, lambda one: one.stored_bytes),
        measured.parquet_bytes,
        measured.standing.connections,
        measured.standing.memory_bytes,
        measured.standing.poll_us_a_second,
        _median(hot, lambda one: one.per_second),
        _median(hot, lambda one: one.postgres_us),
    )


def measured_tables(measured: Measured) -> str:
    """What a quote and a hold take, each beside the first arm of the same rounds."""
    first = next(iter(measured.quotes.values()))
    lines = [
        "| quotes | quotes/s, against the first row | service µs | Postgres µs | wrk µs | WAL bytes | commits | stored bytes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, samples in measured.quotes.items():
        against = ratios([one.per_second for one in samples], [one.per_second for one in first])
        cells = [
            f"{thousands(_median(samples, lambda one: one.per_second))}, {_spread(against)}×",
            *(thousands(_median(samples, value)) for value in (lambda one: one.service_us, lambda one: one.postgres_us)),
            thousands(_median(samples, lambda one: one.generator_us)),
            thousands(_median(samples, lambda one: one.wal_bytes)),
            f"{_median(samples, lambda one: one.commits):.3f}",
            thousands(_median(samples, lambda one: one.stored_bytes)),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    base = next(iter(measured.holds.values()))
    lines += [
        "",
        "| holds | holds/s, against the first row | p99 ms | lane and clients µs | Postgres µs |",
        "|---|---|---|---|---|",
    ]
    for name, runs in measured.holds.items():
        against = ratios([one.per_second for one in runs], [one.per_second for one in base])
        cells = [
            f"{thousands(_median(runs, lambda one: one.per_second))}, {_spread(against)}×",
            *(thousands(_median(runs, value)) for value in (lambda one: one.p99_ms, lambda one: one.lane_us)),
            thousands(_median(runs, lambda one: one.postgres_us)),
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    standing = measured.standing
    parquet = (
        "not measured, as pyarrow is not installed"
        if measured.parquet_bytes is None
        else f"{thousands(measured.parquet_bytes)} bytes"
    )
    idle = (
        f"A process that nobody asks has {standing.connections:.0f} connections and {standing.memory_bytes / 1e6:.0f} MB, and its polling and"
        f" listening take {thousands(standing.poll_us_a_second)} µs of Postgres's CPU a second. A decision as Parquet: {parquet}."
    )
    return "\n".join([*lines, "", idle])


def plan_tables(rates: Rates, assumed: Assumed, *, quotes: str) -> str:
    """What each target needs, and what it keeps."""
    needs = [need(target, rates, assumed) for target in TARGETS]
    rows: list[tuple[str, Callable[[Need], str]]] = [
        ("service processes, one a core", lambda one: thousands(one.processes)),
        ("their memory, each with the whole book", lambda one: _bytes(one.memory_bytes)),
        ("connections to Postgres", lambda one: thousands(one.connections)),
        ("cores of Postgres", lambda one: f"{one.postgres_cores:.1f}"),
        ("of them for polling and listening", lambda one: f"{one.poll_cores:.2f}"),
        ("WAL", lambda one: f"{_bytes(one.wal_bytes_per_second)}/s"),
        ("commits a second, at most", lambda one: thousands(one.commits_per_second)),
        ("holds a second", lambda one: thousands(one.holds_per_second)),
        ("parts of the hottest meter's cap", lambda one: str(one.hot_caps)),
        *(
            (f"servers of Postgres for {name}", lambda one, name=name: f"{one.servers_for[name]:.2f}")
            for name in needs[0].servers_for
        ),
        ("what saturates first", lambda one: one.first),
        ("**servers of Postgres**", lambda one: f"**{one.servers}**"),
    ]
    head = f"| quotes a second | {' | '.join(thousands(target) for target in TARGETS)} |"
    rule = "|---" * (len(TARGETS) + 1) + "|"
    lines = [f"From the row *{quotes}*; {_assumed(assumed)}.", "", head, rule]
    lines += [f"| {name} | {' | '.join(map(cell, needs))} |" for name, cell in rows]
    lines += ["", f"| kept at quotes a second of | {' | '.join(map(thousands, TARGETS))} |", rule]
    for what, size in (("in Postgres", rates.stored_bytes), ("as Parquet", rates.parquet_bytes)):
        if size is not None:
            lines += [f"| {days} days {what} | {_cells(size, days)} |" for days in RETENTION_DAYS]
    return "\n".join(lines)


def _cells(size: float, days: int) -> str:
    return " | ".join(_bytes(storage_bytes(target, size, days)) for target in TARGETS)


def _assumed(assumed: Assumed) -> str:
    return (
        f"planned to be busy for {assumed.utilisation:.0%}; a server of Postgres with {assumed.cores} cores, {_bytes(assumed.wal_bytes_per_second)}"
        f" of WAL a second, {thousands(assumed.commits_per_second)} commits a second and {assumed.connections} connections;"
        f" {assumed.holds_a_quote:g} holds a quote, {assumed.on_the_hot_meter:.0%} of them on the hottest meter"
    )


def _bytes(value: float) -> str:
    """
    >>> _bytes(12_340_000), _bytes(999), _bytes(2.5e15)
    ('12.3 MB', '999 B', '2.5 PB')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if value < 1_000:
            return f"{value:.3g} {unit}"
        value /= 1_000
    return f"{value:,.3g} PB" if value < 1_000 else f"{thousands(value)} PB"


def _spread(found: Spread) -> str:
    return f"{found.median:.2f} ({found.low:.2f} … {found.high:.2f})"


def _median[T: (Sample, Holds)](runs: Sequence[T], value: Callable[[T], float]) -> float:
    return spread(_values(runs, value)).median


def _values[T](runs: Iterable[T], value: Callable[[T], float]) -> list[float]:
    return [value(one) for one in runs]
