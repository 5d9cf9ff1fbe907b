"""Rows that are packed by hand arrive as they were, whatever is in them."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest
from asyncpg.pgproto.pgproto import UUID
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.db.engine import Database
from app.db.partitions import ensure_day
from app.quotes import queries
from app.quotes.copy_rows import copy_chunks
from app.quotes.decision import Decision

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=9)
BIGINTS = st.integers(-(1 << 63), (1 << 63) - 1)


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[asyncpg.Connection]:
    connection = await database.connect()
    await ensure_day(connection, datetime(2026, 11, 27, tzinfo=UTC))
    yield connection
    await connection.close()


def decisions(issued_at: datetime) -> st.SearchStrategy[Decision]:
    """Any row of that instant."""
    return st.builds(
        Decision,
        issued_at=st.just(issued_at),
        id=st.builds(lambda: UUID(uuid.uuid4().bytes)),
        version=BIGINTS,
        currency=TEXTS,
        channel=st.none() | TEXTS,
        customer=st.none() | TEXTS,
        codes=st.lists(TEXTS, max_size=3),
        subtotal_minor=BIGINTS,
        discount_minor=BIGINTS,
        total_minor=BIGINTS,
        line_count=st.integers(-(1 << 31), (1 << 31) - 1),
        source=TEXTS,
        request=st.binary(max_size=99),
        reply=st.sampled_from([b"", b"{}", bytes(70_000)]),
    )


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(decisions(datetime(2026, 11, 27, 10, 0, 0, 123_000, tzinfo=UTC)), max_size=5))
async def test_what_is_stored_is_what_was_given(connection: asyncpg.Connection, rows: list[Decision]) -> None:
    await connection.copy_to_table("decisions", source=copy_chunks(rows), columns=queries.COLUMNS, format="binary")

    columns = ", ".join(queries.COLUMNS)
    found = await connection.fetch(f"SELECT {columns} FROM decisions WHERE id = ANY($1::uuid[])", [row.id for row in rows])
    assert {row["id"]: Decision(*row) for row in found} == {row.id: row for row in rows}
