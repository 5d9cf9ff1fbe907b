"""Offers a running service so many requests a second, whatever it does, and says how long people would have waited.

    python -m loadtests.open --url http://127.0.0.1:8080 --per-second 500 --seconds 30

Requests have the shape of a real shop's (`python -m loadtests.shape`), over the SKUs and codes that the service has; the key needs the scopes
quote and read. Latency counts from the instant a request was meant to be sent, so a service that stands still for a second shows it in every
request that was due meanwhile. Status 1 when the run is invalid, because the generator itself was late; 3 when requests failed.
"""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from app.client import ApiClient, ApiProblem
from app.completejourney.tables import read_tables
from loadtests.open.model import CONNECTIONS_MAX, Generator, arrivals, asked, run_in_own_loop
from loadtests.open.report import as_table, as_text, report_of
from loadtests.shape import Shape, best_shape, completejourney_shape, synthetic_shape
from loadtests.traffic import PATHS, NothingToAsk, catalogue_of, requests_for

SHAPES: dict[str, Callable[[], Shape]] = {
    "best": best_shape,
    "synthetic": synthetic_shape,
    "completejourney": lambda: completejourney_shape(read_tables()),
}


def main() -> int:
    """Run it and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m loadtests.open", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--url", default="http://127.0.0.1:8080", help="http only")
    parser.add_argument("--key")
    parser.add_argument("--per-second", type=float, default=200.0)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--arrivals", choices=("poisson", "constant"), default="poisson")
    parser.add_argument("--connections", type=int, default=128, help=f"at most {CONNECTIONS_MAX}, kept open")
    parser.add_argument("--mix", type=_mix, default={"quote": 1.0}, help="as quote=1,preview=3,prices=6")
    parser.add_argument("--shape", choices=tuple(SHAPES), default="best", help="the data's where it is installed, by default")
    parser.add_argument("--bodies", type=int, default=5_000, help="different requests, sent in turn")
    parser.add_argument("--within-ms", type=float, default=100.0, help="what counts as goodput")
    parser.add_argument("--late-ms", type=float, default=2.0, help="the run is invalid when 1 in 100 were sent later than that")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="also write the report there")
    parser.add_argument("--histogram", type=Path, help="also write the histogram there, as CSV")
    chosen = parser.parse_args()
    url = urlsplit(chosen.url)
    if url.scheme != "http" or url.hostname is None:
        parser.error("--url has to begin with http://")
    try:
        with ApiClient(chosen.url, chosen.key) as api:
            catalogue = catalogue_of(api)
        shape = SHAPES[chosen.shape]()
        prepared = requests_for(catalogue, shape, chosen.bodies, mix=chosen.mix, seed=chosen.seed)
        headers = [("Content-Type", "application/json")] + ([("Authorization", f"Bearer {chosen.key}")] if chosen.key else [])
        octets = [asked(one.kind, url.netloc, PATHS[one.kind], headers, one.body).octets for one in prepared]
        due_s = arrivals(chosen.per_second, chosen.seconds, chosen.seed, chosen.arrivals)
        run = run_in_own_loop(Generator(url.hostname, url.port or 80, octets, due_s, connections=chosen.connections))
    except (ApiProblem, NothingToAsk, OSError) as problem:
        print(f"open: {problem}", file=sys.stderr)
        return 2
    report = report_of(
        run,
        [one.kind for one in prepared],
        per_second=chosen.per_second,
        seconds=chosen.seconds,
        within_ms=chosen.within_ms,
        late_s_max=chosen.late_ms / 1e3,
    )
    print(
        f"shape: {shape.name}; {len(catalogue.skus)} SKUs, {len(catalogue.codes)} codes; {chosen.arrivals} arrivals, seed {chosen.seed}"
    )
    print(as_text(report))
    if chosen.json:
        chosen.json.write_text(json.dumps(report.as_json(), indent=2) + "\n")
    if chosen.histogram:
        chosen.histogram.write_text(as_table(report.all_kinds))
    return 1 if report.invalid else 3 if report.failures else 0


def _mix(text: str) -> dict[str, float]:
    found = {}
    for part in text.split(","):
        kind, _, weight = part.partition("=")
        if kind not in PATHS or float(weight or 1) <= 0:
            raise argparse.ArgumentTypeError(f"{part}: expected one of {', '.join(PATHS)}, and its share above 0")
        found[kind] = float(weight or 1)
    return found


if __name__ == "__main__":
    sys.exit(main())
