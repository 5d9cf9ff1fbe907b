"""Brings a database to the newest schema, and says whether it is there.

Alembic is imported where it works: a start that finds the schema current does without it.
"""

import enum
import re
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
from sqlalchemy import Connection, MetaData, text

from app.db.engine import Database
from app.db.tables import metadata

if TYPE_CHECKING:
    from alembic.config import Config

MIGRATION_LOCK = 727011
_FOLDER = Path(__file__).resolve().parents[2] / "migrations"
_REVISION = re.compile(r"^(revision|down_revision)\b[^=]*= (?:\"([^\"]+)\"|None)$", re.MULTILINE)


def _config(connection: Connection | None = None) -> "Config":
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


async def upgrade(database: Database) -> None:
    """Runs what is missing, all of it in one transaction.

    Several processes may call this at once: one works, the others wait for its lock and find nothing left to do. A statement that
    would wait more than five seconds for a table fails instead, because everything behind it in the queue would wait too.
    """

    from alembic import command  # noqa: PLC0415

    def run(connection: Connection) -> None:
        connection.execute(text("SET LOCAL statement_timeout = 0"))
        connection.execute(text("SET LOCAL lock_timeout = '60s'"))
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        connection.execute(text("SET LOCAL lock_timeout = '5s'"))
        command.upgrade(_config(connection), "head")

    engine = database.engine()
    try:
        async with engine.begin() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()


async def differences(database: Database, declared: MetaData = metadata) -> list[str]:
    """How the migrated database differs from the tables declared; empty when they agree. Partitions are not compared."""

    from alembic.autogenerate import compare_metadata  # noqa: PLC0415
    from alembic.migration import MigrationContext  # noqa: PLC0415

    def include(name: str | None, kind: str, _parents: object) -> bool:
        return not (kind == "table" and name is not None and name.startswith("decisions_"))

    def run(connection: Connection) -> list[str]:
        options = {"compare_type": True, "compare_server_default": True, "include_name": include}
        context = MigrationContext.configure(connection, opts=options)
        return [repr(difference) for difference in compare_metadata(context, declared)]

    engine = database.engine()
    try:
        async with engine.connect() as connection:
            return await connection.run_sync(run)
    finally:
        await engine.dispose()


class SchemaState(enum.Enum):
    """A database's schema against this code's."""

    CURRENT = "current"
    OLDER = "older"
    UNKNOWN = "unknown"  # made by a later release: migrations run while the old release serves


async def schema_state(connection: asyncpg.Connection) -> SchemaState:
    """How the schema of `connection`'s database compares with what this code knows."""
    if await connection.fetchval("SELECT to_regclass('alembic_version')") is None:
        return SchemaState.OLDER
    revision = await connection.fetchval("SELECT version_num FROM alembic_version")
    known, head = known_revisions()
    if revision == head:
        return SchemaState.CURRENT
    return SchemaState.OLDER if revision is None or revision in known else SchemaState.UNKNOWN


def known_revisions(folder: Path = _FOLDER / "versions") -> tuple[frozenset[str], str]:
    """All revisions of the migrations and the newest, as their files say: the one that no other follows."""
    found: dict[str, set[str]] = {"revision": set(), "down_revision": set()}
    for file in folder.glob("*.py"):
        for name, revision in _REVISION.findall(file.read_text()):
            found[name].add(revision)
    (head,) = found["revision"] - found["down_revision"]
    return frozenset(found["revision"]), head
