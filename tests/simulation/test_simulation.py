"""The protocol of holds keeps its laws over crashes, lost replies, retries and clocks that are off, and each planted bug breaks one.

100 000 seeds with the suite. SIMULATION_SEEDS runs more or fewer, SIMULATION_SEED begins elsewhere; a failure tells its seed and what happened.
"""

import os
from typing import Final

import pytest

from tests.simulation.campaign import find, run_seeds
from tests.simulation.defects import DEFECTS
from tests.simulation.pods import Pod
from tests.simulation.world import World

_SEEDS: Final = int(os.environ.get("SIMULATION_SEEDS", "100000"))
_FIRST: Final = int(os.environ.get("SIMULATION_SEED", "0"))
# The most seeds that a planted bug may take.
_PLANTED_MAX: Final = 6000

# What has to have happened in a run that is worth its time.
_TOLD: Final = (
    "confirm hold_expired",
    "confirm hold_released",
    "confirm other_order",
    "confirm used",
    "hold held",
    "hold limit_reached",
    "hold order_confirmed",
    "hold quote_expired",
    "hold quote_held",
    "release hold_used",
    "release released",
    "return returned",
    "return returns_too_much",
)


def test_laws_hold_on_every_seed(capsys: pytest.CaptureFixture[str]) -> None:
    campaign = run_seeds(_FIRST, _SEEDS)

    assert campaign.violation is None, campaign.violation
    assert _SEEDS < 10_000 or [what for what in _TOLD if not campaign.told[what]] == []
    with capsys.disabled():
        rate = campaign.seeds / campaign.seconds
        print(f"\nfigure: {campaign.seeds} seeds of the protocol from {_FIRST}, {rate:.0f} a second, 0 laws broken")


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__)
def test_planted_bug_is_found(defect: type[Pod], capsys: pytest.CaptureFixture[str]) -> None:
    found = find(defect, _FIRST, _PLANTED_MAX)

    assert found is not None
    with capsys.disabled():
        print(f"\nfigure: planted {defect.__name__} is found after {found[0]} seeds: {found[1][:120]}")


def test_seed_runs_the_same_again() -> None:
    one, other = World(7, is_traced=True), World(7, is_traced=True)
    one.run()
    other.run()

    assert one.trace
    assert one.trace == other.trace
