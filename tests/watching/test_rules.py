"""The rules are accepted by promtool, and the alerts named here fire when they must and are silent otherwise."""

import json
import re
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.tools import tool

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "helm/centwise/files/alerts.yaml"
RUNBOOKS: Final = ROOT / "docs/runbooks"
NAMES: Final = re.findall(r"- alert: (\w+)", RULES.read_text())

# By alert: the metric, what it says when it must fire, and what it says when it must not.
VALUES: Final = {
    "DatabaseAway": ("pricing_database_up", "0x60", "1x60"),
    "BookNotChecked": ("pricing_book_checked_seconds", "5.1x60", "5x60"),
    "BookRejected": ("pricing_book_refusals_total", "0x45 1x15", "0x60"),
    "SpoolSetAside": ("pricing_spool_set_aside", "1x60", "0x60"),
    "SchedulesEnd": ("pricing_schedule_days_ahead", "399x90", "400x90"),
    "BackgroundTaskFails": ("pricing_background_failures_total", "0+1x60", "0+0.2x60"),
    "BudgetNearlyUsed": ("pricing_budget_used_share", "0.91x60", "0.9x60"),
}


@pytest.mark.parametrize("name", VALUES)
def test_it_fires_and_is_silent_just_below(name: str, tmp_path: Path) -> None:
    metric, firing, below = VALUES[name]
    at = "80m" if name == "SchedulesEnd" else "50m"
    for values, count in ((firing, 1), (below, 0)):
        case = {
            "rule_files": [str(RULES)],
            "evaluation_interval": "10s",
            "tests": [
                {
                    "interval": "1m",
                    "input_series": [{"series": f'{metric}{{instance="a"}}', "values": values}],
                    "promql_expr_test": [
                        {
                            "expr": f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)',
                            "eval_time": at,
                            "exp_samples": [{"labels": "{}", "value": count}],
                        }
                    ],
                }
            ],
        }
        file = tmp_path / "case.json"
        file.write_text(json.dumps(case))
        ran = subprocess.run([tool("promtool"), "test", "rules", str(file)], capture_output=True, text=True)
        assert ran.returncode == 0, ran.stdout + ran.stderr


def test_promtool_accepts_the_rules() -> None:
    ran = subprocess.run([tool("promtool"), "check", "rules", str(RULES)], capture_output=True, text=True)

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    assert sorted(NAMES) == sorted(page.stem for page in RUNBOOKS.glob("*.md") if page.stem != "README")


def test_every_alert_says_how_bad_it_is_and_what_it_is() -> None:
    blocks = re.split(r"- alert: ", RULES.read_text())[1:]

    for block in blocks:
        for part in ("severity: ", "summary: ", "description: ", "runbook_url: "):
            assert part in block, block
