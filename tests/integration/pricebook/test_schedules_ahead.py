"""The days that schedules name belong to the version, and patterns never end while a version is in force."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import holidays
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from app.calendars import holidays_of
from app.db.engine import Database, transaction
from app.metrics import Metrics
from app.pricebook.documents import Change, encode_canonical
from app.pricebook.holder import BookHolder, Held
from app.pricebook.load import decode_body, load_rows
from app.pricebook.publish import open_publication
from app.pricebook.renewal import DAYS_AHEAD_MIN, NO_PATTERNS_DAYS, days_ahead, is_due, renew_schedules
from app.pricebook.versions import BookVersions
from app.pricing.book import BookError, BookRows, PriceBook
from app.pricing.comparison import NAMED_DAYS
from app.pricing.compile import compile_price_book
from tests.integration.pricebook.test_publish import audit_rows, product, publish

KEY = "sale-prices/feast"
CHRISTMAS = {"timezone": "UTC", "holidays": {"country": "US", "names": ["Christmas Day"], "days_before": 0, "days_after": 0}}
NIGHTS = {"timezone": "UTC", "weekly": {"days": ["sat"], "start": "22:00", "end": "02:00"}}


def sale(schedule: dict[str, Any] | None, name: str = "feast", percent: str = "10") -> Change:
    return Change("sale-prices", name, {"name": "Feast", "scope": {}, "percent": percent, "schedule": schedule})


@pytest.fixture
async def engine(fresh_database: Database) -> AsyncIterator[AsyncEngine]:
    engine = fresh_database.engine()
    yield engine
    await engine.dispose()


def windows(book: PriceBook) -> list[tuple[int, int]]:
    table = book.sales.schedule
    return list(zip(table.start_key.tolist(), table.end_key.tolist(), strict=True))


def days_in(holder: BookHolder) -> list[str]:
    held = holder.held()
    assert held is not None
    days: list[str] = held.documents[NAMED_DAYS][KEY].body["days"]
    return days


async def held_after(database: Database, *, days: int) -> BookHolder:
    """What a process finds that starts so many days after the last publication: its instants are moved back by as much."""
    connection = await database.connect()
    await connection.execute("UPDATE versions SET published_at = published_at - make_interval(days => $1)", days)
    stored = await connection.fetch("SELECT id, body::text FROM documents WHERE resource = $1 AND to_version IS NULL", NAMED_DAYS)
    for row in stored:
        body = decode_body(row["body"])
        until = (date.fromisoformat(body["until"]) - timedelta(days=days)).isoformat()
        kept = {**body, "until": until, "days": [day for day in body["days"] if day <= until]}
        text = encode_canonical(kept).decode()
        await connection.execute(
            "UPDATE documents SET body = $2::jsonb WHERE resource = $3 AND id = $1", row["id"], text, NAMED_DAYS
        )
    rows = await load_rows(connection)
    connection.terminate()
    holder = BookHolder()
    holder.offer(Held(compile_price_book(rows), rows))
    return holder


async def test_days_are_written_with_the_rule_and_go_with_it(engine: AsyncEngine) -> None:
    holder = BookHolder()
    await publish(engine, holder, product(1), sale(CHRISTMAS))
    with_days, starts = days_in(holder), windows(holder.current())
    await publish(engine, holder, sale(None))
    held = holder.held()

    this_year = datetime.now(UTC).year
    assert f"{this_year + 1}-12-25" in with_days
    assert [day[4:] for day in with_days] == ["-12-25"] * len(with_days)
    assert [datetime.fromtimestamp(start, UTC).strftime("%Y-%m-%d") for start, _ in starts] == with_days
    assert held is not None
    assert KEY not in held.documents[NAMED_DAYS]


async def test_other_calendars_change_no_version_until_the_rule_is_written_again(
    engine: AsyncEngine, fresh_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    holder = BookHolder()
    await publish(engine, holder, product(1), sale(CHRISTMAS))
    version, before = holder.version, windows(holder.current())
    assert version is not None
    known = holidays.country_holidays

    def moved(*args: Any, **more: Any) -> dict[Any, str]:
        """Calendars of a later release, in which the holiday is kept a day later."""
        return {day + timedelta(days=1): name for day, name in known(*args, **more).items()}

    monkeypatch.setattr(holidays, "country_holidays", moved)
    holidays_of._calendar.cache_clear()
    try:
        await publish(engine, holder, product(2))
        untouched = windows(holder.current())
        again = await publish(engine, holder, sale(CHRISTMAS))
        after = windows(holder.current())
        twice = await publish(engine, holder, sale(CHRISTMAS))
    finally:
        holidays_of._calendar.cache_clear()
    replayed = await BookVersions(fresh_database.connect, holder).get(version)

    assert untouched == before
    assert [start for start, _ in after] == [start + 86_400 for start, _ in before]
    assert again.version == twice.version == holder.version
    assert windows(replayed) == before


async def test_schedule_that_never_holds_is_not_published(engine: AsyncEngine) -> None:
    holder = BookHolder()
    await publish(engine, holder, product(1))
    past = sale(NIGHTS | {"from": "2020-01-01T00:00:00", "to": "2020-02-01T00:00:00"})
    with pytest.raises(BookError) as refused:
        await publish(engine, holder, past)
    unknown = sale({"timezone": "UTC", "holidays": {"country": "ZZ"}})
    with pytest.raises(BookError) as nowhere:
        await publish(engine, holder, unknown)

    assert [(one.resource, one.id, one.path) for one in refused.value.problems] == [("sale-prices", "feast", "schedule")]
    assert [one.path for one in nowhere.value.problems] == ["schedule.holidays.country"]
    assert holder.version == 1


async def test_rule_whose_time_is_over_keeps_nobody_from_publishing_and_comes_back_by_rollback(
    engine: AsyncEngine, fresh_database: Database
) -> None:
    holder = BookHolder()
    past = NIGHTS | {"from": "2020-01-01T00:00:00", "to": "2020-02-01T00:00:00"}
    await publish(engine, holder, product(1))
    async with transaction(engine) as connection:
        publication = await open_publication(connection, holder)
        await publication.publish([sale(past)], actor="tester", kind="rollback")
    assert publication.held is not None
    holder.offer(publication.held)
    after = await publish(engine, holder, product(2))

    assert after.version == 3
    assert windows(holder.current()) == []


async def test_patterns_are_laid_further_in_a_version_of_their_own(engine: AsyncEngine, fresh_database: Database) -> None:
    await publish(engine, BookHolder(), product(1), sale(CHRISTMAS), sale(NIGHTS, "nights"))
    now = datetime.now(UTC)
    holder = await held_after(fresh_database, days=800 - DAYS_AHEAD_MIN + 1)
    old = holder.held()
    assert old is not None
    before = windows(old.book)
    renewed = await renew_schedules(engine, holder, Metrics())
    new = holder.held()
    assert new is not None
    after = windows(new.book)
    # A year and more is laid out by both: what is the same there, and reaches further.
    shared = {window for window in before if window[0] % 2**33 > now.timestamp() - 399 * 86_400}

    assert renewed
    assert days_ahead(old, now) == DAYS_AHEAD_MIN - 1
    assert (new.rows.version, days_ahead(new, now)) == (2, 800)
    assert len(shared) > 100
    assert shared <= set(after)
    assert max(end % 2**33 for _, end in after) > now.timestamp() + 790 * 86_400
    assert windows(await BookVersions(fresh_database.connect, holder).get(1)) == before
    assert [(row.resource, row.actor, row.version) for row in await audit_rows(engine)][-1] == ("versions", "centwise", 2)
    assert not await renew_schedules(engine, holder, Metrics())


async def test_patterns_that_reach_far_enough_are_left(engine: AsyncEngine, fresh_database: Database) -> None:
    await publish(engine, BookHolder(), product(1), sale(CHRISTMAS), sale(NIGHTS, "nights"))
    holder = await held_after(fresh_database, days=800 - DAYS_AHEAD_MIN)

    assert not await renew_schedules(engine, holder, Metrics())
    assert holder.version == 1


async def test_book_without_patterns_is_never_due(engine: AsyncEngine) -> None:
    holder = BookHolder()
    await publish(engine, holder, product(1), sale({"timezone": "UTC", "from": "2026-01-01T00:00:00"}))
    held = holder.held()
    assert held is not None

    assert days_ahead(held, datetime.now(UTC)) == NO_PATTERNS_DAYS
    assert not is_due(held, datetime.now(UTC) + timedelta(days=9_000))


def rows_of(holder: BookHolder) -> BookRows:
    held = holder.held()
    assert held is not None
    return held.rows


async def test_another_process_loads_the_days_that_were_published(engine: AsyncEngine, fresh_database: Database) -> None:
    holder = BookHolder()
    await publish(engine, holder, product(1), sale(CHRISTMAS))
    connection = await fresh_database.connect()
    loaded = await load_rows(connection)
    connection.terminate()

    assert loaded.documents[NAMED_DAYS][KEY].body == rows_of(holder).documents[NAMED_DAYS][KEY].body
