"""Decisions as Parquet: what is read back is what the database has, and a day is there whole or not at all."""

import asyncio
import hashlib
import json
import re
from datetime import UTC, date, datetime, timedelta
from itertools import count
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from app.db.engine import Database
from app.quotes.export import export_day
from app.quotes.export_folder import FILE, MANIFEST, NotWhole, find_day, last_whole_day
from tests.decisions_support import export, store_days, stored

DAY = date(2026, 3, 4)
ONE = timedelta(days=1)


@pytest.fixture
def database(fresh_database: Database) -> Database:
    return fresh_database


def test_the_command_writes_what_the_database_has_and_leaves_out_what_is_there(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # What lies on either side of the day is none of it.
    asyncio.run(store_days(database, DAY - ONE, DAY + ONE, count=2))
    asyncio.run(store_days(database, DAY, count=4100))
    out, asked = tmp_path / "out", ("--from", "2026-03-04", "--to", "2026-03-04")
    first, said_first = export(database.url, out, *asked), capsys.readouterr().out
    second, said_second = export(database.url, out, *asked), capsys.readouterr().out

    assert (first, second) == (0, 0)
    path = out / "day=2026-03-04" / FILE
    # Customers are in it.
    assert [f"{one.stat().st_mode & 0o777:o}" for one in (out, path.parent, path)] == ["750", "750", "640"]
    assert said_first == f"2026-03-04: 4100 decisions, {path.stat().st_size} bytes\n"
    assert said_second == "2026-03-04: is there, 4100 decisions\n"
    assert pq.ParquetFile(path).read().to_pylist() == asyncio.run(stored(database, DAY))
    assert json.loads((path.parent / MANIFEST).read_text()) == {
        "day": "2026-03-04",
        "rows": 4100,
        "octets": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }


def last_days_exported(database: Database, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[date, Path, list[str]]:
    """The last whole day, and what `--days 3` made and said of it: anew where that day ended meanwhile."""
    for number in count():
        last, out = last_whole_day(datetime.now(UTC)), folder / f"out-{number}"
        status, said = export(database.url, out, "--days", "3"), capsys.readouterr().out.splitlines()
        if last_whole_day(datetime.now(UTC)) == last:
            assert status == 0
            return last, out, said
    raise AssertionError


def test_the_last_days_are_written_but_for_those_the_database_does_not_keep(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    today = datetime.now(UTC).date()
    asyncio.run(store_days(database, today - 5 * ONE, today - 4 * ONE, count=3))
    asyncio.run(store_days(database, today - ONE, today, count=2))
    # This day has a partition and is quiet, which is not the same as not to be kept.
    asyncio.run(store_days(database, today - 2 * ONE, count=0))

    last, out, said = last_days_exported(database, tmp_path, capsys)

    kept = {today - 5 * ONE: 3, today - 4 * ONE: 3, today - 2 * ONE: 0, today - ONE: 2, today: 2}
    wanted = [last - 2 * ONE, last - ONE, last]
    assert [re.sub(r", \d+ bytes$", "", line) for line in said] == [
        f"{day}: {kept[day]} decisions" if day in kept else f"{day}: is not kept in the database" for day in wanted
    ]
    assert {path.name for path in out.glob("*")} == {".lock", *(f"day={day}" for day in wanted if day in kept)}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "give --from and --to, or --days"),
        (["--from", "2026-03-04"], "give --from and --to, or --days"),
        (["--to", "2026-03-04"], "give --from and --to, or --days"),
        (["--days", "3", "--to", "2026-03-04"], "--days stands instead of --from and --to"),
        (["--days", "0"], "--days has to be from 1 to 3660"),
        (["--days", "99999999999"], "--days has to be from 1 to 3660"),
        (["--days", "week"], "argument --days: invalid int value"),
        (["--from", "2026-03-05", "--to", "2026-03-04"], "not before --from"),
        (["--from", "2026-03-05", "--to", "2999-01-01"], "--to has to be a day that is over"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(
    options: list[str], reason: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        export("postgresql://nobody@127.0.0.1:1/none", tmp_path / "out", *options)

    assert ended.value.code == 2
    assert reason in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_day_that_is_not_whole_is_told_and_left_alone_and_the_next_ones_are_written(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(store_days(database, DAY, DAY + ONE, DAY + 2 * ONE, count=3))
    assert export(database.url, tmp_path, "--from", "2026-03-04", "--to", "2026-03-04") == 0
    short = tmp_path / "day=2026-03-04" / FILE
    short.write_bytes(short.read_bytes()[:-1])
    octets = short.read_bytes()
    (tmp_path / "day=2026-03-05").mkdir()
    capsys.readouterr()

    status = export(database.url, tmp_path, "--from", "2026-03-04", "--to", "2026-03-06")

    said, failed = capsys.readouterr()
    first, second = failed.splitlines()
    assert status == 2
    assert first.startswith(
        f"centwise: {short.parent} is no whole day: {FILE} has {len(octets)} bytes, and had {len(octets) + 1}"
    )
    assert second.startswith(f"centwise: {tmp_path / 'day=2026-03-05'} is no whole day: ")
    assert said.startswith("2026-03-06: 3 decisions, ")
    assert short.read_bytes() == octets
    assert find_day(tmp_path, DAY + 2 * ONE) is not None


@pytest.mark.parametrize(
    "manifest",
    ["", "{", "[]", '{"day": "2026-03-04"}', '{"day": "2026-03-05", "rows": 0, "octets": 0, "sha256": ""}'],
    ids=["empty", "cut off", "a list", "in part", "of another day"],
)
def test_a_manifest_that_is_none_makes_no_whole_day(manifest: str, tmp_path: Path) -> None:
    place = tmp_path / "day=2026-03-04"
    place.mkdir()
    (place / FILE).touch()
    (place / MANIFEST).write_text(manifest)

    with pytest.raises(NotWhole, match="day=2026-03-04 is"):
        find_day(tmp_path, DAY)


async def test_a_day_that_fails_in_the_middle_leaves_nothing(database: Database, tmp_path: Path) -> None:
    await store_days(database, DAY, count=2, reply=b"\xff is no text")
    connection = await database.connect()
    with pytest.raises(UnicodeDecodeError):
        await export_day(connection, DAY, tmp_path)
    await connection.close()

    assert list(tmp_path.iterdir()) == []
    assert find_day(tmp_path, DAY) is None


def test_of_large_replies_few_are_held_at_once(database: Database, tmp_path: Path) -> None:
    asyncio.run(store_days(database, DAY, count=300, reply=b"x" * 200_000))
    assert export(database.url, tmp_path, "--from", "2026-03-04", "--to", "2026-03-04") == 0

    written = pq.read_metadata(tmp_path / "day=2026-03-04" / FILE)
    groups = [written.row_group(number).num_rows for number in range(written.num_row_groups)]
    # 16 MiB hold 83 of them.
    assert groups == [50, 83, 83, 83, 1]
