"""A planted defect: a service that answers before it has stored. It exists for the tests of faults to find it."""

import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import uvicorn
from starlette.responses import PlainTextResponse

from app.cli import bind, make_server
from app.db.engine import Database
from app.metrics import Metrics
from app.pricebook.compile import compile_off_loop
from app.pricebook.load import load_rows
from app.quotes.decision import Decision
from app.quotes.store import Claim, DecisionStore, Outcome
from app.settings import Settings
from tests.quotes_support import Books, connector, doors, house


class HastyStore(DecisionStore):
    """Says that everything is stored, and stores it next."""

    def __init__(self, *arguments: Any, metrics: Metrics) -> None:
        super().__init__(*arguments, metrics=metrics)
        self._last: asyncio.Task[None] | None = None

    async def store(
        self, issued_at: datetime, decisions: Sequence[Decision], claims: Sequence[Claim], *, deadline_s: float
    ) -> Outcome:
        before = self._last

        async def later() -> None:
            if before is not None:
                await before
            await super(HastyStore, self).store(issued_at, decisions, claims, deadline_s=deadline_s)

        self._last = asyncio.create_task(later())
        return Outcome({}, frozenset())


def serve_hastily() -> int:
    """The storefront with that store, on the book of the settings' database."""
    settings = Settings.from_environment()
    assert settings.database_url is not None
    return asyncio.run(_serve(settings, Database(settings.database_url.get_secret_value())))


async def _serve(settings: Settings, database: Database) -> int:
    connection = await database.connect()
    book = await compile_off_loop(await load_rows(connection))
    await connection.close()
    async with house(connector(database), books=Books(book), store_class=HastyStore) as served:
        app, api = doors(served, database.engine())
        api.add_route("/readyz", lambda _: PlainTextResponse("ready"))
        server: uvicorn.Server = make_server(settings, app)
        await server.serve(sockets=[bind(settings.host, settings.port)])
    return 0
