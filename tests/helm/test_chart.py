"""The chart over a matrix of values: objects that Kubernetes takes, that hold together, and whose pods start."""

import shutil
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from tests.helm.cases import CASES, EVERYTHING
from tests.helm.chart import CHART, Object, lint, render
from tests.helm.pods import pod_faults
from tests.helm.wiring import kind, wiring_faults

# The newest that there is for all, and the oldest that Chart.yaml takes where all kinds of objects are.
_NEWEST = kubernetes_validate.latest_version().rpartition(".")[0]
_CHECKED = [*((name, _NEWEST) for name in CASES), ("everything", "1.27"), ("spool", "1.27")]
# Of operators; what they are made of is looked at by the tests below and by `wiring`.
_CUSTOM = {"monitoring.coreos.com/v1", "gateway.networking.k8s.io/v1"}
_ALERTS = """
groups:
  - name: lost
    rules:
      - alert: DatabaseAway
        expr: min by (pod) (pricing_database_up) == 0
        for: 1m
        labels: {severity: page}
        annotations:
          summary: "{{ $labels.pod }} has no database for {{ $value | humanizeDuration }}"
          runbook_url: docs/runbooks/DatabaseAway.md
      - record: quotes:rate5m
        expr: sum(rate(pricing_quotes_total[5m]))
"""


@cache
def rendered(name: str) -> list[Object]:
    return render(CASES[name])


@pytest.fixture
def own_chart(tmp_path: Path) -> Path:
    """The chart with alert rules and a dashboard that are known here."""
    chart = tmp_path / "centwise"
    shutil.copytree(CHART, chart, ignore=shutil.ignore_patterns("files"))
    (chart / "files" / "dashboards").mkdir(parents=True)
    (chart / "files" / "alerts.yaml").write_text(_ALERTS)
    (chart / "files" / "dashboards" / "lane.json").write_text('{\n  "title": "Lane",\n  "legend": "{{pod}}"\n}\n')
    return chart


@pytest.mark.parametrize("name", CASES)
def test_every_object_holds_together(name: str) -> None:
    objects = rendered(name)

    assert [*pod_faults(objects), *wiring_faults(objects)] == []


@pytest.mark.parametrize(("name", "version"), _CHECKED)
def test_every_object_is_of_its_schema(name: str, version: str) -> None:
    objects = rendered(name)

    checked = [one for one in objects if one["apiVersion"] not in _CUSTOM]
    for one in checked:
        kubernetes_validate.validate(one, version, strict=True)
    assert len(checked) >= 2


@pytest.mark.parametrize("values", [{}, EVERYTHING], ids=["default", "everything"])
def test_helm_finds_nothing_to_complain_about(values: Mapping[str, Any]) -> None:
    assert "0 chart(s) failed" in lint(values)


def test_what_is_on_by_default() -> None:
    made = {(one["kind"], one["metadata"]["name"].removeprefix("shop-centwise")) for one in rendered("default")}

    assert made == {
        *(("Deployment", ""), ("Service", ""), ("ServiceAccount", ""), ("PodDisruptionBudget", "")),
        *(("Deployment", "-worker"), ("Service", "-worker"), ("Job", "-migrate")),
        *(("NetworkPolicy", "-serve"), ("NetworkPolicy", "-worker"), ("NetworkPolicy", "-migrate")),
    }
    assert {(one["kind"]) for one in rendered("nothing")} == {"Deployment", "Service"}


def test_a_pod_with_a_volume_of_its_own_is_of_a_set() -> None:
    [workload] = kind(rendered("spool"), "StatefulSet")
    [claim] = workload["spec"]["volumeClaimTemplates"]

    assert claim["spec"]["resources"]["requests"]["storage"] == "20Gi"
    assert [claim["metadata"]["name"]] == [
        mount["name"]
        for mount in workload["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
        if mount["mountPath"] == "/data"
    ]
    assert "emptyDir" not in str(
        [volume for volume in workload["spec"]["template"]["spec"]["volumes"] if volume["name"] == "data"]
    )


def test_rules_go_to_prometheus_as_they_stand(own_chart: Path) -> None:
    rules = {"enabled": True, "labels": {"release": "prometheus"}, "runbookBase": "https://wiki.example/pricing/"}
    values = {"monitoring": {"rules": rules}}

    [made] = kind(render(values, chart=own_chart), "PrometheusRule")

    wanted = yaml.safe_load(_ALERTS)
    wanted["groups"][0]["rules"][0]["annotations"]["runbook_url"] = "https://wiki.example/pricing/docs/runbooks/DatabaseAway.md"
    assert made["spec"] == wanted
    assert made["metadata"]["labels"]["release"] == "prometheus"
    assert kind(render({}, chart=own_chart), "PrometheusRule") == []


def test_dashboards_go_to_grafana_as_they_stand(own_chart: Path) -> None:
    values = {"monitoring": {"dashboards": {"enabled": True, "folder": "Shop"}}}

    [made] = kind(render(values, chart=own_chart), "ConfigMap")

    assert made["metadata"]["name"] == "shop-centwise-lane"
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert made["metadata"]["annotations"] == {"grafana_folder": "Shop"}
    assert made["data"]["lane.json"].strip() == (own_chart / "files" / "dashboards" / "lane.json").read_text().strip()


def test_the_rules_and_dashboards_that_are_there_are_all_in_the_release() -> None:
    made = render(EVERYTHING)
    files = CHART / "files"

    groups = [group["name"] for one in kind(made, "PrometheusRule") for group in one["spec"]["groups"]]
    alerts = files / "alerts.yaml"
    assert groups == ([group["name"] for group in yaml.safe_load(alerts.read_text())["groups"]] if alerts.exists() else [])
    assert {name for one in kind(made, "ConfigMap") for name in one["data"]} == {
        one.name for one in files.glob("dashboards/*.json")
    }
    for one in kind(made, "ConfigMap"):
        assert len(str(one)) < 1 << 20
