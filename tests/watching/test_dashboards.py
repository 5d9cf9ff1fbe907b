"""The dashboards are what their source says, and promtool reads each of their expressions."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from helm.dashboards.__main__ import FOLDER, expression, files
from helm.dashboards.boards import BOARDS, Board
from tests.tools import tool


def test_the_chart_has_the_dashboards_of_the_source() -> None:
    written = {path: path.read_text() for path in FOLDER.glob("*.json")}

    assert written == files()  # else: make dashboards


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.name)
def test_promtool_reads_every_expression(board: Board, tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{at}:{number}", "expr": expression(query.expr).replace("$__rate_interval", "5m")}
        for at, panel in enumerate(board.panels)
        for number, query in enumerate(panel.queries)
    ]
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": board.name, "rules": rules}]}))
    ran = subprocess.run([tool("promtool"), "check", "rules", str(file)], capture_output=True, text=True)

    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("path", files(), ids=lambda path: path.stem)
def test_every_panel_says_what_to_read_in_it(path: Path) -> None:
    board = json.loads(files()[path])

    assert board["uid"] == path.stem
    assert all(panel["description"].endswith(".") and panel["targets"] for panel in board["panels"])
    assert len({panel["title"] for panel in board["panels"]}) == len(board["panels"])
    assert len(files()[path]) < 1 << 20  # what a ConfigMap takes
