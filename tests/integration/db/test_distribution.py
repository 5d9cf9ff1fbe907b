"""The layout of docs/scaling.md over several servers holds for the real tables, by the rules that Citus has."""

import re
from pathlib import Path

from app.db.engine import Database
from loadtests.scale.citus import DISTRIBUTED, LOCAL, REFERENCE, Table, violations

_TABLES = """
SELECT c.relname, ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attnotnull) AS nullable
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""
_UNIQUE = """
SELECT c.relname, ARRAY(SELECT attname::text FROM pg_attribute WHERE attrelid = c.oid AND attnum = ANY(i.indkey::int2[])) AS columns
FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE i.indisunique AND n.nspname = 'public' AND NOT c.relispartition
"""
_FOREIGN = """
SELECT c.relname, f.relname AS other,
       ARRAY(SELECT attname::text FROM unnest(o.conkey) k JOIN pg_attribute ON attrelid = c.oid AND attnum = k) AS columns,
       ARRAY(SELECT attname::text FROM unnest(o.confkey) k JOIN pg_attribute ON attrelid = f.oid AND attnum = k) AS others
FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid JOIN pg_class f ON f.oid = o.confrelid WHERE o.contype = 'f'
"""


async def _tables(database: Database) -> dict[str, Table]:
    connection = await database.connect()
    try:
        unique, foreign = await connection.fetch(_UNIQUE), await connection.fetch(_FOREIGN)
        return {
            row["relname"]: Table(
                frozenset(row["nullable"]),
                [frozenset(one["columns"]) for one in unique if one["relname"] == row["relname"]],
                [
                    (tuple(one["columns"]), one["other"], tuple(one["others"]))
                    for one in foreign
                    if one["relname"] == row["relname"]
                ],
            )
            for row in await connection.fetch(_TABLES)
        }
    finally:
        await connection.close()


async def test_the_layout_holds_for_the_real_tables(database: Database) -> None:
    tables = await _tables(database)

    assert violations(tables) == []
    assert tables["decisions"].unique == [frozenset({"issued_at", "id"})]


async def test_by_customer_alone_it_would_not_hold_which_the_page_says(database: Database) -> None:
    by_customer = {**DISTRIBUTED, "decisions": ("customer", "customer"), "meters": ("customer", "customer")}

    assert violations(await _tables(database), distributed=by_customer) == [
        "decisions.customer may be NULL, and NULL has no server",
        "decisions: a unique index on id, issued_at cannot be checked on one server, as it lacks customer",
        "meters.customer may be NULL, and NULL has no server",
        "meters: a unique index on id cannot be checked on one server, as it lacks customer",
    ]


def test_a_foreign_key_to_a_row_on_another_server_is_found() -> None:
    def found(other: str, column: str) -> list[str]:
        tables = {
            "a": Table(frozenset(), [], [((column,), other, ("id",))]),
            "b": Table(frozenset(), [], []),
            "r": Table(frozenset(), [], []),
        }
        layout = {"a": ("key", "one"), "b": ("id", "one")}
        return violations(tables, distributed=layout, reference=frozenset({"r"}), local=frozenset())

    assert found("r", "anything") == found("b", "key") == []
    assert found("b", "another") == ["a: a foreign key to b, whose row may be on another server"]


def test_a_table_without_a_place_is_found() -> None:
    assert violations({"new": Table(frozenset(), [], [])}, distributed={}, reference=frozenset(), local=frozenset()) == [
        "new has 0 places; loadtests/scale/citus.py has to give it one"
    ]


def test_the_page_names_every_table_with_its_place() -> None:
    page = (Path(__file__).parents[3] / "docs" / "scaling.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| ([^|]+) \|", page, re.MULTILINE))

    assert {name: column for name, (column, _) in DISTRIBUTED.items()} == {
        name: place.removeprefix("by `").removesuffix("`") for name, place in rows.items() if place.startswith("by ")
    }
    assert {name for name, place in rows.items() if place == "on every server"} == REFERENCE
    assert {name for name, place in rows.items() if place == "on the coordinator"} == LOCAL
