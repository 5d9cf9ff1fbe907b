"""schemathesis over the running service: no 5xx, and every reply is what the OpenAPI document says.

Bounded by time: CONTRACT_SECONDS (45), from CONTRACT_SEED (drawn); both are printed, and a run is repeated with them.
"""

import copy
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.db.engine import Database
from app.demo.load import load_sample_shop
from app.resources.fields import ID_PATTERN, LOCAL_TIME_PATTERN
from app.web.auth import SCOPES
from app.web.instants import INSTANT_PATTERN
from tests.served import served

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
)
SKUS = ["MUG-ENAMEL-BLUE", "COFFEE-CAMP", "SKILLET-26", "NO-SUCH"]
# Where a pattern leaves nearly every value to be refused further inside, some that are not: so that requests get past their validation.
LIKELY = {
    "^[A-Z]{3}$": ["USD", "EUR", "JPY", "KWD"],
    "^[1-9][0-9]{0,15}$": ["1", "3"],
    INSTANT_PATTERN: ["2026-01-01T00:00:00Z", "2026-11-28T12:00:00+01:00", "2026-02-30T00:00:00Z", "2199-12-31T23:59:59.999Z"],
    LOCAL_TIME_PATTERN: ["2026-03-29T02:30:00", "2026-11-27T00:00:00", "2027-01-01T00:00"],
    ID_PATTERN: [*SKUS, "default", "vip", "A"],
}
_REF = "#/components/schemas/"


def made_likely(document: dict[str, Any]) -> dict[str, Any]:
    """The document for the generator: patterned texts are one of a few, besides being whatever fits."""

    def change(node: Any) -> None:
        if isinstance(node, dict):
            values = LIKELY.get(node.get("pattern", "")) if node.get("type") == "string" else None
            if node.get("title") in ("Timezone", "TimeZone"):
                values = ["America/New_York", "UTC", "Nowhere/Here"]
            if values is not None:
                node["enum"] = values
                for bound in ("pattern", "minLength", "maxLength", "format", "examples"):
                    node.pop(bound, None)
            if node.get("maximum") == 2**53:
                node["maximum"] = 3  # of a version: waiting for one that is far off is 503, as it should be
            for member in node.values():
                change(member)
        elif isinstance(node, list):
            for member in node:
                change(member)

    generated = copy.deepcopy(document)
    # Replies are held against the schemas as they are, so that requests get their own.
    sent = json.loads(json.dumps(document["components"]["schemas"]).replace(_REF, f"{_REF}Sent"))
    change(sent)
    for operations in generated["paths"].values():
        for operation in operations.values():
            change(operation.get("parameters"))
            if "requestBody" in operation:
                operation["requestBody"] = json.loads(json.dumps(operation["requestBody"]).replace(_REF, f"{_REF}Sent"))
                change(operation["requestBody"])
    generated["components"]["schemas"] |= {f"Sent{name}": schema for name, schema in sent.items()}
    return generated


@pytest.fixture
def shop_to_spoil(fresh_database: Database, tmp_path: Path) -> Iterator[str]:
    """The address of a service with the sample shop, of which nothing need be left in the end."""
    with served(fresh_database, tmp_path, log_level="error") as url:
        load_sample_shop(url)
        yield url


def test_no_input_is_our_fault_and_every_reply_is_as_described(
    shop_to_spoil: str, document: dict[str, Any], tmp_path: Path
) -> None:
    seconds = int(os.environ.get("CONTRACT_SECONDS", "45"))
    seed = int(os.environ.get("CONTRACT_SEED", str(random.randrange(2**31))))
    # With a key, because the generator would send one of its own that is none.
    key = httpx.post(f"{shop_to_spoil}/v1/keys", json={"name": "schemathesis", "scopes": list(SCOPES)}).json()["key"]
    description = tmp_path / "openapi.json"
    description.write_text(json.dumps(made_likely(document)))
    run = subprocess.run(
        [
            str(Path(sys.executable).parent / "schemathesis"),
            "run",
            str(description),
            *("--url", shop_to_spoil, "--header", f"Authorization: Bearer {key}"),
            *("--checks", ",".join(CHECKS), "--phases", "examples,coverage,fuzzing", "--exclude-operation-id", "revokeKey"),
            *(
                "--max-examples",
                str(max(5, seconds // 3)),
                "--max-time",
                str(seconds),
                "--seed",
                str(seed),
                "--request-timeout",
                "10",
            ),
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=seconds * 3 + 120,
    )
    cases = re.search(r"([0-9]+) generated", run.stdout)
    print(f"\nschemathesis: {cases[1] if cases else 0} cases in {seconds} s, CONTRACT_SEED={seed}")

    assert run.returncode == 0, f"CONTRACT_SEED={seed}\n{run.stdout[-8000:]}{run.stderr[-2000:]}"
    assert cases
    assert int(cases[1]) > 200
    assert 'pricing_request_errors_total{problem="internal"}' not in httpx.get(f"{shop_to_spoil}/metrics").text
    print(f"figure: R9: {cases[1]} generated requests in {seconds} s, 0 answered with 5xx or not as described, seed {seed}")
