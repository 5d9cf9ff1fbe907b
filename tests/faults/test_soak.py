"""Promise R10: nothing that the service takes grows with time. The short form is too short for memory, which is still finding its size."""

import sys
from typing import Final

from loadtests.soak.__main__ import report_of
from loadtests.soak.run import Soaked, soak
from tests.faults.scale import SCALE, SEED

_SECONDS: Final = min(12.0 * SCALE, 1_800.0)
_LONG_S: Final = 900.0
_LEAKING: Final = (sys.executable, "-c", "from tests.faults.hasty import serve_leaking; serve_leaking()")


def test_nothing_grows_under_load() -> None:
    soaked = soak(seconds=_SECONDS, every_s=max(0.5, _SECONDS / 180), per_second=60, seed=SEED)

    print(f"figure: R10: {_told(soaked)}, seed {SEED}")
    assert soaked.wrong.total() == 0, report_of(soaked, seed=SEED)
    assert soaked.turned_away <= 0.01 * soaked.sent
    judged = [verdict for verdict in soaked.verdicts if verdict.measure != "memory_bytes" or _SECONDS >= _LONG_S]
    assert [verdict for verdict in judged if verdict.grows] == []
    assert soaked.orders["confirmed"] > 0 < soaked.orders["returned"]
    assert soaked.orders["drawn on"] > soaked.orders["held"]


def test_a_service_that_keeps_what_it_should_let_go_is_found() -> None:
    soaked = soak(seconds=12.0, every_s=0.5, per_second=60, seed=SEED, command=_LEAKING)

    growing = {verdict.measure for verdict in soaked.verdicts if verdict.grows}
    print(
        f"figure: R10 planted: a descriptor and 600 kB kept of each read: growing are {', '.join(sorted(growing))}, seed {SEED}"
    )
    assert {"memory_bytes", "descriptors"} <= growing


def _told(soaked: Soaked) -> str:
    drifts = ", ".join(f"{verdict.measure} {verdict.first:.0f} then {verdict.last:.0f}" for verdict in soaked.verdicts)
    orders = ", ".join(f"{count} {what}" for what, count in sorted(soaked.orders.items()))
    return (
        f"{soaked.sent} requests in {soaked.seconds:.0f} s, {soaked.wrong.total()} wrong, {soaked.turned_away} turned away, {orders};"
        f" median of the first and last third: {drifts}"
    )
