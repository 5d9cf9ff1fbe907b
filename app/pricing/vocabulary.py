"""What conditions may ask: the attributes, the texts they compare by number, and the facts of baskets.

Texts are interned, decimals scaled by 10^4, quantities by 10^3, so that every comparison is one of integers. A value that is looked up in a
sorted set has the key owner · 2^42 + value + 2^41.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any, Final, NamedTuple

import numpy as np

from app.pricing.basket import Basket
from app.pricing.money import Bools, Int64s, parse_decimal, parse_quantity_milli

VALUE_STRIDE: Final = 2**42
VALUE_SHIFT: Final = 2**41
_UNKNOWN_TEXT: Final = -1


class Type(IntEnum):
    """The type of an attribute."""

    TEXT = 0
    INTEGER = 1
    DECIMAL = 2
    BOOLEAN = 3
    TEXT_SET = 4
    MINOR = 5
    MILLI = 6
    CODE_SET = 7


class Attribute(NamedTuple):
    """An attribute that conditions may name: its type, and whether it is personal data."""

    type: Type
    is_personal: bool


SETS: Final = (Type.TEXT_SET, Type.CODE_SET)
NUMBERS: Final = (Type.INTEGER, Type.DECIMAL, Type.MINOR, Type.MILLI)

# What belongs to the basket comes first; what depends on the application (scope) or on the moment (running) is filled in at its turn.
BUILT_IN: Final[dict[str, Attribute]] = {
    "currency": Attribute(Type.TEXT, False),
    "codes": Attribute(Type.CODE_SET, False),
    "channel": Attribute(Type.TEXT, False),
    "store": Attribute(Type.TEXT, False),
    "market": Attribute(Type.TEXT, False),
    "customer.id": Attribute(Type.TEXT, True),
    "customer.level": Attribute(Type.TEXT, True),
    "customer.orders": Attribute(Type.INTEGER, True),
    "customer.spend": Attribute(Type.MINOR, True),
    "customer.first_order": Attribute(Type.BOOLEAN, True),
    "customer.days_since_last_order": Attribute(Type.INTEGER, True),
    "customer.segments": Attribute(Type.TEXT_SET, True),
    "order.subtotal": Attribute(Type.MINOR, False),
    "order.quantity": Attribute(Type.MILLI, False),
    "order.distinct": Attribute(Type.INTEGER, False),
    "order.shipping": Attribute(Type.MINOR, False),
    "scope.subtotal": Attribute(Type.MINOR, False),
    "scope.quantity": Attribute(Type.MILLI, False),
}

AMOUNTS: Final = ("order.subtotal", "scope.subtotal")
SLOTS: Final = {name: slot for slot, name in enumerate(BUILT_IN)}
ORDER_SUBTOTAL: Final = SLOTS["order.subtotal"]
ORDER_QUANTITY: Final = SLOTS["order.quantity"]
ORDER_DISTINCT: Final = SLOTS["order.distinct"]
ORDER_SHIPPING: Final = SLOTS["order.shipping"]
SCOPE_SUBTOTAL: Final = SLOTS["scope.subtotal"]
SCOPE_QUANTITY: Final = SLOTS["scope.quantity"]
OF_AMOUNTS: Final = frozenset((ORDER_SUBTOTAL, ORDER_QUANTITY, ORDER_DISTINCT, ORDER_SHIPPING, SCOPE_SUBTOTAL, SCOPE_QUANTITY))
SEGMENTS: Final = SLOTS["customer.segments"]
_OWN_TEXTS: Final = tuple(SLOTS[name] for name in ("currency", "channel", "store", "market", "customer.id", "customer.level"))
_ORDERS: Final = SLOTS["customer.orders"]
_SPEND: Final = SLOTS["customer.spend"]
_CODES: Final = SLOTS["codes"]
_FIRST_ORDER: Final = SLOTS["customer.first_order"]
_DAYS: Final = SLOTS["customer.days_since_last_order"]


class Vocabulary:
    """Texts by number and attributes by slot, as a book is compiled and as its baskets are read."""

    def __init__(self, declared: Mapping[str, Attribute]) -> None:
        self.texts: dict[str, int] = {}
        self.attributes: dict[str, Attribute] = {**BUILT_IN, **{f"attributes.{name}": one for name, one in declared.items()}}
        self.slots: dict[str, int] = {name: slot for slot, name in enumerate(self.attributes)}
        self.declared = dict(declared)
        self.types: tuple[Type, ...] = tuple(one.type for one in self.attributes.values())

    def grown(self) -> "Vocabulary":
        """A copy that may learn more texts while this one stays as it is; numbers given stay."""
        copy = Vocabulary(self.declared)
        copy.texts = dict(self.texts)
        return copy

    def intern(self, text: str) -> int:
        """The number of a text, a new one when it is new."""
        return self.texts.setdefault(text, len(self.texts))

    def read(self, value: Any, kind: Type) -> int:
        """A value of a request as an integer; a text that no condition names is unknown. Raises ValueError when it is not of the type."""
        if kind == Type.TEXT and isinstance(value, str):
            return self.texts.get(value, _UNKNOWN_TEXT)
        return self.encode(value, kind)

    def encode(self, value: Any, kind: Type) -> int:
        """A value of a condition as an integer. Raises ValueError when it is not of the type."""
        match kind:
            case Type.TEXT | Type.TEXT_SET if isinstance(value, str):
                return self.intern(value)
            case Type.CODE_SET if isinstance(value, str):
                return self.intern(_as_code(unicodedata.normalize("NFKC", value).strip().upper()))
            case Type.BOOLEAN if isinstance(value, bool):
                return int(value)
            case Type.INTEGER | Type.MINOR if isinstance(value, int) and not isinstance(value, bool):
                return _bounded(value)
            case Type.DECIMAL if isinstance(value, int | str) and not isinstance(value, bool):
                return _bounded(parse_decimal(str(value), 4))
            case Type.MILLI if isinstance(value, int | str) and not isinstance(value, bool):
                return 0 if value in (0, "0") else parse_quantity_milli(value)
        raise ValueError(f"must be a {kind.name.lower()}")


def _as_code(code: str) -> str:
    """The text that stands for a code, so that a segment of the same name is another one."""
    return f"code\n{code}"


def _bounded(number: int) -> int:
    if not -(10**12) <= number <= 10**12:
        raise ValueError("the number is out of bounds")
    return number


class Facts(NamedTuple):
    """What conditions may ask about the contexts of a batch."""

    value: Int64s  # (n_slots, n_contexts)
    is_known: Bools  # (n_slots, n_contexts)
    segment_key: Int64s  # of segments and codes, sorted: context · 2^42 + text + 2^41
    segment_first: Int64s  # (n_contexts + 1,)


class AttributeProblem(NamedTuple):
    """A request's attribute that the book does not declare, or that has another type."""

    basket: int
    path: str
    code: str


def read_facts(vocabulary: Vocabulary, contexts: Sequence[Basket]) -> tuple[Facts, list[AttributeProblem]]:
    """Read the facts of contexts, and what is wrong with their attributes (by context). Amounts and quantities are known with the lines."""
    cells: list[tuple[int, int, int]] = []
    problems: list[AttributeProblem] = []
    segment_keys: list[int] = []
    segment_first = [0]
    texts = vocabulary.texts
    for column, basket in enumerate(contexts):
        own = (basket.currency, basket.channel, basket.store, basket.market, basket.customer_id, basket.level)
        found = [(slot, texts.get(text, _UNKNOWN_TEXT)) for slot, text in zip(_OWN_TEXTS, own, strict=True) if text is not None]
        if basket.orders is not None:
            found += ((_ORDERS, basket.orders), (_FIRST_ORDER, int(basket.orders == 0)))
        if basket.spend_minor is not None:
            found.append((_SPEND, basket.spend_minor))
        if basket.days_since_last_order is not None:
            found.append((_DAYS, basket.days_since_last_order))
        # Attributes of the request stand before the customer's.
        for path, attributes in (("customer.attributes", basket.customer_attributes), ("attributes", basket.attributes)):
            if attributes:
                found += _read_attributes(vocabulary, column, path, attributes, problems)
        found.append((_CODES, 0))
        if basket.segments is not None:
            found.append((SEGMENTS, 0))
        if basket.segments or basket.codes:
            members = sorted(
                {texts.get(name, _UNKNOWN_TEXT) for name in (*(basket.segments or ()), *map(_as_code, basket.codes))}
            )
            segment_keys += [column * VALUE_STRIDE + number + VALUE_SHIFT for number in members]
        segment_first.append(len(segment_keys))
        cells += [(slot, column, number) for slot, number in found]
    shape = (len(vocabulary.attributes), len(contexts))
    value, is_known = np.zeros(shape, np.int64), np.zeros(shape, np.bool_)
    slots, columns, numbers = np.array(cells, np.int64).reshape(-1, 3).T
    # Where a cell occurs twice the later one stands.
    value[slots, columns] = numbers
    is_known[slots, columns] = True
    return Facts(value, is_known, np.array(segment_keys, np.int64), np.array(segment_first, np.int64)), problems


def _read_attributes(
    vocabulary: Vocabulary, context: int, path: str, attributes: Mapping[str, Any], problems: list[AttributeProblem]
) -> list[tuple[int, int]]:
    """The attributes by slot; what is wrong with them is added to the problems."""
    found: list[tuple[int, int]] = []
    for name, given in attributes.items():
        slot = vocabulary.slots.get(f"attributes.{name}")
        if slot is None:
            problems.append(AttributeProblem(context, f"{path}.{name}", "undeclared_attribute"))
            continue
        try:
            found.append((slot, vocabulary.read(given, vocabulary.types[slot])))
        except ValueError:
            problems.append(AttributeProblem(context, f"{path}.{name}", "wrong_type"))
    return found
