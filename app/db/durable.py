"""Connections on which something is promised: to a server that keeps what it acknowledges, and has the schema of this code."""

import asyncpg
import structlog

from app.db.engine import Database, require_durable, within
from app.db.migrate import SchemaState, schema_state

_log = structlog.get_logger(__name__)


class WrongSchema(Exception):
    """The database is older than this code; `python -m app migrate` brings it up."""


async def connect_durable(database: Database, *, application: str, statement_s: float, is_strict: bool) -> asyncpg.Connection:
    """A connection for the caller to keep and end. Raises DatabaseUnreachable, and NotDurable where it is to be strict."""
    connection = await database.connect(application=application, statement_seconds=statement_s)
    if is_strict:
        try:
            await within(connection, require_durable(connection), seconds=2 * database.connect_seconds)
        except BaseException:
            connection.terminate()
            raise
    return connection


async def check_database(database: Database, *, statement_s: float, is_strict: bool) -> None:
    """What a start asks of the database. Raises NotDurable, WrongSchema; DatabaseUnreachable where that cannot be told now."""
    connection = await connect_durable(database, application="centwise lane", statement_s=statement_s, is_strict=is_strict)
    try:
        await require_schema(connection)
    finally:
        connection.terminate()


async def require_schema(connection: asyncpg.Connection) -> None:
    """Raises WrongSchema for a schema that is older than this code."""
    state = await schema_state(connection)
    if state is SchemaState.OLDER:
        raise WrongSchema("the database's schema is missing or older than this code; run: python -m app migrate")
    if state is SchemaState.UNKNOWN:
        _log.warning("the database's schema is newer than this code")
