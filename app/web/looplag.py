"""How late the event loop is: the one figure that tells a loop that computes from a loop that waits."""

import asyncio
import time

from app.metrics import Metrics

_EVERY_SECONDS = 0.25


async def measure_loop_lag(metrics: Metrics) -> None:
    """Runs until cancelled: asks to be woken four times a second and observes by how much it was late."""
    lag = metrics.loop_lag_seconds.at()
    while True:
        asked = time.perf_counter()
        await asyncio.sleep(_EVERY_SECONDS)
        lag.observe(max(0.0, time.perf_counter() - asked - _EVERY_SECONDS))
