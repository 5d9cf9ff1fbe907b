"""P5 and P10: latency of quotes that arrive at their own times, without and with something else going on."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from loadtests.bench.exposition import buckets_between, median_of_buckets, value_of
from loadtests.bench.plan import Plan
from loadtests.bench.processes import cores
from loadtests.bench.rig import Service, Shop, ask_all, baskets, serving, settle, write_lines
from loadtests.bench.stats import Figure, Reach, quantile, ratios, retried, spread, thousands
from loadtests.open.model import Job, Run, require_good, require_punctual

_PER_SECOND: Final = 1_000.0
_PER_SECOND_PUBLISHING: Final = 200.0
_PAUSE_S: Final = 0.25
# What a document that is shown has besides the body that was put.
_ADDED: Final = ("id", "revision", "version", "draft", "deleted")
_MS: Final = "{:.0f} ms for the whole book, at the start"
_COMPILE: Final = "pricing_book_compile_seconds"


def log_rows(plan: Plan, shop: Shop) -> list[Figure]:
    """P5: what the durable log adds to the latency at 1 000 a second."""
    bodies = baskets(plan.n_baskets, plan.n_skus)
    file = str(write_lines(shop.folder / "baskets.jsonl", bodies))
    runs: dict[str, list[Run]] = {"/v1/quotes": [], "/v1/preview": []}
    flushes_s = []
    with serving(shop, core=cores().server) as service:
        for path in runs:
            ask_all(service, path, bodies)
        for number in range(plan.rounds):
            settle(shop)
            before = service.metrics()
            for path, found in runs.items():
                job = Job(service.port, path, file, list(service.headers), _PER_SECOND, plan.seconds, number)
                found.append(_punctual(partial(_run, job), plan))
            flushes_s.append(median_of_buckets(buckets_between(before, service.metrics(), "pricing_flush_seconds")))
    median = {path: [quantile(run.latency_s, 0.5) for run in found] for path, found in runs.items()}
    p99 = {path: [quantile(run.latency_s, 0.99) for run in found] for path, found in runs.items()}
    added_ms = [(own - other) * 1e3 for own, other in zip(median["/v1/quotes"], median["/v1/preview"], strict=True)]
    added_flushes = [
        (own - other) / flush_s for own, other, flush_s in zip(p99["/v1/quotes"], p99["/v1/preview"], flushes_s, strict=True)
    ]
    beside = f"{_ms(median['/v1/quotes'])} against {_ms(median['/v1/preview'])} ms"
    flush = f"p99 {_ms(p99['/v1/quotes'])} against {_ms(p99['/v1/preview'])} ms"
    flush += f"; the median of a flush is {_ms(flushes_s)} ms, by the buckets of /metrics"
    return [
        Figure(
            "P5",
            "median latency that the durable log adds, 1 000 quotes/s",
            spread(added_ms),
            " ms",
            Reach("at_most", 1.0),
            beside,
        ),
        Figure("P5", "p99 that it adds, in medians of a flush", spread(added_flushes), "", Reach("at_most", 3.0), flush),
    ]


def publish_rows(plan: Plan, shop: Shop) -> list[Figure]:
    """P10: rounds of quotes in peace, and of quotes while one changed promotion after another is published."""
    file = str(write_lines(shop.folder / "baskets.jsonl", baskets(plan.n_baskets, plan.n_skus)))
    calm_p99, busy_p99, compile_ms, changes = [], [], [], 0
    # Without the book on its disk a service compiles all of it, which is the reference.
    (shop.folder / "data" / "last-good-book").unlink(missing_ok=True)
    with serving(shop, core=cores().server) as service:
        whole_ms = value_of(service.metrics(), f"{_COMPILE}_sum") * 1e3
        with service.client() as api:
            shown = api.call("GET", "/v1/promotions/p0")
        body = {name: value for name, value in shown.items() if name not in _ADDED}
        for number in range(plan.rounds + 1):
            job = Job(service.port, "/v1/quotes", file, list(service.headers), _PER_SECOND_PUBLISHING, plan.seconds, number)
            calm = _punctual(partial(_run, job), plan)
            before = service.metrics()
            busy = _punctual(partial(_while_publishing, service, body, job), plan)
            after = service.metrics()
            # The first round warms up.
            if number:
                n = value_of(after, f"{_COMPILE}_count") - value_of(before, f"{_COMPILE}_count")
                changes += round(n)
                compile_ms.append((value_of(after, f"{_COMPILE}_sum") - value_of(before, f"{_COMPILE}_sum")) / n * 1e3)
                calm_p99.append(quantile(calm.latency_s, 0.99))
                busy_p99.append(quantile(busy.latency_s, 0.99))
    beside = f"{changes} publications, one after another with pauses of {_PAUSE_S:g} s"
    p99 = f"{_ms(busy_p99)} against {_ms(calm_p99)} ms at {_PER_SECOND_PUBLISHING:g} quotes/s"
    return [
        Figure(
            "P10",
            f"work off the loop to publish one changed rule of {thousands(plan.n_promotions * 10)}",
            spread(compile_ms),
            " ms",
            Reach("at_most", 20.0),
            beside,
        ),
        Figure(
            "P10",
            "the same / compiling all of it",
            spread([own / whole_ms for own in compile_ms]),
            "×",
            None,
            _MS.format(whole_ms),
        ),
        Figure("P10", "p99 of quotes meanwhile / before", ratios(busy_p99, calm_p99), "×", Reach("at_most", 1.2), p99),
    ]


def _run(job: Job) -> Run:
    command = ["taskset", "-c", str(cores().load), sys.executable, "-m", "loadtests.open.model"]
    done = subprocess.run(
        command, input=json.dumps(job._asdict()), stdout=subprocess.PIPE, text=True, timeout=job.seconds + 90, check=True
    )
    return Run(*json.loads(done.stdout))


def _punctual(measure: Callable[[], Run], plan: Plan) -> Run:
    """A run in which every request succeeded and whose generator was on time. Raises InvalidRun when none of three was."""

    def valid() -> Run:
        run = measure()
        require_good(run)
        require_punctual(run, late_s_max=plan.late_s_max)
        return run

    return retried("arrivals", valid)


def _while_publishing(service: Service, body: dict[str, object], job: Job) -> Run:
    """The run, with a thread beside it that changes one promotion and publishes it, again and again."""
    over = threading.Event()
    failures: list[BaseException] = []

    def publish() -> None:
        try:
            with service.client() as api:
                number = 0
                while not over.wait(_PAUSE_S):
                    number += 1
                    changed = {**body, "name": f"Promotion changed {job.seed}.{number}"}
                    api.call("PUT", "/v1/promotions/p0", query={"publish": "now"}, body=json.dumps(changed).encode())
        except BaseException as error:  # noqa: BLE001 - told to the thread that waits for this one
            failures.append(error)

    publisher = threading.Thread(target=publish)
    publisher.start()
    try:
        run = _run(job)
    finally:
        over.set()
        publisher.join()
    if failures:
        raise failures[0]
    return run


def _ms(seconds: list[float]) -> str:
    return f"{spread(seconds).median * 1e3:.2f}"
