"""What happens to connections that are lost."""

import asyncio
import gc
import logging

import asyncpg
import pytest
from sqlalchemy import text

from app.db.engine import Database, report_loop_error, transaction


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


async def test_a_loss_that_a_caller_was_told_is_not_reported_again(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(report_loop_error)

    async def fail() -> None:
        raise asyncpg.ConnectionDoesNotExistError("nobody was told of this one")

    with caplog.at_level(logging.ERROR, "asyncio"):
        loop.create_future().set_exception(asyncpg.ConnectionDoesNotExistError("lost"))
        loop.create_future().set_exception(ValueError("something else"))
        task = asyncio.create_task(fail())
        await asyncio.wait({task})
        del task
        gc.collect()

    reported = [str(record.exc_info[1]) for record in caplog.records if record.exc_info]
    assert sorted(reported) == ["nobody was told of this one", "something else"]
