"""What is left of limits comes from the meters to the quotes: they change when something sells out, and replay as they were."""

import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from app.db.engine import Database, DatabaseUnreachable
from app.db.partitions import ensure_day
from app.pricing.basket import Basket
from app.pricing.book import BookRows, Document, PriceBook
from app.pricing.compile import compile_price_book
from app.pricing.counters import Count
from app.quotes.decisions import DecisionReader
from app.quotes.encode import EncodedQuote
from app.quotes.replay import Replay
from app.redemptions.counters import Counters
from tests.integration.redemptions.rows import stand
from tests.memos import price_and_encode
from tests.quotes_support import Books, basket, client_of, connector, doors, encoded, house
from tests.reference.builders import only, percent_off, prices
from tests.service import publish, serving

JSON = {"content-type": "application/json"}
NOW = datetime(2026, 11, 1, 23, 30, tzinfo=UTC)  # in Berlin Monday the 2nd has begun


def book(version: int = 5, *, uses: int = 100) -> PriceBook:
    windows = {"uses_per_day": 50, "uses_per_week": 60, "uses_per_month": 70}
    sale = {"name": "F", "scope": only(skus=["B"]), "currency": None, "schedule": None}
    documents: dict[str, dict[str, Any]] = {
        "prices": prices(A="1000", B="500", C="1"),
        "promotions": {
            "ten": percent_off("10", scope=only(skus=["A"]), limits={"uses": uses, "budget": 1_000}),
            "coded": percent_off("20", requires_code=True),
            "windows": percent_off("5", scope=only(skus=["C"]), limits=windows, schedule={"timezone": "Europe/Berlin"}),
        },
        "coupons": {"c": {"promotion": "coded", "codes": ["SAVE"], "generate": None, "limits": {"uses": 30}}},
        "campaigns": {"k": {"name": "K", "promotions": ["ten"], "budget": 2_000, "currency": "USD"}},
        "sale-prices": {"flash": sale | {"percent": "50", "stock_cap": 40}},
    }
    whole = {resource: {name: Document(body, 1) for name, body in bodies.items()} for resource, bodies in documents.items()}
    return compile_price_book(BookRows(version, 1_750_000_000_000_000, whole))


class Heard:
    """Whoever prices."""

    def __init__(self) -> None:
        self.counts: dict[tuple[str, str], tuple[int, bool]] = {}
        self.has_personal = False

    def hear(self, counts: Iterable[Count]) -> None:
        self.counts = {(left.rule, left.limit): (left.left, is_close) for left, is_close in counts}

    def hear_personal(self, has_any: bool) -> None:
        self.has_personal = has_any


@contextlib.contextmanager
def counters_of(database: Database, heard: Heard, current: Callable[[], PriceBook | None]) -> Iterator[Counters]:
    counters = Counters(
        connector(database), current_book=current, hand_on=heard.hear, hand_on_personal=heard.hear_personal, now=lambda: NOW
    )
    yield counters
    counters.close()


async def test_close_ones_and_units_are_handed_on_and_a_meter_without_a_row_is_full(
    fresh_database: Database, meters: asyncpg.Connection
) -> None:
    heard, of = Heard(), book()
    with counters_of(fresh_database, heard, lambda: of) as counters:
        await counters.refresh()
        untouched = dict(heard.counts)
        await stand(meters, "promotions/ten/uses", cap=100, held=40, used=40)
        await stand(meters, "promotions/ten/budget", cap=1_000, used=899)
        await stand(meters, "campaigns/k/budget", cap=2_000, held=1, used=1_799)
        await stand(meters, "coupons/c/uses", cap=30, used=30)
        await stand(meters, "coupons/c/codes/SAVE", cap=1, used=1)
        await stand(meters, "sale-prices/flash/units", cap=40_000, held=500)
        await counters.refresh()

        assert untouched == {("flash", "units"): (40_000, False)}
        assert heard.counts == {
            ("ten", "uses"): (20, True),
            ("k", "campaign_budget"): (200, True),
            ("c", "coupon_uses"): (0, True),
            ("flash", "units"): (39_500, False),
        }
        await stand(meters, "promotions/ten/budget", cap=1_000, used=900)
        await counters.refresh()
        assert heard.counts["ten", "budget"] == (100, True)


async def test_windows_are_those_of_the_day_in_the_time_zone_of_the_schedule(
    fresh_database: Database, meters: asyncpg.Connection
) -> None:
    heard, of = Heard(), book()
    for meter, used in (
        ("promotions/windows/uses/day/2026-11-01", 50),
        ("promotions/windows/uses/day/2026-11-02", 41),
        ("promotions/windows/uses/week/2026-10-26", 60),
        ("promotions/windows/uses/week/2026-11-02", 42),
        ("promotions/windows/uses/month/2026-11-01", 70),
    ):
        await stand(meters, meter, cap=70, used=used)
    with counters_of(fresh_database, heard, lambda: of) as counters:
        await counters.refresh()

    assert {limit: left for (rule, limit), (left, _) in heard.counts.items() if rule == "windows"} == {
        "uses_per_day": 9,
        "uses_per_week": 18,
        "uses_per_month": 0,
    }


async def test_cap_is_that_of_the_book_until_a_newer_one_has_drawn(fresh_database: Database, meters: asyncpg.Connection) -> None:
    heard, books = Heard(), {"now": book()}
    with counters_of(fresh_database, heard, lambda: books["now"]) as counters:
        await stand(meters, "promotions/ten/uses", cap=100, used=100)
        await counters.refresh()
        sold_out = heard.counts["ten", "uses"]
        # The cap is raised: nobody can draw while it looks sold out, so the meter does not know yet.
        books["now"] = book(6, uses=115)
        await counters.refresh()
        raised = heard.counts["ten", "uses"]
        await stand(meters, "promotions/ten/uses", cap=105, used=100, version=7)
        await counters.refresh()

        assert (sold_out, raised, heard.counts["ten", "uses"]) == ((0, True), (15, True), (5, True))


async def test_last_known_stands_while_the_database_is_away(fresh_database: Database, meters: asyncpg.Connection) -> None:
    heard, of, is_away = Heard(), book(), False

    async def connect() -> asyncpg.Connection:
        if is_away:
            raise DatabaseUnreachable("away")
        return await fresh_database.connect()

    counters = Counters(
        connect, current_book=lambda: of, hand_on=heard.hear, hand_on_personal=heard.hear_personal, now=lambda: NOW
    )
    assert counters.age_s == 0.0
    is_away = True
    with pytest.raises(DatabaseUnreachable):
        await counters.refresh()
    # Nothing was read yet: a sale begins with all of its units.
    assert (heard.counts, counters.age_s) == ({("flash", "units"): (40_000, False)}, -1.0)
    is_away = False
    await stand(meters, "sale-prices/flash/units", cap=40_000, used=38_000)
    await counters.refresh()
    is_away = True
    await meters.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )
    for _ in range(2):
        with pytest.raises(DatabaseUnreachable):
            await counters.refresh()
        assert heard.counts["flash", "units"] == (2_000, True)
    assert counters.age_s > 0
    is_away = False
    await counters.refresh()
    assert heard.counts["flash", "units"] == (2_000, True)
    counters.close()


class Till:
    """A client of the storefront whose quotes know the meters."""

    def __init__(self, client: httpx.AsyncClient, books: Books, counters: Counters, meters: asyncpg.Connection) -> None:
        self.client = client
        self.books = books
        self.counters = counters
        self.meters = meters

    async def post(self, path: str, **more: Any) -> dict[str, Any]:
        response = await self.client.post(path, content=encoded(more), headers=JSON)
        assert response.status_code in (200, 201), response.text
        return dict(response.json())

    async def quote(self, *lines: tuple[str, int | str], **more: Any) -> dict[str, Any]:
        return await self.post("/v1/quotes", **basket(*lines, **more))


@pytest.fixture
async def till(fresh_database: Database, meters: asyncpg.Connection) -> AsyncIterator[Till]:
    engine = fresh_database.engine()
    await ensure_day(meters, datetime.now(UTC))
    async with house(connector(fresh_database), books=Books(book())) as served:
        front, _ = doors(served, engine)
        heard = Heard()
        counters = Counters(
            connector(fresh_database),
            current_book=served.books.current,
            hand_on=served.standings.set,
            hand_on_personal=heard.hear_personal,
        )
        await counters.refresh()
        async with client_of(front) as client:
            yield Till(client, served.books, counters, meters)
        counters.close()
    await engine.dispose()


async def test_quotes_follow_a_sale_and_a_coupon_until_they_are_sold_out_and_replay_as_they_were(till: Till) -> None:
    quotes = [await till.quote(("B", 10), ("A", 1), codes=["SAVE"]) for _ in range(2)]
    assert [(quote["total"], "limited" in quote) for quote in quotes] == [(2720, False)] * 2

    await stand(till.meters, "sale-prices/flash/units", cap=40_000, used=20_000, held=17_000)
    await stand(till.meters, "coupons/c/uses", cap=30, used=29)
    await till.counters.refresh()
    quotes += [await till.quote(("B", 10), ("A", 1), codes=["SAVE"]) for _ in range(2)]
    # 3 at 250 and 7 at 500 are 4250; 20 % off that and off 900.
    assert quotes[-1]["limited"] == [
        {"rule": "c", "limit": "coupon_uses", "left": 1},
        {"rule": "flash", "limit": "units", "left": "3"},
    ]
    assert [quote["total"] for quote in quotes[2:]] == [4120] * 2
    assert quotes[-1]["lines"][0]["price_steps"] == [
        {"step": "sale", "rule": "flash", "units": "3", "before": "500", "after": "425"}
    ]

    await stand(till.meters, "sale-prices/flash/units", cap=40_000, used=40_000)
    await stand(till.meters, "coupons/c/uses", cap=30, used=29, held=1)
    await stand(till.meters, "promotions/ten/budget", cap=1_000, used=950)
    await till.counters.refresh()
    quotes += [await till.quote(("B", 10), ("A", 1), codes=["SAVE"]) for _ in range(2)]
    assert [quote["total"] for quote in quotes[4:]] == [6000] * 2
    assert quotes[-1]["not_applied"] == [
        {"rule": "ten", "reason": "limit_reached", "limit": "budget", "left": 50},
        {"rule": "coded", "code": "SAVE", "reason": "limit_reached", "limit": "coupon_uses", "left": 0},
    ]

    batch = await till.post("/v1/quotes/batch", quotes=[basket(("B", 10), ("A", 1), codes=["SAVE"])] * 2)
    quotes += [result["quote"] for result in batch["results"]]
    preview = await till.post("/v1/preview", **basket(("B", 10), ("A", 1), codes=["SAVE"]))
    assert [quote["limited"] for quote in quotes[6:]] == [quotes[5]["limited"]] * 2
    assert {**preview, **dict.fromkeys(("id", "token", "issued_at", "expires_at"))} == {
        **quotes[5],
        **dict.fromkeys(("id", "token", "issued_at", "expires_at")),
    }

    # What is there again is told again; decisions stay what they were.
    await stand(till.meters, "sale-prices/flash/units", cap=40_000, used=0)
    await till.counters.refresh()
    assert (await till.quote(("B", 10)))["total"] == 2500
    for quote in quotes:
        replay = await till.client.post(f"/v1/decisions/{quote['id']}/replay")
        assert (replay.status_code, replay.content) == (200, b'{"equal":true}')


async def test_replay_that_forgets_what_was_left_is_found_out(till: Till, fresh_database: Database) -> None:
    """The planted defect: a replay by what is left now, or by nothing."""

    def forgetful(of: PriceBook, baskets: Sequence[Basket], partial: Sequence[bool]) -> list[EncodedQuote]:
        return price_and_encode(of, [basket._replace(left=()) for basket in baskets], partial)

    await stand(till.meters, "sale-prices/flash/units", cap=40_000, used=39_000)
    await till.counters.refresh()
    for _ in range(3):
        await till.quote(("B", 2))
    engine = fresh_database.engine()
    reports = [
        await Replay(DecisionReader(engine), book_of_version=till.books.get, price=price, lines_max=8).replay_last(10)
        for price in (price_and_encode, forgetful)
    ]
    await engine.dispose()

    assert [(report.decision_count, len(report.differences)) for report in reports] == [(3, 0), (3, 3)]
    assert reports[1].differences[0][1].path == "lines[0].unit_price"


async def test_simulated_quote_looks_at_no_counter(till: Till) -> None:
    await stand(till.meters, "sale-prices/flash/units", cap=40_000, used=40_000)
    await till.counters.refresh()

    assert (await till.quote(("B", 1)))["total"] == 500
    assert (await till.quote(("B", 1), at="2026-11-27T12:00:00Z"))["total"] == 250
    assert (await till.quote(("B", 1), version=5))["total"] == 250


async def test_listing_shows_the_sale_while_a_unit_is_left_and_a_promotion_while_it_can_be_paid(till: Till) -> None:
    async def listed() -> list[tuple[str, str]]:
        reply = await till.post("/v1/prices", currency="USD", skus=["A", "B"])
        return [(item["unit_price"], item["net_unit_price"]) for item in reply["items"]]

    found = [await listed(), await listed()]
    for flash, budget in ((39_000, 900), (39_001, 901), (0, 0)):
        await stand(till.meters, "sale-prices/flash/units", cap=40_000, used=flash)
        await stand(till.meters, "promotions/ten/budget", cap=1_000, used=budget)
        await till.counters.refresh()
        found.append(await listed())

    both, none = [("1000", "900"), ("250", "250")], [("1000", "1000"), ("500", "500")]
    assert found == [both, both, both, none, both]


async def test_explanation_shows_the_split_sale_and_the_barred_promotion(till: Till) -> None:
    await stand(till.meters, "sale-prices/flash/units", cap=40_000, used=39_000)
    await stand(till.meters, "promotions/ten/uses", cap=100, used=100)
    await till.counters.refresh()
    reply = await till.post("/v1/preview?explain=full", **basket(("B", 4), ("A", 1)))

    (b, _), order = reply["explanation"]["lines"], reply["explanation"]["order"]
    assert b["unit_prices"][-1] == {"step": "sale", "rule": "flash", "units": "1", "before": "500", "after": "437.5"}
    assert order[-1]["after"] == reply["total"] == 2750
    assert reply["not_applied"] == [{"rule": "ten", "reason": "limit_reached", "limit": "uses", "left": 0}]


async def test_whole_service_follows_the_meters_within_two_seconds(
    fresh_database: Database, meters: asyncpg.Connection, tmp_path: Path
) -> None:
    async with serving(fresh_database, tmp_path) as client:
        await publish(client, "/v1/prices/B", {"currency": "USD", "unit_price": "500"})
        sale = {"name": "F", "scope": {"include": {"skus": ["B"]}}, "percent": "50", "stock_cap": 40}
        await publish(client, "/v1/sale-prices/flash", sale)

        async def quoted() -> dict[str, Any]:
            reply = await client.post("/v1/quotes", json=basket(("B", 3)))
            assert reply.status_code == 201, reply.text
            return dict(reply.json())

        assert (await quoted())["total"] == 750
        await stand(meters, "sale-prices/flash/units", cap=40_000, used=38_000, version=1)
        began_s, quotes = time.monotonic(), [await quoted()]
        while quotes[-1]["total"] == 750 and time.monotonic() - began_s < 10:
            quotes.append(await quoted())
        took_s = time.monotonic() - began_s

        assert quotes[-1]["limited"] == [{"rule": "flash", "limit": "units", "left": "2"}]
        assert quotes[-1]["total"] == 1000
        assert took_s < 2
        for quote in (quotes[0], quotes[-1]):
            assert (await client.post(f"/v1/decisions/{quote['id']}/replay")).json() == {"equal": True}
        figures = (await client.get("/metrics")).text
        assert 0 <= float(re.findall(r"^pricing_counters_age_seconds (\S+)$", figures, re.MULTILINE)[0]) < 5
