"""Ten times what the service can do, offered at its own times: what is still served, in what time, and what the rest is told.

    python -m loadtests.overload [--seconds N] [--connections N] [--factor N] [--quick]

First the peak, with a closed loop; then `factor` times as many quotes a second at random times, whatever the service does, with one confirm in
a hundred among them. Latency counts from the instant a request was meant to be sent. Goodput is quotes that were answered 201 within a second.
The same is then offered to the service with its admission set out of reach, which shows what that is for. A request that finds all of the
crowd's connections busy is counted as crowded out: as with any client, there is an end to them.
"""

import argparse
import os
import sys
import uuid
from collections.abc import Sequence
from typing import Final, NamedTuple

from loadtests.bench.processes import compiled_imports, cores
from loadtests.bench.rig import Service, Shop, ask_all, baskets, loaded_shop, postgres, serving, settle, temporary_folder
from loadtests.bench.stats import quantile
from loadtests.books import shop
from loadtests.crowd import Answer, Asked, Crowd, Run

_SERVED_S: Final = 1.0
_PEAK_CONNECTIONS: Final = (64, 256)
_CONFIRM_EVERY: Final = 100
# The shortest wait that no run reaches: with it nothing is refused but by what fits into memory.
_OUT_OF_REACH_MS: Final = "1000000"


class Figures(NamedTuple):
    """What one run showed."""

    goodput_per_second: float
    accepted_p50_ms: float
    accepted_p99_ms: float
    refused_per_second: float
    confirms: int
    confirms_refused: int
    confirm_p99_ms: float


def main() -> int:
    """Exit status 1 when goodput fell below nine tenths of the peak, or a confirm was refused."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.overload", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=2_000)
    parser.add_argument("--factor", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="a small shop and short runs")
    arguments = parser.parse_args()
    seconds = min(arguments.seconds, 3.0) if arguments.quick else arguments.seconds
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
            peak = max(_peak(service, loaded, requests, n, seconds) for n in _PEAK_CONNECTIONS)
            offered = arguments.factor * peak
            ours = _overload(service, loaded, requests, offered, seconds, arguments)
        print(
            f"peak {peak:,.0f} quotes/s; offered {offered:,.0f}/s on {arguments.connections} connections, seed {arguments.seed}"
        )
        _print("with admission", ours, peak)
        os.environ["PRICING_WAIT_MS"] = _OUT_OF_REACH_MS
        with serving(loaded, core=cores().server) as service:
            ask_all(service, "/v1/quotes", baskets(200, n_skus))
            _print("without", _overload(service, loaded, requests, offered, seconds, arguments), peak)
    is_kept = ours.goodput_per_second >= 0.9 * peak and not ours.confirms_refused
    print("kept" if is_kept else "not kept")
    return 0 if is_kept else 1


def _requests(service: Service, bodies: Sequence[bytes]) -> list[Asked]:
    """The quotes, asked once so that the service is warm; and among them confirms of holds that nobody has."""
    ask_all(service, "/v1/quotes", bodies)
    fields = "".join(f"{name}: {value}\r\n" for name, value in service.headers)

    def post(kind: str, path: str, body: bytes) -> Asked:
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
        return Asked(kind, head.encode() + body)

    quotes = [post("quote", "/v1/quotes", body) for body in bodies]
    confirm = post("confirm", f"/v1/holds/{uuid.UUID(int=1)}/confirm", b'{"order":"o-1"}')
    return quotes + [confirm] * (len(quotes) // _CONFIRM_EVERY)


def _peak(service: Service, loaded: Shop, requests: Sequence[Asked], connections: int, seconds: float) -> float:
    settle(loaded)
    crowd = Crowd(service.port, connections)
    run = crowd.saturate([asked for asked in requests if asked.kind == "quote"], seconds=seconds)
    crowd.close()
    return _figures(run).goodput_per_second


def _overload(
    service: Service, loaded: Shop, requests: Sequence[Asked], per_second: float, seconds: float, arguments: argparse.Namespace
) -> Figures:
    settle(loaded)
    crowd = Crowd(service.port, arguments.connections)
    run = crowd.offer(requests, per_second=per_second, seconds=seconds, seed=arguments.seed)
    crowd.close()
    print(
        f"  {run.offered} offered, {run.crowded_out} crowded out, {len(run.answers)} answered, {run.lost} lost",
        file=sys.stderr,
        flush=True,
    )
    return _figures(run)


def _figures(run: Run) -> Figures:
    accepted = [one.latency_s for one in run.answers if one.kind == "quote" and one.status == 201]
    refused = sum(one.status in (429, 503) for one in run.answers if one.kind == "quote")
    confirms: list[Answer] = [one for one in run.answers if one.kind == "confirm"]
    return Figures(
        sum(latency_s <= _SERVED_S for latency_s in accepted) / run.seconds,
        quantile(accepted, 0.5) * 1e3,
        quantile(accepted, 0.99) * 1e3,
        refused / run.seconds,
        len(confirms),
        sum(one.status in (429, 503) for one in confirms),
        quantile([one.latency_s for one in confirms], 0.99) * 1e3 if confirms else 0.0,
    )


def _print(name: str, found: Figures, peak: float) -> None:
    print(
        f"{name}: goodput {found.goodput_per_second / peak:.2f} of the peak; accepted p50 {found.accepted_p50_ms:.0f} ms, p99"
        f" {found.accepted_p99_ms:.0f} ms; {found.refused_per_second:,.0f} refused/s; {found.confirms} confirms,"
        f" {found.confirms_refused} refused, p99 {found.confirm_p99_ms:.0f} ms",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
