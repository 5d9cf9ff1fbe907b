"""Tables of documents: a mapping like any other, that knows what changed."""

from random import Random

import pytest

from app.pricebook.document_table import DocumentTable, stored_of, table_of
from app.pricing.book import Document


def test_a_table_is_the_mapping_it_was_made_of_whatever_is_done_to_it() -> None:
    rng = Random(1)
    names = ["a", "b", "é", "ab", "\U0001f600", "z" * 30, *(str(number) for number in range(2_000))]
    plain = {name: Document({"n": name, "of": [number]}, number) for number, name in enumerate(names)}
    table = table_of(plain)
    for _ in range(60):
        changes: dict[str, Document | None] = {}
        for name in rng.sample(names, rng.choice((1, 3, 200))):
            changes[name] = rng.choice((None, Document({"n": name, "new": rng.random()}, 2)))
        before, table_before = dict(plain), table
        for name, document in changes.items():
            if document is None:
                plain.pop(name, None)
            else:
                plain[name] = document
        table = table.with_changes((name, None if one is None else stored_of(one)) for name, one in changes.items())

        assert dict(table.items()) == plain
        assert {name: table[name] for name in table} == plain
        assert list(table) == sorted(plain)
        assert len(table) == len(plain)
        assert all((name in table) == (name in plain) for name in (*names, "nothing", 3))
        assert dict(table_before.items()) == before
        changed = {name for name in plain.keys() | before.keys() if plain.get(name) != before.get(name)}
        assert table.changed_since(table_before) == changed
    with pytest.raises(KeyError):
        table["nothing"]


def test_columns_have_the_fields_by_id() -> None:
    table = table_of({name: Document({"n": name, "x": {"y": 1}}, 1) for name in ("b", "a")})
    table = table.with_changes([("c", stored_of(Document({"x": None}, 1)))])

    assert list(table.columns(("x", "n", "from"))) == [
        (["a", "b", "c"], [[{"y": 1}, {"y": 1}, None], ["a", "b", None], [None] * 3])
    ]


def test_tables_without_anything_in_common_do_not_tell_what_changed() -> None:
    one, other = (table_of({"a": Document({}, 1)}) for _ in range(2))

    assert one == other
    assert one.changed_since(other) is None
    assert one.changed_since({}) is None
    assert DocumentTable.of([]) == {}
