"""The code that the documentation gives to checkouts accepts a real quote and nothing else."""

import asyncio
import contextlib
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.db.engine import Database
from tests.docs.pages import ROOT, blocks
from tests.forged import claims_of, forgeries, signed
from tests.service import publish, serving
from tests.tools import tool

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


def cases(reply: bytes) -> dict[str, tuple[str, list[str], str, int]]:
    """By what is wrong with it: a token, the secrets that a checkout has, the bytes of the reply, the leeway."""
    token, text, secrets = json.loads(reply)["token"], reply.decode(), list(KEYS.values())
    issued_elsewhere = signed(
        {"alg": "HS256", "kid": "2026-11", "typ": "JWT"}, {**claims_of(token), "iss": "other"}, KEYS["2026-11"]
    )
    return {
        "a real one": (token, secrets, text, 120),
        "signed by a key that is not there": (token, secrets[1:], text, 120),
        "another issuer with our key": (issued_elsewhere, secrets, text, 120),
        "expired": (token, secrets, text, -10_000),
        "another quantity": (token, secrets, text.replace('"quantity":"2"', '"quantity":"3"'), 120),
        "another line": (token, secrets, text.replace("MUG", "JUG"), 120),
        **{name: (forged, secrets, text, 120) for name, forged in forgeries(token, "2026-11", "x", "x" * 32)},
    }


def python_reader() -> Callable[..., dict[str, Any]]:
    names: dict[str, Any] = {}
    exec(code("python"), names)  # the page's code is ours
    reader: Callable[..., dict[str, Any]] = names["read_token"]
    return reader


def is_right(claims: dict[str, Any], reply: bytes) -> bool:
    return (claims["tot"], claims["cur"], claims["cus"], claims["jti"]) == (2598, "USD", 'Zoë "Z"', json.loads(reply)["id"])


async def test_python_accepts_a_quote_and_nothing_else(fresh_database: Database, tmp_path: Path) -> None:
    read_token = python_reader()
    reply = await quoted(fresh_database, tmp_path)

    accepted = {}
    for name, (token, secrets, text, leeway_s) in cases(reply).items():
        with contextlib.suppress(ValueError):
            accepted[name] = read_token(token, secrets, text.encode(), leeway_s)

    assert list(accepted) == ["a real one"]
    assert is_right(accepted["a real one"], reply)


async def test_javascript_accepts_a_quote_and_nothing_else(fresh_database: Database, tmp_path: Path) -> None:
    reply = await quoted(fresh_database, tmp_path)
    asked = cases(reply)
    (tmp_path / "token.mjs").write_text(code("javascript"))
    (tmp_path / "cases.json").write_text(json.dumps(list(asked.values())))
    (tmp_path / "run.mjs").write_text(
        'import { readFileSync } from "node:fs";\nimport { readToken } from "./token.mjs";\n'
        f"const cases = JSON.parse(readFileSync({json.dumps(str(tmp_path / 'cases.json'))}));\n"
        "const told = cases.map(([token, secrets, reply, leeway]) => {\n"
        "  try { return readToken(token, secrets, Buffer.from(reply), leeway); } catch (error) { return error.message; }\n"
        "});\nconsole.log(JSON.stringify(told));\n"
    )

    node = await asyncio.create_subprocess_exec(tool("node"), str(tmp_path / "run.mjs"), stdout=subprocess.PIPE)
    answers, _ = await asyncio.wait_for(node.communicate(), 60)
    told = dict(zip(asked, json.loads(answers), strict=True))

    assert [name for name, answer in told.items() if isinstance(answer, dict)] == ["a real one"]
    assert is_right(told["a real one"], reply)
    assert (told["expired"], told["another issuer with our key"]) == ("expired", "of another issuer")
    assert told["another quantity"] == told["another line"] == "the quote was changed"
    assert told["no algorithm"] == told["another tot"] == "not signed by a key of ours"
