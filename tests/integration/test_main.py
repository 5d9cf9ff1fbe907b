"""The whole service, wired as it is served, on a real database."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from app.db.durable import WrongSchema
from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database
from app.db.migrate import upgrade
from app.main import create_app
from app.settings import Settings
from tests.conftest import make_database
from tests.faults.cluster import freeze, thaw
from tests.support import is_problem, running


def settings_of(folder: Path, **given: object) -> Settings:
    return Settings.model_validate({"data_dir": folder / "data", "open_loopback": True, **given})


async def test_it_starts_ready_says_so_and_counts(database: Database, tmp_path: Path) -> None:
    async with running(create_app(settings_of(tmp_path), database=database)) as http:
        alive = await http.get("/livez")
        ready = await http.get("/readyz")
        await http.get("/v1/keys")
        metrics = await http.get("/metrics")

    assert alive.json() == {"status": "alive"}
    assert ready.status_code == 200
    told = ready.json()
    assert len(told.pop("signing_keys")) == 1
    assert told == {"status": "ready", "version": 0, "database_version": 0, "database": "reachable", "problem": ""}
    assert 'pricing_requests_total{endpoint="GET /v1/keys",status="2xx"} 1.0' in metrics.text
    assert "pricing_book_version 0.0" in metrics.text
    assert 'pricing_pool_connections{state="idle"}' in metrics.text


async def test_every_path_refuses_as_a_problem(database: Database, tmp_path: Path) -> None:
    async with running(create_app(settings_of(tmp_path), database=database)) as http:
        assert is_problem(await http.get("/nothing"), 404, "not_found")
        assert is_problem(await http.delete("/livez"), 405, "method_not_allowed")
        assert is_problem(
            await http.post("/v1/keys", content=b'{"name": NaN}', headers={"content-type": "application/json"}),
            400,
            "malformed_json",
        )
        assert is_problem(
            await http.post("/v1/quotes", content=b'{"currency": NaN}', headers={"content-type": "application/json"}),
            400,
            "malformed_json",
        )


async def test_without_keys_it_is_closed(database: Database, tmp_path: Path) -> None:
    async with running(create_app(settings_of(tmp_path, open_loopback=False), database=database)) as http:
        for method, path in (
            ("GET", "/v1/keys"),
            ("POST", "/v1/quotes"),
            ("POST", "/v1/preview"),
            ("PUT", "/v1/products/A"),
            ("POST", "/v1/import"),
        ):
            assert is_problem(await http.request(method, path), 401, "unauthorized"), path
        for path in ("/livez", "/readyz", "/metrics", "/openapi.json"):
            assert (await http.get(path)).status_code == 200


async def test_every_operation_of_the_document_has_an_id_and_may_be_a_problem(database: Database, tmp_path: Path) -> None:
    async with running(create_app(settings_of(tmp_path), database=database)) as http:
        document = (await http.get("/openapi.json")).json()

    operations = [operation for path in document["paths"].values() for operation in path.values()]
    ids = [operation["operationId"] for operation in operations]
    assert len(ids) == len(set(ids))
    assert all("default" in operation["responses"] and operation["tags"] for operation in operations)
    assert "HTTPValidationError" not in json.dumps(document)


async def test_a_database_without_schema_is_refused(cluster: EmbeddedPostgres, tmp_path: Path) -> None:
    with make_database(cluster, None) as empty, pytest.raises(RuntimeError, match="did not start"):
        async with running(create_app(settings_of(tmp_path), database=empty)):
            pass

    assert WrongSchema.__doc__


async def test_it_starts_without_a_database_and_refuses_what_needs_one(tmp_path: Path) -> None:
    nowhere = Database("postgresql://nobody@127.0.0.1:1/none", connect_seconds=0.2)
    async with running(create_app(settings_of(tmp_path), database=nowhere)) as http:
        assert (await http.get("/livez")).status_code == 200
        assert (await http.get("/readyz")).status_code == 503
        refused = await http.get("/v1/keys")

    assert is_problem(refused, 503, "unavailable")
    assert refused.headers["retry-after"]


async def test_with_a_frozen_database_every_request_is_answered_in_time(open_folder: Path) -> None:
    quote = {"currency": "USD", "lines": [{"id": "1", "sku": "A", "quantity": 1}]}
    with EmbeddedPostgres(open_folder / "data") as server:
        database = Database(server.url, pool_size=2)
        await upgrade(database)
        async with running(create_app(settings_of(open_folder), database=database)) as http:
            freeze(server)
            try:
                slowest = 0.0
                for _ in range(3):
                    began = time.monotonic()
                    answers = await asyncio.gather(
                        *(http.get("/v1/keys") for _ in range(4)),
                        *(http.put("/v1/products/A", json={"name": "A"}, params={"publish": "now"}) for _ in range(4)),
                        http.post("/v1/quotes", json=quote),
                        http.get("/v1/decisions"),
                    )
                    slowest = max(slowest, time.monotonic() - began)
                    assert {answer.status_code for answer in answers} <= {503, 422}
            finally:
                thaw(server)
            deadline = time.monotonic() + 5
            while (await http.get("/v1/keys")).status_code != 200:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)

    assert slowest < 1.5
