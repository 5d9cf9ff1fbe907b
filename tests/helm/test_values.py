"""The values: each is described, known to the schema and of effect; what cannot be meant is refused; every setting has its place."""

import copy
import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, Final

import jsonschema
import pytest

from app.settings import Settings
from tests.helm import generate
from tests.helm.cases import EVERYTHING
from tests.helm.chart import NEEDED, Refused, merged, template
from tests.helm.generate import BY_VALUE, OUT_OF_REACH, PAGE, SCHEMA, Value, page_text, schema_text

_VALUES: Final = generate.values()
# What the schema says of these tells nothing of another value for them.
_OTHERS: Final[Mapping[str, Any]] = {
    "config": {"PRICING_WAIT_MS": 151},
    "extraEnv": [{"name": "OTHER", "value": "1"}],
    "image.digest": f"sha256:{'ab' * 32}",
    "image.tag": "9.9.9",
    "topologySpread": [{"topologyKey": "other", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule"}],
    "affinity": {"podAffinity": "other-affinity"},
    "export.schedule": "5 4 * * *",
    "ingress.paths": ["/other"],
    "httpRoute.paths": ["/other"],
    "tracing.endpoint": "http://other:4318",
    "monitoring.serviceMonitor.interval": "31s",
    "monitoring.rules.runbookBase": "https://other.example",
}
# Where everything is on, these are of no effect.
_ELSEWHERE: Final[Mapping[str, Mapping[str, Any]]] = {
    "image.tag": {"image": {"digest": ""}},
    "replicas": {"autoscaling": {"enabled": False}},
    "persistence.size": {"persistence": {"enabled": True}},
    "persistence.storageClass": {"persistence": {"enabled": True}},
}
# Of effect where there are files for them, which is tested with files.
_OF_FILES: Final = ("monitoring.rules.", "monitoring.dashboards.")


def with_value(values: Mapping[str, Any], path: str, value: Any) -> dict[str, Any]:
    """`values` with one replaced, a map as a whole."""
    result = copy.deepcopy(dict(values))
    *way, last = path.split(".")
    inner = result
    for name in way:
        inner = inner.setdefault(name, {})
    inner[last] = value
    return result


def another(value: Value, values: Mapping[str, Any], number: int) -> Any:
    """Something that the value is not, in these values or by default; where it can be, something that stands nowhere else."""
    now: Any = values
    for name in value.path.split("."):
        now = now.get(name, value.default) if isinstance(now, Mapping) else value.default
    if value.path in _OTHERS:
        return _OTHERS[value.path]
    if value.path.endswith("resources"):
        return {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": f"{2000 + number}Mi"}}
    form = form_of(value.path)
    if "enum" in form:
        return next(one for one in form["enum"] if one not in (now, "spool"))
    if isinstance(now, bool):
        return not now
    if isinstance(now, int | float):
        return now + 1 if form.get("maximum") == 100 else 2000 + number
    if form.get("type") == "object":
        return {"example.com/other": f"other-{number}"}
    if form.get("type") == "array":
        return [{"name": f"other-{number}"}] if form["items"].get("type") == "object" else [f"other-{number}"]
    if str(now).endswith("%"):
        return f"{number}%"
    return f"{2000 + number}Mi" if str(now)[:1].isdigit() and value.path != "host" else f"other-{number}"


def text_of(value: Any) -> str:
    """What of a value stands in the objects as it is."""
    while isinstance(value, list | dict):
        value = list(value.values())[-1] if isinstance(value, dict) else value[0]
    return str(value)


@cache
def _schema() -> dict[str, Any]:
    return json.loads(SCHEMA.read_text())  # type: ignore[no-any-return]


def form_of(path: str) -> dict[str, Any]:
    """What the schema says of a value. Raises KeyError for one it does not know."""
    form = schema = _schema()
    for name in path.split("."):
        form = form["properties"][name]
        if "$ref" in form:
            form = schema["$defs"][form["$ref"].rpartition("/")[2]]
    return form


def test_every_value_is_described_and_known_to_the_schema() -> None:
    assert [one.path for one in _VALUES if len(one.meaning) < 8 or one.meaning[-1] != "."] == []
    for one in _VALUES:
        form_of(one.path)


def test_the_schema_knows_no_value_that_there_is_not() -> None:
    def leaves(form: dict[str, Any], path: str, known: set[str]) -> list[str]:
        if path in known or path == "global":
            return []
        if "properties" not in form:
            return [path]
        return [leaf for name, inner in form["properties"].items() for leaf in leaves(inner, f"{path}.{name}".lstrip("."), known)]

    assert leaves(json.loads(SCHEMA.read_text()), "", {one.path for one in _VALUES}) == []


def test_the_page_has_the_table_of_values() -> None:
    assert PAGE.read_text() == page_text(), "python -m tests.helm.generate"


def test_the_schema_has_the_settings_of_the_service() -> None:
    assert SCHEMA.read_text() == schema_text(), "python -m tests.helm.generate"


def test_every_setting_has_its_place() -> None:
    configured = {name.removeprefix("PRICING_").lower() for name in form_of("config")["properties"]}
    settings = set(Settings.model_fields)

    assert settings == configured | (BY_VALUE.keys() & settings) | OUT_OF_REACH.keys()
    assert not configured & (BY_VALUE.keys() | OUT_OF_REACH.keys())
    assert set(BY_VALUE.values()) <= {one.path for one in _VALUES}
    for name in OUT_OF_REACH:
        assert f"`PRICING_{name.upper()}`" in PAGE.read_text()


def test_every_value_has_an_effect() -> None:
    tried = [one for one in _VALUES if not one.path.startswith(_OF_FILES)]
    others = {one.path: another(one, merged(NEEDED, EVERYTHING), number) for number, one in enumerate(tried, 10)}

    # All at once: what stands in the objects as it was given, and not without that, is of effect.
    together = merged(NEEDED, EVERYTHING)
    for path, other in others.items():
        if not isinstance(other, bool):
            together = with_value(together, path, other)
    before, after = template(EVERYTHING), template(together, bare=True)
    unseen = [path for path, other in others.items() if text_of(other) in before or text_of(other) not in after]
    assert len(unseen) < len(tried) / 2

    # The others one by one.
    def is_idle(path: str) -> bool:
        base = merged(EVERYTHING, _ELSEWHERE.get(path, {}))
        return template(base) == template(with_value(merged(NEEDED, base), path, others[path]), bare=True)

    with ThreadPoolExecutor(4) as threads:
        assert [path for path, is_one in zip(unseen, threads.map(is_idle, unseen), strict=True) if is_one] == []


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"replica": 2}, "replica is not allowed"),
        ({"image": {"pullpolicy": "Always"}}, "pullpolicy is not allowed"),
        ({"config": {"PRICING_WAIT_MSS": 1}}, "PRICING_WAIT_MSS is not allowed"),
        ({"config": {"wait_ms": 1}}, "wait_ms is not allowed"),
        ({"config": {"PRICING_WAIT_MS": "fast"}}, "config.PRICING_WAIT_MS"),
        ({"config": {"PRICING_WAIT_MS": 0}}, "config.PRICING_WAIT_MS"),
        ({"config": {"PRICING_DATABASE_URL": "postgresql://user:password@host/name"}}, "PRICING_DATABASE_URL is not allowed"),
        ({"config": {"PRICING_OPEN_LOOPBACK": True}}, "PRICING_OPEN_LOOPBACK is not allowed"),
        ({"extraEnv": [{"name": "PRICING_WAIT_MS", "value": "1"}]}, "extraEnv.0.name"),
        ({"database": {"existingSecret": ""}}, "database.existingSecret"),
        ({"database": {"url": "postgresql://user:password@host/name"}}, "url is not allowed"),
        ({"signingKeys": {"existingSecret": ""}}, "signingKeys.existingSecret"),
        ({"durability": "eventually"}, "durability"),
        ({"durability": "spool"}, "needs persistence.enabled"),
        ({"durability": "spool", "persistence": {"enabled": True}, "autoscaling": {"enabled": True}}, "scaled away"),
        ({"shutdown": {"drainSeconds": 25}}, "shutdown.drainSeconds has to be less"),
        ({"autoscaling": {"enabled": True, "minReplicas": 20}}, "autoscaling.minReplicas is more"),
        ({"replicas": 0}, "replicas"),
        ({"port": 80}, "port"),
        ({"security": {"runAsUser": 0}}, "security.runAsUser"),
        ({"podLabels": {"app.kubernetes.io/component": "other"}}, "podLabels"),
        ({"image": {"digest": "sha256:short"}}, "image.digest"),
        ({"resources": {"limits": {"memory": "much"}}}, "resources.limits.memory"),
        ({"ingress": {"enabled": True}}, "ingress.hosts"),
        ({"httpRoute": {"enabled": True, "hosts": ["prices.example.com"]}}, "httpRoute.parentRefs"),
        ({"tracing": {"enabled": True}}, "tracing.endpoint"),
        ({"export": {"enabled": True}}, "export.existingClaim"),
        ({"export": {"enabled": True, "existingClaim": "exports", "schedule": "every night"}}, "export.schedule"),
        ({"export": {"enabled": True, "existingClaim": "exports", "days": 0}}, "export.days"),
        ({"podDisruptionBudget": {"maxUnavailable": "100%"}}, "podDisruptionBudget.maxUnavailable"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(values: Mapping[str, Any], reason: str) -> None:
    with pytest.raises(Refused) as refused:
        template(values)

    assert reason in str(refused.value).replace("Additional property ", "")


def test_nothing_is_installed_without_its_secrets() -> None:
    with pytest.raises(Refused, match="existingSecret"):
        template({}, bare=True)


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(json.loads(SCHEMA.read_text()))
