"""JSON read strictly: what JSON does not define, or two readers could understand differently, is refused.

Refused are bytes that are not UTF-8, NaN and infinities (also as overflow, `1e999`), duplicate keys, nesting deeper than 64, integers
beyond 64 bits, and text that no Postgres column can hold (U+0000, lone surrogates).
"""

import json
import re
from collections import Counter
from typing import Any, NoReturn

from app.errors import MalformedJson

MAX_DEPTH = 64
_BIG = 1 << 63
_SUSPECT = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


def loads(body: bytes) -> Any:
    """The value that `body` holds. Raises MalformedJson, whose message never contains the input.

    >>> loads(b'{"a": [1, 2.5, null]}')
    {'a': [1, 2.5, None]}
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedJson(f"byte {error.start} is not valid UTF-8") from None
    if text.startswith("\ufeff"):
        raise MalformedJson("the body starts with a byte order mark")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise MalformedJson(f"line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise MalformedJson(f"nested deeper than {MAX_DEPTH}") from None
    _check_depth(value)
    if "\x00" in text or _SUSPECT.search(text):
        _check_text(value, "")
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise MalformedJson(
            "an object has the same key twice", errors=[(_shown(twice), "duplicate_key", "the key is there twice")]
        )
    return members


def _float(digits: str) -> float:
    number = float(digits)
    if number - number != 0:
        raise MalformedJson("a number is too large")
    return number


def _int(digits: str) -> int:
    # Checked by length first: reading thousands of digits is slow by itself.
    if len(digits) > 20:
        raise MalformedJson("a number is too large")
    number = int(digits)
    if not -_BIG <= number < _BIG:
        raise MalformedJson("a number is too large")
    return number


def _constant(name: str) -> NoReturn:
    raise MalformedJson(f"{name} is not JSON")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_float=_float, parse_int=_int, parse_constant=_constant)


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return
    if any(isinstance(node, dict | list) for node in level):
        raise MalformedJson(f"nested deeper than {MAX_DEPTH}")


def _check_text(value: Any, path: str) -> None:
    if isinstance(value, str):
        if "\x00" in value:
            _refuse_text("text contains the character U+0000", path)
        if any("\ud800" <= character <= "\udfff" for character in value):
            _refuse_text("text contains half of a surrogate pair", path)
    elif isinstance(value, dict):
        for key, member in value.items():
            place = f"{path}.{_shown(key)}" if path else _shown(key)
            _check_text(key, place)
            _check_text(member, place)
    elif isinstance(value, list):
        for number, member in enumerate(value):
            _check_text(member, f"{path}[{number}]")


def _refuse_text(message: str, path: str) -> NoReturn:
    raise MalformedJson(message, errors=[(path, "format", message)])


def _shown(key: str) -> str:
    # A key is the caller's text: it may be long, or not encodable.
    return "".join(character if character.isprintable() else "?" for character in key[:80])
