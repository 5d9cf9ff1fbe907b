"""What a stranger does, to the letter: from a clean clone by README and docs/monitoring.md to a service that prices, is watched, and is missed.

`make stranger` runs it; the suite does not, since it installs everything anew. Ports are other ones than those of the pages, so that what runs
on this machine is left alone.
"""

import json
import os
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self

import httpx
import pytest

from tests.docs.commands import commands
from tests.docs.pages import HERE, ROOT, blocks
from tests.processes import free_port
from tests.tools import tool

_SECONDS_MAX: Final = 600.0
_PAGE: Final = ROOT / "docs/monitoring.md"


def until(fact: Callable[[], Any], *, seconds: float = _SECONDS_MAX) -> Any:
    ends_s = time.monotonic() + seconds
    while time.monotonic() < ends_s:
        with suppress(httpx.TransportError):
            if found := fact():
                return found
        time.sleep(0.1)
    raise AssertionError("it did not come about")


class Webhook:
    """What Alertmanager posts to: its path, and which alerts are in which state."""

    def __init__(self) -> None:
        self.told: set[tuple[str, str, str]] = set()
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = httpx.Response(200, content=self.rfile.read(int(self.headers["Content-Length"]))).json()
                webhook.told |= {(self.path, one["labels"]["alertname"], one["status"]) for one in body["alerts"]}
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - as the library names it
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self.server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@contextmanager
def started(text: str, *, folder: Path, env: dict[str, str], said: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A command of a page in a terminal of its own, which is interrupted in the end."""
    with said.open("ab") as log:
        process = subprocess.Popen(
            ["bash", "-c", f"exec {text}"], cwd=folder, env=env, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield process
    finally:
        interrupt(process)


def interrupt(process: subprocess.Popen[bytes]) -> int:
    """Ctrl-C: the signal goes to everything that the terminal runs."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGINT)
    return process.wait(60)


@pytest.fixture
def clone(open_folder: Path) -> Path:
    folder = open_folder / "centwise"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    return folder


def test_a_stranger_gets_from_nothing_to_a_service_that_is_watched(clone: Path, tmp_path: Path) -> None:
    webhook = Webhook()
    ports = {"8080": free_port(), "9090": free_port(), "9093": free_port(), "9099": webhook.server.server_port}

    def ours(text: str) -> str:
        return re.sub(r"127\.0\.0\.1:(\d{4})", lambda match: f"127.0.0.1:{ports[match[1]]}", text)

    env = {name: value for name, value in os.environ.items() if not name.startswith(("PRICING_", "MAKE", "VIRTUAL_ENV"))}
    env |= {"PRICING_PORT": str(ports["8080"])}
    here = ours(HERE)
    said = tmp_path / "run.log"
    run = next(command for command in commands(ROOT / "README.md") if command.words == ("make", "run"))
    with webhook, ExitStack() as stack:
        service = stack.enter_context(started(" ".join(run.words), folder=clone, env=env, said=said))
        until(lambda: "curl -s" in said.read_text() or service.poll() is not None)
        assert service.poll() is None, said.read_text()

        # What was printed is tried, and then what the README shows.
        printed = next(line for line in said.read_text().splitlines() if line.startswith("curl -s"))
        [first] = [one.text for one in commands(ROOT / "README.md") if one.words[0] == "curl" and "/v1/quotes" in one.text]
        assert printed == ours(first)
        shown = subprocess.run(["bash", "-c", printed], capture_output=True, text=True, check=True).stdout
        quote = json.loads(shown)
        assert quote["total"] == sum(line["total"] for line in quote["lines"]) > 0
        replayed = subprocess.run(
            [".venv/bin/python", "-m", "app", "replay", "--last", "100000"], cwd=clone, env=env, capture_output=True, text=True
        )
        assert replayed.returncode == 0, replayed.stderr
        assert re.search(r"\b1 decisions\b", replayed.stdout), replayed.stdout

        for block in blocks(_PAGE):
            if block.language == "yaml":
                (clone / block.words[0]).write_text(ours(block.text))
        for command in commands(_PAGE):
            text = ours(command.text)
            if text.endswith("&"):
                tool(command.words[0])
                stack.enter_context(started(text.removesuffix("&"), folder=clone, env=env, said=tmp_path / "watching.log"))
            else:
                subprocess.run(["bash", "-c", text], cwd=clone, env=env, capture_output=True, check=True)
        prometheus = stack.enter_context(httpx.Client(base_url=ours("http://127.0.0.1:9090"), timeout=10))
        until(lambda: _value(prometheus, "pricing_quotes_total"), seconds=60)
        rules = prometheus.get("/api/v1/rules").json()["data"]["groups"]
        assert {rule["health"] for group in rules for rule in group["rules"]} <= {"ok", "unknown"}

        # It stops cleanly, is missed, and goes on where it was.
        # make itself says what ended it.
        assert interrupt(service) == -signal.SIGINT, said.read_text()
        assert "Traceback" not in said.read_text(), said.read_text()
        until(lambda: ("/page", "ServiceAbsent", "firing") in webhook.told, seconds=180)
        again = stack.enter_context(started(" ".join(run.words), folder=clone, env=env, said=said))
        until(lambda: httpx.get(f"{here}/readyz").status_code == 200 or again.poll() is not None)
        until(lambda: ("/page", "ServiceAbsent", "resolved") in webhook.told, seconds=600)
    assert "Traceback" not in said.read_text(), said.read_text()


def _value(prometheus: httpx.Client, expression: str) -> Any:
    reply = prometheus.get("/api/v1/query", params={"query": expression})
    return reply.status_code == 200 and reply.json()["data"]["result"]
