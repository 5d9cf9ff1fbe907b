"""Ten times what the service can do, offered at its own times: what is still served, in what time, and what the rest is told.

    python -m loadtests.overload [--seconds N] [--rounds N] [--connections N] [--factor N] [--quick]

Each round measures the peak with a closed loop, then offers `factor` times as many quotes a second at random times, whatever the service does, with
one confirm in a hundred among them in both, and then measures the peak once more: what the machine does beside it is in all three, so the ratio is
what counts.
Latency counts from the instant a request was meant to be sent. Goodput is quotes that were answered 201 within a second, by the time of their
answer; the first second of each run, in which the connections fill up, is not counted. At the end the same is offered to the service with its
admission set out of reach, which shows what that is for. A request that finds all of the crowd's connections busy is counted as crowded out: as
with any client, there is an end to them.
"""

import argparse
import math
import os
import statistics
import sys
import uuid
from collections.abc import Sequence
from typing import Final, NamedTuple

from loadtests.bench.processes import compiled_imports, cores, cpu_s
from loadtests.bench.rig import Service, Shop, ask_all, baskets, loaded_shop, postgres, serving, settle, temporary_folder
from loadtests.bench.stats import quantile
from loadtests.books import shop
from loadtests.crowd import Answer, Asked, Crowd, Run

_SERVED_S: Final = 1.0
_WARM_UP_S: Final = 1.0
_PEAK_CONNECTIONS: Final = (64, 256)
_CONFIRM_EVERY: Final = 100
_KEPT: Final = 0.9
# The shortest wait that no run reaches: with it nothing is refused but by what fits into memory.
_OUT_OF_REACH_MS: Final = "1000000"


class Figures(NamedTuple):
    """What one run showed."""

    goodput_per_second: float
    accepted_p50_ms: float
    accepted_p99_ms: float
    late_per_second: float  # accepted, and answered too late to count
    refused_per_second: float
    refused_without_when: int
    confirms: int
    confirms_refused: int
    confirm_p99_ms: float
    generator_share: float  # of its core
    cpu_us: float  # of the server, for each quote that counts


class Round(NamedTuple):
    """An overload, and the peaks before and after it."""

    peaks: tuple[Figures, Figures]
    overload: Figures

    @property
    def ratio(self) -> float:
        """Goodput as a share of the peak."""
        return self.overload.goodput_per_second / statistics.mean(peak.goodput_per_second for peak in self.peaks)

    @property
    def ratio_of_work(self) -> float:
        """The share of its work that the server spent on what counts, where at the peak it is all of it. A busy machine changes this less."""
        return statistics.mean(peak.cpu_us for peak in self.peaks) / self.overload.cpu_us


def main() -> int:
    """Exit status 1 when goodput is below nine tenths of the peak, a confirm was refused, or a refusal did not say when to come again."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.overload", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=2_000)
    parser.add_argument("--factor", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a small shop, one round and short runs")
    arguments = parser.parse_args()
    seconds, rounds = (min(arguments.seconds, 4.0), 1) if arguments.quick else (arguments.seconds, arguments.rounds)
    n_skus, n_promotions = (2_000, 1_000) if arguments.quick else (20_000, 10_000)
    with (
        compiled_imports(),
        temporary_folder() as folder,
        postgres(folder) as server,
        loaded_shop(server, shop(n_skus=n_skus, n_promotions=n_promotions), folder) as loaded,
    ):
        os.sched_setaffinity(0, {cores().load})
        with serving(loaded, core=cores().server) as service:
            requests = _requests(service, baskets(2_000, n_skus))
            tried = {n: _peak(service, loaded, requests, n, seconds) for n in _PEAK_CONNECTIONS}
            connections = max(tried, key=lambda n: tried[n].goodput_per_second)
            offered = arguments.factor * tried[connections].goodput_per_second
            print(
                f"peak {tried[connections].goodput_per_second:,.0f} quotes/s with {connections} connections; offered {offered:,.0f}/s on"
                f" {arguments.connections} connections, seed {arguments.seed}",
                flush=True,
            )
            peaks = [_peak(service, loaded, requests, connections, seconds)]
            ours: list[Round] = []
            for number in range(rounds):
                found = _overload(service, loaded, requests, offered, seconds, arguments, seed=arguments.seed + number)
                peaks.append(_peak(service, loaded, requests, connections, seconds))
                ours.append(Round((peaks[-2], peaks[-1]), found))
                _print(f"round {number + 1}, with admission", found, ours[-1])
        os.environ["PRICING_WAIT_MS"] = _OUT_OF_REACH_MS
        with serving(loaded, core=cores().server) as service:
            ask_all(service, "/v1/quotes", baskets(200, n_skus))
            found = _overload(service, loaded, requests, offered, seconds, arguments, seed=arguments.seed)
            _print("without", found, Round((peaks[-1], peaks[-1]), found))
    ratios = sorted(one.ratio for one in ours)
    median = statistics.median(ratios)
    of_work = sorted(one.ratio_of_work for one in ours)
    is_told = not any(one.overload.confirms_refused or one.overload.refused_without_when for one in ours)
    is_kept = median >= _KEPT and is_told
    verdict = "kept" if is_kept else "not kept"
    print(
        f"figure: goodput at {arguments.factor:g} times the peak: {median:.2f} of it, median of {rounds} rounds from {ratios[0]:.2f}"
        f" to {ratios[-1]:.2f}; {statistics.median(of_work):.2f} of the server's work, from {of_work[0]:.2f} to {of_work[-1]:.2f}:"
        f" {verdict}"
    )
    return 0 if is_kept else 1


def _requests(service: Service, bodies: Sequence[bytes]) -> list[Asked]:
    """The quotes, asked once so that the service is warm; and among them confirms of holds that nobody has."""
    ask_all(service, "/v1/quotes", bodies)
    fields = "".join(f"{name}: {value}\r\n" for name, value in service.headers)

    def post(kind: str, path: str, body: bytes) -> Asked:
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
        return Asked(kind, head.encode() + body)

    quotes = [post("quote", "/v1/quotes", body) for body in bodies]
    # Among the quotes, so that a closed loop that takes one after another asks for as many of them as an open one does at random.
    confirm = post("confirm", f"/v1/holds/{uuid.UUID(int=1)}/confirm", b'{"order":"o-1"}')
    return [one for number, quote in enumerate(quotes, 1) for one in ([quote] if number % _CONFIRM_EVERY else [quote, confirm])]


def _crowd(service: Service, connections: int) -> Crowd:
    """So many connections that the service has let in."""
    crowd = Crowd(service.port, connections)
    crowd.greet(Asked("probe", b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"))
    return crowd


def _peak(service: Service, loaded: Shop, requests: Sequence[Asked], connections: int, seconds: float) -> Figures:
    settle(loaded)
    crowd = _crowd(service, connections)
    before_s = cpu_s(service.pid)
    run = crowd.saturate(requests, seconds=seconds)
    used_s = cpu_s(service.pid) - before_s
    crowd.close()
    return _figures(run, used_s)


def _overload(
    service: Service,
    loaded: Shop,
    requests: Sequence[Asked],
    per_second: float,
    seconds: float,
    arguments: argparse.Namespace,
    *,
    seed: int,
) -> Figures:
    settle(loaded)
    crowd = _crowd(service, arguments.connections)
    before_s = cpu_s(service.pid)
    run = crowd.offer(requests, per_second=per_second, seconds=seconds, seed=seed)
    used_s = cpu_s(service.pid) - before_s
    crowd.close()
    print(
        f"  {run.offered} offered, {run.crowded_out} crowded out, {len(run.answers)} answered, {run.lost} lost",
        file=sys.stderr,
        flush=True,
    )
    return _figures(run, used_s)


def _figures(run: Run, used_s: float) -> Figures:
    counted_s = run.seconds - _WARM_UP_S
    quotes = [one for one in run.answers if one.kind == "quote" and _WARM_UP_S <= one.due_s + one.latency_s < run.seconds]
    accepted = [one.latency_s for one in quotes if one.status == 201]
    n_good = sum(latency_s <= _SERVED_S for latency_s in accepted)
    refused = [one for one in run.answers if one.status in (429, 503)]
    n_good_in_all = sum(one.kind == "quote" and one.status == 201 and one.latency_s <= _SERVED_S for one in run.answers)
    confirms: list[Answer] = [one for one in run.answers if one.kind == "confirm"]
    return Figures(
        n_good / counted_s,
        quantile(accepted, 0.5) * 1e3,
        quantile(accepted, 0.99) * 1e3,
        (len(accepted) - n_good) / counted_s,
        sum(one.status in (429, 503) for one in quotes) / counted_s,
        sum(not one.says_when for one in refused),
        len(confirms),
        sum(one.status in (429, 503) for one in confirms),
        quantile([one.latency_s for one in confirms], 0.99) * 1e3 if confirms else 0.0,
        run.busy_share,
        used_s / n_good_in_all * 1e6 if n_good_in_all else math.inf,
    )


def _print(name: str, found: Figures, of: Round) -> None:
    before, after = of.peaks
    print(
        f"{name}: goodput {of.ratio:.2f} of the peak ({found.goodput_per_second:,.0f} of {before.goodput_per_second:,.0f}"
        f" and {after.goodput_per_second:,.0f} a second), {of.ratio_of_work:.2f} of the server's work ({found.cpu_us:.0f} µs a quote, at the peak"
        f" {before.cpu_us:.0f} and {after.cpu_us:.0f}); accepted p50"
        f" {found.accepted_p50_ms:.0f} ms, p99 {found.accepted_p99_ms:.0f} ms, {found.late_per_second:,.0f}/s too late;"
        f" {found.refused_per_second:,.0f} refused/s; {found.confirms} confirms, {found.confirms_refused} refused, p99"
        f" {found.confirm_p99_ms:.0f} ms; the generator used {found.generator_share:.0%} of its core",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
