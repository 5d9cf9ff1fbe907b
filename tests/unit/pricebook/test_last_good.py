"""The book on disk: what was written comes back, whatever happened while it was written."""

import hashlib
import os
import resource
from pathlib import Path
from random import Random

import pytest

from app.pricebook.documents import replace_documents
from app.pricebook.last_good import DamagedBook, LastGood
from app.pricing.book import BookRows, Document
from app.pricing.compile import compile_price_book
from tests.reference.agreement import difference, engine_replies
from tests.reference.generate import random_basket, random_book, random_instant
from tests.reference.generate_changes import random_change
from tests.unit.pricing.test_changes import compiled_or_none, plain

A, B, C = (Document({"name": name, "n": number}, 1) for number, name in enumerate("abc"))
ROWS = BookRows(7, 1_700_000_000_000_000, replace_documents({}, [("products", "A", A), ("products", "B", B), ("policy", "p", C)]))


def later(rows: BookRows, *changes: tuple[str, str, Document | None]) -> BookRows:
    return BookRows(rows.version + 1, rows.published_at_us + 1, replace_documents(rows.documents, changes))


def read(path: Path) -> BookRows:
    kept = LastGood(path).read()
    assert kept is not None
    return kept.rows


def test_the_last_good_book_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "book"
    LastGood(path).write(ROWS, None)
    LastGood(path).write(later(ROWS), None)

    assert read(path) == later(ROWS)
    assert [file.name for file in path.parent.iterdir()] == ["book"]


def test_what_changes_is_appended_and_read_back(tmp_path: Path) -> None:
    path, rows = tmp_path / "book", ROWS
    writer = LastGood(path)
    writer.write(rows, None)
    snapshot = path.read_bytes()
    for number in range(20):
        rows = later(rows, ("products", f"N{number}", C), ("products", "A", None if number % 2 else A))
        writer.write(rows, None)
        assert read(path) == rows

    assert path.read_bytes() == snapshot


def test_a_reader_goes_on_where_the_writer_was(tmp_path: Path) -> None:
    path = tmp_path / "book"
    LastGood(path).write(ROWS, None)
    for number in range(3):
        other = LastGood(path)
        kept = other.read()
        assert kept is not None
        rows = later(kept.rows, ("products", f"N{number}", C))
        other.write(rows, None)

    assert read(path) == rows
    assert (tmp_path / "book.changes").exists()


def test_two_processes_may_write_the_same_files(tmp_path: Path) -> None:
    path, rows = tmp_path / "book", ROWS
    writers = [LastGood(path), LastGood(path)]
    rng = Random(1)
    for number in range(60):
        for writer in rng.sample(writers, rng.randint(1, 2)):
            writer.write(rows, None)
        assert read(path) == rows
        rows = later(rows, ("products", f"N{number % 7}", Document({"n": number, "pad": "x" * 40_000}, 1)))


def test_many_changes_become_a_new_snapshot(tmp_path: Path) -> None:
    path, rows = tmp_path / "book", ROWS
    writer = LastGood(path)
    for number in range(40):
        writer.write(rows, None)
        rows = later(rows, ("products", "A", Document({"pad": "x" * 100_000, "n": number}, 1)))
    writer.write(rows, None)

    assert read(path) == rows
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 2_500_000


@pytest.mark.parametrize("left", [0.0, 0.01, 0.3, 0.7, 0.999])
def test_a_change_that_was_cut_off_is_left_out(tmp_path: Path, left: float) -> None:
    path, changes = tmp_path / "book", tmp_path / "book.changes"
    writer = LastGood(path)
    writer.write(ROWS, None)
    one = later(ROWS, ("products", "C", C))
    writer.write(one, None)
    whole = changes.stat().st_size
    writer.write(later(one, ("products", "D", C)), None)
    os.truncate(changes, whole + int((changes.stat().st_size - whole) * left))
    survivor = LastGood(path)
    kept = survivor.read()
    assert kept is not None

    assert kept.rows == one
    two = later(one, ("products", "E", C))
    survivor.write(two, None)
    assert read(path) == two


def test_changes_of_another_database_are_not_taken(tmp_path: Path) -> None:
    path, changes = tmp_path / "book", tmp_path / "book.changes"
    writer = LastGood(path)
    writer.write(ROWS, None)
    writer.write(later(ROWS, ("products", "C", C)), None)
    stale = changes.read_bytes()
    other = ROWS._replace(published_at_us=5)
    LastGood(path).write(other, None)
    changes.write_bytes(stale)

    assert read(path) == other


def test_without_a_file_there_is_no_last_good_book(tmp_path: Path) -> None:
    assert LastGood(tmp_path / "book").read() is None


@pytest.mark.parametrize("damage", ["cut", "flipped", "flipped size", "foreign", "empty", "longer"])
def test_a_damaged_file_is_not_read(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "book"
    LastGood(path).write(ROWS, None)
    content = bytearray(path.read_bytes())
    content[-1] ^= damage == "flipped"
    content[53] ^= damage == "flipped size"
    path.write_bytes(
        {"cut": bytes(content[:-1]), "foreign": b"x" + content, "empty": b"", "longer": bytes(content) + b"x"}.get(
            damage, content
        )
    )

    with pytest.raises(DamagedBook):
        LastGood(path).read()


def test_the_compiled_book_comes_back_array_for_array(tmp_path: Path) -> None:
    path, compared = tmp_path / "book", 0
    for seed in range(25):
        rng = Random(seed)
        documents, at_us = random_book(rng), random_instant(rng)
        changes = [(resource, name, Document(body, 1)) for resource, own in documents.items() for name, body in own.items()]
        rows = BookRows(seed, at_us, replace_documents({}, changes))
        book = compiled_or_none(rows, None)
        if book is None:
            continue
        writer = LastGood(path)
        writer.write(rows, book)
        next_rows = later(rows, *random_change(rng, rows))
        next_book = compiled_or_none(next_rows, book)
        if next_book is not None:
            writer.write(next_rows, next_book)
        kept = LastGood(path).read()
        assert kept is not None
        assert kept.book is not None

        assert plain(kept.book) == plain(book)
        if next_book is None:
            continue
        found = compile_price_book(kept.rows, kept.book)
        assert plain(found) == plain(next_book)
        baskets = [random_basket(rng, documents) for _ in range(4)]
        for one, other in zip(*(engine_replies(each, baskets, [at_us] * 4) for each in (found, next_book)), strict=True):
            assert difference(one, other) is None
        compared += 1
    assert compared > 15


def test_a_book_of_many_attributes_and_promotions_comes_back(tmp_path: Path) -> None:
    products = {f"S{n}": Document({"attributes": {"size": str(n)}, "tags": [f"t{n % 3}"]}, 1) for n in range(300)}
    promotion = {"name": "x", "kind": "percent_off", "params": {"percent": "5"}, "scope": {"include": {"tags": ["t1"]}}}
    asks = {"attribute": "customer.level", "op": "==", "value": "gold"}
    promotions = {f"p{n}": Document({**promotion, "conditions": asks if n % 2 else None}, 1) for n in range(200)}
    rows = BookRows(3, 0, replace_documents({}, [("products", *one) for one in products.items()]))
    rows = rows._replace(documents=replace_documents(rows.documents, [("promotions", *one) for one in promotions.items()]))
    book = compile_price_book(rows)
    LastGood(tmp_path / "book").write(rows, book)
    kept = LastGood(tmp_path / "book").read()
    assert kept is not None
    assert kept.book is not None

    assert plain(kept.book) == plain(book)


def test_a_book_of_other_code_is_compiled_anew(tmp_path: Path) -> None:
    path = tmp_path / "book"
    rows = BookRows(1, 0, {})
    LastGood(path).write(rows, compile_price_book(rows))
    kept = LastGood(path, code="of another release").read()
    assert kept is not None

    assert (kept.rows, kept.book) == (rows, None)


def test_a_record_that_the_disk_took_in_part_is_made_good_by_a_snapshot(tmp_path: Path) -> None:
    path = tmp_path / "book"
    writer = LastGood(path)
    writer.write(ROWS, None)
    changed = later(ROWS, ("products", "extra", Document({"name": "x" * 400}, 1)))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(OSError, match="part of the record"):
            writer.write(changed, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    last = later(changed, ("products", "extra", Document({"name": "y"}, 2)))
    writer.write(last, None)

    assert read(path) == last


def test_a_record_of_another_form_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "book"
    LastGood(path).write(ROWS, None)
    payload = b"\x93\x01\x02\x03"
    size = len(payload).to_bytes(8, "little")
    path.with_name("book.changes").write_bytes(
        b"centwise-change\n" + size + hashlib.blake2b(payload, digest_size=32).digest() + payload
    )

    assert read(path) == ROWS
