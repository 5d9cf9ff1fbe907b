"""From what a quote takes to what so many quotes a second need: plain arithmetic on measured rates."""

import math
from typing import Final, NamedTuple

TARGETS: Final = (10_000, 100_000, 1_000_000)
RETENTION_DAYS: Final = (30, 90, 400)
_DAY_S: Final = 86_400


class Rates(NamedTuple):
    """What was measured, for each quote and each process."""

    service_us: float
    postgres_us: float
    wal_bytes: float
    commits: float
    stored_bytes: float
    parquet_bytes: float | None
    connections: float
    memory_bytes: float
    poll_us_a_second: float
    hot_meter_per_second: float
    hold_postgres_us: float


class Assumed(NamedTuple):
    """What is not measured here but taken for granted: a server of Postgres that one can rent, and how a shop sells."""

    utilisation: float = 0.6
    cores: int = 32
    wal_bytes_per_second: float = 300e6
    commits_per_second: float = 20_000.0
    connections: int = 500
    holds_a_quote: float = 0.05
    on_the_hot_meter: float = 0.2  # of the holds


class Need(NamedTuple):
    """What so many quotes a second need. `servers_for` names what each resource of Postgres asks for, in servers and parts of one."""

    per_second: int
    processes: int
    memory_bytes: float
    connections: int
    postgres_cores: float
    wal_bytes_per_second: float
    commits_per_second: float
    poll_cores: float
    holds_per_second: float
    hot_caps: int  # parts that the cap of the hottest meter has to be split into
    servers_for: dict[str, float]

    @property
    def first(self) -> str:
        """The resource of Postgres that runs out first."""
        return max(self.servers_for, key=lambda name: self.servers_for[name])

    @property
    def servers(self) -> int:
        return max(1, math.ceil(max(self.servers_for.values())))


def need(per_second: int, rates: Rates, assumed: Assumed) -> Need:
    """The need. Cores are planned to be busy for `utilisation` of the time, and so is every other bound of a server.

    Never more commits than a flush for each quote; a process that is asked more often gathers more quotes in each, so this is an upper bound.
    """
    processes = math.ceil(per_second * rates.service_us / 1e6 / assumed.utilisation)
    holds_per_second = per_second * assumed.holds_a_quote
    poll_cores = processes * rates.poll_us_a_second / 1e6
    postgres_cores = per_second * rates.postgres_us / 1e6 + holds_per_second * rates.hold_postgres_us / 1e6 + poll_cores
    connections = math.ceil(processes * rates.connections)
    wal = per_second * rates.wal_bytes
    commits = per_second * rates.commits
    hot = holds_per_second * assumed.on_the_hot_meter / (rates.hot_meter_per_second * assumed.utilisation)
    servers_for = {
        "CPU": postgres_cores / (assumed.cores * assumed.utilisation),
        "WAL": wal / (assumed.wal_bytes_per_second * assumed.utilisation),
        "commits": commits / (assumed.commits_per_second * assumed.utilisation),
        "connections": connections / (assumed.connections * assumed.utilisation),
    }
    return Need(
        per_second,
        processes,
        processes * rates.memory_bytes,
        connections,
        postgres_cores,
        wal,
        commits,
        poll_cores,
        holds_per_second,
        max(1, math.ceil(hot)),
        servers_for,
    )


def storage_bytes(per_second: float, bytes_a_decision: float, days: int) -> float:
    """What is kept when so many come each second of each day."""
    return per_second * bytes_a_decision * _DAY_S * days
