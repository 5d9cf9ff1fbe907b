"""What `/livez`, `/readyz` and `/metrics` answer, without a framework: the first two are asked before the API is there."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, NamedTuple

from app.metrics import Metrics

ALIVE: Final = {"status": "alive"}


class Answer(NamedTuple):
    """A reply to a probe."""

    status: int
    body: bytes
    media_type: str = "application/json"


class Probes:
    """The answers. `readiness` tells whether requests should be sent here, and a report for people."""

    def __init__(self, *, readiness: Callable[[], tuple[bool, dict[str, Any]]], figures: Metrics) -> None:
        self._readiness = readiness
        self._figures = figures
        # The figures are complete only when the routes, each of which has its own, are known: a scrape waits for these.
        self.early: Final[dict[str, Callable[[], Awaitable[Answer]]]] = {"/livez": self.livez, "/readyz": self.readyz}

    async def livez(self) -> Answer:
        """The process answers."""
        return Answer(200, json.dumps(ALIVE, separators=(",", ":")).encode())

    async def readyz(self) -> Answer:
        """Whether requests should be sent here."""
        ready, report = self._readiness()
        return Answer(200 if ready else 503, json.dumps(report).encode())

    async def metrics(self) -> Answer:
        """The figures in Prometheus's text format."""
        return Answer(200, await asyncio.to_thread(self._figures.render), "text/plain; version=0.0.4; charset=utf-8")
