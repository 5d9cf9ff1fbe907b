"""A book made from the one before it by what changed is, array for array, the book compiled anew."""

from dataclasses import fields
from random import Random
from typing import Any

import numpy as np
import pytest

from app.pricebook.document_table import table_of
from app.pricebook.documents import replace_documents
from app.pricing.book import BookError, BookRows, Document, PriceBook
from app.pricing.compile import compile_price_book
from app.pricing.conditions import LEAF, ConditionTable
from app.pricing.rules import KINDS
from app.pricing.vocabulary import SETS, VALUE_SHIFT, VALUE_STRIDE, Type, Vocabulary
from tests.reference.generate import random_book, random_instant
from tests.reference.generate_changes import random_change

DAY_US = 86_400_000_000


@pytest.mark.parametrize("part", range(10))
def test_a_book_of_changes_is_the_book_compiled_anew(part: int) -> None:
    compared = spliced = 0
    for seed in range(6 * part, 6 * part + 6):
        rng = Random(seed)
        documents = random_book(rng)
        documents["promotions"] |= {f"more-{name}": body for name, body in documents["promotions"].items()}
        at_us = random_instant(rng)
        rows = BookRows(
            1,
            at_us,
            {
                resource: table_of({name: Document(body, 1) for name, body in bodies.items()})
                for resource, bodies in documents.items()
            },
        )
        book = compiled_or_none(rows, None)
        for version in range(2, 8):
            if book is None:
                break
            # Now and then another day, on which weekly schedules are laid out anew.
            at_us += rng.choice((1_000_000, 90_000_000_000))
            changes = [change for _ in range(rng.randint(1, 4)) for change in random_change(rng, rows)]
            changed = BookRows(version, at_us, replace_documents(rows.documents, changes))
            later, fresh = compiled_or_none(changed, book), compiled_or_none(changed, None)
            assert (later is None) == (fresh is None)
            if later is None or fresh is None:
                continue

            assert plain(later) == plain(fresh), (seed, version)
            spliced += later.assortment is book.assortment
            compared += 1
            book, rows = later, changed
    assert spliced > 15
    assert compared > 20


@pytest.mark.parametrize("days_later", [0, 1, 400])
def test_a_pattern_that_nobody_changed_is_laid_out_for_the_day_of_publishing(days_later: int) -> None:
    # Wider than what is laid out ahead: the book of a later day has other windows, whatever else was published.
    schedule = {"timezone": "UTC", "weekly": {"days": ["sun"], "start": "09:00", "end": "12:00"}}
    promotions = {name: ten_percent() | {"schedule": schedule} for name in ("p", "q")}
    at_us, later_us = DAY_US * 20_000, DAY_US * (20_000 + days_later)
    rows = BookRows(1, at_us, {"promotions": table_of({name: Document(body, 1) for name, body in promotions.items()})})
    book = compile_price_book(rows, None)
    for version in (2, 3):
        new = [("promotions", f"n{version}", Document(ten_percent() | {"schedule": schedule}, 1))]
        rows = BookRows(version, later_us * (version - 1), replace_documents(rows.documents, new))
        book, fresh = compile_price_book(rows, book), compile_price_book(rows, None)

        assert plain(book) == plain(fresh)


def ten_percent() -> dict[str, Any]:
    return {"name": "Ten", "kind": "percent_off", "params": {"percent": "10"}, "level": "line", "currency": None, "scope": {}}


def test_problems_are_told_alike() -> None:
    told = 0
    for seed in range(40):
        rng = Random(seed)
        documents = random_book(rng)
        rows = BookRows(
            1, 0, {resource: {name: Document(body, 1) for name, body in bodies.items()} for resource, bodies in documents.items()}
        )
        book = compiled_or_none(rows, None)
        if book is None:
            continue
        found = []
        wrong = replace_documents(rows.documents, [random_mistake(rng, rows)])
        for earlier in (book, None):
            with pytest.raises(BookError) as refused:
                compile_price_book(BookRows(2, 0, wrong), earlier)
            found.append(set(refused.value.problems))

        assert found[0] == found[1]
        told += 1
    assert told > 20


def test_parameters_of_every_kind_have_a_form_that_can_be_spliced() -> None:
    seen: set[str] = set()
    for seed in range(80):
        rng = Random(seed)
        documents = random_book(rng)
        bodies = {resource: {name: Document(body, 1) for name, body in own.items()} for resource, own in documents.items()}
        book = compiled_or_none(BookRows(1, random_instant(rng), bodies), None)
        if book is None:
            continue
        promotions = book.promotions
        for number, (name, packed) in enumerate(zip(promotions.kinds, promotions.packed, strict=True)):
            check_form(packed, int((promotions.kind == number).sum()))
            seen.add(name)
    assert seen == KINDS.keys()


def check_form(table: Any, n_rows: int) -> None:
    """Arrays by row, and tables inside; in one that has `first` the other arrays hold items."""
    first = getattr(table, "first", None)
    for name, column in table._asdict().items():
        if isinstance(column, tuple):
            check_form(column, n_rows)
        else:
            assert column.size == (n_rows if first is None else n_rows + 1 if name == "first" else first[-1]), name


def random_mistake(rng: Random, rows: BookRows) -> tuple[str, str, Document | None]:
    """Make one document wrong."""
    price = rng.choice(sorted(rows.documents["prices"]))
    price_body = rows.documents["prices"][price].body
    promotion: dict[str, Any] = {"name": "x", "kind": "percent_off", "params": {"percent": "5"}, "scope": {}}
    steps = [{"up_to": 4, "unit_price": "1"}, {"up_to": 3, "unit_price": "1"}]
    return rng.choice(
        (
            ("promotions", "wrong", Document({**promotion, "kind": "none"}, 1)),
            ("promotions", "wrong", Document({**promotion, "schedule": {"timezone": "Nowhere/At_All"}}, 1)),
            ("prices", price, Document({**price_body, "unit_price": "1e3"}, 1)),
            ("prices", price, Document({**price_body, "price_list": "nowhere"}, 1)),
            ("prices", price, Document({**price_body, "currency": "???"}, 1)),
            ("prices", price, Document({**price_body, "tiers": {"mode": "volume", "steps": steps}}, 1)),
            ("prices", price, Document({**price_body, "valid_from": "2030-01-01", "tiers": None}, 1)),
            ("coupons", "wrong", Document({"promotion": "nowhere", "codes": ["A"]}, 1)),
        )
    )


def compiled_or_none(rows: BookRows, earlier: PriceBook | None) -> PriceBook | None:
    try:
        return compile_price_book(rows, earlier)
    except BookError:
        return None


def plain(book: PriceBook) -> dict[str, Any]:
    """A book as values that compare; arrays as their bytes, texts of conditions as themselves, since their numbers follow history."""
    found = {
        field.name: _plain(getattr(book, field.name)) for field in fields(book) if field.name not in ("sources", "vocabulary")
    }
    sources = book.sources._replace(documents={})
    return {**found, "sources": _plain(sources), "texts": _texts(book.promotions.conditions, book.vocabulary)}


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return (value.dtype.str, value.shape, value.tobytes())
    if isinstance(value, ConditionTable):
        return _plain(tuple(value._replace(value=value.first, set_key=value.first)))
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if hasattr(value, "__slots__"):
        return [_plain(getattr(value, name)) for name in value.__slots__]
    return value


def _texts(table: ConditionTable, vocabulary: Vocabulary) -> list[Any]:
    """The value or the set of values of every node."""
    text_of = {number: text for text, number in vocabulary.texts.items()}
    found: list[Any] = []
    columns = (table.op, table.slot, table.value, table.value_set)
    for op, slot, value, number in zip(*(column.tolist() for column in columns), strict=True):
        values = [value]
        if number >= 0:
            low, high = np.searchsorted(table.set_key, (number * VALUE_STRIDE, (number + 1) * VALUE_STRIDE))
            values = (table.set_key[low:high] - number * VALUE_STRIDE - VALUE_SHIFT).tolist()
        is_text = op == LEAF and vocabulary.types[slot] in (Type.TEXT, *SETS)
        found.append(sorted(text_of.get(one, str(one)) if is_text else str(one) for one in values))
    return found
