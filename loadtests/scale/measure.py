"""What a quote takes of each part, with one process and with two on one Postgres, measured in turn."""

import asyncio
import contextlib
import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

from app.db.engine import Database
from loadtests.bench.exposition import value_of
from loadtests.bench.processes import cores, cpu_s, family_cpu_s, memory_bytes
from loadtests.bench.rig import Service, Shop, baskets, serving, settle, target, write_lines
from loadtests.bench.stats import retried
from loadtests.bench.wrk import Load, drive
from loadtests.books import basket

CONNECTIONS: Final = 64
QUOTES_A_BATCH: Final = 20
SPREAD_METERS: Final = 5_000
_BATCH_CONNECTIONS: Final = 4
_BATCHES: Final = 200
_IDLE_S: Final = 5.0
_BYTES = (
    "SELECT count(*), (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits WHERE inhparent = 'decisions'::regclass)"
    " FROM decisions"
)
_CONNECTIONS_NOW = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"


class Sample(NamedTuple):
    """One run; microseconds of CPU, bytes and commits are for each quote."""

    per_second: float
    service_us: float
    postgres_us: float
    generator_us: float
    wal_bytes: float
    commits: float
    stored_bytes: float


class Holds(NamedTuple):
    """One run of lanes on one Postgres."""

    per_second: float
    p99_ms: float
    lane_us: float
    postgres_us: float


class Standing(NamedTuple):
    """What a process takes before anybody asks."""

    connections: float
    memory_bytes: float
    poll_us_a_second: float  # of Postgres, for each process


class Measured(NamedTuple):
    """All of a run, by arm and round."""

    quotes: dict[str, list[Sample]]
    holds: dict[str, list[Holds]]
    standing: Standing
    parquet_bytes: float | None  # for each decision, where pyarrow is installed


class _Arm(NamedTuple):
    services: Sequence[Service]
    path: str
    bodies: Path
    connections: int
    quotes_a_request: int


def measure(shop: Shop, *, n_skus: int, n_baskets: int, seconds: float, rounds: int) -> Measured:
    """Everything, in turn: A B C ... A B C ... The services of an arm that is not asked stand idle meanwhile."""
    rng = Random(5)
    again = write_lines(shop.folder / "again.jsonl", baskets(2_000, n_skus))
    different = write_lines(shop.folder / "different.jsonl", baskets(n_baskets, n_skus, seed=8))
    batches = write_lines(shop.folder / "batches.jsonl", (_batch(rng, n_skus) for _ in range(_BATCHES)))
    with contextlib.ExitStack() as stack:
        one = stack.enter_context(serving(shop))
        same = stack.enter_context(serving(shop))
        apart = stack.enter_context(serving(_with_folder(shop, "apart")))
        time.sleep(1.0)  # until pools and listeners stand
        standing = _standing(shop, (one, same, apart))
        arms = {
            "1 process, baskets that come again": _Arm((one,), "/v1/quotes", again, CONNECTIONS, 1),
            "2 processes, one data folder": _Arm((one, same), "/v1/quotes", again, CONNECTIONS // 2, 1),
            "2 pods, a data folder each": _Arm((one, apart), "/v1/quotes", again, CONNECTIONS // 2, 1),
            "1 process, different baskets": _Arm((one,), "/v1/quotes", different, CONNECTIONS, 1),
            "2 pods, different baskets": _Arm((one, apart), "/v1/quotes", different, CONNECTIONS // 2, 1),
            f"1 process, batches of {QUOTES_A_BATCH}": _Arm(
                (one,), "/v1/quotes/batch", batches, _BATCH_CONNECTIONS, QUOTES_A_BATCH
            ),
            f"2 pods, batches of {QUOTES_A_BATCH}": _Arm(
                (one, apart), "/v1/quotes/batch", batches, _BATCH_CONNECTIONS // 2, QUOTES_A_BATCH
            ),
        }
        for name, arm in arms.items():
            retried(name, partial(_sample, shop, arm, 1.0))
        quotes: dict[str, list[Sample]] = {name: [] for name in arms}
        for _ in range(rounds):
            for name, arm in arms.items():
                quotes[name].append(retried(name, partial(_sample, shop, arm, seconds)))
        parquet = _parquet_bytes(shop)
    return Measured(quotes, _holds(shop, seconds=seconds, rounds=rounds), standing, parquet)


def _with_folder(shop: Shop, name: str) -> Shop:
    folder = shop.folder / name
    folder.mkdir()
    return shop._replace(folder=folder)


def _sample(shop: Shop, arm: _Arm, seconds: float) -> Sample:
    settle(shop)
    before, lsn = _used(shop, arm), _ask(shop, "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn")

    def load(service: Service) -> Load:
        return drive(target(service, arm.path, arm.bodies), connections=arm.connections, seconds=seconds, core=cores().load)

    with ThreadPoolExecutor(len(arm.services)) as threads:
        loads = list(threads.map(load, arm.services))
    used = {name: value - before[name] for name, value in _used(shop, arm).items()}
    wal_bytes = float(_ask(shop, "SELECT pg_current_wal_lsn() - '0/0'::pg_lsn") - lsn)
    stored, n_bytes = _row(shop, _BYTES)
    quotes = sum(one.requests for one in loads) * arm.quotes_a_request
    return Sample(
        sum(one.per_second for one in loads) * arm.quotes_a_request,
        used["services_s"] * 1e6 / quotes,
        used["postgres_s"] * 1e6 / quotes,
        used["generator_s"] * 1e6 / quotes,
        wal_bytes / stored,
        used["flushes"] / stored,
        float(n_bytes) / stored,
    )


def _used(shop: Shop, arm: _Arm) -> dict[str, float]:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "services_s": sum(cpu_s(service.pid) for service in arm.services),
        "postgres_s": family_cpu_s(shop.postgres_pid),
        "generator_s": children.ru_utime + children.ru_stime,
        "flushes": sum(value_of(service.metrics(), "pricing_flush_seconds_count") for service in arm.services),
    }


def _standing(shop: Shop, services: Sequence[Service]) -> Standing:
    """Nobody asks for some seconds: what is used is for listening and polling."""
    before_s = _family_run_s(shop.postgres_pid)
    time.sleep(_IDLE_S)
    used_s = _family_run_s(shop.postgres_pid) - before_s
    n = len(services)
    connections = _ask(shop, _CONNECTIONS_NOW) / n
    memory = sum(memory_bytes(service.pid) for service in services) / n
    return Standing(connections, memory, used_s * 1e6 / _IDLE_S / n)


def _family_run_s(pid: int) -> float:
    """Seconds on a processor of a process's children that live, to the nanosecond, which is finer than /proc/<pid>/stat."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return sum(int(Path(f"/proc/{child}/schedstat").read_text().split()[0]) for child in children) / 1e9


def _holds(shop: Shop, *, seconds: float, rounds: int) -> dict[str, list[Holds]]:
    """Lanes of holds, each with its clients in a process of its own, on one hot meter and on many."""
    arms = {
        f"{lanes} lane{'s' if lanes > 1 else ''}, {what}": (lanes, meters)
        for what, meters in (("one hot meter", 1), (f"{SPREAD_METERS:,} meters".replace(",", " "), SPREAD_METERS))
        for lanes in (1, 2)
    }
    found: dict[str, list[Holds]] = {name: [] for name in arms}
    for _ in range(rounds):
        for name, (lanes, meters) in arms.items():
            _ask(shop, "CHECKPOINT")
            postgres_s = family_cpu_s(shop.postgres_pid)
            command = [sys.executable, "-m", "loadtests.scale.lanes", shop.url, str(meters), str(seconds)]
            started = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(lanes)]
            said = [json.loads(process.communicate(timeout=seconds + 60)[0]) for process in started]
            per_second = sum(one["per_second"] for one in said)
            of_postgres_s = family_cpu_s(shop.postgres_pid) - postgres_s
            found[name].append(
                Holds(
                    per_second,
                    max(one["p99_ms"] for one in said),
                    sum(one["cpu_us"] for one in said) / lanes,
                    of_postgres_s * 1e6 / (per_second * seconds * 1.1),
                )
            )
    return found


def _parquet_bytes(shop: Shop) -> float | None:
    """Bytes a decision of the last run as Parquet with zstd, all columns; None without pyarrow."""
    try:
        import pyarrow as pa  # noqa: PLC0415 - an optional package, needed only here
        import pyarrow.parquet as pq  # noqa: PLC0415
    except ImportError:
        return None
    rows = asyncio.run(_fetch(shop.url, "SELECT * FROM decisions ORDER BY issued_at, id LIMIT 20000"))
    plain = [{name: str(value) if name == "id" else value for name, value in row.items()} for row in rows]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(plain), sink, compression="zstd")
    return float(sink.getvalue().size) / len(rows)


def _batch(rng: Random, n_skus: int) -> bytes:
    return json.dumps({"quotes": [basket(rng, n_skus) for _ in range(QUOTES_A_BATCH)]}, separators=(",", ":")).encode()


def _ask(shop: Shop, statement: str) -> Any:
    """The one value that a statement gives, if it gives any."""
    row = _row(shop, statement)
    return row[0] if row else None


def _row(shop: Shop, statement: str) -> Sequence[Any]:
    rows = asyncio.run(_fetch(shop.url, statement))
    return tuple(rows[0].values()) if rows else ()


async def _fetch(url: str, statement: str) -> list[Mapping[str, Any]]:
    connection = await Database(url, connect_seconds=10).connect(statement_seconds=0)
    try:
        return [dict(row) for row in await connection.fetch(statement)]
    finally:
        await connection.close()
