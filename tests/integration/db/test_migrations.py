"""The migrations make exactly the tables that `app.db.tables` declares."""

import asyncio

from sqlalchemy import Column, Integer, MetaData

from app.db import tables
from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from app.db.migrate import SchemaState, differences, schema_state, upgrade
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
