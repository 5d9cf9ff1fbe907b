"""One lane of holds with its clients, in a process of its own: `python -m loadtests.scale.lanes URL METERS SECONDS` prints what it did as JSON."""

import json
import sys
import time

import uvloop

from app.db.engine import Database
from loadtests.meters import lane_takers, measure


async def run(database: Database, meters: int, seconds: float) -> dict[str, float]:
    """Holds a second, the latency of one in a hundred, and CPU of the lane and its clients a hold."""
    async with lane_takers(database, meters) as takers:
        cpu_s = time.process_time()
        found = await measure(takers, seconds)
        cpu_s = time.process_time() - cpu_s
    # The tenth before counts in the CPU too.
    return {"per_second": found.per_second, "p99_ms": found.p99_ms, "cpu_us": cpu_s * 1e6 / (found.per_second * seconds * 1.1)}


if __name__ == "__main__":
    print(json.dumps(uvloop.run(run(Database(sys.argv[1], connect_seconds=10), int(sys.argv[2]), float(sys.argv[3])))))
