"""Documents in memory."""

from app.pricebook.documents import etag_of, replace_documents
from app.pricing.book import Document

A, B, C = (Document({"name": name, "n": number}, 1) for number, name in enumerate("abc"))


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
