"""What the rows that need a service stand on: an embedded Postgres, a shop imported through the API, and the service as `python -m app serve`."""

import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from subprocess import Popen
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit, urlunsplit

import msgspec

from app.client import ApiClient
from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database, transaction
from app.db.migrate import upgrade
from app.web.keys import make_key
from loadtests.bench.processes import free_port, running, wait_until_listening
from loadtests.bench.wrk import Target
from loadtests.books import Documents, basket, live_rules

ORDER: Final = ("attributes", "price-lists", "products", "prices", "guardrails", "sale-prices", "promotions", "coupons")
_SCOPES: Final = ["quote", "redeem", "read", "write", "signals", "simulate"]


class Shop(NamedTuple):
    """A database that holds a published shop, and a key to it."""

    url: str
    postgres_pid: int
    key: str
    folder: Path
    documents: Documents


class Service(NamedTuple):
    """A running service."""

    port: int
    pid: int
    key: str
    folder: Path

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return (("Authorization", f"Bearer {self.key}"), ("Content-Type", "application/json"))

    def client(self) -> ApiClient:
        return ApiClient(self.base_url, self.key)

    def metrics(self) -> str:
        """What /metrics says."""
        with urllib.request.urlopen(f"{self.base_url}/metrics", timeout=10) as reply:
            text: str = reply.read().decode()
            return text


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """A folder that the account of Postgres may enter as well."""
    folder = Path(tempfile.mkdtemp(prefix="centwise-bench-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[EmbeddedPostgres]:
    """A server on any core, fsync on, as `make run` starts it."""
    with EmbeddedPostgres(folder / "postgres-data") as server:
        yield server


@contextlib.contextmanager
def loaded_shop(server: EmbeddedPostgres, documents: Documents, folder: Path) -> Iterator[Shop]:
    """A database of its own with the documents imported and published through the API; dropped at the end."""
    name = f"bench_{uuid.uuid4().hex[:12]}"
    asyncio.run(_execute(server.url, f"CREATE DATABASE {name}"))
    own = folder / name
    own.mkdir()
    database = Database(urlunsplit(urlsplit(server.url)._replace(path=f"/{name}")), connect_seconds=10)
    try:
        asyncio.run(upgrade(database))
        shop = Shop(database.url, server.pid, asyncio.run(_make_key(database)), own, documents)
        began_s = time.monotonic()
        with serving(shop) as service:
            _import(service, documents)
        print(
            f"a shop of {len(documents['promotions'])} promotions is loaded: {time.monotonic() - began_s:.0f} s",
            file=sys.stderr,
            flush=True,
        )
        yield shop
    finally:
        asyncio.run(_execute(server.url, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        shutil.rmtree(own)


@contextlib.contextmanager
def serving(shop: Shop, *, core: int | None = None, module: str = "app") -> Iterator[Service]:
    """The service over a shop, ready; `module` other than `app` is a stand-in of the bench's own with the same command line."""
    with started(shop, core=core, module=module) as (service, process):
        wait_until_listening(service.port, process, log=service.folder / "service.log")
        yield service


@contextlib.contextmanager
def started(shop: Shop, *, core: int | None = None, module: str = "app") -> Iterator[tuple[Service, Popen[bytes]]]:
    """The same, without waiting for anything."""
    port = free_port()
    environment = {
        "PRICING_DATABASE_URL": shop.url,
        "PRICING_DATA_DIR": str(shop.folder / "data"),
        "PRICING_PORT": str(port),
        "PRICING_CONNECT_SECONDS": "5",
    }
    log = shop.folder / "service.log"
    with running([sys.executable, "-m", module, "serve"], log=log, core=core, environment=environment) as process:
        yield Service(port, process.pid, shop.key, shop.folder), process


def is_ready(service: Service) -> bool:
    """Whether /readyz says so."""
    try:
        with urllib.request.urlopen(f"{service.base_url}/readyz", timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def settle(shop: Shop) -> None:
    """Forget the decisions so far and write a checkpoint, so that no run pays for the one before it."""
    asyncio.run(_execute(shop.url, "TRUNCATE decisions, decision_keys", "CHECKPOINT"))


def baskets(n_baskets: int, n_skus: int, *, seed: int = 7) -> list[bytes]:
    """Bodies of quotes, as JSON in one line each."""
    rng = Random(seed)
    return [json.dumps(basket(rng, n_skus), separators=(",", ":")).encode() for _ in range(n_baskets)]


def live_candidates(shop: Shop, skus: Sequence[str]) -> str:
    """How many promotions in force list the SKU of a line and need no code, on average over these lines, as the figures tell it."""
    live = live_rules(shop.documents, datetime.now(UTC))
    return f"{sum(live[sku] for sku in skus) / len(skus):.1f} live candidates a line"


def skus_of(bodies: Iterable[bytes]) -> list[str]:
    """The SKU of each line of these quotes."""
    return [line["sku"] for body in bodies for line in json.loads(body)["lines"]]


def write_lines(path: Path, bodies: Iterable[bytes]) -> Path:
    """A file of bodies as wrk's script reads it."""
    path.write_bytes(b"\n".join(bodies) + b"\n")
    return path


def ask_all(service: Service, path: str, bodies: Iterable[bytes]) -> list[bytes]:
    """The replies of the service, one after another. Raises RuntimeError for any status of 400 and above."""
    replies = []
    with service.client() as api:
        for body in bodies:
            status, _, reply = api.exchange("POST", path, body=body)
            if status >= 400:
                raise RuntimeError(f"POST {path}: {status} {reply[:500]!r}")
            replies.append(reply)
    return replies


def target(service: Service, path: str, bodies: Path, *, prefix: str = "q") -> Target:
    """The service as wrk sees it."""
    return Target(service.port, service.pid, path, bodies, prefix, service.headers)


@contextlib.contextmanager
def echoing(replies: Mapping[str, bytes], folder: Path, *, core: int, headers: tuple[tuple[str, str], ...]) -> Iterator[Target]:
    """The echo server over replies by index; what is yielded has no bodies yet."""
    port = free_port()
    stored = folder / "replies.msgpack"
    stored.write_bytes(msgspec.msgpack.encode({index.encode(): reply for index, reply in replies.items()}))
    log = folder / "echo.log"
    with running([sys.executable, "-m", "loadtests.bench.echo", str(port), str(stored)], log=log, core=core) as process:
        wait_until_listening(port, process, log=log)
        yield Target(port, process.pid, "/", stored, "", headers)


def _import(service: Service, documents: Documents) -> None:
    """Publish the documents; each resource is one import."""
    deadline = time.monotonic() + 1800
    with service.client() as api:
        for resource in ORDER:
            bodies = documents.get(resource)
            if not bodies:
                continue
            rows = (body if resource == "prices" else {"id": name, **body} for name, body in bodies.items())
            content = b"\n".join(msgspec.json.encode(row) for row in rows)
            query = {"resource": resource, "publish": "now"}
            api.call("POST", "/v1/import", query=query, body=content, content_type="application/x-ndjson")
            if time.monotonic() > deadline:
                raise RuntimeError("the import takes too long")


async def _make_key(database: Database) -> str:
    engine = database.engine()
    try:
        async with transaction(engine) as connection:
            return (await make_key(connection, name="bench", scopes=_SCOPES)).key
    finally:
        await engine.dispose()


async def _execute(url: str, *statements: str) -> list[Any]:
    connection = await Database(url, connect_seconds=10).connect(statement_seconds=0)
    try:
        return [await connection.execute(statement) for statement in statements]
    finally:
        await connection.close()
