"""The words of replies, as JSON text: made once for a book and found again by number.

A reply repeats the same phrases: the start of a promotion's adjustment, a reason without figures, a price. A table makes a phrase when it is
first asked for; tables whose keys the requests choose are emptied when they grow past a bound.
"""

from collections.abc import Callable
from typing import Any, Final
from weakref import WeakKeyDictionary

import msgspec

from app.pricing.book import PriceBook
from app.pricing.counters import LIMITS
from app.pricing.guardrails import told_of
from app.pricing.money import format_e4, format_milli
from app.pricing.reasons import WIRE_NAMES, Reason
from app.pricing.rules import KINDS

_ENCODER: Final = msgspec.json.Encoder()
_BOUND: Final = 32_768  # some 5 MB of a table; average unit prices alone take new ones all the time
SLOT_STRIDE: Final = 4_096
REASON_STRIDE: Final = 64


def json_text(value: Any) -> str:
    """A value as JSON text."""
    return _ENCODER.encode(value).decode()


class Table[K, V](dict[K, V]):
    """Phrases by key, made when first asked for."""

    __slots__ = ("_make",)

    def __init__(self, make: Callable[[K], V]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: K) -> V:
        if len(self) >= _BOUND:
            self.clear()
        phrase = self[key] = self._make(key)
        return phrase


# Numbers and texts of any book.
UNIT_PRICES: Final[Table[int, str]] = Table(lambda unit_e4: f'"{format_e4(unit_e4)}"')
QUANTITIES: Final[Table[int, str]] = Table(lambda milli: f'"{format_milli(milli)}"')
TEXTS: Final[Table[str, str]] = Table(json_text)
IDS: Final[Table[str, bytes]] = Table(_ENCODER.encode)
ID_STARTS: Final[Table[str, bytes]] = Table(lambda line_id: b',{"id":' + _ENCODER.encode(line_id))  # of a line behind another
ENTRIES: Final[Table[str, bytes]] = Table(
    lambda entry: b"," + entry.encode()
)  # behind another; one object, however many lines tell it


class Phrases:
    """The phrases of one book."""

    def __init__(self, book: PriceBook) -> None:
        # The tables refer to the book's parts and not to the book, so that it can go when the next one is there.
        promotions, guardrails, attributes = book.promotions, book.guardrail_names, tuple(book.vocabulary.attributes)

        def taken(rule: int) -> str:
            kind, name = promotions.kinds[promotions.kind[rule]], json_text(promotions.name[rule])
            return f'{{"kind":"{kind}","rule":{json_text(promotions.id[rule])},"revision":{promotions.revision[rule]},"name":{name},"amount":'

        def given_back(bound: int) -> str:
            row, field = told_of(bound)
            name, revision = json_text(guardrails.id[row]), guardrails.revision[row]
            return f'{{"kind":"guardrail","rule":{name},"revision":{revision},"name":"{field}","bound":"{field}","amount":'

        def reason(key: int) -> str:
            rest, slot = divmod(key, SLOT_STRIDE)
            rule, number = divmod(rest, REASON_STRIDE)
            members: dict[str, Any] = {"rule": promotions.id[rule], "reason": WIRE_NAMES[number]}
            if number == Reason.LIMIT_REACHED:
                members["limit"] = LIMITS[slot - 1]
            if number in (Reason.ATTRIBUTE_MISSING, Reason.CONDITION_NOT_MET):
                # Without a comparison to blame, what is missing is what the reward itself asks for.
                asked = promotions.reward_inputs[rule] if number == Reason.ATTRIBUTE_MISSING else ()
                members["attribute"] = attributes[slot - 1] if slot else (asked[0] if asked else None)
            return json_text(members)

        def benefit(key: tuple[int, int, int, int]) -> str:
            rule, step, needed, times = key
            kind = int(promotions.kind[rule])
            offer = KINDS[promotions.kinds[kind]].next_benefit(promotions.packed[kind], step, needed, times)
            return json_text({"rule": promotions.id[rule], **offer})

        self.taken: Table[int, str] = Table(taken)  # by promotion: an adjustment up to its amount
        self.given_back: Table[int, str] = Table(given_back)  # by bound of a guardrail: the same
        self.reason: Table[int, str] = Table(reason)  # by (promotion, reason, attribute slot + 1): an entry without figures
        self.benefit: Table[tuple[int, int, int, int], str] = Table(benefit)


_phrases_of: WeakKeyDictionary[PriceBook, Phrases] = WeakKeyDictionary()


def phrases_of(book: PriceBook) -> Phrases:
    """The phrases of a book; they go when the book goes."""
    phrases = _phrases_of.get(book)
    if phrases is None:
        phrases = _phrases_of[book] = Phrases(book)
    return phrases
