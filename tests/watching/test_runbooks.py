"""What a runbook tells somebody to ask or to do can be asked and done; the end-to-end test asks a real Prometheus for each query."""

import shlex
import subprocess
import sys
from pathlib import Path

import asyncpg
import httpx
import yaml

from app.db.engine import Database
from tests.processes import environment
from tests.served import served
from tests.tools import tool
from tests.watching.pages import blocks, operations, queries, shell_commands
from tests.watching.test_rules import ALERTS, ROOT


def test_every_page_ends_with_the_expression_of_its_alert() -> None:
    endings = {block.page: block.text for block in blocks() if block.is_over and block.language == "promql"}

    assert endings == {name: rule["expr"].strip() for name, rule in ALERTS.items()}


def test_there_is_no_block_that_nobody_tries() -> None:
    assert {block.language for block in blocks()} == {"promql", "sh", "sql"}


def test_promtool_reads_every_query(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    rules = [{"record": f"query:{number}", "expr": one.text} for number, one in enumerate(queries())]
    file.write_text(yaml.safe_dump({"groups": [{"name": "queries", "rules": rules}]}))
    ran = subprocess.run([tool("promtool"), "check", "rules", str(file)], capture_output=True, text=True)

    assert len(rules) > 50
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_every_command_runs_and_every_operation_is_there(fresh_database: Database, tmp_path: Path) -> None:
    with served(fresh_database, tmp_path, log_level="error") as address, httpx.Client(base_url=address, timeout=30) as client:
        for command in shell_commands():
            here = command.replace("http://127.0.0.1:8080", address).replace("curl -s", "curl -sf")
            arguments = shlex.split(here)
            if arguments[0] == "python":
                arguments[0] = sys.executable
            env = environment(tmp_path, database_url=fresh_database.url)
            ran = subprocess.run(arguments, env=env, cwd=ROOT, capture_output=True, text=True, timeout=60)
            assert ran.returncode == 0, (command, ran.stdout, ran.stderr)
            assert ran.stdout
        for method, path in sorted(operations()):
            reply = client.request(method, path, json={} if method == "POST" else None)
            assert reply.status_code in ((200,) if method == "GET" else (200, 422)), (method, path, reply.text)
    assert any(command.startswith("curl") for command in shell_commands())
    assert any("app meters" in command for command in shell_commands())
    assert len(operations()) >= 4


async def test_postgres_answers_every_statement(database: Database) -> None:
    connection: asyncpg.Connection = await database.connect(application="centwise test")
    try:
        found = {block.page: await connection.fetch(block.text) for block in blocks() if block.language == "sql"}
    finally:
        await connection.close()

    assert found.keys() == {"DatabaseAway", "DecisionsStoredSlowly"}
    assert all(rows for rows in found.values())  # this connection at least
