"""What people read about the chart: the page's values render without a fault, its commands are helm's, and what is named is there."""

import os
import re
import shlex
import shutil
import subprocess
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from tests.docs.accounts import check_of_the_service
from tests.docs.commands import Command, commands
from tests.docs.pages import Block, blocks
from tests.helm.cases import CASES
from tests.helm.chart import CHART, ROOT, Object, load_all, merged, render, template
from tests.helm.generate import PAGE
from tests.helm.pods import environment_of, template_of, workloads
from tests.helm.wiring import kind, wiring_faults
from tests.tools import tool

_NAMED: Final = re.compile(r"\b(deployment|statefulset|service|job|cronjob)/([a-z0-9-]+)")
_SHOWN: Final = [block for block in blocks(PAGE) if (block.language, block.words) == ("yaml", ("values",))]
_COMMANDS: Final = [
    command for block in blocks(PAGE) if block.language == "sh" for command in re.findall(r"^helm .*$", block.text, re.MULTILINE)
]


@pytest.mark.parametrize("shown", _SHOWN, ids=lambda block: f"line {block.line}")
def test_the_values_that_are_shown_make_a_release(shown: Block) -> None:
    objects = load_all(template(yaml.safe_load(shown.text), bare=True))

    assert list(wiring_faults(objects)) == []
    for workload in workloads(objects):
        [container] = template_of(workload)["spec"]["containers"]
        [url] = [one for one in container["env"] if one["name"] == "PRICING_DATABASE_URL"]
        assert url["valueFrom"]["secretKeyRef"] == {"name": "centwise-database", "key": "url"}
        assert "PRICING_DATABASE_URL" in environment_of(container)


@pytest.mark.parametrize("command", _COMMANDS)
def test_the_commands_that_are_shown_are_helms(command: str) -> None:
    """Helm parses the whole of it: what it then lacks is the cluster, or for a file of values that file."""
    words = shlex.split(command)
    asked = subprocess.run([tool("helm"), *words[1:], "--kubeconfig", "/dev/null"], capture_output=True, text=True, cwd=ROOT)

    assert asked.returncode != 0
    assert re.search(r"open values\.yaml: no such file|cluster unreachable", asked.stderr.strip()), asked.stderr


@pytest.mark.parametrize("command", [one for one in commands(PAGE) if one.words[0] == "kubectl"], ids=str)
def test_the_commands_that_are_shown_are_kubectls(command: Command) -> None:
    """kubectl parses the whole of it, and what it then lacks is the cluster. What a pod is to run is the service's."""
    words = list(command.words[1:])
    end = words.index("--") if "--" in words else len(words)
    asked = subprocess.run(
        [tool("kubectl"), *words[:end], "--server", "http://127.0.0.1:1", *words[end:]],
        env=os.environ | {"KUBECONFIG": "/dev/null"},
        capture_output=True,
        text=True,
    )

    assert asked.returncode != 0
    assert re.search(r"127\.0\.0\.1:1 was refused|connection refused$|signing\.keys: no such file", asked.stderr.strip()), (
        asked.stderr
    )
    if inner := words[end + 1 :]:
        assert inner[:3] == ["python", "-m", "app"]
        check_of_the_service(command, inner[3:])


def test_the_page_shows_values_and_commands() -> None:
    assert len(_SHOWN) >= 3
    assert {command.split()[1] for command in _COMMANDS} == {"install", "upgrade", "rollback"}


def names_in(objects: list[Object]) -> set[tuple[str, str]]:
    return {(one["kind"].lower(), one["metadata"]["name"]) for one in objects}


def test_what_the_page_names_is_in_the_release() -> None:
    page = PAGE.read_text()
    # By a command that the page shows.
    made = {("job", name) for name in re.findall(r"create job --from=\S+ (\S+)", page)}
    named = set(_NAMED.findall(page)) - made

    assert len(named) >= 3
    exports = {"export": {"enabled": True, "existingClaim": "exports"}}
    assert named <= names_in(render(exports, release="centwise"))


@pytest.mark.parametrize("case", ["default", "everything", "nothing", "spool"])
def test_what_the_notes_name_is_in_the_release(case: str, tmp_path: Path) -> None:
    values = CASES[case]

    notes = notes_of(values, tmp_path)

    named = set(_NAMED.findall(notes))
    assert len(named) == 2
    assert named <= names_in(render(values))
    assert "python -m app keys --name merchandising --scopes read,write,approve,signals" in notes
    ingress = merged({"enabled": False, "hosts": []}, values.get("ingress", {}))
    assert [f"https://{host}/v1" in notes for host in ingress["hosts"]] == [True] * len(ingress["hosts"])
    assert ("Migrations are off" in notes) == (values.get("migrations") == {"enabled": False})


def notes_of(values: Mapping[str, Any], folder: Path) -> str:
    """What an install would print. Without a cluster helm does not, so the text is rendered as the content of an object."""
    chart = folder / "centwise"
    shutil.copytree(CHART, chart)
    notes = (chart / "templates" / "NOTES.txt").read_text()
    head = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: the-notes}\ndata:\n  notes: |\n"
    (chart / "templates" / "notes.yaml").write_text(head + textwrap.indent(notes, "    "))
    [text] = [
        one["data"]["notes"] for one in kind(render(values, chart=chart), "ConfigMap") if one["metadata"]["name"] == "the-notes"
    ]
    assert isinstance(text, str)
    return text
