"""The rules are accepted by promtool, and every alert fires when it must and is silent otherwise."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.tools import tool
from tests.watching.cases import CASES, Case

ROOT: Final = Path(__file__).parents[2]
RULES: Final = ROOT / "helm/centwise/files/alerts.yaml"
RUNBOOKS: Final = ROOT / "docs/runbooks"
GROUPS: Final[list[dict[str, Any]]] = yaml.safe_load(RULES.read_text())["groups"]
ALERTS: Final[dict[str, Any]] = {rule["alert"]: rule for group in GROUPS for rule in group["rules"] if "alert" in rule}


def promtool_says(name: str, cases: tuple[Case, ...], folder: Path, *, rules: Path = RULES) -> subprocess.CompletedProcess[str]:
    """Have promtool look whether so many alerts of this name fire."""
    tests: dict[str, list[dict[str, Any]]] = {}
    for case in cases:
        where = ",".join((f'alertname="{name}"', 'alertstate="firing"', *([case.where] if case.where else [])))
        tests.setdefault(case.step, []).append(
            {
                "name": f"{name}: {case.what}",
                "interval": case.step,
                "input_series": [{"series": series, "values": values} for series, values in case.series.items()],
                "promql_expr_test": [
                    {
                        "expr": f"count(ALERTS{{{where}}}) or vector(0)",
                        "eval_time": f"{case.minute}m",
                        "exp_samples": [{"labels": "{}", "value": case.firing}],
                    }
                ],
            }
        )
    files = []
    for step, own in tests.items():
        said = {
            "rule_files": [str(rules)],
            "evaluation_interval": step,
            # Without an order promtool takes the groups as they come, so a step may see what another group recorded a step ago:
            # at ten minutes a step that is too old to be seen at all.
            "group_eval_order": [group["name"] for group in GROUPS],
            "tests": own,
        }
        files.append(folder / f"cases-{step}.json")
        files[-1].write_text(json.dumps(said))
    return subprocess.run([tool("promtool"), "test", "rules", *map(str, files)], capture_output=True, text=True)


@pytest.mark.parametrize("name", ALERTS)
def test_it_fires_and_is_silent_just_below(name: str, tmp_path: Path) -> None:
    assert {bool(case.firing) for case in CASES[name]} == {True, False}
    ran = promtool_says(name, CASES[name], tmp_path)

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_an_alert_with_another_bound_is_noticed(tmp_path: Path) -> None:
    shifted = tmp_path / "alerts.yaml"
    shifted.write_text(RULES.read_text().replace("14.4 * centwise", "20 * centwise").replace("> 0.9\n", "> 0.89\n"))

    found = {
        name: promtool_says(name, CASES[name], tmp_path, rules=shifted).returncode
        for name in ("ErrorBudgetBurnsFast", "BudgetNearlyUsed", "DatabaseAway")
    }

    assert found["DatabaseAway"] == 0
    assert 0 not in (found["ErrorBudgetBurnsFast"], found["BudgetNearlyUsed"])


@pytest.mark.parametrize("name", ["ErrorBudgetBurnsFast", "ServiceAbsent", "BookVersionsDiffer"])
def test_a_rule_over_all_installations_is_noticed(name: str, tmp_path: Path) -> None:
    blurred = tmp_path / "alerts.yaml"
    blurred.write_text(RULES.read_text().replace("by (namespace, job)", "by ()").replace("on (namespace, job, slo)", "on (slo)"))

    assert promtool_says(name, CASES[name], tmp_path, rules=blurred).returncode == 1


def test_promtool_accepts_the_rules() -> None:
    ran = subprocess.run([tool("promtool"), "check", "rules", str(RULES)], capture_output=True, text=True)

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    assert sorted(ALERTS) == sorted(page.stem for page in RUNBOOKS.glob("*.md") if page.stem != "README")
    assert all(f"({name}.md)" in (RUNBOOKS / "README.md").read_text() for name in ALERTS)


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_says_how_bad_it_is_and_what_it_is(name: str) -> None:
    rule = ALERTS[name]

    assert rule["labels"]["severity"] in ("page", "ticket")
    assert rule["annotations"]["runbook_url"] == f"docs/runbooks/{name}.md"
    assert all(re.search(r"\w", rule["annotations"][part]) for part in ("summary", "description"))
