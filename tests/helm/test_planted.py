"""Planted defects: each is one that Kubernetes takes and an operator finds out about at night; the rules of the tests must catch it."""

import copy
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final

import kubernetes_validate
import pytest

from tests.helm.cases import CASES
from tests.helm.chart import Object, render
from tests.helm.pods import pod_faults, template_of
from tests.helm.wiring import wiring_faults

type Plant = Callable[["Release"], object]


class Release:
    """The objects of a release, to be found by kind and name."""

    def __init__(self, objects: list[Object]) -> None:
        self.objects = objects

    def one(self, kind: str, name: str = "") -> Object:
        """The object of that kind whose name ends so behind the release's."""
        [found] = [one for one in self.objects if one["kind"] == kind and one["metadata"]["name"] == f"shop-centwise{name}"]
        return found

    def pod(self, kind: str = "Deployment", name: str = "") -> Any:
        return template_of(self.one(kind, name))["spec"]

    def container(self, kind: str = "Deployment", name: str = "") -> Any:
        return self.pod(kind, name)["containers"][0]

    def set(self, variable: str, value: str) -> None:
        """Give the serving container a variable, instead of the one it has."""
        env = self.container()["env"]
        env[:] = [*(one for one in env if one["name"] != variable), {"name": variable, "value": value}]


def _without_variable(release: Release, variable: str) -> None:
    env = release.container()["env"]
    env[:] = [one for one in env if one["name"] != variable]


_EVERYTHING: Final = "everything"
# What is planted, into which case, and what must be said of it.
_DEFECTS: Final[Mapping[str, tuple[str, Plant, str]]] = {
    "root": ("default", lambda r: r.pod()["securityContext"].update(runAsUser=0), "may run as root"),
    "root not excluded": ("default", lambda r: r.pod(name="-worker")["securityContext"].pop("runAsNonRoot"), "may run as root"),
    "no seccomp": ("default", lambda r: r.pod("Job", "-migrate")["securityContext"].pop("seccompProfile"), "no seccomp profile"),
    "writable root": (
        "default",
        lambda r: r.container()["securityContext"].update(readOnlyRootFilesystem=False),
        "its root can be written to",
    ),
    "a capability": (
        "default",
        lambda r: r.container()["securityContext"]["capabilities"].update(add=["NET_ADMIN"]),
        "it has capabilities",
    ),
    "escalation": ("default", lambda r: r.container()["securityContext"].pop("allowPrivilegeEscalation"), "may gain rights"),
    "a token": ("default", lambda r: r.pod().update(automountServiceAccountToken=True), "a token of the cluster"),
    "service links": ("default", lambda r: r.pod().pop("enableServiceLinks"), "may have our prefix"),
    "the latest image": ("default", lambda r: r.container().update(image="centwise"), "whatever is the latest"),
    "no limits": ("default", lambda r: r.container()["resources"].pop("limits"), "does not say what it takes"),
    "limits below requests": (
        "default",
        lambda r: r.container()["resources"]["limits"].update(memory="900Mi"),
        "may not take what it asks for",
    ),
    "a mistyped setting": ("default", lambda r: r.set("PRICING_WAIT_MSS", "1"), "PRICING_WAIT_MSS is not a setting"),
    "a number as YAML has it": ("default", lambda r: r.set("PRICING_SPOOL_BYTES", "2.68435456e+08"), "PRICING_SPOOL_BYTES"),
    "a drain that does not end": (
        "default",
        lambda r: r.set("PRICING_DRAIN_SECONDS", "25"),
        "PRICING_DRAIN_SECONDS has to be less",
    ),
    "no database": ("default", lambda r: _without_variable(r, "PRICING_DATABASE_URL"), "a Postgres of its own"),
    "a secret in plain text": ("default", lambda r: r.set("DSN", "postgresql://user:secret@db/shop"), "a secret in plain text"),
    "a variable twice": (
        "default",
        lambda r: r.container()["env"].append({"name": "PRICING_PORT", "value": "8080"}),
        "PRICING_PORT is set twice",
    ),
    "a port of old": ("default", lambda r: r.set("PRICING_PORT", "8081"), "does not listen where it is said to"),
    "on loopback": ("default", lambda r: _without_variable(r, "PRICING_HOST"), "listens to itself alone"),
    "a probe of a path that is not": (
        "default",
        lambda r: r.container()["readinessProbe"]["httpGet"].update(path="/healthz"),
        "readinessProbe does not ask /readyz",
    ),
    "liveness by readiness": (
        "default",
        lambda r: r.container()["livenessProbe"]["httpGet"].update(path="/readyz"),
        "livenessProbe does not ask /livez",
    ),
    "a probe of a port that is not": (
        "default",
        lambda r: r.container()["livenessProbe"]["httpGet"].update(port="web"),
        "livenessProbe asks where nobody listens",
    ),
    "an unknown command": ("default", lambda r: r.container("Job", "-migrate").update(args=["upgrade"]), "no command for"),
    "killed while draining": ("default", lambda r: r.pod().update(terminationGracePeriodSeconds=20), "killed before it is done"),
    "keys by subPath": (
        "default",
        lambda r: r.container()["volumeMounts"][-1].update(subPath="keys"),
        "a secret that changes would not reach it",
    ),
    "keys elsewhere": ("default", lambda r: r.set("PRICING_SIGNING_KEYS_FILE", "/etc/keys"), "does not find its signing keys"),
    "a mount without a volume": ("default", lambda r: r.pod()["volumes"].pop(0), "its volumes are not what it mounts"),
    "a data folder on the root": ("default", lambda r: r.set("PRICING_DATA_DIR", "/var/data"), "not the one that is mounted"),
    "a folder that fills the node": (
        "default",
        lambda r: r.pod()["volumes"][-1]["emptyDir"].pop("sizeLimit"),
        "a volume may fill the node",
    ),
    "a selector of all": (
        "default",
        lambda r: r.one("Deployment")["spec"]["selector"]["matchLabels"].pop("app.kubernetes.io/component"),
        "does not select its own pods and no others",
    ),
    "a service of all": (
        "default",
        lambda r: r.one("Service")["spec"]["selector"].pop("app.kubernetes.io/component"),
        "leads to 3 workloads",
    ),
    "a service of nothing": (
        "default",
        lambda r: r.one("Service")["spec"]["selector"].update({"app.kubernetes.io/name": "other"}),
        "leads to 0 workloads",
    ),
    "a service of another port": (
        "default",
        lambda r: r.one("Service")["spec"]["ports"][0].update(targetPort="web"),
        "a port that nobody listens on",
    ),
    "a budget of the worker": (
        "default",
        lambda r: r.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"].update(
            {"app.kubernetes.io/component": "worker"}
        ),
        "disruption budget is not of the serving pods",
    ),
    "pods taken first": (
        "default",
        lambda r: r.one("Deployment")["spec"]["strategy"]["rollingUpdate"].update(maxUnavailable=1),
        "takes pods away before there are others",
    ),
    "two workers": ("default", lambda r: r.one("Deployment", "-worker")["spec"].update(replicas=2), "may run twice"),
    "workers that overlap": (
        "default",
        lambda r: r.one("Deployment", "-worker")["spec"].update(strategy={"type": "RollingUpdate"}),
        "may run twice",
    ),
    "spread among strangers": (
        "default",
        lambda r: r.pod()["topologySpreadConstraints"][0]["labelSelector"]["matchLabels"].update({"app.kubernetes.io/name": "x"}),
        "spread among pods that are not its own",
    ),
    "migrations afterwards": (
        "default",
        lambda r: r.one("Job", "-migrate")["metadata"]["annotations"].update({"helm.sh/hook": "post-upgrade"}),
        "do not run before the release",
    ),
    "migrations with the release's account": (
        "default",
        lambda r: r.pod("Job", "-migrate").update(serviceAccountName="shop-centwise"),
        "an account that is not there before",
    ),
    "migrations before their policy": (
        "default",
        lambda r: r.one("NetworkPolicy", "-migrate")["metadata"]["annotations"].update({"helm.sh/hook-weight": "5"}),
        "policy of the migrations is not there before them",
    ),
    "a policy that lets all out": (
        "default",
        lambda r: r.one("NetworkPolicy", "-serve")["spec"]["egress"].append({}),
        "may reach everything",
    ),
    "a policy without names": (
        "default",
        lambda r: r.one("NetworkPolicy", "-serve")["spec"]["egress"].pop(0),
        "cannot reach what listens on {53}",
    ),
    "a policy of another port": (
        "default",
        lambda r: r.one("NetworkPolicy", "-worker")["spec"]["ingress"][0]["ports"][0].update(port=9100),
        "open at ports that it does not have",
    ),
    "a policy without traces": (
        _EVERYTHING,
        lambda r: r.one("NetworkPolicy", "-serve")["spec"]["egress"].pop(2),
        "cannot reach what listens on {4318}",
    ),
    "an autoscaler of nothing": (
        _EVERYTHING,
        lambda r: r.one("HorizontalPodAutoscaler")["spec"]["scaleTargetRef"].update(kind="StatefulSet"),
        "scales something that is not there",
    ),
    "a number beside the autoscaler": (
        _EVERYTHING,
        lambda r: r.one("Deployment")["spec"].update(replicas=3),
        "the number of pods is said twice",
    ),
    "an ingress to nothing": (
        _EVERYTHING,
        lambda r: r.one("Ingress")["spec"]["rules"][1]["http"]["paths"][0]["backend"]["service"]["port"].update(name="web"),
        "a route leads to shop-centwise:web",
    ),
    "metrics for everybody": (
        _EVERYTHING,
        lambda r: r.one("Ingress")["spec"]["rules"][0]["http"]["paths"][0].update(path="/"),
        "can be reached from outside",
    ),
    "a route to another port": (
        _EVERYTHING,
        lambda r: r.one("HTTPRoute")["spec"]["rules"][0]["backendRefs"][0].update(port=81),
        "a route leads to shop-centwise:81",
    ),
    "a worker that is not scraped": (
        _EVERYTHING,
        lambda r: r.one("ServiceMonitor")["spec"]["selector"]["matchExpressions"][0].update(values=["serve"]),
        "shop-centwise-worker is scraped 0 times",
    ),
    "pods scraped twice": (
        "spool",
        lambda r: r.one("ServiceMonitor")["spec"]["selector"].pop("matchExpressions"),
        "shop-centwise is scraped 2 times",
    ),
    "a log that goes with the pod": (
        "spool",
        lambda r: (
            r.one("StatefulSet")["spec"].pop("volumeClaimTemplates"),
            r.pod("StatefulSet")["volumes"].append({"name": "data", "emptyDir": {"sizeLimit": "1Gi"}}),
        ),
        "what is spooled goes with the pod",
    ),
    "a volume that goes with the pod": (
        "spool",
        lambda r: r.one("StatefulSet")["spec"]["persistentVolumeClaimRetentionPolicy"].update(whenScaled="Delete"),
        "a volume goes with its pod",
    ),
    "a set without its service": (
        "spool",
        lambda r: r.one("StatefulSet")["spec"].update(serviceName="shop-centwise"),
        "has no headless service",
    ),
    "an object twice": ("default", lambda r: r.objects.append(r.one("Service")), "is there 2 times"),
    "an export into the pod": (
        "exports",
        lambda r: r.container("CronJob", "-export").update(args=["export-decisions", "--days", "3", "--out", "/data/decisions"]),
        "what it exports goes with the pod",
    ),
    "an export into a folder of the pod's": (
        "exports",
        lambda r: (
            r.pod("CronJob", "-export")["volumes"][-1].pop("persistentVolumeClaim"),
            r.pod("CronJob", "-export")["volumes"][-1].update(emptyDir={"sizeLimit": "1Gi"}),
        ),
        "what it exports goes with the pod",
    ),
    "an option that is none": (
        "exports",
        lambda r: r.container("CronJob", "-export")["args"].__setitem__(1, "--last"),
        "the service does not start",
    ),
    "a volume where none is thought of": (
        "exports",
        lambda r: r.pod()["volumes"].append(r.pod("CronJob", "-export")["volumes"][-1]),
        "a volume of a sort that nobody thought of",
    ),
    "an export as root": (
        "exports",
        lambda r: r.pod("CronJob", "-export")["securityContext"].update(runAsUser=0),
        "may run as root",
    ),
    "an export that is started again": (
        "exports",
        lambda r: r.pod("CronJob", "-export").update(restartPolicy="OnFailure"),
        "keeps no trace of why",
    ),
    "two exports at a time": (
        "exports",
        lambda r: r.one("CronJob", "-export")["spec"].update(concurrencyPolicy="Allow"),
        "shop-centwise-export may run twice",
    ),
    "an hour of somewhere": (
        "exports",
        lambda r: r.one("CronJob", "-export")["spec"].pop("timeZone"),
        "begins at an hour of the cluster's",
    ),
    "starts that are counted": (
        "exports",
        lambda r: r.one("CronJob", "-export")["spec"].pop("startingDeadlineSeconds"),
        "may never begin again",
    ),
    "an export without an end": (
        "exports",
        lambda r: r.one("CronJob", "-export")["spec"]["jobTemplate"]["spec"].pop("activeDeadlineSeconds"),
        "may hang for ever",
    ),
    "a failure that is forgotten": (
        "exports",
        lambda r: r.one("CronJob", "-export")["spec"].update(failedJobsHistoryLimit=0),
        "is deleted with its job",
    ),
    "an export without a policy": (
        "exports",
        lambda r: r.objects.remove(r.one("NetworkPolicy", "-export")),
        "shop-centwise-export is not held by one policy",
    ),
    "a secret of the chart's": (
        "default",
        lambda r: r.objects.append({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "database"}}),
        "a secret stands in the release",
    ),
}


@cache
def _rendered(case: str) -> list[Object]:
    return render(CASES[case])


@pytest.mark.parametrize("defect", _DEFECTS)
def test_a_planted_defect_is_caught(defect: str) -> None:
    case, plant, said = _DEFECTS[defect]
    release = Release(copy.deepcopy(_rendered(case)))

    plant(release)

    faults = [*pod_faults(release.objects), *wiring_faults(release.objects)]
    assert any(said in fault for fault in faults), faults


def test_a_misspelt_member_is_no_valid_object() -> None:
    release = Release(copy.deepcopy(_rendered("default")))
    release.container()["readynessProbe"] = release.container().pop("readinessProbe")

    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(release.one("Deployment"), "1.27", strict=True)
