"""Every error leaves as problem+json, and none repeats what it cannot serialise."""

import asyncio
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.types import Receive, Scope, Send

from app.errors import Conflict
from app.metrics import Metrics
from app.web.access import Access
from app.web.auth import Principal
from app.web.problem_handlers import field_path, install_problem_handlers
from app.web.requires import requires
from app.web.routing import StrictRequest, StrictRoute, check_routes, strict_route
from tests.support import is_problem, paths


class OpenDoor:
    """Lets everybody in, with every scope that they ask for."""

    async def authenticate(self, _: Scope, *scopes: str) -> Principal:
        return Principal("someone", frozenset(scopes))


class Line(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sku: str
    quantity: int = Field(ge=1)


class Basket(BaseModel):
    model_config = ConfigDict(extra="forbid")

    lines: list[Line]


def api() -> FastAPI:
    app = FastAPI()
    app.state.authenticator = OpenDoor()
    install_problem_handlers(app)
    router = APIRouter(prefix="/v1", route_class=StrictRoute)

    @router.post("/baskets")
    async def post(body: Basket, caller: Annotated[Principal, Depends(requires("quote"))]) -> dict[str, Any]:
        return {"lines": len(body.lines), "caller": caller.id}

    @router.get("/list", dependencies=[Depends(requires("read"))])
    async def listing(limit: Annotated[int, Query(ge=1)] = 10) -> int:
        return limit

    @router.put("/taken", dependencies=[Depends(requires("write"))])
    async def taken() -> None:
        raise Conflict("it is taken", errors=[("id", "taken", "somebody has it")])

    @router.put("/broken", dependencies=[Depends(requires("write"))])
    async def broken() -> None:
        raise ZeroDivisionError("secret figure 4711")

    small = APIRouter(prefix="/v1/small", route_class=strict_route(body_bytes=20))

    @small.post("", dependencies=[Depends(requires("write"))])
    async def post_small(body: dict[str, int]) -> int:
        return len(body)

    app.include_router(router)
    app.include_router(small)
    check_routes(app)
    return app


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def client(metrics: Metrics) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(Access(api(), metrics), raise_app_exceptions=False),
        base_url="http://localhost",
    )


async def post(client: httpx.AsyncClient, body: bytes, content_type: str = "application/json") -> httpx.Response:
    return await client.post("/v1/baskets", content=body, headers={"content-type": content_type})


async def test_a_good_body_passes(client: httpx.AsyncClient) -> None:
    response = await post(client, b'{"lines": [{"sku": "A", "quantity": 2}]}', "application/json; charset=utf-8")

    assert response.status_code == 200
    assert response.json() == {"lines": 1, "caller": "someone"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"lines": NaN}',
        b'{"lines": [{"sku": "A", "quantity": Infinity}]}',
        b'{"lines": [], "lines": []}',
        b'{"lines": [{"sku": "A", "sku": "B", "quantity": 1}]}',
        b"\xff\xfe",
        b'{"lines": [{"sku": "\xff", "quantity": 1}]}',
        b"{",
        b"[" * 100_000,
    ],
)
async def test_what_is_not_json_is_a_400(client: httpx.AsyncClient, body: bytes) -> None:
    assert is_problem(await post(client, body), 400, "malformed_json")


async def test_what_does_not_validate_is_a_422_that_names_the_places(client: httpx.AsyncClient) -> None:
    response = await post(client, b'{"lines": [{"sku": "A", "quantity": 0}, {"sku": 7, "quantity": 1}], "colour": "red"}')

    assert is_problem(response, 422, "validation")
    assert paths(response) == ["lines[0].quantity", "lines[1].sku", "colour"]


async def test_a_422_never_repeats_the_input(client: httpx.AsyncClient) -> None:
    response = await post(client, b'{"lines": [{"sku": 47114711, "quantity": "hunter2"}]}')

    assert is_problem(response, 422, "validation")
    assert "hunter2" not in response.text
    assert "47114711" not in response.text


async def test_an_unknown_field_with_an_odd_name_is_named_printably_and_shortly(client: httpx.AsyncClient) -> None:
    response = await post(client, ('{"lines": [], "' + "\u202e" * 5 + "x" * 5000 + '": 1}').encode())

    assert is_problem(response, 422, "validation")
    assert len(response.content) < 500
    assert "\u202e" not in paths(response)[0]


async def test_no_body_is_a_422(client: httpx.AsyncClient) -> None:
    assert is_problem(await client.post("/v1/baskets"), 422, "validation")


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
async def test_only_json_is_read(client: httpx.AsyncClient, content_type: str) -> None:
    assert is_problem(await post(client, b'{"lines": []}', content_type), 415, "unsupported_media_type")


async def test_a_body_beyond_the_limit_is_a_413_with_or_without_its_length(client: httpx.AsyncClient) -> None:
    async def chunks() -> Any:
        for _ in range(10):
            yield b'{"a": 1}'

    whole = await client.post("/v1/small", content=b'{"a": 1, "b": 2, "c": 3}', headers={"content-type": "application/json"})
    chunked = await client.post("/v1/small", content=chunks(), headers={"content-type": "application/json"})

    assert is_problem(whole, 413, "body_too_large")
    assert is_problem(chunked, 413, "body_too_large")


async def test_unknown_paths_and_methods_are_problems(client: httpx.AsyncClient) -> None:
    nowhere = await client.get("/v1/nothing")
    wrong_method = await client.delete("/v1/baskets")

    assert is_problem(nowhere, 404, "not_found")
    assert is_problem(wrong_method, 405, "method_not_allowed")
    assert wrong_method.headers["allow"] == "POST"


async def test_a_bad_query_is_a_422_that_names_it(client: httpx.AsyncClient) -> None:
    response = await client.get("/v1/list?limit=many")

    assert is_problem(response, 422, "validation")
    assert paths(response) == ["limit"]


async def test_our_own_problems_carry_their_errors(client: httpx.AsyncClient) -> None:
    response = await client.put("/v1/taken")

    assert is_problem(response, 409, "conflict")
    assert response.json()["errors"] == [{"path": "id", "code": "taken", "message": "somebody has it"}]


async def test_a_failure_of_ours_says_nothing_but_that(client: httpx.AsyncClient, metrics: Metrics) -> None:
    response = await client.put("/v1/broken", headers={"x-request-id": "r-1"})

    assert is_problem(response, 500, "internal")
    assert "4711" not in response.text
    assert response.headers["x-request-id"] == "r-1"
    assert metrics.requests.at("PUT /v1/broken", "5xx").n == 1


async def test_requests_are_counted_by_template_and_problems_by_type(client: httpx.AsyncClient, metrics: Metrics) -> None:
    await client.get("/v1/list")
    await client.get("/v1/list?limit=0")
    for n in range(50):
        await client.get(f"/v1/made-up-{n}")

    assert metrics.requests.at("GET /v1/list", "2xx").n == 1
    assert metrics.requests.at("GET /v1/list", "4xx").n == 1
    assert metrics.requests.at("other", "4xx").n == 50
    assert metrics.request_errors.at("validation").n == 1
    assert b"made-up" not in metrics.render()


async def test_a_body_that_does_not_arrive_is_given_up() -> None:
    async def never() -> Any:
        await asyncio.Event().wait()

    request = StrictRequest({"type": "http", "method": "POST", "headers": []}, never)

    with pytest.raises(Exception, match="did not arrive"):
        await request.read(limit=100, seconds=0.01)


def test_a_route_without_scope_does_not_start() -> None:
    app = FastAPI()
    router = APIRouter(prefix="/v1", route_class=StrictRoute)

    @router.get("/free")
    async def free() -> None: ...

    app.include_router(router)

    with pytest.raises(RuntimeError, match="GET /v1/free declares no scope"):
        check_routes(app)


def test_a_route_that_reads_leniently_does_not_start() -> None:
    app = FastAPI()

    @app.get("/v1/lenient", dependencies=[Depends(requires("read"))])
    async def lenient() -> None: ...

    with pytest.raises(RuntimeError, match="is not a StrictRoute"):
        check_routes(app)


async def test_what_escapes_the_framework_is_answered_all_the_same() -> None:
    async def broken(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    transport = httpx.ASGITransport(Access(broken, Metrics()), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert is_problem(await client.get("/"), 500, "internal")


def test_places_are_written_as_the_caller_would() -> None:
    assert field_path(("body", "lines", 0, "quantity")) == "lines[0].quantity"
    assert field_path(("query", "limit")) == "limit"
    assert field_path(("body",)) == ""
    assert field_path(("body", 3, "sku")) == "[3].sku"
