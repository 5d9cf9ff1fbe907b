"""Each command on each page is run by a test, and its options are the program's."""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app import cli
from app.db.engine import Database
from app.demo.load import load_sample_shop
from app.settings import PREFIX, Settings
from tests.docs.accounts import RUN_HERE, Fault, account, extras
from tests.docs.commands import Command, commands
from tests.docs.pages import HERE, ROOT, blocks, exchanges, name_of, pages
from tests.quotes_support import basket
from tests.served import served
from tests.tools import tool

SHOWN = [command for page in pages() for command in commands(page)]
_KEY_ID = "3fJk29aLmQ0z"


def named(program: str) -> list[Command]:
    return [command for command in SHOWN if command.words[:1] == (program,)]


@pytest.mark.parametrize("command", SHOWN, ids=str)
def test_a_command_is_run_somewhere_and_its_options_exist(command: Command) -> None:
    file, words = account(command)

    assert not file or words in (ROOT / file).read_text()


@pytest.mark.parametrize(
    "shown",
    [
        "python -m app sing",
        "python -m app replay --newest 5",
        "python -m loadtests.bench --fast",
        "python -m loadtests.nothing",
        "python -m tests.simulation.campaign --worlds 5",
        ".venv/bin/python -m pytest tests/nothing",
        "make coffee",
        "make mutation FILES=tiers.py",
        "make test && make run",
        "psql -c 'DROP TABLE decisions'",
        "docker run --privileged centwise",
        "docker run --rm centwise sing",
        "docker push centwise",
        "kubectl get pods",
        "helm list",
        "prometheus --agent",
    ],
)
def test_a_command_that_nobody_runs_or_that_its_program_refuses_is_noticed(shown: str, tmp_path: Path) -> None:
    page = ROOT / "docs" / f"{tmp_path.name}.md"
    words = tuple(shown.split())

    with pytest.raises(Fault):
        account(Command(page, 1, shown, (), words))


def test_commands_are_read_as_a_shell_would(tmp_path: Path) -> None:
    page = ROOT / "docs/helm.md"

    found = [command.words for command in commands(page)]

    assert ("kubectl", "create", "namespace", "pricing") in found
    assert any(words[-1] == "--from-literal=url=postgresql://centwise:secret@db.example:5432/centwise" for words in found)
    [shown] = [command for command in commands(ROOT / "docs/getting-started.md") if command.words[0] == "curl"]
    assert shown.words[-1].startswith("{\n")


@pytest.fixture(scope="module")
def shop(database: Database, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a service with the sample shop and a decision."""
    with served(database, tmp_path_factory.mktemp("data")) as url:
        load_sample_shop(url)
        httpx.post(f"{url}/v1/quotes", json=basket(("MUG-ENAMEL-BLUE", 1))).raise_for_status()
        yield url


def test_the_services_own_commands_do_what_they_are_shown_for(
    shop: str, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PRICING_DATABASE_URL", database.url)
    monkeypatch.setenv("PRICING_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)
    before = signal.getsignal(signal.SIGTERM)
    key_id, done = "", []
    try:
        for command in (one for one in SHOWN if one.module == "app" and account(one) == RUN_HERE):
            status = cli.main([key_id if word == _KEY_ID else word for word in command.arguments])
            said = capsys.readouterr()

            assert status == 0, (str(command), said)
            if command.arguments[0] == "keys":
                key_id = key_id or _made(said.out)
            done.append(command.arguments[0])
    finally:
        signal.signal(signal.SIGTERM, before)

    assert {"migrate", "keys", "replay", "export-decisions", "meters"} <= set(done)


def _made(said: str) -> str:
    """The id of the key that was printed."""
    found = re.search(r"cw_([A-Za-z0-9]{12})", said)
    assert found is not None, said
    return found[1]


async def test_statements_of_sql_are_answered(database: Database) -> None:
    shown = [block.text for page in (ROOT / "docs").glob("*.md") for block in blocks(page) if block.language == "sql"]
    # The other ones are for DuckDB, and run in test_exports.
    ours = [text for text in shown if "read_parquet" not in text]
    assert ours
    connection = await database.connect()
    try:
        for text in ours:
            await connection.fetch(text)
    finally:
        await connection.close()


def test_requests_with_files_are_answered(shop: str, tmp_path: Path) -> None:
    pairs = [
        (page, block) for page in pages() for block in blocks(page) if block.language == "sh" and "--data-binary @" in block.text
    ]
    assert len(pairs) >= 2
    for page, block in pairs:
        lines = [line.replace(HERE, shop).replace("curl -s", "curl -sS --fail-with-body") for line in block.text.splitlines()]
        for line in sorted(lines, key=lambda line: "--data-binary" in line):
            done = subprocess.run(["bash", "-c", line], cwd=tmp_path, capture_output=True, text=True)

            assert done.returncode == 0, (name_of(page), line, done.stdout, done.stderr)


def test_other_requests_are_among_the_examples() -> None:
    sent = {(exchange.line, exchange.path) for page in pages() for exchange in exchanges(page)}

    for command in named("curl"):
        if not any("@" in word for word in command.words) and "-o" not in command.words:
            [address] = [word for word in command.words if word.startswith(HERE)]
            assert any(path == address.removeprefix(HERE) for _, path in sent), command


@pytest.mark.parametrize("words", [("loadtests.shape",), ("tests.simulation.campaign", "100")], ids=str)
def test_small_programs_come_to_their_end(words: tuple[str, ...]) -> None:
    done = subprocess.run([sys.executable, "-m", *words], cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert done.returncode == 0, done.stdout + done.stderr


def test_variables_that_are_set_are_settings_or_known_to_what_reads_them() -> None:
    known = {PREFIX + name.upper() for name in Settings.model_fields} | {
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        "FAULT_SCALE",
        "FAULT_PAGE",
    }

    exported = [word for command in named("export") for word in command.words[1:]]

    assert {word.partition("=")[0] for word in exported} | {
        variable.partition("=")[0] for command in SHOWN for variable in command.variables
    } <= known


def test_packages_to_install_are_what_the_test_of_the_image_asks_for() -> None:
    [command] = named("apt-get")
    asked = "".join((ROOT / "tests/image" / name).read_text() for name in ("built.py", "base.sh", "oci.py"))

    assert all(re.search(rf"\b{package}\b", asked) for package in command.words[2:])


def test_extras_that_are_named_exist() -> None:
    for command in named(".tools/bin/uv"):
        assert {word for before, word in zip(command.words, command.words[1:], strict=False) if before == "--extra"} <= extras()
    assert shutil.which(tool("uv"))
