"""The chart as tests see it: values in, the objects that helm makes of them out."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from tests.tools import tool

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "helm" / "centwise"
RELEASE: Final = "shop"
NAMESPACE: Final = "pricing"
# What has to be given, and names that stand nowhere else.
NEEDED: Final[Mapping[str, Any]] = {
    "database": {"existingSecret": "the-database"},
    "signingKeys": {"existingSecret": "the-signing-keys"},
}

type Object = dict[str, Any]


class Refused(Exception):
    """Helm does not render these values; the message says why."""


class _UniqueKeys(yaml.CSafeLoader):
    """Refuses a key that stands twice in a mapping, where YAML parsers differ in which one they take."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise ValueError(f"{', '.join(sorted(twice))} is there twice{node.start_mark}")
        return super().construct_mapping(node, deep)


def load_all(text: str) -> list[Object]:
    """The documents of a YAML text, without those that are empty."""
    return [one for one in yaml.load_all(text, _UniqueKeys) if one is not None]


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """What helm makes of two files of values: maps are merged, all else is replaced."""
    result = dict(below)
    for name, value in above.items():
        under = result.get(name)
        result[name] = merged(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return result


def render(values: Mapping[str, Any], *, chart: Path = CHART, release: str = RELEASE, bare: bool = False) -> list[Object]:
    """The objects of a release with `values`, and with what is needed unless it is `bare`. Raises Refused."""
    return load_all(template(values, chart=chart, release=release, bare=bare))


def template(values: Mapping[str, Any], *, chart: Path = CHART, release: str = RELEASE, bare: bool = False) -> str:
    """What `helm template` prints. Raises Refused."""
    given = values if bare else merged(NEEDED, values)
    return _helm("template", release, str(chart), "--namespace", NAMESPACE, "--values", "-", given=given)


def lint(values: Mapping[str, Any], *, chart: Path = CHART) -> str:
    """What `helm lint --strict` prints. Raises Refused."""
    return _helm("lint", str(chart), "--strict", "--values", "-", given=merged(NEEDED, values))


def _helm(*arguments: str, given: Mapping[str, Any]) -> str:
    done = subprocess.run([tool("helm"), *arguments], input=yaml.safe_dump(dict(given)), capture_output=True, text=True)
    if done.returncode != 0:
        raise Refused(f"{done.stdout}{done.stderr}")
    return done.stdout
