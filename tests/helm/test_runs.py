"""What the chart says of the process, held against the process: the rendered commands run with the rendered environment."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from tests.conftest import make_database
from tests.decisions_support import store_days
from tests.helm.chart import Object, render
from tests.helm.pods import environment_of, template_of
from tests.helm.wiring import kind
from tests.processes import free_port


@pytest.fixture
def empty_database(cluster: EmbeddedPostgres) -> Iterator[Database]:
    with make_database(cluster, template=None) as made:
        yield made


def on_this_machine(container: Mapping[str, Any], folder: Path, database: Database) -> dict[str, str]:
    """The container's environment, with its mounts in `folder` and what its Secrets hold."""
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PRICING_")}
    settings = environment_of(container) | {"PRICING_DATABASE_URL": database.url, "PRICING_DATA_DIR": str(folder)}
    if "PRICING_HOST" in settings:
        keys = folder / "keys"
        keys.write_text("2026-11:a-secret-text-of-at-least-32-bytes\n")
        settings |= {"PRICING_HOST": "127.0.0.1", "PRICING_SIGNING_KEYS_FILE": str(keys)}
    return ours | settings


def pod_of(objects: list[Object], of_kind: str, name: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The pod of a workload, and its container."""
    [pod] = [template_of(one)["spec"] for one in kind(objects, of_kind) if one["metadata"]["name"] == name]
    [container] = pod["containers"]
    return pod, container


@contextlib.contextmanager
def started(container: Mapping[str, Any], env: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-m", "app", *container["args"]], env=dict(env), stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ask(container: Mapping[str, Any], probe: str) -> int:
    """The status that a probe gets; 0 when nobody answers, as long as it may take."""
    port = next(one["containerPort"] for one in container["ports"] if one["name"] == container[probe]["httpGet"]["port"])
    try:
        seconds = container[probe]["timeoutSeconds"]
        return httpx.get(f"http://127.0.0.1:{port}{container[probe]['httpGet']['path']}", timeout=seconds).status_code
    except httpx.TransportError:
        return 0


def wait_until(container: Mapping[str, Any], probe: str, status: int, *, seconds: float) -> None:
    until_s = time.monotonic() + seconds
    while (found := ask(container, probe)) != status:
        assert time.monotonic() < until_s, found
        time.sleep(0.05)


def test_the_rendered_release_migrates_serves_and_ends_in_time(tmp_path: Path, empty_database: Database) -> None:
    objects = render({"port": free_port(), "shutdown": {"drainSeconds": 2, "shutdownSeconds": 6}})
    _, migrate = pod_of(objects, "Job", "shop-centwise-migrate")
    pod, serve = pod_of(objects, "Deployment", "shop-centwise")

    migrated = subprocess.run(
        [sys.executable, "-m", "app", *migrate["args"]],
        env=on_this_machine(migrate, tmp_path, empty_database),
        capture_output=True,
    )
    assert migrated.returncode == 0, migrated.stderr
    with started(serve, on_this_machine(serve, tmp_path, empty_database)) as process:
        wait_until(serve, "startupProbe", 200, seconds=60)
        wait_until(serve, "readinessProbe", 200, seconds=10)
        assert ask(serve, "livenessProbe") == 200
        port = serve["ports"][0]["containerPort"]
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics").text
        began_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        wait_until(serve, "readinessProbe", 503, seconds=2)
        status = process.wait(pod["terminationGracePeriodSeconds"])

    assert status == 0
    assert time.monotonic() - began_s >= 2
    [scaler] = kind(render({"autoscaling": {"enabled": True, "expectedWait": {"enabled": True}}}), "HorizontalPodAutoscaler")
    named = [one["pods"]["metric"]["name"] for one in scaler["spec"]["metrics"] if one["type"] == "Pods"]
    assert [name for name in named if f"\n{name}{{" not in metrics] == []


def test_the_rendered_export_writes_the_last_days_to_its_volume(tmp_path: Path, fresh_database: Database) -> None:
    values = {"export": {"enabled": True, "existingClaim": "exports", "days": 2}, "config": {"PRICING_LOG_LEVEL": "warning"}}
    pod, container = pod_of(render(values), "CronJob", "shop-centwise-export")
    [volume] = [one["name"] for one in pod["volumes"] if one.get("persistentVolumeClaim") == {"claimName": "exports"}]
    [place] = [one["mountPath"] for one in container["volumeMounts"] if one["name"] == volume]
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=number) for number in range(4)]
    asyncio.run(store_days(fresh_database, *days, count=5))

    words = [word.replace(place, str(tmp_path / "volume")) for word in container["args"]]
    env = on_this_machine(container, tmp_path, fresh_database)
    done = subprocess.run([sys.executable, "-m", "app", *words], env=env, capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    found = sorted((tmp_path / "volume" / "decisions").glob("day=*/decisions.parquet"))
    # Which two of the days depends on the hour: one is over ten minutes after midnight.
    written = [date.fromisoformat(path.parent.name.removeprefix("day=")) for path in found]
    assert set(written) <= set(days)
    assert [pq.read_metadata(path).num_rows for path in found] == [5, 5]
    assert [line.partition(",")[0] for line in done.stdout.splitlines()] == [f"{day}: 5 decisions" for day in written]
