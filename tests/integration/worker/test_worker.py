"""The worker: as a process that an operator starts, and its look at the meters beside running lanes."""

import asyncio
import re
from pathlib import Path

import asyncpg
import httpx
import pytest

from app.db.engine import Database
from app.worker import Worker
from tests.processes import Pod, command, environment, free_port
from tests.redemptions_support import confirm, draw, hold, id_of, quote, redemptions


@pytest.fixture
def database(fresh_database: Database) -> Database:
    return fresh_database


def figure(text: str, name: str) -> float:
    found = re.search(rf"^{name} (\S+)$", text, re.MULTILINE)
    assert found, f"{name} is not there"
    return float(found[1])


async def take(database: Database, *, count: int) -> None:
    """Confirmed uses of one meter."""
    connection = await database.connect()
    quotes = [await quote(connection, draw("worker/uses", cap=count)) for _ in range(count)]
    async with redemptions(database) as lanes:

        async def buy(number: int) -> None:
            held = await lanes.holding.answer(hold(quotes[number], order=f"o-{number}"))
            await lanes.changing.answer(confirm(id_of(held), order=f"o-{number}"))

        await asyncio.gather(*map(buy, range(count)))
    await connection.close()


async def spoil(database: Database) -> None:
    connection = await database.connect()
    await connection.execute("UPDATE meters SET used = used - 1 WHERE id = 'worker/uses'")
    await connection.close()


def test_a_worker_compares_meters_keeps_up_and_ends_with_zero(database: Database, tmp_path: Path) -> None:
    asyncio.run(take(database, count=3))

    with Pod(tmp_path, does="worker", database_url=database.url) as worker:
        worker.wait_until_ready()
        assert worker.report() == {"status": "ready", "jobs": {"drift": True, "upkeep": True}}
        assert worker.client.get("/livez").status_code == 200
        figures = worker.client.get("/metrics").text
        assert figure(figures, "pricing_meter_drift") == 0
        assert 0 <= figure(figures, "pricing_meter_drift_checked_seconds") < 60
        assert worker.stop() == 0


def test_a_meter_that_lost_a_use_is_counted_and_named(database: Database, tmp_path: Path) -> None:
    asyncio.run(take(database, count=3))
    asyncio.run(spoil(database))

    with Pod(tmp_path, does="worker", database_url=database.url) as worker:
        worker.wait_until_ready()
        assert figure(worker.client.get("/metrics").text, "pricing_meter_drift") == 1
        assert worker.stop() == 0
        assert "worker/uses" in worker.said.read_text()


async def test_what_lanes_are_just_storing_is_no_drift(database: Database) -> None:
    connection: asyncpg.Connection = await database.connect()
    worker = Worker(database, retention_days=400, hold_retention_days=400)
    buying = asyncio.create_task(take(database, count=60))
    found = []
    while not buying.done():
        await worker.look_for_drift(connection)
        found.append(figure(worker.metrics.render().decode(), "pricing_meter_drift"))
    await buying
    await connection.close()

    assert len(found) > 1
    assert set(found) == {0.0}


def test_a_worker_without_a_database_lives_and_is_not_ready(tmp_path: Path) -> None:
    with Pod(tmp_path, does="worker", database_url=f"postgresql://nobody@127.0.0.1:{free_port()}/none") as worker:
        report = _first_answer(worker)
        assert (report.status_code, report.json()["status"]) == (503, "not ready")
        assert worker.client.get("/livez").status_code == 200
        assert figure(worker.client.get("/metrics").text, "pricing_meter_drift_checked_seconds") == -1
        assert worker.stop() == 0


def test_a_worker_refuses_a_database_without_the_schema(database: Database, tmp_path: Path) -> None:
    asyncio.run(_drop_schema(database))

    ended = command("worker", env=environment(tmp_path, database_url=database.url, port=str(free_port())))

    assert ended.returncode == 2
    assert "python -m app migrate" in ended.stderr


async def _drop_schema(database: Database) -> None:
    connection = await database.connect()
    await connection.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
    await connection.close()


def _first_answer(worker: Pod) -> httpx.Response:
    """Of `/readyz`; whoever does not listen yet is asked again."""
    retrying = httpx.HTTPTransport(retries=12)
    with httpx.Client(base_url=worker.client.base_url, transport=retrying, timeout=30) as client:
        return client.get("/readyz")
