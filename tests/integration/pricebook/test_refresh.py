"""Refreshing: each process comes to the latest version by itself, and keeps the last good book when it cannot."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from time import monotonic
from typing import Any

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.engine import Database, DatabaseUnreachable
from app.errors import VersionNotReached
from app.metrics import Metrics
from app.pricebook.holder import BookHolder
from app.pricebook.last_good import LastGood
from app.pricebook.load import NoSuchVersion
from app.pricebook.refresh import Refresher
from app.pricebook.versions import BookVersions
from tests.integration.pricebook.test_publish import product, publish


@pytest.fixture
async def engine(fresh_database: Database) -> AsyncIterator[AsyncEngine]:
    engine = fresh_database.engine()
    yield engine
    await engine.dispose()


async def nowhere() -> asyncpg.Connection:
    raise DatabaseUnreachable("away")


def refresher_of(database: Database, holder: BookHolder, **more: Any) -> Refresher:
    return Refresher(database.connect, holder, Metrics(), **more)


async def test_two_processes_have_a_version_within_a_second(engine: AsyncEngine, fresh_database: Database) -> None:
    holders = [BookHolder(), BookHolder()]
    # The poll is too slow to help: it is the notice that must be heard.
    refreshers = [refresher_of(fresh_database, holder, poll_seconds=60.0) for holder in holders]
    for refresher in refreshers:
        await refresher.start()
    tasks = [asyncio.create_task(refresher.run()) for refresher in refreshers]
    published = await publish(engine, BookHolder(), product(1))
    started = monotonic()
    books = await asyncio.gather(*(holder.wait_for_version(published.version, 5.0) for holder in holders))
    took = monotonic() - started
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for refresher in refreshers:
        await refresher.close()

    assert [book.version for book in books] == [1, 1]
    assert [sorted(book.assortment.row_of_sku) for book in books] == [["SKU-1"], ["SKU-1"]]
    assert took < 1.0


async def test_a_poll_finds_what_no_notice_told(engine: AsyncEngine, fresh_database: Database) -> None:
    holder = BookHolder()
    refresher = refresher_of(fresh_database, holder, poll_seconds=0.05)
    await refresher.start()
    task = asyncio.create_task(refresher.run())
    connection = await fresh_database.connect()
    await connection.execute("INSERT INTO versions (version, published_at, published_by, kind) VALUES (1, now(), 'x', 'publish')")
    await connection.close()
    book = await holder.wait_for_version(1, 5.0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await refresher.close()

    assert book.version == 1


async def test_only_what_changed_is_read_and_the_result_is_the_whole(engine: AsyncEngine, fresh_database: Database) -> None:
    holder = BookHolder()
    refresher = refresher_of(fresh_database, holder)
    for step in range(4):
        await publish(engine, BookHolder(), product(1, brand=str(step)), product(step + 10))
        if step == 2:
            await publish(engine, BookHolder(), product(10)._replace(body=None))
        if step != 1:
            await refresher.refresh()
    incremental, whole = holder.held(), BookHolder()
    other = refresher_of(fresh_database, whole)
    await other.refresh()
    loaded = whole.held()
    await refresher.close()
    await other.close()

    assert incremental is not None
    assert loaded is not None
    assert incremental.rows == loaded.rows
    assert sorted(loaded.documents["products"]) == ["SKU-1", "SKU-11", "SKU-12", "SKU-13"]


async def test_a_version_that_does_not_compile_leaves_the_last_good_one(engine: AsyncEngine, fresh_database: Database) -> None:
    holder = BookHolder()
    metrics = Metrics()
    refresher = Refresher(fresh_database.connect, holder, metrics)
    await publish(engine, holder, product(1))
    connection = await fresh_database.connect()
    await connection.execute("INSERT INTO versions (version, published_at, published_by, kind) VALUES (2, now(), 'x', 'publish')")
    await connection.execute(
        """INSERT INTO documents (resource, id, revision, body, etag, from_version)
        VALUES ('coupons', 'c', 1, '{"promotion": "nowhere", "codes": ["A"]}', '', 2)"""
    )
    await refresher.refresh()
    await refresher.refresh()
    refused = (holder.version, refresher.status.refused_version, metrics.book_refusals.at().n)
    problem = refresher.status.problem
    await connection.execute("INSERT INTO versions (version, published_at, published_by, kind) VALUES (3, now(), 'x', 'publish')")
    await connection.execute("UPDATE documents SET to_version = 3 WHERE id = 'c'")
    await refresher.refresh()
    await connection.close()
    await refresher.close()

    assert refused == (1, 2, 1)
    assert "coupons/c" in problem
    assert (holder.version, refresher.status.refused_version) == (3, None)


async def test_without_a_database_the_book_on_disk_is_served(
    engine: AsyncEngine, fresh_database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "books" / "last-good"
    first = BookHolder()
    writer = refresher_of(fresh_database, first, last_good=path)
    await publish(engine, BookHolder(), product(1))
    await writer.start()
    await writer.close()
    second = BookHolder()
    reader = Refresher(nowhere, second, Metrics(), last_good=path)
    await reader.start()

    assert second.held() is not None
    assert (second.version, sorted(second.current().assortment.row_of_sku)) == (1, ["SKU-1"])
    assert "DatabaseUnreachable" in reader.status.problem


async def test_a_book_on_disk_of_another_database_is_replaced(
    engine: AsyncEngine, fresh_database: Database, database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "last-good"
    for number in range(3):
        await publish(engine, BookHolder(), product(number))
    writer = refresher_of(fresh_database, BookHolder(), last_good=path)
    await writer.start()
    await writer.close()
    stored = LastGood(path).read()
    holder = BookHolder()
    elsewhere = refresher_of(database, holder, last_good=path)
    await elsewhere.start()
    await elsewhere.close()

    assert stored is not None
    assert stored.rows.version == 3
    assert holder.version == 0


async def test_a_damaged_book_on_disk_is_not_served(fresh_database: Database, tmp_path: Path) -> None:
    path = tmp_path / "last-good"
    path.write_bytes(b"centwise-book-1\n" + bytes(100))
    holder = BookHolder()
    refresher = refresher_of(fresh_database, holder, last_good=path)
    await refresher.start()
    await refresher.close()

    assert holder.version == 0


async def test_a_frozen_server_does_not_hold_the_refresher(fresh_database: Database) -> None:
    blocker = await fresh_database.connect()
    await blocker.execute("BEGIN; LOCK TABLE versions IN ACCESS EXCLUSIVE MODE")
    refresher = refresher_of(fresh_database, BookHolder())
    started = monotonic()
    with pytest.raises(DatabaseUnreachable):
        await refresher.refresh()
    took = monotonic() - started
    await blocker.execute("ROLLBACK")
    await blocker.close()
    await refresher.refresh()
    await refresher.close()

    assert took < 3.0


async def test_older_versions_are_found_again(engine: AsyncEngine, fresh_database: Database) -> None:
    holder = BookHolder()
    for number in range(3):
        await publish(engine, holder, product(number))
    versions = BookVersions(fresh_database.connect, holder, keep=2)
    books = await asyncio.gather(versions.get(1), versions.get(1), versions.get(2), versions.get(3), versions.get(0))

    assert [len(book.assortment.row_of_sku) for book in books] == [1, 1, 2, 3, 0]
    assert books[0] is books[1]
    assert books[3] is holder.current()
    with pytest.raises(NoSuchVersion):
        await versions.get(9)


async def test_waiting_for_a_version_that_does_not_come_ends(engine: AsyncEngine) -> None:
    holder = BookHolder()
    await publish(engine, holder, product(1))
    with pytest.raises(VersionNotReached):
        await holder.wait_for_version(2, 0.05)

    assert (await holder.wait_for_version(1, 0.05)).version == 1
