"""P1, P2, P3: quotes at saturation, durable and not, against bare uvicorn that echoes the same bytes."""

import contextlib
import sys
from collections.abc import Mapping
from typing import Final, NamedTuple

from loadtests.bench.plan import Plan
from loadtests.bench.processes import cores
from loadtests.bench.rig import Shop, ask_all, baskets, echoing, serving, settle, target, write_lines
from loadtests.bench.stats import Figure, InvalidRun, Reach, Spread, ratios, spread
from loadtests.bench.wrk import Load, Target, drive

MANY: Final = 256
FEW: Final = 64
_ATTEMPTS: Final = 3


class Arm(NamedTuple):
    """One thing that is measured in turn with the others."""

    target: Target
    connections: int


def quote_rows(plan: Plan, shop: Shop) -> list[Figure]:
    """Run all arms in turn, round after round, and compare them round by round."""
    core = cores()
    bodies = baskets(plan.n_baskets, plan.n_skus)
    file = write_lines(shop.folder / "baskets.jsonl", bodies)
    with contextlib.ExitStack() as stack:
        service = stack.enter_context(serving(shop, core=core.server))
        quotes = ask_all(service, "/v1/quotes", bodies)
        previews = ask_all(service, "/v1/preview", bodies)
        replies = {f"q{number}": reply for number, reply in enumerate(quotes)}
        replies |= {f"p{number}": reply for number, reply in enumerate(previews)}
        echo = stack.enter_context(echoing(replies, shop.folder, core=core.server, headers=service.headers))
        durable = target(service, "/v1/quotes", file)
        preview = target(service, "/v1/preview", file, prefix="p")
        echo_quote = echo._replace(path="/v1/quotes", bodies=file, prefix="q")
        echo_preview = echo._replace(path="/v1/preview", bodies=file, prefix="p")
        many = write_lines(shop.folder / "many-baskets.jsonl", baskets(plan.n_many_baskets, plan.n_skus, seed=8))
        arms = {
            "echo 256": Arm(echo_quote, MANY),
            "durable 256": Arm(durable, MANY),
            "echo preview 256": Arm(echo_preview, MANY),
            "preview 256": Arm(preview, MANY),
            "different 256": Arm(durable._replace(bodies=many), MANY),
            "echo 64": Arm(echo_quote, FEW),
            "durable 64": Arm(durable, FEW),
        }
        measured = in_turn(plan, shop, arms, core=core.load)
    rates = {name: [load.per_second for load in loads] for name, loads in measured.items()}
    cpu = {name: [load.cpu_us for load in loads] for name, loads in measured.items()}
    size = f"{sum(map(len, bodies)) / len(bodies):,.0f} bytes in, {sum(map(len, quotes)) / len(quotes):,.0f} out".replace(
        ",", " "
    )

    def figure(row: str, what: str, own: str, reference: str, bound: float, more: str = "") -> Figure:
        beside = f"{_rates(rates, own, reference)}; CPU a request {_cpu(cpu, own, reference)}{more}"
        return Figure(row, what, ratios(rates[own], rates[reference]), "", Reach("at_least", bound), beside)

    return [
        figure("P1", "durable quote / bare uvicorn, 256 connections", "durable 256", "echo 256", 0.60, f"; {size}"),
        figure("P1", "durable quote / bare uvicorn, 64 connections", "durable 64", "echo 64", 0.50),
        Figure(
            "P1",
            f"the same with {plan.n_many_baskets:,} different baskets in place of {plan.n_baskets:,}".replace(",", " "),
            ratios(rates["different 256"], rates["echo 256"]),
            "",
            None,
            f"{_rates(rates, 'different 256', 'echo 256')}; CPU a request {_cpu(cpu, 'different 256', 'echo 256')}",
        ),
        figure("P2", "not stored / bare uvicorn, 256 connections", "preview 256", "echo preview 256", 0.72),
        Figure(
            "P3",
            "CPU of durable / not stored, 256 connections",
            ratios(cpu["durable 256"], cpu["preview 256"]),
            "×",
            Reach("at_most", 1.15),
            f"{_cpu(cpu, 'durable 256', 'preview 256')} a request",
        ),
    ]


def in_turn(plan: Plan, shop: Shop, arms: Mapping[str, Arm], *, core: int) -> dict[str, list[Load]]:
    """A B C A B C ..., after one short run of each that warms everything up and is thrown away."""
    for arm in arms.values():
        drive(arm.target, connections=arm.connections, seconds=min(5.0, plan.seconds), core=core)
    measured: dict[str, list[Load]] = {name: [] for name in arms}
    for _ in range(plan.rounds):
        settle(shop)
        for name, arm in arms.items():
            measured[name].append(_valid_run(name, arm, seconds=plan.seconds, core=core))
    return measured


def _valid_run(name: str, arm: Arm, *, seconds: float, core: int) -> Load:
    """A run in which every request succeeded. One with failures is told and done again, because a stall of the disk may refuse some."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return drive(arm.target, connections=arm.connections, seconds=seconds, core=core)
        except InvalidRun as invalid:
            print(f"{name}: done again, because {invalid}", file=sys.stderr, flush=True)
    return drive(arm.target, connections=arm.connections, seconds=seconds, core=core)


def _rates(rates: Mapping[str, list[float]], own: str, reference: str) -> str:
    return f"{_thousands(spread(rates[own]))} against {_thousands(spread(rates[reference]))} requests/s"


def _cpu(cpu: Mapping[str, list[float]], own: str, reference: str) -> str:
    return f"{spread(cpu[own]).median:.0f} against {spread(cpu[reference]).median:.0f} µs"


def _thousands(value: Spread) -> str:
    return f"{value.median:,.0f}".replace(",", " ")
