"""P6 and P12: what many lines at once cost, in batches of quotes and in listings."""

import json
from functools import partial
from random import Random
from typing import Any, Final

from loadtests.bench.plan import Plan
from loadtests.bench.processes import cores, family_cpu_s
from loadtests.bench.quotes import Arm, in_turn
from loadtests.bench.rig import Service, Shop, ask_all, echoing, live_candidates, serving, settle, target, write_lines
from loadtests.bench.stats import Figure, Reach, ratios, retried, spread, thousands
from loadtests.bench.wrk import Load, Target, drive
from loadtests.books import CHANNELS, basket

LINES: Final = 1_000
_CONNECTIONS: Final = 4
_BATCHES: Final = 40
_QUOTES_A_BATCH: Final = 100  # about
_PAGES: Final = 100
# More contexts than a service remembers lines of, so that each page is new to it.
_NEW_PAGES: Final = 1_000


def batch_rows(plan: Plan, shop: Shop) -> list[Figure]:
    """P6: durable batches of quotes with 1 000 lines together: some whose baskets come again and again, and many whose baskets hardly do."""
    core = cores()
    few, many = _batches(plan.n_skus, _BATCHES), _batches(plan.n_skus, plan.n_many_baskets // _QUOTES_A_BATCH)
    skus = [line["sku"] for body in few for quote in json.loads(body)["quotes"] for line in quote["lines"]]
    candidates = live_candidates(shop, skus)
    figures = []
    with serving(shop, core=core.server) as service:
        for bodies, name in ((few, "whose baskets come again"), (many, "of different baskets")):
            batches = target(service, "/v1/quotes/batch", write_lines(shop.folder / "batches.jsonl", bodies))
            run = partial(_batch_run, shop, batches, plan.seconds)
            retried("batches", run)
            per_core, of_postgres, rates = [], [], []
            for _ in range(plan.rounds):
                load, postgres_s = retried("batches", run)
                lines = load.requests * LINES
                per_core.append(LINES / load.cpu_us)
                of_postgres.append(postgres_s * 1e6 / lines)
                rates.append(lines / load.seconds)
            beside = f"{thousands(spread(rates).median)} lines/s on all cores; batches of {load.reply_bytes / 1e6:.2f} MB out; {candidates}"
            what = f"million lines a second and core, durable batches of 1 000 lines {name}"
            figures.append(Figure("P6", what, spread(per_core), "", Reach("at_least", 0.8), beside))
            what = f"CPU of Postgres a line, all of its processes, batches {name}"
            figures.append(Figure("P6", what, spread(of_postgres), " µs", Reach("at_most", 0.7), ""))
        figures.append(
            _against_echo(plan, shop, service, "P6", "/v1/quotes/batch", few, "durable batches of 1 000 lines that come again")
        )
    return figures


def _batch_run(shop: Shop, batches: Target, seconds: float) -> tuple[Load, float]:
    """A run, and the CPU seconds of Postgres for it."""
    settle(shop)
    before_s = family_cpu_s(shop.postgres_pid)
    load = drive(batches, connections=_CONNECTIONS, seconds=seconds, core=cores().load)
    return load, family_cpu_s(shop.postgres_pid) - before_s


def listing_rows(plan: Plan, shop: Shop) -> list[Figure]:
    """P12: CPU of the service for a listing page of 1 000 prices, in contexts it has seen and in new ones."""
    core = cores()
    rng = Random(3)
    known = [_page(rng, plan.n_skus, {"channel": rng.choice(CHANNELS)}) for _ in range(_PAGES)]
    fresh = [_page(rng, plan.n_skus, {"store": f"new-{number}"}) for number in range(_NEW_PAGES)]
    with serving(shop, core=core.server) as service:
        arms = {
            "in a context seen before": target(service, "/v1/prices", write_lines(shop.folder / "pages.jsonl", known)),
            "in a new context": target(service, "/v1/prices", write_lines(shop.folder / "new-pages.jsonl", fresh)),
        }
        measured: dict[str, list[float]] = {name: [] for name in arms}
        for arm in arms.values():
            drive(arm, connections=_CONNECTIONS, seconds=plan.seconds, core=core.load)
        for _ in range(plan.rounds):
            for name, arm in arms.items():
                measured[name].append(drive(arm, connections=_CONNECTIONS, seconds=plan.seconds, core=core.load).cpu_us / 1e3)
        ratio = _against_echo(
            plan, shop, service, "P12", "/v1/prices", known, "a listing of 1 000 prices in a context seen before"
        )
    beside = f"{live_candidates(shop, [sku for body in known for sku in json.loads(body)['skus']])}; over HTTP"
    return [
        Figure("P12", f"CPU of a listing of 1 000 prices {name}", spread(values), " ms", Reach("at_most", 2.0), beside)
        for name, values in measured.items()
    ] + [ratio]


def _against_echo(plan: Plan, shop: Shop, service: Service, row: str, path: str, bodies: list[bytes], what: str) -> Figure:
    """CPU of the service for these requests / of bare uvicorn that takes and sends the same bytes, in turn."""
    core = cores()
    file = write_lines(shop.folder / "echoed.jsonl", bodies)
    replies = {f"q{number}": reply for number, reply in enumerate(ask_all(service, path, bodies))}
    with echoing(replies, shop.folder, core=core.server, headers=service.headers) as echo:
        arms = {
            "ours": Arm(target(service, path, file), _CONNECTIONS),
            "echo": Arm(echo._replace(path=path, bodies=file, prefix="q"), _CONNECTIONS),
        }
        measured = in_turn(plan._replace(rounds=min(3, plan.rounds), seconds=1.0), shop, arms, core=core.load)
    own, bare = ([load.cpu_us for load in measured[name]] for name in arms)
    beside = f"{thousands(spread(own).median)} against {thousands(spread(bare).median)} µs; the same bytes"
    return Figure(row, f"{what}: CPU / bare uvicorn", ratios(own, bare), "×", None, beside)


def _batches(n_skus: int, n_batches: int) -> list[bytes]:
    rng = Random(5)
    return [_batch(rng, n_skus) for _ in range(n_batches)]


def _batch(rng: Random, n_skus: int) -> bytes:
    """Quotes with exactly 1 000 lines together; the last one is cut."""
    quotes: list[dict[str, Any]] = []
    room = LINES
    while room:
        quote = basket(rng, n_skus)
        quote["lines"] = quote["lines"][:room]
        room -= len(quote["lines"])
        quotes.append(quote)
    return json.dumps({"quotes": quotes}, separators=(",", ":")).encode()


def _page(rng: Random, n_skus: int, context: dict[str, Any]) -> bytes:
    rows = rng.sample(range(n_skus), min(LINES, n_skus))
    skus = [f"SKU-{row}" for row in rows]
    return json.dumps({"currency": "USD", "market": "US", **context, "skus": skus}, separators=(",", ":")).encode()
