"""What the pages show around exports, run on a real one: readers in Python and DuckDB, and how one notices that exports have stopped."""

import asyncio
import json
import subprocess
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Final

import duckdb
import pytest

from app.db.engine import Database
from app.quotes.export_folder import FILE
from tests.decisions_support import export, store_days
from tests.docs.pages import ROOT, blocks
from tests.tools import tool

PAGE: Final = ROOT / "docs" / "decisions-and-replay.md"
OPERATING: Final = ROOT / "docs" / "operating.md"
DAY: Final = date(2026, 3, 4)
_DONE: Final = 'kube_cronjob_status_last_successful_time{namespace="pricing",cronjob="centwise-export"}'
_MADE: Final = 'kube_cronjob_created{namespace="pricing",cronjob="centwise-export"}'


def shown(page: Path, language: str, about: str) -> str:
    """The one block of a page in this language that has `about` in it."""
    [found] = [block.text for block in blocks(page) if block.language == language and about in block.text]
    return found


@pytest.fixture
def decisions(fresh_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """We are beside exported decisions of two days, and what a killed export left of a third."""
    asyncio.run(store_days(fresh_database, DAY, count=3))
    asyncio.run(store_days(fresh_database, DAY + timedelta(days=1), count=1))
    folder = tmp_path / "decisions"
    assert export(fresh_database.url, folder, "--from", "2026-03-04", "--to", "2026-03-05") == 0
    (folder / ".day=2026-03-06.0a1b2c3d").mkdir()
    (folder / ".day=2026-03-06.0a1b2c3d" / FILE).write_bytes(b"PAR1")
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("decisions")
def test_the_days_are_read_with_pyarrow_as_shown(capsys: pytest.CaptureFixture[str]) -> None:
    exec(shown(PAGE, "python", "pyarrow"), {})

    said = capsys.readouterr().out.splitlines()[-1]
    # 901, 902 and 903; then 901 alone.
    assert said == "[{'day': '2026-03-04', 'total_minor_sum': 2706}, {'day': '2026-03-05', 'total_minor_sum': 901}]"


@pytest.mark.usefixtures("decisions")
def test_the_days_are_read_with_duckdb_as_shown() -> None:
    with duckdb.connect() as connection:
        rows = connection.execute(shown(PAGE, "sql", "read_parquet")).fetchall()

    # A hundred off each of 1001, 1002 and 1003; then off 1001 alone.
    assert [row[:3] for row in rows] == [(DAY, 3, 2706), (DAY + timedelta(days=1), 1, 901)]
    assert [round(Decimal(row[3]), 6) for row in rows] == [Decimal("0.099800"), Decimal("0.099900")]


def test_a_day_that_was_not_exported_is_noticed_by_the_command_that_is_shown(tmp_path: Path) -> None:
    command = shown(OPERATING, "sh", "manifest.json")

    def status() -> int:
        return subprocess.run(["sh", "-c", command], cwd=tmp_path, env={"TZ": "Asia/Tokyo", "PATH": "/usr/bin:/bin"}).returncode

    today = datetime.now(UTC).date()
    # Those on either side of yesterday, which another one may be by then.
    for number in (-1, 3):
        (tmp_path / "decisions" / f"day={today - timedelta(days=number)}").mkdir(parents=True)
    before = status()
    for number in (0, 1):
        place = tmp_path / "decisions" / f"day={today - timedelta(days=number)}"
        place.mkdir()
        (place / "manifest.json").write_text("{}\n")
    after = status()

    assert (before, after) == (1, 0)


@pytest.mark.parametrize(
    ("series", "firing"),
    [
        # Values are seconds since the beginning of the test, steps are hours: the last one that went well was at once, and then 30 h later.
        ({_DONE: "0+0x40", _MADE: "0+0x40"}, 1),
        ({_DONE: "0+0x30 108000+0x10", _MADE: "0+0x40"}, 0),
        ({_MADE: "0+0x40"}, 1),
        ({_MADE: "_x20 72000+0x20"}, 0),
        ({_DONE: "0+0x40", _DONE.replace("centwise-export", "backup"): "0+0x40"}, 1),
    ],
    ids=["none for 40 hours", "one ten hours ago", "none ever", "none yet", "another job too"],
)
def test_the_alert_that_is_shown_fires_a_day_and_a_half_after_the_last_export(
    series: Mapping[str, str], firing: int, tmp_path: Path
) -> None:
    rules, case = tmp_path / "rules.yaml", tmp_path / "case.json"
    rules.write_text(shown(OPERATING, "yaml", "DecisionsNotExported"))
    wanted = {
        "expr": 'count(ALERTS{alertname="DecisionsNotExported",alertstate="firing"}) or vector(0)',
        "eval_time": "40h",
        "exp_samples": [{"labels": "{}", "value": firing}],
    }
    told = {"interval": "1h", "input_series": [{"series": one, "values": values} for one, values in series.items()]}
    case.write_text(
        json.dumps({"rule_files": [str(rules)], "evaluation_interval": "1h", "tests": [told | {"promql_expr_test": [wanted]}]})
    )

    checked = subprocess.run([tool("promtool"), "check", "rules", str(rules)], capture_output=True, text=True)
    ran = subprocess.run([tool("promtool"), "test", "rules", str(case)], capture_output=True, text=True)

    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert ran.returncode == 0, ran.stdout + ran.stderr
