"""A whole service in this process on a test's database, and the shortest way to say what it should do."""

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from app.db.engine import Database
from app.main import create_app
from app.settings import Settings
from tests.support import running


def settings_in(folder: Path, **values: str) -> Settings:
    """Settings of a service that keeps its files in `folder` and lets callers on this machine in without a key."""
    return Settings.from_environment(
        {"PRICING_DATA_DIR": str(folder), "PRICING_OPEN_LOOPBACK": "true", "PRICING_POLL_SECONDS": "0.2"}
        | {f"PRICING_{name.upper()}": value for name, value in values.items()}
    )


@contextlib.asynccontextmanager
async def serving(database: Database, folder: Path, **values: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a service that runs on the database."""
    async with running(create_app(settings_in(folder, **values), database=database)) as client:
        yield client


async def publish(client: httpx.AsyncClient, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
    """Put a document in force; gives the reply."""
    reply = await client.put(path, json=body, params={"publish": "now"})
    assert reply.status_code in (200, 201), reply.text
    content: dict[str, Any] = reply.json()
    return content
