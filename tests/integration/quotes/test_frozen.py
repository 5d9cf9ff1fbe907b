"""Promise R4: with Postgres frozen every quote is refused within 1.5 s and previews go on; thawed, quotes go on too."""

import asyncio
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from app.db.migrate import upgrade
from app.errors import Unavailable
from app.quotes.storefront import Asked, Reply
from tests.faults.cluster import freeze, thaw
from tests.quotes_support import CALLER, Books, basket, connector, encoded, house, shop_book


@pytest.fixture
def own_server(open_folder: Path) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(open_folder / "data") as server:
        asyncio.run(upgrade(Database(server.url)))
        yield server
        thaw(server)


async def test_frozen_postgres_refuses_quotes_in_time_and_previews_go_on(own_server: EmbeddedPostgres) -> None:
    asked = Asked(CALLER, {})
    key = str(uuid.uuid4())
    took_s: list[float] = []
    database = Database(own_server.url)

    async with house(connector(database), books=Books(shop_book())) as served:

        async def timed() -> Reply | Unavailable:
            began_s = time.monotonic()
            try:
                return await served.storefront.quote(encoded(basket()), asked)
            except Unavailable as problem:
                return problem
            finally:
                took_s.append(time.monotonic() - began_s)

        before = await served.storefront.quote(encoded(basket()), asked)
        freeze(own_server)
        # Some come while the first flush hangs, some while a connection is awaited in vain.
        sent = []
        for _ in range(30):
            sent.append(asyncio.create_task(timed()))
            began_s = time.monotonic()
            preview = await served.storefront.preview(encoded(basket()), asked)
            assert preview.status == 200
            assert time.monotonic() - began_s < 0.5
            await asyncio.sleep(0.1)
        refused = await asyncio.gather(*sent)
        with pytest.raises(Unavailable):
            await served.storefront.quote(encoded(basket()), Asked(CALLER, {b"idempotency-key": key.encode()}))
        thaw(own_server)
        thawed_s = time.monotonic()
        while True:
            try:
                after = await served.storefront.quote(encoded(basket()), Asked(CALLER, {b"idempotency-key": key.encode()}))
                break
            except Unavailable:
                assert time.monotonic() - thawed_s < 2.0
                await asyncio.sleep(0.02)

    print(f"refused {len(refused)}, the slowest after {max(took_s):.3f} s")
    assert all(isinstance(reply, Unavailable) and reply.headers == {"Retry-After": "1"} for reply in refused)
    assert max(took_s) < 1.5
    connection = await database.connect()
    rows = await connection.fetch("SELECT id, reply FROM decisions WHERE reply = ANY($1::bytea[])", [before.body, after.body])
    await connection.close()
    assert sorted(row["reply"] for row in rows) == sorted([before.body, after.body])
