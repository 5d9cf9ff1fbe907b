"""The pooled connections of the control plane."""

import asyncio

from sqlalchemy import text

from app.db.engine import Database, transaction


async def test_after_a_restart_of_the_server_nobody_is_handed_a_dead_connection(database: Database) -> None:
    engine = database.engine()
    async with transaction(engine) as pooled:
        pid = await pooled.scalar(text("SELECT pg_backend_pid()"))
        driver = (await pooled.get_raw_connection()).driver_connection
    assert driver is not None
    connection = await database.connect()
    await connection.execute("SELECT pg_terminate_backend($1)", pid)
    await connection.close()
    while not driver.is_closed():
        await asyncio.sleep(0.01)

    async with transaction(engine) as pooled:
        found = await pooled.scalar(text("SELECT pg_backend_pid()"))
    await engine.dispose()

    assert found != pid
