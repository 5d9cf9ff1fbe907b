"""The application that is made when the service already serves."""

import asyncio
import subprocess
import sys
import threading
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from app.metrics import Metrics
from app.web.late import LateApp
from app.web.probes import Probes
from tests.support import running


async def answering(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that says which path was asked for."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["path"].encode()})


class House:
    """A service with an application that is made when `may_be_made` is set, and what happened in which order."""

    def __init__(self, *, fails_to: str = "") -> None:
        self.happened: list[str] = []
        self.may_be_made = threading.Event()
        self._fails_to = fails_to
        probes = Probes(readiness=self.readiness, figures=Metrics())
        self.app = LateApp(self.make, start=self.start, stop=self.stop, probes=probes)

    def readiness(self) -> tuple[bool, dict[str, Any]]:
        return "start" in self.happened, {"seen": self.happened}

    async def start(self) -> None:
        self._do("start")

    async def stop(self) -> None:
        self._do("stop")

    def make(self) -> ASGIApp:
        assert self.may_be_made.wait(60)
        self._do("make")
        return answering

    def _do(self, what: str) -> None:
        self.happened.append(what)
        if self._fails_to == what:
            raise RuntimeError(f"no {what}")


async def test_probes_are_answered_while_requests_wait_for_the_application() -> None:
    house = House()
    async with running(house.app) as http:
        waiting = asyncio.create_task(http.get("/v1/keys"))
        ready = await http.get("/readyz")
        alive = await http.get("/livez")
        scraping = asyncio.create_task(http.get("/metrics"))
        await http.get("/livez")
        happened_before, was_answered = [*house.happened], waiting.done() or scraping.done()
        house.may_be_made.set()
        answered, scraped = await waiting, await scraping
        made_once = await http.get("/readyz")

    assert (ready.status_code, ready.json()) == (200, {"seen": ["start"]})
    assert (alive.status_code, alive.content, alive.headers["content-type"]) == (200, b'{"status":"alive"}', "application/json")
    assert (happened_before, was_answered) == (["start"], False)
    assert (answered.text, scraped.text) == ("/v1/keys", "/metrics")
    assert made_once.text == "/readyz", "the application answers probes itself once it is there"
    assert house.happened == ["start", "make", "stop"]


async def test_only_gets_are_answered_as_probes() -> None:
    house = House()
    async with running(house.app) as http:
        waiting = asyncio.create_task(http.post("/readyz"))
        await http.get("/readyz")
        was_answered = waiting.done()
        house.may_be_made.set()
        answered = await waiting

    assert (was_answered, answered.text) == (False, "/readyz")


async def test_an_application_that_cannot_be_made_leaves_the_service_running() -> None:
    house = House(fails_to="make")
    house.may_be_made.set()
    async with running(house.app) as http:
        refused = [(await http.get("/v1/keys")).status_code for _ in range(2)]
        ready = await http.get("/readyz")

    assert refused == [500, 500]
    assert ready.status_code == 200
    assert house.happened == ["start", "make", "stop"]


async def test_a_client_that_leaves_while_it_waits_takes_nothing_from_the_others() -> None:
    house = House()
    async with running(house.app) as http:
        leaving, staying = asyncio.create_task(http.get("/a")), asyncio.create_task(http.get("/b"))
        await http.get("/readyz")
        leaving.cancel()
        await asyncio.wait({leaving})
        house.may_be_made.set()
        answered = await staying

    assert (leaving.cancelled(), answered.text) == (True, "/b")


async def test_a_stop_waits_until_what_is_being_made_is_made() -> None:
    house = House()
    async with running(house.app):
        asyncio.get_running_loop().call_soon(house.may_be_made.set)

    assert house.happened == ["start", "make", "stop"]


async def test_a_start_that_fails_is_told_and_nothing_is_made() -> None:
    house = House(fails_to="start")
    with pytest.raises(RuntimeError, match=r"(?s)did not start.*no start"):
        async with running(house.app):
            pass

    assert house.happened == ["start"]


def test_the_command_line_imports_nothing_of_the_api() -> None:
    program = "import sys, app.cli; print([name for name in ('fastapi', 'app.api', 'app.worker', 'app.web.keys') if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)

    assert (ended.returncode, ended.stdout) == (0, "[]\n"), ended.stderr
