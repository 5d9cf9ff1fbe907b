"""The code that the documentation gives to checkouts accepts a real quote and nothing else."""

import asyncio
import base64
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from joserfc.errors import JoseError

from app.db.engine import Database
from tests.docs.pages import ROOT, blocks
from tests.service import publish, serving

PAGE = ROOT / "docs" / "tokens.md"
KEYS = {"2026-11": "n" * 32, "2026-10": "o" * 40}


def code(language: str) -> str:
    [text] = [block.text for block in blocks(PAGE) if block.language == language]
    return text


async def quoted(database: Database, folder: Path) -> bytes:
    """The bytes of a reply of a service that signs with the first of KEYS."""
    keys = ",".join(f"{kid}:{secret}" for kid, secret in KEYS.items())
    async with serving(database, folder, signing_keys=keys) as client:
        await publish(client, "/v1/prices/MUG", {"currency": "USD", "unit_price": "1299"})
        request = {"currency": "USD", "customer": {"id": 'Zoë "Z"'}, "lines": [{"sku": "MUG", "quantity": 2}]}
        return (await client.post("/v1/quotes", json=request)).content


def with_total(token: str, total: int) -> str:
    """The token with another total and the old signature."""
    head, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    forged = base64.urlsafe_b64encode(json.dumps(claims | {"tot": total}).encode()).rstrip(b"=").decode()
    return f"{head}.{forged}.{signature}"


def python_reader() -> Callable[..., dict[str, Any]]:
    names: dict[str, Any] = {}
    exec(code("python"), names)  # the page's code is ours
    reader: Callable[..., dict[str, Any]] = names["read_token"]
    return reader


async def test_python_accepts_a_quote_and_nothing_else(fresh_database: Database, tmp_path: Path) -> None:
    read_token = python_reader()
    reply = await quoted(fresh_database, tmp_path)
    token = json.loads(reply)["token"]

    claims = read_token(token, KEYS, reply)

    assert (claims["tot"], claims["cur"], claims["cus"], claims["jti"]) == (2598, "USD", 'Zoë "Z"', json.loads(reply)["id"])
    with pytest.raises(JoseError):
        read_token(with_total(token, 1), KEYS, reply)
    with pytest.raises((JoseError, ValueError)):
        read_token(token, {"2026-10": KEYS["2026-10"]}, reply)
    with pytest.raises(ValueError, match="changed"):
        read_token(token, KEYS, reply.replace(b'"quantity":"2"', b'"quantity":"3"'))
    with pytest.raises(ValueError, match="expired"):
        read_token(token, KEYS, reply, leeway_s=-10_000)


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node on this machine")
async def test_javascript_accepts_a_quote_and_nothing_else(fresh_database: Database, tmp_path: Path) -> None:
    reply = await quoted(fresh_database, tmp_path)
    token = json.loads(reply)["token"]
    (tmp_path / "token.mjs").write_text(code("javascript"))
    cases = [
        [token, KEYS, reply.decode(), 120],
        [with_total(token, 1), KEYS, reply.decode(), 120],
        [token, {"2026-10": KEYS["2026-10"]}, reply.decode(), 120],
        [token, KEYS, reply.decode().replace('"quantity":"2"', '"quantity":"3"'), 120],
        [token, KEYS, reply.decode(), -10_000],
    ]
    (tmp_path / "run.mjs").write_text(
        'import { readToken } from "./token.mjs";\n'
        f"const told = {json.dumps(cases)}.map(([token, keys, reply, leeway]) => {{\n"
        "  try { return readToken(token, keys, Buffer.from(reply), leeway); } catch (error) { return error.message; }\n"
        "});\nconsole.log(JSON.stringify(told));\n"
    )

    node = await asyncio.create_subprocess_exec("node", str(tmp_path / "run.mjs"), stdout=subprocess.PIPE)
    told, _ = await asyncio.wait_for(node.communicate(), 60)

    claims, *refusals = json.loads(told)
    assert (claims["tot"], claims["cur"], claims["cus"], claims["jti"]) == (2598, "USD", 'Zoë "Z"', json.loads(reply)["id"])
    assert refusals == ["not signed by us", "of no key of ours", "the quote was changed", "expired"]
