"""One embedded Postgres for the whole run; a database of its own, made from a migrated template, for each module or test."""

import asyncio
import contextlib
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import hypothesis
import pytest

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from app.db.migrate import upgrade

_TEMPLATE = "centwise_template"

# How long an example takes says something about the machine.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")


@pytest.fixture(scope="session")
def cluster() -> Iterator[EmbeddedPostgres]:
    """A running server. Tests that stop or kill a server start their own."""
    # Not pytest's own folder: that is closed to the account which runs the server when the tests run as root.
    folder = Path(tempfile.mkdtemp(prefix="centwise-tests-"))
    folder.chmod(0o755)
    try:
        with EmbeddedPostgres(folder / "data") as server:
            yield server
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def template(cluster: EmbeddedPostgres) -> EmbeddedPostgres:
    """The server with a migrated template database in it."""
    _run(cluster.url, f"CREATE DATABASE {_TEMPLATE}")
    asyncio.run(upgrade(Database(url_of(cluster, _TEMPLATE))))
    return cluster


@pytest.fixture(scope="module")
def database(template: EmbeddedPostgres) -> Iterator[Database]:
    """A migrated database that the tests of one module share."""
    with make_database(template) as made:
        yield made


@pytest.fixture
def fresh_database(template: EmbeddedPostgres) -> Iterator[Database]:
    """A migrated, empty database for one test."""
    with make_database(template) as made:
        yield made


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other accounts may enter, for a server of the test's own."""
    folder = Path(tempfile.mkdtemp(prefix="centwise-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


def url_of(cluster: EmbeddedPostgres, name: str) -> str:
    return urlunsplit(urlsplit(cluster.url)._replace(path=f"/{name}"))


@contextlib.contextmanager
def make_database(cluster: EmbeddedPostgres, template: str | None = _TEMPLATE) -> Iterator[Database]:
    """A database of its own on `cluster`, dropped at the end; empty without a template."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    _run(cluster.url, f"CREATE DATABASE {name} TEMPLATE {template or 'template0'}")
    yield Database(url_of(cluster, name), pool_size=4)
    _run(cluster.url, f"DROP DATABASE {name} WITH (FORCE)")


def _run(url: str, statement: str) -> None:
    """In a thread, because the caller may have an event loop running."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(lambda: asyncio.run(_execute(url, statement))).result()


async def _execute(url: str, statement: str) -> None:
    connection = await Database(url).connect(statement_seconds=60)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
