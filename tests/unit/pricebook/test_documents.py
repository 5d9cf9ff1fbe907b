"""Documents in memory and on disk."""

from pathlib import Path

import pytest

from app.pricebook.documents import etag_of, replace_documents
from app.pricebook.last_good import DamagedBook, read_last_good, write_last_good
from app.pricing.book import BookRows, Document

A, B, C = (Document({"name": name, "n": number}, 1) for number, name in enumerate("abc"))
ROWS = BookRows(7, 1_700_000_000_000_000, {"products": {"A": A, "B": B}, "policy": {}})


def test_replacing_documents_leaves_the_given_ones_as_they_are() -> None:
    before = {"products": {"A": A, "B": B}, "prices": {"P": C}}
    after = replace_documents(before, [("products", "A", None), ("products", "C", C), ("coupons", "X", B), ("prices", "Q", None)])

    assert after == {"products": {"B": B, "C": C}, "prices": {"P": C}, "coupons": {"X": B}}
    assert before == {"products": {"A": A, "B": B}, "prices": {"P": C}}


def test_what_is_not_touched_is_shared() -> None:
    before = {"products": {"A": A}, "prices": {"P": C}}
    after = replace_documents(before, [("products", "B", B)])

    assert after["prices"] is before["prices"]


def test_equal_content_has_equal_tags() -> None:
    assert etag_of({"a": 1, "b": [True]}) == etag_of({"b": [True], "a": 1})
    assert etag_of({"a": 1}) != etag_of({"a": "1"})
    assert etag_of({"a": 1}) != etag_of({"a": True})


def test_the_last_good_book_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "book"
    write_last_good(path, ROWS)
    write_last_good(path, ROWS._replace(version=8))

    assert read_last_good(path) == ROWS._replace(version=8)
    assert [file.name for file in path.parent.iterdir()] == ["book"]


def test_without_a_file_there_is_no_last_good_book(tmp_path: Path) -> None:
    assert read_last_good(tmp_path / "book") is None


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign", "empty"])
def test_a_damaged_file_is_not_read(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "book"
    write_last_good(path, ROWS)
    content = bytearray(path.read_bytes())
    content[-1] ^= damage == "flipped"
    path.write_bytes({"cut": bytes(content[:-1]), "flipped": bytes(content), "foreign": b"x" + content, "empty": b""}[damage])

    with pytest.raises(DamagedBook):
        read_last_good(path)
