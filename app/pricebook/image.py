"""A compiled book as a file has it: a small tree of plain values, and the arrays as they lie in memory.

Only classes of the price book can come out of a file, and only a file of the very same code is taken: another release, another
interpreter or other time zone rules compile the documents anew.
"""

import hashlib
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, cast
from zoneinfo import TZPATH

import numpy as np

import app.pricing
from app.pricing import book as books
from app.pricing.code_table import CodeTable, Generator
from app.pricing.conditions import ConditionTable
from app.pricing.endings import Endings
from app.pricing.facts import Facts, Rivals
from app.pricing.funding import Funding
from app.pricing.generated_codes import GeneratedCodes
from app.pricing.guardrails import Field, Guardrails
from app.pricing.ladders import Ladders
from app.pricing.parts import PartMembers, Parts
from app.pricing.points import Program
from app.pricing.policy import Policy
from app.pricing.price_lists import PriceEntries, PriceLists
from app.pricing.promotions import Promotions
from app.pricing.rewards import Steps
from app.pricing.rules import KINDS
from app.pricing.sale_prices import SalePrices
from app.pricing.schedule import ScheduleTable
from app.pricing.scope import Assortment, ScopeIndex
from app.pricing.seasons import Seasons
from app.pricing.strategies import STRATEGIES
from app.pricing.strategy import StrategyTable
from app.pricing.unit_limits import UnitLimits
from app.pricing.vocabulary import Attribute, Type, Vocabulary

_CLASSES: Final[dict[str, Any]] = {
    f"{one.__module__}:{one.__qualname__}": one
    for one in (
        books.PriceBook,
        books.Named,
        books.Sources,
        Assortment,
        CodeTable,
        ConditionTable,
        Endings,
        Facts,
        Field,
        Funding,
        GeneratedCodes,
        Generator,
        Guardrails,
        Ladders,
        Policy,
        PriceEntries,
        PriceLists,
        PartMembers,
        Parts,
        Program,
        Promotions,
        Rivals,
        SalePrices,
        ScheduleTable,
        ScopeIndex,
        Seasons,
        Steps,
        StrategyTable,
        UnitLimits,
        *(
            one
            for module in (*(kind.module for kind in KINDS.values()), *STRATEGIES.values())
            for one in vars(module).values()
            if hasattr(one, "_fields") and one.__module__ == cast(Any, module).__name__
        ),
    )
}
# Longer tuples of equal things are kept as each of them once, and a number for each place.
_REPEATED: Final = 64

type Buffers = list[Any]


@cache
def fingerprint() -> str:
    """Tells apart everything that gives an image its meaning besides the documents."""
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{sys.version_info[:3]} {sys.byteorder} {np.__version__} {_time_zones()}".encode())
    sources = sorted(Path(app.pricing.__file__ or "").parent.rglob("*.py"))
    if not sources:
        # Code without its sources cannot be told from other code, so no image is its own.
        return os.urandom(16).hex()
    for file in (*sources, Path(__file__)):
        digest.update(file.name.encode() + b"\n" + file.read_bytes())
    return digest.hexdigest()


def _time_zones() -> str:
    for folder in TZPATH:
        for name in ("tzdata.zi", "+VERSION"):
            if (file := Path(folder) / name).exists():
                with file.open("rb") as lines:
                    return lines.readline().decode(errors="replace")
        if (file := Path(folder) / "UTC").exists():
            return str(file.stat().st_mtime_ns)
    # The package of that name stands in where the system has none.
    return str(import_module("tzdata").IANA_VERSION) if find_spec("tzdata") else ""


def image_of(value: Any, buffers: Buffers) -> Any:
    """A value as a tree of plain values; arrays and bytes are put to the buffers."""
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, np.ndarray):
        buffers.append(np.ascontiguousarray(value))
        return ["array", len(buffers) - 1, value.dtype.str, list(value.shape)]
    if isinstance(value, Vocabulary):
        declared = [[name, int(one.type), one.is_personal] for name, one in value.declared.items()]
        return ["vocabulary", declared, list(value.texts)]
    if isinstance(value, dict):
        return ["dict", image_of(tuple(value), buffers), image_of(tuple(value.values()), buffers)]
    if isinstance(value, frozenset):
        return ["set", sorted(value)]
    kind = type(value)
    if is_dataclass(kind) or hasattr(kind, "_fields"):
        name = f"{kind.__module__}:{kind.__qualname__}"
        assert name in _CLASSES, name
        names = [field.name for field in fields(kind)] if is_dataclass(kind) else kind._fields
        return ["table", name, _images_of((getattr(value, one) for one in names), buffers)]
    assert kind is tuple, kind
    if all(type(one) in (str, int) for one in value):
        return ["plain", list(value)]
    if len(value) > _REPEATED and all(type(one) is tuple for one in value):
        number_of: dict[Any, int] = {}
        places = np.fromiter((number_of.setdefault(one, len(number_of)) for one in value), np.int64, len(value))
        return ["repeated", _images_of(number_of, buffers), image_of(places, buffers)]
    return ["tuple", _images_of(value, buffers)]


def _images_of(values: Iterable[Any], buffers: Buffers) -> list[Any]:
    return [image_of(one, buffers) for one in values]


def value_of(image: Any, buffers: Buffers) -> Any:
    """The value of such a tree. Raises KeyError, IndexError, TypeError or ValueError when it is not one."""
    if not isinstance(image, list):
        return image
    return _READERS[image[0]](*image[1:], buffers=buffers)


def _array(number: int, dtype: str, shape: list[int], *, buffers: Buffers) -> Any:
    return np.frombuffer(buffers[number], dtype).reshape(shape)


def _vocabulary(declared: list[tuple[str, int, bool]], texts: list[str], *, buffers: Buffers) -> Vocabulary:
    vocabulary = Vocabulary({name: Attribute(Type(number), is_personal) for name, number, is_personal in declared})
    vocabulary.texts = {text: number for number, text in enumerate(texts)}
    return vocabulary


def _dict(keys: Any, values: Any, *, buffers: Buffers) -> dict[Any, Any]:
    return dict(zip(value_of(keys, buffers), value_of(values, buffers), strict=True))


def _table(name: str, values: list[Any], *, buffers: Buffers) -> Any:
    return _CLASSES[name](*(value_of(one, buffers) for one in values))


def _repeated(distinct: list[Any], places: Any, *, buffers: Buffers) -> tuple[Any, ...]:
    return tuple(map(_tuple(distinct, buffers=buffers).__getitem__, value_of(places, buffers).tolist()))


def _tuple(values: Iterable[Any], *, buffers: Buffers) -> tuple[Any, ...]:
    return tuple(value_of(one, buffers) for one in values)


_READERS: Final[dict[str, Callable[..., Any]]] = {
    "array": _array,
    "vocabulary": _vocabulary,
    "dict": _dict,
    "set": lambda values, *, buffers: frozenset(values),
    "table": _table,
    "plain": lambda values, *, buffers: tuple(values),
    "repeated": _repeated,
    "tuple": _tuple,
}
