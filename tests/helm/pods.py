"""What is to hold of every pod that the chart makes, beyond its being a valid object: `pod_faults` says what does not."""

import argparse
import contextlib
import io
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from app.cli import _parser
from app.settings import Settings, SettingsError
from tests.helm.chart import NEEDED, Object

# What stands for the content of Secrets.
SECRETS: Final[Mapping[str, str]] = {"PRICING_DATABASE_URL": "postgresql://user:password@host/name"}
# Who starts, and whether it answers HTTP.
_ANSWERS: Final = {"serve": True, "worker": True, "migrate": False, "export-decisions": False}
_IN_PLAIN_TEXT: Final = re.compile(r"postgres(ql)?://|kid:|password", re.IGNORECASE)
_SIZES: Final = {
    "": 1.0,
    "m": 1e-3,
    "k": 1e3,
    "M": 1e6,
    "G": 1e9,
    "T": 1e12,
    "Ki": 2.0**10,
    "Mi": 2.0**20,
    "Gi": 2.0**30,
    "Ti": 2.0**40,
}


def commands() -> set[str]:
    """The commands of the service's command line."""
    [found] = [action for action in _parser()._actions if isinstance(action, argparse._SubParsersAction)]
    return set(found.choices)


def workloads(objects: list[Object]) -> list[Object]:
    """The objects that make pods."""
    return [one for one in objects if "template" in one.get("spec", {}) or one["kind"] == "CronJob"]


def template_of(workload: Object) -> dict[str, Any]:
    """What a workload makes its pods from."""
    spec = workload["spec"]
    template: dict[str, Any] = (spec["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else spec)["template"]
    return template


def environment_of(container: Mapping[str, Any]) -> dict[str, str]:
    """The container's environment as the process sees it, with something in the place of what comes from outside."""
    found: dict[str, str] = {}
    for one in container["env"]:
        value = one.get("value", SECRETS.get(one["name"], "from outside"))
        found[one["name"]] = re.sub(r"\$\((\w+)\)", lambda match: found[match[1]], value)
    return found


def pod_faults(objects: list[Object]) -> Iterator[str]:
    """What is wrong with the pods of these objects, a sentence for each."""
    for workload in workloads(objects):
        name, pod = f"{workload['kind']} {workload['metadata']['name']}", template_of(workload)["spec"]
        for fault in [
            *_of_pod(workload, pod),
            *(fault for one in pod["containers"] for fault in _of_container(workload, pod, one)),
        ]:
            yield f"{name}: {fault}"


def _of_pod(workload: Object, pod: Mapping[str, Any]) -> Iterator[str]:
    security = pod.get("securityContext", {})
    if security.get("runAsNonRoot") is not True or security.get("runAsUser") == 0:
        yield "it may run as root"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "it has no seccomp profile"
    if pod.get("automountServiceAccountToken") is not False:
        yield "it gets a token of the cluster"
    if pod.get("enableServiceLinks") is not False:
        yield "services of the namespace put variables into it, which may have our prefix"
    if any(pod.get(word) for word in ("hostNetwork", "hostPID", "hostIPC", "initContainers")):
        yield "it shares what is the node's, or runs something that nothing here looks at"
    known = {"emptyDir", "secret", *(("persistentVolumeClaim",) if workload["kind"] == "CronJob" else ())}
    if any(set(volume) - {"name"} - known for volume in pod["volumes"]):
        yield "it has a volume of a sort that nobody thought of"
    if any("emptyDir" in volume and not volume["emptyDir"].get("sizeLimit") for volume in pod["volumes"]):
        yield "a volume may fill the node"
    if workload["kind"] in ("Job", "CronJob"):
        if pod.get("restartPolicy") != "Never":
            yield "a job that is started again in its pod keeps no trace of why"
        return
    [container] = pod["containers"]
    settings = environment_of(container)
    if pod["terminationGracePeriodSeconds"] <= float(settings["PRICING_SHUTDOWN_SECONDS"]):
        yield "it is killed before it is done"


def _of_container(workload: Object, pod: Mapping[str, Any], container: Mapping[str, Any]) -> Iterator[str]:
    yield from _of_security(container)
    yield from _of_environment(container)
    yield from _of_files(workload, pod, container)
    if "command" in container or container["args"][:1] != [container["name"]] or container["name"] not in commands():
        yield "it starts something that the service has no command for"
    elif _ANSWERS[container["name"]]:
        yield from _of_http(container)
    else:
        yield from _of_command(container)
    resources = container.get("resources", {})
    wants, may = resources.get("requests", {}), resources.get("limits", {})
    if not {"cpu", "memory"} <= wants.keys() or "memory" not in may:
        yield "it does not say what it takes"
    elif any(_size(may[what]) < _size(wants[what]) for what in may.keys() & wants.keys()):
        yield "it may not take what it asks for"


def _of_security(container: Mapping[str, Any]) -> Iterator[str]:
    security = container.get("securityContext", {})
    if security.get("allowPrivilegeEscalation") is not False or security.get("privileged"):
        yield "it may gain rights"
    if security.get("readOnlyRootFilesystem") is not True:
        yield "its root can be written to"
    if security.get("capabilities", {}) != {"drop": ["ALL"]}:
        yield "it has capabilities"
    if security.get("runAsUser") == 0 or security.get("runAsNonRoot") is False:
        yield "it may run as root"
    if not re.search(r"(:[A-Za-z0-9_.-]+|@sha256:[0-9a-f]{64})$", container["image"]):
        yield "its image is whatever is the latest"


def _of_environment(container: Mapping[str, Any]) -> Iterator[str]:
    names = [one["name"] for one in container["env"]]
    if twice := {name for name in names if names.count(name) > 1}:
        yield f"{', '.join(sorted(twice))} is set twice"
    if not {"PRICING_DATABASE_URL", "PRICING_DATA_DIR"} <= set(names):
        yield "it would start a Postgres of its own, or keep its data where it cannot"
    for one in container["env"]:
        if one["name"] in SECRETS:
            secret = one.get("valueFrom", {}).get("secretKeyRef", {})
            if secret.get("name") != NEEDED["database"]["existingSecret"]:
                yield f"{one['name']} is not from the Secret that was named"
        elif _IN_PLAIN_TEXT.search(one.get("value", "")):
            yield f"{one['name']} is a secret in plain text"
    if container["name"] in commands():
        try:
            Settings.from_environment(environment_of(container))
        except SettingsError as error:
            yield f"the service does not start: {error}"


def _of_files(workload: Object, pod: Mapping[str, Any], container: Mapping[str, Any]) -> Iterator[str]:
    volumes = {volume["name"] for volume in pod["volumes"]}
    volumes |= {claim["metadata"]["name"] for claim in workload["spec"].get("volumeClaimTemplates", [])}
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    if {mount["name"] for mount in mounts.values()} != volumes or len(mounts) != len(container["volumeMounts"]):
        yield "its volumes are not what it mounts"
    if any("subPath" in mount for mount in mounts.values()):
        yield "a secret that changes would not reach it"
    claimed = {volume["name"] for volume in pod["volumes"] if "persistentVolumeClaim" in volume}
    kept = [path for path, mount in mounts.items() if mount["name"] in claimed]
    writable = {path for path, mount in mounts.items() if not mount.get("readOnly")}
    if writable != {"/data", "/tmp", *kept}:
        yield "what it can write to is not the data folder and /tmp"
    if "--out" in container["args"]:
        out = container["args"][container["args"].index("--out") + 1]
        if not any(out.startswith(f"{path}/") for path in kept):
            yield "what it exports goes with the pod"
    settings = environment_of(container)
    if settings.get("PRICING_DATA_DIR") != "/data":
        yield "its data folder is not the one that is mounted"
    keys = settings.get("PRICING_SIGNING_KEYS_FILE")
    if _ANSWERS.get(container["name"]):
        mount = mounts.get(keys.rpartition("/")[0], {}) if keys else {}
        secrets = [volume["secret"] for volume in pod["volumes"] if volume["name"] == mount.get("name") and "secret" in volume]
        files = [item["path"] for secret in secrets for item in secret["items"]]
        if [secret["secretName"] for secret in secrets] != [NEEDED["signingKeys"]["existingSecret"]] or files != ["keys"]:
            yield "it does not find its signing keys"


def _of_command(container: Mapping[str, Any]) -> Iterator[str]:
    try:
        with contextlib.redirect_stderr(io.StringIO()) as said:
            _parser().parse_args(container["args"])
    except SystemExit:
        yield f"the service does not start: {said.getvalue().splitlines()[-1]}"


def _of_http(container: Mapping[str, Any]) -> Iterator[str]:
    ports = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
    settings = environment_of(container)
    if list(ports) != ["http"] or settings.get("PRICING_PORT") != str(ports["http"]):
        yield "it does not listen where it is said to"
    if settings.get("PRICING_HOST") not in ("0.0.0.0", "::"):
        yield "it listens to itself alone"
    for probe, path in (("startupProbe", "/livez"), ("readinessProbe", "/readyz"), ("livenessProbe", "/livez")):
        asked = container.get(probe, {}).get("httpGet", {})
        if asked.get("path") != path:
            yield f"its {probe} does not ask {path}"
        if asked.get("port") not in ports and asked.get("port") not in ports.values():
            yield f"its {probe} asks where nobody listens"


def _size(quantity: str | float) -> float:
    match = re.fullmatch(r"([0-9.]+)([A-Za-z]*)", str(quantity))
    assert match is not None, quantity
    return float(match[1]) * _SIZES[match[2]]
