"""A request with a key happens once, and every repetition gets the same bytes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Response
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from starlette.requests import Request

from app.db.engine import Database
from app.errors import Conflict, Unavailable
from app.web.auth import Authenticator, Principal
from app.web.idempotency import Reply, json_reply, run_once
from app.web.problem_handlers import install_problem_handlers
from app.web.requires import requires
from app.web.routing import StrictRoute
from tests.support import is_problem, running


class Add(BaseModel):
    n: int
    outcome: str = "ok"


@contextlib.asynccontextmanager
async def service(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """Each POST appends a row to `tally` and answers with the sum."""
    engine = database.engine()
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE IF NOT EXISTS tally (n int)"))
        await connection.execute(text("TRUNCATE tally, idempotency"))
    app = FastAPI()
    app.state.authenticator = Authenticator(engine, open_loopback=True)
    install_problem_handlers(app)
    router = APIRouter(prefix="/v1/tally", route_class=StrictRoute)

    @router.post("")
    async def add(
        request: Request, body: Add, caller: Annotated[Principal, Depends(requires("write"))], publish: str | None = None
    ) -> Response:
        async def effect(connection: AsyncConnection) -> Reply:
            await connection.execute(text("INSERT INTO tally VALUES (:n)"), {"n": body.n})
            if body.outcome == "conflict":
                raise Conflict("refused after writing")
            if body.outcome == "unavailable":
                raise Unavailable("not now")
            total = (await connection.execute(text("SELECT sum(n) FROM tally"))).scalar_one()
            return json_reply({"sum": total, "name": "Größe"}, status=201, headers={"ETag": f'"{total}"'})

        return await run_once(engine, request, caller, effect)

    app.include_router(router)
    try:
        async with running(app) as http:
            yield http
    finally:
        await engine.dispose()


async def rows(database: Database) -> int:
    connection = await database.connect()
    count: int = await connection.fetchval("SELECT count(*) FROM tally")
    await connection.close()
    return count


async def test_a_repetition_gets_the_same_bytes_and_does_nothing(database: Database) -> None:
    async with service(database) as http:
        first = await http.post("/v1/tally", json={"n": 1}, headers={"idempotency-key": "a"})
        await http.post("/v1/tally", json={"n": 10})
        second = await http.post("/v1/tally", json={"n": 1}, headers={"idempotency-key": "a"})

    assert first.status_code == second.status_code == 201
    assert first.content == second.content == '{"sum":1,"name":"Größe"}'.encode()
    assert first.headers["etag"] == second.headers["etag"] == '"1"'
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert await rows(database) == 2


async def test_concurrent_duplicates_happen_once(database: Database) -> None:
    async with service(database) as http:
        responses = await asyncio.gather(
            *(http.post("/v1/tally", json={"n": 5}, headers={"idempotency-key": "many"}) for _ in range(4))
        )

    assert {response.content for response in responses} == {responses[0].content}
    assert sorted(response.headers.get("idempotent-replayed", "") for response in responses) == ["", "true", "true", "true"]
    assert await rows(database) == 1


@pytest.mark.parametrize("changed", [{"json": {"n": 2}}, {"json": {"n": 1}, "params": {"publish": "now"}}])
async def test_the_key_with_another_request_is_refused(database: Database, changed: dict[str, object]) -> None:
    async with service(database) as http:
        await http.post("/v1/tally", json={"n": 1}, headers={"idempotency-key": "b"})
        other = await http.post("/v1/tally", headers={"idempotency-key": "b"}, **changed)  # type: ignore[arg-type]

    assert is_problem(other, 422, "idempotency_mismatch")
    assert await rows(database) == 1


async def test_a_refusal_is_stored_and_what_it_wrote_is_not(database: Database) -> None:
    async with service(database) as http:
        first = await http.post("/v1/tally", json={"n": 1, "outcome": "conflict"}, headers={"idempotency-key": "c"})
        second = await http.post("/v1/tally", json={"n": 1, "outcome": "conflict"}, headers={"idempotency-key": "c"})

    assert is_problem(first, 409, "conflict")
    assert is_problem(second, 409, "conflict")
    assert first.content == second.content
    assert second.headers["idempotent-replayed"] == "true"
    assert await rows(database) == 0


async def test_what_may_pass_is_not_stored(database: Database) -> None:
    async with service(database) as http:
        first = await http.post("/v1/tally", json={"n": 1, "outcome": "unavailable"}, headers={"idempotency-key": "d"})
        again = await http.post("/v1/tally", json={"n": 1, "outcome": "unavailable"}, headers={"idempotency-key": "d"})

    assert is_problem(first, 503, "unavailable")
    assert first.headers["retry-after"] == "1"
    assert "idempotent-replayed" not in again.headers
    assert await rows(database) == 0


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\x7f"])
async def test_a_key_that_is_none_is_refused(database: Database, key: str) -> None:
    async with service(database) as http:
        assert is_problem(await http.post("/v1/tally", json={"n": 1}, headers={"idempotency-key": key}), 422, "validation")


async def test_a_database_that_is_away_is_a_503(database: Database) -> None:
    away = Database("postgresql://nobody@127.0.0.1:1/none", connect_seconds=0.2)
    engine = away.engine()
    app = FastAPI()
    app.state.authenticator = Authenticator(engine, open_loopback=True)
    install_problem_handlers(app)
    router = APIRouter(prefix="/v1/tally", route_class=StrictRoute)

    @router.post("")
    async def add(request: Request, caller: Annotated[Principal, Depends(requires("write"))]) -> Response:
        async def effect(_: AsyncConnection) -> Reply:
            raise AssertionError("not reached")

        return await run_once(engine, request, caller, effect)

    app.include_router(router)
    async with running(app) as http:
        response = await http.post("/v1/tally")
    await engine.dispose()

    assert is_problem(response, 503, "unavailable")
    assert response.headers["retry-after"] == "1"
