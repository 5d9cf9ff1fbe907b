"""What is to hold between the objects of a release: `wiring_faults` says what does not."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tests.helm.chart import NAMESPACE, Object
from tests.helm.pods import environment_of, template_of, workloads

_NAME: Final = re.compile(r"[a-z0-9]([-a-z0-9.]*[a-z0-9])?")
# What a StatefulSet's controller and a claim append, within the 63 characters of a label.
_ROOM: Final = 63 - len("-pods-1234567890")
_OPEN_TO_ALL: Final = ("/metrics", "/readyz", "/livez")


def kind(objects: list[Object], *kinds: str) -> list[Object]:
    """The objects of these kinds."""
    return [one for one in objects if one["kind"] in kinds]


def hook_of(one: Object) -> str | None:
    return one["metadata"].get("annotations", {}).get("helm.sh/hook") if one["metadata"] else None


def labels_of(workload: Object) -> Mapping[str, str]:
    """The labels of the pods that it makes."""
    labels: Mapping[str, str] = template_of(workload)["metadata"]["labels"]
    return labels


def is_selected(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a selector with matchLabels and matchExpressions (In) selects these labels."""
    wanted = selector.get("matchLabels", {})
    among = {one["key"]: one["values"] for one in selector.get("matchExpressions", [])}
    return wanted.items() <= labels.items() and all(labels.get(key) in values for key, values in among.items())


def wiring_faults(objects: list[Object]) -> Iterator[str]:
    """What is wrong between these objects, a sentence for each."""
    yield from _of_names(objects)
    yield from _of_workloads(objects)
    yield from _of_services(objects)
    yield from _of_scaling(objects)
    yield from _of_policies(objects)
    yield from _of_hooks(objects)
    yield from _of_schedules(objects)
    yield from _of_routes(objects)
    yield from _of_monitors(objects)


def _serving(objects: list[Object]) -> Object:
    [serving] = [one for one in workloads(objects) if labels_of(one)["app.kubernetes.io/component"] == "serve"]
    return serving


def _of_names(objects: list[Object]) -> Iterator[str]:
    count = Counter((one["kind"], one["metadata"]["name"]) for one in objects)
    for (of_kind, name), times in count.items():
        if times > 1:
            yield f"{of_kind} {name} is there {times} times"
        if not _NAME.fullmatch(name) or len(name) > (63 if of_kind == "ConfigMap" else _ROOM + len("-pods")):
            yield f"{of_kind} {name} is no name"
    if kind(objects, "Secret"):
        yield "a secret stands in the release"


def _of_workloads(objects: list[Object]) -> Iterator[str]:
    for one in kind(objects, "Deployment", "StatefulSet"):
        name, spec = one["metadata"]["name"], one["spec"]
        for other in workloads(objects):
            if is_selected(spec["selector"], labels_of(other)) != (other is one):
                yield f"{name} does not select its own pods and no others"
        for spread in spec["template"]["spec"].get("topologySpreadConstraints", []):
            if not is_selected(spread["labelSelector"], labels_of(one)):
                yield f"{name} is spread among pods that are not its own"
        if labels_of(one)["app.kubernetes.io/component"] == "worker":
            if spec["replicas"] != 1 or spec["strategy"]["type"] != "Recreate":
                yield f"{name} may run twice"
        elif one["kind"] == "Deployment" and spec["strategy"]["rollingUpdate"]["maxUnavailable"] != 0:
            yield f"{name} takes pods away before there are others"
    serving = _serving(objects)
    [container] = serving["spec"]["template"]["spec"]["containers"]
    if environment_of(container)["PRICING_DURABILITY"] == "spool" and not serving["spec"].get("volumeClaimTemplates"):
        yield "what is spooled goes with the pod"
    if serving["kind"] == "StatefulSet":
        governing = [one for one in kind(objects, "Service") if one["metadata"]["name"] == serving["spec"]["serviceName"]]
        if [one["spec"].get("clusterIP") for one in governing] != ["None"]:
            yield "the StatefulSet has no headless service"
        if set(serving["spec"]["persistentVolumeClaimRetentionPolicy"].values()) != {"Retain"}:
            yield "a volume goes with its pod"


def _of_services(objects: list[Object]) -> Iterator[str]:
    for service in kind(objects, "Service"):
        name = service["metadata"]["name"]
        selected = [
            one for one in workloads(objects) if is_selected({"matchLabels": service["spec"]["selector"]}, labels_of(one))
        ]
        if len(selected) != 1:
            yield f"Service {name} leads to {len(selected)} workloads"
        for port in service["spec"]["ports"]:
            for one in selected:
                if not _has_port(one, port["targetPort"]):
                    yield f"Service {name} leads to a port that nobody listens on"


def _has_port(workload: Object, port: str | int) -> bool:
    ports = [port for one in template_of(workload)["spec"]["containers"] for port in one.get("ports", [])]
    return any(port in (one["name"], one["containerPort"]) for one in ports)


def _of_scaling(objects: list[Object]) -> Iterator[str]:
    serving = _serving(objects)
    for budget in kind(objects, "PodDisruptionBudget"):
        if [one for one in workloads(objects) if is_selected(budget["spec"]["selector"], labels_of(one))] != [serving]:
            yield "the disruption budget is not of the serving pods"
    scalers = kind(objects, "HorizontalPodAutoscaler")
    for scaler in scalers:
        target = scaler["spec"]["scaleTargetRef"]
        if (target["kind"], target["name"]) != (serving["kind"], serving["metadata"]["name"]):
            yield "the autoscaler scales something that is not there"
        if scaler["spec"]["minReplicas"] > scaler["spec"]["maxReplicas"]:
            yield "the autoscaler has no number to choose from"
    if bool(scalers) == ("replicas" in serving["spec"]):
        yield "the number of pods is said twice, or not at all"


def _of_policies(objects: list[Object]) -> Iterator[str]:
    policies = kind(objects, "NetworkPolicy")
    if not policies:
        return
    for one in workloads(objects):
        name = one["metadata"]["name"]
        own = [policy for policy in policies if is_selected(policy["spec"]["podSelector"], labels_of(one))]
        if len(own) != 1 or set(own[0]["spec"]["policyTypes"]) != {"Ingress", "Egress"}:
            yield f"{name} is not held by one policy"
            continue
        spec = own[0]["spec"]
        for rule in spec["ingress"]:
            if not rule.get("ports") or not all(_has_port(one, port["port"]) for port in rule["ports"]):
                yield f"{name} is open at ports that it does not have"
        if one["kind"] not in ("Job", "CronJob") and not spec["ingress"]:
            yield f"{name} cannot be reached"
        if any(not rule.get("ports") and not rule.get("to") for rule in spec["egress"]):
            yield f"{name} may reach everything"
        wanted = {53, *_egress_of(one)}
        if missing := wanted - {port["port"] for rule in spec["egress"] for port in rule.get("ports", [])}:
            yield f"{name} cannot reach what listens on {missing}"


def _egress_of(workload: Object) -> Iterator[int]:
    """Ports of others that its pods have to reach, but for the database's, which only its Secret knows."""
    for container in template_of(workload)["spec"]["containers"]:
        endpoint = environment_of(container).get("OTEL_EXPORTER_OTLP_ENDPOINT")
        if endpoint is not None:
            yield int(endpoint.rstrip("/").rpartition(":")[2])


def _of_hooks(objects: list[Object]) -> Iterator[str]:
    ordinary = {(one["kind"], one["metadata"]["name"]) for one in objects if hook_of(one) is None}
    for job in kind(objects, "Job"):
        if hook_of(job) != "pre-install,pre-upgrade":
            yield "the migrations do not run before the release"
        account = job["spec"]["template"]["spec"].get("serviceAccountName", "default")
        if ("ServiceAccount", account) in ordinary:
            yield "the migrations need an account that is not there before the release"
        if "hook-failed" in job["metadata"]["annotations"]["helm.sh/hook-delete-policy"]:
            yield "why the migrations failed is deleted with them"
        for policy in kind(objects, "NetworkPolicy"):
            if is_selected(policy["spec"]["podSelector"], labels_of(job)) and (
                hook_of(policy) != hook_of(job) or not _weight(policy) < _weight(job)
            ):
                yield "the policy of the migrations is not there before them"


def _of_schedules(objects: list[Object]) -> Iterator[str]:
    for one in kind(objects, "CronJob"):
        name, spec = one["metadata"]["name"], one["spec"]
        if spec.get("concurrencyPolicy") != "Forbid":
            yield f"{name} may run twice"
        if spec.get("timeZone") != "Etc/UTC":
            yield f"{name} begins at an hour of the cluster's"
        # Without one a controller that was away for a hundred starts begins none any more.
        if not spec.get("startingDeadlineSeconds"):
            yield f"{name} may never begin again"
        if not spec["jobTemplate"]["spec"].get("activeDeadlineSeconds"):
            yield f"{name} may hang for ever, and keep the next ones from beginning"
        if not spec.get("failedJobsHistoryLimit"):
            yield f"why {name} failed is deleted with its job"


def _weight(one: Object) -> int:
    return int(one["metadata"]["annotations"]["helm.sh/hook-weight"])


def _of_routes(objects: list[Object]) -> Iterator[str]:
    services = {one["metadata"]["name"]: one["spec"]["ports"] for one in kind(objects, "Service")}
    ends: list[tuple[str, str | int]] = []
    paths: list[str] = []
    for ingress in kind(objects, "Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                ends.append((service["name"], service["port"].get("name") or service["port"]["number"]))
                paths.append(path["path"])
        named = {rule["host"] for rule in ingress["spec"]["rules"]}
        if any(set(tls["hosts"]) != named for tls in ingress["spec"].get("tls", [])):
            yield "the certificate is not for the hosts"
    for route in kind(objects, "HTTPRoute"):
        for rule in route["spec"]["rules"]:
            ends += [(back["name"], back["port"]) for back in rule["backendRefs"]]
            paths += [match["path"]["value"] for match in rule["matches"]]
        if not route["spec"]["parentRefs"] or not route["spec"]["hostnames"]:
            yield "the route hangs on nothing"
    for name, port in ends:
        if not any(port in (one["name"], one["port"]) for one in services.get(name, [])):
            yield f"a route leads to {name}:{port}, which is not there"
    if any(closed == path or closed.startswith(path.rstrip("/") + "/") for path in paths for closed in _OPEN_TO_ALL):
        yield "what asks for no key can be reached from outside"


def _of_monitors(objects: list[Object]) -> Iterator[str]:
    for monitor in kind(objects, "ServiceMonitor"):
        spec = monitor["spec"]
        if spec["namespaceSelector"] != {"matchNames": [NAMESPACE]}:
            yield "other namespaces are scraped as well, or others alone"
        [endpoint] = spec["endpoints"]
        if endpoint["path"] != "/metrics":
            yield "what is scraped is not the metrics"
        scraped: Counter[str] = Counter()
        for service in kind(objects, "Service"):
            if not is_selected(spec["selector"], service["metadata"]["labels"]):
                continue
            if endpoint["port"] not in [port["name"] for port in service["spec"]["ports"]]:
                yield "a port is scraped that the service does not have"
            for one in workloads(objects):
                scraped[one["metadata"]["name"]] += is_selected({"matchLabels": service["spec"]["selector"]}, labels_of(one))
        for one in kind(objects, "Deployment", "StatefulSet"):
            if scraped[one["metadata"]["name"]] != 1:
                yield f"{one['metadata']['name']} is scraped {scraped[one['metadata']['name']]} times"
