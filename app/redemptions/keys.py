"""Idempotency keys of a batch: read before anything is done, and written in the transaction of what was done."""

import json
from collections.abc import Iterable, Sequence
from typing import Final

import asyncpg

from app.errors import IdempotencyMismatch, Problem, Unavailable
from app.redemptions import queries
from app.redemptions.entries import Answer, Earlier, Entry, Key
from app.web.problems import MEDIA_TYPE, problem_bytes

_JSON: Final = json.dumps({"content-type": "application/json"})
_PROBLEM: Final = json.dumps({"content-type": MEDIA_TYPE})


class Raced(Exception):
    """Somebody else was faster with what this transaction was about to write: it is rolled back and driven again."""


async def answer_repeated(connection: asyncpg.Connection, entries: Sequence[Entry]) -> None:
    """Give entries whose key is stored what is stored under it."""
    keyed = [entry.key for entry in entries if entry.key is not None]
    if not keyed:
        return
    rows = await connection.fetch(queries.KEYS, [key.scope for key in keyed], [key.key for key in keyed])
    stored = {(row["scope"], row["key"]): row for row in rows}
    for entry in entries:
        if entry.key is not None and (row := stored.get((entry.key.scope, entry.key.key))) is not None:
            entry.earlier = Earlier(row["request_sha256"], Answer(row["status"], row["reply"], is_replay=True))
            entry.outcome = _repeated(entry.key, entry.earlier)


def answer_twin(twin: Entry, first: Entry) -> None:
    """Give an entry what another one of the same key in its batch got."""
    assert twin.key is not None
    assert first.key is not None
    if isinstance(first.outcome, Problem) and not is_kept(first.outcome):
        twin.outcome = first.outcome
    else:
        # The first of them may itself be another request than the one that has the key.
        earlier = first.earlier or Earlier(first.key.request_sha256, answer_of(first)._replace(is_replay=True))
        twin.outcome = _repeated(twin.key, earlier)


def answer_of(entry: Entry) -> Answer:
    """An entry's outcome as it is sent."""
    assert entry.outcome is not None
    if isinstance(entry.outcome, Answer):
        return entry.outcome
    return Answer(entry.outcome.status, problem_bytes(entry.outcome))


def is_kept(problem: Problem) -> bool:
    """Whether a refusal would be the same again, so that it is stored under its key."""
    return problem.status < 500 and not isinstance(problem, Unavailable)


async def write_keys(connection: asyncpg.Connection, entries: Iterable[Entry], at: object) -> None:
    """Store the outcomes of entries with a key. Raises Raced."""
    rows = []
    for entry in entries:
        if entry.key is None or (isinstance(entry.outcome, Problem) and not is_kept(entry.outcome)):
            continue
        answer = answer_of(entry)
        headers = _PROBLEM if isinstance(entry.outcome, Problem) else _JSON
        rows.append((*entry.key, answer.status, headers, answer.body))
    if rows:
        try:
            await connection.execute(queries.ADD_KEYS, *map(list, zip(*rows, strict=True)), at)
        except asyncpg.UniqueViolationError as error:
            raise Raced from error


def _repeated(key: Key, earlier: Earlier) -> Answer | Problem:
    if earlier.request_sha256 != key.request_sha256:
        return IdempotencyMismatch("this Idempotency-Key was sent before with another request")
    return earlier.answer
