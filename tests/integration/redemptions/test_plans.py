"""What lanes ask of Postgres is planned once, while the tables are empty, and still goes by keys when they have grown."""

import json
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import asyncpg
import pytest

from app.db.engine import Database
from app.redemptions import queries

_ROWS = 3_000
_IDS = [uuid.uuid4() for _ in range(_ROWS)]
_NAMES = [f"n-{number}" for number in range(_ROWS)]
_NUMBERS = [1] * _ROWS
# Of each statement what it is called with; one look is for a row that is there.
_CALLS: dict[str, tuple[str, list[list[Any]]]] = {
    "holds in the way": (queries.HOLDS_TO_TAKE, [_IDS[7:8], _NAMES[8:9]]),
    "meters to lock": (queries.LOCK_METERS, [_NAMES[7:8]]),
    "meters to set": (queries.SET_METERS, [_NAMES[7:8], [9], [1], [9], [1], [0]]),
    "keys": (queries.KEYS, [["shop"], _NAMES[7:8]]),
    "quotes": (queries.QUOTES, [_IDS[7:8], [None]]),
}
_MADE = """
INSERT INTO holds (id, quote_id, order_id, state, ended, created_at, expires_at, changed_at, meters, amounts, detail, reply)
SELECT id, id, name, 'held', NULL, now(), now(), now(), ARRAY[name], '{1}', '', '' FROM unnest($1::uuid[], $2::text[]) AS one (id, name);
INSERT INTO meters (id, cap_wanted, cap_version, cap, held, used) SELECT name, 9, 1, 9, 1, 0 FROM unnest($1::text[]) AS one (name)
ON CONFLICT DO NOTHING;
INSERT INTO idempotency (scope, key, request_sha256, status, headers, reply, created_at)
SELECT 'shop', name, '', 201, '{}', '', now() FROM unnest($1::text[]) AS one (name)
ON CONFLICT DO NOTHING;
INSERT INTO decision_keys (id, issued_at, request_sha256, created_at) SELECT id, now(), '', now() FROM unnest($1::uuid[]) AS one (id)
"""


@pytest.mark.parametrize("what", _CALLS)
async def test_a_statement_that_was_planned_on_empty_tables_finds_its_rows_by_their_keys(
    fresh_database: Database, what: str
) -> None:
    query, arguments = _CALLS[what]
    maker = await fresh_database.connect()
    for table in ("holds", "meters", "idempotency", "decision_keys"):
        await maker.execute(f"VACUUM ANALYZE {table}")
    connection = await fresh_database.connect()
    try:
        await connection.execute(queries.BY_KEYS)
        for _ in range(8):
            await connection.fetch(query, *arguments)
        for statement in _MADE.split(";\n"):
            await maker.execute(statement, *[one for one in (_IDS, _NAMES) if _takes(statement, one)])

        name, generic = await connection.fetchrow(
            "SELECT name, generic_plans FROM pg_prepared_statements WHERE statement = $1", query
        )
        plan = await _plan(connection, name, arguments)
    finally:
        await connection.close()
        await maker.close()

    assert generic >= 3
    assert max(map(_rows_looked_at, _nodes(plan))) <= 2, json.dumps(plan, indent=1)


def _takes(statement: str, one: Sequence[Any]) -> bool:
    return ("uuid[]" if one is _IDS else "text[]") in statement


async def _plan(connection: asyncpg.Connection, name: str, arguments: list[list[Any]]) -> dict[str, Any]:
    """What it does, and with how many rows."""
    given = ", ".join(f"'{{{','.join('NULL' if one is None else str(one) for one in each)}}}'" for each in arguments)
    found = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE {name} ({given})")
    plan: dict[str, Any] = json.loads(found)[0]["Plan"]
    return plan


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", []):
        yield from _nodes(inner)


def _rows_looked_at(node: dict[str, Any]) -> float:
    return float(node["Actual Rows"]) + sum(float(count) for name, count in node.items() if name.startswith("Rows Removed by"))
