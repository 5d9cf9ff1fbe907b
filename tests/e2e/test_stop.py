"""A pod that is asked to end finishes what it has begun."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import asyncpg
import httpx
import pytest

from app.db.engine import Database
from tests.e2e.conftest import StartPod
from tests.e2e.shop import open_shop, quote

_WAITS = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'decisions'::regclass"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_quote_in_flight_is_stored_and_answered_before_the_process_ends(
    fresh_database: Database, tmp_path: Path, start_pod: StartPod, number: signal.Signals
) -> None:
    pod = start_pod(tmp_path, database_url=fresh_database.url, flush_seconds="9").wait_until_ready()
    open_shop(pod.client)
    connection: asyncpg.Connection = await fresh_database.connect()
    with ThreadPoolExecutor(1) as thread:
        # The store waits behind this lock, so the quote is in flight for as long as we like.
        async with connection.transaction():
            await connection.execute("LOCK TABLE decisions IN EXCLUSIVE MODE")
            sent = thread.submit(quote, pod.client, ("SKU-1", 2))
            while not await connection.fetchval(_WAITS):
                assert not sent.done(), sent.result().text
            pod.process.send_signal(number)
            _wait_until_closed(pod.port)
            assert not sent.done()
            assert pod.process.poll() is None
        answered = sent.result(20)
        status = pod.process.wait(30)

    stored = await connection.fetchval("SELECT reply FROM decisions")
    await connection.close()
    assert (answered.status_code, status) == (201, 0)
    assert stored == answered.content


def _wait_until_closed(port: int) -> None:
    """Until nobody new is let in."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            httpx.get(f"http://127.0.0.1:{port}/livez")
        except httpx.TransportError:
            return
        time.sleep(0.02)
    raise AssertionError("still listening")
