"""What tests of meters need."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.db.engine import Database


@pytest.fixture
async def meters(fresh_database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await fresh_database.connect()
    yield connection
    await connection.close()
