import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import MalformedJson, Problem, ValidationFailed
from app.quotes.parse import (
    at_member,
    basket_of,
    read_batch,
    read_batch_quotes,
    read_prices,
    read_quote,
    read_stored,
    with_instant,
)
from tests.quotes_support import basket, encoded

AT_MS = 1_764_000_000_007


def places(problem: Problem) -> list[tuple[str, str]]:
    return [(error.path, error.code) for error in problem.errors]


@pytest.mark.parametrize(
    ("request_", "place"),
    [
        ({"lines": [{"sku": "A", "quantity": 1}]}, ("currency", "missing")),
        (basket(currency="usd"), ("currency", "unknown_currency")),
        (basket(currency="XXX"), ("currency", "unknown_currency")),
        (basket(currency="US"), ("currency", "length")),
        (basket(currency=None), ("currency", "type")),
        (basket(tax=1), ("tax", "unknown_field")),
        (basket(lines=[]), ("lines", "length")),
        (basket(lines=[{"sku": "A", "quantity": 1}] * 501), ("lines", "length")),
        (basket(lines=None), ("lines", "type")),
        (basket(lines=[{"sku": "A"}]), ("lines[0].quantity", "missing")),
        (basket(lines=[{"sku": "A", "quantity": 1, "price": 1}]), ("lines[0].price", "unknown_field")),
        (basket(lines=[{"sku": "A", "quantity": 1, "id": "2"}, {"sku": "A", "quantity": 1}]), ("lines[1].id", "duplicate_id")),
        (basket(lines=[{"sku": "A", "quantity": 1, "id": ""}]), ("lines[0].id", "length")),
        (basket(lines=[{"sku": "A", "quantity": 1, "id": "x" * 65}]), ("lines[0].id", "length")),
        (basket(("A", 0)), ("lines[0].quantity", "out_of_bounds")),
        (basket(("A", -1)), ("lines[0].quantity", "out_of_bounds")),
        (basket(("A", 1_000_001)), ("lines[0].quantity", "out_of_bounds")),
        (basket(("A", 2.0)), ("lines[0].quantity", "type")),  # type: ignore[arg-type]
        (basket(("A", 1.5)), ("lines[0].quantity", "type")),  # type: ignore[arg-type]
        (basket(("A", True)), ("lines[0].quantity", "type")),
        (basket(("A", "0")), ("lines[0].quantity", "format")),
        (basket(("A", "0.0001")), ("lines[0].quantity", "format")),
        (basket(("A", "-1")), ("lines[0].quantity", "format")),
        (basket(("A", "1e3")), ("lines[0].quantity", "format")),
        (basket(("A", "1000000.001")), ("lines[0].quantity", "format")),
        (basket(("A", " 1")), ("lines[0].quantity", "format")),
        (basket(("A", "1"), ("B", "")), ("lines[1].quantity", "length")),
        (basket(("", 1)), ("lines[0].sku", "length")),
        (basket(("A B", 1)), ("lines[0].sku", "format")),
        (basket(("A", 1), ("-A", 1)), ("lines[1].sku", "format")),
        (basket(("Ä", 1)), ("lines[0].sku", "format")),
        (basket(("A\nB", 1)), ("lines[0].sku", "format")),
        (basket(("A" * 129, 1)), ("lines[0].sku", "length")),
        (basket(codes=["x"] * 51), ("codes", "length")),
        (basket(codes=["ok", "  "]), ("codes[1]", "length")),
        (basket(codes="SAVE10"), ("codes", "type")),
        (basket(points=-1), ("points", "out_of_bounds")),
        (basket(points=1.5), ("points", "type")),
        (basket(shipping=900_000_000_001), ("shipping", "out_of_bounds")),
        (basket(shipping="500"), ("shipping", "type")),
        (basket(shipping=10**30), ("shipping", "out_of_bounds")),
        (basket(at="2026-11-27"), ("at", "format")),
        (basket(at="2026-11-27T10:00:00"), ("at", "format")),
        (basket(at="1969-12-31T23:59:59Z"), ("at", "out_of_bounds")),
        (basket(at=1764000000), ("at", "type")),
        (basket(version=0), ("version", "out_of_bounds")),
        (basket(min_version="1"), ("min_version", "type")),
        (basket(partial=1), ("partial", "type")),
        (basket(channel=""), ("channel", "length")),
        (basket(channel="x" * 129), ("channel", "length")),
        (basket(channel="a\x00b"), ("channel", "format")),
        (basket(customer={"id": "c\n"}), ("customer.id", "format")),
        (basket(customer={"name": "c"}), ("customer.name", "unknown_field")),
        (basket(customer={"spend": 1.0}), ("customer.spend", "type")),
        (basket(customer={"segments": ["a", 1]}), ("customer.segments[1]", "type")),
        (basket(attributes={"a": 1.5}), ("attributes[...]", "type")),
        (basket(attributes={"a": None}), ("attributes[...]", "type")),
        (basket(attributes={"a": [1]}), ("attributes[...]", "type")),
        (basket(attributes={"a": 10**18}), ("attributes[...]", "out_of_bounds")),
        (basket(attributes={str(n): 1 for n in range(51)}), ("attributes", "length")),
        (basket(attributes={"a\x01": 1}), ("attributes.a?", "format")),
        ([], ("", "type")),
        ("x", ("", "type")),
        (None, ("", "type")),
    ],
)
def test_bad_input_is_refused_with_its_path(request_: Any, place: tuple[str, str]) -> None:
    with pytest.raises(ValidationFailed) as refused:
        read_quote(json.dumps(request_).encode())

    assert places(refused.value) == [place]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"currency":"US\xff"}',
        b'\xef\xbb\xbf{"currency":"USD","lines":[{"sku":"A","quantity":1}]}',
        b'{"currency":"USD","lines":[{"sku":"A","quantity":1}],"points":NaN}',
        b'{"currency":"USD","lines":[{"sku":"A","quantity":1}],"points":Infinity}',
        b'{"currency":"USD","lines":[{"sku":"A","quantity":1}]} x',
        b'{"currency":"USD","lines":[{"sku":"A","quantity":1}],"channel":"\\ud800"}',
        b'{"currency":"USD","lines":[{"sku":"A","quantity":1}],"channel":"a\nb"}',
        b"[" * 60_000,
    ],
)
def test_what_is_not_json_is_refused(raw: bytes) -> None:
    with pytest.raises((MalformedJson, ValidationFailed)) as refused:
        read_quote(raw)

    assert refused.value.slug == "malformed_json" or raw.startswith(b"[")


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b'{"currency":"USD","currency":"EUR","lines":[{"sku":"A","quantity":1}]}', "currency"),
        (b'{"currency":"USD","lines":[{"sku":"A","quantity":1,"quantity":1}]}', "lines[0].quantity"),
        (b'{"currency":"USD","lines":[{"sku":"A","quantity":1}],"channel":null,"channel":null}', "channel"),
        (b'{"currency":"USD","channel":"a:b","channel":"c","lines":[{"sku":"A","quantity":1}]}', "channel"),
        (b'{"currency":"USD","attributes":{"a":1,"a":1},"lines":[{"sku":"A","quantity":1}]}', "attributes.a"),
        (b'{"currency":"USD","attributes":{"a":1,"\\u0061":1},"lines":[{"sku":"A","quantity":1}]}', "attributes.a"),
        # The escaped colon makes up for the key that was dropped.
        (b'{"currency":"USD","channel":"\\u003a","points":1,"points":1,"lines":[{"sku":"A","quantity":1}]}', "points"),
    ],
)
def test_duplicate_keys_are_refused_with_their_path(raw: bytes, path: str) -> None:
    with pytest.raises(MalformedJson) as refused:
        read_quote(raw)

    assert places(refused.value) == [(path, "duplicate_key")]


def test_the_problem_never_repeats_what_it_cannot_show() -> None:
    with pytest.raises(ValidationFailed) as refused:
        read_quote(encoded(basket(**{"x\x00" * 400: 1})))

    [error] = refused.value.errors
    assert error.path.isprintable()
    assert len(error.path) <= 300
    assert len(error.message) <= 300


def test_codes_are_trimmed_folded_and_given_once() -> None:
    request, canonical, _ = read_quote(encoded(basket(codes=[" save10", "SAVE10", "ﬁve", "ＳＡＶＥ１０"])))

    assert request.codes == ["SAVE10", "FIVE"]
    assert msgspec.json.decode(canonical)["codes"] == ["SAVE10", "FIVE"]


def test_the_canonical_request_does_not_depend_on_spelling() -> None:
    one = read_quote(b'{"currency":"USD","lines":[{"sku":"A","quantity":1}]}')
    other = read_quote(
        b'{ "lines" : [ { "quantity" : 1, "sku" : "\\u0041", "id": null } ], "codes": [], "points": 0, "at": null,\n"currency":"USD"}'
    )

    assert one.canonical == other.canonical == b'{"currency":"USD","lines":[{"sku":"A","quantity":1}]}'


def test_a_stated_instant_is_kept_in_utc_to_the_millisecond() -> None:
    understood = read_quote(encoded(basket(at="2026-11-27T10:00:00.123999+02:00")))

    assert msgspec.json.decode(understood.canonical)["at"] == "2026-11-27T08:00:00.123000Z"
    assert basket_of(understood, AT_MS).at_us == 1_795_766_400_123_000
    assert with_instant(understood, b"never") == understood.canonical


def test_the_stored_request_makes_the_same_basket() -> None:
    understood = read_quote(
        encoded(
            basket(
                ("SKU-1", 2),
                ("SKU-2", "0.350"),
                codes=["a"],
                channel="web",
                customer={"id": "c", "segments": [], "orders": 0, "attributes": {"b": "x"}},
                attributes={"a": True},
                shipping=0,
                points=3,
            )
        )
    )

    stored = with_instant(understood, at_member(AT_MS))

    assert basket_of(read_stored(stored), 0) == basket_of(understood, AT_MS)
    assert basket_of(understood, AT_MS).quantities_milli == [2000, 350]
    assert basket_of(understood, AT_MS).line_ids == ["1", "2"]
    assert basket_of(understood, AT_MS).segments == ()
    assert basket_of(understood, AT_MS).attributes == {"a": True}
    assert basket_of(understood, AT_MS).customer_attributes == {"b": "x"}


def test_a_bad_quote_does_not_sink_the_batch() -> None:
    quotes = read_batch(encoded({"quotes": [basket(), basket(("A", 0)), basket(currency="EUR"), 7]}))

    first, second, third, fourth = read_batch_quotes(quotes)

    assert not isinstance(first, Problem)
    assert not isinstance(third, Problem)
    assert isinstance(second, ValidationFailed)
    assert places(second) == [("lines[0].quantity", "out_of_bounds")]
    assert isinstance(fourth, ValidationFailed)


@pytest.mark.parametrize(
    ("raw", "path"),
    [
        (b'{"quotes":[]}', "quotes"),
        (b"{}", "quotes"),
        (b'{"quotes":[{}],"more":1}', "more"),
        (b'{"quotes":[{}],"quotes":[{}]}', "quotes"),
        (encoded({"quotes": [{}] * 1001}), "quotes"),
    ],
)
def test_a_bad_batch_is_refused_whole(raw: bytes, path: str) -> None:
    with pytest.raises((ValidationFailed, MalformedJson)) as refused:
        read_batch(raw)

    assert [error.path for error in refused.value.errors] == [path]


def test_a_batch_holds_ten_thousand_lines() -> None:
    full = [basket(*[("A", 1)] * 500)] * 20

    assert len(list(read_batch_quotes(read_batch(encoded({"quotes": full}))))) == 20
    with pytest.raises(ValidationFailed):
        list(read_batch_quotes(read_batch(encoded({"quotes": [*full, basket()]}))))


def test_listings_check_each_sku() -> None:
    with pytest.raises(ValidationFailed) as refused:
        read_prices(encoded({"currency": "USD", "skus": ["A", "B C", "D", "\u00e4"]}))

    assert places(refused.value) == [("skus[1]", "format"), ("skus[3]", "format")]


NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=20)


@given(
    st.fixed_dictionaries(
        {"currency": st.just("USD"), "lines": st.just([{"sku": "A", "quantity": 1}])},
        optional={
            "channel": st.none() | NAMES,
            "codes": st.lists(NAMES.filter(str.strip), max_size=3),
            "attributes": st.dictionaries(NAMES, NAMES | st.booleans() | st.integers(-(10**11), 10**11), max_size=3),
            "points": st.integers(0, 10**9),
            "partial": st.booleans(),
        },
    ),
    st.booleans(),
)
def test_every_good_request_is_read_and_every_doubled_key_refused(request_: dict[str, Any], ascii_only: bool) -> None:
    raw = json.dumps(request_, ensure_ascii=ascii_only).encode()

    assert read_quote(raw).request.currency == "USD"
    for name, value in request_.items():
        doubled = json.dumps({name: value}, ensure_ascii=ascii_only)[:-1].encode() + b"," + raw[1:]
        with pytest.raises(MalformedJson):
            read_quote(doubled)
