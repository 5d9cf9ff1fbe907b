"""How Alembic runs: on the connection that `app.db.migrate` hands over, or by hand with `alembic -x url=postgresql://... revision`."""

import asyncio

from alembic import context
from sqlalchemy import Connection

from app.db.engine import Database
from app.db.tables import metadata


def run(connection: Connection) -> None:
    context.configure(connection=connection, target_metadata=metadata, compare_type=True, compare_server_default=True)
    with context.begin_transaction():
        context.run_migrations()


async def run_by_hand() -> None:
    url = context.get_x_argument(as_dictionary=True).get("url")
    if not url:
        raise SystemExit("say which database: alembic -x url=postgresql://...")
    engine = Database(url).engine()
    try:
        async with engine.begin() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()


given = context.config.attributes.get("connection")
if given is not None:
    run(given)
else:
    asyncio.run(run_by_hand())
