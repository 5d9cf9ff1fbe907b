"""The command line as a person uses it: real processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.db.engine import Database
from app.db.migrate import upgrade


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(folder: Path, **given: str) -> dict[str, str]:
    ours = {name: value for name, value in os.environ.items() if not name.startswith("PRICING_")}
    return {**ours, "PRICING_DATA_DIR": str(folder / "data"), "PRICING_LOG_LEVEL": "warning", **given}


def run(*arguments: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "app", *arguments], env=dict(env), capture_output=True, text=True, timeout=60)


def get(url: str, key: str | None = None) -> tuple[int, bytes]:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            return reply.status, reply.read()
    except urllib.error.HTTPError as refused:
        with refused:
            return refused.code, refused.read()


def wait_until_ready(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        try:
            if get(f"http://127.0.0.1:{port}/readyz")[0] == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"not ready; exit status {process.poll()}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_service_and_its_own_server(open_folder: Path, number: signal.Signals) -> None:
    port = free_port()
    env = environment(open_folder, PRICING_PORT=str(port))
    with subprocess.Popen([sys.executable, "-m", "app", "serve"], env=env) as process:
        wait_until_ready(process, port)
        postmaster = int((open_folder / "data" / "postgres" / "postmaster.pid").read_text().split("\n")[0])
        # Another command finds the running server and works beside it.
        made = run("keys", "--name", "admin", "--scopes", "admin", env=env)
        listed = get(f"http://127.0.0.1:{port}/v1/keys", json.loads(made.stdout)["key"])
        closed = get(f"http://127.0.0.1:{port}/v1/keys")

        process.send_signal(number)
        status = process.wait(20)

    assert status == 0
    assert listed[0] == 200
    assert closed[0] == 401
    with pytest.raises(ProcessLookupError):
        os.kill(postmaster, 0)


def test_a_configured_database_is_migrated_served_and_replayed(fresh_database: Database, tmp_path: Path) -> None:
    env = environment(tmp_path, PRICING_DATABASE_URL=fresh_database.url)

    migrated = run("migrate", env=env)
    replayed = run("replay", "--last", "10", env=env)

    assert (migrated.returncode, migrated.stdout) == (0, "The schema is current.\n")
    assert replayed.returncode == 0
    assert replayed.stdout.startswith("0 decisions, 0 lines, all equal")


@pytest.mark.parametrize("does", ["serve", "demo"])
async def test_a_server_that_may_lose_commits_is_refused_in_one_line(fresh_database: Database, tmp_path: Path, does: str) -> None:
    await upgrade(fresh_database)
    connection = await fresh_database.connect()
    await connection.execute(f"ALTER DATABASE {fresh_database.url.rpartition('/')[2]} SET synchronous_commit = off")
    await connection.close()

    refused = run(does, env=environment(tmp_path, PRICING_DATABASE_URL=fresh_database.url, PRICING_PORT=str(free_port())))

    assert refused.returncode == 2
    assert refused.stderr.startswith("centwise: the server may lose acknowledged decisions: synchronous_commit is off")
    assert refused.stderr.count("\n") == 1


def test_what_cannot_work_is_said_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        in_use = run("serve", env=environment(tmp_path, PRICING_PORT=str(taken.getsockname()[1])))
    away = run("migrate", env=environment(tmp_path, PRICING_DATABASE_URL="postgresql://u:hunter2@127.0.0.1:1/d"))

    assert in_use.returncode == away.returncode == 2
    assert "cannot listen on 127.0.0.1" in in_use.stderr
    assert "cannot connect" in away.stderr
    assert "hunter2" not in away.stderr
    assert not (tmp_path / "data").exists()


def test_keys_are_made_listed_rotated_and_revoked_from_the_command_line(fresh_database: Database, tmp_path: Path) -> None:
    env = environment(tmp_path, PRICING_DATABASE_URL=fresh_database.url)

    limits = ("--requests-per-second", "9", "--burst", "20", "--concurrent", "4", "--days", "30")
    made = json.loads(run("keys", "make", "--name", "shop", "--scopes", "quote,read", *limits, env=env).stdout)
    rotated = json.loads(run("keys", "rotate", made["id"], "--overlap-seconds", "60", env=env).stdout)
    revoked = run("keys", "revoke", made["id"], env=env)
    again = run("keys", "rotate", made["id"], env=env)
    listed = json.loads(run("keys", "list", env=env).stdout)
    wrong = run("keys", "--name", "x", "--scopes", "everything", env=env)

    assert (made["requests_per_second"], made["burst"], made["concurrent"]) == (9, 20, 4)
    assert rotated["id"] == made["id"]
    assert rotated["key"] != made["key"]
    assert (revoked.returncode, revoked.stdout) == (0, "")
    assert again.returncode == 2
    assert "the key was revoked" in again.stderr
    assert (listed["id"], listed["revoked_at"] is None, "key" in listed) == (made["id"], False, False)
    assert wrong.returncode == 2
    assert "--scopes" in wrong.stderr
