"""How long and how large the runs are."""

from typing import NamedTuple


class Plan(NamedTuple):
    """What the command line asks for. Rows read from it what they need."""

    seconds: float
    rounds: int
    n_skus: int
    n_promotions: int
    n_baskets: int
    n_many_baskets: int
    late_s_max: float  # a generator of requests that is later than this for one in a hundred has measured nothing
    is_quick: bool


def plan_of(*, seconds: float | None, is_quick: bool) -> Plan:
    """The plan: the sizes that performance.md names, or for a quick look a tenth of them."""
    if is_quick:
        return Plan(max(1.0, seconds or 1.0), 2, 2_000, 1_000, 200, 2_000, 0.1, True)
    return Plan(max(1.0, seconds or 3.0), 5, 20_000, 10_000, 2_000, 60_000, 0.001, False)
