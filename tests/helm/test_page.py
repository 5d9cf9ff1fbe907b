"""The page about the chart: its values render without a fault, and its commands are ones that helm takes."""

import re
import shlex
import subprocess
from typing import Final

import pytest
import yaml

from tests.docs.pages import Block, blocks
from tests.helm.chart import ROOT, load_all, template
from tests.helm.generate import PAGE
from tests.helm.pods import environment_of, workloads
from tests.helm.wiring import wiring_faults
from tests.tools import tool

_SHOWN: Final = [block for block in blocks(PAGE) if (block.language, block.words) == ("yaml", ("values",))]
_COMMANDS: Final = [
    command for block in blocks(PAGE) if block.language == "sh" for command in re.findall(r"^helm .*$", block.text, re.MULTILINE)
]


@pytest.mark.parametrize("shown", _SHOWN, ids=lambda block: f"line {block.line}")
def test_the_values_that_are_shown_make_a_release(shown: Block) -> None:
    objects = load_all(template(yaml.safe_load(shown.text), bare=True))

    assert list(wiring_faults(objects)) == []
    for workload in workloads(objects):
        [container] = workload["spec"]["template"]["spec"]["containers"]
        [url] = [one for one in container["env"] if one["name"] == "PRICING_DATABASE_URL"]
        assert url["valueFrom"]["secretKeyRef"] == {"name": "centwise-database", "key": "url"}
        assert "PRICING_DATABASE_URL" in environment_of(container)


@pytest.mark.parametrize("command", _COMMANDS)
def test_the_commands_that_are_shown_are_helms(command: str) -> None:
    """Helm parses the whole of it: what it then lacks is the cluster, or for a file of values that file."""
    words = shlex.split(command)
    asked = subprocess.run([tool("helm"), *words[1:], "--kubeconfig", "/dev/null"], capture_output=True, text=True, cwd=ROOT)

    assert asked.returncode != 0
    assert re.search(r"open values\.yaml: no such file|cluster unreachable", asked.stderr), asked.stderr


def test_the_page_shows_values_and_commands() -> None:
    assert len(_SHOWN) >= 3
    assert {command.split()[1] for command in _COMMANDS} == {"install", "upgrade", "rollback"}
