"""Publishing: one transaction, one version, one chain of audit, whoever else publishes at the same time."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.engine import Database, transaction
from app.metrics import Metrics
from app.pricebook import queries
from app.pricebook.audit import AuditRow, broken_links
from app.pricebook.documents import Change
from app.pricebook.holder import BookHolder
from app.pricebook.load import decode_body, load_rows
from app.pricebook.publish import Published, open_publication
from app.pricing.book import BookError


def product(number: int, **more: Any) -> Change:
    body = {"name": f"Product {number}", "category": None, "brand": None, "tags": [], "attributes": {}} | more
    return Change("products", f"SKU-{number}", body)


@pytest.fixture
async def engine(fresh_database: Database) -> AsyncIterator[AsyncEngine]:
    engine = fresh_database.engine()
    yield engine
    await engine.dispose()


async def publish(engine: AsyncEngine, holder: BookHolder, *changes: Change, actor: str = "tester") -> Published:
    async with transaction(engine) as connection:
        publication = await open_publication(connection, holder, Metrics())
        published = await publication.publish(changes, actor=actor, kind="publish")
    if publication.held is not None:
        holder.offer(publication.held)
    return published


async def audit_rows(engine: AsyncEngine) -> list[AuditRow]:
    async with transaction(engine) as connection:
        rows = await connection.exec_driver_sql(queries.AUDIT_CHAIN, (0, 10_000))
        return [_audit_row(row) for row in rows]


def _audit_row(row: Any) -> AuditRow:
    stored = row._asdict()
    bodies = {name: None if stored[name] is None else decode_body(stored[name]) for name in ("before", "after")}
    return AuditRow(**stored | bodies)


async def test_what_was_published_is_what_is_loaded(engine: AsyncEngine, fresh_database: Database) -> None:
    holder = BookHolder()
    await publish(engine, holder, product(1), product(2))
    second = await publish(engine, holder, product(2, brand="acme"), Change("products", "SKU-1", None))
    connection = await fresh_database.connect()
    latest = await load_rows(connection)
    first = await load_rows(connection, version=1)
    await connection.close()
    held = holder.held()

    assert second.version == 2
    assert held is not None
    assert latest == held.rows
    assert {key: document.revision for key, document in latest.documents["products"].items()} == {"SKU-2": 2}
    assert sorted(first.documents["products"]) == ["SKU-1", "SKU-2"]
    assert first.documents["products"]["SKU-2"].body["brand"] is None


async def test_a_publisher_without_a_book_and_one_with_an_old_book_make_the_same_one(engine: AsyncEngine) -> None:
    stale, fresh = BookHolder(), BookHolder()
    await publish(engine, stale, product(1))
    await publish(engine, fresh, product(2))
    await publish(engine, stale, product(3))
    await publish(engine, BookHolder(), product(1, brand="acme"), Change("products", "SKU-2", None))
    await publish(engine, stale, product(4))
    held = stale.held()

    assert held is not None
    assert held.rows.version == 5
    assert sorted(held.documents["products"]) == ["SKU-1", "SKU-3", "SKU-4"]
    assert held.documents["products"]["SKU-1"] == (product(1, brand="acme").body, 2)


async def test_publishers_at_once_make_versions_in_a_row_and_lose_nothing(engine: AsyncEngine, fresh_database: Database) -> None:
    holders = [BookHolder() for _ in range(3)]
    made = await asyncio.gather(*(publish(engine, holders[n % 3], product(n), product(99, brand=str(n))) for n in range(9)))
    connection = await fresh_database.connect()
    rows = await load_rows(connection)
    await connection.close()
    chain = await audit_rows(engine)

    assert sorted(one.version for one in made) == list(range(1, 10))
    assert sorted(rows.documents["products"]) == sorted([f"SKU-{n}" for n in range(9)] + ["SKU-99"])
    assert rows.documents["products"]["SKU-99"].revision == 9
    assert list(broken_links(chain)) == []
    assert len(chain) == 18


async def test_a_book_that_does_not_compile_is_not_published(engine: AsyncEngine, fresh_database: Database) -> None:
    holder = BookHolder()
    await publish(engine, holder, product(1))
    with pytest.raises(BookError) as refused:
        await publish(engine, holder, product(2), Change("coupons", "c", {"promotion": "nowhere", "codes": ["A"]}))
    connection = await fresh_database.connect()
    rows = await load_rows(connection)
    await connection.close()

    assert [(p.resource, p.id, p.path) for p in refused.value.problems] == [("coupons", "c", "promotion")]
    assert (rows.version, sorted(rows.documents["products"])) == (1, ["SKU-1"])


async def test_changes_that_change_nothing_make_no_version(engine: AsyncEngine) -> None:
    holder = BookHolder()
    first = await publish(engine, holder, product(1))
    again = await publish(engine, holder, product(1), Change("products", "never-was", None))

    assert (again.version, again.changed, again.published_at) == (1, 0, first.published_at)
    assert len(await audit_rows(engine)) == 1


async def test_the_trail_says_who_changed_what_from_what_to_what(engine: AsyncEngine) -> None:
    holder = BookHolder()
    await publish(engine, holder, product(1), actor="ann")
    await publish(engine, holder, product(1, brand="acme"), actor="bob")
    _, second = await audit_rows(engine)

    assert (second.actor, second.action, second.document_id, second.version) == ("bob", "publish", "SKU-1", 2)
    assert (second.before["brand"], second.after["brand"]) == (None, "acme")


@pytest.mark.parametrize(
    "tampering",
    [
        "UPDATE audit SET actor = 'eve' WHERE id = 2",
        """UPDATE audit SET after = jsonb_set(after, '{brand}', '"eve"') WHERE id = 2""",
        "DELETE FROM audit WHERE id = 2",
    ],
)
async def test_the_chain_shows_where_it_was_tampered_with(engine: AsyncEngine, tampering: str) -> None:
    holder = BookHolder()
    for number in range(3):
        await publish(engine, holder, product(number))
    before = list(broken_links(await audit_rows(engine)))
    async with transaction(engine) as connection:
        await connection.exec_driver_sql(tampering)
    after = list(broken_links(await audit_rows(engine)))

    assert before == []
    assert after in ([2], [3])
