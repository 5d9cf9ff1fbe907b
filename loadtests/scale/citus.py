"""How the tables would be laid out over the servers of a Citus cluster, and the rules that Citus has for that.

`tests/integration/db/test_distribution.py` holds the layout against the real tables. A new table needs a place here.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

# Distributed tables: the column whose hash says on which server a row is, and the group that is laid out alike.
DISTRIBUTED: Final[Mapping[str, tuple[str, str]]] = {
    "decisions": ("id", "quote"),
    "decision_keys": ("id", "quote"),
    "holds": ("quote_id", "quote"),
    "returns": ("hold_id", "hold"),
    "meters": ("id", "meter"),
    "meters_forgotten": ("id", "meter"),
    "point_grants": ("customer", "customer"),
    "sales": ("sku", "sku"),
    "signal_facts": ("sku", "sku"),
    "idempotency": ("key", "key"),
}
# On every server whole: what all processes read and what seldom changes.
REFERENCE: Final = frozenset({"documents", "drafts", "releases", "versions", "api_keys"})
# On the coordinator only: `audit` is one chain of hashes in the order of its ids, which several writers cannot extend.
LOCAL: Final = frozenset({"audit", "alembic_version"})


class Table(NamedTuple):
    """What the rules ask about: the columns that may be NULL, those of each unique index, and the foreign keys as (columns, table, columns)."""

    nullable: frozenset[str]
    unique: Sequence[frozenset[str]]
    foreign: Sequence[tuple[tuple[str, ...], str, tuple[str, ...]]]


def violations(
    tables: Mapping[str, Table],
    *,
    distributed: Mapping[str, tuple[str, str]] = DISTRIBUTED,
    reference: frozenset[str] = REFERENCE,
    local: frozenset[str] = LOCAL,
) -> list[str]:
    """What Citus would refuse, or cannot answer for: empty where the layout holds."""
    found = []
    for name, table in sorted(tables.items()):
        places = (name in distributed) + (name in reference) + (name in local)
        if places != 1:
            found.append(f"{name} has {places} places; loadtests/scale/citus.py has to give it one")
            continue
        if name in distributed:
            column, group = distributed[name]
            if column in table.nullable:
                found.append(f"{name}.{column} may be NULL, and NULL has no server")
            found += [
                f"{name}: a unique index on {', '.join(sorted(columns))} cannot be checked on one server, as it lacks {column}"
                for columns in table.unique
                if column not in columns
            ]
            for columns, other, others in table.foreign:
                is_alike = other in distributed and distributed[other][1] == group
                if not (
                    other in reference or (is_alike and (column, distributed[other][0]) in zip(columns, others, strict=True))
                ):
                    found.append(f"{name}: a foreign key to {other}, whose row may be on another server")
        elif name in reference:
            found += [
                f"{name}: a foreign key of a reference table to {other}" for _, other, _ in table.foreign if other in distributed
            ]
    missing = sorted(({*distributed, *reference, *local}) - set(tables))
    return found + [f"{name} has a place, and is no table" for name in missing]
