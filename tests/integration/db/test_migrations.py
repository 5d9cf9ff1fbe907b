"""The migrations make exactly the tables that `app.db.tables` declares."""

import asyncio
from pathlib import Path

from alembic.script import ScriptDirectory
from sqlalchemy import Column, Integer, MetaData

import app
from app.db import tables
from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from app.db.migrate import SchemaState, differences, known_revisions, schema_state, upgrade
from tests.conftest import make_database


async def test_migrations_match_the_tables(database: Database) -> None:
    assert await differences(database) == []


async def test_a_column_without_migration_is_noticed(database: Database) -> None:
    metadata = MetaData()
    for table in tables.metadata.tables.values():
        table.to_metadata(metadata)
    metadata.tables["sales"].append_column(Column("forgotten", Integer))

    assert "forgotten" in str(await differences(database, metadata))


async def test_several_processes_may_upgrade_at_once(cluster: EmbeddedPostgres) -> None:
    with make_database(cluster, None) as empty:
        connection = await empty.connect()
        before = await schema_state(connection)
        await asyncio.gather(*(upgrade(empty) for _ in range(4)))
        after = await schema_state(connection)
        await connection.execute("UPDATE alembic_version SET version_num = 'made_later'")
        later = await schema_state(connection)
        await connection.close()

    assert (before, after, later) == (SchemaState.OLDER, SchemaState.CURRENT, SchemaState.UNKNOWN)


def test_the_newest_revision_is_the_one_that_no_other_follows(tmp_path: Path) -> None:
    for revision, before in (("b", "'a'"), ("a", None), ("c", '"b"')):
        down = "None" if before is None else before.replace("'", '"')
        (tmp_path / f"{revision}.py").write_text(f'"""x"""\nrevision: str = "{revision}"\ndown_revision: str | None = {down}\n')
    scripts = ScriptDirectory(str(Path(app.__file__).parents[1] / "migrations"))

    assert known_revisions(tmp_path) == (frozenset("abc"), "c")
    assert known_revisions() == (frozenset(each.revision for each in scripts.walk_revisions()), scripts.get_current_head())


async def test_the_bytes_of_a_decision_are_kept_uncompressed_and_shown_to_people(database: Database) -> None:
    connection = await database.connect()
    storage = await connection.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'decisions'::regclass AND attstorage = 'e' ORDER BY attname"
    )
    columns = await connection.fetch(
        "SELECT column_name FROM information_schema.columns WHERE table_name = 'decisions_readable' AND data_type = 'jsonb' ORDER BY 1"
    )
    await connection.close()

    assert [row[0] for row in storage] == ["reply", "request"]
    assert [row[0] for row in columns] == ["reply", "request"]
