"""What is JSON to us, and what is not."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import MalformedJson
from app.web.strict_json import MAX_DEPTH, loads

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 63) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), inner)
    ),
    max_leaves=20,
)


@given(JSON)
def test_every_json_value_comes_back_as_it_was_written(value: Any) -> None:
    for ascii_only in (True, False):
        assert loads(json.dumps(value, ensure_ascii=ascii_only).encode()) == value


@pytest.mark.parametrize(
    "body",
    [
        b"NaN",
        b'{"a": NaN}',
        b"[Infinity]",
        b"[-Infinity]",
        b"[1e999]",
        b"[-1e999]",
        b'{"a": 1, "a": 1}',
        b'[{"b": {"a": 1, "a": 2}}]',
        b'{"a": 1, "\\u0061": 2}',
        b"\xff",
        b'"\xc3\x28"',
        b"\xef\xbb\xbf{}",
        '{"a": 1}'.encode("utf-16"),
        b'"\\u0000"',
        b'{"\\u0000": 1}',
        b'"\\ud800"',
        b'["\\uDC00\\uD800"]',
        b'"\x00"',
        b'"\x01"',
        b"9223372036854775808",
        b"-9223372036854775809",
        b"1" * 5000,
        b"",
        b"{",
        b"{} {}",
        b"01",
        b"{'a': 1}",
        b"[1,]",
    ],
)
def test_what_readers_could_understand_differently_is_refused(body: bytes) -> None:
    with pytest.raises(MalformedJson):
        loads(body)


def test_nesting_is_bounded() -> None:
    assert loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None
    for depth in (MAX_DEPTH + 1, 1_000, 200_000):
        with pytest.raises(MalformedJson):
            loads(b"[" * depth + b"]" * depth)


def test_brackets_in_text_are_not_nesting() -> None:
    assert loads(b'"' + b"[" * 1000 + b'"') == "[" * 1000


def test_the_refusal_does_not_repeat_the_input() -> None:
    with pytest.raises(MalformedJson) as refused:
        loads(b'{"secret-name": hunter2}')

    assert "hunter2" not in str(refused.value.document())
    assert "secret-name" not in str(refused.value.document())


def test_a_surrogate_pair_is_one_character() -> None:
    assert loads(b'"\\ud83d\\ude00"') == "\U0001f600"
