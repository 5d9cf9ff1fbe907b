"""The commands that load a service, each for a few seconds against a real one with the sample shop."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db.engine import Database
from app.demo.load import load_sample_shop
from tests.served import served

_ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def shop(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with the sample shop."""
    with served(database, tmp_path_factory.mktemp("data")) as url:
        load_sample_shop(url)
        yield url


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, timeout=90)


def test_the_open_model_reports_every_kind_of_request(shop: str, tmp_path: Path) -> None:
    report, histogram = tmp_path / "report.json", tmp_path / "histogram.csv"
    done = _run(
        *(sys.executable, "-m", "loadtests.open", "--url", shop, "--per-second", "100", "--seconds", "2", "--late-ms", "10000"),
        *("--shape", "synthetic", "--mix", "quote=2,preview=1,prices=1", "--json", str(report), "--histogram", str(histogram)),
    )

    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(report.read_text())
    assert found["sent"] == found["good"] > 100
    assert set(found["latency_us"]) == {"quote", "preview", "prices", "all"}
    assert histogram.read_text().splitlines()[-1].endswith(",1.000000")


def test_the_open_model_with_a_generator_that_must_not_be_late_says_that_the_run_is_invalid(shop: str) -> None:
    done = _run(
        *(sys.executable, "-m", "loadtests.open", "--url", shop, "--per-second", "100", "--seconds", "1"),
        *("--shape", "synthetic", "--late-ms", "0"),
    )

    assert done.returncode == 1, done.stdout + done.stderr
    assert "INVALID: the generator was late" in done.stdout


def test_locust_lets_people_look_and_buy(shop: str, tmp_path: Path) -> None:
    done = _run(
        *(sys.executable, "-m", "locust", "--locustfile", "loadtests/locustfile.py", "--host", shop, "--headless"),
        *("--users", "10", "--spawn-rate", "10", "--run-time", "4s", "--csv", str(tmp_path / "locust")),
    )

    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split(",") for line in (tmp_path / "locust_stats.csv").read_text().splitlines()[1:]]
    counts = {row[1]: (int(row[2]), int(row[3])) for row in rows}
    assert {"/v1/prices", "/v1/preview", "/v1/quotes", "/v1/holds", "/v1/holds/{id}/confirm"} <= set(counts)
    assert counts["Aggregated"][1] == 0
