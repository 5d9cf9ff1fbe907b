"""The Secrets that the page has people make are those that the chart mounts, and hold what the service reads."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import yaml

from app.settings import Settings
from tests.docs.pages import blocks
from tests.helm.generate import PAGE
from tests.tools import tool


def test_the_secrets_of_the_page_are_what_its_values_name(tmp_path: Path) -> None:
    made = _made_by_the_page(tmp_path)
    [values, *_] = [yaml.safe_load(block.text) for block in blocks(PAGE) if block.words == ("values",)]

    secrets = {one["metadata"]["name"]: _plain(one) for one in made if one["kind"] == "Secret"}

    assert [one["metadata"]["name"] for one in made if one["kind"] == "Namespace"] == ["pricing"]
    assert {one["metadata"].get("namespace") for one in made if one["kind"] == "Secret"} == {"pricing"}
    assert set(secrets) == {values["database"]["existingSecret"], values["signingKeys"]["existingSecret"]}
    assert secrets[values["database"]["existingSecret"]]["url"].startswith("postgresql://")
    mounted = tmp_path / "keys"
    mounted.write_text(secrets[values["signingKeys"]["existingSecret"]]["keys"])
    settings = Settings.from_environment({"PRICING_SIGNING_KEYS_FILE": str(mounted)})
    assert [kid for kid, _ in settings.read_signing_keys_file()] == ["2026-11"]


def _made_by_the_page(folder: Path) -> list[dict[str, Any]]:
    """What kubectl would send to a cluster, command by command."""
    [shown] = [block.text for block in blocks(PAGE) if block.language == "sh" and "create secret" in block.text]
    # Not sent, but written down: a cluster is what is lacking here.
    dry = f'kubectl() {{ "{tool("kubectl")}" "$@" --dry-run=client --output json; }}\nset -e\n'
    done = subprocess.run(["bash", "-c", dry + shown], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    decoder, text, found = json.JSONDecoder(), done.stdout.strip(), []
    while text:
        one, end = decoder.raw_decode(text)
        found.append(one)
        text = text[end:].lstrip()
    return found


def _plain(secret: dict[str, Any]) -> dict[str, str]:
    return {name: base64.b64decode(value).decode() for name, value in secret["data"].items()}
