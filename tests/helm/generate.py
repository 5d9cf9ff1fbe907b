"""What is derived: the settings in the schema of values, and the table of values in docs/helm.md.

`python -m tests.helm.generate` writes both; the tests compare.
"""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import yaml

from app.settings import PREFIX, Settings
from tests.helm.chart import CHART, ROOT

PAGE: Final = ROOT / "docs" / "helm.md"
SCHEMA: Final = CHART / "values.schema.json"
VALUES: Final = CHART / "values.yaml"
# Settings that the chart gives itself, by the value that they come from.
BY_VALUE: Final = {
    "database_url": "database.existingSecret",
    "signing_keys_file": "signingKeys.existingSecret",
    "data_dir": "persistence.enabled",
    "durability": "durability",
    "host": "host",
    "port": "port",
    "drain_seconds": "shutdown.drainSeconds",
    "shutdown_seconds": "shutdown.shutdownSeconds",
    "tracing": "tracing.enabled",
}
# Settings that no value reaches, and why.
OUT_OF_REACH: Final = {
    "signing_keys": "the chart mounts the keys as a file, which can be rotated without a restart",
    "postgres_bin": "the embedded server is for one machine",
    "embedded_port": "the embedded server is for one machine",
    "open_loopback": "`kubectl port-forward` comes from the pod's own loopback, and would need no key",
}
_FORMS: Final = ("type", "enum", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "pattern")
_BEGIN: Final = "<!-- the table of values: python -m tests.helm.generate -->\n"
_END: Final = "<!-- the end of the table of values -->\n"


class Value(NamedTuple):
    """A value of the chart: its path, its default, and what stands above it in values.yaml."""

    path: str
    default: Any
    meaning: str


def config_schema() -> dict[str, Any]:
    """The schema of `config`: every setting that the chart does not give itself, with the bounds that the service has for it."""
    properties = {
        PREFIX + name.upper(): _form(form)
        for name, form in Settings.model_json_schema()["properties"].items()
        if name not in BY_VALUE and name not in OUT_OF_REACH
    }
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _form(form: dict[str, Any]) -> dict[str, Any]:
    # An optional setting is left out of `config` when it is not wanted, so that null is no value for it.
    [one] = [choice for choice in form.get("anyOf", [form]) if choice.get("type") != "null"]
    return {word: one[word] for word in _FORMS if word in one}


def schema_text() -> str:
    """values.schema.json as it has to be."""
    schema = json.loads(SCHEMA.read_text())
    schema["properties"]["config"] = config_schema()
    return json.dumps(schema, indent=2) + "\n"


def values() -> list[Value]:
    """Every value in the order of values.yaml. A comment over a map whose members have none speaks for all of it."""
    return list(_below(yaml.compose(VALUES.read_text()), "", VALUES.read_text().splitlines(), yaml.safe_load(VALUES.read_text())))


def _below(node: yaml.Node | None, path: str, lines: list[str], default: Any) -> Iterator[Value]:
    assert isinstance(node, yaml.MappingNode)
    for key, value in node.value:
        here = f"{path}{key.value}"
        meaning = _comment_over(key.start_mark.line, lines)
        if isinstance(value, yaml.MappingNode) and value.value and not meaning:
            yield from _below(value, f"{here}.", lines, default[key.value])
        else:
            yield Value(here, default[key.value], meaning)


def _comment_over(line: int, lines: list[str]) -> str:
    found: list[str] = []
    while line > 0 and (match := re.fullmatch(r"\s*# (.*)", lines[line - 1])):
        found.insert(0, match[1])
        line -= 1
    return " ".join(found)


def table() -> str:
    """The table of values for the page."""
    rows = [f"| `{one.path}` | {_shown(one.default)} | {one.meaning.replace('|', chr(92) + '|')} |" for one in values()]
    return "\n".join(["| value | default | meaning |", "|---|---|---|", *rows]) + "\n"


def _shown(default: Any) -> str:
    if default in ("", [], {}):
        return ""
    if isinstance(default, list) and isinstance(default[0], dict):
        return "see values.yaml"
    return f"`{json.dumps(default)}`" if isinstance(default, dict | list | bool) else f"`{default}`"


def page_text() -> str:
    """docs/helm.md as it has to be."""
    before, _, rest = PAGE.read_text().partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{table()}\n{_END}{after}"


if __name__ == "__main__":
    SCHEMA.write_text(schema_text())
    PAGE.write_text(page_text())
