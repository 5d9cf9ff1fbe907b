"""Servers that may be killed: each test that harms one has its own. And the figures of all tests, for docs/reliability.md."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from app.db.migrate import upgrade
from tests.faults.campaign.tally import section_of
from tests.faults.cluster import QUICK_RECOVERY, thaw
from tests.faults.page import Figure, figures_of, machine, page_of
from tests.processes import free_port

type StartServer = Callable[..., EmbeddedPostgres]


@pytest.fixture
def start_server(open_folder: Path) -> Iterator[StartServer]:
    """Starts a migrated server with the settings given, at an address that it keeps over restarts."""
    with contextlib.ExitStack() as stack:

        def started(**settings: str) -> EmbeddedPostgres:
            server = EmbeddedPostgres(open_folder / "data", port=free_port(), settings=QUICK_RECOVERY | settings)
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


class Figures:
    """Gathers what the tests print, shows it at the end, and writes it where FAULT_PAGE says, if all went well."""

    def __init__(self) -> None:
        self._told: list[Figure] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self._told += figures_of(report.nodeid, report.capstdout)

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, exitstatus: int) -> None:
        if self._told:
            terminalreporter.section("figures")
        for figure in self._told:
            planted = " planted" if figure.is_planted else ""
            terminalreporter.write_line(f"{figure.promise or '--'}{planted}: {figure.said}")
        place = os.environ.get("FAULT_PAGE")
        if place and exitstatus == 0:
            command = f"FAULT_SCALE={os.environ.get('FAULT_SCALE', '1')} make faults"
            page = page_of(self._told, today=datetime.now(UTC).date(), machine=machine(), command=command)
            # What the campaign wrote stays.
            written = Path(place)
            campaign = section_of(written.read_text()) if written.exists() else ""
            written.write_text(f"{page}\n{campaign}\n" if campaign else page)


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Figures(), "figures")
