"""What is asked of a server before anything is promised on it."""

import pytest

from app.db.engine import Database, NotDurable, require_durable


async def test_a_session_is_held_to_the_durability_it_was_found_with(database: Database) -> None:
    connection = await database.connect()

    await require_durable(connection)
    source, setting = await connection.fetchrow("SELECT source, setting FROM pg_settings WHERE name = 'synchronous_commit'")
    await connection.close()

    # What a session has set itself is not changed by a reload of the server's configuration.
    assert (source, setting) == ("session", "on")


async def test_a_setting_of_the_role_or_the_database_counts(fresh_database: Database) -> None:
    name = fresh_database.url.rpartition("/")[2]
    connection = await fresh_database.connect()
    await connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    await connection.close()
    forgetful = await fresh_database.connect()

    with pytest.raises(NotDurable, match="synchronous_commit is off"):
        await require_durable(forgetful)

    await forgetful.close()
