"""P13: what metrics and logs cost, against the same service without them."""

from loadtests.bench.plan import Plan
from loadtests.bench.processes import cores
from loadtests.bench.quotes import MANY, Arm, in_turn
from loadtests.bench.rig import Shop, ask_all, baskets, serving, target, write_lines
from loadtests.bench.stats import Figure, Reach, spread


def watching_rows(plan: Plan, shop: Shop) -> list[Figure]:
    """Both in turn, previews at 256 connections: without the disk the comparison is steadier, and the share of a quote is smaller still."""
    core = cores()
    bodies = baskets(plan.n_baskets, plan.n_skus)
    file = write_lines(shop.folder / "baskets.jsonl", bodies)
    with (
        serving(shop, core=core.server) as watched,
        serving(shop, core=core.server, module="loadtests.bench.unwatched") as unwatched,
    ):
        for service in (watched, unwatched):
            ask_all(service, "/v1/preview", bodies)
        arms = {
            "unwatched": Arm(target(unwatched, "/v1/preview", file), MANY),
            "watched": Arm(target(watched, "/v1/preview", file), MANY),
        }
        # Rounds are compared one by one: many short ones tell a small difference better than few long ones.
        plan = plan._replace(rounds=plan.rounds * 2, seconds=plan.seconds / 2)
        measured = in_turn(plan, shop, arms, core=core.load)
    watched_us, unwatched_us = ([load.cpu_us for load in measured[name]] for name in ("watched", "unwatched"))
    shares = [100 * (own - bare) / own for own, bare in zip(watched_us, unwatched_us, strict=True)]
    beside = f"CPU a preview {spread(watched_us).median:.0f} against {spread(unwatched_us).median:.0f} µs"
    return [Figure("P13", "metrics and logs, of the CPU of a request", spread(shares), " %", Reach("at_most", 3.0), beside)]
