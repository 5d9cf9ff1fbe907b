"""P1, P2, P3: quotes at saturation, durable and not, against bare uvicorn that echoes the same bytes."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from loadtests.bench.plan import Plan
from loadtests.bench.processes import cores
from loadtests.bench.rig import (
    Service,
    Shop,
    ask_all,
    baskets,
    echoing,
    live_candidates,
    serving,
    settle,
    skus_of,
    target,
    write_lines,
)
from loadtests.bench.stats import Figure, Reach, ratios, retried, spread, thousands
from loadtests.bench.wrk import Load, Target, drive

MANY: Final = 256
FEW: Final = 64


class Arm(NamedTuple):
    """One thing that is measured in turn with the others."""

    target: Target
    connections: int


class Against(NamedTuple):
    """A service and bare uvicorn that knows its replies to the same bodies."""

    service: Service
    file: Path
    echo: Target  # without a path and without bodies
    size: str  # of requests and replies to `/v1/quotes`, and the live candidates of their lines


def quote_rows(plan: Plan, shop: Shop) -> list[Figure]:
    """Run all arms in turn, round after round, and compare them round by round."""
    core = cores()
    with (
        _against_echo(plan, shop) as (service, file, echo, size),
        serving(shop, core=core.server, module="loadtests.bench.unstored") as unstored,
    ):
        durable = target(service, "/v1/quotes", file)
        echo_quote = echo._replace(path="/v1/quotes", bodies=file, prefix="q")
        many = write_lines(shop.folder / "many-baskets.jsonl", baskets(plan.n_many_baskets, plan.n_skus, seed=8))
        arms = {
            "echo 256": Arm(echo_quote, MANY),
            "durable 256": Arm(durable, MANY),
            "unstored 256": Arm(target(unstored, "/v1/quotes", file), MANY),
            "different 256": Arm(durable._replace(bodies=many), MANY),
            "echo 64": Arm(echo_quote, FEW),
            "durable 64": Arm(durable, FEW),
        }
        measured = in_turn(plan, shop, arms, core=core.load)
    again = f"{thousands(plan.n_baskets)} baskets that come again"
    n_different = f"{thousands(plan.n_many_baskets)} different baskets, which are forgotten before they do"
    cpu = {name: [load.cpu_us for load in loads] for name, loads in measured.items()}
    return [
        _figure(
            "P1",
            f"durable quote / bare uvicorn, 256 connections, {again}",
            measured,
            ("durable 256", "echo 256"),
            0.60,
            f"; {size}",
        ),
        _figure(
            "P1",
            f"durable quote / bare uvicorn, 64 connections, {again}",
            measured,
            ("durable 64", "echo 64"),
            0.50,
        ),
        _figure(
            "P1",
            f"the same with {n_different}, 256 connections",
            measured,
            ("different 256", "echo 256"),
        ),
        _figure("P2", "the same without the decision log, 256 connections", measured, ("unstored 256", "echo 256"), 0.72),
        Figure(
            "P3",
            "CPU with the decision log / without, 256 connections",
            ratios(cpu["durable 256"], cpu["unstored 256"]),
            "×",
            Reach("at_most", 1.15),
            f"{_cpu(measured, 'durable 256', 'unstored 256')} a request",
        ),
    ]


def all_live_rows(plan: Plan, shop: Shop) -> list[Figure]:
    """P1 once more, on a shop where every promotion is in force."""
    with _against_echo(plan, shop) as (service, file, echo, size):
        arms = {
            "echo": Arm(echo._replace(path="/v1/quotes", bodies=file, prefix="q"), MANY),
            "durable": Arm(target(service, "/v1/quotes", file), MANY),
        }
        measured = in_turn(plan, shop, arms, core=cores().load)
    what = "the same where every rule is in force, 256 connections"
    return [_figure("P1", what, measured, ("durable", "echo"), more=f"; {size}")]


@contextlib.contextmanager
def _against_echo(plan: Plan, shop: Shop) -> Iterator[Against]:
    """Both servers on one core."""
    core = cores()
    bodies = baskets(plan.n_baskets, plan.n_skus)
    file = write_lines(shop.folder / "baskets.jsonl", bodies)
    with serving(shop, core=core.server) as service:
        answered = ask_all(service, "/v1/quotes", bodies)
        replies = {f"q{number}": reply for number, reply in enumerate(answered)}
        in_bytes, out_bytes = (sum(map(len, texts)) / len(texts) for texts in (bodies, answered))
        size = f"{thousands(in_bytes)} bytes in, {thousands(out_bytes)} out"
        with echoing(replies, shop.folder, core=core.server, headers=service.headers) as echo:
            yield Against(service, file, echo, f"{size}; {live_candidates(shop, skus_of(bodies))}")


def _figure(
    row: str,
    what: str,
    measured: Mapping[str, Sequence[Load]],
    pair: tuple[str, str],
    bound: float | None = None,
    more: str = "",
) -> Figure:
    """Requests a second of one arm against those of another."""
    own, reference = ([load.per_second for load in measured[name]] for name in pair)
    rates = f"{thousands(spread(own).median)} against {thousands(spread(reference).median)} requests/s"
    beside = f"{rates}; CPU a request {_cpu(measured, *pair)}{more}"
    return Figure(row, what, ratios(own, reference), "", None if bound is None else Reach("at_least", bound), beside)


def in_turn(plan: Plan, shop: Shop, arms: Mapping[str, Arm], *, core: int) -> dict[str, list[Load]]:
    """A B C A B C ..., after one short run of each that warms everything up and is thrown away."""
    for name, arm in arms.items():
        retried(name, partial(drive, arm.target, connections=arm.connections, seconds=min(2.0, plan.seconds), core=core))
    measured: dict[str, list[Load]] = {name: [] for name in arms}
    for _ in range(plan.rounds):
        settle(shop)
        for name, arm in arms.items():
            run = partial(drive, arm.target, connections=arm.connections, seconds=plan.seconds, core=core)
            measured[name].append(retried(name, run))
    return measured


def _cpu(measured: Mapping[str, Sequence[Load]], own: str, reference: str) -> str:
    own_us, other_us = (spread([load.cpu_us for load in measured[name]]).median for name in (own, reference))
    return f"{own_us:.0f} against {other_us:.0f} µs"
