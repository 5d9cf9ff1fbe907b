"""Rows of meters, as holds would leave them."""

import asyncpg


async def stand(connection: asyncpg.Connection, meter: str, *, cap: int, held: int = 0, used: int = 0, version: int = 5) -> None:
    """Let a meter stand as holds would leave it."""
    await connection.execute(
        "INSERT INTO meters (id, customer, cap_wanted, cap, cap_version, held, used) VALUES ($1, NULL, $2, $2, $3, $4, $5)"
        " ON CONFLICT (id) DO UPDATE SET cap_wanted = excluded.cap, cap = excluded.cap,"
        " cap_version = excluded.cap_version, held = excluded.held, used = excluded.used",
        meter,
        cap,
        version,
        held,
        used,
    )
