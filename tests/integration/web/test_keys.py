"""Keys: shown once, stored as a hash, allowed what they say, refused within two seconds of their end."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import select, update

from app.db.embedded import EmbeddedPostgres
from app.db.engine import Database, transaction
from app.db.tables import api_keys, idempotency
from app.errors import Unavailable
from app.metrics import Metrics
from app.web.access import Access
from app.web.auth import LOCAL, Authenticator, new_key
from app.web.keys import KeyMade, keys_router, make_key
from app.web.logs import failure_notes
from app.web.problem_handlers import install_problem_handlers
from tests.conftest import make_database
from tests.support import is_problem, paths, running


@contextlib.asynccontextmanager
async def service(
    database: Database, *, open_loopback: bool = False, client: str = "127.0.0.1", host: str = "localhost"
) -> AsyncIterator[httpx.AsyncClient]:
    engine = database.engine()
    app = FastAPI()
    app.state.authenticator = Authenticator(engine, open_loopback=open_loopback)
    install_problem_handlers(app)
    app.include_router(keys_router(engine))
    metrics = Metrics()
    fresh = asyncio.create_task(app.state.authenticator.keep_fresh(note_failure=failure_notes(metrics)))
    try:
        async with running(Access(app, metrics), client=(client, 5), base_url=f"http://{host}") as http:
            yield http
    finally:
        fresh.cancel()
        await asyncio.gather(fresh, return_exceptions=True)
        await engine.dispose()


async def made(database: Database, *scopes: str, expires_at: datetime | None = None) -> KeyMade:
    engine = database.engine()
    async with transaction(engine) as connection:
        key = await make_key(connection, name="test", scopes=list(scopes), expires_at=expires_at)
    await engine.dispose()
    return key


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


async def test_without_a_key_nothing_is_open(database: Database) -> None:
    async with service(database) as http:
        response = await http.get("/v1/keys")

        assert is_problem(response, 401, "unauthorized")
        assert response.headers["www-authenticate"].startswith("Bearer")


async def test_a_key_works_at_once_and_its_secret_is_not_stored(database: Database) -> None:
    admin = await made(database, "admin")
    async with service(database) as http:
        response = await http.post("/v1/keys", json={"name": "shop", "scopes": ["quote", "read"]}, headers=bearer(admin.key))
        shop = response.json()
        again = await http.get("/v1/keys", headers=bearer(shop["key"]))
        listed = await http.get("/v1/keys", headers=bearer(admin.key))
    engine = database.engine()
    async with transaction(engine) as connection:
        stored = (await connection.execute(select(api_keys).where(api_keys.c.id == shop["id"]))).one()
    await engine.dispose()

    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    assert is_problem(again, 403, "forbidden")  # known, and not an admin
    assert shop["key"] not in str(stored)
    assert shop["key"][16:48] not in str(stored)
    assert shop["id"] in [item["id"] for item in listed.json()["items"]]
    assert "key" not in listed.json()["items"][0]


@pytest.mark.parametrize(
    "authorization",
    ["", "Bearer", "Bearer x", "Basic dTpw", "Bearer cw_abcdefghijkl_" + "a" * 38, "Bearer " + new_key()[1], "Bearer \xff\xfe"],
    ids=["nothing", "no token", "short", "basic", "wrong checksum", "unknown", "no text"],
)
async def test_what_is_no_key_of_ours_is_refused(database: Database, authorization: str) -> None:
    async with service(database) as http:
        response = await http.get("/v1/keys", headers=[(b"authorization", authorization.encode("latin-1"))])

    assert is_problem(response, 401, "unauthorized")


async def test_a_right_id_with_a_wrong_secret_is_refused(database: Database) -> None:
    admin = await made(database, "admin")
    _, other, _ = new_key()
    async with service(database) as http:
        forged = await http.get("/v1/keys", headers=bearer(admin.key[:16] + other[16:]))

    assert is_problem(forged, 401, "unauthorized")


async def test_a_revoked_key_is_refused_within_two_seconds(database: Database) -> None:
    admin, shop = await made(database, "admin"), await made(database, "admin")
    async with service(database) as here, service(database) as elsewhere:
        assert (await elsewhere.get("/v1/keys", headers=bearer(shop.key))).status_code == 200

        assert (await here.delete(f"/v1/keys/{shop.id}", headers=bearer(admin.key))).status_code == 204
        revoked_at = time.monotonic()
        while (await elsewhere.get("/v1/keys", headers=bearer(shop.key))).status_code == 200:
            assert time.monotonic() - revoked_at < 2
            await asyncio.sleep(0.05)

        assert (await here.delete(f"/v1/keys/{shop.id}", headers=bearer(admin.key))).status_code == 204
        assert is_problem(await here.delete("/v1/keys/aaaaaaaaaaaa", headers=bearer(admin.key)), 404, "not_found")


async def test_an_expired_key_is_refused(database: Database) -> None:
    short = await made(database, "admin", expires_at=datetime.now(UTC) + timedelta(seconds=2))
    async with service(database) as http:
        assert (await http.get("/v1/keys", headers=bearer(short.key))).status_code == 200
        await asyncio.sleep(2.1)
        expired = await http.get("/v1/keys", headers=bearer(short.key))

    assert is_problem(expired, 401, "unauthorized")


async def test_a_key_that_would_have_expired_already_is_not_made(database: Database) -> None:
    admin = await made(database, "admin")
    async with service(database) as http:
        response = await http.post(
            "/v1/keys", json={"name": "x", "scopes": ["read"], "expires_at": "2020-01-01T00:00:00Z"}, headers=bearer(admin.key)
        )

    assert is_problem(response, 422, "validation")
    assert paths(response) == ["expires_at"]


async def test_a_repeated_creation_makes_one_key_and_does_not_keep_its_secret(database: Database) -> None:
    admin = await made(database, "admin")
    headers = {**bearer(admin.key), "idempotency-key": "make-it-once"}
    async with service(database) as http:
        first = await http.post("/v1/keys", json={"name": "once", "scopes": ["read"]}, headers=headers)
        second = await http.post("/v1/keys", json={"name": "once", "scopes": ["read"]}, headers=headers)
        listed = await http.get("/v1/keys", headers=bearer(admin.key))

    assert first.status_code == 201
    assert is_problem(second, 409, "conflict")
    assert second.headers["idempotent-replayed"] == "true"
    assert len([item for item in listed.json()["items"] if item["name"] == "once"]) == 1


async def test_pages_go_through_all_keys_once(database: Database) -> None:
    admin = await made(database, "admin")
    for _ in range(5):
        await made(database, "read")
    seen: list[str] = []
    async with service(database) as http:
        url = "/v1/keys?limit=2"
        while True:
            page = (await http.get(url, headers=bearer(admin.key))).json()
            seen += [item["id"] for item in page["items"]]
            if page["next"] is None:
                break
            url = f"/v1/keys?limit=2&cursor={page['next']}"
        forged = await http.get("/v1/keys?cursor=WyJhXHUwMDAwIl0", headers=bearer(admin.key))

    assert len(seen) == len(set(seen)) >= 6
    assert is_problem(forged, 422, "validation")


async def test_known_keys_still_work_while_the_database_is_away(template: EmbeddedPostgres) -> None:
    with make_database(template) as passing:
        admin = await made(passing, "admin")
        engine = passing.engine()
        authenticator = Authenticator(engine, open_loopback=False)
        await authenticator.refresh()

    with pytest.raises(Unavailable):
        await authenticator.refresh()
    caller = await authenticator.authenticate({"headers": [(b"authorization", f"Bearer {admin.key}".encode())]}, "read")

    assert caller.id == admin.id
    await engine.dispose()


@pytest.mark.parametrize(
    ("client", "host", "headers", "status"),
    [
        ("127.0.0.1", "localhost", {}, 200),
        ("127.0.0.1", "127.0.0.1:8080", {}, 200),
        ("::1", "[::1]:8080", {}, 200),
        ("10.0.0.7", "localhost", {}, 401),
        ("127.0.0.1", "evil.example", {}, 401),
        ("127.0.0.1", "localhost", {"x-forwarded-for": "10.0.0.7"}, 401),
        ("127.0.0.1", "localhost", {"authorization": "Bearer nonsense"}, 401),
    ],
)
async def test_the_open_mode_is_for_this_machine_only(
    database: Database, client: str, host: str, headers: dict[str, str], status: int
) -> None:
    async with service(database, open_loopback=True, client=client, host=host) as http:
        assert (await http.get("/v1/keys", headers=headers)).status_code == status


async def test_a_key_is_known_at_once_from_its_second_use_until_its_end(fresh_database: Database) -> None:
    ends_at = datetime.now(UTC) + timedelta(seconds=1)
    lasting, ending = await made(fresh_database, "quote"), await made(fresh_database, "quote", expires_at=ends_at)
    engine = fresh_database.engine()
    callers = Authenticator(engine, open_loopback=False)
    sent = [{b"authorization": f"Bearer {key.key}".encode()} for key in (lasting, ending)]

    def known() -> list[str | None]:
        found = [callers.known(headers, ("127.0.0.1", 5)) for headers in sent]
        return [None if principal is None else principal.id for principal in found]

    before = known()
    for headers in sent:
        await callers.authenticate({"headers": list(headers.items())})
    used = known()
    await callers.refresh()
    read_anew = known()
    while datetime.now(UTC) < ends_at:
        await asyncio.sleep(0.05)
    ended = known()
    async with transaction(engine) as connection:
        await connection.execute(update(api_keys).where(api_keys.c.id == lasting.id).values(revoked_at=datetime.now(UTC)))
    await callers.refresh()
    revoked = known()
    await engine.dispose()

    assert before == [None, None]
    assert used == read_anew == [lasting.id, ending.id]
    assert ended == [lasting.id, None]
    assert revoked == [None, None]


async def test_another_secret_of_a_known_key_is_not_known(database: Database) -> None:
    key = await made(database, "quote")
    engine = database.engine()
    callers = Authenticator(engine, open_loopback=True)
    await callers.authenticate({"headers": [(b"authorization", f"Bearer {key.key}".encode())]})
    await engine.dispose()

    assert callers.known({b"authorization": f"Bearer {key.key[:-1]}".encode()}, ("127.0.0.1", 5)) is None


@pytest.mark.parametrize(
    ("headers", "address", "is_known"),
    [
        ({b"host": b"localhost:8000"}, "127.0.0.1", True),
        ({b"host": b"[::1]:8000"}, "::1", True),
        ({b"host": b"shop.example"}, "127.0.0.1", False),
        ({}, "127.0.0.1", False),
        ({b"host": b"localhost"}, "10.0.0.1", False),
        ({b"host": b"localhost"}, "testclient", False),
        ({b"host": b"localhost", b"x-forwarded-for": b"127.0.0.1"}, "127.0.0.1", False),
        ({b"host": b"localhost", b"authorization": b"Bearer x"}, "127.0.0.1", False),
    ],
)
async def test_who_is_local_on_an_open_service_is_known_at_once(
    database: Database, headers: dict[bytes, bytes], address: str, is_known: bool
) -> None:
    engine = database.engine()

    assert Authenticator(engine, open_loopback=True).known(headers, (address, 5)) == (LOCAL if is_known else None)
    assert Authenticator(engine, open_loopback=False).known(headers, (address, 5)) is None
    await engine.dispose()


async def test_after_a_rotation_both_secrets_are_valid_and_then_the_new_one(database: Database) -> None:
    admin, shop = await made(database, "admin"), await made(database, "admin")
    async with service(database) as here, service(database) as elsewhere:
        assert (await elsewhere.get("/v1/keys", headers=bearer(shop.key))).status_code == 200
        reply = await here.post(f"/v1/keys/{shop.id}/rotate", json={"overlap_seconds": 3}, headers=bearer(admin.key))
        rotated_at = time.monotonic()
        fresh = reply.json()
        overlapped = 0
        while (await elsewhere.get("/v1/keys", headers=bearer(shop.key))).status_code == 200:
            assert time.monotonic() - rotated_at < 3 + 2
            overlapped += (await elsewhere.get("/v1/keys", headers=bearer(fresh["key"]))).status_code == 200
            await asyncio.sleep(0.05)
        lasted_s = time.monotonic() - rotated_at
        after = await elsewhere.get("/v1/keys", headers=bearer(fresh["key"]))
        old = await elsewhere.get("/v1/keys", headers=bearer(shop.key))

    assert reply.status_code == 200
    assert reply.headers["cache-control"] == "no-store"
    assert (fresh["id"], fresh["name"], fresh["scopes"]) == (shop.id, shop.name, shop.scopes)
    assert fresh["key"][:16] == shop.key[:16]
    assert fresh["key"] != shop.key
    assert overlapped > 0
    assert lasted_s >= 2.9
    assert after.status_code == 200
    assert is_problem(old, 401, "unauthorized")


async def test_a_rotation_without_overlap_ends_the_old_secret_within_two_seconds_and_a_second_one_the_first(
    database: Database,
) -> None:
    admin, shop = await made(database, "admin"), await made(database, "admin")
    async with service(database) as http:
        first = (await http.post(f"/v1/keys/{shop.id}/rotate", json={"overlap_seconds": 600}, headers=bearer(admin.key))).json()
        second = (await http.post(f"/v1/keys/{shop.id}/rotate", json={"overlap_seconds": 600}, headers=bearer(admin.key))).json()
        rotated_at = time.monotonic()
        while (await http.get("/v1/keys", headers=bearer(shop.key))).status_code == 200:
            assert time.monotonic() - rotated_at < 2
            await asyncio.sleep(0.05)
        answers = [(await http.get("/v1/keys", headers=bearer(made_["key"]))).status_code for made_ in (first, second)]
        third = (await http.post(f"/v1/keys/{shop.id}/rotate", json={"overlap_seconds": 0}, headers=bearer(admin.key))).json()
        rotated_at = time.monotonic()
        while (await http.get("/v1/keys", headers=bearer(second["key"]))).status_code == 200:
            assert time.monotonic() - rotated_at < 2
            await asyncio.sleep(0.05)
        last = await http.get("/v1/keys", headers=bearer(third["key"]))

    assert answers == [200, 200]
    assert last.status_code == 200


async def test_a_repeated_rotation_rotates_once_and_does_not_keep_the_secret(database: Database) -> None:
    admin, shop = await made(database, "admin"), await made(database, "read")
    headers = {**bearer(admin.key), "idempotency-key": "rotate-it-once"}
    async with service(database) as http:
        first = await http.post(f"/v1/keys/{shop.id}/rotate", headers=headers)
        again = [await http.post(f"/v1/keys/{shop.id}/rotate", headers=headers) for _ in range(2)]
        listed = (await http.get("/v1/keys?limit=1000", headers=bearer(admin.key))).json()
    engine = database.engine()
    async with transaction(engine) as connection:
        kept = (await connection.execute(select(idempotency.c.reply))).scalars().all()
    await engine.dispose()

    assert first.status_code == 200
    assert is_problem(again[0], 409, "conflict")
    assert again[0].content == again[1].content
    assert again[0].headers["idempotent-replayed"] == "true"
    assert not any(first.json()["key"].encode() in reply for reply in kept)
    [shown] = [item for item in listed["items"] if item["id"] == shop.id]
    assert shown["previous_until"] == first.json()["previous_until"]


@pytest.mark.parametrize("overlap", [-1, 2_592_001, "x", None])
async def test_an_overlap_that_is_none_is_refused_with_its_place(database: Database, overlap: object) -> None:
    admin = await made(database, "admin")
    async with service(database) as http:
        reply = await http.post(f"/v1/keys/{admin.id}/rotate", json={"overlap_seconds": overlap}, headers=bearer(admin.key))

    assert is_problem(reply, 422, "validation")
    assert paths(reply) == ["overlap_seconds"]


async def test_what_is_revoked_expired_or_unknown_is_not_rotated(database: Database) -> None:
    admin = await made(database, "admin")
    revoked = await made(database, "read")
    expired = await made(database, "read", expires_at=datetime.now(UTC) + timedelta(milliseconds=200))
    async with service(database) as http:
        await http.delete(f"/v1/keys/{revoked.id}", headers=bearer(admin.key))
        await asyncio.sleep(0.3)
        replies = [
            await http.post(f"/v1/keys/{key_id}/rotate", headers=bearer(admin.key))
            for key_id in (revoked.id, expired.id, "aaaaaaaaaaaa")
        ]

    assert is_problem(replies[0], 409, "conflict")
    assert is_problem(replies[1], 409, "conflict")
    assert is_problem(replies[2], 404, "not_found")
