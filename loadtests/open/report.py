"""What a run came to: percentiles, failures by status, goodput, and whether the run says anything."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from loadtests.bench.stats import InvalidRun, quantile, thousands
from loadtests.open.histogram import SHARES, Histogram
from loadtests.open.model import LOST, UNANSWERED, Run, is_good, require_punctual

_WORDS: Final = {LOST: "connection closed", UNANSWERED: "no answer"}


class Report(NamedTuple):
    """Of one run. `goodput_per_second` counts requests that were served within the bound; `invalid` says why the run means nothing."""

    per_second: float
    seconds: float
    sent: int
    good: int
    goodput_per_second: float
    within_ms: float
    failures: dict[str, int]
    waited: int
    late_p99_ms: float
    late_max_ms: float
    generator_cpu: float
    invalid: str | None
    by_kind: dict[str, Histogram]
    all_kinds: Histogram

    def as_json(self) -> dict[str, Any]:
        """The same for programs, percentiles in place of the histograms."""
        kept = {name: value for name, value in self._asdict().items() if name not in ("by_kind", "all_kinds")}
        return kept | {
            "latency_us": {name: _percentiles(one) for name, one in {**self.by_kind, "all": self.all_kinds}.items() if one.total}
        }


def report_of(
    run: Run, kinds: Sequence[str], *, per_second: float, seconds: float, within_ms: float, late_s_max: float
) -> Report:
    """The report; `kinds` are those of the requests, sent in turn. Every request is in the percentiles, whether it was served or not: one
    that was never answered with the time until it was given up."""
    try:
        require_punctual(run, late_s_max=late_s_max)
        invalid = None
    except InvalidRun as problem:
        invalid = str(problem)
    kind_of = [kinds[number % len(kinds)] for number in range(len(run.status))]
    by_kind = {
        kind: Histogram(latency for latency, one in zip(run.latency_s, kind_of, strict=True) if one == kind)
        for kind in sorted(set(kind_of))
    }
    goodput = sum(
        is_good(status) and latency_s * 1e3 <= within_ms for status, latency_s in zip(run.status, run.latency_s, strict=True)
    )
    failed = Counter(_WORDS.get(status, str(status)) for status in run.status if not is_good(status))
    return Report(
        per_second,
        seconds,
        len(run.status),
        sum(map(is_good, run.status)),
        goodput / seconds,
        within_ms,
        dict(failed),
        run.waited,
        quantile(run.late_s, 0.99) * 1e3,
        max(run.late_s) * 1e3,
        run.generator_cpu,
        invalid,
        by_kind,
        Histogram(run.latency_s),
    )


def as_text(report: Report) -> str:
    """The report for people."""
    served = (
        f"{thousands(report.sent)} requests at {report.per_second:g} a second for {report.seconds:g} s; {thousands(report.good)} served;"
        f" goodput {report.goodput_per_second:.1f} a second within {report.within_ms:g} ms"
    )
    lines = [
        served,
        f"{'ms':>10}" + "".join(f"{float(share) * 100:>10g} %" for share in SHARES) + f"{'highest':>12}",
    ]
    for name, histogram in {**report.by_kind, "all": report.all_kinds}.items():
        highest = max(bucket.upper_us for bucket in histogram.buckets())
        cells = [f"{histogram.quantile_us(share) / 1e3:>12.2f}" for share in SHARES] + [f"{highest / 1e3:>12.2f}"]
        lines.append(f"{name:>10}" + "".join(cells))
    lines += [f"{thousands(count)} failed: {what}" for what, count in sorted(report.failures.items())]
    if report.waited:
        lines.append(
            f"{thousands(report.waited)} waited for a free connection, which is in their latency; --connections gives more"
        )
    late = f"late by {report.late_p99_ms:.2f} ms at 99 %, {report.late_max_ms:.2f} ms at most"
    lines.append(f"the generator: {late}; {report.generator_cpu:.0%} of a core")
    if report.invalid is not None:
        lines.append(f"INVALID: {report.invalid}. These figures are the generator's, not the service's.")
    return "\n".join(lines)


def as_table(histogram: Histogram) -> str:
    """The histogram for other programs: upper end of each bucket in microseconds, count, share up to there."""
    rows = [f"{bucket.upper_us},{bucket.n},{bucket.cumulative / histogram.total:.6f}" for bucket in histogram.buckets()]
    return "\n".join(["upper_us,count,share", *rows]) + "\n"


def _percentiles(histogram: Histogram) -> dict[str, int]:
    return {share: histogram.quantile_us(share) for share in SHARES}
