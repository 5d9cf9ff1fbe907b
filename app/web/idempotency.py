"""One request is one transaction, and its `Idempotency-Key` is written in that same transaction.

A mutating endpoint gives its work to `run_once`. With a key, the row of the key is inserted first: a concurrent duplicate waits on the unique
index until the first has committed, and then gets the stored reply, byte for byte, with `Idempotent-Replayed: true`. Refusals that would be the same
again (4xx) are stored too; what may pass (5xx, 429) is not, so that the client can try again.
"""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import BaseModel
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from starlette.requests import Request
from starlette.responses import Response

from app.db.engine import transaction
from app.db.tables import idempotency
from app.errors import IdempotencyMismatch, Problem, ValidationFailed
from app.web.auth import Principal
from app.web.idempotency_keys import fingerprint, is_key
from app.web.problems import MEDIA_TYPE, problem_bytes

HEADER: Final = "idempotency-key"
REPLAYED: Final = "Idempotent-Replayed"
_NOT_STORED = frozenset({401, 403, 408, 429})


@dataclass(frozen=True, slots=True)
class Reply:
    """What an endpoint answers: exactly these bytes, now and on each repetition.

    A reply that shows a secret once names in `repeated` what a repetition gets instead, because stored replies are stored readably.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    media_type: str = "application/json"
    repeated: Problem | None = None

    def response(self, *, replayed: bool = False) -> Response:
        headers = {**self.headers, REPLAYED: "true"} if replayed else dict(self.headers)
        return Response(self.body, self.status, headers, self.media_type if self.body else None)


def json_reply(
    content: BaseModel | Mapping[str, Any] | list[Any] | None, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Reply:
    """A JSON reply; None is an empty body."""
    if content is None:
        return Reply(status, b"", headers or {})
    if isinstance(content, BaseModel):
        return Reply(status, content.model_dump_json().encode(), headers or {})
    return Reply(status, json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(), headers or {})


def problem_reply(problem: Problem) -> Reply:
    """A refusal as a reply that can be stored."""
    return Reply(problem.status, problem_bytes(problem), problem.headers, MEDIA_TYPE)


async def run_once(
    engine: AsyncEngine,
    request: Request,
    principal: Principal,
    effect: Callable[[AsyncConnection], Awaitable[Reply]],
    *,
    body_sha256: bytes | None = None,
) -> Response:
    """Runs `effect` in a transaction and answers with its reply after the commit; with an `Idempotency-Key` at most once.

    The key belongs to the caller (`principal`). Problems that `effect` raises undo what it did. Raises IdempotencyMismatch when the key was used
    for another request, Unavailable when the database is away. `body_sha256` stands for the body where that was streamed and not kept.
    """
    key = read_key(request)
    if key is None:
        async with transaction(engine) as connection:
            reply = await effect(connection)
        return reply.response()
    sha256 = await request_sha256(request, body_sha256=body_sha256)
    async with transaction(engine) as connection:
        if stored := await _claim(connection, principal.id, key, sha256):
            return stored.response(replayed=True)
        try:
            async with connection.begin_nested():
                reply = await effect(connection)
        except Problem as problem:
            if problem.status >= 500 or problem.status in _NOT_STORED:
                raise
            reply = problem_reply(problem)
            request.scope["centwise.problem"] = problem.slug
        await _store(connection, principal.id, key, problem_reply(reply.repeated) if reply.repeated else reply)
    return reply.response()


def read_key(request: Request) -> str | None:
    """The `Idempotency-Key`, None when there is none. Raises ValidationFailed."""
    keys = request.headers.getlist(HEADER)
    if not keys:
        return None
    if len(keys) > 1 or not is_key(keys[0]):
        raise ValidationFailed("", errors=[("Idempotency-Key", "invalid", "1 to 255 visible ASCII characters, sent once")])
    return keys[0]


async def request_sha256(request: Request, *, body_sha256: bytes | None = None) -> bytes:
    """What makes two requests the same: method, path, query, media type, precondition and body."""
    return fingerprint(
        request.method,
        request.url.path,
        request.url.query,
        request.headers.get("content-type", ""),
        await request.body() if body_sha256 is None else body_sha256,
        if_match=request.headers.get("if-match", ""),
        if_none_match=request.headers.get("if-none-match", ""),
    )


async def _claim(connection: AsyncConnection, scope: str, key: str, sha256: bytes) -> Reply | None:
    """Takes the key for this transaction, or returns the reply stored under it. Waits for a transaction that holds it now."""
    row = insert(idempotency).values(
        scope=scope, key=key, request_sha256=sha256, status=0, headers={}, reply=b"", created_at=datetime.now(UTC)
    )
    taken = await connection.execute(row.on_conflict_do_nothing().returning(idempotency.c.key))
    if taken.first() is not None:
        return None
    found = (
        await connection.execute(
            select(idempotency.c.request_sha256, idempotency.c.status, idempotency.c.headers, idempotency.c.reply).where(
                idempotency.c.scope == scope, idempotency.c.key == key
            )
        )
    ).one()
    if found.request_sha256 != sha256:
        raise IdempotencyMismatch("this Idempotency-Key was sent before with another request")
    headers = dict(found.headers)
    return Reply(found.status, found.reply, headers, headers.pop("content-type", "application/json"))


async def _store(connection: AsyncConnection, scope: str, key: str, reply: Reply) -> None:
    await connection.execute(
        update(idempotency)
        .where(idempotency.c.scope == scope, idempotency.c.key == key)
        .values(status=reply.status, headers={**reply.headers, "content-type": reply.media_type}, reply=reply.body)
    )
