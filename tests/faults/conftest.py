"""Servers that may be killed: each test that harms one has its own."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from app.db.migrate import upgrade
from tests.faults.cluster import thaw
from tests.processes import free_port

type StartServer = Callable[..., EmbeddedPostgres]


@pytest.fixture
def start_server(open_folder: Path) -> Iterator[StartServer]:
    """Starts a migrated server with the settings given, at an address that it keeps over restarts."""
    with contextlib.ExitStack() as stack:

        def started(**settings: str) -> EmbeddedPostgres:
            server = EmbeddedPostgres(open_folder / "data", port=free_port(), settings=settings)
            server.start()
            # A server that a test left frozen must be able to stop.
            stack.callback(server.stop)
            stack.callback(thaw, server)
            asyncio.run(upgrade(Database(server.url)))
            return server

        yield started


@pytest.fixture
def server(start_server: StartServer) -> EmbeddedPostgres:
    """A server as we run it: durable."""
    return start_server()
