"""What conditions may ask: the attributes, the texts they compare by number, and the facts of baskets.

Texts are interned, decimals scaled by 10^4, quantities by 10^3, so that every comparison is one of integers. A value that is looked up in a
sorted set has the key owner · 2^42 + value + 2^41.
"""

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


class Attribute(NamedTuple):
    """An attribute that conditions may name: its type, and whether it is personal data."""

    type: Type
    is_personal: bool


NUMBERS: Final = (Type.INTEGER, Type.DECIMAL, Type.MINOR, Type.MILLI)

# What belongs to the basket comes first; what depends on the application (scope) or on the moment (running) is filled in at its turn.
BUILT_IN: Final[dict[str, Attribute]] = {
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
    "scope.subtotal": Attribute(Type.MINOR, False),
    "scope.quantity": Attribute(Type.MILLI, False),
}

AMOUNTS: Final = ("order.subtotal", "scope.subtotal")
SLOTS: Final = {name: slot for slot, name in enumerate(BUILT_IN)}
ORDER_SUBTOTAL: Final = SLOTS["order.subtotal"]
ORDER_QUANTITY: Final = SLOTS["order.quantity"]
ORDER_DISTINCT: Final = SLOTS["order.distinct"]
SCOPE_SUBTOTAL: Final = SLOTS["scope.subtotal"]
SCOPE_QUANTITY: Final = SLOTS["scope.quantity"]
SEGMENTS: Final = SLOTS["customer.segments"]
_OWN_TEXTS: Final = tuple(SLOTS[name] for name in ("channel", "store", "market", "customer.id", "customer.level"))
_ORDERS: Final = SLOTS["customer.orders"]
_SPEND: Final = SLOTS["customer.spend"]
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
            case Type.BOOLEAN if isinstance(value, bool):
                return int(value)
            case Type.INTEGER | Type.MINOR if isinstance(value, int) and not isinstance(value, bool):
                return _bounded(value)
            case Type.DECIMAL if isinstance(value, int | str) and not isinstance(value, bool):
                return _bounded(parse_decimal(str(value), 4))
            case Type.MILLI if isinstance(value, int | str) and not isinstance(value, bool):
                return 0 if value in (0, "0") else parse_quantity_milli(value)
        raise ValueError(f"must be a {kind.name.lower()}")


def _bounded(number: int) -> int:
    if not -(10**12) <= number <= 10**12:
        raise ValueError("the number is out of bounds")
    return number


class Facts(NamedTuple):
    """What conditions may ask about the baskets of a batch."""

    value: Int64s  # (n_slots, n_baskets)
    is_known: Bools  # (n_slots, n_baskets)
    segment_key: Int64s  # sorted: basket · 2^42 + text + 2^41
    segment_basket_first: Int64s  # (n_baskets + 1,)


class AttributeProblem(NamedTuple):
    """A request's attribute that the book does not declare, or that has another type."""

    basket: int
    path: str
    code: str


def read_facts(vocabulary: Vocabulary, baskets: Sequence[Basket]) -> tuple[Facts, list[AttributeProblem]]:
    """Read the baskets' own facts; those on amounts and quantities are filled in when the lines are priced."""
    n_slots = len(vocabulary.attributes)
    value = np.zeros((n_slots, len(baskets)), np.int64)
    is_known = np.zeros((n_slots, len(baskets)), np.bool_)
    problems: list[AttributeProblem] = []
    segment_keys: list[int] = []
    segment_first = [0]
    for column, basket in enumerate(baskets):
        for slot, found in _own_facts(vocabulary, basket):
            value[slot, column] = found
            is_known[slot, column] = True
        for path, attributes in (("customer.attributes", basket.customer_attributes), ("attributes", basket.attributes)):
            for name, given in attributes.items():
                at = vocabulary.slots.get(f"attributes.{name}")
                if at is None:
                    problems.append(AttributeProblem(column, f"{path}.{name}", "undeclared_attribute"))
                    continue
                try:
                    value[at, column] = vocabulary.read(given, vocabulary.types[at])
                    is_known[at, column] = True
                except ValueError:
                    problems.append(AttributeProblem(column, f"{path}.{name}", "wrong_type"))
        if basket.segments is not None:
            is_known[SEGMENTS, column] = True
            texts = sorted({vocabulary.texts.get(name, _UNKNOWN_TEXT) for name in basket.segments})
            segment_keys += [column * VALUE_STRIDE + text + VALUE_SHIFT for text in texts]
        segment_first.append(len(segment_keys))
    return Facts(value, is_known, np.array(segment_keys, np.int64), np.array(segment_first, np.int64)), problems


def _own_facts(vocabulary: Vocabulary, basket: Basket) -> list[tuple[int, int]]:
    facts: list[tuple[int, int]] = []
    own = (basket.channel, basket.store, basket.market, basket.customer_id, basket.level)
    for slot, text in zip(_OWN_TEXTS, own, strict=True):
        if text is not None:
            facts.append((slot, vocabulary.texts.get(text, _UNKNOWN_TEXT)))
    if basket.orders is not None:
        facts += [(_ORDERS, basket.orders), (_FIRST_ORDER, int(basket.orders == 0))]
    if basket.spend_minor is not None:
        facts.append((_SPEND, basket.spend_minor))
    if basket.days_since_last_order is not None:
        facts.append((_DAYS, basket.days_since_last_order))
    return facts
